//! The name of an upload session.
//!
//! *Invariant:* an [`UploadId`] is a UUID in its usual spelling, so it is one harmless path component; those we make
//! are random (version 4) and cannot be guessed.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use uuid::{Builder, Uuid};

use super::error::RegistryError;

/// Names one upload session of one repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UploadId(Uuid);

impl UploadId {
    /// A new name.
    pub(super) fn random(random: &SystemRandom) -> Result<Self, RegistryError> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes).map_err(|_| RegistryError::NoRandomness)?;
        Ok(Self(Builder::from_random_bytes(bytes).into_uuid()))
    }

    /// Reads the usual spelling, lower-case with dashes; of any version, since others have made sessions too.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok()?;
        (id.as_hyphenated().to_string() == text).then_some(Self(id))
    }

    /// As the key tree wants it.
    pub(super) fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn new_ids_are_random_and_of_version_four() {
        let random = SystemRandom::new();
        let (a, b) = (UploadId::random(&random).expect("an id"), UploadId::random(&random).expect("an id"));
        assert_ne!(a, b);
        assert_eq!(a.uuid().get_version_num(), 4);
        assert_eq!(UploadId::parse(&a.to_string()), Some(a));
    }

    #[test]
    fn other_spellings_are_not_ids() {
        let id = "0190a6d2-7f0a-7000-8000-0123456789ab";
        assert!(UploadId::parse(id).is_some(), "the distribution registry uses version 7");
        for other in [
            "",
            ".",
            "..",
            "a/b",
            "0190a6d27f0a700080000123456789ab",
            "0190A6D2-7F0A-7000-8000-0123456789AB",
            "{0190a6d2-7f0a-7000-8000-0123456789ab}",
            "urn:uuid:0190a6d2-7f0a-7000-8000-0123456789ab",
        ] {
            assert!(UploadId::parse(other).is_none(), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_parses_prints_as_it_was(text in "[0-9a-f-]{30,40}|\\PC{0,40}") {
            if let Some(id) = UploadId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
