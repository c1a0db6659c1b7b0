//! Signing keys with certificates, for token servers of the distribution registry's kind.
//!
//! Key ids are computed here in another way than in the registry, so that the two check each other.
//!
//! *Invariant:* every certificate is valid around the moment it was made, unless a test says for how long.
//!
//! Spec: RFC 7515 (JWS), RFC 5280; libtrust, "Key ID".

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData as _,
};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use time::Duration;
use tokio::process::Command;

use crate::program;

/// What kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// P-256.
    Ec,
    /// P-256 with a coordinate that begins with a zero byte.
    EcWithZero,
    /// Ed25519.
    Ed,
    /// RSA with 2048 bits.
    Rsa,
}

/// A key and its certificate.
#[derive(Debug)]
pub struct Notary {
    kind: KeyKind,
    key: KeyPair,
    params: CertificateParams,
    certificate: Certificate,
}

impl Notary {
    /// A certificate that is its own authority.
    pub async fn alone(kind: KeyKind) -> anyhow::Result<Self> {
        let (key, params) = (make_key(kind).await?, params(true, Duration::hours(1)));
        let certificate = params.self_signed(&key)?;
        Ok(Self { kind, key, params, certificate })
    }

    /// A certificate by this one; `lifetime` is from now on and may be negative.
    pub async fn certify(
        &self,
        kind: KeyKind,
        is_authority: bool,
        lifetime: Duration,
    ) -> anyhow::Result<Self> {
        let (key, params) = (make_key(kind).await?, params(is_authority, lifetime));
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key))?;
        Ok(Self { kind, key, params, certificate })
    }

    /// The certificate as PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The key as RFC 7638 calls it.
    pub fn thumbprint(&self) -> String {
        self.named(&|coordinate| coordinate)
    }

    /// The same, with curve coordinates as whole numbers, as Go prints them.
    pub fn short_thumbprint(&self) -> String {
        self.named(&without_zeros)
    }

    fn named(&self, coordinate: &dyn Fn(&[u8]) -> &[u8]) -> String {
        let raw = self.key.der_bytes();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let canonical = match self.kind {
            KeyKind::Ec | KeyKind::EcWithZero => {
                let (x, y) = (text(coordinate(&raw[1..33])), text(coordinate(&raw[33..])));
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            KeyKind::Ed => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(raw)),
            // A sequence of two integers: four bytes of head, four of the modulus's, its leading zero, itself.
            KeyKind::Rsa => format!(r#"{{"e":"AQAB","kty":"RSA","n":"{}"}}"#, text(&raw[9..9 + 256])),
        };
        text(ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes()).as_ref())
    }

    /// The key as the 2.x line calls it.
    pub fn fingerprint(&self) -> String {
        const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let info = self.key.subject_public_key_info();
        let digest = ring::digest::digest(&ring::digest::SHA256, &info);
        let bits: Vec<usize> = digest.as_ref()[..30]
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |bit| usize::from(byte >> bit & 1)))
            .collect();
        let letters: Vec<char> = bits
            .chunks(5)
            .filter_map(|five| ALPHABET.chars().nth(five.iter().fold(0, |index, bit| index * 2 + bit)))
            .collect();
        letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(":")
    }

    /// A token that names this key.
    pub fn sign_as(&self, kid: &str, claims: &Value) -> anyhow::Result<String> {
        self.sign(json!({"kid": kid}), claims)
    }

    /// A token that brings this certificate and others along.
    pub fn sign_with_chain(&self, others: &[&Self], claims: &Value) -> anyhow::Result<String> {
        self.sign(json!({"x5c": self.chain(others)}), claims)
    }

    /// This certificate and others, as a token brings them along.
    pub fn chain(&self, others: &[&Self]) -> Value {
        let all = std::iter::once(&self).chain(others);
        all.map(|notary| STANDARD.encode(notary.certificate.der())).collect()
    }

    /// A token with anything in its header.
    pub fn sign(&self, mut header: Value, claims: &Value) -> anyhow::Result<String> {
        let algorithm = match self.kind {
            KeyKind::Ec | KeyKind::EcWithZero => "ES256",
            KeyKind::Ed => "EdDSA",
            KeyKind::Rsa => "RS256",
        };
        header["typ"] = json!("JWT");
        header["alg"] = json!(algorithm);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(claims));
        let signature = self.signature(text.as_bytes()).context("the crypto library cannot sign")?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn signature(&self, text: &[u8]) -> Option<Vec<u8>> {
        let (random, der) = (SystemRandom::new(), self.key.serialized_der());
        match self.kind {
            KeyKind::Ec | KeyKind::EcWithZero => {
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random).ok()?;
                Some(key.sign(&random, text).ok()?.as_ref().to_vec())
            }
            KeyKind::Ed => {
                let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
                Some(key.sign(text).as_ref().to_vec())
            }
            KeyKind::Rsa => {
                let key = RsaKeyPair::from_pkcs8(der).ok()?;
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).ok()?;
                Some(signature)
            }
        }
    }
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}

async fn make_key(kind: KeyKind) -> anyhow::Result<KeyPair> {
    match kind {
        KeyKind::Ec => Ok(KeyPair::generate()?),
        KeyKind::Ed => Ok(KeyPair::generate_for(&rcgen::PKCS_ED25519)?),
        KeyKind::EcWithZero => loop {
            // One in some hundred and thirty.
            let key = KeyPair::generate()?;
            if key.der_bytes()[1] == 0 || key.der_bytes()[33] == 0 {
                return Ok(key);
            }
        },
        // The crypto library makes no RSA keys.
        KeyKind::Rsa => {
            let mut command = Command::new(program::find("openssl", "openssl")?);
            command.args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
            let said = program::run(&mut command, "").await?;
            Ok(KeyPair::from_pem(&said.success()?.output)?)
        }
    }
}

fn params(is_authority: bool, lifetime: Duration) -> CertificateParams {
    let now = SystemClock.now();
    let mut params = CertificateParams::default();
    // Names tell authorities apart, as everywhere.
    params.distinguished_name.push(DnType::CommonName, uuid::Uuid::new_v4().to_string());
    params.not_before = now - Duration::hours(2);
    params.not_after = now + lifetime;
    if is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
}
