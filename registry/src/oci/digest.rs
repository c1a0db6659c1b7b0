//! The name of content: an algorithm and the hash of the bytes.
//!
//! *Invariant:* a [`Digest`] is spelled in lower-case hexadecimal of the full length of its algorithm, so that two
//! equal digests are equal texts and a digest can be part of a path.
//!
//! Only algorithms this registry can compute become a `Digest`. [`is_well_formed`] tells the grammar alone, for the
//! places where a foreign algorithm is no error.
//!
//! Spec: image-spec, "Digests".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::hasher::Hasher;

/// A hash function this registry can compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// The canonical one: all bytes are stored under it.
    Sha256,
    /// Accepted from clients that ask for it.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, the canonical one first, in the order of their names.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The algorithm of that name.
    pub fn parse(name: &str) -> Result<Self, InvalidDigest> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
            .ok_or(InvalidDigest::UnsupportedAlgorithm)
    }

    /// As it is spelled before the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hexadecimal digits a hash has.
    pub fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// A digest such as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

/// Why a text is not a digest we can work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// Not of the form `algorithm:hash`.
    #[error("a digest looks like `sha256:` followed by 64 hexadecimal digits")]
    Grammar,
    /// Well-formed, but nothing we can compute.
    #[error("unsupported digest algorithm; this registry knows sha256 and sha512")]
    UnsupportedAlgorithm,
    /// The hash is too short or too long for its algorithm.
    #[error("invalid checksum digest length")]
    Length,
    /// The hash has other characters than `0`–`9` and `a`–`f`.
    #[error("invalid checksum digest format: only lower-case hexadecimal digits are allowed")]
    Hexadecimal,
}

impl Digest {
    /// Reads `algorithm:hash`.
    pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
        if !is_well_formed(text) {
            return Err(InvalidDigest::Grammar);
        }
        let (algorithm, hex) = text.split_once(':').ok_or(InvalidDigest::Grammar)?;
        Self::from_hex(Algorithm::parse(algorithm)?, hex)
    }

    /// Puts a digest together from its two parts.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Result<Self, InvalidDigest> {
        if hex.len() != algorithm.hex_length() {
            return Err(InvalidDigest::Length);
        }
        if !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(InvalidDigest::Hexadecimal);
        }
        Ok(Self { algorithm, hex: hex.into() })
    }

    /// Names `content` by `algorithm`.
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.digest()
    }

    /// The canonical name of `content`.
    pub fn sha256_of(content: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, content)
    }

    /// From the output of a hash function.
    pub(super) fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        debug_assert_eq!(hash.len() * 2, algorithm.hex_length());
        let digit = |value: u8| char::from(DIGITS[usize::from(value & 0xf)]);
        let hex: String = hash.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect();
        Self { algorithm, hex: hex.into() }
    }

    /// The bytes of a SHA-256 hash: half the size of its digits, for those who hold very many.
    pub fn sha256_bytes(&self) -> Option<[u8; 32]> {
        let mut hash = [0; 32];
        if self.algorithm != Algorithm::Sha256 {
            return None;
        }
        let value = |digit: u8| if digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 };
        for (byte, digits) in hash.iter_mut().zip(self.hex.as_bytes().chunks_exact(2)) {
            *byte = value(digits[0]) << 4 | value(digits[1]);
        }
        Some(hash)
    }

    /// The digest with this SHA-256 hash.
    pub fn from_sha256_bytes(hash: [u8; 32]) -> Self {
        Self::from_hash(Algorithm::Sha256, &hash)
    }

    /// The hash function.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash, in lower-case hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

/// Whether `text` has the shape of a digest of any algorithm, known or not:
/// `[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+`.
pub fn is_well_formed(text: &str) -> bool {
    let Some((algorithm, encoded)) = text.split_once(':') else { return false };
    let in_component = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    algorithm
        .split(['+', '.', '_', '-'])
        .all(|component| !component.is_empty() && component.bytes().all(in_component))
        && !encoded.is_empty()
        && encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b'_' | b'-'))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_empty_content_has_its_published_names() {
        assert_eq!(Digest::sha256_of(b"").to_string(), EMPTY);
        assert_eq!(
            Digest::of(Algorithm::Sha512, b"").to_string(),
            "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
             47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
        );
    }

    #[test]
    fn texts_that_are_no_digest_are_told_apart() {
        let upper = EMPTY.to_uppercase().replacen("SHA256", "sha256", 1);
        for (text, expected) in [
            ("", InvalidDigest::Grammar),
            ("sha256", InvalidDigest::Grammar),
            ("sha256:", InvalidDigest::Grammar),
            (":abc", InvalidDigest::Grammar),
            ("SHA256:abc", InvalidDigest::Grammar),
            ("sha256:../../../etc/passwd", InvalidDigest::Grammar),
            ("sha256:a:b", InvalidDigest::Grammar),
            ("sha256:11", InvalidDigest::Length),
            ("sha256:baddigeststring", InvalidDigest::Length),
            ("md5:d41d8cd98f00b204e9800998ecf8427e", InvalidDigest::UnsupportedAlgorithm),
            (upper.as_str(), InvalidDigest::Hexadecimal),
        ] {
            assert_eq!(Digest::parse(text), Err(expected), "{text:?}");
        }
        let with_newline = format!("{EMPTY}\n");
        assert_eq!(Digest::parse(&with_newline), Err(InvalidDigest::Grammar));
    }

    #[test]
    fn foreign_algorithms_are_well_formed_without_being_supported() {
        for text in
            ["multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8", "sha384:ab", "blake3:00=_-"]
        {
            assert!(is_well_formed(text), "{text}");
            assert!(Digest::parse(text).is_err(), "{text}");
        }
        assert!(!is_well_formed("a++b:00"));
        assert!(!is_well_formed("-a:00"));
    }

    proptest! {
        #[test]
        fn a_digest_parses_to_itself(content in proptest::collection::vec(any::<u8>(), 0..64), long in any::<bool>()) {
            let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let digest = Digest::of(algorithm, &content);
            prop_assert_eq!(Digest::parse(&digest.to_string()), Ok(digest.clone()));
            let short = digest.sha256_bytes();
            prop_assert_eq!(short.map(Digest::from_sha256_bytes), (!long).then_some(digest));
        }

        #[test]
        fn whatever_parses_prints_as_it_was(text in "(sha256|sha512|sha384|x):[0-9a-fA-F/.]{0,130}") {
            if let Ok(digest) = Digest::parse(&text) {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
