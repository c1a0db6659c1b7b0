//! The operations of a registry on its repositories; knows storage, not HTTP, and asks nobody for permission: whoever
//! calls has it, and says how it is limited.
//!
//! *Invariant:* content is verified before it can be seen, and what an operation has answered `Ok` for survives loss
//! of power; every operation can die between any two of its writes and be repeated.
//!
//! Reading order: [`blobs`]; an upload session is named by [`upload_id`], kept by [`upload_session`], fed by
//! `upload_writer` and hashed with the help of `hash_states`, [`uploads`] are the operations on it, [`upload_purging`]
//! ends those nobody finishes; [`manifests`], [`referrers`], [`tags`] and [`catalog`] build on `links`, which reads and
//! writes the small files that say what belongs where; [`limits`] are what a caller may not do with them; [`deletion`]
//! ends a repository as a whole; [`collection`] removes what nothing needs any more; [`error`] is how all refuse.

use std::future::Future;
use std::sync::Arc;

use ring::rand::SystemRandom;
use shared::clock::Clock;

use self::deletion::Deletions;
use self::error::RegistryError;
use self::manifests::rules::ManifestRules;
use crate::storage::Storage;
use crate::storage::error::StorageError;

pub mod blobs;

pub mod upload_id;

pub mod upload_session;

mod upload_writer;

mod hash_states;

pub mod uploads;

pub mod upload_purging;

mod links;

pub mod manifests;

pub mod referrers;

pub mod tags;

pub mod catalog;

pub mod limits;

pub mod deletion;

pub mod collection;

pub mod error;

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
pub(crate) mod watched;

/// All repositories of a registry. Clones share one state.
#[derive(Clone)]
pub struct Repositories {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
    rules: Arc<ManifestRules>,
    deletions: Deletions,
}

impl Repositories {
    /// Works on what `storage` keeps; `clock` dates upload sessions and `random` names them.
    pub fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, random: SystemRandom) -> Self {
        Self { storage, clock, random, rules: Arc::default(), deletions: Deletions::default() }
    }

    /// The same, asking this of manifests that are pushed.
    #[must_use]
    pub fn with_rules(self, rules: ManifestRules) -> Self {
        Self { rules: Arc::new(rules), ..self }
    }

    /// What keeps the bytes, for readiness checks.
    pub fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }
}

/// Begins work that holds a lock, and does it to its end even if the client leaves in the middle.
///
/// A dropped request would give up its lock at once, but a blocking call it had begun goes on; another request could
/// then come between the two.
fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, RegistryError>> + Send + 'static,
) -> impl Future<Output = Result<T, RegistryError>> {
    let task = tokio::spawn(work);
    async move {
        match task.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StorageError::Stopped.into()),
            },
        }
    }
}
