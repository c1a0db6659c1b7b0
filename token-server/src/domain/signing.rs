//! The key that signs tokens, and its public faces.
//!
//! Verifiers of the 2.x line know a key by a certificate in the token (`x5c`), those of the 3.x line by its key id,
//! ours by the published set. The certificate is self-signed for the key, is no authority, and does not expire: it
//! carries a public key to where only certificates are understood, and trust comes from the verifier's own list.
//!
//! *Invariant:* this is the only file that sees a private key in the clear, and the key id is the RFC 7638
//! thumbprint of the public key. Keys with a coordinate that begins with a zero byte are not used: a widespread
//! verifier leaves that byte out and would compute another id.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::pki_types::PrivatePkcs8KeyDer;
use shared::claims::Claims;
use shared::key_set::{Jwk, KeySet, PublicKey};
use time::OffsetDateTime;
use time::macros::datetime;
use zeroize::Zeroizing;

/// The "no expiry" of RFC 5280 §4.1.2.5.
const NEVER: OffsetDateTime = datetime!(9999-12-31 23:59:59 UTC);

/// Why a key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The library refused to make one.
    #[error("cannot create a signing key")]
    Generate,
    /// The stored bytes are no private key.
    #[error("the stored signing key is not a P-256 key")]
    NotAKey,
    /// No certificate could be made for it.
    #[error("cannot create a certificate for the signing key")]
    Certificate(#[source] rcgen::Error),
    /// A token could not be signed.
    #[error("cannot sign a token")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// A new key: everything that has to be stored.
pub struct NewKey {
    /// Key id.
    pub kid: String,
    /// PKCS#8.
    pub private_key: Zeroizing<Vec<u8>>,
    /// DER.
    pub certificate: Vec<u8>,
}

impl NewKey {
    /// Makes a key whose certificate is valid from `now` on.
    pub fn generate(random: &SystemRandom, now: OffsetDateTime) -> Result<Self, SigningError> {
        loop {
            let private_key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, random)
                .map_err(|_| SigningError::Generate)?;
            let private_key = Zeroizing::new(private_key.as_ref().to_vec());
            let point = public_point(&private_key, random)?;
            if !is_spelled_alike_everywhere(&point) {
                continue;
            }
            let kid = public_key(&point).thumbprint();
            let certificate = certificate(&private_key, now).map_err(SigningError::Certificate)?;
            return Ok(Self { kid, private_key, certificate });
        }
    }
}

/// The uncompressed public point: 4, x, y.
fn public_point(private_key: &[u8], random: &SystemRandom) -> Result<[u8; 65], SigningError> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private_key, random)
        .map_err(|_| SigningError::NotAKey)?;
    pair.public_key().as_ref().try_into().map_err(|_| SigningError::NotAKey)
}

fn is_spelled_alike_everywhere(point: &[u8; 65]) -> bool {
    point[1] != 0 && point[33] != 0
}

fn public_key(point: &[u8; 65]) -> PublicKey {
    PublicKey::EllipticCurve {
        crv: "P-256".into(),
        x: URL_SAFE_NO_PAD.encode(&point[1..33]),
        y: URL_SAFE_NO_PAD.encode(&point[33..]),
    }
}

fn certificate(private_key: &[u8], now: OffsetDateTime) -> Result<Vec<u8>, rcgen::Error> {
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(
        &PrivatePkcs8KeyDer::from(private_key),
        &rcgen::PKCS_ECDSA_P256_SHA256,
    )?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "portcullis token signing key");
    // Verifiers whose clock is behind must accept the first tokens too.
    params.not_before = now - time::Duration::days(1);
    params.not_after = NEVER;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params.self_signed(&pair)?.der().to_vec())
}

/// Whether a token carries the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateHeader {
    /// For verifiers that look for nothing else.
    Included,
    /// For everyone else: it costs hundreds of bytes in every request.
    Omitted,
}

