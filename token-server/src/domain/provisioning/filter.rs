//! The grammar of filters.
//!
//! *Invariant:* reading never panics, takes time in proportion to the text, and goes no deeper than [`MAX_DEPTH`].
//!
//! Spec: RFC 7644 §3.4.2.2.

use serde_json::Value;

use super::{Kind, ScimError};

/// A longer filter is refused.
pub const MAX_LENGTH: usize = 4_000;

/// A deeper one as well.
pub const MAX_DEPTH: usize = 16;

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same.
    Equal,
    /// Not the same.
    NotEqual,
    /// One is in the other.
    Contains,
    /// It begins so.
    StartsWith,
    /// It ends so.
    EndsWith,
    /// Greater,
    Greater,
    /// … or the same.
    GreaterOrEqual,
    /// Less,
    Less,
    /// … or the same.
    LessOrEqual,
}

impl Comparison {
    fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "eq" => Self::Equal,
            "ne" => Self::NotEqual,
            "co" => Self::Contains,
            "sw" => Self::StartsWith,
            "ew" => Self::EndsWith,
            "gt" => Self::Greater,
            "ge" => Self::GreaterOrEqual,
            "lt" => Self::Less,
            "le" => Self::LessOrEqual,
            _ => return None,
        })
    }
}

/// What must be true.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Both.
    And(Box<Filter>, Box<Filter>),
    /// One at least.
    Or(Box<Filter>, Box<Filter>),
    /// This is not so.
    Not(Box<Filter>),
    /// An attribute compared with a value.
    Compare(String, Comparison, Value),
    /// There is such an attribute.
    Present(String),
    /// One of several values is so.
    Within(String, Box<Filter>),
}

/// Reads a filter.
pub fn parse(text: &str) -> Result<Filter, ScimError> {
    if text.len() > MAX_LENGTH {
        return Err(ScimError::InvalidFilter(format!("a filter has at most {MAX_LENGTH} characters")));
    }
    let mut reader = Reader { rest: text };
    let filter = reader.or(0)?;
    reader.skip();
    if reader.rest.is_empty() { Ok(filter) } else { Err(reader.wrong("the end")) }
}

