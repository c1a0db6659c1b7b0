//! Key pairs with which another token server signed, as it read them: a certificate and a key in PEM form.
//!
//! *Invariant:* what comes out can sign, its public half is the one of the certificate, and no message holds a part of
//! the private one.
//!
//! Spec: RFC 7468 (PEM), RFC 5958 (PKCS#8), RFC 8017 (PKCS#1), RFC 5915 (SEC 1).

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;
use x509_parser::asn1_rs::Any;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::OID_EC_P256;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey as CertifiedKey;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use super::signing::{KeyAlgorithm, KeyOrigin, PlainKey};

/// Weaker keys are refused by every verifier of ours.
const MIN_RSA_BITS: usize = 2048;

/// The crypto library signs with no longer ones.
const MAX_RSA_BITS: usize = 4096;

/// Why a key pair is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyPair {
    /// Not PEM, or something else in it.
    #[error("the certificate file holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)")]
    NoCertificate,
    /// Not DER.
    #[error("the certificate cannot be read")]
    UnreadableCertificate,
    /// Not PEM, or something else in it.
    #[error("the key file holds no private key in PEM form (`-----BEGIN PRIVATE KEY-----` or the like)")]
    NoKey,
    /// A password would be needed.
    #[error(
        "the private key is encrypted; decrypt it first, for example with `openssl pkey -in key.pem -out plain.pem`"
    )]
    EncryptedKey,
    /// An algorithm that is not supported.
    #[error(
        "the certificate has a key of another kind; keys that can be imported are RSA with {MIN_RSA_BITS} to \
         {MAX_RSA_BITS} bits and elliptic curve P-256"
    )]
    UnsupportedKind,
    /// Too short to be trusted.
    #[error("the RSA key has {0} bits; fewer than {MIN_RSA_BITS} are too weak to sign tokens with")]
    WeakKey(usize),
    /// Too long for the crypto library.
    #[error("the RSA key has {0} bits; more than {MAX_RSA_BITS} are not supported")]
    LongKey(usize),
    /// Two different keys.
    #[error("the private key and the certificate do not belong together")]
    Mismatch,
    /// The library does not sign with it.
    #[error("the private key is damaged or of an unusual make, and cannot sign")]
    UnusableKey,
    /// It begins later.
    #[error("the certificate is not valid before {0}")]
    NotYetValid(String),
    /// It has ended.
    #[error(
        "the certificate has expired on {0}; make a new one for the same key, or say that it may be (--allow-expired, \
         `allow_expired` in the API) if the registries go by the key and not by dates, as the distribution registry \
         does with keys of its `rootcertbundle`"
    )]
    Expired(String),
}

/// Whether the dates of the certificate matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// A certificate that has expired is refused.
    Refused,
    /// It is taken all the same.
    Allowed,
}

/// Reads a pair. Of several certificates the first counts, as it does for servers of TLS.
pub fn read_pair(
    certificate_pem: &[u8],
    key_pem: &[u8],
    expiry: Expiry,
    now: OffsetDateTime,
    random: &SystemRandom,
) -> Result<PlainKey, InvalidKeyPair> {
    let certificate =
        CertificateDer::from_pem_slice(certificate_pem).map_err(|_| InvalidKeyPair::NoCertificate)?;
    let (_, parsed) =
        X509Certificate::from_der(&certificate).map_err(|_| InvalidKeyPair::UnreadableCertificate)?;
    let key = read_key(key_pem)?;
    let info = parsed.public_key();
    let (algorithm, private_key) = match info.parsed() {
        Ok(CertifiedKey::RSA(public)) => {
            // A leading zero byte only keeps the number positive.
            let bits = public.key_size();
            if bits < MIN_RSA_BITS {
                return Err(InvalidKeyPair::WeakKey(bits));
            }
            if bits > MAX_RSA_BITS {
                return Err(InvalidKeyPair::LongKey(bits));
            }
            (KeyAlgorithm::Rs256, rsa_key(&key, info)?)
        }
        Ok(CertifiedKey::EC(point)) if is_p256(info) => {
            (KeyAlgorithm::Es256, p256_key(&key, point.data(), random)?)
        }
        _ => return Err(InvalidKeyPair::UnsupportedKind),
    };
    let validity = parsed.validity();
    if now.unix_timestamp() < validity.not_before.timestamp() {
        return Err(InvalidKeyPair::NotYetValid(validity.not_before.to_string()));
    }
    if expiry == Expiry::Refused && validity.not_after.timestamp() < now.unix_timestamp() {
        return Err(InvalidKeyPair::Expired(validity.not_after.to_string()));
    }
    Ok(PlainKey { algorithm, origin: KeyOrigin::Imported, private_key, certificate: certificate.to_vec() })
}

