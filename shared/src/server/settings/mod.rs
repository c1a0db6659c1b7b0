//! Settings of both servers: a table of keys, one YAML file, and the environment over it.
//!
//! Each server has one static [`Schema`]. The table says which keys exist, of which kind, with which default and
//! what they mean; unknown keys, `check-config`, the example file and the READMEs are all derived from it.
//! Precedence: default < file < environment. A secret `x` may also come from a file named by `xfile` (or by the
//! environment variable ending in `_FILE`).
//!
//! *Invariant:* loading the same file with the same environment gives the same result, whatever the order in which
//! variables arrive; values from the environment stay texts until the field they are for gives them a type.

mod environment;

mod file;

mod report;

mod states;

mod tree;

mod yaml;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use config::{Config, Map, Source, Value, ValueKind};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use file::Contents;
use tree::Tree;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text, number or boolean.
    Scalar,
    /// A text that must not be shown; also readable from a file.
    Secret,
    /// A list of texts.
    List,
    /// Everything below this key belongs to it.
    Map,
    /// A map whose values must not be shown.
    SecretMap,
    /// A section that may be written as one word: `storage: filesystem` means `storage: {filesystem: {}}`.
    Selector,
}

impl Kind {
    /// Whether a key of this kind has what lies at `rest` below it.
    fn covers(self, rest: &[String]) -> bool {
        rest.is_empty() || matches!(self, Self::List | Self::Map | Self::SecretMap)
    }
}

/// One row of the table of keys.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted path; `*` stands for any one name, and `hooks[].type` is a key of each item of the list `hooks`.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// YAML of the value used when nobody sets it; empty for none.
    pub default: &'static str,
    /// One sentence on what it does.
    pub doc: &'static str,
    /// What becomes of it in this version.
    pub state: State,
    /// Whether only the file can set it.
    pub file_only: bool,
}

impl Key {
    /// A row of the table, for a key that takes effect.
    pub const fn new(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Self {
        Self { path, kind, default, doc, state: State::Works, file_only: false }
    }

    /// The same row for a key that no variable sets.
    #[must_use]
    pub const fn file_only(self) -> Self {
        Self { file_only: true, ..self }
    }

    /// The same row for a key that may be given and changes nothing.
    #[must_use]
    pub const fn no_effect(self, why: &'static str) -> Self {
        Self { state: State::NoEffect(why), ..self }
    }

    /// The same row for a key that stops the start when it is given.
    #[must_use]
    pub const fn refused(self, why: &'static str) -> Self {
        Self { state: State::Refused(why), ..self }
    }
}

/// What becomes of a key in this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does what its sentence says.
    Works,
    /// Giving it is a warning: nothing is less safe, and no data goes elsewhere, without it.
    NoEffect(&'static str),
    /// Giving it stops the start, unless the value switches it off.
    Refused(&'static str),
}

/// What to do about a key in the file that the table does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownKeys {
    /// Start, and say so: the file may have been written for another program that accepts more.
    Warn,
    /// Refuse to start: a misspelt key may guard something.
    Refuse,
}

/// Everything a server can be told.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Variables that begin with this are looked at, such as `REGISTRY_`.
    pub env_prefix: &'static str,
    /// The table of keys, section by section.
    pub keys: &'static [&'static [Key]],
    /// How strict the file is read.
    pub unknown: UnknownKeys,
    /// Sections with a second name that variables may use: `("health.file", "filecheckers")`.
    pub variable_names: &'static [(&'static str, &'static str)],
    /// Sections with a second name everywhere: `("storage.s3aws", "storage.s3")`.
    pub synonyms: &'static [(&'static str, &'static str)],
}

/// Why settings could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file that was named cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not YAML.
    #[error("{} is not valid YAML: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// Values that cannot be used, all of them at once.
    #[error("{}", .0.join("\n"))]
    Problems(Vec<String>),
}

