//! The application log: text for people, JSON for machines, on standard error.
//!
//! *Invariant:* what is logged is chosen at the call site from typed fields; nothing here formats a request, so no
//! header or query can slip in.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::settings::SettingsError;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line per event.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
}

/// What to log and how.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// The least severe level that is written.
    pub level: LevelFilter,
    /// How lines look.
    pub format: LogFormat,
}

impl LogSettings {
    /// Reads the words of the settings; `logstash` is taken as JSON.
    pub fn parse(level: &str, format: &str) -> Result<Self, SettingsError> {
        let level = match level.to_ascii_lowercase().as_str() {
            "error" => LevelFilter::ERROR,
            "warn" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            other => {
                let sentence = format!("`log.level` is `{other}`; use error, warn, info or debug");
                return Err(SettingsError::problem(sentence));
            }
        };
        let format = match format {
            "text" => LogFormat::Text,
            "json" | "logstash" => LogFormat::Json,
            other => {
                return Err(SettingsError::problem(format!(
                    "`log.formatter` is `{other}`; use text or json"
                )));
            }
        };
        Ok(Self { level, format })
    }
}

/// Starts logging for the whole process; a second call changes nothing, so that tests can share one.
pub fn start(settings: LogSettings) {
    // Libraries are kept to warnings: their debug lines print headers.
    let own = settings.level;
    let rest = own.min(LevelFilter::WARN);
    // The framework reports every connection that is not HTTP as an error; Docker opens one, to try TLS, before each
    // plain request to a loopback address.
    let filter = format!("{rest},actix_http::h1=off,shared={own},registry={own},token_server={own}");
    let filter = EnvFilter::new(filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let _ = match settings.format {
        LogFormat::Text => builder.with_target(false).with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_target(false).try_init(),
    };
}
