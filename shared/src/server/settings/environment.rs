//! The environment as a layer of settings.
//!
//! `REGISTRY_HTTP_TLS_KEY` means `http.tls.key`; what a part means is decided by the table of keys, which also knows
//! keys that contain an underscore and sections with a second name. Variables are applied in the order of their
//! names, which makes a choice (`REGISTRY_STORAGE=filesystem`) come before its details
//! (`REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=…`). List items are numbered (`…_CLIENTCAS_0`), also those that are
//! sections; lists, maps and sections may also be given as YAML, in any style, and a single text is a list of one.
//! Quotes around a value are not part of it, as in a file.
//!
//! *Invariant:* a variable that fits no key is a warning and changes nothing: orchestrators put variables such as
//! `REGISTRY_PORT` into every container. So does an empty one, which is how compose files leave a variable unset.

use config::{Value, ValueKind};

use super::tree::{self, Tree};
use super::{Key, Kind, Schema, yaml};

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
        if text.trim().is_empty() {
            warnings.push(format!("environment variable {name} is empty and has no effect"));
            continue;
        }
        let parts = with_first_names(schema, rest.split('_').map(str::to_ascii_lowercase).collect());
        let variable = Variable { text: &text, origin: &format!("environment variable {name}") };
        match variable.apply(schema, tree, &parts) {
            Ok(Outcome::Set) => {}
            Ok(Outcome::Replaced(lost)) if lost.is_empty() => {}
            Ok(Outcome::Replaced(lost)) => warnings.push(format!(
                "environment variable {name} replaces the whole section, so these no longer count: {}",
                lost.join(", ")
            )),
            Ok(Outcome::NoEffect) => {
                warnings.push(format!("environment variable {name} fits no setting and has no effect"));
            }
            Err(problem) => problems.push(format!("environment variable {name}: {problem}")),
        }
    }
}

enum Outcome {
    Set,
    /// A choice was made; these keys of the file went with the section.
    Replaced(Vec<String>),
    NoEffect,
}

struct Variable<'a> {
    text: &'a str,
    origin: &'a str,
}

impl Variable<'_> {
    fn apply(&self, schema: &Schema, tree: &mut Tree, parts: &[String]) -> Result<Outcome, String> {
        for key in schema.rows().filter(|key| !key.file_only) {
            let pattern = tree::segments(key.path);
            if let Some((path, [])) = file_variant(schema, key, pattern.clone(), parts) {
                reach_items(tree, &path, self.origin)?;
                tree.set(&path, self.scalar(), self.origin);
                return Ok(Outcome::Set);
            }
            for (path, rest) in spellings(schema, &pattern, parts) {
                if let Some(outcome) = self.apply_to_key(schema, key, tree, path, rest) {
                    return outcome;
                }
            }
        }
        self.apply_to_section(schema, tree, parts)
    }

    /// Nothing if the key does not take what is left of the name.
    fn apply_to_key(
        &self,
        schema: &Schema,
        key: &Key,
        tree: &mut Tree,
        mut path: Vec<String>,
        rest: &[String],
    ) -> Option<Result<Outcome, String>> {
        let kind = match (key.kind, rest) {
            (Kind::Scalar | Kind::Secret, []) => self.scalar(),
            (Kind::List, []) => self.list(),
            (Kind::List, [number]) => {
                let Some(number) = tree::item_number(number) else {
                    return Some(Err(format!("`{number}` is not the number of a list item")));
                };
                if let Err(problem) = reach_items(tree, &path, self.origin) {
                    return Some(Err(problem));
                }
                if let Err(problem) = tree.reach_item(&path, number, self.origin) {
                    return Some(Err(problem));
                }
                path.push(number.to_string());
                self.scalar()
            }
            (Kind::Map | Kind::SecretMap, []) => match self.yaml().kind {
                kind @ ValueKind::Table(_) => kind,
                _ => return Some(Err("expected a YAML map such as '{name: value}'".into())),
            },
            // Names in maps are free, so they may contain underscores.
            (Kind::Map | Kind::SecretMap, [_, ..]) => {
                let name = rest.join("_");
                let known = tree.names(&path).into_iter().find(|known| known.eq_ignore_ascii_case(&name));
                path.push(known.unwrap_or(name));
                self.yaml().kind
            }
            (Kind::Selector, []) => return Some(Ok(self.choose(schema, tree, &path))),
            _ => return None,
        };
        if let Err(problem) = reach_items(tree, &path, self.origin) {
            return Some(Err(problem));
        }
        tree.set(&path, kind, self.origin);
        Some(Ok(Outcome::Set))
    }

    fn choose(&self, schema: &Schema, tree: &mut Tree, path: &[String]) -> Outcome {
        let lost = tree.leaves().into_iter().filter(|leaf| leaf.starts_with(path));
        let lost = lost.map(|leaf| format!("`{}`", leaf.join("."))).collect();
        if let kind @ ValueKind::Table(_) = self.yaml().kind {
            tree.set(path, kind, self.origin);
        } else {
            let mut chosen = path.to_vec();
            chosen.push(self.word());
            let chosen = with_first_names(schema, chosen);
            tree.replace_section(path, &chosen[path.len()], self.origin);
        }
        Outcome::Replaced(lost)
    }

    /// A whole section, item of a list of sections, or such a list, given as YAML.
    fn apply_to_section(
        &self,
        schema: &Schema,
        tree: &mut Tree,
        parts: &[String],
    ) -> Result<Outcome, String> {
        // What is no YAML is nothing, and may have been meant to guard something.
        let parsed = yaml::parse(self.text).map(|document| document.kind);
        let value = Value::from(parsed.clone().unwrap_or(ValueKind::Nil));
        let is_switch =
            value.clone().into_bool().unwrap_or(false) && !matches!(value.kind, ValueKind::I64(_));
        for key in schema.rows() {
            let pattern = tree::segments(key.path);
            for length in 1..pattern.len() {
                let fits = match &value.kind {
                    ValueKind::Table(_) => pattern[length] != tree::ITEM,
                    ValueKind::Array(_) => pattern[length] == tree::ITEM,
                    // A lone word for a section that has keys: an orchestrator's variable, not a setting of ours.
                    _ => false,
                };
                let mut named = spellings(schema, &pattern[..length], parts).into_iter();
                let Some((path, _)) = named.find(|(_, rest)| rest.is_empty()) else { continue };
                if let Err(problem) = &parsed {
                    return Err(format!("a section is given as YAML, and this is none: {problem}"));
                }
                if is_switch {
                    // No orchestrator says that, and whoever does wants something.
                    return Err(format!("a section is not switched on; set {}", schema.variable(key)));
                }
                if fits {
                    reach_items(tree, &path, self.origin)?;
                    tree.set(&path, value.kind, self.origin);
                    return Ok(Outcome::Set);
                }
            }
        }
        Ok(Outcome::NoEffect)
    }

    fn yaml(&self) -> Value {
        tree::parse_yaml(self.text, self.origin)
    }

    fn scalar(&self) -> ValueKind {
        ValueKind::String(self.word())
    }

    /// The text without quotes and comments. A secret may look like YAML that means something else and stays as it is.
    fn word(&self) -> String {
        let text = self.text.trim();
        if text.contains('\n') || text.starts_with(['!', '&', '|', '>']) {
            return self.text.to_owned();
        }
        match yaml::parse(text).map(|document| document.kind) {
            Ok(ValueKind::String(word)) => word,
            Ok(ValueKind::Boolean(_) | ValueKind::I64(_)) => text.to_owned(),
            _ => self.text.to_owned(),
        }
    }

    fn list(&self) -> ValueKind {
        match self.yaml().kind {
            kind @ ValueKind::Array(_) => kind,
            ValueKind::Nil => ValueKind::Array(Vec::new()),
            _ => ValueKind::Array(vec![self.scalar().into()]),
        }
    }
}

