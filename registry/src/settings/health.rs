//! `health`: checks that take the registry out of service while they fail.
//!
//! *Invariant:* a check that is asked for is run, or the start fails.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use shared::server::settings::{Key, Kind};
use url::Url;

use super::findings::Findings;
use super::go_duration::GoDuration;

/// Where an interval or a timeout is zero or not given.
const USUAL: std::time::Duration = std::time::Duration::from_secs(10);

const FAILURES: &str = "Failures in a row that count; 0 means the first.";

const fn health(path: &'static str, doc: &'static str) -> Key {
    Key::new(path, Kind::Scalar, "", doc)
}

pub(super) const KEYS: &[Key] = &[
    Key::new("health.storagedriver.enabled", Kind::Scalar, "false", "Whether the storage is checked."),
    Key::new("health.storagedriver.interval", Kind::Scalar, "10s", "Time between two checks."),
    Key::new("health.storagedriver.threshold", Kind::Scalar, "0", FAILURES),
    health("health.file[].file", "Unhealthy while this file exists."),
    health("health.file[].interval", "Time between two looks; 10s if not given."),
    health("health.file[].threshold", FAILURES),
    health("health.http[].uri", "Unhealthy while this URL does not answer as it should."),
    health("health.http[].statuscode", "The status it should answer with; 200 if not given."),
    Key::new("health.http[].headers", Kind::SecretMap, "", "Headers to ask with."),
    health("health.http[].timeout", "How long an answer may take; 10s if not given."),
    health("health.http[].interval", "Time between two requests; 10s if not given."),
    health("health.http[].threshold", FAILURES),
    health("health.tcp[].addr", "Unhealthy while this address takes no connection."),
    health("health.tcp[].timeout", "How long a connection may take; 10s if not given."),
    health("health.tcp[].interval", "Time between two attempts; 10s if not given."),
    health("health.tcp[].threshold", FAILURES),
];

#[derive(Deserialize)]
pub(super) struct RawHealth {
    storagedriver: RawStorageCheck,
    #[serde(default)]
    file: Vec<RawFileCheck>,
    #[serde(default)]
    http: Vec<RawHttpCheck>,
    #[serde(default)]
    tcp: Vec<RawTcpCheck>,
}

#[derive(Deserialize)]
struct RawStorageCheck {
    enabled: bool,
    interval: GoDuration,
    threshold: i64,
}

#[derive(Deserialize)]
struct RawFileCheck {
    file: PathBuf,
    #[serde(default)]
    interval: GoDuration,
    #[serde(default)]
    threshold: i64,
}

#[derive(Deserialize)]
struct RawHttpCheck {
    uri: String,
    #[serde(default)]
    statuscode: u16,
    #[serde(default)]
    headers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    timeout: GoDuration,
    #[serde(default)]
    interval: GoDuration,
    #[serde(default)]
    threshold: i64,
}

#[derive(Deserialize)]
struct RawTcpCheck {
    addr: String,
    #[serde(default)]
    timeout: GoDuration,
    #[serde(default)]
    interval: GoDuration,
    #[serde(default)]
    threshold: i64,
}

/// What is checked.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// That the storage answers.
    Storage,
    /// That a file does not exist.
    NoFile(PathBuf),
    /// That a URL answers a HEAD with this status.
    Http { url: Url, status: StatusCode, headers: HeaderMap, timeout: std::time::Duration },
    /// That an address takes a connection.
    Tcp { address: String, timeout: std::time::Duration },
}

/// A check and when it matters.
#[derive(Clone, Debug)]
pub(crate) struct CheckSettings {
    pub(crate) subject: Subject,
    pub(crate) interval: std::time::Duration,
    /// So many failures in a row matter; zero means the first.
    pub(crate) threshold: u32,
}

impl CheckSettings {
    fn new(subject: Subject, interval: GoDuration, threshold: i64) -> Self {
        let threshold = u32::try_from(threshold.max(0)).unwrap_or(u32::MAX);
        Self { subject, interval: usual(interval), threshold }
    }
}

fn usual(duration: GoDuration) -> std::time::Duration {
    if duration.0.is_zero() { USUAL } else { duration.0 }
}

impl RawHealth {
    pub(super) fn parse(self, findings: &mut Findings) -> Vec<CheckSettings> {
        let mut checks = Vec::new();
        let RawStorageCheck { enabled, interval, threshold } = self.storagedriver;
        if enabled {
            checks.push(CheckSettings::new(Subject::Storage, interval, threshold));
        }
        for RawFileCheck { file, interval, threshold } in self.file {
            checks.push(CheckSettings::new(Subject::NoFile(file), interval, threshold));
        }
        for check in self.http {
            let (interval, threshold) = (check.interval, check.threshold);
            if let Some(subject) = check.parse(findings) {
                checks.push(CheckSettings::new(subject, interval, threshold));
            }
        }
        for RawTcpCheck { addr, timeout, interval, threshold } in self.tcp {
            if addr.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
                findings.refuse(format!("`health.tcp` has the address `{addr}`; write host:port"));
            }
            let subject = Subject::Tcp { address: addr, timeout: usual(timeout) };
            checks.push(CheckSettings::new(subject, interval, threshold));
        }
        checks
    }
}

impl RawHttpCheck {
    fn parse(self, findings: &mut Findings) -> Option<Subject> {
        let url = match Url::parse(&self.uri) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                findings
                    .refuse("`health.http` has a URL with a user name or a password, which would be shown");
                return None;
            }
            Ok(url) if matches!(url.scheme(), "http" | "https") => url,
            _ => {
                findings
                    .refuse(format!("`health.http` has `{}`, which is not an http or https URL", self.uri));
                return None;
            }
        };
        let wanted = if self.statuscode == 0 { StatusCode::OK.as_u16() } else { self.statuscode };
        let Ok(status) = StatusCode::from_u16(wanted) else {
            findings.refuse(format!("`health.http` has the status code {wanted}, which does not exist"));
            return None;
        };
        let mut headers = HeaderMap::new();
        for (name, values) in self.headers {
            for value in values {
                match (HeaderName::try_from(&name), HeaderValue::try_from(value)) {
                    (Ok(name), Ok(mut value)) => {
                        value.set_sensitive(true);
                        headers.append(name, value);
                    }
                    _ => {
                        findings.refuse(format!("`health.http` has the header {name}, which cannot be sent"));
                    }
                }
            }
        }
        Some(Subject::Http { url, status, headers, timeout: usual(self.timeout) })
    }
}
