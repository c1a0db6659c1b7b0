//! Regular expressions as Go understands them, for an engine that differs in details.
//!
//! *Invariant:* an expression that Go refuses matches nothing, and one that it takes matches the same texts of letters
//! that names can have.
//!
//! Spec: Go, package `regexp/syntax`.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// Bigger programs are refused; no rule needs one.
const MAX_PROGRAM_BYTES: usize = 1024 * 1024;

/// The expression between slashes, if the pattern is one.
pub(super) fn expression(pattern: &str) -> Option<&str> {
    let inner = pattern.strip_prefix('/')?.strip_suffix('/')?;
    (!inner.is_empty()).then_some(inner)
}

/// Prepares an expression; nothing if it is none.
pub(super) fn compile(expression: &str) -> Option<Regex> {
    RegexBuilder::new(&translate(expression)?).size_limit(MAX_PROGRAM_BYTES).build().ok()
}

/// Writes an expression as the engine here spells it.
pub(super) fn translate(expression: &str) -> Option<String> {
    let mut written = String::with_capacity(expression.len() + 8);
    let mut rest = expression.chars().peekable();
    let mut after_repetition = false;
    while let Some(character) = rest.next() {
        let repeats = match character {
            '*' | '+' | '?' => Some(character.to_string()),
            '{' => repetition(&mut rest),
            _ => None,
        };
        if let Some(repeats) = repeats {
            if after_repetition {
                return None;
            }
            written.push_str(&repeats);
            // The one that follows makes it take as little as possible.
            if rest.next_if_eq(&'?').is_some() {
                written.push('?');
            }
            after_repetition = true;
            continue;
        }
        after_repetition = false;
        match character {
            '\\' => escape(&mut rest, &mut written)?,
            '[' => set(&mut rest, &mut written)?,
            '(' => {
                written.push('(');
                // No repetition, though it looks like one.
                if rest.next_if_eq(&'?').is_some() {
                    written.push('?');
                }
            }
            '{' | '}' => {
                written.push('\\');
                written.push(character);
            }
            character => written.push(character),
        }
    }
    Some(written)
}

/// What follows an opening brace, if that makes it a repetition.
fn repetition(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let text: String = rest.clone().take_while(|character| *character != '}').collect();
    rest.clone().nth(text.chars().count()).filter(|character| *character == '}')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (least, most) = text.split_once(',').unwrap_or((&text, &text));
    if !is_number(least) || !(most.is_empty() || is_number(most)) {
        return None;
    }
    rest.nth(text.chars().count());
    Some(format!("{{{text}}}"))
}

/// What follows a backslash.
fn escape(rest: &mut Peekable<Chars<'_>>, written: &mut String) -> Option<()> {
    let character = rest.next()?;
    match character {
        'Q' => {
            let mut quoted = String::new();
            loop {
                match rest.next() {
                    Some('\\') if rest.peek() == Some(&'E') => {
                        rest.next();
                        break;
                    }
                    Some(character) => quoted.push(character),
                    None => break,
                }
            }
            written.push_str(&regex::escape(&quoted));
        }
        'd' | 'w' | 's' | 'D' | 'W' | 'S' => {
            written.push_str(if character.is_ascii_lowercase() { "[" } else { "[^" });
            written.push_str(class(character.to_ascii_lowercase()));
            written.push(']');
        }
        'b' => written.push_str("(?-u:\\b)"),
        'x' | 'p' | 'P' => named(character, rest, written),
        'A' | 'B' | 'z' | 'a' | 'f' | 't' | 'n' | 'r' | 'v' => {
            written.push('\\');
            written.push(character);
        }
        punctuation if punctuation.is_ascii_punctuation() => {
            written.push_str(&regex::escape(&punctuation.to_string()));
        }
        _ => return None,
    }
    Some(())
}

/// Letters as Go has them, whatever other alphabets there are.
fn class(letter: char) -> &'static str {
    match letter {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        _ => "\\t\\n\\f\\r ",
    }
}

/// A character by its number, or a class by its name.
fn named(kind: char, rest: &mut Peekable<Chars<'_>>, written: &mut String) {
    written.push('\\');
    written.push(kind);
    if rest.peek() == Some(&'{') {
        for character in rest.by_ref() {
            written.push(character);
            if character == '}' {
                break;
            }
        }
    }
}

/// What follows an opening bracket.
fn set(rest: &mut Peekable<Chars<'_>>, written: &mut String) -> Option<()> {
    written.push('[');
    if rest.next_if_eq(&'^').is_some() {
        written.push('^');
    }
    let (mut is_first, mut after_dash) = (true, false);
    loop {
        let character = rest.next()?;
        let was_dash = std::mem::take(&mut after_dash);
        match character {
            ']' if !is_first => {
                written.push(']');
                return Some(());
            }
            '[' if rest.peek() == Some(&':') => {
                written.push('[');
                for character in rest.by_ref() {
                    written.push(character);
                    if character == ']' {
                        break;
                    }
                }
            }
            '\\' => match rest.peek()? {
                'd' | 'w' | 's' => written.push_str(class(rest.next()?)),
                _ => escape(rest, written)?,
            },
            '-' if !was_dash => {
                after_dash = true;
                written.push('-');
            }
            '[' | ']' | '&' | '~' | '-' => {
                written.push('\\');
                written.push(character);
            }
            character => written.push(character),
        }
        is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_as_in_go() {
        for (expression, text, expected) in [
            ("admin", "nonadmin2", true),
            ("^admin$", "admin2", false),
            ("(foo|bar)", "a-bar", true),
            ("^(.+)@test\\.com$", "john@test.com", true),
            ("^${account}$", "alice", false),
            ("^a{2,3}$", "aaa", true),
            ("^a{,3}$", "a{,3}", true),
            ("^a{x}$", "a{x}", true),
            ("^[]a]$", "]", true),
            ("^[[a]$", "[", true),
            ("^[a&&b]$", "&", true),
            ("^[+--]$", ",", true),
            ("^[a-c-]$", "-", true),
            ("^[[:alpha:]]+$", "abc", true),
            ("^[\\w-]+$", "a-b_c", true),
            ("^[^\\d]$", "1", false),
            ("^[\\D]$", "x", true),
            ("^\\Qa.b\\E$", "a.b", true),
            ("^\\Qa.b\\E$", "axb", false),
            ("^\\w+$", "ä", false),
            ("^team\\/.*$", "team/a/b", true),
            ("(?i)^ADMIN$", "admin", true),
            ("^(?P<x>a)$", "a", true),
            ("\\bfoo\\b", "a foo b", true),
            ("^\\x61\\x{62}$", "ab", true),
            ("^a.*?b$", "axxb", true),
            ("^\\_\\-$", "_-", true),
            ("^\\<a\\>$", "<a>", true),
        ] {
            let compiled = compile(expression).unwrap_or_else(|| panic!("{expression}"));
            assert_eq!(compiled.is_match(text), expected, "{expression} {text}");
        }
        for expression in ["foo?*", "a**", "a+*", "(", "[a", "\\y", "a{2}{3}", "*a"] {
            assert!(compile(expression).is_none(), "{expression}");
        }
        assert_eq!(expression("//"), None);
        assert_eq!(expression("/a/"), Some("a"));
        assert_eq!(expression("a/"), None);
    }
}
