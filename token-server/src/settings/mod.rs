//! What an operator can tell the token server.
//!
//! [`table`] has every key; everything else about settings (the example file, `check-config`, the table in the README)
//! comes from it.
//!
//! *Invariant:* a [`TokenServerSettings`] is complete and in range; all problems are reported together, each with its
//! key.

mod audiences;

mod directory;

mod listener;

mod signing_keys;

mod signon;

pub mod table;

mod token_paths;

mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use shared::secret::Secret;
use shared::server::listener::ListenerSettings;
use shared::server::passwords::gate::HashingGate;
use shared::server::settings::{Duration as DurationText, Loaded, SettingsError};
use shared::server::telemetry::LogSettings;

use crate::domain::issue::REFUSED_LIFETIME;
use crate::domain::keys::key_policy::KeyPolicy;
use crate::domain::keys::master_secret::MasterSecret;
use crate::domain::login::credential::CredentialPolicy;
use crate::domain::login::refresh::RefreshSettings;
use crate::domain::revocation_feed::MIN_SECRET_BYTES;
use crate::domain::signon::provider::SignOnSettings;
use crate::domain::token_issuer::IssuerSettings;
use crate::domain::trust::workloads::TrustSettings;

pub use audiences::DEFAULT_AUDIENCE;
use audiences::{RawAudience, audiences};
use listener::{RawHttp, listener};
use signing_keys::RawKeys;
use signon::{RawSignOn, sign_on};
use table::SCHEMA;
use token_paths::token_paths;
use trust::{RawTrust, trust};

/// Longer lives would make a removed right outlive a working day's patience.
const MAX_LIFETIME: Duration = Duration::from_hours(1);

/// No duration here needs to be longer.
const TEN_YEARS: Duration = Duration::from_hours(10 * 365 * 24);

