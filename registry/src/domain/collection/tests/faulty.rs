//! A driver that dies after so many writes, and what a sweep that dies with it leaves.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use ring::rand::SystemRandom;
use shared::clock::ManualClock;

use super::*;
use crate::domain::Repositories;
use crate::oci::hasher::Hasher;
use crate::storage::error::StorageError;
use crate::storage::{Appender, Durability, Entry, Lock, ObjectReader, TryLock};

/// Passes everything on until the writes it is allowed are used up.
struct Mortal {
    storage: Repositories,
    left: AtomicU64,
}

impl Mortal {
    fn spend(&self) -> Result<(), StorageError> {
        let spent = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        spent.map(drop).map_err(|_| StorageError::Stopped)
    }

    fn inner(&self) -> &dyn Storage {
        self.storage.storage()
    }
}

#[async_trait]
impl Storage for Mortal {
    async fn check(&self) -> Result<(), StorageError> {
        self.inner().check().await
    }

    async fn read_all(&self, keys: Vec<Key>, limit_bytes: u64) -> Result<Vec<Option<Bytes>>, StorageError> {
        self.inner().read_all(keys, limit_bytes).await
    }

    async fn write_all(
        &self,
        objects: Vec<(Key, Bytes)>,
        durability: Durability,
    ) -> Result<(), StorageError> {
        self.spend()?;
        self.inner().write_all(objects, durability).await
    }

    async fn sizes(&self, keys: Vec<Key>) -> Result<Vec<Option<u64>>, StorageError> {
        self.inner().sizes(keys).await
    }

    async fn open(&self, key: &Key) -> Result<Option<Box<dyn ObjectReader>>, StorageError> {
        self.inner().open(key).await
    }

    async fn hash(&self, key: &Key, range: Range<u64>, hasher: Hasher) -> Result<Hasher, StorageError> {
        self.inner().hash(key, range, hasher).await
    }

    async fn append(&self, key: &Key, hasher: Hasher) -> Result<Box<dyn Appender>, StorageError> {
        self.spend()?;
        self.inner().append(key, hasher).await
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<bool, StorageError> {
        self.spend()?;
        self.inner().rename(from, to).await
    }

    async fn list(&self, folder: &Key) -> Result<Option<Vec<Entry>>, StorageError> {
        self.inner().list(folder).await
    }

    async fn newest(&self, folder: &Key) -> Result<Option<time::OffsetDateTime>, StorageError> {
        self.inner().newest(folder).await
    }

    async fn remove(&self, key: &Key, durability: Durability) -> Result<bool, StorageError> {
        self.spend()?;
        self.inner().remove(key, durability).await
    }

    async fn remove_tree(&self, folder: &Key, durability: Durability) -> Result<(), StorageError> {
        self.spend()?;
        self.inner().remove_tree(folder, durability).await
    }

    async fn sync_removals(&self, folder: &Key) -> Result<(), StorageError> {
        self.spend()?;
        self.inner().sync_removals(folder).await
    }

    async fn lock(&self, key: &Key) -> Result<Lock, StorageError> {
        self.inner().lock(key).await
    }

    async fn try_lock(&self, key: &Key) -> Result<TryLock, StorageError> {
        self.inner().try_lock(key).await
    }

    async fn claim_tree(&self, claim: TreeClaim) -> Result<Option<Lock>, StorageError> {
        self.inner().claim_tree(claim).await
    }
}

/// Collects until the driver dies; whether it did not.
async fn collect_with(tree: &Tree, writes: u64, options: CollectionOptions) -> bool {
    let mortal = Mortal { storage: tree.reopened(), left: AtomicU64::new(writes) };
    let repositories =
        Repositories::new(Arc::new(mortal), Arc::new(ManualClock::default()), SystemRandom::new());
    let outcome = repositories.collect_garbage(options, &mut Lines::default()).await;
    match outcome {
        Ok(()) => true,
        Err(CollectionError::Storage(StorageError::Stopped)) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_sweep_that_dies_leaves_whole_manifests_and_the_next_one_finishes() {
    let mut writes = 0;
    loop {
        let tree = Tree::new();
        let a = name("a");
        let mut manifests = Vec::new();
        let child = tree.push_image(&a, None, "child").await;
        let other = tree.push_image(&a, None, "other").await;
        let inner = tree.push_index(&a, None, index(&[&child, &other])).await;
        manifests.push(tree.push_index(&a, Some(&tag("1")), index(&[&inner, &child])).await);
        manifests.extend([child, other, inner]);
        manifests.push(tree.push_image(&a, Some(&tag("1")), "kept").await);
        tree.push_image(&name("b"), Some(&tag("1")), "child").await;
        tree.push_blob(&name("b"), b"stray").await;
        let done = collect_with(&tree, writes, TAGGED).await;
        for digest in &manifests {
            let linked = tree.storage_exists(&layout::revision_link(&a, digest));
            assert!(!linked || is_whole(&tree, &a, digest).await, "{digest} after {writes} writes");
        }
        // Whoever comes next, with or without the flag, finds nothing damaged.
        let next = if writes % 2 == 0 { ALL } else { TAGGED };
        let lines = collect(&tree, CollectionOptions { dry_run: true, ..next }).await;
        assert!(lines.kept().is_empty(), "{:?} after {writes} writes", lines.kept());
        collect(&tree, TAGGED).await;
        let lines = collect(&tree, TAGGED).await;
        assert!(
            lines.0.contains(&"\n6 blobs marked, 0 blobs and 0 manifests eligible for deletion".to_owned())
        );
        assert!(is_whole(&tree, &a, &manifests[4]).await);
        assert!(is_whole(&tree, &name("b"), &manifests[1]).await);
        if done {
            break;
        }
        writes += 1;
    }
    assert!(writes > 20, "it died {writes} times");
}