impl SettingsError {
    /// One problem, as a sentence that names the key.
    pub fn problem(sentence: impl Into<String>) -> Self {
        Self::Problems(vec![sentence.into()])
    }
}

/// The environment of this process, in no particular order.
pub fn process_environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

impl Schema {
    /// Every row of the table.
    pub fn rows(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().copied().flatten()
    }

    /// Reads the file (if any) and lays the environment over it; stops at problems.
    pub fn load(
        &self,
        file: Option<&Path>,
        environment: Vec<(String, String)>,
    ) -> Result<Loaded, SettingsError> {
        let loaded = self.gather(file, environment)?;
        if loaded.problems.is_empty() { Ok(loaded) } else { Err(SettingsError::Problems(loaded.problems)) }
    }

    /// Like [`Self::load`], but problems of single keys are kept beside what could be loaded, so that it can be shown.
    pub fn gather(
        &self,
        file: Option<&Path>,
        environment: Vec<(String, String)>,
    ) -> Result<Loaded, SettingsError> {
        let Contents { mut tree, mut mentioned, repeated } =
            file.map(file::read).transpose()?.unwrap_or_default();
        let mut warnings = Vec::new();
        let mut problems = Vec::new();
        let repeated = repeated.iter().map(|path| format!("`{path}` is written twice; the last one counts"));
        match self.unknown {
            UnknownKeys::Warn => warnings.extend(repeated),
            UnknownKeys::Refuse => problems.extend(repeated),
        }
        self.expand_selectors(&mut tree);
        self.replace_synonyms(&mut tree, &mut problems);
        environment::apply(self, &mut tree, environment, &mut warnings, &mut problems);
        self.replace_synonyms(&mut tree, &mut problems);
        let mut unknown_keys = 0;
        for path in tree.leaves() {
            if self.find(&path).is_some() {
                continue;
            }
            if let Some(inside) = self.inside(&path) {
                problems.extend(not_a_section(&path, inside, tree.get(&path)));
                continue;
            }
            match self.unknown {
                UnknownKeys::Warn => warnings.push(self.unknown_key(&path)),
                UnknownKeys::Refuse => problems.push(self.unknown_key(&path)),
            }
            unknown_keys += 1;
        }
        self.read_secret_files(&mut tree, &mut problems);
        let given = tree.leaves();
        mentioned.extend(given.iter().cloned());
        states::check(self, &tree, &given, &mut warnings, &mut problems);
        self.add_defaults(&mut tree);
        Ok(Loaded { schema: *self, tree, given, mentioned, warnings, problems, unknown_keys })
    }

