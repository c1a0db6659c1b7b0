//! Saved SHA-256 states of an upload session, so that a resumed upload need not be hashed from its beginning.
//!
//! *Invariant:* a state is saved only after the bytes it covers are durable, and is used only if the data still holds
//! at least those bytes; any state may be missing or damaged, at the price of reading the data again.

use bytes::Bytes;

use super::Repositories;
use crate::oci::digest::Algorithm;
use crate::oci::hasher::{Hasher, STATE_BYTES};
use crate::storage::error::StorageError;
use crate::storage::layout::{Key, SessionKeys};
use crate::storage::{Durability, EntryKind};

impl Repositories {
    /// A hasher that has seen the first `length` bytes of the session's data, which is all it has.
    ///
    /// The session must be locked: states beyond the end are removed, lest they are taken for true once other bytes
    /// have been appended.
    pub(super) async fn resume_hasher(
        &self,
        keys: &SessionKeys,
        length: u64,
    ) -> Result<Hasher, StorageError> {
        let entries = self.storage.list(&keys.hash_states).await?.unwrap_or_default();
        let mut offsets: Vec<u64> = entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::Object)
            .filter_map(|entry| entry.name.parse().ok())
            .collect();
        offsets.sort_unstable();
        while offsets.last().is_some_and(|last| *last > length) {
            if let Some(beyond) = offsets.pop() {
                self.storage.remove(&keys.hash_state(beyond), Durability::Synced).await?;
            }
        }
        let mut hasher = Hasher::new(Algorithm::Sha256);
        for offset in offsets.into_iter().rev() {
            let state = self.storage.read(&keys.hash_state(offset), STATE_BYTES as u64).await;
            let state = match state {
                Ok(state) => state,
                Err(StorageError::TooLarge { .. }) => None,
                Err(error) => return Err(error),
            };
            let restored = state.and_then(|state| Hasher::restore_state(&state));
            if let Some(restored) = restored.filter(|restored| restored.length() == offset) {
                hasher = restored;
                break;
            }
        }
        if hasher.length() == length {
            return Ok(hasher);
        }
        let range = hasher.length()..length;
        self.storage.hash(&keys.data, range, hasher).await
    }
}

/// What to write to save the state of `hasher`.
pub(super) fn saved(keys: &SessionKeys, hasher: &Hasher) -> Option<(Key, Bytes)> {
    let state = hasher.save_state()?;
    Some((keys.hash_state(hasher.length()), Bytes::copy_from_slice(&state)))
}

impl Repositories {
    /// Saves the state of `hasher`, whose bytes must be durable.
    pub(super) async fn save_hasher(&self, keys: &SessionKeys, hasher: &Hasher) -> Result<(), StorageError> {
        // Not synced: an empty or missing state after a loss of power only costs time.
        self.storage.write_all(saved(keys, hasher).into_iter().collect(), Durability::Relaxed).await
    }
}
