//! The keys that sign tokens, and their public faces.
//!
//! Verifiers of the 2.x line know a key by a certificate in the token (`x5c`) or by its fingerprint, those of the 3.x
//! line and ours by its thumbprint. A certificate made here is self-signed for the key, is no authority, and does not
//! expire: it carries a public key to where only certificates are understood, and trust comes from the verifier's own
//! list. A key that came from another token server is named as that one named it.
//!
//! *Invariant:* a private key is in the clear only here and where it is imported, and the id under which a key is kept
//! is the RFC 7638 thumbprint of the public key. Keys made here have no coordinate that begins with a zero byte: a
//! widespread verifier leaves that byte out and would compute another id.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use shared::claims::Claims;
use shared::key_set::{Jwk, PublicKey};
use time::OffsetDateTime;
use time::macros::datetime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

use super::super::audience::Verifier;
use super::key_names;

/// The "no expiry" of RFC 5280 §4.1.2.5.
const NEVER: OffsetDateTime = datetime!(9999-12-31 23:59:59 UTC);

/// Why a key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The library refused to make one.
    #[error("cannot create a signing key")]
    Generate,
    /// The stored bytes are no private key.
    #[error("the stored signing key is not a key of its algorithm")]
    NotAKey,
    /// The stored bytes are no certificate.
    #[error("the stored certificate of the signing key cannot be read")]
    NotACertificate,
    /// No certificate could be made for it.
    #[error("cannot create a certificate for the signing key")]
    Certificate(#[source] rcgen::Error),
    /// A token could not be signed.
    #[error("cannot sign a token")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// What signatures a key makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// EdDSA with Ed25519.
    EdDsa,
}

impl KeyAlgorithm {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Es256, Self::Rs256, Self::EdDsa];

    /// The word that is stored and published.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == word)
    }
}

/// For which registries a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignsFor {
    /// All that do not ask for another algorithm.
    All,
    /// Only those that ask for its algorithm.
    Algorithm,
}

impl SignsFor {
    /// The word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Algorithm => "algorithm",
        }
    }

    /// What that word says.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::All, Self::Algorithm].into_iter().find(|signs_for| signs_for.as_str() == word)
    }
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// It was made here.
    Generated,
    /// Another token server signed with it before.
    Imported,
}

impl KeyOrigin {
    /// The word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Imported => "imported",
        }
    }

    /// The origin of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Generated, Self::Imported].into_iter().find(|origin| origin.as_str() == word)
    }
}

/// A key in the clear: everything that has to be stored.
pub struct PlainKey {
    /// What it is for.
    pub algorithm: KeyAlgorithm,
    /// Where it comes from.
    pub origin: KeyOrigin,
    /// PKCS#8 for ES256 and EdDSA, PKCS#1 for RS256; DER.
    pub private_key: Zeroizing<Vec<u8>>,
    /// DER.
    pub certificate: Vec<u8>,
}

impl PlainKey {
    /// Makes a key whose certificate is valid from `now` on. The crypto library makes no RSA keys.
    pub fn generate(
        algorithm: KeyAlgorithm,
        random: &SystemRandom,
        now: OffsetDateTime,
    ) -> Result<Self, SigningError> {
        loop {
            let made = Self::generate_any(algorithm, random, now)?;
            // People write it behind a command, where it would look like an option.
            if !made.kid(random)?.starts_with('-') {
                return Ok(made);
            }
        }
    }

    fn generate_any(
        algorithm: KeyAlgorithm,
        random: &SystemRandom,
        now: OffsetDateTime,
    ) -> Result<Self, SigningError> {
        let private_key = match algorithm {
            KeyAlgorithm::Es256 => generate_p256(random)?,
            KeyAlgorithm::EdDsa => {
                let made = Ed25519KeyPair::generate_pkcs8(random).map_err(|_| SigningError::Generate)?;
                Zeroizing::new(made.as_ref().to_vec())
            }
            KeyAlgorithm::Rs256 => return Err(SigningError::Generate),
        };
        let certificate = certificate(algorithm, &private_key, now).map_err(SigningError::Certificate)?;
        Ok(Self { algorithm, origin: KeyOrigin::Generated, private_key, certificate })
    }

