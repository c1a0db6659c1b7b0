//! Finding what has to do with a repository by its anchors, instead of looking at everything.
//!
//! *Invariant:* whatever has a pattern that matches a name is found for that name.

use std::collections::HashMap;

use shared::repository_name::RepositoryName;
use shared::repository_pattern::{self, RepositoryPattern};

/// Things with a pattern, by its anchor.
#[derive(Debug)]
pub(super) struct Anchored<'a, T>(HashMap<String, Vec<(&'a RepositoryPattern, T)>>);

impl<'a, T> Anchored<'a, T> {
    pub(super) fn new(things: impl IntoIterator<Item = (&'a RepositoryPattern, T)>) -> Self {
        let mut by_anchor: HashMap<String, Vec<_>> = HashMap::new();
        for (pattern, thing) in things {
            by_anchor.entry(pattern.anchor()).or_default().push((pattern, thing));
        }
        Self(by_anchor)
    }

    /// Those whose pattern matches the name for this user.
    pub(super) fn about(&self, name: &RepositoryName, user: Option<&str>) -> impl Iterator<Item = &T> {
        let near = repository_pattern::anchors([name]).into_iter().filter_map(|anchor| self.0.get(&anchor));
        near.flatten().filter(move |(pattern, _)| pattern.matches(name, user)).map(|(_, thing)| thing)
    }
}