    /// The row that covers `path`: itself, or a list or map it lies in, or the file variant of a secret.
    fn find(&self, path: &[String]) -> Option<&'static Key> {
        let covers = |key: &&Key| matched_segments(key.path, path).is_some_and(|rest| key.kind.covers(rest));
        let is_file = |key: &&Key| key.kind == Kind::Secret && is_file_variant(key.path, path);
        self.rows().find(covers).or_else(|| self.rows().find(is_file))
    }

    /// A key that lies below `path`; an empty section is no unknown key.
    fn inside(&self, path: &[String]) -> Option<&'static Key> {
        self.rows().find(|key| {
            let segments = tree::segments(key.path);
            segments.len() > path.len() && segments.iter().zip(path).all(|(a, b)| stands_for(a, b))
        })
    }

    fn unknown_key(&self, path: &[String]) -> String {
        let path = path.join(".");
        let nearest = self
            .rows()
            .map(|key| (strsim::damerau_levenshtein(key.path, &path), key.path))
            .min()
            .filter(|(distance, _)| *distance <= 1 + path.len() / 3);
        match nearest {
            Some((_, nearest)) => format!("unknown key `{path}`; did you mean `{nearest}`?"),
            None => format!("unknown key `{path}`"),
        }
    }

    fn replace_synonyms(&self, tree: &mut Tree, problems: &mut Vec<String>) {
        for (other, name) in self.synonyms {
            if tree.rename(&tree::segments(other), &tree::segments(name)).is_err() {
                problems.push(format!("`{other}` and `{name}` are two names of the same; remove one"));
            }
        }
    }

    fn expand_selectors(&self, tree: &mut Tree) {
        for key in self.rows().filter(|key| key.kind == Kind::Selector) {
            let path = tree::segments(key.path);
            if let Some((word, origin)) = tree.text(&path) {
                tree.replace_section(&path, &word, &origin);
            }
        }
    }

    fn read_secret_files(&self, tree: &mut Tree, problems: &mut Vec<String>) {
        for file_path in tree.leaves() {
            let is_variant = |key: &&Key| key.kind == Kind::Secret && is_file_variant(key.path, &file_path);
            let is_row =
                self.rows().any(|key| matched_segments(key.path, &file_path).is_some_and(<[_]>::is_empty));
            if is_row || !self.rows().any(|key| is_variant(&key)) {
                continue;
            }
            let Some((file, _)) = tree.text(&file_path) else { continue };
            let mut path = file_path.clone();
            if let Some(last) = path.last_mut() {
                last.truncate(last.len() - FILE_SUFFIX.len());
            }
            tree.remove(&file_path);
            let (name, file_name) = (path.join("."), file_path.join("."));
            if tree.text(&path).is_some() {
                problems.push(format!("`{name}` and `{file_name}` are both set; remove one"));
                continue;
            }
            match fs::read_to_string(&file) {
                Ok(text) => {
                    let text = text.strip_suffix('\n').unwrap_or(&text);
                    let text = text.strip_suffix('\r').unwrap_or(text);
                    tree.set(&path, ValueKind::String(text.to_owned()), &format!("file {file}"));
                }
                Err(error) => problems.push(format!("`{file_name}`: cannot read {file}: {error}")),
            }
        }
    }

    fn add_defaults(&self, tree: &mut Tree) {
        // A default of something that is not there would only be in the way.
        let has_default = |key: &&Key| !key.default.is_empty() && key.state == State::Works;
        for key in self.rows().filter(|key| has_default(key) && !key.path.contains(['*', '['])) {
            let path = tree::segments(key.path);
            if !tree.contains(&path) {
                tree.set(&path, tree::parse_yaml(key.default, DEFAULT_ORIGIN).kind, DEFAULT_ORIGIN);
            }
        }
    }
}

/// What is wrong with a leaf where keys should be. The defaults of these keys would take its place without a word.
fn not_a_section(path: &[String], inside: &Key, value: Option<&Value>) -> Option<String> {
    let is_list = tree::segments(inside.path)[path.len()] == tree::ITEM;
    match &value?.kind {
        ValueKind::Table(table) if table.is_empty() && !is_list => None,
        ValueKind::Array(items) if items.is_empty() && is_list => None,
        _ => {
            let what = if is_list { "a list of sections" } else { "a section" };
            Some(format!(
                "`{}` has a value of its own, but it is {what}; write the keys below it, such as `{}`",
                path.join("."),
                inside.path
            ))
        }
    }
}

/// What `check-config` calls the source of a value nobody set.
const DEFAULT_ORIGIN: &str = "default";

/// What a secret's name ends with when it names the file that holds it.
const FILE_SUFFIX: &str = "file";

/// Whether a segment of a pattern can be this name or number.
fn stands_for(pattern: &str, segment: &str) -> bool {
    match pattern {
        "*" => true,
        tree::ITEM => tree::item_number(segment).is_some(),
        name => name == segment,
    }
}

/// What is left of `path` after the pattern of a key, if the pattern matches its beginning.
fn matched_segments<'a>(pattern: &str, path: &'a [String]) -> Option<&'a [String]> {
    let pattern = tree::segments(pattern);
    let (first, rest) = path.split_at_checked(pattern.len())?;
    pattern.iter().zip(first).all(|(a, b)| stands_for(a, b)).then_some(rest)
}

