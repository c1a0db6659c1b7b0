//! Certificates whose keys may sign tokens: a PEM bundle, as the distribution registry takes it.
//!
//! A certificate counts in two ways. Its key is trusted under each id that token servers make of it: the thumbprint
//! of the standard, the thumbprint as Go programs of the 3.x line spell it, and the fingerprint of the 2.x line. And it
//! is an authority for the chain of certificates that a token may bring along (`x5c`).
//!
//! *Invariant:* dates count for chains only; a key is trusted under its id for as long as its certificate is in the
//! bundle, as it is there.
//!
//! Spec: RFC 5280, RFC 7638, RFC 7515 §4.1.6; libtrust, "Key ID".

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use shared::key_set::{Jwk, MAX_KEYS, PublicKey};
use shared::server::signed_token::keys::VerificationKey;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_SIG_ED25519};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey as CertifiedKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Of this many bytes of a digest a fingerprint of the 2.x line is made.
const FINGERPRINT_BYTES: usize = 30;

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    #[error("it holds no certificate in PEM form")]
    Empty,
    #[error("its certificate number {0} cannot be read")]
    Unreadable(usize),
    #[error(
        "it holds more than {MAX_KEYS} certificates, like a list of public authorities; whoever has a certificate \
         from one of them could sign tokens"
    )]
    TooMany,
}

/// Why a chain of certificates proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChainError {
    #[error("it is not a list of certificates")]
    Malformed,
    #[error("its first certificate is not valid at this time")]
    NotValidNow,
    #[error("it does not lead to a trusted certificate: {0}")]
    NotTrusted(String),
    #[error("its first certificate has a key of a kind that is not supported")]
    KeyNotSupported,
}

/// Certificates that are trusted.
#[derive(Debug, Default)]
pub(crate) struct Bundle {
    certificates: Vec<CertificateDer<'static>>,
    authorities: Vec<Authority>,
    by_id: BTreeMap<String, VerificationKey>,
}

/// What may have signed a certificate, and from which second to which; the library does not look at its dates.
#[derive(Debug)]
struct Authority {
    anchor: TrustAnchor<'static>,
    valid: RangeInclusive<i64>,
}

impl PartialEq for Bundle {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

/// The key of a chain's first certificate.
pub(super) struct ChainKey {
    pub(super) key: VerificationKey,
    /// The second after which one of the certificates is no longer valid.
    pub(super) until: i64,
}

impl Bundle {
    /// Reads the text of a bundle. Other things in it, such as a private key, are passed over.
    pub(crate) fn parse(pem: &[u8]) -> Result<Self, BundleError> {
        let mut bundle = Self::default();
        for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem)) {
            let certificate = certificate.map_err(|_| BundleError::Unreadable(number))?;
            bundle.add(certificate).ok_or(BundleError::Unreadable(number))?;
            if bundle.certificates.len() > MAX_KEYS {
                return Err(BundleError::TooMany);
            }
        }
        if bundle.is_empty() { Err(BundleError::Empty) } else { Ok(bundle) }
    }

    fn add(&mut self, certificate: CertificateDer<'static>) -> Option<()> {
        let (_, parsed) = X509Certificate::from_der(&certificate).ok()?;
        let info = parsed.public_key();
        let key = public_key(info);
        if let Some((key, trusted)) = key.and_then(|key| trusted(&key).map(|trusted| (key, trusted))) {
            for id in key_ids(&key, info.raw) {
                self.by_id.insert(id, trusted.clone());
            }
        } else {
            tracing::warn!(
                certificate.subject = %parsed.subject(),
                "the certificate's key is of a kind that cannot check tokens; it counts as an authority only"
            );
        }
        if let Ok(anchor) = webpki::anchor_from_trusted_cert(&certificate) {
            self.authorities.push(Authority { anchor: anchor.to_owned(), valid: valid(&parsed) });
        }
        self.certificates.push(certificate);
        Some(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// The key that goes by this id.
    pub(super) fn key(&self, id: &str) -> Option<&VerificationKey> {
        self.by_id.get(id)
    }

    /// Every key once, with one of its ids.
    pub(super) fn keys(&self) -> impl Iterator<Item = &VerificationKey> {
        self.by_id.values()
    }

    /// The key of the first certificate of a token's `x5c`, if the chain can be trusted at this second.
    pub(super) fn chain_key(&self, x5c: &serde_json::Value, now: i64) -> Result<ChainKey, ChainError> {
        let chain = chain_of(x5c).ok_or(ChainError::Malformed)?;
        let (leaf, others) = chain.split_first().ok_or(ChainError::Malformed)?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| ChainError::Malformed)?;
        if !valid(&parsed).contains(&now) {
            return Err(ChainError::NotValidNow);
        }
        if !self.certificates.contains(leaf) {
            self.check_path(leaf, others, now)?;
        }
        let key = public_key(parsed.public_key()).as_ref().and_then(trusted);
        let ends = chain.iter().filter_map(|certificate| {
            let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
            Some(*valid(&parsed).end())
        });
        // Whichever authority it was: when the first of them ends, the chain is looked at again.
        let ends = ends.chain(self.authorities_at(now).map(|authority| *authority.valid.end()));
        Ok(ChainKey { key: key.ok_or(ChainError::KeyNotSupported)?, until: ends.min().unwrap_or(now) })
    }

    fn authorities_at(&self, now: i64) -> impl Iterator<Item = &Authority> {
        self.authorities.iter().filter(move |authority| authority.valid.contains(&now))
    }

    fn check_path(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: i64,
    ) -> Result<(), ChainError> {
        let not_trusted = |error: webpki::Error| ChainError::NotTrusted(error.to_string());
        let leaf = EndEntityCert::try_from(leaf).map_err(not_trusted)?;
        let authorities: Vec<_> =
            self.authorities_at(now).map(|authority| authority.anchor.clone()).collect();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or_default()));
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        leaf.verify_for_usage(algorithms, &authorities, others, now, AnyUsage, None, None)
            .map(|_| ())
            .map_err(not_trusted)
    }
}

