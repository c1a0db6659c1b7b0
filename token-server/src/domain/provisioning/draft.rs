//! A user as a provider says it, and as it is stored.
//!
//! *Invariant:* of what is said, only the attributes are kept that are named here, each of a bounded length; others are
//! passed over, as providers send whatever they have.
//!
//! Spec: RFC 7643 §4.1.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::ScimError;
use super::search::searchable;

/// A longer text is refused.
pub const MAX_TEXT_BYTES: usize = 500;

/// More addresses are refused.
pub(super) const MAX_EMAILS: usize = 50;

/// A name in lower case, and as it is written.
type Spelling = (&'static str, &'static str);

/// The attributes that are kept, and their parts.
const ATTRIBUTES: [(&str, &str, &[Spelling]); 6] = [
    ("username", "userName", &[]),
    ("externalid", "externalId", &[]),
    ("active", "active", &[]),
    ("displayname", "displayName", &[]),
    (
        "name",
        "name",
        &[
            ("formatted", "formatted"),
            ("familyname", "familyName"),
            ("givenname", "givenName"),
            ("middlename", "middleName"),
            ("honorificprefix", "honorificPrefix"),
            ("honorificsuffix", "honorificSuffix"),
        ],
    ),
    (
        "emails",
        "emails",
        &[("value", "value"), ("type", "type"), ("primary", "primary"), ("display", "display")],
    ),
];

/// How an attribute of a user is written that is kept.
pub fn spelled(attribute: &str) -> Option<&'static str> {
    ATTRIBUTES.iter().find(|(folded, ..)| *folded == attribute).map(|(_, spelled, _)| *spelled)
}

/// How a part of it is written.
pub fn spelled_part(attribute: &str, part: &str) -> Option<&'static str> {
    let parts = ATTRIBUTES.iter().find(|(folded, ..)| *folded == attribute).map(|(.., parts)| *parts)?;
    parts.iter().find(|(folded, _)| *folded == part).map(|(_, spelled)| *spelled)
}

/// A user.
#[derive(Clone, Debug, PartialEq)]
pub struct UserDraft {
    /// How they are called there.
    pub user_name: String,
    /// Which number they have there.
    pub external_id: Option<String>,
    /// Whether they may log in.
    pub is_active: bool,
    /// The rest.
    pub said: Map<String, Value>,
}

impl UserDraft {
    /// Reads what was sent.
    pub fn read(body: &Map<String, Value>) -> Result<Self, ScimError> {
        let mut user =
            Self { user_name: String::new(), external_id: None, is_active: true, said: Map::new() };
        for (key, value) in body {
            let folded = super::filter::attribute(key);
            match folded.as_str() {
                "username" => user.user_name = text("userName", value)?.unwrap_or_default(),
                "externalid" => user.external_id = text("externalId", value)?,
                "active" => user.is_active = flag("active", value)?.unwrap_or(true),
                "displayname" => {
                    if let Some(text) = text("displayName", value)? {
                        user.said.insert("displayName".to_owned(), Value::String(text));
                    }
                }
                "name" => {
                    let name = parts("name", value)?;
                    if !name.is_empty() {
                        user.said.insert("name".to_owned(), Value::Object(name));
                    }
                }
                "emails" => {
                    let emails = emails(value)?;
                    if !emails.is_empty() {
                        user.said.insert("emails".to_owned(), Value::Array(emails));
                    }
                }
                _ => {}
            }
        }
        if user.user_name.trim().is_empty() {
            return Err(ScimError::InvalidValue("userName is missing".to_owned()));
        }
        Ok(user)
    }

    /// The same as it was sent, for changes.
    pub fn written(&self) -> Map<String, Value> {
        let mut all = self.said.clone();
        all.insert("userName".to_owned(), json!(self.user_name));
        all.insert("active".to_owned(), json!(self.is_active));
        if let Some(id) = &self.external_id {
            all.insert("externalId".to_owned(), json!(id));
        }
        all
    }

    /// How people call them.
    pub fn display_name(&self) -> Option<&str> {
        let formatted = || self.said.get("name").and_then(|name| name.get("formatted"));
        self.said.get("displayName").or_else(formatted).and_then(Value::as_str)
    }

    /// What is searched, in lower case.
    pub fn search(&self, id: &str, created: OffsetDateTime, changed: OffsetDateTime) -> Value {
        let mut search = Map::new();
        for (key, value) in &self.said {
            search.insert(key.to_lowercase(), lowered(value));
        }
        search.insert("username".to_owned(), json!(self.user_name.to_lowercase()));
        search.insert("id".to_owned(), json!(id));
        if let Some(external) = &self.external_id {
            search.insert("externalid".to_owned(), json!(external));
        }
        let meta = json!({"created": searchable(created), "lastmodified": searchable(changed)});
        search.insert("meta".to_owned(), meta);
        Value::Object(search)
    }
}

fn lowered(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.to_lowercase()),
        Value::Array(values) => Value::Array(values.iter().map(lowered).collect()),
        Value::Object(object) => {
            Value::Object(object.iter().map(|(key, value)| (key.to_lowercase(), lowered(value))).collect())
        }
        other => other.clone(),
    }
}

/// A text; nothing for `null` and for an empty one.
pub fn text(name: &str, value: &Value) -> Result<Option<String>, ScimError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => {
            if text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
                let sentence = format!("{name} has at most {MAX_TEXT_BYTES} bytes and no control characters");
                return Err(ScimError::InvalidValue(sentence));
            }
            Ok(Some(text.clone()).filter(|text| !text.is_empty()))
        }
        _ => Err(ScimError::InvalidValue(format!("{name} is a text"))),
    }
}

/// Yes or no, which some send as a text.
pub fn flag(name: &str, value: &Value) -> Result<Option<bool>, ScimError> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(*flag)),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        _ => Err(ScimError::InvalidValue(format!("{name} is true or false"))),
    }
}

fn parts(attribute: &str, value: &Value) -> Result<Map<String, Value>, ScimError> {
    let object = match value {
        Value::Null => return Ok(Map::new()),
        Value::Object(object) => object,
        _ => return Err(ScimError::InvalidValue(format!("{attribute} is an object"))),
    };
    let mut kept = Map::new();
    for (key, value) in object {
        let Some(part) = spelled_part(attribute, &key.to_ascii_lowercase()) else { continue };
        if part == "primary" {
            if let Some(flag) = flag(part, value)? {
                kept.insert(part.to_owned(), Value::Bool(flag));
            }
        } else if let Some(text) = text(part, value)? {
            kept.insert(part.to_owned(), Value::String(text));
        }
    }
    Ok(kept)
}

fn emails(value: &Value) -> Result<Vec<Value>, ScimError> {
    let values = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    if values.len() > MAX_EMAILS {
        return Err(ScimError::InvalidValue(format!("there are at most {MAX_EMAILS} addresses")));
    }
    let read = values.iter().map(|value| match value {
        // Some send an address alone.
        Value::String(_) => parts("emails", &json!({"value": value})),
        value => parts("emails", value),
    });
    let mut emails: Vec<Map<String, Value>> = read.collect::<Result<_, _>>()?;
    emails.retain(|email| !email.is_empty());
    let is_primary = |email: &Map<String, Value>| email.get("primary") == Some(&Value::Bool(true));
    if let Some(last) = emails.iter().rposition(is_primary) {
        // One is the first choice; the one that was said last.
        for (index, email) in emails.iter_mut().enumerate() {
            if index != last && is_primary(email) {
                email.insert("primary".to_owned(), Value::Bool(false));
            }
        }
    }
    Ok(emails.into_iter().map(Value::Object).collect())
}
