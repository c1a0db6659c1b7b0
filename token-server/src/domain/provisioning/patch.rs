//! Changes of a user, as providers write them.
//!
//! *Invariant:* either every operation is carried out or none; what is changed is read again as if it had been sent
//! whole. Attributes that are not kept, and those that only this server writes, are passed over.
//!
//! Spec: RFC 7644 §3.5.2, and what Entra ID and Okta send.

use serde_json::{Map, Value, json};

use super::ScimError;
use super::draft::{MAX_EMAILS, UserDraft, spelled, spelled_part};
use super::filter::{Comparison, Filter};
use super::path::Path;

/// More operations are refused.
const MAX_OPERATIONS: usize = 1_000;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Something more.
    Add,
    /// Something else.
    Replace,
    /// Something less.
    Remove,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What is done,
    pub verb: Verb,
    /// with what,
    pub path: Path,
    /// with which value.
    pub value: Value,
}

/// Looks a key up, however it is spelled.
pub fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Reads the operations of a body; one without a path becomes one for each attribute.
pub fn operations(body: &Map<String, Value>) -> Result<Vec<Operation>, ScimError> {
    let wrong = |sentence: &str| ScimError::InvalidSyntax(sentence.to_owned());
    let Some(Value::Array(said)) = get(body, "Operations") else {
        return Err(wrong("the body has no list of Operations"));
    };
    if said.is_empty() || said.len() > MAX_OPERATIONS {
        return Err(wrong("there are 1 to 1000 Operations"));
    }
    let mut operations = Vec::new();
    for one in said {
        let one = one.as_object().ok_or_else(|| wrong("an operation is an object"))?;
        let verb = get(one, "op").and_then(Value::as_str).unwrap_or_default();
        let verb = match verb.to_ascii_lowercase().as_str() {
            "add" => Verb::Add,
            "replace" => Verb::Replace,
            "remove" => Verb::Remove,
            _ => return Err(wrong("op is add, replace or remove")),
        };
        let value = get(one, "value").cloned().unwrap_or_default();
        match (get(one, "path"), value) {
            (Some(Value::String(path)), value) if !path.is_empty() => {
                operations.push(Operation { verb, path: Path::parse(path)?, value });
            }
            (None | Some(Value::Null | Value::String(_)), Value::Object(values)) if verb != Verb::Remove => {
                for (key, value) in values {
                    operations.push(Operation { verb, path: Path::parse(&key)?, value });
                }
            }
            (None | Some(Value::Null | Value::String(_)), _) if verb == Verb::Remove => {
                return Err(ScimError::NoTarget("remove takes a path".to_owned()));
            }
            (None | Some(Value::Null | Value::String(_)), _) => {
                return Err(ScimError::InvalidValue("without a path, the value is an object".to_owned()));
            }
            (Some(_), _) => return Err(ScimError::InvalidPath("a path is a text".to_owned())),
        }
    }
    Ok(operations)
}

/// Changes a user.
pub fn apply(user: &UserDraft, operations: &[Operation]) -> Result<UserDraft, ScimError> {
    let mut all = user.written();
    for operation in operations {
        change(&mut all, operation)?;
    }
    UserDraft::read(&all)
}

fn change(all: &mut Map<String, Value>, operation: &Operation) -> Result<(), ScimError> {
    let Operation { verb, path, value } = operation;
    let Some(key) = spelled(&path.attribute) else { return Ok(()) };
    // Nobody is let in again because something was taken away.
    if key == "active" && (*verb == Verb::Remove || value.is_null()) {
        return Ok(());
    }
    let part = match &path.part {
        Some(part) => match spelled_part(&path.attribute, part) {
            Some(part) => Some(part),
            None => return Ok(()),
        },
        None => None,
    };
    match (key, &path.filter) {
        ("emails", filter) if filter.is_some() || part.is_some() => {
            change_values(all, *verb, filter.as_ref(), part, value)
        }
        (_, Some(_)) => Err(ScimError::InvalidPath(format!("{key} has one value only"))),
        ("emails", None) => {
            let before = all.remove(key);
            if *verb == Verb::Remove {
                return Ok(());
            }
            let mut values = if *verb == Verb::Add { listed(before) } else { Vec::new() };
            for value in listed(Some(value.clone())) {
                // One too many is refused when all of it is read, and is enough to look through.
                if values.len() <= MAX_EMAILS && !values.contains(&value) {
                    values.push(value);
                }
            }
            all.insert(key.to_owned(), Value::Array(values));
            Ok(())
        }
        ("name", None) => {
            let entry = all.entry(key).or_insert_with(|| json!({}));
            match (verb, part, value) {
                (Verb::Remove, None, _) => {
                    all.remove(key);
                }
                (Verb::Replace, None, Value::Object(_) | Value::Null) => *entry = value.clone(),
                (Verb::Add, None, Value::Object(more)) => merge(entry, key, more),
                (_, None, _) => return Err(ScimError::InvalidValue("name is an object".to_owned())),
                (_, Some(part), _) => set(entry, part, *verb, value),
            }
            Ok(())
        }
        (_, None) => {
            if *verb == Verb::Remove {
                all.remove(key);
            } else {
                all.insert(key.to_owned(), value.clone());
            }
            Ok(())
        }
    }
}

