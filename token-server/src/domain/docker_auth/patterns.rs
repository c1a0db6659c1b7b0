//! What a pattern of docker_auth for names is in patterns of ours.
//!
//! *Invariant:* nothing is written for names that a pattern did not cover; what cannot be written is said to be so. Names
//! that no repository can have do not count.

use shared::repository_pattern::{InvalidPattern, RepositoryPattern};

use super::glob::{self, Token};
use super::regular;
use super::shape::{self, Piece};

/// Why a pattern has no equal here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// Not made of parts that patterns have.
    #[error("patterns have no regular expressions, and this one is more than a few stars")]
    Expression,
    /// A set that a slash is in.
    #[error("a set of characters with the slash in it reaches over components")]
    SlashInSet,
    /// More bytes than a pattern may have.
    #[error("the pattern would be too long")]
    TooLong,
}

/// Stands for the name of whoever asks while a pattern is taken apart; it is quoted like a name.
pub(super) const ANYBODY: &str = "portcullis0anybody0user";

/// What a pattern without placeholders covers; [`ANYBODY`] in it becomes `${user}`.
pub(super) fn write(pattern: &str) -> Result<Vec<RepositoryPattern>, Unwritable> {
    let texts = match regular::expression(pattern) {
        Some(expression) => {
            let shapes = shape::alternatives(expression).ok_or(Unwritable::Expression)?;
            let texts: Option<Vec<_>> = shapes.iter().map(|pieces| shape::write(pieces)).collect();
            texts.ok_or(Unwritable::Expression)?.into_iter().flatten().collect()
        }
        None => write_glob(pattern)?.into_iter().collect::<Vec<_>>(),
    };
    let mut written = Vec::new();
    for text in texts {
        match RepositoryPattern::parse(&text.replace(ANYBODY, "${user}")) {
            Ok(pattern) => written.push(pattern),
            Err(InvalidPattern::TooLong) => return Err(Unwritable::TooLong),
            Err(InvalidPattern::Glob(_)) => return Err(Unwritable::Expression),
            // No repository has such a name.
            Err(_) => {}
        }
    }
    written.sort_unstable();
    written.dedup();
    Ok(written)
}

fn write_glob(pattern: &str) -> Result<Option<String>, Unwritable> {
    let Some(chunks) = glob::parse(pattern) else { return Ok(None) };
    let mut text = String::new();
    for chunk in chunks {
        if chunk.after_star {
            text.push('*');
        }
        for token in chunk.tokens {
            match token {
                Token::Literal(character) => text.push(character),
                Token::One => text.push('?'),
                Token::Set { negated, ranges } => {
                    let is_in = |character: &char| {
                        ranges.iter().any(|(low, high)| (low..=high).contains(&character)) != negated
                    };
                    if is_in(&'/') {
                        return Err(Unwritable::SlashInSet);
                    }
                    let members: Vec<char> = LETTERS.chars().filter(is_in).collect();
                    let Some(set) = shape::write_piece(&Piece::Set(members)) else { return Ok(None) };
                    text.push_str(&set);
                }
            }
        }
    }
    // These mean something else here, and no name has them.
    let is_name = |character: char| LETTERS.contains(character) || "/*?[]".contains(character);
    Ok(text.chars().all(is_name).then_some(text))
}

/// What components of names are made of.
pub(super) const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789._-";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rule::Expressions;
    use super::*;

    fn shown(pattern: &str) -> String {
        match write(pattern) {
            Ok(written) => written.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn globs_and_simple_expressions_have_equals() {
        for (pattern, expected) in [
            ("app", "app"),
            ("team/*", "team/*"),
            ("team/**", "team/*"),
            ("test-*", "test-*"),
            ("a?b[0-9]", "a?b[0-9]"),
            ("a[^a-z]", "SlashInSet"),
            ("Team/*", ""),
            ("/team/*", ""),
            ("a{b,c}", ""),
            ("a[", ""),
            ("portcullis0anybody0user/*", "${user}/*"),
            ("/.*/", "**"),
            ("/.+/", "**"),
            ("/^team\\/.*$/", "team/*/**"),
            ("/^team\\/.+/", "team/*/**"),
            ("/^team/", "team*/**"),
            ("/^(a|b)\\/[^\\/]+$/", "[ab]/*"),
            ("/^portcullis0anybody0user(\\/.*)?$/", "${user} ${user}/*/**"),
            ("/-dev$/", "**/*-dev"),
            ("/^.*\\/cache$/", "*/**/cache"),
            ("/^v[0-9]$/", "v[0-9]"),
            ("/^app[0-9]+$/", "Expression"),
            ("/^a{2}$/", "aa"),
            ("/a$b/", ""),
        ] {
            assert_eq!(shown(pattern), expected, "{pattern}");
        }
    }

    fn parts(parts: &'static [&'static str]) -> impl Strategy<Value = String> {
        proptest::collection::vec(proptest::sample::select(parts), 1..7).prop_map(|parts| parts.concat())
    }

    fn expression_text() -> impl Strategy<Value = String> {
        let inner = parts(&[
            "a", "b", "/", ".*", ".+", "[^/]+", "[^/]*", "[ab]", "(a|b/)", "(/.*)?", "a?", ".", "(a|b|c)/",
        ]);
        let anchored = (proptest::bool::ANY, inner, proptest::bool::ANY);
        anchored.prop_map(|(begins, inner, ends)| {
            format!("/{}{inner}{}/", if begins { "^" } else { "" }, if ends { "$" } else { "" })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn what_is_written_covers_the_same_names(
            pattern in prop_oneof![
                parts(&["a", "b", "*", "?", "/", "[ab]", "[^a]", "\\a", "c/"]),
                expression_text(),
            ],
            name in "[abc]{1,2}(/[abc]{1,2}){0,3}",
        ) {
            if let Ok(written) = write(&pattern) {
                let parsed = name.parse().unwrap();
                let here = written.iter().any(|pattern| pattern.matches(&parsed, None));
                let there = Expressions::default().matches(&pattern, &name);
                let shown: Vec<_> = written.iter().map(ToString::to_string).collect();
                prop_assert_eq!(here, there, "{} {} {:?}", pattern, name, shown);
            }
        }
    }
}
