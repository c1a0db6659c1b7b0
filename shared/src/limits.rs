//! What of `push` and `delete` on a repository a token allows, where that is not everything.
//!
//! The token specification knows no tags, so limits travel in our own claim and are enforced by our registry; for a
//! registry that cannot enforce them the whole action is withheld.
//!
//! *Invariant:* what is not said is not allowed, and an entry with a member this version does not know does not parse:
//! whoever cannot read a limit must not take it for the absence of one.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::action::ActionSet;
use crate::glob;
use crate::repository_name::RepositoryName;

/// Longest tag pattern in bytes.
pub const MAX_TAG_PATTERN_BYTES: usize = 100;

/// With what a part of a glob begins that is not literal.
const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];

/// A glob over tags, such as `v*` or `pr-[0-9]*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagPattern(Box<str>);

/// Why a text is not a pattern of tags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTagPattern {
    /// More than [`MAX_TAG_PATTERN_BYTES`], or nothing.
    #[error("a pattern of tags has 1 to {MAX_TAG_PATTERN_BYTES} bytes")]
    Length,
    /// The wildcards make no sense, or a letter that no tag has.
    #[error("{0}")]
    Glob(&'static str),
}

impl TagPattern {
    /// Parses a pattern as a person writes it.
    pub fn parse(text: &str) -> Result<Self, InvalidTagPattern> {
        if text.is_empty() || text.len() > MAX_TAG_PATTERN_BYTES {
            return Err(InvalidTagPattern::Length);
        }
        glob::check(text, glob::Subject::Tags).map_err(InvalidTagPattern::Glob)?;
        Ok(Self(text.into()))
    }

    /// Every tag.
    pub fn any() -> Self {
        Self("*".into())
    }

    /// Whether a tag is covered.
    pub fn matches(&self, tag: &str) -> bool {
        glob::matches(&self.0, tag)
    }

    /// Whether every tag that the other covers is covered; no if in doubt.
    pub fn covers(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        let literal = |text: &str| text.find(WILDCARDS).unwrap_or(text.len());
        let of_other = &other.0[..literal(&other.0)];
        if of_other.len() == other.0.len() {
            return self.matches(of_other);
        }
        // What is after the only star of this one may be anything, so only the beginning counts.
        self.0.strip_suffix('*').is_some_and(|own| literal(own) == own.len() && of_other.starts_with(own))
    }

    /// The pattern itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for TagPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TagPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A set of tags: those within, less the exceptions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagSet {
    /// Patterns that put a tag into the set.
    #[serde(rename = "in", default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<TagPattern>,
    /// Patterns that keep it out, whatever the others say.
    #[serde(rename = "not", default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<TagPattern>,
}

impl TagSet {
    /// Every tag.
    pub fn everything() -> Self {
        Self { within: vec![TagPattern::any()], except: Vec::new() }
    }

    /// Whether a tag is in the set.
    pub fn contains(&self, tag: &str) -> bool {
        self.within.iter().any(|pattern| pattern.matches(tag)) && !self.is_excepted(tag)
    }

    /// No tag, whatever else allows it.
    pub fn denied() -> Self {
        Self { within: Vec::new(), except: vec![TagPattern::any()] }
    }

    /// Whether no pattern puts anything into it.
    pub fn is_empty(&self) -> bool {
        self.within.is_empty()
    }

    /// Whether a tag is kept out, also of what is allowed without being in a set.
    pub fn is_excepted(&self, tag: &str) -> bool {
        self.except.iter().any(|pattern| pattern.matches(tag))
    }

    /// Whether it is every tag by its patterns alone.
    pub fn is_everything(&self) -> bool {
        self.except.is_empty() && self.within.iter().any(|pattern| &*pattern.0 == "*")
    }
}

/// `pr-*, v* but not v1.*`, for sentences.
impl fmt::Display for TagSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.within.is_empty() {
            return f.write_str("no tag");
        }
        f.write_str(&joined(&self.within))?;
        if self.except.is_empty() { Ok(()) } else { write!(f, " but not {}", joined(&self.except)) }
    }
}

fn joined(patterns: &[TagPattern]) -> String {
    patterns.iter().map(TagPattern::as_str).collect::<Vec<_>>().join(", ")
}

/// What the rights on one repository come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the token")]
pub struct Limits {
    /// Which repository.
    #[serde(rename = "name")]
    pub repository: RepositoryName,
    /// What is allowed within these limits and stands nowhere else in the token, so that a registry that does not read
    /// them allows less and not more.
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub actions: ActionSet,
    /// Tags that may be made.
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub create: TagSet,
    /// Tags that may be moved to another manifest.
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub update: TagSet,
    /// Tags that may be taken away.
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub delete: TagSet,
    /// Whether the repository may be made by pushing to it.
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub new: bool,
    /// Whether manifests may be pushed by digest.
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub digests: bool,
    /// Whether what refers to another manifest may be attached to it, see [`is_attachment`].
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub attach: bool,
    /// Whether manifests and blobs may be deleted by digest.
    #[serde(default, skip_serializing_if = "says_nothing")]
    pub manifests: bool,
}

