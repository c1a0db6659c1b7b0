//! The registry's settings: the distribution registry's keys and `REGISTRY_*` variables, and a few of our own.
//!
//! Each section of the file has a module here with its rows of the table, its raw and its validated type. Everything
//! is validated here; all problems are reported at once.
//!
//! *Invariant:* a key that guards something or decides where data goes either takes effect or stops the start.
//! Names and defaults are those of the distribution registry's image where it has the key.

mod absent;

mod auth;

mod findings;

mod go_duration;

mod health;

mod http;

mod limits;

mod log;

mod policy;

mod redis;

mod storage;

mod validation;

use std::path::Path;

use serde::Deserialize;
use shared::server::listener::Listener;
use shared::server::settings::{Key, Kind, Loaded, Schema, SettingsError, UnknownKeys};
use shared::server::sockets::Endpoint;
use shared::server::telemetry;

use crate::auth::htpasswd::Htpasswd;
use crate::auth::refresh::KeySource;
use crate::domain::manifests::rules::ManifestRules;
use findings::Findings;
use limits::LimitSettings;

pub(crate) use auth::AuthSettings;
pub(crate) use auth::token::{Realm, TokenSettings};
pub(crate) use health::{CheckSettings, Subject};
pub(crate) use http::{HttpSettings, LocationSettings};
pub(crate) use log::LogSettings;
pub(crate) use storage::{DriverSettings, StorageSettings};

/// Everything the registry can be told.
pub const SCHEMA: Schema = Schema {
    env_prefix: "REGISTRY_",
    keys: &[
        &[Key::new("version", Kind::Scalar, "0.1", "Version of the settings format.").file_only()],
        log::KEYS,
        storage::KEYS,
        &storage::object_stores::S3_KEYS,
        &storage::object_stores::GCS_KEYS,
        &storage::object_stores::AZURE_KEYS,
        storage::maintenance::KEYS,
        http::KEYS,
        http::tls::KEYS,
        http::debug::KEYS,
        auth::KEYS,
        auth::token::KEYS,
        auth::revocations::KEYS,
        auth::htpasswd::KEYS,
        limits::KEYS,
        health::KEYS,
        validation::KEYS,
        policy::KEYS,
        redis::KEYS,
        absent::KEYS,
    ],
    unknown: UnknownKeys::Warn,
    variable_names: &[
        ("notifications.events", "eventconfig"),
        ("health.file", "filecheckers"),
        ("health.http", "httpcheckers"),
        ("health.tcp", "tcpcheckers"),
        ("log.hooks[].options", "mailoptions"),
        ("compatibility.schema1.signingkeyfile", "trustkey"),
    ],
    synonyms: &[("storage.s3aws", "storage.s3")],
};

/// The table of the manual: every key with what becomes of it.
pub fn manual() -> String {
    format!("| key | variable | default | meaning | state |\n|---|---|---|---|---|\n{}", SCHEMA.markdown())
}

/// Validated settings.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    pub(crate) log: LogSettings,
    pub(crate) storage: StorageSettings,
    pub(crate) http: HttpSettings,
    pub(crate) auth: AuthSettings,
    pub(crate) limits: LimitSettings,
    /// What takes the registry out of service while it fails.
    pub(crate) health: Vec<CheckSettings>,
    pub(crate) manifests: ManifestRules,
}

#[derive(Deserialize)]
struct Raw {
    version: String,
    #[serde(default)]
    loglevel: Option<String>,
    log: log::RawLog,
    storage: storage::RawStorage,
    http: http::RawHttp,
    #[serde(default)]
    auth: auth::RawAuth,
    catalog: limits::RawCatalog,
    tags: limits::RawTags,
    health: health::RawHealth,
    validation: validation::RawValidation,
    #[serde(default)]
    policy: policy::RawPolicy,
}

/// Settings as they were found, whether or not a registry can start with them.
#[derive(Debug)]
pub struct Examined {
    /// Every value with where it came from.
    pub loaded: Loaded,
    /// Sentences to log at start.
    pub warnings: Vec<String>,
    /// What to start with, or everything that has to be mended first.
    pub outcome: Result<RegistrySettings, SettingsError>,
}

/// Loads and validates settings.
pub fn examine(file: Option<&Path>, environment: Vec<(String, String)>) -> Result<Examined, SettingsError> {
    let loaded = SCHEMA.gather(file, environment)?;
    let mut findings =
        Findings { warnings: loaded.warnings().to_vec(), problems: loaded.problems().to_vec() };
    let settings = RegistrySettings::parse(&loaded, &mut findings);
    let outcome = match settings {
        Some(settings) if findings.problems.is_empty() => Ok(settings),
        _ => Err(SettingsError::Problems(findings.problems)),
    };
    Ok(Examined { loaded, warnings: findings.warnings, outcome })
}

/// Loads and validates settings that are to be started with. The second value holds sentences to log.
pub fn load(
    file: Option<&Path>,
    environment: Vec<(String, String)>,
) -> Result<(RegistrySettings, Vec<String>), SettingsError> {
    let examined = examine(file, environment)?;
    Ok((examined.outcome?, examined.warnings))
}

impl RegistrySettings {
    /// Every section is looked at, so that all problems are found; nothing comes back if one of them is unusable.
    fn parse(loaded: &Loaded, findings: &mut Findings) -> Option<Self> {
        let raw: Raw = findings.take(loaded.read())?;
        if raw.version != "0.1" {
            findings.refuse(format!("`version` is `{}`; this registry reads version 0.1", raw.version));
        }
        let log = raw.log.parse(raw.loglevel, loaded, findings);
        let storage = raw.storage.parse(loaded, findings);
        let http = raw.http.parse(findings);
        let auth = raw.auth.parse(storage.driver.folder(), loaded, findings);
        if let (Some(http), Some(AuthSettings::Token(token))) = (&http, &auth)
            && let Realm::SameOrigin { path } = &token.realm
            && http.locations.hold(path)
        {
            findings.refuse(format!(
                "`auth.token.autoredirectpath` is `{path}`, where `http.prefix` puts the protocol; choose another path"
            ));
        }
        let limits = LimitSettings::parse(&raw.catalog, &raw.tags, findings);
        let health = raw.health.parse(findings);
        let (urls, children) = raw.validation.parse(loaded, findings);
        let manifests = ManifestRules { urls, children, classes: raw.policy.parse(findings) };
        Some(Self { log: log?, storage, http: http?, auth: auth?, limits, health, manifests })
    }

    /// Looks at what the settings point to: certificate, address, keys on disk.
    pub fn check(&self) -> anyhow::Result<()> {
        Listener::check(&self.http.listener)?;
        match &self.auth {
            AuthSettings::Open => {}
            AuthSettings::Token(token) => token.keys.iter().try_for_each(KeySource::check)?,
            AuthSettings::Htpasswd(htpasswd) => Htpasswd::check_file(&htpasswd.path)?,
        }
        Ok(())
    }

    /// Takes the socket that the parent process has opened instead of opening one.
    pub fn listen_on_inherited_socket(&mut self) {
        self.http.listener.endpoint = Endpoint::Inherited;
    }

    /// How to log.
    pub fn log(&self) -> telemetry::LogSettings {
        self.log.application.clone()
    }

    /// Whether there is an access log.
    pub fn has_access_log(&self) -> bool {
        self.log.access
    }
}

#[cfg(test)]
mod peer_tests;

#[cfg(test)]
mod tests;