fn is_file_variant(pattern: &str, path: &[String]) -> bool {
    let mut stripped = path.to_vec();
    let Some(shortened) = stripped.last().and_then(|last| last.strip_suffix(FILE_SUFFIX)).map(str::to_owned)
    else {
        return false;
    };
    stripped.pop();
    stripped.push(shortened);
    matched_segments(pattern, &stripped).is_some_and(<[String]>::is_empty)
}

/// The tree of a file, and all its paths with those of empty sections.
fn names_below<'a>(paths: &'a [Vec<String>], section: &str) -> BTreeSet<&'a str> {
    let section = tree::segments(section);
    let below = paths.iter().filter(|path| path.starts_with(&section));
    below.filter_map(|path| path.get(section.len())).map(String::as_str).collect()
}

/// Settings as they came together, before they get their types.
#[derive(Clone)]
pub struct Loaded {
    schema: Schema,
    tree: Tree,
    given: Vec<Vec<String>>,
    mentioned: Vec<Vec<String>>,
    warnings: Vec<String>,
    problems: Vec<String>,
    unknown_keys: usize,
}

impl Loaded {
    /// Gives the settings their types. The error names the first key that does not fit.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        let built = Config::builder().add_source(self.tree.clone()).build();
        built
            .and_then(Config::try_deserialize)
            .map_err(|error| SettingsError::problem(self.without_secrets(error.to_string())))
    }

    /// Errors of the library quote the value that does not fit.
    fn without_secrets(&self, mut sentence: String) -> String {
        for path in self.tree.leaves() {
            let kind = self.schema.find(&path).map(|key| key.kind);
            if let (Some(Kind::Secret | Kind::SecretMap), Some((text, _))) = (kind, self.tree.text(&path)) {
                for quoted in [format!("{text:?}"), format!("`{text}`")] {
                    sentence = sentence.replace(&quoted, "[redacted]");
                }
            }
        }
        sentence
    }

    /// Whether somebody set `path` or something below it, in the file or the environment.
    pub fn is_given(&self, path: &str) -> bool {
        let wanted = tree::segments(path);
        self.given.iter().any(|given| given.starts_with(&wanted))
    }

    /// Like [`Self::is_given`], but a section without content counts as well.
    pub fn is_mentioned(&self, path: &str) -> bool {
        let wanted = tree::segments(path);
        self.mentioned.iter().any(|mentioned| mentioned.starts_with(&wanted))
    }

    /// The names directly below `path` below which somebody set something.
    pub fn given_below(&self, path: &str) -> BTreeSet<&str> {
        names_below(&self.given, path)
    }

    /// Like [`Self::given_below`], with sections without content.
    pub fn mentioned_below(&self, path: &str) -> BTreeSet<&str> {
        names_below(&self.mentioned, path)
    }

    /// The text of a scalar, where somebody set one.
    pub fn text(&self, path: &str) -> Option<String> {
        self.tree.text(&tree::segments(path)).map(|(text, _)| text)
    }

    /// Sentences about what was seen and not used.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Sentences about what cannot be used; none after [`Schema::load`].
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Whether keys were given that the table does not know; `check-config` exits with 1 then.
    pub fn has_unknown_keys(&self) -> bool {
        self.unknown_keys > 0
    }
}

/// Values may be secrets.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("given", &self.given).finish_non_exhaustive()
    }
}

impl Source for Tree {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.to_map())
    }
}

/// A duration with a unit, such as `90s`, `15m` or `168h`; `0` is allowed without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub std::time::Duration);

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "0" {
            return Ok(Self::default());
        }
        humantime::parse_duration(&text).map(Self).map_err(|_| {
            serde::de::Error::custom(format!(
                "`{text}` is not a duration; write a number with a unit, such as 90s or 168h"
            ))
        })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests;
