//! `auth.token`: bearer tokens, who issues them and where clients get them.
//!
//! *Invariant:* settings that name no issuer, no service or no keys do not start.

use std::path::{Path, PathBuf};

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use shared::server::settings::{Key, Kind};
use url::Url;

use super::revocations::RawRevocations;
use crate::auth::refresh::KeySource;
use crate::auth::revocations::follower::FeedSettings;
use crate::auth::verifier::{Expectations, Profile};
use crate::settings::findings::Findings;
use shared::server::signed_token::keys::parse_algorithm;

pub(in crate::settings) const KEYS: &[Key] = &[
    Key::new("auth.token.realm", Kind::Scalar, "", "URL of the token endpoint, told to clients."),
    Key::new("auth.token.service", Kind::Scalar, "", "Name of this registry; tokens must be issued for it."),
    Key::new("auth.token.issuer", Kind::Scalar, "", "Who must have issued a token."),
    Key::new(
        "auth.token.rootcertbundle",
        Kind::Scalar,
        "",
        "PEM file: certificates whose keys, and whose holders, may sign tokens.",
    ),
    Key::new("auth.token.jwks", Kind::Scalar, "", "Public keys of the issuer: a file, or an http(s) URL."),
    Key::new(
        "auth.token.jwkscache",
        Kind::Scalar,
        "",
        "Where keys from a URL are remembered; if not set, beside the images, and nowhere if those are in memory.",
    ),
    Key::new(
        "auth.token.signingalgorithms",
        Kind::List,
        "[ES256, ES384, EdDSA, RS256, RS384, RS512, PS256, PS384, PS512]",
        "Accepted signature algorithms; all of these if the list is empty.",
    ),
    Key::new(
        "auth.token.profile",
        Kind::Scalar,
        "standard",
        "strict for our own token server, whose refusals are then explained; standard for any other.",
    ),
    Key::new(
        "auth.token.autoredirect",
        Kind::Scalar,
        "false",
        "Whether clients are sent to the token endpoint on the address they used for the registry.",
    ),
    Key::new("auth.token.autoredirectpath", Kind::Scalar, "/auth/token", "Path of the token endpoint there."),
    Key::new(
        "auth.token.forward",
        Kind::Scalar,
        "",
        "Token endpoint to forward that path to, so that clients need one address only.",
    ),
];

