//! Tokens that must be refused, and the right ones beside them.
//!
//! Everything is signed here by hand, without the token library of the servers: a forger writes whatever header and
//! claims it likes, and the verifier is checked against a second opinion.
//!
//! *Invariant:* the key set a forge publishes holds public halves only.
//!
//! Spec: RFC 7515 (JWS), RFC 7518 (algorithms), RFC 7638 (thumbprint).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use shared::key_set::{Jwk, KeySet, PublicKey};

/// A signing key of a token server that exists only in a test.
#[derive(Debug)]
pub struct Forge {
    key: EcdsaKeyPair,
    kid: String,
    jwk: Jwk,
    random: SystemRandom,
}

impl Forge {
    /// A fresh P-256 key.
    pub fn new() -> anyhow::Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| failed("make a key"))?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random)
            .map_err(|error| anyhow::anyhow!("cannot read the key just made: {error}"))?;
        // An uncompressed point: 4, x, y.
        let point = key.public_key().as_ref();
        let public = PublicKey::EllipticCurve {
            crv: "P-256".into(),
            x: URL_SAFE_NO_PAD.encode(&point[1..33]),
            y: URL_SAFE_NO_PAD.encode(&point[33..]),
        };
        let kid = public.thumbprint();
        let jwk =
            Jwk { key: public, kid: Some(kid.clone()), alg: Some("ES256".into()), usage: Some("sig".into()) };
        Ok(Self { key, kid, jwk, random })
    }

    /// The key id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// The key set a registry is pointed at.
    pub fn key_set(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(&KeySet { keys: vec![self.jwk.clone()] })?)
    }

    /// A token with the usual header.
    pub fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        self.sign_with(&json!({"typ": "JWT", "alg": "ES256", "kid": self.kid}), claims)
    }

    /// A token with any header, signed with the real key whatever the header says.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> anyhow::Result<String> {
        let text = unsigned(header, claims);
        let signature = self.key.sign(&self.random, text.as_bytes()).map_err(|_| failed("sign"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The classic: HMAC with the public key, as published, for a secret.
    pub fn sign_with_public_key_as_secret(&self, claims: &Value) -> anyhow::Result<String> {
        let secret = serde_json::to_vec(&self.jwk)?;
        let text = unsigned(&json!({"typ": "JWT", "alg": "HS256", "kid": self.kid}), claims);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), text.as_bytes());
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag)))
    }

    /// A token that says it needs no signature.
    pub fn unsigned(claims: &Value) -> String {
        format!("{}.", unsigned(&json!({"typ": "JWT", "alg": "none"}), claims))
    }
}

fn failed(what: &str) -> anyhow::Error {
    anyhow::anyhow!("the crypto library cannot {what}")
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// The claims of a token, read without checking anything.
pub fn claims_of(token: &str) -> anyhow::Result<Value> {
    part_of(token, 1)
}

/// The header of a token, read without checking anything.
pub fn header_of(token: &str) -> anyhow::Result<Value> {
    part_of(token, 0)
}

fn part_of(token: &str, number: usize) -> anyhow::Result<Value> {
    let part = token.split('.').nth(number).ok_or_else(|| anyhow::anyhow!("not a token: {token}"))?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}

/// One flipped bit in the signature.
pub fn with_broken_signature(token: &str) -> anyhow::Result<String> {
    let (text, signature) = token.rsplit_once('.').ok_or_else(|| anyhow::anyhow!("not a token: {token}"))?;
    let mut signature = URL_SAFE_NO_PAD.decode(signature)?;
    signature[7] ^= 1;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_token_reads_back() -> anyhow::Result<()> {
        let forge = Forge::new()?;
        let token = forge.sign(&json!({"sub": "alice"}))?;
        assert_eq!(claims_of(&token)?["sub"], "alice");
        assert_eq!(header_of(&token)?["kid"], forge.kid());
        assert_ne!(with_broken_signature(&token)?, token);
        Ok(())
    }
}
