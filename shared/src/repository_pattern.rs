//! Patterns over repository names: which repositories a right is about.
//!
//! `${user}` stands for the name of whoever asks, which holds no wildcard, and `${claim.NAME}` for what the identity token
//! of a workload says, as far as that is a repository name.
//!
//! *Invariant:* every pattern has one anchor, and every repository it matches has that anchor among its own; so an
//! index on anchors finds all grants that can matter for a name, and a few that do not.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::glob;
use crate::repository_name::RepositoryName;

/// A pattern over repository names: `a/b`, `a/b/**`, `**`, or a glob.
///
/// It is another type than [`RepositoryName`] so that the one can never be used as the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryPattern(Form);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Exact(RepositoryName),
    /// A repository and everything below it.
    Subtree(RepositoryName),
    All,
    Glob(Box<str>),
    /// Another pattern for each user or workload.
    PerSubject(Box<str>),
}

/// Stands for the name of the user.
const USER: &str = "${user}";

/// Begins what stands for a claim; its name and a brace follow.
const CLAIM: &str = "${claim.";

/// Stands for a user whose name is as long as any, so that a pattern that fits with it fits with all.
const LONGEST_USER: &str = "a23456789b123456789c123456789d123456789e123456789f123456789g123";

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// More than [`glob::MAX_PATTERN_BYTES`].
    #[error("a pattern has at most {} bytes", glob::MAX_PATTERN_BYTES)]
    TooLong,
    /// There is nothing, or nothing between two slashes.
    #[error("a pattern must not be empty, begin or end with a slash, or hold two in a row")]
    EmptyComponent,
    /// Without wildcards it must be a repository name.
    #[error(transparent)]
    Name(#[from] crate::repository_name::InvalidRepositoryName),
    /// The wildcards make no sense.
    #[error("{0}")]
    Glob(&'static str),
    /// The name of a claim is missing, or the brace behind it, or it stands beside the name of a user.
    #[error("a claim is written ${{claim.NAME}}, and not together with ${{user}}")]
    Claim,
}

const WILDCARDS: &[char] = &['*', '?', '[', ']', '{', '}', ','];

impl RepositoryPattern {
    /// Parses a pattern as a person writes it.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if text.len() > glob::MAX_PATTERN_BYTES {
            return Err(InvalidPattern::TooLong);
        }
        if text.split('/').any(str::is_empty) {
            return Err(InvalidPattern::EmptyComponent);
        }
        if text == "**" {
            return Ok(Self(Form::All));
        }
        if text.contains(CLAIM) {
            // A workload is no user, so nothing would ever be covered.
            if text.contains(USER) {
                return Err(InvalidPattern::Claim);
            }
            // The second would be a range that runs backwards, so no claim ever stands in brackets.
            for claim in ["a", "z-a"] {
                let filled = filled(text, None, &|_| Some(claim.to_owned())).ok_or(InvalidPattern::Claim)?;
                Self::parse(&filled)?;
            }
            return Ok(Self(Form::PerSubject(text.into())));
        }
        if text.contains(USER) {
            // The second would be a range that runs backwards, so no name ever stands in brackets.
            for user in [LONGEST_USER, "z-a"] {
                Self::parse(&text.replace(USER, user))?;
            }
            return Ok(Self(Form::PerSubject(text.into())));
        }
        if !text.contains(WILDCARDS) {
            return Ok(Self(Form::Exact(RepositoryName::parse(text)?)));
        }
        if let Some(parent) = text.strip_suffix("/**").filter(|parent| !parent.contains(WILDCARDS)) {
            return Ok(Self(Form::Subtree(RepositoryName::parse(parent)?)));
        }
        glob::check(text, glob::Subject::RepositoryNames).map_err(InvalidPattern::Glob)?;
        Ok(Self(Form::Glob(text.into())))
    }

    /// Whether the repository is covered for this user.
    pub fn matches(&self, name: &RepositoryName, user: Option<&str>) -> bool {
        match &self.0 {
            Form::Exact(exact) => exact == name,
            Form::Subtree(parent) => match name.as_str().strip_prefix(parent.as_str()) {
                Some(rest) => rest.is_empty() || rest.starts_with('/'),
                None => false,
            },
            Form::All => true,
            Form::Glob(pattern) => glob::matches(pattern, name.as_str()),
            Form::PerSubject(_) => self.for_user(user).is_some_and(|pattern| pattern.matches(name, None)),
        }
    }

    /// Whether the repository is covered for some user; yes if in doubt.
    pub fn can_match(&self, name: &RepositoryName) -> bool {
        self.is_per_subject() || self.matches(name, None)
    }

    /// The same pattern with `${user}` replaced; nothing if that makes no pattern, as where a claim is wanted.
    pub fn for_user(&self, user: Option<&str>) -> Option<Self> {
        self.filled(user, &|_| None)
    }

    /// The same pattern with claims replaced, which are folded to lower case; nothing if one is missing or is no
    /// repository name.
    pub fn for_claims(&self, claim: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let name = |wanted: &str| {
            let value = claim(wanted)?.to_ascii_lowercase();
            RepositoryName::parse(&value).is_ok().then_some(value)
        };
        self.filled(None, &name)
    }

    fn filled(&self, user: Option<&str>, claim: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        match &self.0 {
            Form::PerSubject(text) => Self::parse(&filled(text, user, claim)?).ok(),
            _ => Some(self.clone()),
        }
    }

    /// One repository.
    pub fn exactly(name: RepositoryName) -> Self {
        Self(Form::Exact(name))
    }

    /// Every repository.
    pub fn all() -> Self {
        Self(Form::All)
    }

    /// The pattern without wildcards in it that has this anchor: a repository, or everything below a folder.
    pub fn plain(anchor: &str) -> Option<Self> {
        let form = if let Some(name) = anchor.strip_prefix("r:") {
            Form::Exact(RepositoryName::parse(name).ok()?)
        } else {
            match anchor.strip_prefix(ROOT)? {
                "" => Form::All,
                folder => Form::Subtree(RepositoryName::parse(folder.strip_suffix('/')?).ok()?),
            }
        };
        Some(Self(form))
    }

    /// Whether a text is [`Self::plain`] of this anchor, without making it.
    pub fn is_plain(text: &str, anchor: &str) -> bool {
        if let Some(name) = anchor.strip_prefix("r:") {
            return text == name;
        }
        anchor.strip_prefix(ROOT).is_some_and(|folder| text.strip_suffix("**") == Some(folder))
    }

    /// Whether it stands for another pattern for each user or workload.
    pub fn is_per_subject(&self) -> bool {
        matches!(self.0, Form::PerSubject(_))
    }

    /// Whether it is the name of one repository.
    pub fn is_exact(&self) -> bool {
        matches!(self.0, Form::Exact(_))
    }

    /// Whether it is a repository and everything below it, `a/b/**`.
    pub fn is_subtree(&self) -> bool {
        matches!(self.0, Form::Subtree(_))
    }

    /// Whether its literal part lies in a subtree, so that all it can cover does.
    pub fn stands_below(&self, subtree: &Self) -> bool {
        let anchor = subtree.anchor();
        let Some(folder) = anchor.strip_prefix(ROOT).filter(|_| subtree.is_subtree()) else { return false };
        match &self.0 {
            Form::Exact(name) => format!("{name}/").starts_with(folder),
            _ => self.anchor().strip_prefix(ROOT).is_some_and(|literal| literal.starts_with(folder)),
        }
    }

    /// Whether everything the other can cover is covered; no if in doubt.
    pub fn covers(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Form::All, _) => true,
            // It is another one for each of them, so alike is not the same.
            (Form::PerSubject(_), _) => false,
            _ if self == other => true,
            (Form::Subtree(_), _) => other.stands_below(self),
            (Form::Glob(_), Form::Exact(name)) => self.matches(name, None),
            _ => false,
        }
    }

    /// Whether something can be covered by both; yes if in doubt.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Form::Exact(name), _) => return other.can_match(name),
            (_, Form::Exact(name)) => return self.can_match(name),
            _ => {}
        }
        let literal = |pattern: &Self| pattern.anchor().strip_prefix(ROOT).unwrap_or_default().to_owned();
        let (one, two) = (literal(self), literal(other));
        one.starts_with(&two) || two.starts_with(&one)
    }

    /// Whether something below a folder, whose path ends with a slash, can be covered; yes if in doubt.
    pub fn may_cover_below(&self, folder: &str) -> bool {
        match &self.0 {
            Form::Exact(name) => name.as_str().starts_with(folder),
            Form::All => true,
            Form::Subtree(_) | Form::Glob(_) | Form::PerSubject(_) => {
                let anchor = self.anchor();
                let literal = anchor.strip_prefix(ROOT).unwrap_or_default();
                literal.starts_with(folder) || folder.starts_with(literal)
            }
        }
    }

    /// The indexable part: `r:` and the name, or `s:` and the components before the first wildcard.
    pub fn anchor(&self) -> String {
        match &self.0 {
            Form::Exact(name) => format!("r:{name}"),
            Form::Subtree(parent) => format!("s:{parent}/"),
            Form::All => ROOT.into(),
            Form::Glob(pattern) | Form::PerSubject(pattern) => {
                let wildcard = pattern.find(|c| c == '$' || WILDCARDS.contains(&c)).unwrap_or(pattern.len());
                let literal = pattern[..wildcard].rfind('/').map_or("", |slash| &pattern[..=slash]);
                format!("s:{literal}")
            }
        }
    }
}