#[derive(Debug, Deserialize)]
struct Raw {
    http: RawHttp,
    log: RawLog,
    database: RawDatabase,
    decisions: RawDecisions,
    #[serde(default)]
    secret: Secret,
    #[serde(default)]
    revocations: RawRevocations,
    token: RawToken,
    #[serde(default)]
    audiences: BTreeMap<String, RawAudience>,
    keys: RawKeys,
    namespaces: RawNamespaces,
    passwords: RawPasswords,
    trust: RawTrust,
    signon: RawSignOn,
    refresh: RawRefresh,
    personaltokens: RawCredentials,
    robots: RawCredentials,
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

#[derive(Debug, Default, Deserialize)]
struct RawRevocations {
    #[serde(default)]
    secret: Secret,
}

#[derive(Debug, Deserialize)]
struct RawToken {
    issuer: String,
    lifetime: DurationText,
    paths: Vec<String>,
    requestsperminute: u32,
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
    spool: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
struct RawShadow {
    dockerauth: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct RawRefresh {
    idle: DurationText,
    lifetime: DurationText,
    #[serde(default)]
    rotatingclients: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct RawCredentials {
    maxlifetime: DurationText,
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
    /// What registries bring that ask which tokens were taken back, if any are told.
    pub registries: Option<Secret>,
    /// What tokens say.
    pub issuer: IssuerSettings,
    /// Which keys sign, and for how long.
    pub keys: KeyPolicy,
    /// Paths of the token endpoint, each once.
    pub token_paths: Vec<String>,
    /// Most tokens that somebody may ask for in a minute; none for no limit.
    pub requests_per_minute: u32,
    /// Whether a new user gets a namespace.
    pub personal_namespaces: bool,
    /// How passwords are checked.
    pub passwords: PasswordSettings,
    /// How workloads log in.
    pub trust: TrustSettings,
    /// How people sign in at pages and elsewhere.
    pub sign_on: SignOnSettings,
    /// How logins are kept.
    pub refresh: RefreshSettings,
    /// How long other credentials are good for.
    pub credentials: CredentialPolicy,
    /// How long records are kept, if not for ever.
    pub audit_retention: Option<Duration>,
    /// Where records wait for the database.
    pub audit_spool: Option<PathBuf>,
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
        let secret = MasterSecret::parse(&raw.secret);
        let secret = secret.map_err(|error| problems.add(format!("`secret`: {error}"))).ok();
        let source = decision_source(&raw.decisions.source, &mut problems);
        let registries = Some(raw.revocations.secret).filter(|secret| !secret.is_empty());
        if registries.as_ref().is_some_and(|secret| secret.expose().len() < MIN_SECRET_BYTES) {
            problems.add(format!("`revocations.secret` must have at least {MIN_SECRET_BYTES} characters"));
        }
        if registries.is_some() && source == DecisionSource::Database {
            problems.add("`revocations.secret` needs `decisions.source` to be snapshot");
        }
        problems.range("decisions.maxage", raw.decisions.maxage, Duration::ZERO, TEN_YEARS);
        let audiences = problems.take(audiences(&raw.audiences));
        problems.add_all(raw.keys.problems());
        let token_paths = problems.take(token_paths(&raw.token.paths));
        let trust = problems.take(trust(&raw.trust));
        let sign_on = problems.take(sign_on(&raw.signon));
        if raw.token.issuer.is_empty() {
            problems.add("`token.issuer` must not be empty");
        }
        problems.range("token.lifetime", raw.token.lifetime, REFUSED_LIFETIME, MAX_LIFETIME);
        problems.range("passwords.cache", raw.passwords.cache, Duration::ZERO, MAX_LIFETIME);
        problems.range("refresh.idle", raw.refresh.idle, Duration::from_mins(1), TEN_YEARS);
        problems.range("refresh.lifetime", raw.refresh.lifetime, Duration::from_mins(1), TEN_YEARS);
        for (key, longest) in [
            ("personaltokens.maxlifetime", raw.personaltokens.maxlifetime),
            ("robots.maxlifetime", raw.robots.maxlifetime),
        ] {
            if unless_zero(longest).is_some() {
                problems.range(key, longest, Duration::from_mins(1), TEN_YEARS);
            }
        }
        if let Some(retention) = raw.audit.retention {
            problems.range("audit.retention", retention, Duration::from_hours(1), TEN_YEARS);
        }
        let (Some(listener), Some(log), Some(secret), Some(audiences), Some(token_paths)) =
            (listener, log, secret, audiences, token_paths)
        else {
            return Err(SettingsError::Problems(problems.0));
        };
        let (Some(trust), Some(sign_on), true) = (trust, sign_on, problems.0.is_empty()) else {
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
            registries,
            issuer: IssuerSettings { issuer: raw.token.issuer, lifetime: raw.token.lifetime.0, audiences },
            keys,
            token_paths,
            requests_per_minute: raw.token.requestsperminute,
            personal_namespaces: raw.namespaces.personal,
            passwords: PasswordSettings {
                concurrency: concurrency(raw.passwords.concurrency),
                queue: raw.passwords.queue.min(MAX_QUEUE),
                cache: raw.passwords.cache.0,
            },
            trust,
            sign_on,
            refresh: RefreshSettings {
                idle: raw.refresh.idle.0,
                absolute: raw.refresh.lifetime.0,
                rotating_clients: raw.refresh.rotatingclients,
            },
            credentials: CredentialPolicy {
                personal: unless_zero(raw.personaltokens.maxlifetime),
                robots: unless_zero(raw.robots.maxlifetime),
            },
            audit_retention: raw.audit.retention.map(|retention| retention.0),
            audit_spool: raw.audit.spool,
            shadow: raw.shadow.dockerauth,
        })
    }
}

fn decision_source(word: &str, problems: &mut Problems) -> DecisionSource {
    match word {
        "snapshot" => DecisionSource::Snapshot,
        "database" => DecisionSource::Database,
        other => {
            problems.add(format!("`decisions.source` is `{other}`; use snapshot or database"));
            DecisionSource::Database
        }
    }
}

fn unless_zero(duration: DurationText) -> Option<Duration> {
    (!duration.0.is_zero()).then_some(duration.0)
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
