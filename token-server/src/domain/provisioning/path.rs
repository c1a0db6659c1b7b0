//! Which attribute a change is about.
//!
//! *Invariant:* a path has an attribute, perhaps a filter that says which of its values, and perhaps a part of these.
//!
//! Spec: RFC 7644 §3.5.2.

use super::ScimError;
use super::filter::{Filter, attribute, parse};

/// A path, with names in lower case.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// The attribute.
    pub attribute: String,
    /// Which of its values.
    pub filter: Option<Filter>,
    /// Which part of it.
    pub part: Option<String>,
}

impl Path {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        let wrong = || ScimError::InvalidPath(format!("{:?} is no path", shown(text)));
        let (name, filter, part) = if let Some((name, rest)) = text.split_once('[') {
            let (filter, part) = rest.rsplit_once(']').ok_or_else(wrong)?;
            let filter = parse(filter).map_err(|error| ScimError::InvalidPath(error.to_string()))?;
            let part = match part.strip_prefix('.') {
                Some(part) => Some(part),
                None if part.is_empty() => None,
                None => return Err(wrong()),
            };
            (attribute(name.trim()), Some(filter), part.map(str::to_ascii_lowercase))
        } else {
            let name = attribute(text.trim());
            // What has a dot in it besides is of an extension, which is nothing here.
            let split = name.split_once('.').filter(|_| !name.starts_with("urn:"));
            let split = split.map(|(name, part)| (name.to_owned(), part.to_owned()));
            match split {
                Some((name, part)) => (name, None, Some(part)),
                None => (name, None, None),
            }
        };
        let is_name = |name: &str| {
            name.starts_with(|letter: char| letter.is_ascii_alphabetic())
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-$:.".contains(letter))
        };
        if !is_name(&name) || part.as_deref().is_some_and(|part| !is_name(part)) {
            return Err(wrong());
        }
        Ok(Self { attribute: name, filter, part })
    }
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_of_providers_are_read() {
        let path = |text: &str| {
            let read = Path::parse(text).unwrap();
            (read.attribute, read.filter.is_some(), read.part)
        };
        assert_eq!(path("displayName"), ("displayname".into(), false, None));
        assert_eq!(path("name.givenName"), ("name".into(), false, Some("givenname".into())));
        assert_eq!(path("emails[type eq \"work\"].value"), ("emails".into(), true, Some("value".into())));
        assert_eq!(path("members[value eq \"x\"]"), ("members".into(), true, None));
        let urn = "urn:ietf:params:scim:schemas:core:2.0:User:name.familyName";
        assert_eq!(path(urn), ("name".into(), false, Some("familyname".into())));
        let other = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
        assert_eq!(path(other).0, other.to_ascii_lowercase());
        for text in ["", "[a]", "members[", "members[value]", "a b", "members[value pr]x"] {
            assert!(matches!(Path::parse(text), Err(ScimError::InvalidPath(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,80}") {
            let _ = Path::parse(&text);
        }
    }
}
