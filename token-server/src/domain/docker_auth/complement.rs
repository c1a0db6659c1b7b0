//! Patterns for all names that some patterns do not cover.
//!
//! A rule that denies "everything else" comes to denials of just that. Patterns of ours have no "except", but what lies
//! outside of a few simple ones can be written: names that begin otherwise, stop earlier, or go on.
//!
//! *Invariant:* either the patterns cover exactly the other names, or there is no answer.

use std::collections::{BTreeMap, BTreeSet};

use shared::repository_pattern::RepositoryPattern;

use super::patterns::LETTERS;
use super::shape::{self, Piece};

/// A component of a simple pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Component {
    /// Exactly this.
    Whole(String),
    /// Whatever begins with this, which is not empty.
    Beginning(String),
    /// Any.
    Any,
}

/// A pattern as its components, and whether it covers what lies below them.
#[derive(Clone, Debug)]
struct Path {
    components: Vec<Component>,
    is_subtree: bool,
}

impl Path {
    fn read(pattern: &RepositoryPattern) -> Option<Self> {
        let text = pattern.to_string();
        let (text, is_subtree) = text.strip_suffix("/**").map_or((text.as_str(), false), |text| (text, true));
        let component = |text: &str| match text.split_once('*') {
            None if text.chars().all(|letter| LETTERS.contains(letter)) => {
                Some(Component::Whole(text.to_owned()))
            }
            Some(("", "")) => Some(Component::Any),
            Some((beginning, "")) if beginning.chars().all(|letter| LETTERS.contains(letter)) => {
                Some(Component::Beginning(beginning.to_owned()))
            }
            _ => None,
        };
        Some(Self { components: text.split('/').map(component).collect::<Option<_>>()?, is_subtree })
    }
}

/// Patterns for the names that none of these covers; nothing if that cannot be written.
pub(super) fn complement(patterns: &[RepositoryPattern]) -> Option<Vec<RepositoryPattern>> {
    let paths = patterns.iter().map(Path::read).collect::<Option<Vec<_>>>()?;
    let rests = paths.iter().map(|path| (path.components.as_slice(), path.is_subtree)).collect::<Vec<_>>();
    let mut outside = Vec::new();
    collect("", &rests, &mut outside)?;
    outside.iter().map(|text| RepositoryPattern::parse(text).ok()).collect()
}

/// What is left of a path, and whether it covers what lies below.
type Rest<'a> = (&'a [Component], bool);

