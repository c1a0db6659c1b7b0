//! From a filter to what the database is asked.
//!
//! *Invariant:* values go to the database as values, never as part of what it runs, but for those of `co` and `ew`, in
//! which nothing means anything; and only attributes are searched of which it is said here.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

use super::filter::{Comparison, Filter, parse};
use super::{Kind, ScimError};
use crate::db::scim_users::Sought;

/// How a time is written where it is searched: so that what is later is greater.
pub fn searchable(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let (date, (hour, minute, second, micro)) = (at.date(), at.to_hms_micro());
    let (year, month, day) = date.to_calendar_date();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}", u8::from(month))
}

/// What can be searched of users, besides what is in a column.
const OF_USERS: [&str; 15] = [
    "id",
    "externalid",
    "username",
    "displayname",
    "active",
    "name.formatted",
    "name.familyname",
    "name.givenname",
    "emails",
    "emails.value",
    "emails.type",
    "emails.primary",
    "emails.display",
    "meta.created",
    "meta.lastmodified",
];

const OF_GROUPS: [&str; 5] = ["id", "externalid", "displayname", "meta.created", "meta.lastmodified"];

/// Reads a filter about users or groups.
pub fn sought(kind: Kind, filter: Option<&str>) -> Result<Sought, ScimError> {
    let mut sought = Sought { values: Value::Object(Map::new()), ..Sought::default() };
    let Some(text) = filter.filter(|text| !text.trim().is_empty()) else { return Ok(sought) };
    let mut terms = Vec::new();
    flatten(parse(text)?, &mut terms);
    let mut rest = Vec::new();
    for term in terms {
        if !extract(kind, &term, &mut sought) {
            rest.push(term);
        }
    }
    let mut writer = Writer { kind, values: Map::new() };
    let expressions = rest.iter().map(|term| writer.expression(term, "")).collect::<Result<Vec<_>, _>>()?;
    if !expressions.is_empty() {
        sought.path = Some(format!("$ ? ({})", expressions.join(" && ")));
    }
    sought.values = Value::Object(writer.values);
    Ok(sought)
}

fn flatten(filter: Filter, terms: &mut Vec<Filter>) {
    match filter {
        Filter::And(left, right) => {
            flatten(*left, terms);
            flatten(*right, terms);
        }
        other => terms.push(other),
    }
}

/// Takes a term that an index answers.
fn extract(kind: Kind, term: &Filter, sought: &mut Sought) -> bool {
    let (name, value) = match term {
        Filter::Compare(name, Comparison::Equal, Value::String(value)) => (name.as_str(), value),
        Filter::Within(name, inner) if name == "members" => match &**inner {
            Filter::Compare(sub, Comparison::Equal, Value::String(value)) if sub == "value" => {
                ("members.value", value)
            }
            _ => return false,
        },
        _ => return false,
    };
    // What is no number is nobody's.
    let number = || Some(value.parse().unwrap_or(Uuid::nil()));
    match (kind, name) {
        (_, "id") if sought.id.is_none() => sought.id = number(),
        (_, "externalid") if sought.external_id.is_none() => sought.external_id = Some(value.clone()),
        (Kind::User, "username") | (Kind::Group, "displayname") if sought.name.is_none() => {
            sought.name = Some(value.to_lowercase());
        }
        (Kind::Group, "members" | "members.value") if sought.member.is_none() => sought.member = number(),
        _ => return false,
    }
    true
}

struct Writer {
    kind: Kind,
    values: Map<String, Value>,
}

impl Writer {
    /// Writes a term as an expression of a path; `outer` is the attribute whose values are looked at one by one.
    fn expression(&mut self, filter: &Filter, outer: &str) -> Result<String, ScimError> {
        Ok(match filter {
            Filter::And(left, right) => {
                format!("({} && {})", self.expression(left, outer)?, self.expression(right, outer)?)
            }
            Filter::Or(left, right) => {
                format!("({} || {})", self.expression(left, outer)?, self.expression(right, outer)?)
            }
            Filter::Not(inner) => format!("!({})", self.expression(inner, outer)?),
            Filter::Present(name) => format!("exists({})", self.place(name, outer)?.1),
            Filter::Within(name, inner) if name == "emails" && outer.is_empty() => {
                format!("exists(@.\"emails\"[*] ? ({}))", self.expression(inner, name)?)
            }
            Filter::Within(name, _) => {
                return Err(ScimError::InvalidFilter(format!("{name:?} cannot be searched in this way")));
            }
            Filter::Compare(name, comparison, value) => self.comparison(name, *comparison, value, outer)?,
        })
    }

    /// The whole name of an attribute, and where it is.
    fn place(&self, name: &str, outer: &str) -> Result<(String, String), ScimError> {
        let whole = if outer.is_empty() { name.to_owned() } else { format!("{outer}.{name}") };
        let known: &[&str] = if self.kind == Kind::User { &OF_USERS } else { &OF_GROUPS };
        if !known.contains(&whole.as_str()) {
            return Err(ScimError::InvalidFilter(format!("{whole:?} cannot be searched here")));
        }
        let name = if name == "emails" { "emails.value" } else { name };
        let mut place = "@".to_owned();
        for part in name.split('.') {
            let _ = write!(place, ".\"{part}\"");
        }
        Ok((whole, place))
    }

