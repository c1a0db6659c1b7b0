//! A set of repositories, by patterns: what somebody sees of the list of all.
//!
//! *Invariant:* an exception wins; a set without patterns is empty.

use serde::{Deserialize, Serialize};

use crate::repository_name::RepositoryName;
use crate::repository_pattern::RepositoryPattern;

/// Those within, less the exceptions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositorySet {
    /// Patterns that put a repository into the set.
    #[serde(rename = "in", default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<RepositoryPattern>,
    /// Patterns that keep it out.
    #[serde(rename = "not", default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<RepositoryPattern>,
}

impl RepositorySet {
    /// The least that says the same, in one order.
    pub fn new(mut within: Vec<RepositoryPattern>, mut except: Vec<RepositoryPattern>) -> Self {
        if except.contains(&RepositoryPattern::all()) {
            return Self::default();
        }
        if within.contains(&RepositoryPattern::all()) {
            within = vec![RepositoryPattern::all()];
        }
        within.retain(|pattern| !except.contains(pattern));
        if within.is_empty() {
            return Self::default();
        }
        // What has nothing to do with what is shown would only tell what there is.
        except.retain(|pattern| within.iter().any(|shown| shown.overlaps(pattern)));
        for patterns in [&mut within, &mut except] {
            patterns.sort_unstable();
            patterns.dedup();
        }
        Self { within, except }
    }

    /// Whether a repository is in the set.
    pub fn contains(&self, name: &RepositoryName) -> bool {
        let is_in =
            |patterns: &[RepositoryPattern]| patterns.iter().any(|pattern| pattern.matches(name, None));
        is_in(&self.within) && !is_in(&self.except)
    }

    /// Whether something below a folder, whose path ends with a slash, can be in the set; yes if in doubt.
    pub fn may_hold_below(&self, folder: &str) -> bool {
        self.within.iter().any(|pattern| pattern.may_cover_below(folder))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.within.is_empty()
    }

    /// Whether it is every repository by its patterns alone.
    pub fn is_everything(&self) -> bool {
        self.except.is_empty() && self.within.contains(&RepositoryPattern::all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(within: &[&str], except: &[&str]) -> RepositorySet {
        let parsed = |texts: &[&str]| {
            texts.iter().map(|text| RepositoryPattern::parse(text).expect("a pattern")).collect()
        };
        RepositorySet::new(parsed(within), parsed(except))
    }

    #[test]
    fn an_exception_wins() {
        let seen = set(&["a/**", "b/c"], &["a/secret/**"]);
        for (name, expected) in [
            ("a", true),
            ("a/b", true),
            ("a/secret", false),
            ("a/secret/x", false),
            ("b/c", true),
            ("b", false),
        ] {
            assert_eq!(seen.contains(&name.parse().expect("a name")), expected, "{name}");
        }
        for (folder, expected) in [("a/", true), ("a/x/", true), ("b/", true), ("b/c/", false), ("c/", false)]
        {
            assert_eq!(seen.may_hold_below(folder), expected, "{folder}");
        }
    }

    #[test]
    fn sets_are_said_in_the_least_words() {
        assert!(set(&["a", "**"], &[]).is_everything());
        assert!(set(&["**"], &["**"]).is_empty());
        assert!(set(&[], &["a"]).is_empty() && set(&["a"], &["a"]).is_empty());
        assert_eq!(set(&["b", "a", "b"], &["c"]), set(&["a", "b"], &[]));
        assert_eq!(set(&["a/**"], &["a/b", "a/b", "c/**"]), set(&["a/**"], &["a/b"]));
        let json = r#"{"in":["a/**"],"not":["a/b"]}"#;
        let read: RepositorySet = serde_json::from_str(json).expect("a set");
        assert_eq!(serde_json::to_string(&read).expect("plain data"), json);
        assert!(serde_json::from_str::<RepositorySet>(r#"{"in":["a"],"more":1}"#).is_err());
    }
}