/// A text with what stands in it for others replaced; nothing if one of them is not there.
fn filled(text: &str, user: Option<&str>, claim: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        filled.push_str(&rest[..at]);
        let end = at + rest[at..].find('}')? + 1;
        let placeholder = &rest[at..end];
        match placeholder.strip_prefix(CLAIM).map(|name| &name[..name.len() - 1]) {
            Some("") => return None,
            Some(name) => filled.push_str(&claim(name)?),
            None if placeholder == USER => filled.push_str(user?),
            None => return None,
        }
        rest = &rest[end..];
    }
    filled.push_str(rest);
    Some(filled)
}

impl TryFrom<String> for RepositoryPattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        Self::parse(&text)
    }
}

impl From<RepositoryPattern> for String {
    fn from(pattern: RepositoryPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Exact(name) => write!(f, "{name}"),
            Form::Subtree(parent) => write!(f, "{parent}/**"),
            Form::All => f.write_str("**"),
            Form::Glob(pattern) | Form::PerSubject(pattern) => f.write_str(pattern),
        }
    }
}

/// The anchor of patterns that begin with a wildcard.
const ROOT: &str = "s:";

/// The anchors at which a grant for any of these repositories can stand, each once.
pub fn anchors<'a>(names: impl IntoIterator<Item = &'a RepositoryName>) -> Vec<String> {
    let mut anchors = vec![ROOT.to_owned()];
    for name in names {
        let name = name.as_str();
        // No stored pattern is longer, so no stored anchor is.
        if name.len() <= glob::MAX_PATTERN_BYTES {
            anchors.push(["r:", name].concat());
            anchors.push([ROOT, name, "/"].concat());
        }
        let parents = name.match_indices('/').map(|(slash, _)| &name[..=slash]);
        let parents = parents.take_while(|parent| parent.len() <= glob::MAX_PATTERN_BYTES);
        anchors.extend(parents.map(|parent| [ROOT, parent].concat()));
    }
    anchors.sort_unstable();
    anchors.dedup();
    anchors
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn claims_stand_for_names_and_for_nothing_else() {
        let pattern = RepositoryPattern::parse("ci/${claim.repository}/**").unwrap();
        assert_eq!((pattern.anchor().as_str(), pattern.is_per_subject()), ("s:ci/", true));
        assert_eq!(pattern.to_string(), "ci/${claim.repository}/**");
        let says = |value: &'static str| move |name: &str| (name == "repository").then(|| value.to_owned());
        let filled = |value| pattern.for_claims(&says(value)).map(|pattern| pattern.to_string());
        assert_eq!(filled("Acme/App"), Some("ci/acme/app/**".into()));
        for value in ["", "*", "a/**", "../a", "a//b", "a/{b,c}", "${user}", "a b", "[a-z]", "a/"] {
            assert_eq!(filled(value), None, "{value}");
        }
        assert_eq!(pattern.for_claims(&|_| None), None);
        assert_eq!(pattern.for_user(Some("ann")), None, "users bring no claims");
        assert!(!pattern.matches(&repository("ci/acme/app"), Some("ann")));
        for text in ["${user}/${claim.x}", "a/${claim.}", "a/${claim.x", "a/${claim}", "a/[${claim.x}]"] {
            assert!(RepositoryPattern::parse(text).is_err(), "{text}");
        }
    }

    fn repository(name: &str) -> RepositoryName {
        name.parse().unwrap()
    }

    #[test]
    fn each_form_has_its_anchor() {
        for (pattern, anchor) in [
            ("a/b/c", "r:a/b/c"),
            ("a/b/**", "s:a/b/"),
            ("**", "s:"),
            ("a/*-dev", "s:a/"),
            ("a/b*/c", "s:a/"),
            ("a/{x,y}/**", "s:a/"),
            ("a/b/*/**", "s:a/b/"),
            ("*-dev/**", "s:"),
            ("ab[0-9]", "s:"),
            ("${user}/**", "s:"),
            ("people/${user}/**", "s:people/"),
            ("people/x-${user}", "s:people/"),
        ] {
            let parsed = RepositoryPattern::parse(pattern).unwrap();
            assert_eq!(parsed.anchor(), anchor, "{pattern}");
            assert_eq!(parsed.to_string(), pattern);
        }
    }

    #[test]
    fn most_patterns_are_plain() {
        for (pattern, expected) in
            [("a", true), ("a/b", true), ("a/b/**", true), ("**", true), ("a/*", false), ("a/${user}", false)]
        {
            let parsed = RepositoryPattern::parse(pattern).unwrap();
            let anchor = parsed.anchor();
            assert_eq!(RepositoryPattern::is_plain(pattern, &anchor), expected, "{pattern}");
            assert_eq!(RepositoryPattern::plain(&anchor) == Some(parsed), expected, "{pattern}");
        }
        for anchor in ["", "r:", "r:A", "s:a", "s://", "x:a"] {
            assert_eq!(RepositoryPattern::plain(anchor), None, "{anchor}");
        }
    }

    #[test]
    fn a_name_has_one_anchor_for_each_component_and_three_more() {
        assert_eq!(anchors([&repository("a/b/c")]), ["r:a/b/c", "s:", "s:a/", "s:a/b/", "s:a/b/c/"]);
        assert_eq!(anchors([]), ["s:"]);
        assert_eq!(anchors([&repository("a/b"), &repository("a/c")]).len(), 6);
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        for text in ["", "/a", "a/", "a//b", "A", "a/**x", "**/**", "a/..", "A/**", "a b/**"] {
            assert!(RepositoryPattern::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(RepositoryPattern::parse(&"a".repeat(201)), Err(InvalidPattern::TooLong));
        assert!(RepositoryPattern::parse(&"a".repeat(200)).is_ok());
    }

    #[test]
    fn a_subtree_covers_its_root_and_nothing_beside_it() {
        let pattern = RepositoryPattern::parse("a/b/**").unwrap();
        for (name, expected) in [("a/b", true), ("a/b/c/d", true), ("a/bc", false), ("a", false)] {
            assert_eq!(pattern.matches(&name.parse().unwrap(), None), expected, "{name}");
        }
    }

    #[test]
    fn what_stands_below_a_subtree_covers_nothing_outside_of_it() {
        let subtree = RepositoryPattern::parse("a/b/**").unwrap();
        for (pattern, expected) in [
            ("a/b", true),
            ("a/b/c", true),
            ("a/b/**", true),
            ("a/b/c/*", true),
            ("a/b/${user}", true),
            ("a/bc", false),
            ("a/*", false),
            ("a/**", false),
            ("a/b*/c", false),
            ("**", false),
        ] {
            let parsed = RepositoryPattern::parse(pattern).unwrap();
            assert_eq!(parsed.stands_below(&subtree), expected, "{pattern}");
        }
    }

    #[test]
    fn a_pattern_covers_what_lies_within_it() {
        for (one, two, expected) in [
            ("**", "a/${user}", true),
            ("a/**", "a", true),
            ("a/**", "a/b/*", true),
            ("a/**", "a/**", true),
            ("a/**", "**", false),
            ("a/**", "ab", false),
            ("a/*", "a/b", true),
            ("a/*", "a/*", true),
            ("a/*", "a/b*", false),
            ("a", "a", true),
            ("a", "a/**", false),
            ("a/${user}", "a/${user}", false),
        ] {
            let covers =
                RepositoryPattern::parse(one).unwrap().covers(&RepositoryPattern::parse(two).unwrap());
            assert_eq!(covers, expected, "{one} {two}");
        }
    }

    #[test]
    fn a_pattern_per_user_covers_what_bears_their_name() {
        let pattern = RepositoryPattern::parse("people/${user}/**").unwrap();
        for (name, user, expected) in [
            ("people/alice/app", Some("alice"), true),
            ("people/alice", Some("alice"), true),
            ("people/bob/app", Some("alice"), false),
            ("people/alice/app", None, false),
            // A name that a repository cannot have covers nothing.
            ("people/a", Some("a..b"), false),
        ] {
            assert_eq!(pattern.matches(&name.parse().unwrap(), user), expected, "{name} {user:?}");
        }
        for text in ["a/[${user}]", "${users}/**", "$user/a", "a/${user", "A/${user}"] {
            assert!(RepositoryPattern::parse(text).is_err(), "{text}");
        }
    }

    fn pattern() -> impl Strategy<Value = RepositoryPattern> {
        "([ab]{1,2}|\\*|[ab]\\*|\\*\\*|[ab]?\\{a,b\\}|\\[ab\\]|\\$\\{user\\})(/([ab]|\\*|[ab]\\*|\\*\\*|\\?)){0,3}"
            .prop_filter_map("not a pattern", |text| RepositoryPattern::parse(&text).ok())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_match_is_always_found_through_the_anchor(pattern in pattern(), name in "[ab]{1,2}(/[ab]{1,2}){0,4}") {
            let parsed: RepositoryName = name.parse().unwrap();
            if pattern.matches(&parsed, Some("b")) {
                let found = anchors([&parsed]).contains(&pattern.anchor());
                prop_assert!(found, "{} {}", pattern, name);
            }
        }

        #[test]
        fn what_covers_a_pattern_matches_what_that_matches(
            one in pattern(),
            two in pattern(),
            name in "[ab]{1,2}(/[ab]{1,2}){0,3}",
        ) {
            let name: RepositoryName = name.parse().unwrap();
            if one.covers(&two) && two.matches(&name, Some("b")) {
                prop_assert!(one.matches(&name, None), "{} {} {}", one, two, name);
            }
        }

        #[test]
        fn what_two_patterns_cover_they_overlap_in(
            one in pattern(),
            two in pattern(),
            name in "[ab]{1,2}(/[ab]{1,2}){0,3}",
        ) {
            let name: RepositoryName = name.parse().unwrap();
            if one.matches(&name, Some("b")) && two.matches(&name, Some("b")) {
                prop_assert!(one.overlaps(&two), "{} {} {}", one, two, name);
            }
        }

        #[test]
        fn what_is_covered_lies_in_folders_that_may_hold_it(
            pattern in pattern(),
            name in "[ab]{1,2}(/[ab]{1,2}){1,4}",
        ) {
            let parsed: RepositoryName = name.parse().unwrap();
            if pattern.matches(&parsed, None) {
                for (slash, _) in name.match_indices('/') {
                    prop_assert!(pattern.may_cover_below(&name[..=slash]), "{} {}", pattern, name);
                }
            }
        }

        #[test]
        fn nothing_outside_the_literal_part_matches(pattern in pattern(), name in "[ab]{1,2}(/[ab]{1,2}){0,4}") {
            let parsed: RepositoryName = name.parse().unwrap();
            let anchor = pattern.anchor();
            let literal = anchor.split_once(':').unwrap().1;
            if !format!("{name}/").starts_with(literal) {
                prop_assert!(!pattern.matches(&parsed, Some("b")), "{} {}", pattern, name);
            }
        }
    }
}
