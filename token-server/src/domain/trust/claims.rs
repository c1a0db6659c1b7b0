//! What an identity token says, flat: a claim inside another one is written `outer/inner`.
//!
//! *Invariant:* a claim has texts only, as they stand in the token; numbers and truths are written as JSON writes them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use shared::repository_name::RepositoryName;

/// More claims than this are not looked at.
const MAX_CLAIMS: usize = 200;

/// Claims inside claims are looked at so deep.
const MAX_DEPTH: usize = 4;

/// The claims of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenClaims(BTreeMap<String, Vec<String>>);

impl TokenClaims {
    /// Flattens what a token says.
    pub fn new(claims: &Map<String, Value>) -> Self {
        let mut flat = BTreeMap::new();
        for (name, value) in claims {
            flatten(name.clone(), value, MAX_DEPTH, &mut flat);
        }
        Self(flat)
    }

    /// The values of a claim: one, or those of a list.
    pub fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The value of a claim that has one.
    pub fn one(&self, name: &str) -> Option<&str> {
        match self.values(name) {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Claims that are the name of a repository, or of a part of one, in whatever case: those that patterns can use.
    pub fn names(&self) -> BTreeMap<String, String> {
        let named = self.0.keys().filter_map(|name| {
            let value = self.one(name)?.to_ascii_lowercase();
            RepositoryName::parse(&value).is_ok().then(|| (name.clone(), value))
        });
        named.collect()
    }
}

fn flatten(name: String, value: &Value, depth: usize, flat: &mut BTreeMap<String, Vec<String>>) {
    if flat.len() >= MAX_CLAIMS {
        return;
    }
    match value {
        Value::Object(inner) if depth > 0 => {
            for (key, value) in inner {
                flatten(format!("{name}/{key}"), value, depth - 1, flat);
            }
        }
        Value::Array(items) => {
            flat.entry(name).or_default().extend(items.iter().filter_map(text));
        }
        value => flat.entry(name).or_default().extend(text(value)),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_inside_claims_have_a_path() {
        let claims = json!({
            "sub": "system:serviceaccount:build:pusher",
            "kubernetes.io": {"namespace": "build", "serviceaccount": {"name": "pusher", "uid": "u"}},
            "ref_protected": true, "project_id": 7, "contexts": ["a", "b"], "none": null
        });
        let claims = TokenClaims::new(claims.as_object().unwrap());
        assert_eq!(claims.one("kubernetes.io/serviceaccount/uid"), Some("u"));
        assert_eq!((claims.one("ref_protected"), claims.one("project_id")), (Some("true"), Some("7")));
        assert_eq!((claims.values("contexts").len(), claims.one("contexts")), (2, None));
        assert_eq!((claims.one("none"), claims.one("missing")), (None, None));
        let names = claims.names();
        assert_eq!(names.get("kubernetes.io/namespace").map(String::as_str), Some("build"));
        assert!(!["contexts", "sub"].iter().any(|claim| names.contains_key(*claim)));
    }
}
