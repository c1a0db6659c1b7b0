//! The environment as a layer of settings.
//!
//! `REGISTRY_HTTP_TLS_KEY` means `http.tls.key`: keys are single words, so an underscore always separates. Variables
//! are applied in the order of their names, which makes a choice (`REGISTRY_STORAGE=filesystem`) come before its
//! details (`REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=…`). List items are numbered (`…_CLIENTCAS_0`), lists and
//! maps may also be given as YAML, and a single text is a list of one.
//!
//! *Invariant:* a variable that fits no key is a warning and changes nothing: orchestrators put variables such as
//! `REGISTRY_PORT` into every container.

use config::ValueKind;

use super::tree::{self, Tree};
use super::{Kind, Schema, matched_segments};

/// Longest list that can be built item by item.
const MAX_LIST_ITEMS: usize = 1000;

pub(super) fn apply(
    schema: &Schema,
    tree: &mut Tree,
    mut environment: Vec<(String, String)>,
    warnings: &mut Vec<String>,
    problems: &mut Vec<String>,
) {
    environment.sort();
    for (name, text) in environment {
        let Some(rest) = name.strip_prefix(schema.env_prefix) else { continue };
        let path: Vec<String> = rest.split('_').map(str::to_ascii_lowercase).collect();
        let origin = format!("environment variable {name}");
        match apply_one(schema, tree, &path, &text, &origin) {
            Ok(true) => {}
            Ok(false) => {
                warnings.push(format!("environment variable {name} fits no setting and has no effect"));
            }
            Err(problem) => problems.push(format!("environment variable {name}: {problem}")),
        }
    }
}

fn apply_one(
    schema: &Schema,
    tree: &mut Tree,
    path: &[String],
    text: &str,
    origin: &str,
) -> Result<bool, String> {
    for key in schema.rows() {
        let Some(rest) = matched_segments(key.path, path) else { continue };
        match (key.kind, rest) {
            (Kind::Scalar | Kind::Secret, []) => {
                tree.set(path, ValueKind::String(text.to_owned()), origin);
                return Ok(true);
            }
            (Kind::Secret, [file]) if file == "file" => {
                let mut variant = path[..path.len() - 1].to_vec();
                if let Some(last) = variant.last_mut() {
                    last.push_str("file");
                }
                tree.set(&variant, ValueKind::String(text.to_owned()), origin);
                return Ok(true);
            }
            (Kind::List, []) => {
                let items = match tree::parse_yaml(text, origin).kind {
                    ValueKind::Array(items) => items,
                    ValueKind::Nil => Vec::new(),
                    _ => vec![tree::parse_yaml(&format!("{text:?}"), origin)],
                };
                tree.set(path, ValueKind::Array(items), origin);
                return Ok(true);
            }
            (Kind::List, [index]) => {
                set_item(tree, &path[..path.len() - 1], index, text, origin)?;
                return Ok(true);
            }
            (Kind::Map, []) => {
                let kind = tree::parse_yaml(text, origin).kind;
                if !matches!(kind, ValueKind::Table(_)) {
                    return Err("expected a YAML map such as '{name: value}'".into());
                }
                tree.set(path, kind, origin);
                return Ok(true);
            }
            (Kind::Unused, []) => {
                tree.set(path, tree::parse_yaml(text, origin).kind, origin);
                return Ok(true);
            }
            (Kind::Map | Kind::Unused, [_, ..]) => {
                let mut path = path.to_vec();
                adopt_spelling(tree, &mut path, path_length(key.path));
                tree.set(&path, tree::parse_yaml(text, origin).kind, origin);
                return Ok(true);
            }
            (Kind::Selector, []) => {
                match tree::parse_yaml(text, origin).kind {
                    kind @ ValueKind::Table(_) => tree.set(path, kind, origin),
                    _ => tree.replace_section(path, text, origin),
                }
                return Ok(true);
            }
            _ => {}
        }
    }
    if is_file_path(schema, path) {
        tree.set(path, ValueKind::String(text.to_owned()), origin);
        return Ok(true);
    }
    Ok(replace_inner_section(schema, tree, path, text, origin))
}

/// A whole section given as a YAML map.
fn replace_inner_section(
    schema: &Schema,
    tree: &mut Tree,
    path: &[String],
    text: &str,
    origin: &str,
) -> bool {
    if !schema.is_section(path) {
        return false;
    }
    match tree::parse_yaml(text, origin).kind {
        kind @ ValueKind::Table(_) => tree.set(path, kind, origin),
        // A lone word for a section that has keys: an orchestrator's variable, not a setting of ours.
        _ => return false,
    }
    true
}

fn is_file_path(schema: &Schema, path: &[String]) -> bool {
    schema.rows().any(|key| key.kind == Kind::Secret && super::is_file_variant(key.path, path))
}

fn path_length(pattern: &str) -> usize {
    pattern.split('.').count()
}

/// Names in maps keep the spelling of the file when it differs only in case.
fn adopt_spelling(tree: &Tree, path: &mut [String], from: usize) {
    for depth in from..path.len() {
        let known =
            tree.names(&path[..depth]).into_iter().find(|name| name.eq_ignore_ascii_case(&path[depth]));
        if let Some(known) = known {
            path[depth] = known;
        }
    }
}

fn set_item(tree: &mut Tree, list: &[String], index: &str, text: &str, origin: &str) -> Result<(), String> {
    let mut items = match tree.get(list).map(|value| value.kind.clone()) {
        Some(ValueKind::Array(items)) => items,
        _ => Vec::new(),
    };
    let index: usize = index.parse().map_err(|_| format!("`{index}` is not the number of a list item"))?;
    if index > items.len() || index >= MAX_LIST_ITEMS {
        return Err(format!("there is no item {index}; the list has {} items so far", items.len()));
    }
    let item = config::Value::new(Some(&origin.to_owned()), ValueKind::String(text.to_owned()));
    if index == items.len() {
        items.push(item);
    } else {
        items[index] = item;
    }
    tree.set(list, ValueKind::Array(items), origin);
    Ok(())
}
