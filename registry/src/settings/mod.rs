//! The registry's settings: the distribution registry's keys and `REGISTRY_*` variables, and a few of our own.
//!
//! [`keys`] is the table, `foreign` says what becomes of keys whose feature this version does not have. Everything
//! is validated here; all problems are reported at once.
//!
//! *Invariant:* a key that guards something or decides where data goes either takes effect or stops the start.

mod foreign;

pub mod keys;

use std::path::{Path, PathBuf};

use actix_web::http::header::{HeaderName, HeaderValue};
use anyhow::Context as _;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use shared::secret::Secret;
use shared::server::client_address::TrustedProxies;
use shared::server::listener::{Listener, ListenerSettings};
use shared::server::settings::{Duration, Loaded, SettingsError};
use shared::server::telemetry::LogSettings;
use shared::server::tls::TlsFiles;
use std::collections::BTreeMap;
use url::Url;

use crate::auth::refresh::KeySource;
use crate::auth::trusted_keys::parse_algorithm;
use crate::auth::verifier::{Expectations, Profile};

/// Validated settings.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    pub(crate) listener: ListenerSettings,
    pub(crate) log: LogSettings,
    pub(crate) storage_root: PathBuf,
    pub(crate) storage_threads: usize,
    pub(crate) delete_enabled: bool,
    /// Key of the `_state` parameter; random for this process when empty.
    pub(crate) secret: Secret,
    pub(crate) locations: LocationSettings,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) auth: AuthSettings,
    pub(crate) catalog_max_entries: usize,
    pub(crate) tags_max_entries: usize,
}

/// How the URLs in answers are made.
#[derive(Clone, Debug)]
pub(crate) struct LocationSettings {
    /// Public base URL without the trailing slash; wins over everything else.
    pub(crate) host: Option<String>,
    pub(crate) relative: bool,
}

/// Who may do what.
#[derive(Clone, Debug)]
pub(crate) enum AuthSettings {
    /// Everyone may do everything.
    Open,
    /// Whoever brings a token that allows it.
    Token(Box<TokenSettings>),
}

/// Bearer tokens.
#[derive(Clone, Debug)]
pub(crate) struct TokenSettings {
    pub(crate) realm: Realm,
    pub(crate) expectations: Expectations,
    pub(crate) keys: KeySource,
    /// The token endpoint that requests to the realm's path are forwarded to.
    pub(crate) forward: Option<Url>,
}

/// Where clients get a token.
#[derive(Clone, Debug)]
pub(crate) enum Realm {
    /// Always at this URL.
    Fixed(String),
    /// On the address the client itself used, at this path.
    SameOrigin { path: String },
}

#[derive(Deserialize)]
struct Raw {
    version: String,
    #[serde(default)]
    loglevel: Option<String>,
    log: RawLog,
    storage: RawStorage,
    http: RawHttp,
    #[serde(default)]
    auth: RawAuth,
    catalog: RawCatalog,
    tags: RawTags,
}

#[derive(Deserialize)]
struct RawLog {
    level: String,
    formatter: String,
}

#[derive(Deserialize)]
struct RawStorage {
    filesystem: RawFilesystem,
    delete: RawDelete,
}

#[derive(Deserialize)]
struct RawFilesystem {
    rootdirectory: PathBuf,
    maxthreads: usize,
}

#[derive(Deserialize)]
struct RawDelete {
    enabled: bool,
}

#[derive(Deserialize)]
struct RawHttp {
    addr: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    secret: Secret,
    relativeurls: bool,
    draintimeout: Duration,
    stalltimeout: Duration,
    #[serde(default)]
    headers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    tls: RawTls,
    #[serde(default)]
    trustedproxies: Vec<String>,
    maxconnections: usize,
}

#[derive(Default, Deserialize)]
struct RawTls {
    #[serde(default)]
    certificate: PathBuf,
    #[serde(default)]
    key: PathBuf,
}

