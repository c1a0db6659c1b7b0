//! Settings as people read them: the report of `check-config` and the example file.
//!
//! *Invariant:* the value of a secret is never part of either.

use std::fmt::Write as _;

use config::{Value, ValueKind};
use url::Url;

use super::{DEFAULT_ORIGIN, Key, Kind, Loaded, Schema, State, tree};

impl Loaded {
    /// One line for each value in effect, with where it came from.
    pub fn report(&self) -> String {
        let mut report = String::new();
        for path in self.tree.leaves() {
            let key = self.schema.find(&path);
            let Some(value) = self.tree.get(&path) else { continue };
            let shown = match key.map(|key| key.kind) {
                Some(Kind::Secret | Kind::SecretMap) => "[redacted]".to_owned(),
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
    /// The example file: every key that takes effect, with its default and its sentence.
    pub fn example(&self) -> String {
        let mut example = String::new();
        let mut open: Vec<String> = Vec::new();
        for key in self.rows().filter(|key| key.kind != Kind::Selector && key.state == State::Works) {
            let segments = tree::segments(key.path);
            let (last, sections) = segments.split_last().expect("a path has at least one segment");
            let shared = open.iter().zip(sections).take_while(|(a, b)| a == b).count();
            // The first key of a list's items, which are shown as comments, carries the dash.
            let mut begins_item = false;
            for depth in shared..sections.len() {
                if sections[depth] == tree::ITEM {
                    begins_item = true;
                } else {
                    let name = if sections[depth] == "*" { "NAME" } else { &sections[depth] };
                    let is_list = sections.get(depth + 1).is_some_and(|next| next == tree::ITEM);
                    let (margin, indent) = indentation(&sections[..depth], is_list);
                    let _ = writeln!(example, "{margin}{indent}{name}:");
                }
            }
            open = sections.to_vec();
            let (margin, indent) = indentation(sections, false);
            let _ = writeln!(example, "{margin}{indent}# {}", key.doc);
            let line = self.example_line(key, last);
            if margin.is_empty() {
                let _ = writeln!(example, "{indent}{line}");
            } else {
                let line = line.trim_start_matches("# ");
                let dash = if begins_item { "- " } else { "" };
                let _ = writeln!(example, "{margin}{}{dash}{line}", &indent[dash.len()..]);
            }
        }
        example
    }

    /// The rows of a Markdown table of keys, for a manual.
    pub fn markdown(&self) -> String {
        let mut rows = String::new();
        for key in self.rows() {
            let variable = if key.file_only { String::new() } else { format!("`{}`", self.variable(key)) };
            let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
            let state = match key.state {
                State::Works => "works".to_owned(),
                State::NoEffect(why) => format!("no effect: {why}"),
                State::Refused(why) => format!("refused: {why}"),
            };
            let _ = writeln!(rows, "| `{}` | {variable} | {default} | {} | {state} |", key.path, key.doc);
        }
        rows
    }

    /// The name of the variable that sets a key; where a section has a second name for variables, with that.
    pub fn variable(&self, key: &Key) -> String {
        let segments = tree::segments(key.path);
        let parts = segments.iter().enumerate().map(|(depth, segment)| {
            let section = &segments[..=depth];
            let second = self.variable_names.iter().find(|(path, _)| tree::segments(path) == section);
            match segment.as_str() {
                tree::ITEM => "0",
                "*" => "NAME",
                segment => second.map_or(segment, |(_, name)| name),
            }
            .to_uppercase()
        });
        format!("{}{}", self.env_prefix, parts.collect::<Vec<_>>().join("_"))
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

/// What stands before a line in these sections: whatever belongs to the items of a list is a comment.
fn indentation(sections: &[String], begins_list: bool) -> (String, String) {
    let list = sections.iter().position(|section| section == tree::ITEM).map(|item| item - 1);
    match list.or(begins_list.then_some(sections.len())) {
        Some(list) => (format!("{}# ", "  ".repeat(list)), "  ".repeat(sections.len() - list)),
        None => (String::new(), "  ".repeat(sections.len())),
    }
}

fn shown(value: &Value) -> String {
    match &value.kind {
        ValueKind::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        ValueKind::Table(_) => "{}".to_owned(),
        ValueKind::String(text) if text.contains("://") => without_secrets(text),
        ValueKind::String(text) => tree::parse_yaml(text, "")
            .clone()
            .into_string()
            .map_or_else(|_| format!("{text:?}"), |_| text.clone()),
        kind => kind.to_string(),
    }
}

/// A URL may hold a password, or a token in its query; so may text that was meant to be one.
fn without_secrets(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        // A pattern such as `^https?://` is no URL either, and people want to see it.
        let has_query = text.rsplit("://").next().is_some_and(|rest| rest.contains('?'));
        return if has_query || text.contains('@') { "[redacted]".to_owned() } else { text.to_owned() };
    };
    if url.username().is_empty() && url.password().is_none() && url.query().is_none() {
        return text.to_owned();
    }
    // Only URLs without a host refuse that, and they have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    format!("{url} [without user, password and query]")
}
