//! Public keys that signatures are checked with.
//!
//! *Invariant:* a key has exactly one algorithm, or, if it is an RSA key that is published without one, those of RSA;
//! none is symmetric.
//!
//! Spec: RFC 7517, RFC 7518 §3.1.

pub use jsonwebtoken::Algorithm;
use jsonwebtoken::DecodingKey;

use crate::key_set::{Jwk, PublicKey};

/// A public key and what it is for.
#[derive(Clone, Debug)]
pub struct VerificationKey {
    purpose: Purpose,
    key: DecodingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    One(Algorithm),
    AnyRsa,
}

impl VerificationKey {
    /// A key of a set; nothing if it is of a kind that cannot be used.
    pub fn new(jwk: &Jwk) -> Option<Self> {
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
        Some(Self { purpose, key })
    }

    /// Whether it may have made a signature of this kind.
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        match self.purpose {
            Purpose::One(only) => algorithm == only,
            Purpose::AnyRsa => is_rsa(algorithm),
        }
    }

    pub(super) fn verifies(&self, signature: &str, message: &[u8], algorithm: Algorithm) -> bool {
        self.is_for(algorithm)
            && jsonwebtoken::crypto::verify(signature, message, &self.key, algorithm).unwrap_or(false)
    }
}

/// The accepted words; HMAC and ES512 are none.
pub fn parse_algorithm(word: &str) -> Option<Algorithm> {
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

    #[test]
    fn symmetric_words_are_not_accepted() {
        for word in ["HS256", "HS384", "HS512", "none", "None", "ES512", ""] {
            assert!(parse_algorithm(word).is_none(), "{word}");
        }
    }

    #[test]
    fn a_key_is_for_its_own_algorithm_only() {
        const POINT: &str = r#""x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
        let key = |alg: &str| {
            let jwk = format!(r#"{{"kty":"EC","crv":"P-256",{POINT}{alg}}}"#);
            VerificationKey::new(&serde_json::from_str(&jwk).expect("a key"))
        };
        assert!(key("").is_some_and(|key| key.is_for(Algorithm::ES256) && !key.is_for(Algorithm::RS256)));
        assert!(key(r#","alg":"RS256""#).is_none(), "a curve key cannot be for RSA");
    }
}