#[derive(Default, Deserialize)]
struct RawAuth {
    token: Option<RawToken>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawToken {
    realm: String,
    service: String,
    issuer: String,
    jwks: String,
    jwkscache: Option<PathBuf>,
    signingalgorithms: Vec<String>,
    autoredirect: bool,
    autoredirectpath: String,
    profile: String,
    forward: String,
}

#[derive(Deserialize)]
struct RawCatalog {
    maxentries: i64,
}

#[derive(Deserialize)]
struct RawTags {
    maxtags: i64,
}

/// Loads and validates settings. The second value holds sentences to log at start.
pub fn load(
    file: Option<&Path>,
    environment: Vec<(String, String)>,
) -> Result<(RegistrySettings, Loaded, Vec<String>), SettingsError> {
    let loaded = keys::SCHEMA.load(file, environment)?;
    let (settings, warnings) = RegistrySettings::from_loaded(&loaded)?;
    Ok((settings, loaded, warnings))
}

impl RegistrySettings {
    /// Validates what was loaded.
    fn from_loaded(loaded: &Loaded) -> Result<(Self, Vec<String>), SettingsError> {
        let mut warnings = loaded.warnings().to_vec();
        let mut problems = Vec::new();
        foreign::check(loaded, &mut warnings, &mut problems);
        let raw: Raw = match loaded.read() {
            Ok(raw) => raw,
            Err(error) => {
                problems.push(error.to_string());
                return Err(SettingsError::Problems(problems));
            }
        };
        if raw.version != "0.1" {
            problems.push(format!("`version` is `{}`; this registry reads version 0.1", raw.version));
        }
        let level = raw.loglevel.filter(|_| !loaded.is_given("log.level")).unwrap_or(raw.log.level);
        let log = take(LogSettings::parse(&level, &raw.log.formatter), &mut problems);
        let trusted_proxies = take(TrustedProxies::parse(&raw.http.trustedproxies), &mut problems);
        let tls = tls_files(&raw.http.tls, &mut problems);
        let headers = headers(&raw.http.headers, &mut problems);
        let host = host(&raw.http.host, &mut problems);
        let chosen: Vec<&str> = loaded.given_below("auth").into_iter().collect();
        let auth = match (loaded.is_mentioned("auth"), chosen.as_slice(), raw.auth.token) {
            (false, ..) => {
                warnings.push(
                    "there is no `auth` section: everybody who reaches this registry may pull, push and delete".into(),
                );
                Some(AuthSettings::Open)
            }
            (true, ["token"], Some(token)) => {
                let root = &raw.storage.filesystem.rootdirectory;
                token_settings(token, root, &mut problems).map(|token| AuthSettings::Token(Box::new(token)))
            }
            (true, ["none"], _) => Some(AuthSettings::Open),
            (true, [], _) if loaded.is_mentioned("auth.none") => Some(AuthSettings::Open),
            // Whoever writes the section wants something guarded, so nothing is guessed.
            _ => {
                problems.push("`auth` must be exactly one of `token`, with its settings, and `none`".into());
                None
            }
        };
        let (Some(log), Some(trusted_proxies), Some(auth), true) =
            (log, trusted_proxies, auth, problems.is_empty())
        else {
            return Err(SettingsError::Problems(problems));
        };
        let settings = Self {
            listener: ListenerSettings {
                address: raw.http.addr,
                tls,
                trusted_proxies,
                drain_timeout: raw.http.draintimeout.0,
                stall_timeout: raw.http.stalltimeout.0,
                max_connections: raw.http.maxconnections,
            },
            log,
            storage_root: raw.storage.filesystem.rootdirectory,
            storage_threads: raw.storage.filesystem.maxthreads,
            delete_enabled: raw.storage.delete.enabled,
            secret: raw.http.secret,
            locations: LocationSettings { host, relative: raw.http.relativeurls },
            headers,
            auth,
            catalog_max_entries: limit(raw.catalog.maxentries),
            tags_max_entries: limit(raw.tags.maxtags),
        };
        Ok((settings, warnings))
    }

    /// Looks at what the settings point to: certificate, address, keys on disk.
    pub fn check(&self) -> anyhow::Result<()> {
        Listener::check(&self.listener)?;
        if let AuthSettings::Token(token) = &self.auth
            && let KeySource::File(path) = &token.keys
        {
            std::fs::metadata(path)
                .with_context(|| format!("`auth.token.jwks`: cannot read {}", path.display()))?;
        }
        Ok(())
    }

