//! The settings as a tree of values that remember where they came from.
//!
//! *Invariant:* a null in a file is the same as an absent key, and every value names its origin.

use config::{Map, Value, ValueKind};

use super::yaml;

/// Stands in a pattern for the number of an item, as `*` does for any name.
pub(super) const ITEM: &str = "[]";

/// Splits a dotted path; `endpoints[].url` is an item of a list and something in it.
pub(super) fn segments(path: &str) -> Vec<String> {
    let mut segments = Vec::new();
    for segment in path.split('.') {
        match segment.strip_suffix(ITEM) {
            Some(list) => segments.extend([list.to_owned(), ITEM.to_owned()]),
            None => segments.push(segment.to_owned()),
        }
    }
    segments
}

/// The number of an item, as it stands in paths and in the names of variables.
pub(super) fn item_number(segment: &str) -> Option<usize> {
    segment.parse().ok().filter(|_| segment.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Longest list that can be built item by item.
const MAX_LIST_ITEMS: usize = 1000;

/// Reads one YAML value; a text that is not YAML stays the text it is.
pub(super) fn parse_yaml(text: &str, origin: &str) -> Value {
    let kind =
        yaml::parse(text).map_or_else(|_| ValueKind::String(text.to_owned()), |document| document.kind);
    with_origin(Value::from(kind), origin)
}

/// A tree of settings.
#[derive(Clone, Default)]
pub(super) struct Tree(Map<String, Value>);

impl Tree {
    pub(super) fn new(map: Map<String, Value>, origin: &str) -> Self {
        let kept = map.into_iter().filter(|(_, value)| !matches!(value.kind, ValueKind::Nil));
        Self(kept.map(|(name, value)| (name, with_origin(value, origin))).collect())
    }

    /// As it was read; a section without content is a leaf.
    pub(super) fn with_empty_sections(map: Map<String, Value>) -> Self {
        Self(map)
    }

    pub(super) fn to_map(&self) -> Map<String, Value> {
        self.0.clone()
    }

    pub(super) fn get(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.0.get(first)?, |value, segment| match &value.kind {
            ValueKind::Table(table) => table.get(segment),
            ValueKind::Array(items) => items.get(item_number(segment)?),
            _ => None,
        })
    }

    pub(super) fn contains(&self, path: &[String]) -> bool {
        self.get(path).is_some()
    }

    /// The text of a scalar and where it came from; nothing for sections and lists.
    pub(super) fn text(&self, path: &[String]) -> Option<(String, String)> {
        let value = self.get(path)?;
        let text = value.clone().into_string().ok()?;
        Some((text, value.origin().unwrap_or_default().to_owned()))
    }

    /// Sets a value, making the sections above it; a scalar in the way becomes a section. Items of lists must be
    /// there already.
    pub(super) fn set(&mut self, path: &[String], kind: ValueKind, origin: &str) {
        let value = with_origin(Value::from(kind), origin);
        match path {
            [] => {}
            [name] => {
                self.0.insert(name.clone(), value);
            }
            [section, rest @ ..] => {
                set_below(
                    self.0.entry(section.clone()).or_insert_with(|| ValueKind::Nil.into()),
                    rest,
                    value,
                );
            }
        }
    }

    /// Makes sure that a list has this item, which may be the one after its last.
    pub(super) fn reach_item(&mut self, list: &[String], number: usize, origin: &str) -> Result<(), String> {
        let mut items = match self.get(list).map(|value| value.kind.clone()) {
            Some(ValueKind::Array(items)) => items,
            _ => Vec::new(),
        };
        if number < items.len() {
            return Ok(());
        }
        if number > items.len() || number >= MAX_LIST_ITEMS {
            return Err(format!("undefined index {number}: the list has {} items so far", items.len()));
        }
        items.push(Value::new(Some(&origin.to_owned()), ValueKind::Table(Map::new())));
        self.set(list, ValueKind::Array(items), origin);
        Ok(())
    }

    /// Gives a section another name; fails if there is one of that name already.
    pub(super) fn rename(&mut self, from: &[String], to: &[String]) -> Result<bool, ()> {
        let Some(value) = self.get(from).cloned() else { return Ok(false) };
        if self.contains(to) {
            return Err(());
        }
        let origin = format!("{}, as {}", value.origin().unwrap_or_default(), from.join("."));
        self.remove(from);
        self.set(to, value.kind, &origin);
        Ok(true)
    }

    /// Puts `{word: {}}` in the place of a section.
    pub(super) fn replace_section(&mut self, path: &[String], word: &str, origin: &str) {
        let chosen = Value::new(Some(&origin.to_owned()), ValueKind::Table(Map::new()));
        self.set(path, ValueKind::Table(Map::from_iter([(word.to_owned(), chosen)])), origin);
    }

    pub(super) fn remove(&mut self, path: &[String]) {
        let Some((last, sections)) = path.split_last() else { return };
        let mut table = &mut self.0;
        for section in sections {
            let Some(Value { kind: ValueKind::Table(inner), .. }) = table.get_mut(section) else { return };
            table = inner;
        }
        table.remove(last);
    }

    /// The names directly below `path`, sorted; for a list of sections, the numbers of its items.
    pub(super) fn names(&self, path: &[String]) -> Vec<String> {
        let inside = if path.is_empty() { None } else { self.get(path).map(|value| &value.kind) };
        let mut names: Vec<String> = match inside {
            None if path.is_empty() => self.0.keys().cloned().collect(),
            Some(ValueKind::Table(table)) => table.keys().cloned().collect(),
            Some(ValueKind::Array(items)) if items.iter().any(is_section) => {
                return (0..items.len()).map(|number| number.to_string()).collect();
            }
            _ => Vec::new(),
        };
        names.sort();
        names
    }

    /// The paths of everything that is not a section with content, sorted.
    pub(super) fn leaves(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        self.collect_leaves(&mut Vec::new(), &mut found);
        found
    }

    fn collect_leaves(&self, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
        for name in self.names(path) {
            path.push(name);
            if self.names(path).is_empty() {
                found.push(path.clone());
            } else {
                self.collect_leaves(path, found);
            }
            path.pop();
        }
    }
}

fn is_section(value: &Value) -> bool {
    matches!(value.kind, ValueKind::Table(_))
}

fn set_below(value: &mut Value, path: &[String], new: Value) {
    let Some((first, rest)) = path.split_first() else {
        *value = new;
        return;
    };
    if let ValueKind::Array(items) = &mut value.kind {
        if let Some(item) = item_number(first).and_then(|number| items.get_mut(number)) {
            set_below(item, rest, new);
        }
        return;
    }
    if !is_section(value) {
        value.kind = ValueKind::Table(Map::new());
    }
    if let ValueKind::Table(table) = &mut value.kind {
        set_below(table.entry(first.clone()).or_insert_with(|| ValueKind::Nil.into()), rest, new);
    }
}

fn with_origin(value: Value, origin: &str) -> Value {
    let kind = match value.kind {
        ValueKind::Table(table) => {
            let kept = table.into_iter().filter(|(_, inner)| !matches!(inner.kind, ValueKind::Nil));
            ValueKind::Table(kept.map(|(name, inner)| (name, with_origin(inner, origin))).collect())
        }
        ValueKind::Array(items) => {
            ValueKind::Array(items.into_iter().map(|item| with_origin(item, origin)).collect())
        }
        kind => kind,
    };
    Value::new(Some(&origin.to_owned()), kind)
}

/// The source of settings has to be printable; values may be secrets.
impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tree").field(&self.names(&[])).finish()
    }
}
