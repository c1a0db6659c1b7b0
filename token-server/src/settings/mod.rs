//! What an operator can tell the token server.
//!
//! [`SCHEMA`] is the table of keys; everything else about settings (the example file, `check-config`, the table in
//! the README) comes from it.
//!
//! *Invariant:* a [`TokenServerSettings`] is complete and in range; all problems are reported together, each with its
//! key.

mod audiences;

mod keys;

mod listener;

mod token_paths;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use shared::secret::Secret;
use shared::server::listener::ListenerSettings;
use shared::server::passwords::gate::HashingGate;
use shared::server::settings::{
    Duration as DurationText, Key, Kind, Loaded, Schema, SettingsError, UnknownKeys,
};
use shared::server::telemetry::LogSettings;

use crate::domain::issue::REFUSED_LIFETIME;
use crate::domain::key_policy::KeyPolicy;
use crate::domain::master_secret::MasterSecret;
use crate::domain::refresh::RefreshLifetimes;
use crate::domain::token_issuer::IssuerSettings;

pub use audiences::DEFAULT_AUDIENCE;
use audiences::{RawAudience, audiences};
use keys::RawKeys;
use listener::{RawHttp, listener};
use token_paths::token_paths;

/// Longer lives would make a removed right outlive a working day's patience.
const MAX_LIFETIME: Duration = Duration::from_hours(1);

/// No duration here needs to be longer.
const TEN_YEARS: Duration = Duration::from_hours(10 * 365 * 24);

const fn scalar(path: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key::new(path, Kind::Scalar, default, doc)
}

/// Every key there is.
pub const KEYS: &[Key] = &[
    scalar("http.addr", "\":5001\"", "Address and port to listen on; without an address, on all of them."),
    scalar("http.tls.certificate", "", "PEM file with the certificate and its intermediates; turns TLS on."),
    scalar("http.tls.key", "", "PEM file with the private key of the certificate."),
    Key::new(
        "http.trustedproxies",
        Kind::List,
        "",
        "Addresses and networks of proxies whose X-Forwarded-For and Forwarded headers are believed.",
    ),
    scalar("http.draintimeout", "30s", "How long open requests may take after a request to stop."),
    scalar("http.stalltimeout", "60s", "How long a client may send or take nothing before it is cut off."),
    scalar("http.maxconnections", "2000", "Connections at a time; more wait."),
    scalar("log.level", "info", "Least severe level that is logged: error, warn, info or debug."),
    scalar("log.formatter", "text", "How log lines look: text or json."),
    Key::new(
        "database.url",
        Kind::Secret,
        "",
        "Address of the Postgres database, such as `postgres://user:password@host/name`.",
    ),
    scalar("database.maxconnections", "10", "Most connections to the database at once."),
    scalar("database.migrate", "true", "Whether `serve` and other commands bring the schema up to date."),
    scalar(
        "decisions.source",
        "snapshot",
        "Where rights are decided from: snapshot (memory, which follows the database) or database.",
    ),
    scalar(
        "decisions.maxage",
        "15m",
        "With the database away, rights are decided as they were for this long.",
    ),
    Key::new(
        "secret",
        Kind::Secret,
        "",
        "At least 32 random characters that protect the signing key and refresh tokens in the database.",
    ),
    scalar("token.issuer", "portcullis", "Text of the claim `iss`; registries must be told the same."),
    scalar("token.lifetime", "300s", "How long tokens live: 60s to 3600s."),
    Key::new("token.paths", Kind::List, "[/token, /auth, /auth/token]", "Paths of the token endpoint."),
    scalar(
        "audiences.*.verifier",
        "portcullis",
        "What the registry that calls itself NAME (its `service`) is: portcullis, distribution2 or distribution3.",
    ),
    scalar(
        "audiences.*.algorithm",
        "",
        "What its tokens are signed with: ES256, RS256 or EdDSA; without it, with the key for all registries.",
    ),
    scalar("audiences.*.lifetime", "", "How long its tokens live; without it, as `token.lifetime` says."),
    scalar(
        "keys.rotation",
        "",
        "After what time a new key signs, such as 720h; without it, only `key rotate` makes one. Registries that take \
         keys from a file must be given each new one.",
    ),
    scalar(
        "keys.verification",
        "48h",
        "How long a key is published after another one took its place; then it is retired.",
    ),
    scalar(
        "namespaces.personal",
        "false",
        "Whether a new user gets a namespace of the same name, to do everything in.",
    ),
    scalar("passwords.concurrency", "0", "Most password checks at once; 0 for half of the cores."),
    scalar("passwords.queue", "64", "Most password checks that wait; beyond them logins are answered 503."),
    scalar(
        "passwords.cache",
        "60s",
        "How long a password that was right is not checked again; 0 to check always.",
    ),
    scalar("refresh.idle", "720h", "A login that is kept ends when it was not used for this long."),
    scalar("refresh.lifetime", "2160h", "A login that is kept ends after this long in any case."),
    scalar(
        "audit.retention",
        "",
        "How long rows of the audit record, and counts of what tokens were issued for, are kept; without it, until \
         `audit prune`.",
    ),
    scalar(
        "shadow.dockerauth",
        "",
        "Settings of docker_auth whose answer to each request is compared with ours; differences are logged.",
    ),
];

