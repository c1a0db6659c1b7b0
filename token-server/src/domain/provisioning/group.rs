//! A group as a provider says it, and changes of who is in it.
//!
//! *Invariant:* members are named by the numbers of users here; a change names whom it is about and not all the others,
//! however large the group is.
//!
//! Spec: RFC 7643 §4.2.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::ScimError;
use super::draft::text;
use super::filter::{Comparison, Filter};
use super::patch::{Operation, Verb, get};
use super::search::searchable;

/// A group has at most so many members.
pub const MAX_MEMBERS: usize = 20_000;

/// What becomes of who is in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// These come in.
    Add(Vec<Uuid>),
    /// These go.
    Remove(Vec<Uuid>),
    /// These and no others are in it.
    Replace(Vec<Uuid>),
}

/// A group without who is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDraft {
    /// What it is called.
    pub display_name: String,
    /// Which number it has there.
    pub external_id: Option<String>,
}

impl GroupDraft {
    /// Reads a group that was sent whole, and who is in it; nothing where that is not said.
    pub fn read(body: &Map<String, Value>) -> Result<(Self, Option<Vec<Uuid>>), ScimError> {
        let find = |name: &str| body.iter().find(|(key, _)| super::filter::attribute(key) == name);
        let said = |name: &str| find(name).map_or(&Value::Null, |(_, value)| value);
        let group = Self {
            display_name: text("displayName", said("displayname"))?.unwrap_or_default(),
            external_id: text("externalId", said("externalid"))?,
        };
        group.check()?;
        let members = find("members").map(|(_, value)| members(value)).transpose()?;
        Ok((group, members))
    }

    fn check(&self) -> Result<(), ScimError> {
        if self.display_name.trim().is_empty() {
            return Err(ScimError::InvalidValue("displayName is missing".to_owned()));
        }
        Ok(())
    }

    /// Changes a group; says what becomes of who is in it.
    pub fn apply(&self, operations: &[Operation]) -> Result<(Self, Vec<MemberChange>), ScimError> {
        let (mut group, mut changes) = (self.clone(), Vec::new());
        for Operation { verb, path, value } in operations {
            let value =
                if *verb == Verb::Remove && path.attribute != "members" { &Value::Null } else { value };
            match path.attribute.as_str() {
                "displayname" => group.display_name = text("displayName", value)?.unwrap_or_default(),
                "externalid" => group.external_id = text("externalId", value)?,
                "members" => changes.push(match (verb, &path.filter) {
                    (Verb::Remove, Some(filter)) => MemberChange::Remove(named(filter)?),
                    (Verb::Remove, None) if value.is_null() => MemberChange::Replace(Vec::new()),
                    // Who is no user here is not in the group either.
                    (Verb::Remove, None) => MemberChange::Remove(members(value).unwrap_or_default()),
                    (_, Some(_)) => {
                        let sentence = "members are added and replaced without a filter".to_owned();
                        return Err(ScimError::InvalidPath(sentence));
                    }
                    (Verb::Add, None) => MemberChange::Add(members(value)?),
                    (Verb::Replace, None) => MemberChange::Replace(members(value)?),
                }),
                _ => {}
            }
        }
        group.check()?;
        Ok((group, changes))
    }

    /// What is searched, in lower case.
    pub fn search(&self, id: &str, created: OffsetDateTime, changed: OffsetDateTime) -> Value {
        let mut search = json!({
            "id": id,
            "displayname": self.display_name.to_lowercase(),
            "meta": {"created": searchable(created), "lastmodified": searchable(changed)},
        });
        if let Some(external) = &self.external_id {
            search["externalid"] = json!(external);
        }
        search
    }

    /// The names under which the settings can mean it.
    pub fn names(&self) -> Vec<String> {
        [Some(&self.display_name), self.external_id.as_ref()].into_iter().flatten().cloned().collect()
    }
}

fn members(value: &Value) -> Result<Vec<Uuid>, ScimError> {
    let values = match value {
        Value::Null => &[][..],
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    if values.len() > MAX_MEMBERS {
        return Err(ScimError::TooMany(format!("a group has at most {MAX_MEMBERS} members")));
    }
    let one = |value: &Value| {
        let id = match value {
            Value::Object(object) => get(object, "value").and_then(Value::as_str),
            value => value.as_str(),
        };
        let id = id.and_then(|id| id.parse().ok());
        id.ok_or_else(|| {
            ScimError::InvalidValue("a member has the number of a user here as its value".to_owned())
        })
    };
    values.iter().map(one).collect()
}

/// Whom a filter names.
fn named(filter: &Filter) -> Result<Vec<Uuid>, ScimError> {
    match filter {
        Filter::Or(left, right) => {
            let mut both = named(left)?;
            both.extend(named(right)?);
            Ok(both)
        }
        Filter::Compare(name, Comparison::Equal, Value::String(id)) if name == "value" => {
            Ok(id.parse().ok().into_iter().collect())
        }
        _ => Err(ScimError::InvalidFilter("members are named by value eq \"…\"".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::patch::operations;
    use super::*;

    const ID: &str = "0190a1b2-0000-7000-8000-000000000001";

    fn patched(said: &Value) -> Result<(GroupDraft, Vec<MemberChange>), ScimError> {
        let group = GroupDraft { display_name: "devs".into(), external_id: None };
        group.apply(&operations(json!({"Operations": said}).as_object().unwrap())?)
    }

    #[test]
    fn members_come_and_go_in_every_spelling() {
        let id: Uuid = ID.parse().unwrap();
        let member = json!([{"value": ID, "display": "ann"}]);
        for (said, change) in [
            (json!({"op": "Add", "path": "members", "value": member}), MemberChange::Add(vec![id])),
            (json!({"op": "add", "value": {"members": member}}), MemberChange::Add(vec![id])),
            (json!({"op": "Remove", "path": "members", "value": member}), MemberChange::Remove(vec![id])),
            (
                json!({"op": "remove", "path": format!("members[value eq \"{ID}\"]")}),
                MemberChange::Remove(vec![id]),
            ),
            (json!({"op": "replace", "path": "members", "value": member}), MemberChange::Replace(vec![id])),
            (json!({"op": "remove", "path": "members"}), MemberChange::Replace(vec![])),
        ] {
            assert_eq!(patched(&json!([said])).unwrap().1, [change], "{said}");
        }
        let renamed =
            patched(&json!([{"op": "replace", "value": {"id": "x", "displayName": "ops"}}])).unwrap();
        assert_eq!((renamed.0.display_name.as_str(), renamed.1.len()), ("ops", 0));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (said, word) in [
            (json!({"op": "add", "path": "members", "value": [{"value": "x"}]}), "invalidValue"),
            (json!({"op": "remove", "path": "members[type eq \"x\"]"}), "invalidFilter"),
            (json!({"op": "remove", "path": "displayName"}), "invalidValue"),
            (json!({"op": "add", "path": "members", "value": vec![ID; MAX_MEMBERS + 1]}), "tooMany"),
        ] {
            assert_eq!(patched(&json!([said])).unwrap_err().word(), word);
        }
    }
}
