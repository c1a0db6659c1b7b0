//! Names of repositories that stand for all that a pattern covers.
//!
//! *Invariant:* every sample is covered by its pattern, and has nothing in it that another pattern would be made for.

use shared::repository_name::RepositoryName;
use shared::repository_pattern::RepositoryPattern;

/// What wildcards are filled with; the first that makes a name.
const FILLERS: [&str; 3] = ["some-repository", "x", ""];

/// Alternatives of a pattern beyond this are left out.
const MAX_SAMPLES: usize = 16;

/// Names that a pattern covers for this user; none if no name can be made up, or it covers nothing.
pub fn samples(pattern: &RepositoryPattern, user: Option<&str>) -> Vec<RepositoryName> {
    let Some(pattern) = pattern.for_user(user) else { return Vec::new() };
    let text = pattern.to_string();
    // `a/**` covers `a` itself, where another row may well stand.
    let texts = [Some(text.as_str()), text.strip_suffix("/**")].into_iter().flatten();
    let mut samples: Vec<RepositoryName> = texts.flat_map(|text| filled(text, &pattern)).collect();
    if text == "**" {
        // Deeper than what `*` covers.
        samples.extend(filled("**/**", &pattern));
    }
    samples.sort_unstable();
    samples.dedup();
    samples
}

/// Whether a name is a sample and most likely nobody's repository.
pub(super) fn is_made_up(name: &RepositoryName) -> bool {
    name.as_str().contains(FILLERS[0])
}

fn filled(text: &str, pattern: &RepositoryPattern) -> Vec<RepositoryName> {
    let name = |text: String| RepositoryName::parse(&text).ok().filter(|name| pattern.matches(name, None));
    FILLERS
        .into_iter()
        .map(|filler| expanded(text, filler).into_iter().filter_map(name).collect::<Vec<_>>())
        .find(|names| !names.is_empty())
        .unwrap_or_default()
}

/// The text with every wildcard filled, once for each choice of alternatives.
fn expanded(text: &str, filler: &str) -> Vec<String> {
    let mut made = vec![String::new()];
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (parts, taken) = match first {
            '*' => (vec![filler.to_owned()], if rest.starts_with("**") { 2 } else { 1 }),
            '?' => (vec!["x".to_owned()], 1),
            '[' => (rest.get(1..2).map(str::to_owned).into_iter().collect(), after(rest, ']')),
            '{' => {
                let end = after(rest, '}');
                let inner = rest.get(1..end - 1).unwrap_or_default();
                (inner.split(',').flat_map(|part| expanded(part, filler)).collect(), end)
            }
            other => (vec![other.to_string()], other.len_utf8()),
        };
        let longer = made.iter().flat_map(|made| parts.iter().map(move |part| format!("{made}{part}")));
        made = longer.take(MAX_SAMPLES).collect();
        rest = rest.get(taken..).unwrap_or_default();
    }
    made
}

/// Where the text goes on behind a bracket.
fn after(text: &str, bracket: char) -> usize {
    text.find(bracket).map_or(text.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(pattern: &str, user: Option<&str>) -> Vec<String> {
        let pattern = RepositoryPattern::parse(pattern).unwrap();
        samples(&pattern, user).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_form_has_names_that_stand_for_it() {
        for (pattern, expected) in [
            ("a/b", vec!["a/b"]),
            ("a/b/**", vec!["a/b", "a/b/some-repository"]),
            ("**", vec!["some-repository", "some-repository/some-repository"]),
            ("a/*-dev", vec!["a/some-repository-dev"]),
            ("a/{x,y}/**", vec!["a/x", "a/x/some-repository", "a/y", "a/y/some-repository"]),
            ("a/v[0-9]", vec!["a/v0"]),
            ("**/cache", vec!["some-repository/cache"]),
            ("people/${user}/**", vec!["people/ann", "people/ann/some-repository"]),
        ] {
            assert_eq!(texts(pattern, Some("ann")), expected, "{pattern}");
        }
        assert_eq!(texts("people/${user}/**", None), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn whatever_is_a_pattern_has_a_name(
            text in "([ab]{1,2}|\\*|[ab]\\*|\\*\\*|[ab]?\\{a,b\\}|\\[ab\\])(/([ab]|\\*|[ab]\\*|\\*\\*|[ab]\\?)){0,5}",
        ) {
            if let Ok(pattern) = RepositoryPattern::parse(&text) {
                let found = samples(&pattern, None);
                prop_assert!(!found.is_empty(), "{}", pattern);
                prop_assert!(found.iter().all(|name| pattern.matches(name, None)), "{} {:?}", pattern, found);
            }
        }
    }
}
