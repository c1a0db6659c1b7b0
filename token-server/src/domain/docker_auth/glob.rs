//! Patterns of docker_auth that are no regular expressions: file name patterns of Go.
//!
//! `*` any number of characters but no slash, `?` one character but no slash, `[a-z]` one of a set and `[^a-z]` one
//! outside of it, which may be a slash, `\` makes the next character mean itself. `**` says no more than `*`.
//!
//! *Invariant:* the answer is the one of Go, also where that gives up early; a pattern that makes no sense matches
//! nothing.
//!
//! Spec: Go, package `path`, `Match`.

/// One character, or one of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Literal(char),
    /// Anything but a slash.
    One,
    /// One of these ranges, or of none of them.
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Token {
    fn matches(&self, character: char) -> bool {
        match self {
            Self::Literal(literal) => *literal == character,
            Self::One => character != '/',
            Self::Set { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&character)) != *negated
            }
        }
    }
}

/// What stands between two stars.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Whether a star stands before it.
    pub(super) after_star: bool,
    pub(super) tokens: Vec<Token>,
}

/// Takes a pattern apart; nothing if it makes no sense.
pub(super) fn parse(pattern: &str) -> Option<Vec<Chunk>> {
    let mut chunks = vec![Chunk::default()];
    let mut rest = pattern.chars().peekable();
    while let Some(character) = rest.next() {
        let token = match character {
            '*' => {
                match chunks.last_mut() {
                    Some(last) if last.tokens.is_empty() => last.after_star = true,
                    _ => chunks.push(Chunk { after_star: true, tokens: Vec::new() }),
                }
                continue;
            }
            '?' => Token::One,
            '\\' => Token::Literal(rest.next()?),
            '[' => set(&mut rest)?,
            literal => Token::Literal(literal),
        };
        chunks.last_mut()?.tokens.push(token);
    }
    Some(chunks)
}

fn set(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.next_if_eq(&']').is_some() {
            return Some(Token::Set { negated, ranges });
        }
        let low = member(rest)?;
        let high = if rest.next_if_eq(&'-').is_some() { member(rest)? } else { low };
        ranges.push((low, high));
    }
}

fn member(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        character => Some(character),
    }
}

/// Whether the pattern covers the whole name.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some(chunks) = parse(pattern) else { return false };
    let name: Vec<char> = name.chars().collect();
    let mut name = name.as_slice();
    for (position, chunk) in chunks.iter().enumerate() {
        let is_last = position + 1 == chunks.len();
        if chunk.after_star && chunk.tokens.is_empty() {
            return !name.contains(&'/');
        }
        // The first place where a chunk fits is final: no earlier star is tried again.
        let mut skipped = 0;
        name = loop {
            if let Some(after) = strip(&chunk.tokens, &name[skipped..])
                && (!is_last || after.is_empty())
            {
                break after;
            }
            if !chunk.after_star || name.get(skipped).is_none_or(|character| *character == '/') {
                return false;
            }
            skipped += 1;
        };
    }
    name.is_empty()
}

fn strip<'a>(tokens: &[Token], name: &'a [char]) -> Option<&'a [char]> {
    let fits = name.len() >= tokens.len()
        && tokens.iter().zip(name).all(|(token, character)| token.matches(*character));
    fits.then(|| &name[tokens.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, name, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*", "", true),
            ("*", "a/b", false),
            ("**", "a/b", false),
            ("a/**", "a/b", true),
            ("a/**", "a/b/c", false),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[^b-d]", "abc", false),
            ("ab[^c]", "ab/", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "aäb", true),
            ("a[^a][^a]b", "aäb", false),
            ("[a-ζ]*", "α", true),
            ("a?b", "a/b", false),
            ("[]a]", "]", false),
            ("[-]", "-", false),
            ("[x-]", "x", false),
            ("[", "a", false),
            ("[^bc", "a", false),
            ("a[", "a", false),
            ("*x", "xxx", true),
            ("test-*", "test-a", true),
            ("?*", "", false),
            ("?*", "x", true),
            ("", "", true),
            ("", "a", false),
            ("*[^q]*z", "ab/cz", false),
            ("john\\.smith/*", "john.smith/test", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
