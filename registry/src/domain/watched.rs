//! A storage that remembers what it was asked for, so that tests can count work instead of time.
//!
//! *Invariant:* it changes no answer.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use ring::rand::SystemRandom;
use shared::clock::ManualClock;

use super::Repositories;
use super::testing::Tree;
use crate::oci::hasher::Hasher;
use crate::storage::error::StorageError;
use crate::storage::filesystem::{DEFAULT_MAX_THREADS, Filesystem};
use crate::storage::layout::{self, Key};
use crate::storage::{Appender, Durability, Entry, Lock, ObjectReader, Storage, TreeClaim, TryLock};

/// What was done, in order: `list`, `lock` or, for whatever waits for the disk, `sync`, each with its key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acts(Arc<Mutex<Vec<(&'static str, String)>>>);

/// Acts that were taken out.
#[derive(Debug)]
pub(crate) struct Taken(Vec<(&'static str, String)>);

impl Acts {
    fn note(&self, act: &'static str, key: &Key) {
        self.0.lock().expect("no panic").push((act, key.to_string()));
    }

    /// All since the last time.
    pub(crate) fn take(&self) -> Taken {
        Taken(std::mem::take(&mut *self.0.lock().expect("no panic")))
    }
}

impl Taken {
    /// The keys of one kind of act.
    pub(crate) fn of(&self, act: &str) -> Vec<&str> {
        self.0.iter().filter(|(kind, _)| *kind == act).map(|(_, key)| key.as_str()).collect()
    }
}

/// A second registry on a tree, and what it does there.
pub(crate) fn watched(tree: &Tree) -> (Repositories, Acts) {
    let random = SystemRandom::new();
    let root = tree.path(&layout::root()).ancestors().nth(3).expect("three components").to_owned();
    let storage = Filesystem::open(root, DEFAULT_MAX_THREADS, &random).expect("randomness");
    let acts = Acts::default();
    let storage = Watched { storage, acts: acts.clone() };
    (Repositories::new(Arc::new(storage), Arc::new(ManualClock::default()), random), acts)
}

struct Watched {
    storage: Filesystem,
    acts: Acts,
}

impl Watched {
    fn note_sync(&self, key: &Key, durability: Durability) {
        if durability == Durability::Synced {
            self.acts.note("sync", key);
        }
    }
}

#[async_trait]
impl Storage for Watched {
    async fn check(&self) -> Result<(), StorageError> {
        self.storage.check().await
    }
    async fn read_all(&self, keys: Vec<Key>, limit: u64) -> Result<Vec<Option<Bytes>>, StorageError> {
        self.storage.read_all(keys, limit).await
    }
    async fn write_all(
        &self,
        objects: Vec<(Key, Bytes)>,
        durability: Durability,
    ) -> Result<(), StorageError> {
        for (key, _) in &objects {
            self.note_sync(key, durability);
        }
        self.storage.write_all(objects, durability).await
    }
    async fn sizes(&self, keys: Vec<Key>) -> Result<Vec<Option<u64>>, StorageError> {
        self.storage.sizes(keys).await
    }
    async fn open(&self, key: &Key) -> Result<Option<Box<dyn ObjectReader>>, StorageError> {
        self.storage.open(key).await
    }
    async fn hash(&self, key: &Key, range: Range<u64>, hasher: Hasher) -> Result<Hasher, StorageError> {
        self.storage.hash(key, range, hasher).await
    }
    async fn append(&self, key: &Key, hasher: Hasher) -> Result<Box<dyn Appender>, StorageError> {
        self.storage.append(key, hasher).await
    }
    async fn rename(&self, from: &Key, to: &Key) -> Result<bool, StorageError> {
        self.acts.note("sync", to);
        self.storage.rename(from, to).await
    }
    async fn list(&self, folder: &Key) -> Result<Option<Vec<Entry>>, StorageError> {
        self.acts.note("list", folder);
        self.storage.list(folder).await
    }
    async fn newest(&self, folder: &Key) -> Result<Option<time::OffsetDateTime>, StorageError> {
        self.storage.newest(folder).await
    }

    async fn remove(&self, key: &Key, durability: Durability) -> Result<bool, StorageError> {
        self.note_sync(key, durability);
        self.storage.remove(key, durability).await
    }
    async fn remove_tree(&self, folder: &Key, durability: Durability) -> Result<(), StorageError> {
        self.note_sync(folder, durability);
        self.storage.remove_tree(folder, durability).await
    }
    async fn sync_removals(&self, folder: &Key) -> Result<(), StorageError> {
        self.acts.note("sync", folder);
        self.storage.sync_removals(folder).await
    }
    async fn lock(&self, key: &Key) -> Result<Lock, StorageError> {
        self.acts.note("lock", key);
        self.storage.lock(key).await
    }
    async fn try_lock(&self, key: &Key) -> Result<TryLock, StorageError> {
        self.storage.try_lock(key).await
    }
    async fn claim_tree(&self, claim: TreeClaim) -> Result<Option<Lock>, StorageError> {
        self.storage.claim_tree(claim).await
    }
}
