//! The settings file.
//!
//! *Invariant:* a file that is there is read as a whole or not at all.

use std::fs;
use std::path::Path;

use config::{Map, ValueKind};

use super::tree::Tree;
use super::{SettingsError, yaml};

/// What a file holds.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) tree: Tree,
    /// Everything that is written, also sections without content.
    pub(super) mentioned: Vec<Vec<String>>,
    /// Keys that are written twice.
    pub(super) repeated: Vec<String>,
}

pub(super) fn read(path: &Path) -> Result<Contents, SettingsError> {
    let text = fs::read_to_string(path)
        .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
    let syntax = |message| SettingsError::Syntax { path: path.to_owned(), message };
    let document = yaml::parse(&text).map_err(syntax)?;
    let map = match document.kind {
        ValueKind::Table(map) => map,
        ValueKind::Nil => Map::new(),
        _ => return Err(syntax("it must hold keys with their values".into())),
    };
    let mentioned = Tree::with_empty_sections(map.clone()).leaves();
    let tree = Tree::new(map, &path.display().to_string());
    Ok(Contents { tree, mentioned, repeated: document.repeated })
}
