//! What is said about keys that somebody gave and that do not take effect.
//!
//! *Invariant:* the table that the manual prints is the one that warns and refuses.

use std::collections::BTreeMap;

use config::{Value, ValueKind};

use super::tree::{self, Tree};
use super::{Key, Schema, State};

pub(super) fn check(
    schema: &Schema,
    tree: &Tree,
    given: &[Vec<String>],
    warnings: &mut Vec<String>,
    problems: &mut Vec<String>,
) {
    let mut ignored: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut refused: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for path in given {
        let Some(key) = schema.find(path) else { continue };
        let (said, why) = match key.state {
            State::Works => continue,
            State::NoEffect(why) => (&mut ignored, why),
            State::Refused(_) if is_in_disabled_item(tree, path) || tree.get(path).is_none_or(is_off) => {
                continue;
            }
            State::Refused(why) => (&mut refused, why),
        };
        let name = widest_name(schema, key);
        let names = said.entry(why).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for (why, names) in ignored {
        let verb = if names.len() == 1 { "has" } else { "have" };
        warnings.push(format!("{} {verb} no effect: {why}", names.join(", ")));
    }
    for (why, names) in refused {
        let verb = if names.len() == 1 { "is" } else { "are" };
        problems.push(format!("{} {verb} set, but {why}", names.join(", ")));
    }
}

/// An item of a list of sections may carry its own switch.
fn is_in_disabled_item(tree: &Tree, path: &[String]) -> bool {
    (1..path.len()).filter(|depth| tree::item_number(&path[*depth]).is_some()).any(|depth| {
        let mut switch = path[..=depth].to_vec();
        switch.push("disabled".to_owned());
        tree.get(&switch).is_some_and(|value| value.clone().into_bool().unwrap_or(false))
    })
}

/// Whoever writes `enabled: false` for something that is not there gets what was asked for.
fn is_off(value: &Value) -> bool {
    match &value.kind {
        ValueKind::Nil => true,
        ValueKind::String(text) if text.is_empty() => true,
        ValueKind::Array(items) => items.is_empty(),
        ValueKind::Table(table) => table.values().all(is_off),
        _ => value.clone().into_bool().is_ok_and(|on| !on),
    }
}

/// The name of the whole section if everything in it shares the fate of this key.
fn widest_name(schema: &Schema, key: &Key) -> String {
    let segments = tree::segments(key.path);
    let shares_fate = |section: &[String]| {
        let mut inside = schema.rows().filter(|row| tree::segments(row.path).starts_with(section));
        inside.all(|row| row.state == key.state)
    };
    let widest =
        (1..segments.len()).find(|length| shares_fate(&segments[..*length])).unwrap_or(segments.len());
    format!("`{}`", segments[..widest].join(".").replace(".[]", "[]"))
}
