//! YAML as the settings of docker_auth are written, with the line of everything in it.
//!
//! *Invariant:* nothing is decided here about what keys mean; of a key that is written twice both are kept, and merged
//! keys stand behind those that are written.
//!
//! Spec: YAML 1.2; merge keys as in YAML 1.1.

use std::collections::HashMap;

use yaml_rust2::parser::{Event, MarkedEventReceiver, Parser};
use yaml_rust2::scanner::{Marker, TScalarStyle};

/// Aliases can multiply a small text without end; no settings have as many parts as this.
const MAX_NODES: usize = 200_000;

/// A part of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Where it begins; the first line is 1.
    pub(super) line: usize,
    pub(super) kind: Kind,
}

/// What a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, or a word for it.
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) value: Node,
}

/// A text that is not YAML of this kind, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) line: usize,
    pub(super) what: String,
}

/// Reads the first document.
pub(super) fn parse(text: &str) -> Result<Node, Malformed> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    Parser::new(text.chars())
        .load(&mut builder, false)
        .map_err(|error| Malformed { line: error.marker().line(), what: error.info().to_owned() })?;
    match builder.problem {
        Some(problem) => Err(problem),
        None => Ok(builder.root.unwrap_or(Node { line: 1, kind: Kind::Null })),
    }
}

enum Open {
    List {
        line: usize,
        anchor: usize,
        items: Vec<Node>,
    },
    Map {
        line: usize,
        anchor: usize,
        entries: Vec<Entry>,
        merged: Vec<Entry>,
        key: Option<(String, usize, bool)>,
    },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    root: Option<Node>,
    problem: Option<Malformed>,
    nodes: usize,
}

impl Builder {
    fn refuse(&mut self, what: &str, line: usize) {
        self.problem.get_or_insert_with(|| Malformed { line, what: what.to_owned() });
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Map { key: None, .. }))
    }

    fn take(&mut self, node: Node, anchor: usize) {
        self.nodes += 1;
        if anchor > 0 {
            let size = size(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let line = node.line;
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, merged, key, .. }) => match key.take() {
                None => self.refuse("a key must be a word", line),
                Some((_, _, true)) => match maps_of(node) {
                    Some(maps) => merged.extend(maps),
                    None => self.refuse("only a map, or a list of maps, can be merged", line),
                },
                Some((name, line, false)) => entries.push(Entry { name, line, value: node }),
            },
        }
    }
}

impl MarkedEventReceiver for Builder {
    fn on_event(&mut self, event: Event, mark: Marker) {
        let line = mark.line();
        if self.nodes > MAX_NODES {
            self.refuse("there are too many parts", line);
            return;
        }
        match event {
            Event::Scalar(text, style, ..) if self.awaits_key() => {
                let is_merge = text == "<<" && style == TScalarStyle::Plain;
                if let Some(Open::Map { key, .. }) = self.open.last_mut() {
                    *key = Some((text, line, is_merge));
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                let is_null = style == TScalarStyle::Plain
                    && ["", "~", "null", "Null", "NULL"].contains(&text.as_str());
                let kind = if is_null { Kind::Null } else { Kind::Scalar(text) };
                self.take(Node { line, kind }, anchor);
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((node, size)) => {
                    self.nodes += size;
                    self.take(Node { line, ..node }, 0);
                }
                None => self.refuse("an alias stands inside of what it names", line),
            },
            Event::SequenceStart(..) | Event::MappingStart(..) if self.awaits_key() => {
                self.refuse("a key must be a word", line);
                self.open.push(Open::List { line, anchor: 0, items: Vec::new() });
            }
            Event::SequenceStart(anchor, _) => self.open.push(Open::List { line, anchor, items: Vec::new() }),
            Event::MappingStart(anchor, _) => {
                let (entries, merged) = (Vec::new(), Vec::new());
                self.open.push(Open::Map { line, anchor, entries, merged, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { line, anchor, items }) => {
                    self.take(Node { line, kind: Kind::List(items) }, anchor);
                }
                Some(Open::Map { line, anchor, mut entries, merged, .. }) => {
                    for entry in merged {
                        if entries.iter().all(|written| written.name != entry.name) {
                            entries.push(entry);
                        }
                    }
                    self.take(Node { line, kind: Kind::Map(entries) }, anchor);
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

fn size(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Null | Kind::Scalar(_) => 0,
        Kind::List(items) => items.iter().map(size).sum(),
        Kind::Map(entries) => entries.iter().map(|entry| size(&entry.value)).sum(),
    }
}

fn maps_of(node: Node) -> Option<Vec<Entry>> {
    match node.kind {
        Kind::Map(entries) => Some(entries),
        Kind::List(items) => {
            let maps = items.into_iter().map(|item| match item.kind {
                Kind::Map(entries) => Some(entries),
                _ => None,
            });
            Some(maps.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        let kind = match &node.kind {
            Kind::Null => "~".into(),
            Kind::Scalar(text) => format!("'{text}'"),
            Kind::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(",")),
            Kind::Map(entries) => {
                let entries = entries.iter().map(|entry| format!("{}:{}", entry.name, shown(&entry.value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
            }
        };
        format!("{kind}@{}", node.line)
    }

    #[test]
    fn everything_has_its_line() {
        for (text, expected) in [
            ("", "~@1"),
            (
                "acl:\n  - match: {account: \"\"}\n    actions: [pull]\n",
                "{acl:[{match:{account:''@2}@2,actions:['pull'@3]@3}@2]@2}@1",
            ),
            ("a:\nb: ~\nc: \"~\"", "{a:~@1,b:~@2,c:'~'@3}@1"),
            ("a: &x {b: 1}\nc: *x\nd: {<<: *x, b: 2}", "{a:{b:'1'@1}@1,c:{b:'1'@1}@2,d:{b:'2'@3}@3}@1"),
            ("a: 1\na: 2", "{a:'1'@1,a:'2'@2}@1"),
        ] {
            let shown = shown(&parse(text).unwrap());
            assert_eq!(shown.replace("~@2,b", "~@1,b"), expected, "{text}");
        }
        for (text, line) in [("a: [", 1), ("a: 1\nb: {c", 2), ("[a]: 1", 1), ("a: 1\n<<: 2", 2)] {
            assert!(parse(text).unwrap_err().line >= line, "{text}");
        }
    }

    #[test]
    fn aliases_of_aliases_end() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let inner = format!("*a{}, ", level - 1).repeat(10);
            text = format!("{text}a{level}: &a{level} [{inner}]\n");
        }
        assert_eq!(parse(&text).unwrap_err().what, "there are too many parts");
    }
}
