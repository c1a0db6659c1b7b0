//! `log`: what is written about the work of the registry, and how.
//!
//! *Invariant:* the deprecated `loglevel` counts only where `log.level` is not given.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use shared::server::settings::{Key, Kind, Loaded};
use shared::server::telemetry;

use super::findings::Findings;

const NO_HOOKS: &str = "no mail is sent for log lines; whatever collects the log can do that";

pub(super) const KEYS: &[Key] = &[
    Key::new("log.level", Kind::Scalar, "info", "Least severe level to log: error, warn, info or debug."),
    Key::new("log.formatter", Kind::Scalar, "text", "How log lines look: text, json or logstash."),
    Key::new("log.fields", Kind::Map, "", "Fields added to every line."),
    Key::new("log.accesslog.disabled", Kind::Scalar, "false", "Switches the access log on stdout off."),
    Key::new("log.reportcaller", Kind::Scalar, "false", "Whether lines name the source file they come from."),
    Key::new("log.hooks[].type", Kind::Scalar, "", "What a hook does: mail.").no_effect(NO_HOOKS),
    Key::new("log.hooks[].disabled", Kind::Scalar, "", "Whether the hook is off.").no_effect(NO_HOOKS),
    Key::new("log.hooks[].levels", Kind::List, "", "Levels of the lines that are mailed.")
        .no_effect(NO_HOOKS),
    Key::new("log.hooks[].options.smtp.addr", Kind::Scalar, "", "Mail server.").no_effect(NO_HOOKS),
    Key::new("log.hooks[].options.smtp.username", Kind::Scalar, "", "User at the mail server.")
        .no_effect(NO_HOOKS),
    Key::new("log.hooks[].options.smtp.password", Kind::Secret, "", "Password at the mail server.")
        .no_effect(NO_HOOKS),
    Key::new(
        "log.hooks[].options.smtp.insecure",
        Kind::Scalar,
        "",
        "Whether the certificate of the mail server is not checked.",
    )
    .no_effect(NO_HOOKS),
    Key::new("log.hooks[].options.from", Kind::Scalar, "", "Sender of the mails.").no_effect(NO_HOOKS),
    Key::new("log.hooks[].options.to", Kind::List, "", "Receivers of the mails.").no_effect(NO_HOOKS),
    Key::new("loglevel", Kind::Scalar, "", "Old name of log.level."),
];

#[derive(Deserialize)]
pub(super) struct RawLog {
    level: String,
    formatter: String,
    #[serde(default)]
    fields: BTreeMap<String, Value>,
    accesslog: RawAccessLog,
    reportcaller: bool,
}

#[derive(Deserialize)]
struct RawAccessLog {
    disabled: bool,
}

/// What is written about the work of the registry.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    /// The application log.
    pub(crate) application: telemetry::LogSettings,
    /// Whether there is an access log.
    pub(crate) access: bool,
}

impl RawLog {
    pub(super) fn parse(
        self,
        old_level: Option<String>,
        loaded: &Loaded,
        findings: &mut Findings,
    ) -> Option<LogSettings> {
        let level = old_level.filter(|_| !loaded.is_given("log.level")).unwrap_or(self.level);
        let application = findings.take(telemetry::LogSettings::parse(&level, &self.formatter))?;
        Some(LogSettings {
            application: telemetry::LogSettings {
                fields: self.fields,
                report_caller: self.reportcaller,
                ..application
            },
            access: !self.accesslog.disabled,
        })
    }
}