fn listed(value: Option<Value>) -> Vec<Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(values)) => values,
        Some(one) => vec![one],
    }
}

fn set(target: &mut Value, part: &str, verb: Verb, value: &Value) {
    if let Value::Object(target) = target {
        if verb == Verb::Remove {
            target.remove(part);
        } else {
            target.insert(part.to_owned(), value.clone());
        }
    }
}

fn merge(target: &mut Value, attribute: &str, more: &Map<String, Value>) {
    for (key, value) in more {
        if let Some(part) = spelled_part(attribute, &key.to_ascii_lowercase()) {
            set(target, part, Verb::Add, value);
        }
    }
}

/// Changes those addresses that are meant. Where none is, one is made as the filter says, as Entra ID expects.
fn change_values(
    all: &mut Map<String, Value>,
    verb: Verb,
    filter: Option<&Filter>,
    part: Option<&'static str>,
    value: &Value,
) -> Result<(), ScimError> {
    let mut values = listed(all.remove("emails"));
    if values.len() > MAX_EMAILS {
        return Err(ScimError::InvalidValue(format!("there are at most {MAX_EMAILS} addresses")));
    }
    let is_meant = |value: &Value| filter.is_none_or(|filter| is_so(filter, value));
    if verb == Verb::Remove {
        match part {
            Some(part) => {
                values.iter_mut().filter(|value| is_meant(value)).for_each(|one| set(one, part, verb, value));
            }
            None => values.retain(|value| !is_meant(value)),
        }
    } else {
        if !values.iter().any(is_meant) {
            values.push(Value::Object(filter.map(described).unwrap_or_default()));
        }
        let last = values.len().saturating_sub(1);
        let is_new = !values.iter().any(is_meant);
        for (index, one) in values.iter_mut().enumerate() {
            if !(is_meant(one) || is_new && index == last) {
                continue;
            }
            match (part, value) {
                (Some(part), value) => set(one, part, verb, value),
                (None, Value::Object(more)) => merge(one, "emails", more),
                (None, _) => return Err(ScimError::InvalidValue("an address is an object".to_owned())),
            }
        }
        if value.get("primary").is_some_and(|primary| primary == true) || part == Some("primary") {
            // What was said last is the first choice.
            let is_first = |value: &Value| value.get("primary").is_some_and(|primary| primary == true);
            let said: Vec<bool> = values.iter().map(|value| is_meant(value) && is_first(value)).collect();
            if said.iter().any(|said| *said) {
                for (one, said) in values.iter_mut().zip(said) {
                    if !said && is_first(one) {
                        set(one, "primary", Verb::Add, &Value::Bool(false));
                    }
                }
            }
        }
    }
    all.insert("emails".to_owned(), Value::Array(values));
    Ok(())
}

/// What a filter says that something is.
fn described(filter: &Filter) -> Map<String, Value> {
    match filter {
        Filter::And(left, right) => {
            let mut both = described(left);
            both.extend(described(right));
            both
        }
        Filter::Compare(name, Comparison::Equal, value) => {
            let part = spelled_part("emails", name);
            part.map(|part| (part.to_owned(), value.clone())).into_iter().collect()
        }
        _ => Map::new(),
    }
}

