//! Saved hash states of an upload session, so that a resumed upload need not be hashed from its beginning.
//!
//! *Invariant:* a state is saved only after the bytes it covers are durable, and is used only if the data still holds
//! at least those bytes; any state may be missing or damaged, at the price of reading the data again.

use bytes::Bytes;

use super::Repositories;
use crate::oci::digest::Algorithm;
use crate::oci::hasher::{Hasher, MAX_STATE_BYTES};
use crate::storage::error::StorageError;
use crate::storage::layout::{Key, SessionKeys};
use crate::storage::{Durability, EntryKind};

/// The functions a session is hashed by: the canonical one, and the one that was announced if it is another.
pub(super) fn functions(announced: Algorithm) -> &'static [Algorithm] {
    match announced {
        Algorithm::Sha256 => &[Algorithm::Sha256],
        Algorithm::Sha512 => &[Algorithm::Sha256, Algorithm::Sha512],
    }
}

/// Computes all of `functions` and has seen nothing yet.
pub(super) fn fresh(functions: &[Algorithm]) -> Hasher {
    join(functions.iter().map(|function| Some(Hasher::new(*function))))
        .expect("fresh hashers have seen equally much, and there is the canonical one")
}

/// One hasher out of many, if all are there and have seen equally much.
fn join(hashers: impl Iterator<Item = Option<Hasher>>) -> Option<Hasher> {
    let mut joined: Option<Hasher> = None;
    for hasher in hashers {
        let hasher = hasher?;
        joined = Some(match joined {
            Some(others) => others.joined(hasher)?,
            None => hasher,
        });
    }
    joined
}

/// What to write to save the states of `hasher`.
pub(super) fn saved(keys: &SessionKeys, hasher: &Hasher) -> Vec<(Key, Bytes)> {
    let state = |algorithm| {
        let state = hasher.save_state(algorithm)?;
        Some((keys.hash_state(algorithm, hasher.length()), state.into()))
    };
    Algorithm::ALL.into_iter().filter_map(state).collect()
}

impl Repositories {
    /// Hashers of `functions` that have seen the first `length` bytes of the session's data, which is all it has.
    ///
    /// The session must be locked: states beyond the end are removed, lest they are taken for true once other bytes
    /// have been appended.
    pub(super) async fn resume_hasher(
        &self,
        keys: &SessionKeys,
        length: u64,
        functions: &[Algorithm],
    ) -> Result<Hasher, StorageError> {
        let mut offsets = Vec::new();
        for function in functions {
            offsets = self.offsets_within(keys, *function, length).await?;
        }
        let mut hasher = fresh(functions);
        for offset in offsets.into_iter().rev() {
            if let Some(restored) = self.restored(keys, offset, functions).await? {
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

    /// Saves the states of `hasher`, whose bytes must be durable.
    pub(super) async fn save_hasher(&self, keys: &SessionKeys, hasher: &Hasher) -> Result<(), StorageError> {
        // Not synced: an empty or missing state after a loss of power only costs time.
        self.storage.write_all(saved(keys, hasher), Durability::Relaxed).await
    }

    /// Where states of one function were saved, in ascending order; those beyond `length` are removed.
    async fn offsets_within(
        &self,
        keys: &SessionKeys,
        function: Algorithm,
        length: u64,
    ) -> Result<Vec<u64>, StorageError> {
        let entries = self.storage.list(&keys.hash_states(function)).await?.unwrap_or_default();
        let mut offsets: Vec<u64> = entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::Object)
            .filter_map(|entry| entry.name.parse().ok())
            .collect();
        offsets.sort_unstable();
        while let Some(beyond) = offsets.pop_if(|last| *last > length) {
            self.storage.remove(&keys.hash_state(function, beyond), Durability::Synced).await?;
        }
        Ok(offsets)
    }

    /// The states of all functions after `offset` bytes; `None` if one is missing or damaged.
    async fn restored(
        &self,
        keys: &SessionKeys,
        offset: u64,
        functions: &[Algorithm],
    ) -> Result<Option<Hasher>, StorageError> {
        let states = functions.iter().map(|function| keys.hash_state(*function, offset)).collect();
        let states = match self.storage.read_all(states, MAX_STATE_BYTES as u64).await {
            Ok(states) => states,
            Err(StorageError::TooLarge { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let restored = join(functions.iter().zip(states).map(|(function, state)| {
            Hasher::restore_state(*function, &state?).filter(|hasher| hasher.length() == offset)
        }));
        Ok(restored)
    }
}