/// Whether clients put signatures and the like under this tag, made of the digest they are about.
pub fn is_attachment(tag: &str) -> bool {
    let Some(rest) = tag.strip_prefix("sha256-") else { return false };
    let Some((hex, suffix)) = rest.split_at_checked(64) else { return false };
    let is_hex = hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    is_hex && matches!(suffix, "" | ".sig" | ".att" | ".sbom")
}

fn says_nothing<T: Default + PartialEq>(member: &T) -> bool {
    *member == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(within: &[&str], except: &[&str]) -> TagSet {
        let parsed =
            |texts: &[&str]| texts.iter().map(|text| TagPattern::parse(text).expect("a pattern")).collect();
        TagSet { within: parsed(within), except: parsed(except) }
    }

    #[test]
    fn a_pattern_covers_another_only_if_that_is_certain() {
        for (one, other, expected) in [
            ("*", "v*", true),
            ("v*", "v1.*", true),
            ("v*", "v[0-9]", true),
            ("v*", "v1", true),
            ("v[0-9]", "v1", true),
            ("{a,b}", "a", true),
            ("pr-?", "pr-?", true),
            ("v1*", "v*", false),
            ("v?*", "v1*", false),
            ("v*-rc", "v1-rc*", false),
            ("v*", "*", false),
            ("v*", "w1", false),
        ] {
            let parse = |text| TagPattern::parse(text).unwrap();
            assert_eq!(parse(one).covers(&parse(other)), expected, "{one} {other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_covered_has_no_tag_that_is_not(
            one in "[ab?*]{1,3}|[ab]{0,1}\\{a,b\\}[ab*]{0,1}|\\[ab\\][ab*]{0,2}",
            other in "[ab?*]{1,3}|[ab]{0,1}\\{a,b\\}[ab*]{0,1}|\\[ab\\][ab*]{0,2}",
            tag in "[ab]{1,4}",
        ) {
            let parsed = (TagPattern::parse(&one), TagPattern::parse(&other));
            if let (Ok(one), Ok(other)) = parsed {
                proptest::prop_assert!(!one.covers(&other) || !other.matches(&tag) || one.matches(&tag));
            }
        }
    }

    #[test]
    fn an_exception_wins() {
        let tags = set(&["v*", "main"], &["v1.[0-9]", "x"]);
        for (tag, expected) in
            [("v2.0", true), ("main", true), ("v1.0", false), ("v1.10", true), ("pr-1", false)]
        {
            assert_eq!(tags.contains(tag), expected, "{tag}");
        }
        assert_eq!(tags.to_string(), "v*, main but not v1.[0-9], x");
        assert!(TagSet::everything().is_everything() && TagSet::everything().contains("Any.Thing_1"));
        assert!(!set(&["*"], &["v*"]).is_everything());
        assert_eq!(TagSet::default().to_string(), "no tag");
    }

    #[test]
    fn patterns_are_globs_over_tags() {
        for text in ["v*", "pr-[0-9]*", "{main,edge}", "RC-?", "*", "_x"] {
            assert!(TagPattern::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a/b", "v**1", "[z-a]", "{a", "a b", "a:b", "\u{fc}", &"a".repeat(101)] {
            assert!(TagPattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_read_back_as_written_and_nothing_unknown_is_passed_over() {
        let json = r#"{"name":"a/b","create":{"in":["pr-*"],"not":["pr-0"]},"digests":true}"#;
        let limits: Limits = serde_json::from_str(json).expect("limits");
        assert_eq!(serde_json::to_string(&limits).expect("plain data"), json);
        assert!(limits.update.is_empty() && !limits.attach && !limits.manifests);
        for json in [
            r#"{"name":"a/b","newer":true}"#,
            r#"{"name":"a/b","create":{"in":["*"],"unless":["x"]}}"#,
            r#"{"name":"A"}"#,
            r#"{"create":{}}"#,
            r#"{"name":"a","create":{"in":["["]}}"#,
        ] {
            assert!(serde_json::from_str::<Limits>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn attachments_have_tags_of_the_digest_they_are_about() {
        let hex = "0123456789abcdef".repeat(4);
        for (tag, expected) in [
            (format!("sha256-{hex}"), true),
            (format!("sha256-{hex}.sig"), true),
            (format!("sha256-{hex}.att"), true),
            (format!("sha256-{hex}.exe"), false),
            (format!("sha256-{}", &hex[1..]), false),
            (format!("sha256-{}", hex.to_uppercase()), false),
            ("latest".to_owned(), false),
        ] {
            assert_eq!(is_attachment(&tag), expected, "{tag}");
        }
    }
}
