//! The public keys of issuers: those that they publish, or those that somebody wrote down.
//!
//! *Invariant:* an issuer is asked by one request at a time and at most once in [`UNKNOWN_KEY_INTERVAL`] because of keys
//! that it has not published, whatever tokens say; while it does not answer, the keys that it had last count.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use serde::Deserialize;
use serde_json::Value;
use shared::key_set::KeySet;
use shared::server::signed_token::keys::{Algorithm, VerificationKey};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::publisher::{NoKeys, Publisher};

/// How often an issuer is asked again.
const INTERVAL: Duration = Duration::from_mins(5);

/// At most one request on behalf of unknown keys in this time.
pub const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(10);

/// Keys of an issuer that does not answer count for so long.
const STALE_FOR: Duration = Duration::from_hours(24);

/// So many issuers are remembered.
const MAX_ISSUERS: u64 = 1_000;

/// Whose keys are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// The address of the issuer, as its tokens say it.
    pub url: &'a str,
    /// What it is called here.
    pub name: &'a str,
    /// Its public keys, where they were written down.
    pub key_set: Option<&'a Value>,
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
    publisher: Publisher,
    known: Cache<String, Arc<Mutex<Known>>>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl IssuerKeys {
    /// Asks through this.
    pub fn new(publisher: Publisher) -> Self {
        Self { publisher, known: Cache::builder().max_capacity(MAX_ISSUERS).build() }
    }

    /// The keys that may have signed a token with this id and algorithm.
    pub async fn candidates(
        &self,
        signer: Signer<'_>,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<VerificationKey>, NoKeys> {
        if let Some(written) = signer.key_set {
            let set = KeySet::deserialize(written).unwrap_or_default();
            return Ok(fitting(&usable(&set), kid, algorithm));
        }
        let known = self.known.get_with_by_ref(signer.url, async { Arc::default() }).await;
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
        match self.fetch(signer.url).await {
            Ok(set) => {
                known.keys = Arc::new(usable(&set));
                known.fetched = Some(Instant::now());
                known.failure = None;
                Ok(fitting(&known.keys, kid, algorithm))
            }
            Err(error) if known.fetched.is_some_and(|at| at.elapsed() < STALE_FOR) => {
                tracing::warn!(%error, issuer = signer.name, "the keys that the issuer had last count on");
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
        let metadata: Metadata =
            self.publisher.discover(issuer, |metadata: &Metadata| &metadata.issuer).await?;
        let address = metadata.jwks_uri;
        let keys: KeySet = self.publisher.get_json(&address, "a set of keys").await?;
        if usable(&keys).is_empty() {
            return Err(NoKeys::Nonsense { url: address, what: "a key that can be used" });
        }
        Ok(keys)
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
