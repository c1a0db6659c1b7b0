//! Names of users, teams and workloads.
//!
//! *Invariant:* a [`PrincipalName`] is folded to lower case, needs no escaping in a log line, a URL or a command,
//! and is none of the names that mean something special to a client or to us.

use std::fmt;

use super::login::device::{CODE_PREFIX, DEVICE_PREFIX};
use super::login::opaque_token::TokenKind;

/// Longest name in bytes.
pub const MAX_NAME_BYTES: usize = 63;

/// Words that clients or later logins use in place of a user name, and groups that exist without being made.
const RESERVED: &[&str] = &[
    "00000000-0000-0000-0000-000000000000",
    "anonymous",
    "authenticated",
    "cli",
    "everyone",
    "oidc",
    "robot",
    "system",
    "token",
];

/// A well-formed name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalName(Box<str>);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// It breaks the grammar.
    #[error(
        "a name has 1 to {MAX_NAME_BYTES} letters, digits, dots, dashes and underscores, and begins with a \
         letter or digit"
    )]
    Grammar,
    /// It means something else already.
    #[error("the name `{0}` is reserved")]
    Reserved(String),
}

impl PrincipalName {
    /// Folds and checks a name. Reserved words are names here: nobody can have made a user of them.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let text = text.to_ascii_lowercase();
        let letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = text.len() <= MAX_NAME_BYTES
            && text.as_bytes().first().is_some_and(letter)
            && text.bytes().all(|byte| letter(&byte) || b"._-".contains(&byte));
        if fits { Ok(Self(text.into())) } else { Err(InvalidName::Grammar) }
    }

    /// Folds and checks a name that is about to be given to somebody.
    pub fn parse_new(text: &str) -> Result<Self, InvalidName> {
        let name = Self::parse(text)?;
        let prefixes = TokenKind::ALL.map(TokenKind::prefix).into_iter().chain([DEVICE_PREFIX, CODE_PREFIX]);
        let is_token = { prefixes }.any(|prefix| name.as_str().starts_with(prefix));
        if RESERVED.contains(&name.as_str()) || is_token {
            return Err(InvalidName::Reserved(name.as_str().to_owned()));
        }
        Ok(name)
    }

    /// The folded name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PrincipalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_folded_and_strange_ones_refused() {
        assert_eq!(PrincipalName::parse("Alice.B-c_9").unwrap().as_str(), "alice.b-c_9");
        for text in ["", "<token>", "a b", "a:b", "a/b", "a@b", "-a", ".a", "ä", "a\n", "$x", "alice "] {
            assert_eq!(PrincipalName::parse(text), Err(InvalidName::Grammar), "{text:?}");
        }
        assert!(PrincipalName::parse(&"a".repeat(63)).is_ok());
        assert!(PrincipalName::parse(&"a".repeat(64)).is_err());
    }

    #[test]
    fn special_words_cannot_be_given_to_anybody() {
        for word in RESERVED {
            assert!(matches!(PrincipalName::parse_new(&word.to_uppercase()), Err(InvalidName::Reserved(_))));
        }
        assert!(PrincipalName::parse_new("pcr_abc").is_err(), "it looks like a token");
        assert!(PrincipalName::parse_new("admin").is_ok());
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in "[A-Za-z0-9][A-Za-z0-9._-]{0,62}") {
            let once = PrincipalName::parse(&text).unwrap();
            prop_assert_eq!(&PrincipalName::parse(once.as_str()).unwrap(), &once);
        }
    }
}