/// Whether a filter is true of one value of several.
fn is_so(filter: &Filter, value: &Value) -> bool {
    let found = |name: &str| value.as_object().and_then(|object| get(object, name));
    match filter {
        Filter::And(left, right) => is_so(left, value) && is_so(right, value),
        Filter::Or(left, right) => is_so(left, value) || is_so(right, value),
        Filter::Not(inner) => !is_so(inner, value),
        Filter::Present(name) => found(name).is_some_and(|value| !value.is_null()),
        Filter::Within(..) => false,
        Filter::Compare(name, comparison, wanted) => {
            let text = |value: &Value| match value {
                Value::String(text) => text.to_lowercase(),
                other => other.to_string(),
            };
            let (has, wanted) = (found(name).map(text), text(wanted));
            let Some(has) = has else { return *comparison == Comparison::NotEqual };
            match comparison {
                Comparison::Equal => has == wanted,
                Comparison::NotEqual => has != wanted,
                Comparison::Contains => has.contains(&wanted),
                Comparison::StartsWith => has.starts_with(&wanted),
                Comparison::EndsWith => has.ends_with(&wanted),
                Comparison::Greater => has > wanted,
                Comparison::GreaterOrEqual => has >= wanted,
                Comparison::Less => has < wanted,
                Comparison::LessOrEqual => has <= wanted,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> UserDraft {
        let said = json!({"userName": "ann", "name": {"givenName": "Ann"}, "emails": [
            {"value": "ann@home.example", "type": "home", "primary": true}]});
        UserDraft::read(said.as_object().unwrap()).unwrap()
    }

    fn patched(said: &Value) -> Result<Map<String, Value>, ScimError> {
        let body = json!({"Operations": said});
        Ok(apply(&ann(), &operations(body.as_object().unwrap())?)?.written())
    }

    #[test]
    fn entra_writes_verbs_large_and_flags_as_texts() {
        let after = patched(&json!([{"op": "Replace", "path": "active", "value": "False"}])).unwrap();
        assert_eq!(after["active"], false);
        let after = patched(&json!([{"op": "Replace", "value": {
            "active": "True", "name.familyName": "A", "displayName": "Ann A",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": "X"}}]))
        .unwrap();
        assert_eq!(after["active"], true);
        assert_eq!(after["name"], json!({"givenName": "Ann", "familyName": "A"}));
        let after = patched(&json!([
            {"op": "Add", "path": "emails[type eq \"work\"].value", "value": "ann@work.example"}]))
        .unwrap();
        assert_eq!(after["emails"][1], json!({"type": "work", "value": "ann@work.example"}));
        let after =
            patched(&json!([{"op": "Replace", "path": "emails[type eq \"HOME\"].value", "value": "b@c"}]))
                .unwrap();
        assert_eq!(after["emails"][0]["value"], "b@c");
        assert_eq!(after["emails"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn okta_sends_objects() {
        let after = patched(&json!([{"op": "replace", "value": {"active": false}}])).unwrap();
        assert_eq!((&after["active"], &after["userName"]), (&json!(false), &json!("ann")));
    }

    #[test]
    fn one_address_is_the_first_choice() {
        let more = json!([{"op": "add", "path": "emails", "value": [{"value": "n@x", "primary": true}]}]);
        let after = patched(&more).unwrap();
        assert_eq!(after["emails"][0]["primary"], false);
        assert_eq!(after["emails"][1]["primary"], true);
    }

    #[test]
    fn what_is_not_kept_is_passed_over_and_what_makes_no_sense_is_refused() {
        let after = patched(&json!([
            {"op": "add", "path": "title", "value": "Dr"},
            {"op": "replace", "path": "id", "value": "x"},
            {"op": "remove", "path": "name"}]))
        .unwrap();
        assert!(!after.contains_key("title") && !after.contains_key("name"));
        for (said, word) in [
            (json!([]), "invalidSyntax"),
            (json!([{"op": "steal", "path": "active", "value": true}]), "invalidSyntax"),
            (json!([{"op": "remove"}]), "noTarget"),
            (json!([{"op": "replace", "value": 7}]), "invalidValue"),
            (json!([{"op": "replace", "path": "active", "value": "perhaps"}]), "invalidValue"),
            (json!([{"op": "remove", "path": "userName"}]), "invalidValue"),
            (json!([{"op": "replace", "path": "emails[", "value": 7}]), "invalidPath"),
            (json!([{"op": "replace", "path": 7, "value": 7}]), "invalidPath"),
            (json!([{"op": "replace", "path": "userName[type eq \"x\"]", "value": "y"}]), "invalidPath"),
            (json!([{"op": "replace", "path": "displayName", "value": "x".repeat(501)}]), "invalidValue"),
        ] {
            assert_eq!(patched(&said).unwrap_err().word(), word, "{said}");
        }
    }
}
