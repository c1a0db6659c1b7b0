//! Finding every repository of a tree, in the order in which the distribution registry walks it.
//!
//! *Invariant:* every folder that has a repository's own folders in it is found, also one whose name no client can ask
//! for, since somebody may have renamed it and still want what is inside.

use shared::repository_name::RepositoryName;

use crate::domain::Repositories;
use crate::storage::error::StorageError;
use crate::storage::layout;

/// A folder with a repository's own folders in it.
#[derive(Debug)]
pub(super) enum Found {
    Repository(RepositoryName),
    /// The path is not the name of a repository.
    Unnamed(String),
}

/// A walk that goes on as it is asked.
pub(super) struct Walk<'a> {
    repositories: &'a Repositories,
    /// Paths still to be looked into, the next one last.
    ahead: Vec<String>,
}

impl<'a> Walk<'a> {
    pub(super) async fn begin(repositories: &'a Repositories) -> Result<Self, StorageError> {
        let (_, mut ahead) = repositories.look_into(&layout::repositories()).await?;
        ahead.reverse();
        Ok(Self { repositories, ahead })
    }

    pub(super) async fn next(&mut self) -> Result<Option<Found>, StorageError> {
        while let Some(path) = self.ahead.pop() {
            let (is_repository, names) =
                self.repositories.look_into(&layout::repository_folder(&path)).await?;
            self.ahead.extend(names.into_iter().rev().map(|name| format!("{path}/{name}")));
            if is_repository {
                return Ok(Some(match RepositoryName::parse(&path) {
                    Ok(name) => Found::Repository(name),
                    Err(_) => Found::Unnamed(path),
                }));
            }
        }
        Ok(None)
    }
}