/// A section with two names is filled under the first, whichever a variable uses.
fn with_first_names(schema: &Schema, path: Vec<String>) -> Vec<String> {
    for (other, name) in schema.synonyms {
        if let Some(rest) = path.strip_prefix(tree::segments(other).as_slice()) {
            return [tree::segments(name).as_slice(), rest].concat();
        }
    }
    path
}

/// `…_SECRETFILE` and `…_SECRET_FILE` name the file that holds a secret.
fn file_variant<'a>(
    schema: &Schema,
    key: &Key,
    mut pattern: Vec<String>,
    parts: &'a [String],
) -> Option<(Vec<String>, &'a [String])> {
    let last = pattern.last_mut().filter(|_| key.kind == Kind::Secret)?;
    last.push_str(super::FILE_SUFFIX);
    let joined = spellings(schema, &pattern, parts).pop();
    joined.or_else(|| {
        let (file, before) = parts.split_last().filter(|(last, _)| *last == super::FILE_SUFFIX)?;
        let (mut path, rest) = spellings(schema, &tree::segments(key.path), before).pop()?;
        path.last_mut()?.push_str(file);
        Some((path, rest))
    })
}

/// Makes the items of lists of sections that lie on a path.
fn reach_items(tree: &mut Tree, path: &[String], origin: &str) -> Result<(), String> {
    for depth in 1..path.len() {
        if let Some(number) = tree::item_number(&path[depth]) {
            tree.reach_item(&path[..depth], number, origin)?;
        }
    }
    Ok(())
}

/// What the parts of a name can mean by this pattern: a path, and the parts that are left.
fn spellings<'a>(
    schema: &Schema,
    pattern: &[String],
    parts: &'a [String],
) -> Vec<(Vec<String>, &'a [String])> {
    let mut found = vec![(Vec::new(), parts)];
    for (depth, segment) in pattern.iter().enumerate() {
        let mut names = vec![segment.as_str()];
        let section = &pattern[..=depth];
        let second = schema.variable_names.iter().filter(|(path, _)| tree::segments(path) == section);
        names.extend(second.map(|(_, name)| *name));
        let mut longer = Vec::new();
        for (path, rest) in found {
            for name in &names {
                if let Some((taken, rest)) = take(name, rest) {
                    let mut path: Vec<String> = Vec::clone(&path);
                    path.push(taken.unwrap_or_else(|| segment.clone()));
                    longer.push((path, rest));
                }
            }
        }
        found = longer;
    }
    found
}

/// Takes the parts that make one segment; a segment that stands for any name or number takes what is there.
fn take<'a>(segment: &str, parts: &'a [String]) -> Option<(Option<String>, &'a [String])> {
    let (first, rest) = parts.split_first()?;
    if matches!(segment, "*" | tree::ITEM) {
        return super::stands_for(segment, first).then(|| (Some(first.clone()), rest));
    }
    let length = segment.split('_').count();
    let (first, rest) = parts.split_at_checked(length)?;
    segment.split('_').eq(first).then_some((None, rest))
}
