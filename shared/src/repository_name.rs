//! The name of a repository, as it stands between `/v2/` and `/manifests/`.
//!
//! *Invariant:* a [`RepositoryName`] obeys the grammar of the OCI distribution specification and is at most 255
//! bytes long; it can be used as a relative path, in a URL and in a log line without escaping.
//!
//! Spec: distribution-spec, "Pulling manifests", `<name>`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest accepted name in bytes; many clients cap host and name together at 255, so more is of no use.
pub const MAX_NAME_BYTES: usize = 255;

/// A well-formed repository name such as `platform/app`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(Box<str>);

/// Why a text is not a repository name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRepositoryName {
    /// There is nothing to look at.
    #[error("a repository name must not be empty")]
    Empty,
    /// More than [`MAX_NAME_BYTES`].
    #[error("a repository name has at most {MAX_NAME_BYTES} bytes")]
    TooLong,
    /// A component breaks the grammar.
    #[error(
        "a repository name is made of components such as `team/app`: lower-case letters and digits, \
         separated by one dot, one or two underscores, or dashes"
    )]
    Grammar,
}

impl RepositoryName {
    /// Checks `text` against the grammar.
    pub fn parse(text: &str) -> Result<Self, InvalidRepositoryName> {
        if text.is_empty() {
            return Err(InvalidRepositoryName::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(InvalidRepositoryName::TooLong);
        }
        if !text.split('/').all(is_component) {
            return Err(InvalidRepositoryName::Grammar);
        }
        Ok(Self(text.into()))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between the slashes; at least one.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
pub fn is_component(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(first) || !alphanumeric(last) {
        return false;
    }
    bytes.split(alphanumeric).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RepositoryName {
    type Err = InvalidRepositoryName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = InvalidRepositoryName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<RepositoryName> for String {
    fn from(name: RepositoryName) -> Self {
        name.0.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_the_field_are_accepted() {
        for name in
            ["a", "app", "platform/app", "a/b/c/d/e/f", "foo/blobs/uploads", "a.b/c_d/e__f/g-h/i---j", "0/1"]
        {
            assert!(RepositoryName::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        for name in [
            "", "/", "a/", "/a", "a//b", "A", "a/B", ".a", "a.", "a..b", "a/../b", "..", "a___b", "a_-b",
            "-a", "a-", "a:5000/b", "a b", "a%2fb", "a\0b", "ä", "*", "a/*", "_catalog", "a\n", "a/_x",
        ] {
            assert!(RepositoryName::parse(name).is_err(), "{name:?}");
        }
        assert!(RepositoryName::parse(&"a".repeat(255)).is_ok());
        assert_eq!(RepositoryName::parse(&"a".repeat(256)), Err(InvalidRepositoryName::TooLong));
    }

    proptest! {
        #[test]
        fn every_name_of_the_grammar_parses_to_itself(name in "[a-z0-9]{1,5}((\\.|_|__|-{1,3})[a-z0-9]{1,5}){0,3}(/[a-z0-9]{1,5}){0,4}") {
            let parsed = RepositoryName::parse(&name).expect("generated from the grammar");
            prop_assert_eq!(parsed.as_str(), &name);
        }

        #[test]
        fn no_accepted_name_climbs_or_carries_an_empty_component(text in "[a-z0-9._/-]{0,20}") {
            if let Ok(name) = RepositoryName::parse(&text) {
                prop_assert!(name.components().all(|c| !c.is_empty() && c != "." && c != ".."));
            }
        }
    }
}
