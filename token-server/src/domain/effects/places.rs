//! Many repositories in few words: the patterns that cover them, and what they do not mean.
//!
//! *Invariant:* of the names that were looked at, the places cover exactly those that are to be covered; a pattern is
//! named only if all names that stand for it are among them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use shared::repository_name::RepositoryName;
use shared::repository_pattern::RepositoryPattern;

use super::anchored::Anchored;
use super::samples::{is_made_up, samples};

/// So many parts may be taken out of a pattern.
const MAX_EXCEPTIONS: usize = 5;

/// A pattern without some parts, as people write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// A pattern or a name.
    pub pattern: String,
    /// Patterns and names inside of it that are not meant.
    pub except: Vec<String>,
    /// Whether only parts of it are meant that nobody wrote a pattern for.
    pub in_part: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.in_part {
            f.write_str("parts of ")?;
        }
        f.write_str(&self.pattern)?;
        if self.except.is_empty() { Ok(()) } else { write!(f, " (not {})", self.except.join(", ")) }
    }
}

/// Patterns that mean something, and the names that were looked at in each of them.
pub struct Landscape<'a> {
    /// The widest first.
    parts: Vec<Part<'a>>,
    /// The parts that a name is in, the widest first.
    parts_of: BTreeMap<RepositoryName, Vec<usize>>,
    /// The parts that a name was made up for.
    made_up_for: BTreeMap<RepositoryName, Vec<usize>>,
}

struct Part<'a> {
    pattern: &'a RepositoryPattern,
    names: BTreeSet<RepositoryName>,
}

impl<'a> Landscape<'a> {
    /// For all names that were looked at for a user.
    pub fn new(
        patterns: &'a [RepositoryPattern],
        names: &BTreeSet<RepositoryName>,
        user: Option<&str>,
    ) -> Self {
        let mut parts: Vec<Part<'a>> =
            patterns.iter().map(|pattern| Part { pattern, names: BTreeSet::new() }).collect();
        let numbered = Anchored::new(patterns.iter().enumerate().map(|(number, pattern)| (pattern, number)));
        for name in names {
            for number in numbered.about(name, user) {
                parts[*number].names.insert(name.clone());
            }
        }
        parts.sort_by_key(|part| (Reverse(part.names.len()), part.pattern.to_string().len()));
        let mut parts_of: BTreeMap<RepositoryName, Vec<usize>> = BTreeMap::new();
        let mut made_up_for: BTreeMap<RepositoryName, Vec<usize>> = BTreeMap::new();
        for (number, part) in parts.iter().enumerate() {
            for name in &part.names {
                parts_of.entry(name.clone()).or_default().push(number);
            }
            for name in samples(part.pattern, user).into_iter().filter(is_made_up) {
                made_up_for.entry(name).or_default().push(number);
            }
        }
        Self { parts, parts_of, made_up_for }
    }