/// The name of an attribute in lower case, without the schema that it is of.
pub fn attribute(text: &str) -> String {
    let folded = text.to_ascii_lowercase();
    for kind in [Kind::User, Kind::Group] {
        let schema = kind.schema().to_ascii_lowercase();
        if let Some(rest) = folded.strip_prefix(&schema).and_then(|rest| rest.strip_prefix(':')) {
            return rest.to_owned();
        }
    }
    folded
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn wrong(&self, expected: &str) -> ScimError {
        let near: String = self.rest.chars().take(20).collect();
        ScimError::InvalidFilter(format!("the filter should go on with {expected} at {near:?}"))
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    fn take(&mut self, letter: char) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(letter);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self) -> &'a str {
        self.skip();
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "_-$.:".contains(letter);
        let end = self.rest.find(|letter| !is_letter(letter)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let before = self.rest;
        let is_there = self.word().eq_ignore_ascii_case(wanted);
        if !is_there {
            self.rest = before;
        }
        is_there
    }

    fn or(&mut self, depth: usize) -> Result<Filter, ScimError> {
        if depth > MAX_DEPTH {
            return Err(ScimError::InvalidFilter(format!("a filter has at most {MAX_DEPTH} levels")));
        }
        let mut left = self.and(depth)?;
        while self.take_word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.and(depth)?));
        }
        Ok(left)
    }

    fn and(&mut self, depth: usize) -> Result<Filter, ScimError> {
        let mut left = self.term(depth)?;
        while self.take_word("and") {
            left = Filter::And(Box::new(left), Box::new(self.term(depth)?));
        }
        Ok(left)
    }

    fn group(&mut self, depth: usize, end: char) -> Result<Filter, ScimError> {
        let inner = self.or(depth + 1)?;
        if self.take(end) { Ok(inner) } else { Err(self.wrong(&format!("{end:?}"))) }
    }

    fn term(&mut self, depth: usize) -> Result<Filter, ScimError> {
        if self.take('(') {
            return self.group(depth, ')');
        }
        let name = self.word();
        if name.eq_ignore_ascii_case("not") && self.take('(') {
            return Ok(Filter::Not(Box::new(self.group(depth, ')')?)));
        }
        if !name.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            return Err(self.wrong("an attribute"));
        }
        let name = attribute(name);
        if self.take('[') {
            return Ok(Filter::Within(name, Box::new(self.group(depth, ']')?)));
        }
        let operator = self.word();
        if operator.eq_ignore_ascii_case("pr") {
            return Ok(Filter::Present(name));
        }
        let comparison = Comparison::parse(operator).ok_or_else(|| self.wrong("eq, co, pr or the like"))?;
        Ok(Filter::Compare(name, comparison, self.value()?))
    }

    fn value(&mut self) -> Result<Value, ScimError> {
        self.skip();
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<Value>();
        let read = values.next().and_then(Result::ok).filter(|value| !value.is_array() && !value.is_object());
        if let Some(value) = read {
            let end = values.byte_offset();
            if value.as_str().is_some_and(|text| text.contains('\0')) {
                return Err(self.wrong("a text without zero"));
            }
            self.rest = &self.rest[end..];
            return Ok(value);
        }
        // Some write True and False.
        match self.word().to_ascii_lowercase().as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "null" => Ok(Value::Null),
            _ => Err(self.wrong("a value, such as \"text\" or true")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn equal(name: &str, value: &str) -> Filter {
        Filter::Compare(name.into(), Comparison::Equal, json!(value))
    }

    #[test]
    fn what_providers_send_is_read() {
        assert_eq!(parse(r#"userName eq "a@b.example""#).unwrap(), equal("username", "a@b.example"));
        assert_eq!(parse(r#"USERNAME Eq "A \"b\"""#).unwrap(), equal("username", "A \"b\""));
        let urn = r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "x""#;
        assert_eq!(parse(urn).unwrap(), equal("username", "x"));
        let within = Filter::Within("emails".into(), Box::new(equal("type", "work")));
        assert_eq!(parse(r#"emails[type eq "work"]"#).unwrap(), within);
        let and = |a, b| Filter::And(Box::new(a), Box::new(b));
        let or = |a, b| Filter::Or(Box::new(a), Box::new(b));
        let [a, b, c] = ["a", "b", "c"].map(|name| equal(name, "1"));
        let read = |text: &str| parse(&text.replace('1', "eq \"1\"")).unwrap();
        assert_eq!(read("a 1 or b 1 and c 1"), or(a.clone(), and(b.clone(), c.clone())));
        assert_eq!(read("(a 1 or b 1) AND c 1"), and(or(a.clone(), b), c));
        assert_eq!(read("not (a 1)"), Filter::Not(Box::new(a)));
        assert_eq!(parse("title pr").unwrap(), Filter::Present("title".into()));
        let active = Filter::Compare("active".into(), Comparison::Equal, json!(true));
        assert_eq!(parse("active eq True").unwrap(), active);
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in [
            "",
            "userName",
            "userName eq",
            "userName eq x",
            "userName is \"x\"",
            "userName eq \"x\" and",
            "(userName pr",
            "emails[type pr",
            "userName eq \"x\" )",
            "userName eq [1]",
            "userName eq \"a\\u0000b\"",
        ] {
            assert!(matches!(parse(text), Err(ScimError::InvalidFilter(_))), "{text}");
        }
        assert!(parse(&format!("{}a pr{}", "(".repeat(16), ")".repeat(16))).is_ok());
        assert!(parse(&format!("{}a pr{}", "(".repeat(17), ")".repeat(17))).is_err());
        assert!(parse(&"not (".repeat(700)).is_err());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn nor_what_looks_like_a_filter(words in prop::collection::vec(
            prop::sample::select(vec!["userName", "eq", "\"x\"", "(", ")", "[", "]", "and", "or", "not", "pr", "true", "1"]), 0..40)
        ) {
            let _ = parse(&words.join(" "));
        }
    }
}
