//! What one credential is good for, of all that its owner holds.
//!
//! *Invariant:* limits only take away: whatever a decision gives with them, it gives without them. Stored limits that
//! this release does not understand let nobody in.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize as _;
use serde_json::Value;
use shared::limits::{InvalidTagPattern, TagPattern};
use shared::repository_name::RepositoryName;
use shared::repository_pattern::{InvalidPattern, RepositoryPattern};

use super::grant::{Conditions, Grant, InvalidConditions, MAX_NETWORKS};
use super::right::{RightSet, UnknownRight};
use crate::db::error::DbError;
use crate::db::limit_words::LimitWords;

/// Most patterns of repositories; every decision looks at all of them.
pub const MAX_REPOSITORIES: usize = 32;

/// What is not said is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialLimits {
    /// On repositories that one of these covers; on all if there are none.
    pub repositories: Vec<RepositoryPattern>,
    /// Only these rights.
    pub rights: Option<RightSet>,
    /// Only what can be confined to these tags, and what is needed around that.
    pub tags: Option<TagPattern>,
    /// Only for clients in one of these networks; for all if there are none.
    pub networks: Vec<IpNet>,
}

/// Why words are no limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimits {
    /// A pattern of repositories.
    #[error("`{0}` is no pattern of repositories: {1}")]
    Repository(String, #[source] InvalidPattern),
    /// A pattern that is another one for each user.
    #[error("`{0}` names another place for each user; say which")]
    PerUser(String),
    /// More than [`MAX_REPOSITORIES`].
    #[error("a credential is limited to at most {MAX_REPOSITORIES} patterns of repositories")]
    TooManyRepositories,
    /// A right.
    #[error(transparent)]
    Right(#[from] UnknownRight),
    /// A pattern of tags.
    #[error(transparent)]
    Tags(#[from] InvalidTagPattern),
    /// Tags, and no right that is about tags.
    #[error(
        "a pattern of tags limits pushing and deleting, and {0} is neither; what may be pulled has no limit of tags"
    )]
    NothingOfTags(RightSet),
    /// A network.
    #[error(transparent)]
    Network(#[from] InvalidConditions),
}

impl CredentialLimits {
    /// What words say; nothing if they limit nothing.
    pub fn read(words: &LimitWords) -> Result<Option<Self>, InvalidLimits> {
        let LimitWords { repositories, actions, tags, networks } = words;
        if repositories.len() > MAX_REPOSITORIES {
            return Err(InvalidLimits::TooManyRepositories);
        }
        if networks.len() > MAX_NETWORKS {
            return Err(InvalidConditions::TooManyNetworks.into());
        }
        let repository = |text: &String| match RepositoryPattern::parse(text) {
            Ok(pattern) if pattern.is_per_subject() => Err(InvalidLimits::PerUser(text.clone())),
            Ok(pattern) => Ok(pattern),
            Err(error) => Err(InvalidLimits::Repository(text.clone(), error)),
        };
        let networks = networks.iter().map(|text| Conditions::parse_network(text));
        let mut limits = Self {
            repositories: repositories.iter().map(repository).collect::<Result<_, _>>()?,
            rights: actions.as_deref().map(RightSet::parse).transpose()?,
            tags: tags.as_deref().map(TagPattern::parse).transpose()?,
            networks: networks.collect::<Result<_, _>>()?,
        };
        limits.repositories.sort_by_cached_key(ToString::to_string);
        limits.repositories.dedup();
        if let Some(rights) = limits.rights.filter(|_| limits.tags.is_some())
            && rights.intersection(RightSet::OF_TAGS).is_empty()
        {
            return Err(InvalidLimits::NothingOfTags(rights));
        }
        Ok((limits != Self::default()).then_some(limits))
    }

    /// Understands what is stored with a credential.
    pub fn stored(value: &Value) -> Result<Self, DbError> {
        let words = LimitWords::deserialize(value).ok();
        words.and_then(|words| Self::read(&words).ok().flatten()).ok_or_else(|| DbError::Inconsistent {
            table: "credential",
            column: "limits",
            value: value.to_string(),
        })
    }

    /// The same in words.
    pub fn words(&self) -> LimitWords {
        LimitWords {
            repositories: self.repositories.iter().map(ToString::to_string).collect(),
            actions: self.rights.map(|rights| rights.to_string()),
            tags: self.tags.as_ref().map(ToString::to_string),
            networks: self.networks.iter().map(ToString::to_string).collect(),
        }
    }

    /// Whether a client may use the credential from there; one whose address is not known may not, if that matters.
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        self.networks.is_empty()
            || address.is_some_and(|address| self.networks.iter().any(|network| network.contains(&address)))
    }

    /// Whether the credential has to do with a repository.
    pub fn covers(&self, name: &RepositoryName) -> bool {
        self.repositories.is_empty() || self.repositories.iter().any(|pattern| pattern.matches(name, None))
    }

    /// The places that this pattern and the limits have in common, as far as patterns can say it.
    pub(super) fn within(&self, pattern: &RepositoryPattern) -> Vec<RepositoryPattern> {
        if self.repositories.is_empty() {
            return vec![pattern.clone()];
        }
        let common = self.repositories.iter().filter_map(|limit| {
            if limit.covers(pattern) {
                Some(pattern)
            } else if pattern.covers(limit) {
                Some(limit)
            } else {
                None
            }
        });
        common.cloned().collect()
    }

    /// What is left of the rights that a row gives on a repository that is covered.
    pub(super) fn narrow(&self, rights: RightSet, grant: &Grant) -> RightSet {
        let rights = rights.intersection(self.rights.unwrap_or(RightSet::EVERYTHING));
        match self.tags(grant.tags.as_ref()) {
            LimitedTags::All => rights,
            LimitedTags::Only(_) => rights.confined_to_tags(),
            LimitedTags::None => rights.confined_to_tags().difference(RightSet::OF_TAGS),
        }
    }

    /// The tags that are left of those that a row gives something on, or of all.
    pub(super) fn tags<'a>(&'a self, of_row: Option<&'a TagPattern>) -> LimitedTags<'a> {
        match (of_row, &self.tags) {
            (None, None) => LimitedTags::All,
            (Some(tags), None) | (None, Some(tags)) => LimitedTags::Only(tags),
            (Some(one), Some(other)) if one.covers(other) => LimitedTags::Only(other),
            (Some(one), Some(other)) if other.covers(one) => LimitedTags::Only(one),
            (Some(_), Some(_)) => LimitedTags::None,
        }
    }
}

