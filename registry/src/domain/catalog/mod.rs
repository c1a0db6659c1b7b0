//! Listing the repositories.
//!
//! *Invariant:* names come in byte order of the whole name, strictly after the one asked for, and the walk looks only
//! into folders that can still hold such a name; so a page costs what it shows, and the names of the folders on its
//! way. Of a set, also what is passed over costs, but no folder that can hold nothing of it is looked into.
//!
//! Walking folder by folder does not give that order, because `-` and `.` sort before `/`: `a`, `a-b`, `a/c`. So each
//! folder stands in the queue twice: as `a`, for itself, and as `a/`, for everything below it.

pub mod search;

use std::collections::BTreeMap;

use shared::limits::Limits;
use shared::repository_name::RepositoryName;
use shared::repository_set::RepositorySet;

use super::Repositories;
use super::error::RegistryError;
use super::limits::check_creation;
use crate::storage::error::StorageError;
use crate::storage::layout::{self, Key};
use crate::storage::{Entry, EntryKind};

/// A part of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogPage {
    /// In byte order.
    pub repositories: Vec<RepositoryName>,
    /// Whether there are repositories behind the last one; never after an empty page that was asked for.
    pub more: bool,
}

/// What is still to be looked at, by its place in the order.
type Queue = BTreeMap<String, Visit>;

enum Visit {
    /// The key is the path of a folder that may be a repository.
    Itself,
    /// The key is such a path and a slash; these are the names below it.
    Below(Vec<String>),
}

/// A walk through the tree in the order of the list.
struct Walk<'a> {
    repositories: &'a Repositories,
    queue: Queue,
    after: &'a str,
    visible: Option<&'a [RepositorySet]>,
}

/// What the next place in the order is.
enum Step {
    /// A repository that may be shown.
    Repository(RepositoryName),
    /// Nothing to show.
    Nothing,
    /// There is no more.
    End,
}

impl<'a> Walk<'a> {
    /// Begins strictly after `after`, which need not exist.
    async fn begin(
        repositories: &'a Repositories,
        after: &'a str,
        visible: Option<&'a [RepositorySet]>,
    ) -> Result<Self, RegistryError> {
        let (_, top) = repositories.look_into(&layout::repositories()).await?;
        let mut queue = Queue::new();
        enqueue(&mut queue, "", top, after);
        Ok(Self { repositories, queue, after, visible })
    }

    /// Looks into one folder at most.
    async fn step(&mut self) -> Result<Step, RegistryError> {
        let Some((place, visit)) = self.queue.pop_first() else { return Ok(Step::End) };
        if let Visit::Below(names) = visit {
            enqueue(&mut self.queue, &place, names, self.after);
            return Ok(Step::Nothing);
        }
        let below = format!("{place}/");
        // A folder made by hand can have a name no client can ask for.
        let name = RepositoryName::parse(&place).ok();
        let sets = self.visible;
        let name = name.filter(|name| sets.is_none_or(|sets| sets.iter().any(|set| set.contains(name))));
        let may_hold_more = sets.is_none_or(|sets| sets.iter().any(|set| set.may_hold_below(&below)));
        if name.is_none() && !may_hold_more {
            return Ok(Step::Nothing);
        }
        let folder = layout::repository_folder(&place);
        let (is_repository, names) = self.repositories.look_into(&folder).await?;
        if !names.is_empty() && may_hold_more {
            self.queue.insert(below, Visit::Below(names));
        }
        let name = name.filter(|name| is_repository && name.as_str() > self.after);
        Ok(name.map_or(Step::Nothing, Step::Repository))
    }
}

impl Repositories {
    /// Lists at most `limit` repositories strictly after `after`, which need not exist; those that are in
    /// any of these sets, or all.
    pub async fn list_repositories(
        &self,
        after: Option<&str>,
        limit: usize,
        visible: Option<&[RepositorySet]>,
    ) -> Result<CatalogPage, RegistryError> {
        let mut page = CatalogPage { repositories: Vec::new(), more: false };
        if limit == 0 {
            return Ok(page);
        }
        let mut walk = Walk::begin(self, after.unwrap_or_default(), visible).await?;
        loop {
            match walk.step().await? {
                Step::Repository(_) if page.repositories.len() == limit => {
                    page.more = true;
                    return Ok(page);
                }
                Step::Repository(name) => page.repositories.push(name),
                Step::Nothing => {}
                Step::End => return Ok(page),
            }
        }
    }

    /// Whether anything was ever pushed to a repository.
    pub(super) async fn is_repository(&self, repository: &RepositoryName) -> Result<bool, StorageError> {
        Ok(self.look_into(&layout::repository_folder(repository.as_str())).await?.0)
    }

    /// Whether limits let this repository be pushed to, which may make it.
    pub async fn may_be_made(
        &self,
        repository: &RepositoryName,
        limits: Option<&Limits>,
    ) -> Result<(), RegistryError> {
        match limits {
            Some(limits) if !limits.new => Ok(check_creation(limits, self.is_repository(repository).await?)?),
            _ => Ok(()),
        }
    }

    /// Whether a folder is a repository, and what may be repositories below it.
    pub(super) async fn look_into(&self, folder: &Key) -> Result<(bool, Vec<String>), StorageError> {
        let entries = self.storage.list(folder).await?.unwrap_or_default();
        let folders = |entry: Entry| (entry.kind == EntryKind::Folder).then_some(entry.name);
        let (own, names): (Vec<String>, _) =
            entries.into_iter().filter_map(folders).partition(|name| name.starts_with('_'));
        // Old registries know a repository by its layers, newer ones by its manifests.
        let is_repository = own.iter().any(|name| name == layout::MANIFESTS || name == layout::LAYERS);
        Ok((is_repository, names))
    }
}

/// Queues those of the folders `prefix` + name that are after `after` or can hold something that is.
fn enqueue(queue: &mut Queue, prefix: &str, names: Vec<String>, after: &str) {
    for name in names {
        let path = format!("{prefix}{name}");
        // What is below a folder begins with its path and a slash, so it is as a whole before or behind any name that
        // does not begin so.
        let below = format!("{path}/");
        if path.as_str() > after || below.as_str() > after || after.starts_with(&below) {
            queue.insert(path, Visit::Itself);
        }
    }
}

#[cfg(test)]
mod tests;
