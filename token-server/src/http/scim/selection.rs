//! Which attributes an answer has, and which page of a list it is.
//!
//! *Invariant:* `id` and `schemas` are always there, and a page is bounded whatever is asked for.
//!
//! Spec: RFC 7644 §3.4.2.4 and §3.9.

use serde_json::{Map, Value};

use super::call::Call;
use crate::domain::error::TokenServerError;
use crate::domain::provisioning::ScimError;
use crate::domain::provisioning::filter::attribute;
use crate::http::error::ApiError;

/// A page has at most so many.
pub const MAX_COUNT: i64 = 200;

/// Without being asked, so many.
const DEFAULT_COUNT: i64 = 100;

/// What is always answered.
const ALWAYS: [&str; 2] = ["id", "schemas"];

/// Which attributes are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    wanted: Vec<String>,
    unwanted: Vec<String>,
}

impl Selection {
    /// Reads what a query asks for.
    pub fn of(call: &Call) -> Self {
        let list = |name: &str| {
            let text = call.parameter(name).unwrap_or_default();
            text.split(',').map(|one| attribute(one.trim())).filter(|one| !one.is_empty()).collect()
        };
        Self { wanted: list("attributes"), unwanted: list("excludedAttributes") }
    }

    /// Whether an attribute, or a part of it, is wanted.
    pub fn has(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        if ALWAYS.contains(&name.as_str()) {
            return true;
        }
        let part_of = |one: &String| *one == name || one.starts_with(&format!("{name}."));
        (self.wanted.is_empty() || self.wanted.iter().any(part_of)) && !self.unwanted.contains(&name)
    }

    /// Leaves what is wanted.
    pub fn cut(&self, whole: Map<String, Value>) -> Map<String, Value> {
        let left = whole.into_iter().filter(|(key, _)| self.has(key));
        left.map(|(key, value)| {
            let value = self.cut_parts(&key.to_ascii_lowercase(), value);
            (key, value)
        })
        .collect()
    }

    fn cut_parts(&self, name: &str, value: Value) -> Value {
        match value {
            Value::Array(values) => {
                Value::Array(values.into_iter().map(|one| self.cut_parts(name, one)).collect())
            }
            Value::Object(parts) => {
                let is_whole = self.wanted.is_empty() || self.wanted.iter().any(|one| one == name);
                let keeps = |part: &String| {
                    let path = format!("{name}.{}", part.to_ascii_lowercase());
                    (is_whole || self.wanted.contains(&path)) && !self.unwanted.contains(&path)
                };
                Value::Object(parts.into_iter().filter(|(part, _)| keeps(part)).collect())
            }
            other => other,
        }
    }
}

/// Where a page begins, from 1 on, and how many it has at most.
pub fn page(call: &Call) -> Result<(i64, i64), ApiError> {
    let number = |name: &str, usual: i64| match call.parameter(name) {
        None | Some("") => Ok(usual),
        Some(text) => text.trim().parse::<i64>().map_err(|_| {
            ApiError::from(TokenServerError::from(ScimError::InvalidValue(format!("{name} is a number"))))
        }),
    };
    let start = number("startIndex", 1)?.max(1);
    let count = number("count", DEFAULT_COUNT)?.clamp(0, MAX_COUNT);
    Ok((start, count))
}