/// The table with its rules.
pub const SCHEMA: Schema = Schema {
    env_prefix: "TOKEN_SERVER_",
    keys: &[KEYS],
    unknown: UnknownKeys::Refuse,
    variable_names: &[],
    synonyms: &[],
};

#[derive(Debug, Deserialize)]
struct Raw {
    http: RawHttp,
    log: RawLog,
    database: RawDatabase,
    decisions: RawDecisions,
    #[serde(default)]
    secret: Secret,
    token: RawToken,
    #[serde(default)]
    audiences: BTreeMap<String, RawAudience>,
    keys: RawKeys,
    namespaces: RawNamespaces,
    passwords: RawPasswords,
    refresh: RawRefresh,
    #[serde(default)]
    audit: RawAudit,
    #[serde(default)]
    shadow: RawShadow,
}

#[derive(Debug, Deserialize)]
struct RawLog {
    level: String,
    formatter: String,
}

#[derive(Debug, Deserialize)]
struct RawDatabase {
    #[serde(default)]
    url: Secret,
    maxconnections: u32,
    migrate: bool,
}

#[derive(Debug, Deserialize)]
struct RawDecisions {
    source: String,
    maxage: DurationText,
}

#[derive(Debug, Deserialize)]
struct RawToken {
    issuer: String,
    lifetime: DurationText,
    paths: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct RawNamespaces {
    personal: bool,
}

#[derive(Debug, Deserialize)]
struct RawPasswords {
    concurrency: usize,
    queue: usize,
    cache: DurationText,
}

#[derive(Debug, Default, Deserialize)]
struct RawAudit {
    retention: Option<DurationText>,
}

#[derive(Debug, Default, Deserialize)]
struct RawShadow {
    dockerauth: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct RawRefresh {
    idle: DurationText,
    lifetime: DurationText,
}

/// Where the database is and how it is used.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Its address.
    pub url: Secret,
    /// Most connections at once.
    pub max_connections: u32,
    /// Who brings the schema up to date.
    pub migrate: Migrate,
}

/// Who brings the schema up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrate {
    /// Whoever starts first.
    AtStart,
    /// Only the command `migrate`.
    ByCommand,
}

/// How rights are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionSettings {
    /// From where.
    pub source: DecisionSource,
    /// How old a snapshot may get with the database away.
    pub max_age: Duration,
}

/// Where the rows of a decision come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionSource {
    /// Memory.
    Snapshot,
    /// The database, each time.
    Database,
}

/// How passwords are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordSettings {
    /// Most checks at once.
    pub concurrency: usize,
    /// Most checks that wait.
    pub queue: usize,
    /// How long a password that was right is not checked again.
    pub cache: Duration,
}

/// Everything, checked.
#[derive(Clone, Debug)]
pub struct TokenServerSettings {
    /// Where and how to listen.
    pub listener: ListenerSettings,
    /// What to log.
    pub log: LogSettings,
    /// Where users and rights are.
    pub database: DatabaseSettings,
    /// How rights are decided.
    pub decisions: DecisionSettings,
    /// The root of derived keys.
    pub secret: MasterSecret,
    /// What tokens say.
    pub issuer: IssuerSettings,
    /// Which keys sign, and for how long.
    pub keys: KeyPolicy,
    /// Paths of the token endpoint, each once.
    pub token_paths: Vec<String>,
    /// Whether a new user gets a namespace.
    pub personal_namespaces: bool,
    /// How passwords are checked.
    pub passwords: PasswordSettings,
    /// How long refresh tokens are good for.
    pub refresh: RefreshLifetimes,
    /// How long records are kept, if not for ever.
    pub audit_retention: Option<Duration>,
    /// Settings of docker_auth to compare with.
    pub shadow: Option<PathBuf>,
}

/// Reads the file (if any) and the environment.
pub fn load(file: Option<&Path>, environment: Vec<(String, String)>) -> Result<Loaded, SettingsError> {
    SCHEMA.load(file, environment)
}

