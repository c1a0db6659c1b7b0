//! Public keys as the token server publishes them and the registry reads them.
//!
//! *Invariant:* a [`KeySet`] holds public halves only. A key of a kind this version cannot use is left out when a
//! set is read, so that one odd key does not take the others away; symmetric keys are never accepted.
//!
//! Spec: RFC 7517, RFC 7518 §6, RFC 7638 (thumbprint), RFC 8037 (Ed25519).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde::{Deserialize, Deserializer, Serialize};

/// More keys than this in a set are not looked at.
pub const MAX_KEYS: usize = 100;

/// The numbers of a public key, base64url without padding as they stand in the set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kty")]
pub enum PublicKey {
    /// An elliptic curve point; `P-256` or `P-384`.
    #[serde(rename = "EC")]
    EllipticCurve {
        /// Name of the curve.
        crv: String,
        /// Horizontal coordinate.
        x: String,
        /// Vertical coordinate.
        y: String,
    },
    /// An RSA modulus and exponent.
    #[serde(rename = "RSA")]
    Rsa {
        /// Modulus.
        n: String,
        /// Exponent.
        e: String,
    },
    /// An Edwards curve point; `Ed25519`.
    #[serde(rename = "OKP")]
    Edwards {
        /// Name of the curve.
        crv: String,
        /// The encoded point.
        x: String,
    },
}

impl PublicKey {
    /// RFC 7638 thumbprint, base64url without padding.
    pub fn thumbprint(&self) -> String {
        // Members in lexical order without white space, as the RFC demands.
        let canonical = match self {
            Self::EllipticCurve { crv, x, y } => {
                format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
            Self::Edwards { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
        };
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
    }
}

/// A public key with its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// The key itself.
    #[serde(flatten)]
    pub key: PublicKey,
    /// Key id: an opaque label, never a path or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The one signature algorithm this key is for, such as `ES256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// `sig` for keys that sign.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
}

/// A set of public keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KeySet {
    /// The keys, in the order of the document.
    pub keys: Vec<Jwk>,
}

impl<'de> Deserialize<'de> for KeySet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<serde_json::Value>,
        }
        let document = Document::deserialize(deserializer)?;
        let usable = |jwk: &Jwk| jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
        let keys = document.keys.into_iter().take(MAX_KEYS);
        Ok(Self { keys: keys.filter_map(|key| serde_json::from_value(key).ok()).filter(usable).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_of_the_rfc_comes_out() {
        // RFC 7638 §3.1.
        let key = PublicKey::Rsa {
            n: concat!(
                "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi",
                "FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb",
                "9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls",
                "1jF44-csFCur-kEgU8awapJzKnqDKgw"
            )
            .into(),
            e: "AQAB".into(),
        };
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn unusable_keys_are_left_out() {
        let set: KeySet = serde_json::from_str(
            r#"{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"1"},{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"2","alg":"EdDSA"},
                {"kty":"RSA","n":"AA","e":"AQAB","use":"enc"},7]}"#,
        )
        .expect("a set");
        assert_eq!(set.keys.len(), 1);
        assert_eq!(set.keys[0].kid.as_deref(), Some("2"));
    }
}