/// The seconds at which a certificate is valid.
fn valid(certificate: &X509Certificate<'_>) -> RangeInclusive<i64> {
    let validity = certificate.validity();
    validity.not_before.timestamp()..=validity.not_after.timestamp()
}

/// Certificates for signing tokens are made for whatever their makers thought of.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

/// The certificates of a token's header: a list of texts, each the Base64 of one.
fn chain_of(x5c: &serde_json::Value) -> Option<Vec<CertificateDer<'static>>> {
    let decode = |text: &serde_json::Value| STANDARD.decode(text.as_str()?).ok().map(CertificateDer::from);
    x5c.as_array()?.iter().map(decode).collect()
}

/// A key of a certificate is for every algorithm of its family.
fn trusted(key: &PublicKey) -> Option<VerificationKey> {
    VerificationKey::new(&Jwk { key: key.clone(), kid: None, alg: None, usage: None })
}

/// The key of a certificate in the form of a key set; nothing for a kind that no algorithm is for.
fn public_key(info: &SubjectPublicKeyInfo<'_>) -> Option<PublicKey> {
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(without_leading_zeros(bytes));
    match info.parsed().ok()? {
        CertifiedKey::RSA(key) => Some(PublicKey::Rsa { n: number(key.modulus), e: number(key.exponent) }),
        CertifiedKey::EC(point) => {
            let curve = info.algorithm.parameters.as_ref()?.as_oid().ok()?;
            let (crv, size) = if curve == OID_EC_P256 {
                ("P-256", 32)
            } else if curve == OID_NIST_EC_P384 {
                ("P-384", 48)
            } else {
                return None;
            };
            // An uncompressed point: 4, x, y.
            let coordinates = point.data().strip_prefix(&[4]).filter(|rest| rest.len() == 2 * size)?;
            let (x, y) = coordinates.split_at(size);
            let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
            Some(PublicKey::EllipticCurve { crv: crv.into(), x, y })
        }
        CertifiedKey::Unknown(bytes) if info.algorithm.algorithm == OID_SIG_ED25519 => {
            Some(PublicKey::Edwards { crv: "Ed25519".into(), x: URL_SAFE_NO_PAD.encode(bytes) })
        }
        _ => None,
    }
}

/// What token servers call a key; `info` is the DER of its `SubjectPublicKeyInfo`.
fn key_ids(key: &PublicKey, info: &[u8]) -> BTreeSet<String> {
    let mut ids = BTreeSet::from([key.thumbprint(), fingerprint(info)]);
    if let PublicKey::EllipticCurve { crv, x, y } = key {
        let stripped = |coordinate: &String| {
            let bytes = URL_SAFE_NO_PAD.decode(coordinate).unwrap_or_default();
            URL_SAFE_NO_PAD.encode(without_leading_zeros(&bytes))
        };
        let key = PublicKey::EllipticCurve { crv: crv.clone(), x: stripped(x), y: stripped(y) };
        ids.insert(key.thumbprint());
    }
    ids
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// The key id of the 2.x line: the beginning of a digest in Base32, in groups of four.
fn fingerprint(info: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = digest::digest(&digest::SHA256, info);
    let mut text = String::new();
    // Five bytes are eight letters.
    for (number, five) in digest.as_ref()[..FINGERPRINT_BYTES].chunks(5).enumerate() {
        let bits = five.iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        for letter in 0..8 {
            if letter % 4 == 0 && (number, letter) != (0, 0) {
                text.push(':');
            }
            let index = usize::try_from((bits >> (35 - 5 * letter)) & 31).expect("five bits");
            text.push(char::from(ALPHABET[index]));
        }
    }
    text
}

#[cfg(test)]
mod tests;