impl TokenServerSettings {
    /// Checks what was loaded.
    pub fn validate(loaded: &Loaded) -> Result<Self, SettingsError> {
        let raw: Raw = loaded.read()?;
        let mut problems = Problems::default();
        let listener = problems.take(listener(&raw.http));
        let log = problems.take(LogSettings::parse(&raw.log.level, &raw.log.formatter));
        if raw.database.url.is_empty() {
            problems.add("`database.url` is not set; it is the address of the Postgres database");
        }
        if raw.database.maxconnections == 0 {
            problems.add("`database.maxconnections` must be at least 1");
        }
        let secret = match MasterSecret::parse(&raw.secret) {
            Ok(secret) => Some(secret),
            Err(error) => {
                problems.add(format!("`secret`: {error}"));
                None
            }
        };
        let source = match raw.decisions.source.as_str() {
            "snapshot" => DecisionSource::Snapshot,
            "database" => DecisionSource::Database,
            other => {
                problems.add(format!("`decisions.source` is `{other}`; use snapshot or database"));
                DecisionSource::Database
            }
        };
        problems.range("decisions.maxage", raw.decisions.maxage, Duration::ZERO, TEN_YEARS);
        let audiences = problems.take(audiences(&raw.audiences));
        problems.add_all(raw.keys.problems());
        let token_paths = problems.take(token_paths(&raw.token.paths));
        if raw.token.issuer.is_empty() {
            problems.add("`token.issuer` must not be empty");
        }
        problems.range("token.lifetime", raw.token.lifetime, REFUSED_LIFETIME, MAX_LIFETIME);
        problems.range("passwords.cache", raw.passwords.cache, Duration::ZERO, MAX_LIFETIME);
        problems.range("refresh.idle", raw.refresh.idle, Duration::from_mins(1), TEN_YEARS);
        problems.range("refresh.lifetime", raw.refresh.lifetime, Duration::from_mins(1), TEN_YEARS);
        if let Some(retention) = raw.audit.retention {
            problems.range("audit.retention", retention, Duration::from_hours(1), TEN_YEARS);
        }
        let (Some(listener), Some(log), Some(secret), Some(audiences), Some(token_paths), true) =
            (listener, log, secret, audiences, token_paths, problems.0.is_empty())
        else {
            return Err(SettingsError::Problems(problems.0));
        };
        let keys = raw.keys.policy(&audiences);
        let migrate = if raw.database.migrate { Migrate::AtStart } else { Migrate::ByCommand };
        Ok(Self {
            listener,
            log,
            database: DatabaseSettings {
                url: raw.database.url,
                max_connections: raw.database.maxconnections,
                migrate,
            },
            decisions: DecisionSettings { source, max_age: raw.decisions.maxage.0 },
            secret,
            issuer: IssuerSettings { issuer: raw.token.issuer, lifetime: raw.token.lifetime.0, audiences },
            keys,
            token_paths,
            personal_namespaces: raw.namespaces.personal,
            passwords: PasswordSettings {
                concurrency: concurrency(raw.passwords.concurrency),
                queue: raw.passwords.queue.min(MAX_QUEUE),
                cache: raw.passwords.cache.0,
            },
            refresh: RefreshLifetimes { idle: raw.refresh.idle.0, absolute: raw.refresh.lifetime.0 },
            audit_retention: raw.audit.retention.map(|retention| retention.0),
            shadow: raw.shadow.dockerauth,
        })
    }
}

/// A longer queue would only hold logins that everybody has given up on.
const MAX_QUEUE: usize = 10_000;

fn concurrency(configured: usize) -> usize {
    match configured {
        0 => HashingGate::default_concurrency(),
        some => some.min(MAX_QUEUE),
    }
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, sentence: impl Into<String>) {
        self.0.push(sentence.into());
    }

    fn add_all(&mut self, sentences: Vec<String>) {
        self.0.extend(sentences);
    }

    fn take<T>(&mut self, outcome: Result<T, SettingsError>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(SettingsError::Problems(problems)) => {
                self.0.extend(problems);
                None
            }
            Err(other) => {
                self.add(other.to_string());
                None
            }
        }
    }

    fn range(&mut self, key: &str, value: DurationText, least: Duration, most: Duration) {
        if !(least..=most).contains(&value.0) {
            let (least, most) = (DurationText(least), DurationText(most));
            self.add(format!("`{key}` is {value}; it must be between {least} and {most}"));
        }
    }
}

#[cfg(test)]
mod tests;