    fn comparison(
        &mut self,
        name: &str,
        comparison: Comparison,
        value: &Value,
        outer: &str,
    ) -> Result<String, ScimError> {
        let (whole, place) = self.place(name, outer)?;
        let value = folded(&whole, value)?;
        if value.is_null() {
            return match comparison {
                Comparison::Equal => Ok(format!("!(exists({place}))")),
                Comparison::NotEqual => Ok(format!("exists({place})")),
                _ => Err(ScimError::InvalidFilter("null is compared with eq and ne".to_owned())),
            };
        }
        if let (Comparison::Contains | Comparison::EndsWith, Some(text)) = (comparison, value.as_str()) {
            let end = if comparison == Comparison::EndsWith { "$" } else { "" };
            let pattern = Value::String(format!("{}{end}", escaped(text)));
            return Ok(format!("{place} like_regex {pattern}"));
        }
        let number = format!("v{}", self.values.len());
        let is_text = value.is_string();
        self.values.insert(number.clone(), value);
        let sign = match comparison {
            Comparison::Equal => "==",
            Comparison::NotEqual => return Ok(format!("!({place} == ${number})")),
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::StartsWith if is_text => "starts with",
            Comparison::StartsWith | Comparison::Contains | Comparison::EndsWith => {
                return Err(ScimError::InvalidFilter("co, sw and ew compare texts".to_owned()));
            }
        };
        Ok(format!("{place} {sign} ${number}"))
    }
}

/// A value as it is stored where it is searched.
fn folded(whole: &str, value: &Value) -> Result<Value, ScimError> {
    let Value::String(text) = value else { return Ok(value.clone()) };
    Ok(match whole {
        "active" | "emails.primary" => Value::Bool(text.eq_ignore_ascii_case("true")),
        "id" | "externalid" => value.clone(),
        "meta.created" | "meta.lastmodified" => {
            let at = OffsetDateTime::parse(text, &Rfc3339)
                .map_err(|_| ScimError::InvalidFilter(format!("{text:?} is no time")))?;
            // The last hours of the year 9999 elsewhere are no time here.
            let at = at.checked_to_offset(UtcOffset::UTC);
            let at = at.ok_or_else(|| ScimError::InvalidFilter(format!("{text:?} is too late")))?;
            Value::String(searchable(at))
        }
        _ => Value::String(text.to_lowercase()),
    })
}

/// A text in which no letter means anything to a regular expression.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii() && !letter.is_ascii_alphanumeric() && !letter.is_ascii_control() && letter != ' '
        {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_indexes_answer_is_taken_out() {
        let found = sought(Kind::User, Some(r#"userName eq "Ann" and active eq "True""#)).unwrap();
        assert_eq!(found.name.as_deref(), Some("ann"));
        assert_eq!(found.path.as_deref(), Some(r#"$ ? (@."active" == $v0)"#));
        assert_eq!(found.values, json!({"v0": true}));
        let entra = r#"id eq "0190a1b2-0000-7000-8000-000000000001" and members eq "0190a1b2-0000-7000-8000-000000000002""#;
        let found = sought(Kind::Group, Some(entra)).unwrap();
        assert!(found.id.is_some() && found.member.is_some() && found.path.is_none());
        assert_eq!(sought(Kind::User, Some(r#"id eq "x""#)).unwrap().id, Some(Uuid::nil()));
        assert_eq!(sought(Kind::User, None).unwrap().path, None);
    }

    #[test]
    fn the_rest_is_a_path_with_values_beside_it() {
        let path = |filter: &str| sought(Kind::User, Some(filter)).unwrap().path.unwrap();
        assert_eq!(
            path(r#"emails[type eq "work" and value co "a.b\"c"]"#),
            r#"$ ? (exists(@."emails"[*] ? ((@."type" == $v0 && @."value" like_regex "a\\.b\\\"c"))))"#
        );
        assert_eq!(
            path(r#"emails[type eq "work"].value eq "x""#.split('.').next().unwrap()),
            r#"$ ? (exists(@."emails"[*] ? (@."type" == $v0)))"#
        );
        assert_eq!(path(r#"not (displayName sw "A")"#), r#"$ ? (!(@."displayname" starts with $v0))"#);
        let found = sought(Kind::User, Some(r#"meta.lastModified gt "2026-12-01T01:00:00+01:00""#)).unwrap();
        assert_eq!(found.values, json!({"v0": "2026-12-01T00:00:00.000000"}));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for filter in [
            r#"password eq "x""#,
            r#"meta.lastModified gt "soon""#,
            r#"meta.created gt "9999-12-31T23:59:59-23:59""#,
            r#"addresses[type eq "x"]"#,
            "active co true",
        ] {
            assert!(matches!(sought(Kind::User, Some(filter)), Err(ScimError::InvalidFilter(_))), "{filter}");
        }
        assert!(sought(Kind::Group, Some(r#"not (members eq "x")"#)).is_err());
    }
}
