//! Matching a repository name or a tag against a glob, without compiling it.
//!
//! A grant is looked at for one request and forgotten, and there may be tens of thousands of them, so nothing is
//! prepared: the positions in the pattern at which a match can stand are kept in a bit set and moved along the name
//! byte by byte. That also bounds the work: never more than the length of the pattern for each byte of the name.
//!
//! `*` any number of characters inside a component, `?` one, `[a-z]` one of a set, `{x,y}` either, and a component
//! `**` any number of components, none included.
//!
//! *Invariant:* no pattern and no name makes this backtrack, allocate or fail.

/// Longest pattern in bytes.
pub const MAX_PATTERN_BYTES: usize = 200;

const WORDS: usize = MAX_PATTERN_BYTES / 64 + 1;

/// Whether `name` matches `pattern`, which must have passed [`check`].
pub fn matches(pattern: &str, name: &str) -> bool {
    let glob = Glob(pattern.as_bytes());
    let mut positions = Positions::default();
    glob.enter(0, &mut positions);
    for byte in name.bytes() {
        let mut next = Positions::default();
        positions.each(|position| glob.step(position, byte, &mut next));
        positions = next;
    }
    positions.contains(pattern.len())
}

/// Positions in the pattern; the one past its end means that all of it has matched.
#[derive(Clone, Copy, Default)]
struct Positions([u64; WORDS]);

impl Positions {
    fn insert(&mut self, position: usize) {
        self.0[position / 64] |= 1 << (position % 64);
    }

    fn contains(&self, position: usize) -> bool {
        self.0[position / 64] & (1 << (position % 64)) != 0
    }

    fn each(&self, mut visit: impl FnMut(usize)) {
        for (index, word) in self.0.iter().enumerate() {
            let mut left = *word;
            while left != 0 {
                visit(index * 64 + left.trailing_zeros() as usize);
                left &= left - 1;
            }
        }
    }
}

struct Glob<'a>(&'a [u8]);

impl Glob<'_> {
    /// Adds a position and all that can be reached from it without consuming anything. All of them lie further
    /// right, so this ends; what is there already has been followed before.
    fn enter(&self, position: usize, positions: &mut Positions) {
        if positions.contains(position) {
            return;
        }
        positions.insert(position);
        match self.0.get(position) {
            Some(b'*') if self.is_any_depth(position) => {
                // As first star it stands at the beginning of a component, where the rest may begin too.
                self.enter(self.after_any_depth(position), positions);
            }
            Some(b'*' | b'}') => self.enter(position + 1, positions),
            Some(b'{') => {
                self.enter(position + 1, positions);
                for (offset, byte) in self.0[position..].iter().enumerate() {
                    match byte {
                        b',' => self.enter(position + offset + 1, positions),
                        b'}' => break,
                        _ => {}
                    }
                }
            }
            Some(b',') => self.enter(self.closing(position, b'}') + 1, positions),
            // `a/**` covers `a` itself.
            Some(b'/') if &self.0[position..] == b"/**" => positions.insert(self.0.len()),
            _ => {}
        }
    }

    /// Moves one position over one byte of the name.
    fn step(&self, position: usize, byte: u8, next: &mut Positions) {
        match self.0.get(position) {
            None | Some(b',' | b'{' | b'}') => {}
            Some(b'*') if self.is_any_depth(position) => {
                if byte == b'/' {
                    self.enter(position, next);
                    return;
                }
                // The second star stands for "inside a component", where nothing else may begin.
                next.insert(position + 1);
                if position + 2 == self.0.len() {
                    next.insert(position + 2);
                }
            }
            Some(b'*') if position > 0 && self.is_any_depth(position - 1) => {
                self.step(position - 1, byte, next);
            }
            Some(b'*') if byte != b'/' => self.enter(position, next),
            Some(b'?') if byte != b'/' => self.enter(position + 1, next),
            Some(b'[') => {
                let end = self.closing(position, b']');
                if is_in_set(&self.0[position + 1..end], byte) {
                    self.enter(end + 1, next);
                }
            }
            Some(literal) if *literal == byte && !matches!(literal, b'*' | b'?') => {
                self.enter(position + 1, next);
            }
            Some(_) => {}
        }
    }

    /// Whether a component `**` begins here.
    fn is_any_depth(&self, position: usize) -> bool {
        self.0[position..].starts_with(b"**") && (position == 0 || self.0[position - 1] == b'/')
    }

    /// Where the pattern goes on after a component `**` that matched nothing.
    fn after_any_depth(&self, position: usize) -> usize {
        (position + 3).min(self.0.len())
    }

    /// The next closing bracket; [`check`] has seen that there is one.
    fn closing(&self, position: usize, bracket: u8) -> usize {
        let offset = self.0[position..].iter().position(|byte| *byte == bracket);
        offset.map_or(self.0.len() - 1, |offset| position + offset)
    }
}