/// Adds what lies outside of these paths below a folder.
fn collect(folder: &str, rests: &[Rest<'_>], outside: &mut Vec<String>) -> Option<()> {
    let mut groups: BTreeMap<&Component, Vec<Rest<'_>>> = BTreeMap::new();
    for (components, is_subtree) in rests {
        let (first, after) = components.split_first()?;
        groups.entry(first).or_default().push((after, *is_subtree));
    }
    let heads: Vec<&Component> = groups.keys().copied().collect();
    if heads.iter().enumerate().any(|(position, one)| heads[..position].iter().any(|two| overlap(one, two))) {
        return None;
    }
    beside(folder, &heads, outside);
    for (head, below) in groups {
        let place = match head {
            Component::Whole(text) => format!("{folder}{text}"),
            Component::Beginning(text) => format!("{folder}{text}*"),
            Component::Any => format!("{folder}*"),
        };
        let (ended, going_on): (Vec<Rest<'_>>, Vec<Rest<'_>>) =
            below.into_iter().partition(|(components, _)| components.is_empty());
        if ended.iter().any(|(_, is_subtree)| *is_subtree) {
            continue;
        }
        if ended.is_empty() {
            outside.push(place.clone());
        }
        if going_on.is_empty() {
            outside.push(format!("{place}/*/**"));
        } else {
            collect(&format!("{place}/"), &going_on, outside)?;
        }
    }
    Some(())
}

/// Whether a component can be both.
fn overlap(one: &Component, two: &Component) -> bool {
    use Component::{Any, Beginning, Whole};
    match (one, two) {
        (Any, _) | (_, Any) => true,
        (Whole(one), Whole(two)) => one == two,
        (Whole(whole), Beginning(beginning)) | (Beginning(beginning), Whole(whole)) => {
            whole.starts_with(beginning.as_str())
        }
        (Beginning(one), Beginning(two)) => one.starts_with(two.as_str()) || two.starts_with(one.as_str()),
    }
}

/// Adds what has another component there, with all below it.
fn beside(folder: &str, heads: &[&Component], outside: &mut Vec<String>) {
    if heads.contains(&&Component::Any) {
        return;
    }
    let texts: BTreeSet<&str> = heads
        .iter()
        .map(|head| match head {
            Component::Whole(text) | Component::Beginning(text) => text.as_str(),
            Component::Any => "",
        })
        .collect();
    // Where a component can leave the way of all of them.
    let mut forks: BTreeMap<&str, BTreeSet<char>> = BTreeMap::new();
    for text in &texts {
        for (position, letter) in text.char_indices() {
            forks.entry(&text[..position]).or_default().insert(letter);
        }
    }
    for head in heads {
        if let Component::Whole(text) = head {
            forks.entry(text).or_default();
        }
    }
    let (mut leaving, mut stopping) = (Vec::new(), Vec::new());
    for (way, next) in forks {
        let others: Vec<char> = LETTERS.chars().filter(|letter| !next.contains(letter)).collect();
        leaving.extend(shape::write_piece(&Piece::Set(others)).map(|set| format!("{way}{set}")));
        if !way.is_empty() && !heads.contains(&&Component::Whole(way.to_owned())) {
            stopping.push(way.to_owned());
        }
    }
    outside.extend(either(&leaving).into_iter().map(|text| format!("{folder}{text}*/**")));
    outside.extend(either(&stopping).into_iter().map(|text| format!("{folder}{text}/**")));
}

/// A pattern has at most 200 bytes, and others stand before and behind this part.
const MAX_BYTES_IN_BRACES: usize = 120;

/// Alternatives in as few braces as they fit into.
fn either(alternatives: &[String]) -> Vec<String> {
    let mut groups: Vec<Vec<&str>> = Vec::new();
    for alternative in alternatives {
        match groups.last_mut() {
            Some(group)
                if group.iter().map(|text| text.len() + 1).sum::<usize>() + alternative.len()
                    <= MAX_BYTES_IN_BRACES =>
            {
                group.push(alternative);
            }
            _ => groups.push(vec![alternative]),
        }
    }
    let written = groups.into_iter().map(|group| match group.as_slice() {
        [only] => (*only).to_owned(),
        several => format!("{{{}}}", several.join(",")),
    });
    written.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::repository_name::RepositoryName;

    use super::*;

    fn parsed(patterns: &[&str]) -> Vec<RepositoryPattern> {
        patterns.iter().map(|text| RepositoryPattern::parse(text).unwrap()).collect()
    }

    #[test]
    fn what_lies_outside_is_written_in_few_patterns() {
        for (patterns, expected) in [
            (&["*"][..], &["*/*/**"][..]),
            (&["a*"], &["[-.0-9_b-z]*/**", "a*/*/**"]),
            (&["a/**"], &["{[-.0-9_b-z],a?}*/**"]),
            (&["ab"], &["{[-.0-9_b-z],a[-.0-9_ac-z],ab?}*/**", "a/**", "ab/*/**"]),
        ] {
            let outside: Vec<_> =
                complement(&parsed(patterns)).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(outside, expected, "{patterns:?}");
        }
        for patterns in [&["a?"][..], &["*a"], &["a*", "ab"], &["a*", "*"], &["**/a"]] {
            assert!(complement(&parsed(patterns)).is_none(), "{patterns:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn a_name_is_inside_or_outside(
            patterns in proptest::collection::vec("[ab]{1,3}\\*?(/[ab]{1,2}\\*?|/\\*){0,2}(/\\*\\*)?", 1..4),
            name in "[abc]{1,4}(/[abc]{1,3}){0,3}",
        ) {
            let patterns: Vec<_> = patterns.iter().filter_map(|text| RepositoryPattern::parse(text).ok()).collect();
            if let Some(outside) = complement(&patterns) {
                let name = RepositoryName::parse(&name).unwrap();
                let covers = |patterns: &[RepositoryPattern]| patterns.iter().any(|pattern| pattern.matches(&name, None));
                prop_assert_ne!(covers(&patterns), covers(&outside), "{:?} {:?} {}", patterns, outside, name);
            }
        }
    }
}