    /// Says which of the names these are.
    pub fn describe(&self, covered: &BTreeSet<RepositoryName>) -> Vec<Place> {
        let mut left = covered.clone();
        let mut places = Vec::new();
        let meant: BTreeSet<usize> =
            covered.iter().filter_map(|name| self.made_up_for.get(name)).flatten().copied().collect();
        for part in meant.into_iter().map(|number| &self.parts[number]) {
            if part.names.is_disjoint(&left) {
                continue;
            }
            let Some(except) = self.exceptions(part, covered) else { continue };
            left.retain(|name| !part.names.contains(name));
            places.push(Place { pattern: part.pattern.to_string(), except, in_part: false });
        }
        for name in left {
            // Nobody knows a name that was made up, but the pattern it stands for.
            let narrowest = self.parts_of.get(&name).and_then(|numbers| numbers.last());
            let (pattern, in_part) = match narrowest.filter(|_| is_made_up(&name)) {
                Some(number) => (self.parts[*number].pattern.to_string(), true),
                None => (name.to_string(), false),
            };
            let place = Place { pattern, except: Vec::new(), in_part };
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    /// Patterns and names that are all of a part that is not covered, if they are a few.
    fn exceptions(&self, whole: &Part<'_>, covered: &BTreeSet<RepositoryName>) -> Option<Vec<String>> {
        let mut left: BTreeSet<&RepositoryName> = whole.names.difference(covered).collect();
        let mut except = Vec::new();
        let inside: BTreeSet<usize> =
            left.iter().filter_map(|name| self.parts_of.get(name)).flatten().copied().collect();
        for part in inside.into_iter().map(|number| &self.parts[number]) {
            if left.is_empty() {
                break;
            }
            if part.names.iter().any(|name| left.contains(name)) && part.names.is_disjoint(covered) {
                left.retain(|name| !part.names.contains(*name));
                except.push(part.pattern.to_string());
            }
        }
        if left.iter().any(|name| is_made_up(name)) {
            return None;
        }
        except.extend(left.iter().map(ToString::to_string));
        (except.len() <= MAX_EXCEPTIONS).then_some(except)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn described(covered: &[&str], others: &[&str], patterns: &[&str]) -> String {
        let set = |names: &[&str]| -> BTreeSet<RepositoryName> {
            names.iter().map(|name| name.parse().unwrap()).collect()
        };
        let patterns: Vec<_> = patterns.iter().map(|text| RepositoryPattern::parse(text).unwrap()).collect();
        let covered = set(covered);
        let all = covered.union(&set(others)).cloned().collect();
        let places = Landscape::new(&patterns, &all, None).describe(&covered);
        places.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn patterns_are_named_where_they_mean_what_is_covered() {
        let some = "prod/some-repository";
        assert_eq!(described(&["prod", some, "prod/app"], &[], &["prod/**"]), "prod/**");
        let all = ["prod", some, "prod/app"];
        assert_eq!(
            described(&all, &["prod/x", "prod/x/some-repository"], &["prod/**", "prod/x/**"]),
            "prod/** (not prod/x/**)"
        );
        assert_eq!(described(&all, &["prod/web"], &["prod/**"]), "prod/** (not prod/web)");
        assert_eq!(described(&["prod/app", "prod/web"], &["prod", some], &["prod/**"]), "prod/app; prod/web");
        let outer = ["some-repository", "some-repository/some-repository", "x"];
        assert_eq!(described(&outer, &["prod", some], &["**", "prod/**"]), "** (not prod/**)");
        assert_eq!(described(&[], &["a"], &["**"]), "");
        assert_eq!(
            described(&["a/x/some-repository"], &["a/y/some-repository"], &["a/{x,y}/**"]),
            "parts of a/{x,y}/**"
        );
    }

    /// Whether a place means a name.
    fn means(place: &Place, name: &RepositoryName) -> bool {
        let matches =
            |text: &String| RepositoryPattern::parse(text).is_ok_and(|pattern| pattern.matches(name, None));
        matches(&place.pattern) && !place.except.iter().any(matches)
    }

    proptest! {
        #[test]
        fn places_mean_what_is_covered_and_nothing_else(
            texts in proptest::collection::btree_set("(a|b|\\*|\\*\\*)(/(a|b|\\*|\\*\\*)){0,2}", 1..6),
            seen in proptest::collection::btree_set("[ab](/[ab]){0,3}", 0..12),
            kept in proptest::collection::btree_set("(a|b|\\*|\\*\\*)(/(a|b|\\*|\\*\\*)){0,2}", 0..4),
        ) {
            let parsed = |texts: &BTreeSet<String>| -> Vec<RepositoryPattern> {
                texts.iter().filter_map(|text| RepositoryPattern::parse(text).ok()).collect()
            };
            let (patterns, kept) = (parsed(&texts), parsed(&kept));
            let mut all: BTreeSet<RepositoryName> = seen.iter().map(|name| name.parse().unwrap()).collect();
            all.extend(patterns.iter().chain(&kept).flat_map(|pattern| samples(pattern, None)));
            let covered: BTreeSet<RepositoryName> = all
                .iter()
                .filter(|name| patterns.iter().any(|pattern| pattern.matches(name, None)))
                .filter(|name| !kept.iter().any(|pattern| pattern.matches(name, None)))
                .cloned()
                .collect();
            let known: Vec<RepositoryPattern> = patterns.iter().chain(&kept).cloned().collect();
            let places = Landscape::new(&known, &all, None).describe(&covered);
            for name in &all {
                let is_meant = places.iter().any(|place| means(place, name));
                prop_assert!(is_meant || !covered.contains(name), "{} is left out of {:?}", name, places);
                let in_part = places.iter().any(|place| place.in_part && means(place, name));
                prop_assert!(!is_meant || in_part || covered.contains(name), "{} is not in {:?}", name, places);
            }
        }
    }
}
