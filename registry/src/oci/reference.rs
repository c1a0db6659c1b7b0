//! What a client asks a manifest by: a tag or a digest.
//!
//! *Invariant:* a [`Tag`] is a single path component that is neither hidden nor climbing; a text with a colon is a
//! digest or an error, never a tag.
//!
//! Spec: distribution-spec, "Pulling manifests", `<reference>`.

use std::fmt;
use std::str::FromStr;

use super::digest::{Digest, InvalidDigest};

/// Longest tag in bytes.
pub const MAX_TAG_BYTES: usize = 128;

/// A name for a manifest that can be moved: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Box<str>);

/// A text is not a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tag has 1 to {MAX_TAG_BYTES} letters, digits, underscores, dots and dashes, and does not begin with a dot or a dash"
)]
pub struct InvalidTag;

impl Tag {
    /// Checks `text` against the grammar.
    pub fn parse(text: &str) -> Result<Self, InvalidTag> {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let first = text.bytes().next().ok_or(InvalidTag)?;
        let fits = text.len() <= MAX_TAG_BYTES && text.bytes().all(inside) && !matches!(first, b'.' | b'-');
        fits.then(|| Self(text.into())).ok_or(InvalidTag)
    }

    /// The tag itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tag or a digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// Whatever the tag names at the moment.
    Tag(Tag),
    /// Exactly this content.
    Digest(Digest),
}

/// Why a text is neither tag nor digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// There is no colon, so it would have to be a tag.
    #[error(transparent)]
    Tag(#[from] InvalidTag),
    /// There is a colon, so it would have to be a digest.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
}

impl Reference {
    /// Reads a tag or a digest.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        if text.contains(':') {
            Ok(Self::Digest(Digest::parse(text)?))
        } else {
            Ok(Self::Tag(Tag::parse(text)?))
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_tags_are_refused() {
        for text in ["", ".", "..", ".hidden", "-x", "a/b", "a b", "a\0", "a\n", "ä", "a%2f", "a+b", "a@b"] {
            assert_eq!(Tag::parse(text), Err(InvalidTag), "{text:?}");
        }
        assert!(Tag::parse(&"a".repeat(128)).is_ok());
        assert_eq!(Tag::parse(&"a".repeat(129)), Err(InvalidTag));
    }

    #[test]
    fn a_text_with_a_colon_is_never_a_tag() {
        assert_eq!(Reference::parse("latest"), Ok(Reference::Tag(Tag::parse("latest").expect("a tag"))));
        assert!(matches!(Reference::parse("sha256:baddigeststring"), Err(InvalidReference::Digest(_))));
        assert!(matches!(Reference::parse("a:b"), Err(InvalidReference::Digest(_))));
        let digest = Digest::sha256_of(b"x");
        assert_eq!(Reference::parse(&digest.to_string()), Ok(Reference::Digest(digest)));
    }

    proptest! {
        #[test]
        fn every_tag_of_the_grammar_parses_to_itself(text in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}") {
            let tag = Tag::parse(&text).expect("generated from the grammar");
            prop_assert_eq!(tag.as_str(), &text);
        }

        #[test]
        fn whatever_parses_prints_as_it_was(text in "\\PC{0,20}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}
