//! The application log: text for people, JSON for machines, on standard error.
//!
//! Lines are made in `lines` and written by a thread of their own ([`sink`]), so that whoever reads the log
//! cannot stop the server by not reading it.
//!
//! *Invariant:* what is logged is chosen at the call site from typed fields; nothing here formats a request, so no
//! header or query can slip in.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use self::lines::{JsonLines, Layout, TextLines};
use self::sink::Sink;
use super::settings::SettingsError;

mod lines;

pub mod sink;

/// How long the end of the process waits for the last lines to be taken.
pub const LAST_LINES: Duration = Duration::from_secs(2);

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line per event.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
    /// One JSON object per event, with the names Logstash expects.
    Logstash,
}

/// What to log and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The least severe level that is written.
    pub level: LevelFilter,
    /// How lines look.
    pub format: LogFormat,
    /// Fields on every line.
    pub fields: BTreeMap<String, Value>,
    /// Whether lines name the source file that wrote them.
    pub report_caller: bool,
}

impl LogSettings {
    /// Reads the words of the settings.
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
            "json" => LogFormat::Json,
            "logstash" => LogFormat::Logstash,
            other => {
                return Err(SettingsError::problem(format!(
                    "`log.formatter` is `{other}`; use text, json or logstash"
                )));
            }
        };
        Ok(Self { level, format, fields: BTreeMap::new(), report_caller: false })
    }
}

/// The log of a running server; the last lines are written when it is dropped.
#[derive(Debug)]
#[must_use = "the log ends when this is dropped"]
pub struct Logging {
    sink: Sink,
}

impl Logging {
    /// Where its lines go, to count those that were lost.
    pub fn sink(&self) -> &Sink {
        &self.sink
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.sink.flush(LAST_LINES);
    }
}

/// Starts logging for the whole process.
pub fn start(settings: LogSettings) -> io::Result<Logging> {
    let sink = Sink::start("stderr", io::stderr())?;
    let filter = filter(settings.level);
    let writer = sink.clone();
    match settings.format {
        LogFormat::Text => {
            let ansi = io::stderr().is_terminal();
            let lines = TextLines::new(&settings.fields, settings.report_caller, ansi);
            let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
            let _ = builder.with_ansi(ansi).event_format(lines).try_init();
        }
        LogFormat::Json | LogFormat::Logstash => {
            let layout = if settings.format == LogFormat::Json { Layout::Plain } else { Layout::Logstash };
            let lines = JsonLines::new(layout, settings.fields, settings.report_caller);
            let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
            let _ = builder.event_format(lines).try_init();
        }
    }
    Ok(Logging { sink })
}

/// Logs warnings as text, each written before the next thing is done: for commands, whose answer is something else.
pub fn start_quietly() {
    let ansi = io::stderr().is_terminal();
    let lines = TextLines::new(&BTreeMap::new(), false, ansi);
    // A command that looks through whole tables may take its time.
    let filter = format!("{},sqlx=error", filter(LevelFilter::WARN));
    let builder = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter));
    let _ = builder.with_writer(io::stderr).with_ansi(ansi).event_format(lines).try_init();
}

fn filter(own: LevelFilter) -> EnvFilter {
    // Libraries are kept to warnings: their debug lines print headers.
    let rest = own.min(LevelFilter::WARN);
    // The framework reports every connection that is not HTTP as an error; Docker opens one, to try TLS, before each
    // plain request to a loopback address.
    EnvFilter::new(format!("{rest},actix_http::h1=off,shared={own},registry={own},token_server={own}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_settings_are_understood_in_any_case() {
        for (word, level) in [
            ("error", LevelFilter::ERROR),
            ("Warn", LevelFilter::WARN),
            ("INFO", LevelFilter::INFO),
            ("debug", LevelFilter::DEBUG),
        ] {
            assert_eq!(LogSettings::parse(word, "text").expect("a level").level, level);
        }
        let error = LogSettings::parse("trace", "text").expect_err("not a level").to_string();
        assert_eq!(error, "`log.level` is `trace`; use error, warn, info or debug");
        assert!(LogSettings::parse("info", "xml").is_err());
    }
}
