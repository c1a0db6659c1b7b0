//! The public keys whose signatures count.
//!
//! A key id is a label that finds candidates, never proof: several keys may share one, and each candidate is tried
//! with the one algorithm it is for.
//!
//! Keys come from a key set, from certificates, or from both; each source replaces what it brought before as a whole.
//!
//! *Invariant:* a key has exactly one algorithm, or, if it is an RSA key that is published without one, those of RSA;
//! none is symmetric. A set without a usable key is not taken.
//!
//! Spec: RFC 7517, RFC 7518 §3.1.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use jsonwebtoken::{Algorithm, DecodingKey};
use shared::key_set::{Jwk, KeySet, PublicKey};

use super::certificates::{Bundle, ChainError, ChainKey};

/// Longest key id that is looked up.
const MAX_KEY_ID_BYTES: usize = 128;

/// A public key and what it is for.
#[derive(Clone, Debug)]
pub(crate) struct TrustedKey {
    purpose: Purpose,
    pub(super) key: DecodingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    One(Algorithm),
    AnyRsa,
}

impl TrustedKey {
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        match self.purpose {
            Purpose::One(only) => algorithm == only,
            Purpose::AnyRsa => is_rsa(algorithm),
        }
    }
}

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
    by_id: BTreeMap<String, Vec<TrustedKey>>,
    without_id: Vec<TrustedKey>,
    source: KeySet,
}

impl TrustedKeys {
    /// Takes a new set. Returns whether it holds a usable key; if not, the previous set stays.
    pub(crate) fn replace(&self, set: KeySet) -> bool {
        let mut keys = Published { source: set, ..Published::default() };
        for jwk in &keys.source.keys {
            let Some(trusted) = usable(jwk) else {
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
    pub(super) fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<TrustedKey> {
        let Current { published, bundle } = &**self.current.load();
        let named: Vec<&TrustedKey> = match id {
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

/// A key that signatures can be checked with; nothing if it is of another kind.
pub(super) fn usable(jwk: &Jwk) -> Option<TrustedKey> {
    let (key, natural) = match &jwk.key {
        PublicKey::EllipticCurve { crv, x, y } => {
            let algorithm = match crv.as_str() {
                "P-256" => Algorithm::ES256,
                "P-384" => Algorithm::ES384,
                _ => return None,
            };
            (DecodingKey::from_ec_components(x, y).ok()?, algorithm)
        }
        PublicKey::Edwards { crv, x } if crv == "Ed25519" => {
            (DecodingKey::from_ed_components(x).ok()?, Algorithm::EdDSA)
        }
        PublicKey::Edwards { .. } => return None,
        PublicKey::Rsa { n, e } => (DecodingKey::from_rsa_components(n, e).ok()?, Algorithm::RS256),
    };
    // RSA keys may be for any of their family; for the others the curve leaves no choice.
    let purpose = match jwk.alg.as_deref().map(parse_algorithm) {
        None if natural == Algorithm::RS256 => Purpose::AnyRsa,
        None => Purpose::One(natural),
        Some(given) => {
            let given = given?;
            let fits = given == natural || (natural == Algorithm::RS256 && is_rsa(given));
            Purpose::One(fits.then_some(given)?)
        }
    };
    Some(TrustedKey { purpose, key })
}

/// The accepted words; HMAC and ES512 are none.
pub(crate) fn parse_algorithm(word: &str) -> Option<Algorithm> {
    Some(match word {
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        _ => return None,
    })
}

fn is_rsa(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512
    )
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

    #[test]
    fn symmetric_words_are_not_accepted() {
        for word in ["HS256", "HS384", "HS512", "none", "None", "ES512", ""] {
            assert!(parse_algorithm(word).is_none(), "{word}");
        }
    }
}