    /// The id under which it is going to be kept.
    pub fn kid(&self, random: &SystemRandom) -> Result<String, SigningError> {
        Ok(self.public_key(random)?.thumbprint())
    }

    fn public_key(&self, random: &SystemRandom) -> Result<PublicKey, SigningError> {
        match self.algorithm {
            KeyAlgorithm::Es256 => {
                let point = public_point(&self.private_key, random)?;
                Ok(PublicKey::EllipticCurve {
                    crv: "P-256".into(),
                    x: URL_SAFE_NO_PAD.encode(&point[1..33]),
                    y: URL_SAFE_NO_PAD.encode(&point[33..]),
                })
            }
            KeyAlgorithm::Rs256 => {
                let pair = RsaKeyPair::from_der(&self.private_key).map_err(|_| SigningError::NotAKey)?;
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                Ok(PublicKey::Rsa { n: URL_SAFE_NO_PAD.encode(n), e: URL_SAFE_NO_PAD.encode(e) })
            }
            KeyAlgorithm::EdDsa => {
                let pair =
                    Ed25519KeyPair::from_pkcs8(&self.private_key).map_err(|_| SigningError::NotAKey)?;
                let x = URL_SAFE_NO_PAD.encode(pair.public_key());
                Ok(PublicKey::Edwards { crv: "Ed25519".into(), x })
            }
        }
    }
}

fn generate_p256(random: &SystemRandom) -> Result<Zeroizing<Vec<u8>>, SigningError> {
    loop {
        let private_key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, random)
            .map_err(|_| SigningError::Generate)?;
        let private_key = Zeroizing::new(private_key.as_ref().to_vec());
        if is_spelled_alike_everywhere(&public_point(&private_key, random)?) {
            return Ok(private_key);
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

fn certificate(
    algorithm: KeyAlgorithm,
    private_key: &[u8],
    now: OffsetDateTime,
) -> Result<Vec<u8>, rcgen::Error> {
    let made_with = match algorithm {
        KeyAlgorithm::Es256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        KeyAlgorithm::Rs256 => &rcgen::PKCS_RSA_SHA256,
        KeyAlgorithm::EdDsa => &rcgen::PKCS_ED25519,
    };
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(private_key), made_with)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "portcullis token signing key");
    // Verifiers whose clock is behind must accept the first tokens too.
    params.not_before = now - time::Duration::days(1);
    params.not_after = NEVER;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params.self_signed(&pair)?.der().to_vec())
}

/// A key that is ready to sign.
pub struct SigningKey {
    kid: String,
    fingerprint: String,
    algorithm: KeyAlgorithm,
    origin: KeyOrigin,
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
    /// Takes a key in the clear.
    pub fn new(plain: PlainKey, random: &SystemRandom) -> Result<Self, SigningError> {
        let public = plain.public_key(random)?;
        let (_, parsed) =
            X509Certificate::from_der(&plain.certificate).map_err(|_| SigningError::NotACertificate)?;
        let key = match plain.algorithm {
            KeyAlgorithm::Es256 => EncodingKey::from_ec_der(&plain.private_key),
            KeyAlgorithm::Rs256 => EncodingKey::from_rsa_der(&plain.private_key),
            KeyAlgorithm::EdDsa => EncodingKey::from_ed_der(&plain.private_key),
        };
        Ok(Self {
            kid: public.thumbprint(),
            fingerprint: key_names::fingerprint(parsed.public_key().raw),
            algorithm: plain.algorithm,
            origin: plain.origin,
            key,
            public,
            certificate: plain.certificate,
        })
    }

    /// The id under which it is kept and published.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What it signs with.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Where it comes from.
    pub fn origin(&self) -> KeyOrigin {
        self.origin
    }

    /// Signs a token for a registry of this kind.
    pub fn sign(&self, claims: &Claims, verifier: Verifier) -> Result<String, SigningError> {
        let mut header = Header::new(match self.algorithm {
            KeyAlgorithm::Es256 => Algorithm::ES256,
            KeyAlgorithm::Rs256 => Algorithm::RS256,
            KeyAlgorithm::EdDsa => Algorithm::EdDSA,
        });
        header.kid = Some(self.name_for(verifier).to_owned());
        if self.brings_certificate_to(verifier) {
            header.x5c = Some(vec![STANDARD.encode(&self.certificate)]);
        }
        jsonwebtoken::encode(&header, claims, &self.key).map_err(SigningError::Sign)
    }

