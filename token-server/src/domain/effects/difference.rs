//! What somebody has more and less of on one repository.
//!
//! *Invariant:* where it cannot be told whether a set of tags became larger or smaller, it became both.

use shared::limits::{TagPattern, TagSet};

use super::super::policy::Held;
use super::super::right::{Right, RightSet};

/// A change of what is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Held before, and for nothing any more.
    pub lost: RightSet,
    /// Held for nothing before.
    pub gained: RightSet,
    /// Held for fewer tags.
    pub narrowed: RightSet,
    /// Held for more tags.
    pub widened: RightSet,
}

impl Difference {
    /// From one state to the other.
    pub fn between(before: &Held, after: &Held) -> Self {
        let mut difference = Self {
            lost: said_as_lost(before.rights().difference(after.rights())),
            gained: after.rights().difference(before.rights()),
            ..Self::default()
        };
        for right in before.rights().intersection(after.rights()).iter() {
            let (Some(before), Some(after)) = (before.tags(right), after.tags(right)) else { continue };
            let right = RightSet::of(&[right]);
            if !covers(after, before) {
                difference.narrowed = difference.narrowed.union(right);
            }
            if !covers(before, after) {
                difference.widened = difference.widened.union(right);
            }
        }
        difference
    }

    /// What is so under any of several circumstances.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            lost: self.lost.union(other.lost),
            gained: self.gained.union(other.gained),
            narrowed: self.narrowed.union(other.narrowed),
            widened: self.widened.union(other.widened),
        }
    }
}

/// `*` goes with any single right, so it is said only where nothing else goes, or what no smaller role has.
fn said_as_lost(rights: RightSet) -> RightSet {
    let single = rights.difference(RightSet::of(&[Right::All]));
    if single.is_empty() || single.contains(Right::BreakGlass) { rights } else { single }
}

/// Whether every tag of the second set is surely in the first.
fn covers(large: &TagSet, small: &TagSet) -> bool {
    let has = |patterns: &[TagPattern], pattern: &TagPattern| {
        patterns.contains(pattern) || patterns.contains(&TagPattern::any())
    };
    small.within.iter().all(|pattern| has(&large.within, pattern))
        && large.except.iter().all(|pattern| has(&small.except, pattern))
}

#[cfg(test)]
mod tests {
    use shared::limits::TagPattern;
    use shared::repository_pattern::RepositoryPattern;
    use time::OffsetDateTime;

    use super::super::super::grant::{Circumstances, Conditions, Effect, Grant, What};
    use super::super::super::policy::Rows;
    use super::*;

    /// Rows such as `push`, `push:v*` or `-delete`.
    fn held(rows: &[&str]) -> Held {
        let grant = |text: &&str| {
            let (effect, text) =
                text.strip_prefix('-').map_or((Effect::Allow, *text), |text| (Effect::Deny, text));
            let (words, tags) =
                text.split_once(':').map_or((text, None), |(words, tags)| (words, Some(tags)));
            Grant {
                id: 0,
                holder: 0,
                effect,
                what: What::Rights(RightSet::parse(words).unwrap()),
                pattern: RepositoryPattern::all(),
                tags: tags.map(|tags| TagPattern::parse(tags).unwrap()),
                conditions: Conditions::default(),
            }
        };
        let rows = Rows { grants: rows.iter().map(grant).collect(), ..Rows::default() };
        let circumstances =
            Circumstances { now: OffsetDateTime::UNIX_EPOCH, address: None, second_factor: false };
        Held::of(&rows, &"a".parse().unwrap(), None, circumstances)
    }

    #[test]
    fn a_difference_says_what_came_and_what_went() {
        let words = |before: &[&str], after: &[&str]| {
            let Difference { lost, gained, narrowed, widened } =
                Difference::between(&held(before), &held(after));
            [lost, gained, narrowed, widened].map(|set| set.to_string())
        };
        for (before, after, expected) in [
            (&["pull"][..], &["pull"][..], ["", "", "", ""]),
            (&["pull", "push"], &["pull"], ["push", "", "", ""]),
            (&["pull"], &["pull,push"], ["", "push", "", ""]),
            (&["*"], &[], ["*", "", "", ""]),
            (&["*"], &["*", "-push"], ["push", "", "", ""]),
            (&["*", "-push"], &["*"], ["", "push,*", "", ""]),
            (
                &["list,pull"],
                &["list,pull", "*"],
                ["", "push,delete,administer,repository-delete,break-glass,*", "", ""],
            ),
            (
                &["list,pull", "*"],
                &["list,pull"],
                ["push,delete,administer,repository-delete,break-glass,*", "", "", ""],
            ),
            (&["push,delete,break-glass"], &["*"], ["", "administer,list,pull,repository-delete,*", "", ""]),
            (&["push"], &["push", "-tag-update:v*"], ["", "", "tag-update", ""]),
            (&["push:v*"], &["push"], ["", "attach", "", "tag-create,tag-update"]),
            (&["push:v*"], &["push:w*"], ["", "", "tag-create,tag-update", "tag-create,tag-update"]),
        ] {
            assert_eq!(words(before, after), expected, "{before:?} {after:?}");
        }
    }
}
