//! Appending to a file and hashing what is appended, in one turn on a blocking thread.
//!
//! *Invariant:* the hasher has seen exactly the bytes of the file, in their order; after an error the appender is
//! used up, since nobody knows how much of the last piece was written.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::pool::Pool;
use crate::oci::hasher::Hasher;
use crate::storage::Appender;
use crate::storage::error::StorageError;
use crate::storage::layout::Key;

/// A file open at its end.
pub(super) struct FileAppender {
    pool: Pool,
    file: Arc<File>,
    key: Key,
    /// Away while a piece is being written, and for good after an error.
    hasher: Option<Hasher>,
}

impl FileAppender {
    pub(super) fn new(pool: Pool, file: File, key: Key, hasher: Hasher) -> Self {
        Self { pool, file: Arc::new(file), key, hasher: Some(hasher) }
    }

    fn take_hasher(&mut self) -> Result<Hasher, StorageError> {
        self.hasher.take().ok_or_else(|| StorageError::Corrupt {
            key: self.key.clone(),
            reason: "a write was broken off, so its end is not known",
        })
    }
}

#[async_trait]
impl Appender for FileAppender {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        let mut hasher = self.take_hasher()?;
        let (file, key) = (Arc::clone(&self.file), self.key.clone());
        let hasher = self
            .pool
            .run(move || {
                file.write_all_at(&bytes, hasher.length())
                    .map_err(|error| StorageError::from_io("append to", &key, error))?;
                hasher.update(&bytes);
                Ok(hasher)
            })
            .await?;
        self.hasher = Some(hasher);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Hasher, StorageError> {
        let hasher = self.take_hasher()?;
        let (file, key) = (Arc::clone(&self.file), self.key.clone());
        self.pool
            .run(move || file.sync_all().map_err(|error| StorageError::from_io("sync", &key, error)))
            .await?;
        Ok(hasher)
    }
}