fn is_in_set(mut set: &[u8], byte: u8) -> bool {
    loop {
        match set {
            [first, b'-', last, rest @ ..] => {
                if (*first..=*last).contains(&byte) {
                    return true;
                }
                set = rest;
            }
            [one, rest @ ..] => {
                if *one == byte {
                    return true;
                }
                set = rest;
            }
            [] => return false,
        }
    }
}

/// What a pattern is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Lower-case components between slashes.
    RepositoryNames,
    /// One component of letters of either case.
    Tags,
}

/// What is wrong with the letters, brackets or stars of a pattern.
pub fn check(pattern: &str, subject: Subject) -> Result<(), &'static str> {
    if subject == Subject::Tags && pattern.contains('/') {
        return Err("tags hold no slashes");
    }
    let mut after_any_depth = false;
    for component in pattern.split('/') {
        if component == "**" && after_any_depth {
            return Err("`**/**` says no more than `**`");
        }
        after_any_depth = component == "**";
        if !after_any_depth {
            check_component(component, subject)?;
        }
    }
    Ok(())
}

fn check_component(component: &str, subject: Subject) -> Result<(), &'static str> {
    if component.contains("**") {
        return Err("`**` stands for whole components and must be alone between slashes");
    }
    let mut in_braces = false;
    let mut bytes = component.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' if in_braces => return Err("braces cannot be nested"),
            b'{' => in_braces = true,
            b'}' if !in_braces => return Err("there is a `}` without a `{`"),
            b'}' => in_braces = false,
            b',' if !in_braces => return Err("a comma has a meaning only inside braces"),
            b']' => return Err("there is a `]` without a `[`"),
            b'[' => check_set(&bytes.by_ref().take_while(|byte| *byte != b']').collect::<Vec<_>>(), subject)?,
            b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'*' | b'?' | b',' => {}
            b'A'..=b'Z' if subject == Subject::Tags => {}
            b'A'..=b'Z' => return Err("repository names are lower-case"),
            _ if subject == Subject::Tags => return Err("it holds a character that no tag has"),
            _ => return Err("it holds a character that no repository name has"),
        }
    }
    if in_braces {
        return Err("there is a `{` without a `}` in the same component");
    }
    let closed = component.matches('[').count() == component.matches(']').count();
    if closed { Ok(()) } else { Err("there is a `[` without a `]` in the same component") }
}

