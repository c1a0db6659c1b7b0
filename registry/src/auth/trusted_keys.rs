//! The public keys whose signatures count.
//!
//! A key id is a label that finds candidates, never proof: several keys may share one, and each candidate is tried
//! with the one algorithm it is for.
//!
//! Keys come from a key set, from certificates, or from both; each source replaces what it brought before as a whole.
//!
//! *Invariant:* a set without a usable key is not taken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use jsonwebtoken::Algorithm;
use shared::key_set::KeySet;
use shared::server::signed_token::keys::VerificationKey;

use super::certificates::{Bundle, ChainError, ChainKey};

/// Longest key id that is looked up.
const MAX_KEY_ID_BYTES: usize = 128;

/// The keys in force; shared and exchanged as a whole.
#[derive(Debug, Default)]
pub(crate) struct TrustedKeys {
    current: ArcSwap<Current>,
    generation: AtomicU64,
}

#[derive(Clone, Debug, Default)]
struct Current {
    published: Arc<Published>,
    bundle: Arc<Bundle>,
}

/// The keys of a key set.
#[derive(Debug, Default)]
struct Published {
    by_id: BTreeMap<String, Vec<VerificationKey>>,
    without_id: Vec<VerificationKey>,
    source: KeySet,
}

impl TrustedKeys {
    /// Takes a new set. Returns whether it holds a usable key; if not, the previous set stays.
    pub(crate) fn replace(&self, set: KeySet) -> bool {
        let mut keys = Published { source: set, ..Published::default() };
        for jwk in &keys.source.keys {
            let Some(trusted) = VerificationKey::new(jwk) else {
                tracing::warn!(
                    key.id = jwk.kid.as_deref().unwrap_or_default(),
                    "key not usable and left out"
                );
                continue;
            };
            match &jwk.kid {
                Some(id) => keys.by_id.entry(id.clone()).or_default().push(trusted),
                None => keys.without_id.push(trusted),
            }
        }
        if keys.by_id.is_empty() && keys.without_id.is_empty() {
            return false;
        }
        if self.current.load().published.source != keys.source {
            let published = Arc::new(keys);
            self.exchange(|current| Current { published: published.clone(), ..current.clone() });
        }
        true
    }

    /// Takes new certificates.
    pub(crate) fn replace_certificates(&self, bundle: Bundle) {
        if *self.current.load().bundle != bundle {
            let bundle = Arc::new(bundle);
            self.exchange(|current| Current { bundle: bundle.clone(), ..current.clone() });
        }
    }

    /// The other source may be exchanging its half at the same time.
    fn exchange(&self, change: impl Fn(&Current) -> Current) {
        self.current.rcu(|current| change(current));
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Changes with every change of the keys, so that what was remembered under an older one can be forgotten.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Whether any keys have been taken at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.generation() == 0
    }

    /// The keys that may have signed a token with this id and algorithm. Without an id, every key is a candidate.
    pub(super) fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<VerificationKey> {
        let Current { published, bundle } = &**self.current.load();
        let named: Vec<&VerificationKey> = match id {
            Some(id) if id.len() <= MAX_KEY_ID_BYTES => {
                published.by_id.get(id).into_iter().flatten().chain(bundle.key(id)).collect()
            }
            Some(_) => Vec::new(),
            None => published.by_id.values().flatten().chain(bundle.keys()).collect(),
        };
        let candidates = named.into_iter().chain(&published.without_id);
        candidates.filter(|key| key.is_for(algorithm)).cloned().collect()
    }

    /// The key of the chain of certificates in a token; nothing where no certificates are trusted.
    pub(super) fn chain_key(
        &self,
        x5c: &serde_json::Value,
        now: i64,
    ) -> Option<Result<ChainKey, ChainError>> {
        let bundle = &self.current.load().bundle;
        (!bundle.is_empty()).then(|| bundle.chain_key(x5c, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: &str = r#""x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

    fn set(keys: &str) -> KeySet {
        serde_json::from_str(&format!(r#"{{"keys":[{keys}]}}"#)).expect("a set")
    }

    #[test]
    fn a_set_without_a_usable_key_does_not_replace_one_that_works() {
        let keys = TrustedKeys::default();
        assert!(!keys.replace(set("")));
        assert!(keys.is_empty());
        assert!(keys.replace(set(&format!(r#"{{"kty":"EC","crv":"P-256",{POINT},"kid":"a"}}"#))));
        assert!(!keys.replace(set(r#"{"kty":"EC","crv":"P-521","x":"AA","y":"AA","kid":"b"}"#)));
        assert_eq!(keys.candidates(Some("a"), Algorithm::ES256).len(), 1);
        assert_eq!(keys.generation(), 1);
    }

    #[test]
    fn a_key_is_a_candidate_only_for_its_own_algorithm() {
        let keys = TrustedKeys::default();
        keys.replace(set(&format!(
            r#"{{"kty":"EC","crv":"P-256",{POINT},"kid":"a","alg":"ES256"}},{{"kty":"EC","crv":"P-256",{POINT},"kid":"b","alg":"RS256"}}"#
        )));
        assert!(keys.candidates(Some("a"), Algorithm::RS256).is_empty());
        assert!(keys.candidates(Some("b"), Algorithm::RS256).is_empty(), "a curve key cannot be for RSA");
        assert!(keys.candidates(Some("../a"), Algorithm::ES256).is_empty());
        assert_eq!(keys.candidates(None, Algorithm::ES256).len(), 1);
    }

    #[test]
    fn keys_may_share_an_id() {
        let keys = TrustedKeys::default();
        keys.replace(set(&format!(
            r#"{{"kty":"EC","crv":"P-256",{POINT},"kid":"a"}},{{"kty":"EC","crv":"P-256",{POINT},"kid":"a"}}"#
        )));
        assert_eq!(keys.candidates(Some("a"), Algorithm::ES256).len(), 2);
    }
}
