//! A storage whose operations are timed, under the distribution registry's names for them.
//!
//! *Invariant:* it changes no answer. A stream is timed until it is open, not until it is read.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use shared::server::metrics::{DurationHistogram, Family, Metrics, fine_seconds};

use time::OffsetDateTime;

use super::error::StorageError;
use super::layout::Key;
use super::{Appender, Durability, Entry, Lock, ObjectReader, Storage, TreeClaim, TryLock};
use crate::oci::hasher::Hasher;

type Labels = [(&'static str, &'static str); 2];

/// What is timed; the first six are the distribution registry's.
struct Actions {
    get_content: DurationHistogram,
    put_content: DurationHistogram,
    reader: DurationHistogram,
    stat: DurationHistogram,
    list: DurationHistogram,
    rename: DurationHistogram,
    delete: DurationHistogram,
    writer: DurationHistogram,
    hash: DurationHistogram,
}

/// A storage and its stopwatches.
pub(crate) struct Measured {
    inner: Arc<dyn Storage>,
    actions: Actions,
}

impl Measured {
    /// Times the operations of `inner`, which is called `driver`.
    pub(crate) fn new(inner: Arc<dyn Storage>, driver: &'static str, metrics: &mut Metrics) -> Self {
        let family = Family::<Labels, DurationHistogram, fn() -> DurationHistogram>::new_with_constructor(
            fine_seconds,
        );
        metrics.register(
            "registry_storage_action_seconds",
            "The number of seconds that the storage action takes",
            family.clone(),
        );
        let action = |action| family.get_or_create_owned(&[("driver", driver), ("action", action)]);
        let actions = Actions {
            get_content: action("GetContent"),
            put_content: action("PutContent"),
            reader: action("Reader"),
            stat: action("Stat"),
            list: action("List"),
            rename: action("Move"),
            delete: action("Delete"),
            writer: action("Writer"),
            hash: action("Hash"),
        };
        Self { inner, actions }
    }
}

async fn timed<T>(histogram: &DurationHistogram, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let outcome = work.await;
    histogram.observe(began.elapsed().as_secs_f64());
    outcome
}

#[async_trait]
impl Storage for Measured {
    async fn check(&self) -> Result<(), StorageError> {
        self.inner.check().await
    }

    async fn read_all(&self, keys: Vec<Key>, limit_bytes: u64) -> Result<Vec<Option<Bytes>>, StorageError> {
        timed(&self.actions.get_content, self.inner.read_all(keys, limit_bytes)).await
    }

    async fn write_all(
        &self,
        objects: Vec<(Key, Bytes)>,
        durability: Durability,
    ) -> Result<(), StorageError> {
        timed(&self.actions.put_content, self.inner.write_all(objects, durability)).await
    }

    async fn sizes(&self, keys: Vec<Key>) -> Result<Vec<Option<u64>>, StorageError> {
        timed(&self.actions.stat, self.inner.sizes(keys)).await
    }

    async fn open(&self, key: &Key) -> Result<Option<Box<dyn ObjectReader>>, StorageError> {
        timed(&self.actions.reader, self.inner.open(key)).await
    }

    async fn hash(&self, key: &Key, range: Range<u64>, hasher: Hasher) -> Result<Hasher, StorageError> {
        timed(&self.actions.hash, self.inner.hash(key, range, hasher)).await
    }

    async fn append(&self, key: &Key, hasher: Hasher) -> Result<Box<dyn Appender>, StorageError> {
        timed(&self.actions.writer, self.inner.append(key, hasher)).await
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<bool, StorageError> {
        timed(&self.actions.rename, self.inner.rename(from, to)).await
    }

    async fn list(&self, folder: &Key) -> Result<Option<Vec<Entry>>, StorageError> {
        timed(&self.actions.list, self.inner.list(folder)).await
    }

    async fn remove(&self, key: &Key, durability: Durability) -> Result<bool, StorageError> {
        timed(&self.actions.delete, self.inner.remove(key, durability)).await
    }

    async fn newest(&self, folder: &Key) -> Result<Option<OffsetDateTime>, StorageError> {
        timed(&self.actions.list, self.inner.newest(folder)).await
    }

    async fn remove_tree(&self, folder: &Key, durability: Durability) -> Result<(), StorageError> {
        timed(&self.actions.delete, self.inner.remove_tree(folder, durability)).await
    }

    async fn sync_removals(&self, folder: &Key) -> Result<(), StorageError> {
        timed(&self.actions.delete, self.inner.sync_removals(folder)).await
    }

    async fn lock(&self, key: &Key) -> Result<Lock, StorageError> {
        self.inner.lock(key).await
    }

    async fn try_lock(&self, key: &Key) -> Result<TryLock, StorageError> {
        self.inner.try_lock(key).await
    }

    async fn claim_tree(&self, claim: TreeClaim) -> Result<Option<Lock>, StorageError> {
        self.inner.claim_tree(claim).await
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;
    use crate::storage::filesystem::{DEFAULT_MAX_THREADS, Filesystem};
    use crate::storage::{conformance, layout};

    fn measured() -> (Measured, Metrics, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let storage = Filesystem::open(folder.path(), DEFAULT_MAX_THREADS, &SystemRandom::new());
        let mut metrics = Metrics::new("registry", "0");
        let storage = Measured::new(Arc::new(storage.expect("randomness")), "filesystem", &mut metrics);
        (storage, metrics, folder)
    }

    fn empty_tree() -> (Arc<dyn Storage>, tempfile::TempDir) {
        let (storage, _, folder) = measured();
        (Arc::new(storage), folder)
    }

    conformance::suite!(empty_tree);

    #[tokio::test]
    async fn actions_are_counted_under_the_names_of_the_distribution_registry() {
        let (storage, metrics, _folder) = measured();
        storage.list(&layout::repositories()).await.expect("nothing is there");
        storage.list(&layout::repositories()).await.expect("nothing is there");
        let text = metrics.text();
        let count = |action: &str, number: u32| {
            let line = format!(
                "registry_storage_action_seconds_count{{driver=\"filesystem\",action=\"{action}\"}} {number}\n"
            );
            assert!(text.contains(&line), "{line} is missing in {text}");
        };
        count("List", 2);
        count("Move", 0);
    }
}
