//! YAML as settings of the field are written.
//!
//! The settings library refuses a key that is written twice and does not know merge keys (`<<: *defaults`), but files
//! and variables of the distribution registry have both. So its parser is read event by event.
//!
//! *Invariant:* of a key that is written twice the last value counts and the key is reported; a key that is merged
//! never replaces one that is written.
//!
//! Spec: YAML 1.2; merge keys as in YAML 1.1.

use std::collections::HashMap;

use config::{Map, Value, ValueKind};
use yaml_rust2::Yaml;
use yaml_rust2::parser::{Event, MarkedEventReceiver, Parser, Tag};
use yaml_rust2::scanner::{Marker, TScalarStyle};

/// The first document of a text.
#[derive(Debug)]
pub(super) struct Document {
    /// Nothing ([`ValueKind::Nil`]) for an empty text.
    pub(super) kind: ValueKind,
    /// The paths of keys that were written twice.
    pub(super) repeated: Vec<String>,
}

/// Reads the first document. The error says where and why.
pub(super) fn parse(text: &str) -> Result<Document, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    Parser::new(text.chars()).load(&mut builder, false).map_err(|error| error.to_string())?;
    match builder.problem {
        Some(problem) => Err(problem),
        None => Ok(Document { kind: builder.root, repeated: builder.repeated }),
    }
}

/// A list or map that has begun and not ended.
enum Open {
    List { anchor: usize, items: Vec<Value> },
    Map { anchor: usize, written: Map<String, Value>, merged: Vec<Map<String, Value>>, key: Option<Name> },
}

struct Name {
    text: String,
    is_merge: bool,
}

struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, ValueKind>,
    root: ValueKind,
    repeated: Vec<String>,
    problem: Option<String>,
}

impl Default for Builder {
    fn default() -> Self {
        let (open, anchors, repeated) = (Vec::new(), HashMap::new(), Vec::new());
        Self { open, anchors, root: ValueKind::Nil, repeated, problem: None }
    }
}

impl Builder {
    fn refuse(&mut self, problem: &str, mark: Marker) {
        let (line, column) = (mark.line(), mark.col() + 1);
        self.problem.get_or_insert_with(|| format!("{problem} at line {line} column {column}"));
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Map { key: None, .. }))
    }

    /// Puts a value where the next one belongs.
    fn take(&mut self, kind: ValueKind, anchor: usize, mark: Marker) {
        if anchor > 0 {
            self.anchors.insert(anchor, kind.clone());
        }
        let path = self.path();
        match self.open.last_mut() {
            None => self.root = kind,
            Some(Open::List { items, .. }) => items.push(kind.into()),
            Some(Open::Map { written, merged, key, .. }) => match key.take() {
                None => self.refuse("a key must be a word", mark),
                Some(name) if name.is_merge => match maps_of(kind) {
                    Some(maps) => merged.extend(maps),
                    None => self.refuse("only a map, or a list of maps, can be merged", mark),
                },
                Some(name) => {
                    if written.insert(name.text, kind.into()).is_some() {
                        self.repeated.push(path);
                    }
                }
            },
        }
    }

    /// The keys that lead to the value that comes next.
    fn path(&self) -> String {
        let names = self.open.iter().filter_map(|open| match open {
            Open::Map { key: Some(name), .. } => Some(name.text.as_str()),
            _ => None,
        });
        names.collect::<Vec<_>>().join(".")
    }
}