/// Tags that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitedTags<'a> {
    /// Every tag.
    All,
    /// Those of a pattern.
    Only(&'a TagPattern),
    /// None that one pattern could say.
    None,
}

/// `push,pull on platform/**, tags pr-*, in 10.0.0.0/8`, for lists and records.
impl fmt::Display for CredentialLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LimitWords { repositories, actions, tags, networks } = self.words();
        f.write_str(actions.as_deref().unwrap_or("everything"))?;
        if !repositories.is_empty() {
            write!(f, " on {}", repositories.join(" "))?;
        }
        if let Some(tags) = tags {
            write!(f, ", tags {tags}")?;
        }
        if networks.is_empty() { Ok(()) } else { write!(f, ", in {}", networks.join(" ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(
        repositories: &[&str],
        actions: Option<&str>,
        tags: Option<&str>,
        networks: &[&str],
    ) -> LimitWords {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        LimitWords {
            repositories: owned(repositories),
            actions: actions.map(str::to_owned),
            tags: tags.map(str::to_owned),
            networks: owned(networks),
        }
    }

    #[test]
    fn limits_come_back_as_they_were_stored() {
        let all = words(&["a/**", "b"], Some("pull,push"), Some("pr-*"), &["10.0.0.0/8", "192.0.2.1/32"]);
        let limits = CredentialLimits::read(&all).unwrap().unwrap();
        assert_eq!(limits.to_string(), "push,pull on a/** b, tags pr-*, in 10.0.0.0/8 192.0.2.1/32");
        for words in [all, words(&[], None, Some("v1"), &[]), words(&["a"], None, None, &[])] {
            let limits = CredentialLimits::read(&words).unwrap().unwrap();
            let stored = serde_json::to_value(limits.words()).unwrap();
            assert_eq!(CredentialLimits::stored(&stored).unwrap(), limits);
        }
        assert_eq!(CredentialLimits::read(&LimitWords::default()), Ok(None));
    }

    #[test]
    fn what_this_release_does_not_understand_is_no_limit_it_passes_over() {
        for stored in [
            r#"{"repositories":["a"],"hours":"9-17"}"#,
            r#"{"actions":"pull,fly"}"#,
            r#"{"repositories":["a/["]}"#,
            r#"{"networks":["here"]}"#,
            r#"{"tags":""}"#,
            "{}",
            "[]",
            "null",
        ] {
            let value: Value = serde_json::from_str(stored).unwrap();
            let error = CredentialLimits::stored(&value).unwrap_err();
            assert!(matches!(error, DbError::Inconsistent { table: "credential", .. }), "{stored}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        let many: Vec<String> = (0..=MAX_REPOSITORIES).map(|number| format!("a/{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (words, part) in [
            (words(&["A"], None, None, &[]), "`A` is no pattern of repositories"),
            (words(&["${user}/**"], None, None, &[]), "another place for each user"),
            (words(&many, None, None, &[]), "at most 32 patterns"),
            (words(&[], Some("fly"), None, &[]), "fly"),
            (words(&[], None, Some("["), &[]), "brackets"),
            (words(&[], Some("list,pull"), Some("v*"), &[]), "list,pull is neither"),
            (words(&[], None, None, &["10.0.0.0/99"]), "10.0.0.0/99"),
        ] {
            let said = CredentialLimits::read(&words).unwrap_err().to_string();
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn a_network_admits_only_those_who_are_known_to_be_there() {
        let limits = CredentialLimits::read(&words(&[], None, None, &["10.0.0.0/8"])).unwrap().unwrap();
        assert!(limits.admits(Some("10.1.2.3".parse().unwrap())));
        assert!(!limits.admits(Some("11.1.2.3".parse().unwrap())) && !limits.admits(None));
        assert!(CredentialLimits::default().admits(None));
    }

    #[test]
    fn of_two_patterns_the_narrower_is_left() {
        let limits =
            CredentialLimits::read(&words(&["a/b/**", "c/x", "d/*-dev"], None, None, &[])).unwrap().unwrap();
        for (pattern, expected) in [
            ("a/**", vec!["a/b/**"]),
            ("a/b/c", vec!["a/b/c"]),
            ("a/x/**", vec![]),
            ("**", vec!["a/b/**", "c/x", "d/*-dev"]),
            ("c/*", vec!["c/x"]),
            ("d/x-dev", vec!["d/x-dev"]),
            // What two globs have in common is no pattern.
            ("d/x*", vec![]),
        ] {
            let pattern = RepositoryPattern::parse(pattern).unwrap();
            let left: Vec<String> = limits.within(&pattern).iter().map(ToString::to_string).collect();
            assert_eq!(left, expected, "{pattern}");
        }
    }
}
