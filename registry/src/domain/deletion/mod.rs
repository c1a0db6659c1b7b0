//! Deleting a whole repository, and remembering when.
//!
//! What lies below the name goes, what lies below longer names stays. First the time of the deletion is recorded,
//! durably; from then on whatever was begun before is refused: tokens, upload sessions, manifests on their way in.
//! Then the tags go, the manifests, the blobs' links, the sessions, and last the folder that makes it a repository. It
//! can die behind any step and be repeated.
//!
//! *Invariant:* while something is removed, all locks of the repository are held, so no manifest is written into a
//! repository whose blobs are going, and no link that would bring it back. Recorded times only grow.

use std::sync::Arc;

use moka::sync::Cache;
use shared::repository_name::RepositoryName;
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;

use super::error::RegistryError;
use super::{Repositories, to_the_end};
use crate::storage::error::StorageError;
use crate::storage::{Durability, layout};

/// For so long a look at the record is good; on other replicas a deletion takes effect that much later.
const REMEMBERED: Duration = Duration::seconds(1);

/// Repositories whose record is remembered.
const MOST_REMEMBERED: u64 = 10_000;

/// A number of seconds in decimal.
const RECORD_LIMIT_BYTES: u64 = 32;

/// What this process knows of deletions.
#[derive(Clone)]
pub(super) struct Deletions {
    looked: Cache<RepositoryName, Looked>,
    /// Each holds many locks, so they take turns.
    turn: Arc<Mutex<()>>,
}

#[derive(Clone, Copy)]
struct Looked {
    at: OffsetDateTime,
    deleted: Option<i64>,
}

impl Default for Deletions {
    fn default() -> Self {
        Self { looked: Cache::new(MOST_REMEMBERED), turn: Arc::default() }
    }
}

impl Deletions {
    /// Remembers what a look found that was begun at a time; what was found later stands, so that no look hides a
    /// deletion that came while it was going on. Returns what is known now.
    fn remember(&self, repository: &RepositoryName, found: Looked) -> Option<i64> {
        let entry = self.looked.entry_by_ref(repository).and_upsert_with(|known| match known {
            Some(known) if known.value().at >= found.at => {
                let known = known.into_value();
                Looked { at: known.at, deleted: known.deleted.max(found.deleted) }
            }
            _ => found,
        });
        entry.into_value().deleted
    }
}

impl Repositories {
    /// When the repository was last deleted as a whole, in seconds since 1970; as it was at most a second ago.
    pub async fn deleted_at(&self, repository: &RepositoryName) -> Result<Option<i64>, RegistryError> {
        let now = self.clock.now();
        if let Some(looked) = self.deletions.looked.get(repository)
            && (Duration::ZERO..REMEMBERED).contains(&(now - looked.at))
        {
            return Ok(looked.deleted);
        }
        let deleted = self.recorded_deletion(repository).await?;
        Ok(self.deletions.remember(repository, Looked { at: now, deleted }))
    }

    /// Deletes a repository, not those below it, and returns the recorded time in seconds since 1970. That is now, but
    /// not before `permitted`, the time of the permission to do it: with it, every older permission ends.
    pub async fn delete_repository(
        &self,
        repository: &RepositoryName,
        permitted: Option<i64>,
    ) -> Result<i64, RegistryError> {
        let unknown = || RegistryError::RepositoryUnknown { repository: repository.clone() };
        // Asked before locking, so that a stranger's names do not leave lock files.
        if !self.is_repository(repository).await? {
            return Err(unknown());
        }
        let (registry, doomed) = (self.clone(), repository.clone());
        let deleted = to_the_end(async move {
            let _turn = registry.deletions.turn.lock().await;
            let mut held = Vec::new();
            for key in layout::all_locks(&doomed) {
                held.push((registry.storage.lock(&key).await?, key));
            }
            let deleted = registry.remove_repository(&doomed, permitted).await?;
            for (_lock, key) in held {
                // By name and while it is held: removed with its folder, it could already be one that another process
                // has made anew and holds.
                registry.storage.remove(&key, Durability::Relaxed).await?;
            }
            Ok(deleted)
        });
        deleted.await?.ok_or_else(unknown)
    }

    /// When the repository was last deleted as a whole, as it stands in the tree.
    pub(super) async fn recorded_deletion(
        &self,
        repository: &RepositoryName,
    ) -> Result<Option<i64>, StorageError> {
        let key = layout::deletion(repository);
        let Some(content) = self.storage.read(&key, RECORD_LIMIT_BYTES).await? else { return Ok(None) };
        let seconds = std::str::from_utf8(&content).ok().and_then(|text| text.parse().ok());
        let reason = "it must hold a number of seconds; without it, tokens from before a deletion work again";
        seconds.map(Some).ok_or(StorageError::Corrupt { key, reason })
    }

    /// Refuses what was begun before a deletion; `before` is what was recorded when it began.
    pub(super) async fn undeleted_since(
        &self,
        repository: &RepositoryName,
        before: Option<i64>,
    ) -> Result<(), RegistryError> {
        if self.recorded_deletion(repository).await? == before {
            return Ok(());
        }
        Err(RegistryError::RepositoryDeleted { repository: repository.clone() })
    }

    /// Removes a repository whose locks are held; `None` if others have done it meanwhile.
    async fn remove_repository(
        &self,
        repository: &RepositoryName,
        permitted: Option<i64>,
    ) -> Result<Option<i64>, RegistryError> {
        if !self.is_repository(repository).await? {
            return Ok(None);
        }
        let now = self.clock.now();
        let last = self.recorded_deletion(repository).await?;
        let after_last = last.map_or(i64::MIN, |last| last.saturating_add(1));
        let deleted = now.unix_timestamp().max(permitted.unwrap_or(i64::MIN)).max(after_last);
        let record = vec![(layout::deletion(repository), deleted.to_string().into())];
        self.storage.write_all(record, Durability::Synced).await?;
        self.deletions.remember(repository, Looked { at: self.clock.now(), deleted: Some(deleted) });
        for folder in [
            layout::tags(repository),
            layout::revision_algorithms(repository),
            layout::all_layers(repository),
            layout::uploads(repository),
            layout::manifests(repository),
        ] {
            self.storage.remove_tree(&folder, Durability::Synced).await?;
        }
        Ok(Some(deleted))
    }
}

#[cfg(test)]
mod tests;