fn check_set(set: &[u8], subject: Subject) -> Result<(), &'static str> {
    let letter =
        |byte: &u8| byte.is_ascii_lowercase() || (subject == Subject::Tags && byte.is_ascii_uppercase());
    let member = |byte: &u8| letter(byte) || byte.is_ascii_digit() || b"._-".contains(byte);
    let mut rest = set;
    if rest.is_empty() {
        return Err("a set in brackets must not be empty");
    }
    if !rest.iter().all(member) {
        return Err(
            "a set in brackets holds letters (lower-case ones for repository names), digits, `.`, `_`, `-` and ranges of them",
        );
    }
    while let [first, after @ ..] = rest {
        rest = after;
        if let [b'-', last, after @ ..] = rest {
            if first > last {
                return Err("a range in brackets runs backwards");
            }
            rest = after;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use globset::GlobBuilder;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_of_the_manual_match_what_it_says() {
        for (pattern, yes, no) in [
            ("a/b/**", &["a/b", "a/b/c", "a/b/c/d"][..], &["a", "a/bc", "x/a/b"][..]),
            ("**", &["a", "a/b", "a/b/c"], &[]),
            ("a/*-dev", &["a/x-dev", "a/x-y-dev", "a/-dev"], &["a/x", "a/x/y-dev", "b/x-dev", "a/x-dev/y"]),
            ("a/*/release", &["a/x/release"], &["a/release", "a/x/y/release"]),
            ("**/release", &["release", "a/release", "a/b/release"], &["a/prerelease", "release/a"]),
            ("a/**/z", &["a/z", "a/b/z", "a/b/c/z"], &["az", "a/bz", "a/z/y"]),
            ("a/?", &["a/b"], &["a/", "a/bc", "a//"]),
            ("a/[b-d0]x", &["a/bx", "a/dx", "a/0x"], &["a/ex", "a/x"]),
            ("{a,b}/**", &["a", "b/c"], &["c", "ab"]),
            ("app{,-dev}", &["app", "app-dev"], &["app-", "app-devx"]),
            ("a/{x*,y}/b", &["a/x/b", "a/xx/b", "a/y/b"], &["a/yy/b"]),
        ] {
            assert_eq!(check(pattern, Subject::RepositoryNames), Ok(()), "{pattern}");
            for name in yes {
                assert!(matches(pattern, name), "{pattern} {name}");
            }
            for name in no {
                assert!(!matches(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for pattern in [
            "a**",
            "**a/b",
            "a/***",
            "{a",
            "a}",
            "{a,{b,c}}",
            "[",
            "[]",
            "[z-a]",
            "a]",
            "[!a]",
            "[^a]",
            "a,b",
            "A/*",
            "a b",
            "ä*",
            "**/**",
            "a/[b/c]",
            "a\\*",
            "{a/b}",
            "{a,b/c}",
        ] {
            assert!(check(pattern, Subject::RepositoryNames).is_err(), "{pattern}");
        }
    }

    #[test]
    fn the_longest_name_and_the_worst_pattern_take_bounded_work() {
        let pattern = "*a".repeat(MAX_PATTERN_BYTES / 2);
        assert!(check(&pattern, Subject::RepositoryNames).is_ok());
        assert!(!matches(&pattern, &format!("{}b", "a".repeat(254))));
        assert!(matches(&pattern, &"a".repeat(255)));
    }

    /// A widely used matcher as judge. Ours differs on purpose in one point: `a/**` covers `a`.
    fn judge(pattern: &str, name: &str) -> bool {
        let matcher = |pattern: &str| {
            GlobBuilder::new(pattern)
                .literal_separator(true)
                .empty_alternates(true)
                .build()
                .expect("a pattern that passed the check")
                .compile_matcher()
        };
        matcher(pattern).is_match(name)
            || pattern.strip_suffix("/**").is_some_and(|parent| judge(parent, name))
    }

    fn pattern() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[ab]{1,2}",
            2 => Just("*".to_owned()),
            1 => Just("?".to_owned()),
            1 => Just("[a-b]".to_owned()),
            1 => "\\{[ab]{0,2},[ab*?]{0,2}\\}",
        ];
        let component = prop_oneof![
            5 => proptest::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat()),
            2 => Just("**".to_owned()),
        ];
        proptest::collection::vec(component, 1..5).prop_map(|components| components.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn an_independent_matcher_agrees(pattern in pattern(), name in "[ab]{1,3}(/[ab]{1,3}){0,4}") {
            if check(&pattern, Subject::RepositoryNames).is_ok() {
                prop_assert_eq!(matches(&pattern, &name), judge(&pattern, &name), "{} {}", pattern, name);
            }
        }

        #[test]
        fn any_text_is_survived(pattern in "[a-b*?{},\\[\\]/!-]{0,200}", name in "[ab/]{0,40}") {
            if check(&pattern, Subject::RepositoryNames).is_ok() {
                let _ = matches(&pattern, &name);
            }
        }
    }
}
