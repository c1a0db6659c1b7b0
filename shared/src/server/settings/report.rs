//! Settings as people read them: the report of `check-config` and the example file.
//!
//! *Invariant:* the value of a secret is never part of either.

use std::fmt::Write as _;

use config::{Value, ValueKind};

use super::{DEFAULT_ORIGIN, Key, Kind, Loaded, Schema, State, tree};

impl Loaded {
    /// One line for each value in effect, with where it came from.
    pub fn report(&self) -> String {
        let mut report = String::new();
        for path in self.tree.leaves() {
            let key = self.schema.find(&path);
            let Some(value) = self.tree.get(&path) else { continue };
            let shown = match key.map(|key| key.kind) {
                Some(Kind::Secret) => "[redacted]".to_owned(),
                Some(_) => shown(value),
                None => continue,
            };
            let origin = value.origin().unwrap_or(DEFAULT_ORIGIN);
            let _ = writeln!(report, "{} = {shown}    ({origin})", path.join("."));
        }
        report
    }
}

impl Schema {
    /// The example file: every key with its default and its sentence.
    pub fn example(&self) -> String {
        let mut example = String::new();
        let mut open: Vec<&str> = Vec::new();
        for key in self.rows().filter(|key| key.kind != Kind::Selector && key.state == State::Works) {
            let segments: Vec<&str> =
                key.path.split('.').map(|segment| if segment == "*" { "NAME" } else { segment }).collect();
            let (last, sections) = segments.split_last().expect("a path has at least one segment");
            let shared = open.iter().zip(sections).take_while(|(a, b)| a == b).count();
            for (depth, section) in sections.iter().enumerate().skip(shared) {
                let _ = writeln!(example, "{}{section}:", "  ".repeat(depth));
            }
            open = sections.to_vec();
            let indent = "  ".repeat(sections.len());
            let _ = writeln!(example, "{indent}# {}", key.doc);
            let _ = writeln!(example, "{indent}{}", self.example_line(key, last));
        }
        example
    }

    /// The rows of a Markdown table of keys, for a manual.
    pub fn markdown(&self) -> String {
        let mut rows = String::new();
        for key in self.rows() {
            let variable = format!("{}{}", self.env_prefix, key.path.replace('.', "_").to_uppercase());
            let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
            let state = match key.state {
                State::Works => "works".to_owned(),
                State::NoEffect(why) => format!("no effect: {why}"),
                State::Refused(why) => format!("refused: {why}"),
            };
            let _ = writeln!(rows, "| `{}` | `{variable}` | {default} | {} | {state} |", key.path, key.doc);
        }
        rows
    }

    /// Keys without a default, and the details of a choice, are shown as comments, so that the example means the
    /// same as an empty file.
    fn example_line(&self, key: &Key, name: &str) -> String {
        let is_detail = self.rows().filter(|key| key.kind == Kind::Selector).any(|selector| {
            let below = key.path.strip_prefix(selector.path).and_then(|rest| rest.strip_prefix('.'));
            below.is_some_and(|below| below.contains('.'))
        });
        match (key.default, key.kind) {
            ("", Kind::List) => format!("# {name}: []"),
            ("", Kind::Map) => format!("# {name}: {{}}"),
            ("", Kind::Secret) => format!("# {name}file: /path/to/secret"),
            ("", _) => format!("# {name}:"),
            (default, _) if is_detail || key.path.contains('*') => format!("# {name}: {default}"),
            (default, _) => format!("{name}: {default}"),
        }
    }
}

fn shown(value: &Value) -> String {
    match &value.kind {
        ValueKind::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        ValueKind::Table(_) => "{}".to_owned(),
        ValueKind::String(text) => tree::parse_yaml(text, "")
            .clone()
            .into_string()
            .map_or_else(|_| format!("{text:?}"), |_| text.clone()),
        kind => kind.to_string(),
    }
}
