//! The public keys whose signatures count.
//!
//! A key id is a label that finds candidates, never proof: several keys may share one, and each candidate is tried
//! with the one algorithm it is for.
//!
//! *Invariant:* a key has exactly one algorithm, and none is symmetric; a set that is read replaces the previous one
//! as a whole, and one without a usable key is not taken.
//!
//! Spec: RFC 7517, RFC 7518 §3.1.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use jsonwebtoken::{Algorithm, DecodingKey};
use shared::key_set::{Jwk, KeySet, PublicKey};

/// Longest key id that is looked up.
const MAX_KEY_ID_BYTES: usize = 128;

/// A public key and the algorithm it is for.
#[derive(Clone, Debug)]
pub(crate) struct TrustedKey {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// The keys in force; shared and exchanged as a whole.
#[derive(Debug, Default)]
pub(crate) struct TrustedKeys {
    current: ArcSwap<Keys>,
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Keys {
    by_id: BTreeMap<String, Vec<TrustedKey>>,
    without_id: Vec<TrustedKey>,
    source: KeySet,
}

impl TrustedKeys {
    /// Takes a new set. Returns whether it holds a usable key; if not, the previous set stays.
    pub(crate) fn replace(&self, set: KeySet) -> bool {
        let mut keys = Keys { source: set, ..Keys::default() };
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
        if self.current.load().source != keys.source {
            self.current.store(keys.into());
            self.generation.fetch_add(1, Ordering::SeqCst);
        }
        true
    }

    /// Changes with every change of the set, so that what was remembered under an older one can be forgotten.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Whether a set has been taken at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.generation() == 0
    }

    /// The keys that may have signed a token with this id and algorithm. Without an id, every key is a candidate.
    pub(super) fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<TrustedKey> {
        let keys = self.current.load();
        let named: Vec<&TrustedKey> = match id {
            Some(id) if id.len() <= MAX_KEY_ID_BYTES => keys.by_id.get(id).into_iter().flatten().collect(),
            Some(_) => Vec::new(),
            None => keys.by_id.values().flatten().collect(),
        };
        named.into_iter().chain(&keys.without_id).filter(|key| key.algorithm == algorithm).cloned().collect()
    }
}

fn usable(jwk: &Jwk) -> Option<TrustedKey> {
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
    let algorithm = match jwk.alg.as_deref() {
        None => natural,
        Some(word) => parse_algorithm(word)?,
    };
    // RSA keys may be for any of their family; for the others the curve leaves no choice.
    let fits = algorithm == natural || (natural == Algorithm::RS256 && is_rsa(algorithm));
    fits.then_some(TrustedKey { algorithm, key })
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