    /// How to log.
    pub fn log(&self) -> LogSettings {
        self.log
    }
}

/// Zero and less mean the default of 1000, as with the peer.
fn limit(entries: i64) -> usize {
    usize::try_from(entries).ok().filter(|entries| *entries > 0).unwrap_or(1000)
}

fn take<T>(outcome: Result<T, SettingsError>, problems: &mut Vec<String>) -> Option<T> {
    outcome.map_err(|error| problems.push(error.to_string())).ok()
}

fn tls_files(raw: &RawTls, problems: &mut Vec<String>) -> Option<TlsFiles> {
    match (raw.certificate.as_os_str().is_empty(), raw.key.as_os_str().is_empty()) {
        (true, true) => None,
        (false, false) => Some(TlsFiles { certificate: raw.certificate.clone(), key: raw.key.clone() }),
        _ => {
            problems
                .push("`http.tls.certificate` and `http.tls.key` go together; one of them is missing".into());
            None
        }
    }
}

fn headers(
    raw: &BTreeMap<String, Vec<String>>,
    problems: &mut Vec<String>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, values) in raw {
        for value in values {
            match (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
                (Ok(name), Ok(value)) => headers.push((name, value)),
                _ => problems.push(format!("`http.headers.{name}` is not a header that can be sent")),
            }
        }
    }
    headers
}

fn host(raw: &str, problems: &mut Vec<String>) -> Option<String> {
    if raw.is_empty() {
        return None;
    }
    match Url::parse(raw) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Some(raw.trim_end_matches('/').to_owned())
        }
        _ => {
            problems.push(format!(
                "`http.host` is `{raw}`; write the public URL, such as https://registry.example"
            ));
            None
        }
    }
}

fn token_settings(raw: RawToken, root: &Path, problems: &mut Vec<String>) -> Option<TokenSettings> {
    let before = problems.len();
    for (name, value) in [("service", &raw.service), ("issuer", &raw.issuer), ("jwks", &raw.jwks)] {
        if value.is_empty() {
            problems.push(format!("`auth.token.{name}` is missing"));
        }
    }
    let realm = if raw.autoredirect {
        let path = raw.autoredirectpath;
        if !path.starts_with('/') || path.starts_with("/v2") {
            problems
                .push("`auth.token.autoredirectpath` must be a path outside /v2, such as /auth/token".into());
        }
        Realm::SameOrigin { path }
    } else {
        if Url::parse(&raw.realm).is_err() {
            problems.push("`auth.token.realm` must be the absolute URL of the token endpoint".into());
        }
        Realm::Fixed(raw.realm)
    };
    let forward = optional_url("auth.token.forward", &raw.forward, problems);
    if forward.is_some() && !raw.autoredirect {
        problems.push("`auth.token.forward` needs `auth.token.autoredirect: true`".into());
    }
    let keys = if raw.jwks.starts_with("http://") || raw.jwks.starts_with("https://") {
        let cache = raw.jwkscache.unwrap_or_else(|| root.join("portcullis").join("trusted-keys.json"));
        optional_url("auth.token.jwks", &raw.jwks, problems).map(|url| KeySource::Url {
            url,
            issuer: raw.issuer.clone(),
            cache,
        })
    } else {
        Some(KeySource::File(PathBuf::from(&raw.jwks)))
    };
    let profile = match raw.profile.as_str() {
        "strict" => Some(Profile::Strict),
        "standard" => Some(Profile::Standard),
        other => {
            problems.push(format!("`auth.token.profile` is `{other}`; use strict or standard"));
            None
        }
    };
    let algorithms = algorithms(&raw.signingalgorithms, problems);
    if problems.len() > before {
        return None;
    }
    Some(TokenSettings {
        realm,
        expectations: Expectations {
            issuer: raw.issuer,
            service: raw.service,
            algorithms,
            profile: profile?,
        },
        keys: keys?,
        forward,
    })
}

fn optional_url(name: &str, text: &str, problems: &mut Vec<String>) -> Option<Url> {
    if text.is_empty() {
        return None;
    }
    match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            problems.push(format!("`{name}` holds a user name or a password, which would be shown in logs"));
            None
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") => Some(url),
        _ => {
            problems.push(format!("`{name}` is not an http or https URL"));
            None
        }
    }
}

fn algorithms(words: &[String], problems: &mut Vec<String>) -> Vec<Algorithm> {
    let mut algorithms = Vec::new();
    for word in words {
        match parse_algorithm(word) {
            Some(algorithm) => algorithms.push(algorithm),
            None if word.starts_with("HS") => problems.push(format!(
                "`auth.token.signingalgorithms` lists {word}: with a shared secret whoever can check a token can also \
                 make one, so this registry does not accept it"
            )),
            None => problems.push(format!("`auth.token.signingalgorithms` lists {word}, which is not supported")),
        }
    }
    algorithms
}

#[cfg(test)]
mod tests;
