//! What a forger makes of public keys: secrets for HMAC, sets in which two keys share a name.
//!
//! *Invariant:* nothing here knows a private key.
//!
//! Spec: RFC 5480 (the DER of a P-256 key), RFC 7468 (PEM), RFC 7517.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::Value;
use shared::key_set::{Jwk, KeySet, PublicKey};

/// Everything of the DER of a P-256 public key before its coordinates.
const P256_PREFIX: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// A set of these keys, each under the name given.
pub fn key_set_under(keys: &[(&str, &Jwk)]) -> anyhow::Result<String> {
    let named = |(kid, jwk): &(&str, &Jwk)| Jwk { kid: Some((*kid).to_owned()), ..(*jwk).clone() };
    Ok(serde_json::to_string(&KeySet { keys: keys.iter().map(named).collect() })?)
}

/// The public key as DER.
pub fn der(jwk: &Jwk) -> anyhow::Result<Vec<u8>> {
    let PublicKey::EllipticCurve { x, y, .. } = &jwk.key else { anyhow::bail!("not a P-256 key") };
    let mut der = P256_PREFIX.to_vec();
    der.extend(URL_SAFE_NO_PAD.decode(x)?);
    der.extend(URL_SAFE_NO_PAD.decode(y)?);
    Ok(der)
}

/// The public key as PEM.
pub fn pem(jwk: &Jwk) -> anyhow::Result<String> {
    let text = STANDARD.encode(der(jwk)?);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
}

/// A token with any header, and HMAC-SHA-256 under `secret` where its signature should be.
pub fn hmac_token(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// The token with an empty signature; its dot stays.
pub fn without_signature(token: &str) -> String {
    let (text, _) = token.rsplit_once('.').unwrap_or((token, ""));
    format!("{text}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::Forge;

    #[test]
    fn the_der_is_the_one_ring_takes() -> anyhow::Result<()> {
        let forge = Forge::new()?;
        let der = der(forge.jwk())?;
        assert_eq!(der.len(), 91);
        assert_eq!(usize::from(der[1]), der.len() - 2, "its outer length");
        assert!(pem(forge.jwk())?.lines().all(|line| line.len() <= 64));
        Ok(())
    }
}