/// What this registry can check.
const ALGORITHMS: [&str; 9] =
    ["ES256", "ES384", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawToken {
    realm: String,
    service: String,
    issuer: String,
    rootcertbundle: PathBuf,
    jwks: String,
    jwkscache: Option<PathBuf>,
    signingalgorithms: Vec<String>,
    autoredirect: bool,
    autoredirectpath: String,
    profile: String,
    forward: String,
    revocations: RawRevocations,
}

/// Bearer tokens.
#[derive(Clone, Debug)]
pub(crate) struct TokenSettings {
    pub(crate) realm: Realm,
    pub(crate) expectations: Expectations,
    /// At least one.
    pub(crate) keys: Vec<KeySource>,
    /// The token endpoint that requests to the realm's path are forwarded to.
    pub(crate) forward: Option<Url>,
    /// Where it is told which tokens were taken back.
    pub(crate) revocations: Option<FeedSettings>,
}

/// Where clients get a token.
#[derive(Clone, Debug)]
pub(crate) enum Realm {
    /// Always at this URL.
    Fixed(String),
    /// On the address the client itself used, at this path.
    SameOrigin { path: String },
}

impl RawToken {
    pub(super) fn parse(self, images: Option<&Path>, findings: &mut Findings) -> Option<TokenSettings> {
        let before = findings.problems.len();
        for (name, value) in [("service", &self.service), ("issuer", &self.issuer)] {
            if value.is_empty() {
                findings.refuse(format!("`auth.token.{name}` is missing"));
            }
        }
        let keys = self.keys(images, findings);
        let realm = if self.autoredirect {
            let path = self.autoredirectpath;
            if !is_path_of_its_own(&path) {
                findings
                    .refuse("`auth.token.autoredirectpath` must be a path outside /v2, such as /auth/token");
            }
            Realm::SameOrigin { path }
        } else {
            if optional_url("auth.token.realm", &self.realm, findings).is_none() {
                findings.refuse("`auth.token.realm` must be the absolute URL of the token endpoint");
            }
            Realm::Fixed(self.realm)
        };
        let forward = optional_url("auth.token.forward", &self.forward, findings);
        if forward.is_some() && !self.autoredirect {
            findings.refuse("`auth.token.forward` needs `auth.token.autoredirect: true`");
        }
        let profile = match self.profile.as_str() {
            "strict" => Some(Profile::Strict),
            "standard" => Some(Profile::Standard),
            other => {
                findings.refuse(format!("`auth.token.profile` is `{other}`; use strict or standard"));
                None
            }
        };
        let revocations = self.revocations.parse(profile, findings);
        let algorithms = algorithms(&self.signingalgorithms, findings);
        if findings.problems.len() > before {
            return None;
        }
        Some(TokenSettings {
            realm,
            expectations: Expectations {
                issuer: self.issuer,
                service: self.service,
                algorithms,
                profile: profile?,
            },
            keys,
            forward,
            revocations,
        })
    }
}

impl RawToken {
    fn keys(&self, images: Option<&Path>, findings: &mut Findings) -> Vec<KeySource> {
        let mut keys = Vec::new();
        if !self.rootcertbundle.as_os_str().is_empty() {
            keys.push(KeySource::Certificates(self.rootcertbundle.clone()));
        }
        if self.jwks.starts_with("http://") || self.jwks.starts_with("https://") {
            let beside_images = || Some(images?.join("portcullis").join("trusted-keys.json"));
            let cache = self.jwkscache.clone().or_else(beside_images);
            let url = optional_url("auth.token.jwks", &self.jwks, findings);
            keys.extend(url.map(|url| KeySource::Url { url, issuer: self.issuer.clone(), cache }));
        } else if !self.jwks.is_empty() {
            keys.push(KeySource::File(PathBuf::from(&self.jwks)));
        } else if keys.is_empty() {
            findings.refuse(
                "`auth.token.jwks` or `auth.token.rootcertbundle` is missing: they say whose tokens count",
            );
        }
        keys
    }
}

/// Whether requests to this path can mean nothing but the token endpoint.
fn is_path_of_its_own(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let first = path.trim_matches('/').split('/').next().unwrap_or_default();
    path.starts_with('/') && path.bytes().all(is_plain) && !["", "v2", "healthz", "readyz"].contains(&first)
}

pub(super) fn optional_url(name: &str, text: &str, findings: &mut Findings) -> Option<Url> {
    if text.is_empty() {
        return None;
    }
    match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            findings
                .refuse(format!("`{name}` holds a user name or a password, which would be shown in logs"));
            None
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") => Some(url),
        _ => {
            findings.refuse(format!("`{name}` is not an http or https URL"));
            None
        }
    }
}

/// An empty list means every algorithm there is, as with the distribution registry.
fn algorithms(words: &[String], findings: &mut Findings) -> Vec<Algorithm> {
    if words.is_empty() {
        return ALGORITHMS.iter().filter_map(|word| parse_algorithm(word)).collect();
    }
    let mut algorithms = Vec::new();
    for word in words {
        let reason = match (parse_algorithm(word), word.as_str()) {
            (Some(algorithm), _) => {
                algorithms.push(algorithm);
                continue;
            }
            (None, "HS256" | "HS384" | "HS512") => {
                "with a shared secret whoever can check a token can also make one, so this registry does not accept it"
            }
            (None, "ES512") => {
                "this registry has no arithmetic for its curve, P-521; sign with ES256 or ES384"
            }
            (None, _) => "there is no such algorithm",
        };
        findings.refuse(format!(
            "`auth.token.signingalgorithms` lists {word}: {reason}; the accepted ones are {}",
            ALGORITHMS.join(", ")
        ));
    }
    algorithms
}
