//! The paths of the token endpoint.
//!
//! *Invariant:* each is there once, and none means something else.

use std::collections::BTreeSet;

use shared::server::settings::SettingsError;

use super::Problems;

/// Paths that mean something else, with everything below them.
const TAKEN: &[&str] = &["/healthz", "/readyz", "/.well-known", "/feed", "/api"];

pub(super) fn token_paths(raw: &[String]) -> Result<Vec<String>, SettingsError> {
    let mut problems = Problems::default();
    if raw.is_empty() {
        problems.add("`token.paths` must name at least one path");
    }
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte);
    for path in raw {
        if !path.starts_with('/') || path.len() < 2 || !path.bytes().all(usable) {
            problems.add(format!("`token.paths`: `{path}` is not a path such as /token"));
        }
        let taken = |taken: &&&str| path == **taken || path.starts_with(&format!("{taken}/"));
        if let Some(taken) = TAKEN.iter().find(taken) {
            problems.add(format!("`token.paths`: `{path}` is taken, because {taken} is"));
        }
    }
    let each_once: BTreeSet<&String> = raw.iter().collect();
    if problems.0.is_empty() {
        Ok(each_once.into_iter().cloned().collect())
    } else {
        Err(SettingsError::Problems(problems.0))
    }
}
