//! Many repositories in few words: the patterns that cover them, and what they do not mean.
//!
//! *Invariant:* of the names that were looked at, the places cover exactly those that are to be covered; a pattern is
//! named only if all names that stand for it are among them.

use std::collections::BTreeSet;
use std::fmt;

use shared::repository_name::RepositoryName;
use shared::repository_pattern::RepositoryPattern;

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

/// Describes `covered`, which are some of `all`, by patterns that mean something.
pub fn describe(
    covered: &BTreeSet<RepositoryName>,
    all: &BTreeSet<RepositoryName>,
    patterns: &[RepositoryPattern],
    user: Option<&str>,
) -> Vec<Place> {
    let inside = |pattern: &RepositoryPattern| -> BTreeSet<RepositoryName> {
        all.iter().filter(|name| pattern.matches(name, user)).cloned().collect()
    };
    let mut known: Vec<(&RepositoryPattern, BTreeSet<RepositoryName>)> =
        patterns.iter().map(|pattern| (pattern, inside(pattern))).collect();
    // The widest first.
    known.sort_by_key(|(pattern, names)| (std::cmp::Reverse(names.len()), pattern.to_string().len()));
    let mut left = covered.clone();
    let mut places = Vec::new();
    for (pattern, names) in &known {
        let is_meant = samples(pattern, user).iter().any(|name| is_made_up(name) && covered.contains(name));
        if names.is_disjoint(&left) || !is_meant {
            continue;
        }
        let outside: BTreeSet<_> = names.difference(covered).cloned().collect();
        let Some(except) = exceptions(&outside, covered, &known) else { continue };
        left = left.difference(names).cloned().collect();
        places.push(Place { pattern: pattern.to_string(), except, in_part: false });
    }
    for name in left {
        // Nobody knows a name that was made up, but the pattern it stands for.
        let stands_for = known.iter().rev().find(|(_, names)| is_made_up(&name) && names.contains(&name));
        let place = match stands_for {
            Some((pattern, _)) => Place { pattern: pattern.to_string(), except: Vec::new(), in_part: true },
            None => Place { pattern: name.to_string(), except: Vec::new(), in_part: false },
        };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// Patterns and names that are all of `outside` and nothing of `covered`, if a few do.
fn exceptions(
    outside: &BTreeSet<RepositoryName>,
    covered: &BTreeSet<RepositoryName>,
    known: &[(&RepositoryPattern, BTreeSet<RepositoryName>)],
) -> Option<Vec<String>> {
    let mut left = outside.clone();
    let mut except = Vec::new();
    for (pattern, names) in known {
        if !names.is_disjoint(&left) && names.is_disjoint(covered) {
            left = left.difference(names).cloned().collect();
            except.push(pattern.to_string());
        }
    }
    if left.iter().any(is_made_up) {
        return None;
    }
    except.extend(left.iter().map(ToString::to_string));
    (except.len() <= MAX_EXCEPTIONS).then_some(except)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(covered: &[&str], others: &[&str], patterns: &[&str]) -> String {
        let set = |names: &[&str]| -> BTreeSet<RepositoryName> {
            names.iter().map(|name| name.parse().unwrap()).collect()
        };
        let patterns: Vec<_> = patterns.iter().map(|text| RepositoryPattern::parse(text).unwrap()).collect();
        let covered = set(covered);
        let all = covered.union(&set(others)).cloned().collect();
        let places = describe(&covered, &all, &patterns, None);
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
}