fn read_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, InvalidKeyPair> {
    let encrypted = b"ENCRYPTED";
    if pem.windows(encrypted.len()).any(|window| window == encrypted) {
        return Err(InvalidKeyPair::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| InvalidKeyPair::NoKey)
}

fn is_p256(info: &SubjectPublicKeyInfo<'_>) -> bool {
    let curve = info.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    curve.is_some_and(|curve| curve == OID_EC_P256)
}

/// PKCS#1.
fn rsa_key(
    key: &PrivateKeyDer<'_>,
    info: &SubjectPublicKeyInfo<'_>,
) -> Result<Zeroizing<Vec<u8>>, InvalidKeyPair> {
    let der = match key {
        PrivateKeyDer::Pkcs1(der) => der.secret_pkcs1_der(),
        PrivateKeyDer::Pkcs8(der) => inner_key(der.secret_pkcs8_der()).ok_or(InvalidKeyPair::NoKey)?,
        _ => return Err(InvalidKeyPair::Mismatch),
    };
    let kind_differs = members(der).is_some_and(|members| members.len() < 9);
    if kind_differs {
        return Err(InvalidKeyPair::Mismatch);
    }
    let pair = RsaKeyPair::from_der(der).map_err(|_| InvalidKeyPair::UnusableKey)?;
    if pair.public().as_ref() != &*info.subject_public_key.data {
        return Err(InvalidKeyPair::Mismatch);
    }
    Ok(Zeroizing::new(der.to_vec()))
}

/// PKCS#8 with the public key inside, as the crypto library wants it.
fn p256_key(
    key: &PrivateKeyDer<'_>,
    point: &[u8],
    random: &SystemRandom,
) -> Result<Zeroizing<Vec<u8>>, InvalidKeyPair> {
    let der = match key {
        PrivateKeyDer::Sec1(der) => der.secret_sec1_der(),
        PrivateKeyDer::Pkcs8(der) => inner_key(der.secret_pkcs8_der()).ok_or(InvalidKeyPair::NoKey)?,
        _ => return Err(InvalidKeyPair::Mismatch),
    };
    let members = members(der).ok_or(InvalidKeyPair::UnusableKey)?;
    let [version, scalar, ..] = members.as_slice() else { return Err(InvalidKeyPair::UnusableKey) };
    // An RSA key begins with a version of 0.
    if version.data != [1] || scalar.data.len() != 32 {
        return Err(InvalidKeyPair::Mismatch);
    }
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar.data, point, random)
        .map_err(|_| InvalidKeyPair::Mismatch)?;
    let mut pkcs8 = Zeroizing::new(P256_PKCS8_HEAD.to_vec());
    pkcs8.extend_from_slice(scalar.data);
    pkcs8.extend_from_slice(P256_PUBLIC_HEAD);
    pkcs8.extend_from_slice(point);
    EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8, random).map_err(|_| InvalidKeyPair::UnusableKey)?;
    Ok(pkcs8)
}

/// All that stands before the number: version, algorithm, curve, and the beginning of the key in it.
const P256_PKCS8_HEAD: &[u8] = &[
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01,
    0x04, 0x20,
];

/// What stands between the number and the point.
const P256_PUBLIC_HEAD: &[u8] = &[0xa1, 0x44, 0x03, 0x42, 0x00];

/// The key inside PKCS#8.
fn inner_key(pkcs8: &[u8]) -> Option<&[u8]> {
    members(pkcs8)?.get(2).map(|key| key.data)
}

/// The members of a sequence.
fn members(der: &[u8]) -> Option<Vec<Any<'_>>> {
    let (_, sequence) = Any::from_der(der).ok()?;
    let (mut members, mut rest) = (Vec::new(), sequence.data);
    while !rest.is_empty() {
        let (after, member) = Any::from_der(rest).ok()?;
        members.push(member);
        rest = after;
    }
    Some(members)
}
