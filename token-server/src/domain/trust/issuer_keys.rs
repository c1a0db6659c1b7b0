//! The public keys of issuers: those that they publish, or those that somebody wrote down.
//!
//! *Invariant:* an issuer is asked by one request at a time and at most once in [`UNKNOWN_KEY_INTERVAL`] because of keys
//! that it has not published, whatever tokens say; while it does not answer, the keys that it had last count.
//!
//! Spec: OpenID Connect Discovery 1.0 §4.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use serde::Deserialize;
use shared::key_set::KeySet;
use shared::server::outgoing::{Forbidden, Reach};
use shared::server::signed_token::keys::{Algorithm, VerificationKey};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::db::trust::TrustIssuerRow;

/// How often an issuer is asked again.
const INTERVAL: Duration = Duration::from_mins(5);

/// At most one request on behalf of unknown keys in this time.
pub const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(10);

/// Keys of an issuer that does not answer count for so long.
const STALE_FOR: Duration = Duration::from_hours(24);

const TIMEOUT: Duration = Duration::from_secs(5);

/// A larger document is no set of keys.
const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// So many issuers are remembered.
const MAX_ISSUERS: u64 = 1_000;

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Why there are no keys of an issuer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoKeys {
    /// The address is not to be asked.
    #[error("{url} cannot be asked: {why}")]
    Forbidden {
        /// Which address.
        url: String,
        /// Why.
        why: Forbidden,
    },
    /// No answer, or one that is none.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// Which address.
        url: String,
        /// Why.
        why: String,
    },
    /// An answer that is something else.
    #[error("{url} does not answer with {what}")]
    Nonsense {
        /// Which address.
        url: String,
        /// What was wanted.
        what: &'static str,
    },
}

/// Keys with their names.
type Named = Vec<(Option<String>, VerificationKey)>;

#[derive(Default)]
struct Known {
    keys: Arc<Named>,
    fetched: Option<Instant>,
    /// When it was last asked, whether it answered or not.
    asked: Option<Instant>,
    /// Why it did not, if it never has.
    failure: Option<NoKeys>,
}

/// Fetches keys and keeps them for a while.
pub struct IssuerKeys {
    client: reqwest::Client,
    reach: Reach,
    known: Cache<String, Arc<Mutex<Known>>>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl IssuerKeys {
    /// Asks addresses within reach.
    pub fn new(reach: Reach) -> Result<Self, reqwest::Error> {
        let known = Cache::builder().max_capacity(MAX_ISSUERS).build();
        Ok(Self { client: reach.client(TIMEOUT)?, reach, known })
    }

    /// The keys that may have signed a token with this id and algorithm.
    pub async fn candidates(
        &self,
        issuer: &TrustIssuerRow,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<VerificationKey>, NoKeys> {
        if let Some(written) = &issuer.key_set {
            let set = KeySet::deserialize(written).unwrap_or_default();
            return Ok(fitting(&usable(&set), kid, algorithm));
        }
        let known = self.known.get_with_by_ref(&issuer.url, async { Arc::default() }).await;
        let mut known = known.lock().await;
        let found = fitting(&known.keys, kid, algorithm);
        let is_fresh = known.fetched.is_some_and(|at| at.elapsed() < INTERVAL);
        let is_asked = known.asked.is_some_and(|at| at.elapsed() < UNKNOWN_KEY_INTERVAL);
        if is_fresh && !found.is_empty() {
            return Ok(found);
        }
        if is_asked {
            return known.failure.clone().map_or(Ok(found), Err);
        }
        known.asked = Some(Instant::now());
        match self.fetch(&issuer.url).await {
            Ok(set) => {
                known.keys = Arc::new(usable(&set));
                known.fetched = Some(Instant::now());
                known.failure = None;
                Ok(fitting(&known.keys, kid, algorithm))
            }
            Err(error) if known.fetched.is_some_and(|at| at.elapsed() < STALE_FOR) => {
                tracing::warn!(%error, issuer = issuer.name, "the keys that the issuer had last count on");
                Ok(found)
            }
            Err(error) => {
                known.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// What an issuer publishes.
    pub async fn fetch(&self, issuer: &str) -> Result<KeySet, NoKeys> {
        let discovery = format!("{}{DISCOVERY}", issuer.trim_end_matches('/'));
        let nonsense = |url: &str, what| NoKeys::Nonsense { url: url.to_owned(), what };
        let metadata: Metadata = serde_json::from_slice(&self.get(&discovery).await?)
            .map_err(|_| nonsense(&discovery, "what OpenID Connect Discovery asks for"))?;
        if metadata.issuer != issuer {
            return Err(nonsense(&discovery, "the issuer that it was asked for"));
        }
        let keys: KeySet = serde_json::from_slice(&self.get(&metadata.jwks_uri).await?)
            .map_err(|_| nonsense(&metadata.jwks_uri, "a set of keys"))?;
        if usable(&keys).is_empty() {
            return Err(nonsense(&metadata.jwks_uri, "a key that can be used"));
        }
        Ok(keys)
    }

    async fn get(&self, address: &str) -> Result<Vec<u8>, NoKeys> {
        let silent =
            |why: &dyn std::fmt::Display| NoKeys::Silent { url: address.to_owned(), why: why.to_string() };
        let url: Url = address.parse().map_err(|error| silent(&error))?;
        self.reach.check(&url).map_err(|why| NoKeys::Forbidden { url: address.to_owned(), why })?;
        // The library's sentence repeats the address.
        let sentence =
            |error: reqwest::Error| silent(&shared::server::causes::sentence(&error.without_url()));
        let mut answer = self.client.get(url).send().await.map_err(sentence)?;
        if !answer.status().is_success() {
            return Err(silent(&answer.status()));
        }
        let mut document = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(sentence)? {
            if document.len() + part.len() > MAX_DOCUMENT_BYTES {
                return Err(silent(&"the answer is too large"));
            }
            document.extend_from_slice(&part);
        }
        Ok(document)
    }
}

/// The keys of a set that signatures can be checked with.
pub fn usable(set: &KeySet) -> Vec<(Option<String>, VerificationKey)> {
    set.keys.iter().filter_map(|jwk| Some((jwk.kid.clone(), VerificationKey::new(jwk)?))).collect()
}

/// Those of that name; without a name in the token, all.
fn fitting(keys: &Named, kid: Option<&str>, algorithm: Algorithm) -> Vec<VerificationKey> {
    let named = |name: &Option<String>| match (kid, name.as_deref()) {
        (Some(kid), Some(name)) => kid == name,
        (None, _) | (_, None) => true,
    };
    let found = keys.iter().filter(|(name, key)| named(name) && key.is_for(algorithm));
    found.map(|(_, key)| key.clone()).collect()
}
