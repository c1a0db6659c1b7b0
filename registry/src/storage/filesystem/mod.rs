//! The driver that keeps objects as files below one directory.
//!
//! *Invariant:* a file under its final name is complete: small objects are written under a temporary name, synced and
//! renamed, and the directory is synced after them, as are the parents of directories that had to be made.
//!
//! Reading order: `pool` bounds how many threads wait for the disk, `files` are the blocking steps, `reader` and
//! `appender` stream large objects, `locks` keeps tasks and processes apart.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};
use time::OffsetDateTime;

use self::appender::FileAppender;
use self::files::Files;
use self::pool::Pool;
use self::reader::FileReader;
use super::error::StorageError;
use super::layout::{self, Key};
use super::queues::Queues;
use super::{Appender, Durability, Entry, Lock, ObjectReader, Storage, TreeClaim, TryLock};
use crate::oci::hasher::Hasher;

mod pool;

mod files;

mod reader;

mod appender;

mod locks;

/// What metrics and health checks call this driver.
pub const NAME: &str = "filesystem";

/// How many blocking calls run at the same time unless the operator says otherwise.
pub const DEFAULT_MAX_THREADS: usize = 100;

/// Fewer are raised to this, so that a few slow disks' worth of calls cannot starve the rest.
pub const MIN_MAX_THREADS: usize = 25;

/// Bytes hashed in one go on one thread; a longer object gives way to others in between.
const HASH_TURN_BYTES: u64 = 16 * 1024 * 1024;

/// A directory tree.
#[derive(Clone)]
pub struct Filesystem {
    files: Arc<Files>,
    pool: Pool,
    queues: Arc<Queues>,
}

impl Filesystem {
    /// Uses the tree below `root`, which need not exist yet; it is made by the first write.
    ///
    /// `max_threads` bounds the blocking calls that run at the same time. Fails only without randomness.
    pub fn open(
        root: impl Into<PathBuf>,
        max_threads: usize,
        random: &SystemRandom,
    ) -> Result<Self, StorageError> {
        let mut instance = [0; 8];
        random.fill(&mut instance).map_err(|_| {
            let source = io::Error::other("the system has no randomness");
            StorageError::from_io("open", &layout::root(), source)
        })?;
        Ok(Self {
            files: Arc::new(Files::new(root.into(), u64::from_be_bytes(instance))),
            pool: Pool::new(max_threads.max(MIN_MAX_THREADS)),
            queues: Arc::default(),
        })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let files = Arc::clone(&self.files);
        self.pool.run(move || work(&files)).await
    }
}

#[async_trait]
impl Storage for Filesystem {
    async fn check(&self) -> Result<(), StorageError> {
        self.blocking(|files| {
            files.try_writing().map_err(|error| StorageError::from_io("write to", &layout::root(), error))
        })
        .await
    }

    async fn read_all(&self, keys: Vec<Key>, limit_bytes: u64) -> Result<Vec<Option<Bytes>>, StorageError> {
        self.blocking(move |files| keys.iter().map(|key| files.read(key, limit_bytes)).collect()).await
    }

    async fn write_all(
        &self,
        objects: Vec<(Key, Bytes)>,
        durability: Durability,
    ) -> Result<(), StorageError> {
        self.blocking(move |files| {
            objects.iter().try_for_each(|(key, content)| files.write(key, content, durability))
        })
        .await
    }

    async fn sizes(&self, keys: Vec<Key>) -> Result<Vec<Option<u64>>, StorageError> {
        self.blocking(move |files| keys.iter().map(|key| files.size(key)).collect()).await
    }

    async fn open(&self, key: &Key) -> Result<Option<Box<dyn ObjectReader>>, StorageError> {
        let wanted = key.clone();
        let opened = self.blocking(move |files| files.open(&wanted)).await?;
        Ok(opened.map(|(file, size)| -> Box<dyn ObjectReader> {
            Box::new(FileReader::new(self.pool.clone(), file, key.clone(), size))
        }))
    }

    async fn hash(&self, key: &Key, range: Range<u64>, hasher: Hasher) -> Result<Hasher, StorageError> {
        let opening = key.clone();
        let opened = self.blocking(move |files| files.open(&opening)).await?;
        let (file, _) = opened.ok_or_else(|| reader::shorter(key))?;
        let file: Arc<File> = Arc::new(file);
        let mut hasher = hasher;
        let mut position = range.start;
        while position < range.end {
            let end = range.end.min(position + HASH_TURN_BYTES);
            let (file, key) = (Arc::clone(&file), key.clone());
            hasher = self.pool.run(move || reader::hash(&file, &key, position..end, hasher)).await?;
            position = end;
        }
        Ok(hasher)
    }

    async fn append(&self, key: &Key, hasher: Hasher) -> Result<Box<dyn Appender>, StorageError> {
        let wanted = key.clone();
        let length = hasher.length();
        let file = self.blocking(move |files| files.open_for_append(&wanted, length)).await?;
        Ok(Box::new(FileAppender::new(self.pool.clone(), file, key.clone(), hasher)))
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<bool, StorageError> {
        let (from, to) = (from.clone(), to.clone());
        self.blocking(move |files| files.rename(&from, &to)).await
    }

    async fn list(&self, folder: &Key) -> Result<Option<Vec<Entry>>, StorageError> {
        let folder = folder.clone();
        self.blocking(move |files| files.list(&folder)).await
    }

    async fn newest(&self, folder: &Key) -> Result<Option<OffsetDateTime>, StorageError> {
        let folder = folder.clone();
        self.blocking(move |files| files.newest(&folder)).await
    }

    async fn remove(&self, key: &Key, durability: Durability) -> Result<bool, StorageError> {
        let key = key.clone();
        self.blocking(move |files| files.remove(&key, durability)).await
    }

    async fn remove_tree(&self, folder: &Key, durability: Durability) -> Result<(), StorageError> {
        let folder = folder.clone();
        self.blocking(move |files| files.remove_tree(&folder, durability)).await
    }

    async fn sync_removals(&self, folder: &Key) -> Result<(), StorageError> {
        let folder = folder.clone();
        self.blocking(move |files| files.sync_removals(&folder)).await
    }

    async fn lock(&self, key: &Key) -> Result<Lock, StorageError> {
        let here = self.queues.wait(key).await;
        let elsewhere = loop {
            let wanted = key.clone();
            if let Some(file) =
                self.blocking(move |files| locks::claim(files, &wanted, TreeClaim::Alone)).await?
            {
                break file;
            }
            // Only another process can hold it now. Waiting on a thread would let waiters use up the pool that the
            // holder needs to get done.
            tokio::time::sleep(locks::RETRY).await;
        };
        Ok(Lock::new((elsewhere, here)))
    }

    async fn try_lock(&self, key: &Key) -> Result<TryLock, StorageError> {
        let key = key.clone();
        self.blocking(move |files| locks::try_claim(files, &key)).await
    }

    async fn claim_tree(&self, claim: TreeClaim) -> Result<Option<Lock>, StorageError> {
        self.blocking(move |files| Ok(locks::claim(files, &layout::serving_lock(), claim)?.map(Lock::new)))
            .await
    }
}

#[cfg(test)]
mod tests;