    /// The 2.x line finds an imported key by its fingerprint, whatever dates its certificate has.
    fn name_for(&self, verifier: Verifier) -> &str {
        match (self.origin, verifier) {
            (KeyOrigin::Imported, Verifier::Distribution2) => &self.fingerprint,
            _ => &self.kid,
        }
    }

    /// A certificate costs hundreds of bytes in every request, so only those get it who look for nothing else: the 2.x
    /// line for keys made here, and the 3.x line for elliptic curves from a bundle, whose thumbprint its first
    /// releases get wrong.
    fn brings_certificate_to(&self, verifier: Verifier) -> bool {
        match (self.origin, verifier) {
            (KeyOrigin::Generated, Verifier::Distribution2) => true,
            (KeyOrigin::Imported, Verifier::Distribution3) => self.algorithm == KeyAlgorithm::Es256,
            _ => false,
        }
    }

    /// What is published: the key under each name that tokens call it by.
    pub fn jwks(&self) -> Vec<Jwk> {
        let names = match self.origin {
            KeyOrigin::Generated => vec![&self.kid],
            KeyOrigin::Imported => vec![&self.kid, &self.fingerprint],
        };
        let of = |name: &String| Jwk {
            key: self.public.clone(),
            kid: Some(name.clone()),
            alg: Some(self.algorithm.as_str().into()),
            usage: Some("sig".into()),
        };
        names.into_iter().map(of).collect()
    }

    /// The certificate for verifiers that take a bundle.
    pub fn certificate_pem(&self) -> String {
        certificate_pem(&self.certificate)
    }
}

/// A certificate as text.
pub fn certificate_pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
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

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    use shared::claims::Audience;

    use super::*;

    fn key() -> SigningKey {
        key_for(KeyAlgorithm::Es256)
    }

    fn key_for(algorithm: KeyAlgorithm) -> SigningKey {
        let random = SystemRandom::new();
        let new = PlainKey::generate(algorithm, &random, datetime!(2026-01-01 00:00 UTC)).unwrap();
        SigningKey::new(new, &random).unwrap()
    }

    #[test]
    fn no_id_of_a_key_that_is_made_looks_like_an_option() {
        let random = SystemRandom::new();
        for _ in 0..500 {
            let made = PlainKey::generate(KeyAlgorithm::EdDsa, &random, datetime!(2026-01-01 00:00 UTC));
            assert!(!made.unwrap().kid(&random).unwrap().starts_with('-'));
        }
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
        let PublicKey::EllipticCurve { x, y, .. } = &key.public else { panic!("not P-256") };
        let verifying = DecodingKey::from_ec_components(x, y).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&["s"]);
        for (verifier, certificates) in
            [(Verifier::Distribution2, 1), (Verifier::Distribution3, 0), (Verifier::Portcullis, 0)]
        {
            let token = key.sign(&claims(), verifier).unwrap();
            let decoded = jsonwebtoken::decode::<Claims>(&token, &verifying, &validation).unwrap();
            assert_eq!(decoded.claims, claims());
            assert_eq!(decoded.header.kid.as_deref(), Some(key.kid()));
            assert_eq!(decoded.header.x5c.map_or(0, |chain| chain.len()), certificates);
        }
    }

    #[test]
    fn a_token_of_an_edwards_key_verifies_and_has_no_critical_header() {
        shared::server::jwt_crypto::install();
        let key = key_for(KeyAlgorithm::EdDsa);
        let PublicKey::Edwards { crv, x } = &key.public else { panic!("not Ed25519") };
        assert_eq!(crv, "Ed25519");
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["s"]);
        let token = key.sign(&claims(), Verifier::Distribution3).unwrap();
        let verifying = DecodingKey::from_ed_components(x).unwrap();
        assert_eq!(jsonwebtoken::decode::<Claims>(&token, &verifying, &validation).unwrap().claims, claims());
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        let names: Vec<_> = header.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["alg", "kid", "typ"]);
        assert_eq!((&header["alg"], &header["kid"]), (&"EdDSA".into(), &key.kid().into()));
        assert!(PlainKey::generate(KeyAlgorithm::Rs256, &SystemRandom::new(), NEVER).is_err());
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