/// A key that is ready to sign.
pub struct SigningKey {
    kid: String,
    key: EncodingKey,
    public: PublicKey,
    certificate: Vec<u8>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Takes a stored key (PKCS#8) and its certificate (DER).
    pub fn new(
        private_key: &[u8],
        certificate: Vec<u8>,
        random: &SystemRandom,
    ) -> Result<Self, SigningError> {
        let public = public_key(&public_point(private_key, random)?);
        Ok(Self { kid: public.thumbprint(), key: EncodingKey::from_ec_der(private_key), public, certificate })
    }

    /// Key id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Signs with ES256.
    pub fn sign(&self, claims: &Claims, certificate: CertificateHeader) -> Result<String, SigningError> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.clone());
        if certificate == CertificateHeader::Included {
            header.x5c = Some(vec![STANDARD.encode(&self.certificate)]);
        }
        jsonwebtoken::encode(&header, claims, &self.key).map_err(SigningError::Sign)
    }

    /// What is published.
    pub fn key_set(&self) -> KeySet {
        KeySet {
            keys: vec![Jwk {
                key: self.public.clone(),
                kid: Some(self.kid.clone()),
                alg: Some("ES256".into()),
                usage: Some("sig".into()),
            }],
        }
    }

    /// The certificate for verifiers that take a bundle.
    pub fn certificate_pem(&self) -> String {
        let encoded = STANDARD.encode(&self.certificate);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    use shared::claims::Audience;

    use super::*;

    fn key() -> SigningKey {
        let random = SystemRandom::new();
        let new = NewKey::generate(&random, datetime!(2026-01-01 00:00 UTC)).unwrap();
        let key = SigningKey::new(&new.private_key, new.certificate, &random).unwrap();
        assert_eq!(key.kid(), new.kid);
        key
    }

    fn claims() -> Claims {
        Claims {
            iss: "i".into(),
            sub: "alice".into(),
            aud: Audience::One("s".into()),
            exp: 4_000_000_000,
            nbf: Some(0),
            iat: Some(0),
            jti: None,
            access: shared::access::Access::default(),
            portcullis: None,
        }
    }

    #[test]
    fn tokens_verify_with_the_published_key() {
        shared::server::jwt_crypto::install();
        let key = key();
        let set = key.key_set();
        let PublicKey::EllipticCurve { x, y, .. } = &set.keys[0].key else { panic!("not P-256") };
        let verifying = DecodingKey::from_ec_components(x, y).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&["s"]);
        for (certificate, expected) in [(CertificateHeader::Included, 1), (CertificateHeader::Omitted, 0)] {
            let token = key.sign(&claims(), certificate).unwrap();
            let decoded = jsonwebtoken::decode::<Claims>(&token, &verifying, &validation).unwrap();
            assert_eq!(decoded.claims, claims());
            assert_eq!(decoded.header.kid.as_deref(), Some(key.kid()));
            assert_eq!(decoded.header.x5c.map_or(0, |chain| chain.len()), expected);
        }
    }

    #[test]
    fn keys_that_others_would_name_differently_are_not_used() {
        let mut point = [1; 65];
        assert!(is_spelled_alike_everywhere(&point));
        point[1] = 0;
        assert!(!is_spelled_alike_everywhere(&point));
        point[1] = 1;
        point[33] = 0;
        assert!(!is_spelled_alike_everywhere(&point));
    }

    #[test]
    fn the_certificate_is_for_the_key_and_reads_as_pem() {
        let key = key();
        let der = CertificateDer::from_pem_slice(key.certificate_pem().as_bytes()).unwrap();
        assert_eq!(der.as_ref(), key.certificate);
        let PublicKey::EllipticCurve { x, .. } = &key.public else { panic!("not P-256") };
        let x = URL_SAFE_NO_PAD.decode(x).unwrap();
        assert!(key.certificate.windows(x.len()).any(|window| window == x));
    }
}