impl MarkedEventReceiver for Builder {
    fn on_event(&mut self, event: Event, mark: Marker) {
        match event {
            Event::Scalar(text, style, ..) if self.awaits_key() => {
                let is_merge = text == "<<" && style == TScalarStyle::Plain;
                if let Some(Open::Map { key, .. }) = self.open.last_mut() {
                    *key = Some(Name { text, is_merge });
                }
            }
            Event::Scalar(text, style, anchor, tag) => self.take(scalar(text, style, tag), anchor, mark),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(kind) => self.take(kind, 0, mark),
                None => self.refuse("an alias stands inside of what it names", mark),
            },
            Event::SequenceStart(..) | Event::MappingStart(..) if self.awaits_key() => {
                self.refuse("a key must be a word", mark);
                self.open.push(Open::List { anchor: 0, items: Vec::new() });
            }
            Event::SequenceStart(anchor, _) => self.open.push(Open::List { anchor, items: Vec::new() }),
            Event::MappingStart(anchor, _) => {
                let (written, merged) = (Map::new(), Vec::new());
                self.open.push(Open::Map { anchor, written, merged, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { anchor, items }) => self.take(ValueKind::Array(items), anchor, mark),
                Some(Open::Map { anchor, mut written, merged, .. }) => {
                    for (name, value) in merged.into_iter().flatten() {
                        written.entry(name).or_insert(value);
                    }
                    self.take(ValueKind::Table(written), anchor, mark);
                }
                None => {}
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart
            | Event::DocumentEnd => {}
        }
    }
}

/// The type of a scalar. Numbers with a point stay texts: `version: 1.0` is no number, and what is one gets its type
/// from the field it is for.
fn scalar(text: String, style: TScalarStyle, tag: Option<Tag>) -> ValueKind {
    let is_text = tag.is_some_and(|tag| tag.suffix == "str");
    if is_text || style != TScalarStyle::Plain {
        return ValueKind::String(text);
    }
    match Yaml::from_str(&text) {
        Yaml::Integer(number) => ValueKind::I64(number),
        Yaml::Boolean(switch) => ValueKind::Boolean(switch),
        Yaml::Null => ValueKind::Nil,
        _ => ValueKind::String(text),
    }
}

fn maps_of(kind: ValueKind) -> Option<Vec<Map<String, Value>>> {
    match kind {
        ValueKind::Table(map) => Some(vec![map]),
        ValueKind::Array(items) => {
            let maps = items.into_iter().map(|item| match item.kind {
                ValueKind::Table(map) => Some(map),
                _ => None,
            });
            maps.collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let document = parse(text).expect("YAML");
        let repeated = document.repeated.iter().map(|path| format!(" twice:{path}"));
        flat(&document.kind) + &repeated.collect::<String>()
    }

    /// With sorted keys, and quotes around texts only.
    fn flat(kind: &ValueKind) -> String {
        match kind {
            ValueKind::Table(map) => {
                let mut members: Vec<_> =
                    map.iter().map(|(name, value)| format!("{name}:{}", flat(&value.kind))).collect();
                members.sort();
                format!("{{{}}}", members.join(","))
            }
            ValueKind::Array(items) => {
                format!("[{}]", items.iter().map(|item| flat(&item.kind)).collect::<Vec<_>>().join(","))
            }
            ValueKind::String(text) => format!("'{text}'"),
            kind => kind.to_string(),
        }
    }

    #[test]
    fn every_kind_of_document_is_read() {
        for (text, expected) in [
            ("", "nil"),
            ("# nothing", "nil"),
            ("true", "true"),
            ("\"true\"", "'true'"),
            ("a word # and a comment", "'a word'"),
            ("- image\n- 5\n", "['image',5]"),
            ("readonly:\n  enabled: true\n", "{readonly:{enabled:true}}"),
            ("{a: [1, {b: ~}]}", "{a:[1,{b:nil}]}"),
            ("\u{feff}version: 0.1\n", "{version:'0.1'}"),
            ("version: 1.0", "{version:'1.0'}"),
            ("a: !!str 12", "{a:'12'}"),
            ("a: 1\n---\nb: 2\n", "{a:1}"),
            ("5: a\ntrue: b", "{5:'a',true:'b'}"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_merged_never_replaces_what_is_written() {
        for (text, expected) in [
            ("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}", "{x:{a:1,b:2},y:{a:1,b:3}}"),
            ("x: &x {a: 1}\ny: {b: 3, <<: *x}", "{x:{a:1},y:{a:1,b:3}}"),
            ("<<: {a: {b: 1}}\nc: 2", "{a:{b:1},c:2}"),
            ("y: {<<: [{a: 1}, {a: 2, b: 2}]}", "{y:{a:1,b:2}}"),
            ("'<<': 1", "{<<:1}"),
            ("x: &x [1]\ny: *x", "{x:[1],y:[1]}"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert!(parse("<<: 5").expect_err("no map").contains("line 1"));
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_and_is_reported() {
        assert_eq!(shown("a: {b: 1, b: 2}\nc: 1\nc: {}\n"), "{a:{b:2},c:{}} twice:a.b twice:c");
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_place() {
        for text in ["a: [", "{a: b", "a: *nobody", "a: b: c", "[a]: b", "{a: 1}: b", "x: &x {y: *x}"] {
            let problem = parse(text).expect_err(text);
            assert!(problem.contains(" at ") && problem.contains("line "), "{text}: {problem}");
        }
    }
}
