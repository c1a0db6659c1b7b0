//! The settings as a tree of values that remember where they came from.
//!
//! *Invariant:* a null in a file is the same as an absent key, and every value names its origin.

use config::{FileFormat, Map, Source as _, Value, ValueKind};

/// Splits a dotted path.
pub(super) fn segments(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

/// Reads one YAML value; a text that is not YAML stays the text it is.
pub(super) fn parse_yaml(text: &str, origin: &str) -> Value {
    let document = format!("value: {text}\n");
    let parsed = config::File::from_str(&document, FileFormat::Yaml).collect().ok();
    let kind = parsed.and_then(|mut map| map.remove("value")).map(|value| value.kind);
    with_origin(Value::from(kind.unwrap_or_else(|| ValueKind::String(text.to_owned()))), origin)
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

    /// Sets a value, making the sections above it; a scalar in the way becomes a section.
    pub(super) fn set(&mut self, path: &[String], kind: ValueKind, origin: &str) {
        let Some((last, sections)) = path.split_last() else { return };
        let mut table = &mut self.0;
        for section in sections {
            let value = table.entry(section.clone()).or_insert_with(|| Value::from(ValueKind::Nil));
            if !matches!(value.kind, ValueKind::Table(_)) {
                value.kind = ValueKind::Table(Map::new());
            }
            let ValueKind::Table(inner) = &mut value.kind else { return };
            table = inner;
        }
        table.insert(last.clone(), with_origin(Value::from(kind), origin));
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

    /// The names directly below `path`, sorted.
    pub(super) fn names(&self, path: &[String]) -> Vec<String> {
        let table = if path.is_empty() {
            Some(&self.0)
        } else {
            match self.get(path) {
                Some(Value { kind: ValueKind::Table(table), .. }) => Some(table),
                _ => None,
            }
        };
        let mut names: Vec<String> = table.into_iter().flat_map(|table| table.keys().cloned()).collect();
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
