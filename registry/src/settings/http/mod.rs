//! `http`: where the registry listens and how it answers.
//!
//! *Invariant:* nobody's word for addresses counts unless the settings name them as a proxy.

pub(super) mod debug;

pub(super) mod tls;

use std::collections::BTreeMap;

use actix_web::http::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use shared::secret::Secret;
use shared::server::client_address::TrustedProxies;
use shared::server::listener::ListenerSettings;
use shared::server::settings::{Duration, Key, Kind};
use url::Url;

use super::findings::Findings;

pub(super) const KEYS: &[Key] = &[
    Key::new("http.addr", Kind::Scalar, "\":5000\"", "Address to listen on."),
    Key::new("http.net", Kind::Scalar, "tcp", "Kind of the address; only tcp in this version."),
    Key::new("http.prefix", Kind::Scalar, "", "Path below which everything is served.")
        .refused("this version serves /v2/ at the root only"),
    Key::new("http.host", Kind::Scalar, "", "Public URL of this registry, for the URLs in its answers."),
    Key::new(
        "http.secret",
        Kind::Secret,
        "",
        "Signs the state of uploads; equal on all replicas. Random if not set.",
    ),
    Key::new(
        "http.relativeurls",
        Kind::Scalar,
        "false",
        "Whether URLs in answers leave out scheme and host.",
    ),
    Key::new("http.draintimeout", Kind::Scalar, "30s", "How long open requests may take after SIGTERM."),
    Key::new("http.stalltimeout", Kind::Scalar, "60s", "A body without progress for this long is cut off."),
    Key::new(
        "http.maxconnections",
        Kind::Scalar,
        "2000",
        "Connections at a time; each may hold about 0.5 MiB.",
    ),
    Key::new(
        "http.trustedproxies",
        Kind::List,
        "",
        "Networks whose X-Forwarded-* and Forwarded headers are believed.",
    ),
    Key::new(
        "http.headers",
        Kind::Map,
        "{X-Content-Type-Options: [nosniff]}",
        "Headers added to every answer.",
    ),
    Key::new("http.http2.disabled", Kind::Scalar, "", "Switches HTTP/2 off.")
        .no_effect("HTTP/1.1 is spoken only"),
    Key::new("http.h2c.enabled", Kind::Scalar, "", "HTTP/2 without TLS.")
        .no_effect("HTTP/1.1 is spoken only"),
];

#[derive(Deserialize)]
pub(super) struct RawHttp {
    addr: String,
    net: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    secret: Secret,
    relativeurls: bool,
    draintimeout: Duration,
    stalltimeout: Duration,
    maxconnections: usize,
    #[serde(default)]
    trustedproxies: Vec<String>,
    #[serde(default)]
    headers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    tls: tls::RawTls,
}

/// How the registry is reached.
#[derive(Clone, Debug)]
pub(crate) struct HttpSettings {
    pub(crate) listener: ListenerSettings,
    /// Key of the `_state` parameter; random for this process when empty.
    pub(crate) secret: Secret,
    pub(crate) locations: LocationSettings,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// How the URLs in answers are made.
#[derive(Clone, Debug)]
pub(crate) struct LocationSettings {
    /// Public base URL without the trailing slash; wins over everything else.
    pub(crate) host: Option<String>,
    pub(crate) relative: bool,
}

impl RawHttp {
    pub(super) fn parse(self, findings: &mut Findings) -> Option<HttpSettings> {
        if !matches!(self.net.as_str(), "" | "tcp") {
            findings.refuse(format!("`http.net` is `{}`, but this version supports tcp only", self.net));
        }
        let trusted_proxies = findings.take(TrustedProxies::parse(&self.trustedproxies));
        let tls = self.tls.parse(findings);
        let headers = headers(&self.headers, findings);
        let host = host(&self.host, findings);
        Some(HttpSettings {
            listener: ListenerSettings {
                address: self.addr,
                tls,
                trusted_proxies: trusted_proxies?,
                drain_timeout: self.draintimeout.0,
                stall_timeout: self.stalltimeout.0,
                max_connections: self.maxconnections,
            },
            secret: self.secret,
            locations: LocationSettings { host, relative: self.relativeurls },
            headers,
        })
    }
}

fn headers(raw: &BTreeMap<String, Vec<String>>, findings: &mut Findings) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, values) in raw {
        for value in values {
            match (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
                (Ok(name), Ok(value)) => headers.push((name, value)),
                _ => findings.refuse(format!("`http.headers.{name}` is not a header that can be sent")),
            }
        }
    }
    headers
}

fn host(raw: &str, findings: &mut Findings) -> Option<String> {
    if raw.is_empty() {
        return None;
    }
    match Url::parse(raw) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Some(raw.trim_end_matches('/').to_owned())
        }
        _ => {
            findings.refuse(format!(
                "`http.host` is `{raw}`; write the public URL, such as https://registry.example"
            ));
            None
        }
    }
}
