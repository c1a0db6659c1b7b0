//! The driver that keeps objects in memory: for trying things out, and for tests of other programs.
//!
//! It behaves like a tree of files: an object that is replaced or removed stays what it was for whoever has opened it,
//! and appending to one that was removed meanwhile succeeds and changes nothing that can be found. A folder is there
//! as long as something lies in it. Nothing bounds what is kept but the memory of the machine, and nothing outlives the
//! process, so [`Durability`] makes no difference.
//!
//! *Invariant:* the lock of the tree is held for looking up, inserting and removing names, never while bytes are
//! copied or hashed.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use shared::clock::Clock;
use time::OffsetDateTime;

use self::content::Content;
use super::error::StorageError;
use super::layout::Key;
use super::queues::Queues;
use super::{
    Appender, ByteStream, Durability, Entry, EntryKind, Lock, ObjectReader, Storage, TreeClaim, TryLock,
};
use crate::oci::hasher::Hasher;

mod content;

/// What settings, metrics and health checks call this driver.
pub const NAME: &str = "inmemory";

/// A tree of objects in memory.
pub struct Memory {
    objects: RwLock<BTreeMap<String, Arc<Object>>>,
    queues: Queues,
    claims: Arc<tokio::sync::RwLock<()>>,
    clock: Arc<dyn Clock>,
}

/// What stands under a key; it can be renamed and outlive its name, like a file.
struct Object {
    state: Mutex<State>,
}

struct State {
    /// Shared with readers, who keep what they have opened.
    content: Arc<Content>,
    written: OffsetDateTime,
}

impl Object {
    fn new(content: Content, written: OffsetDateTime) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { content: Arc::new(content), written }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn content(&self) -> Arc<Content> {
        Arc::clone(&self.state().content)
    }
}

type Objects = BTreeMap<String, Arc<Object>>;

impl Memory {
    /// An empty tree; `clock` tells when something was written.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { objects: RwLock::default(), queues: Queues::default(), claims: Arc::default(), clock }
    }

    fn objects(&self) -> RwLockReadGuard<'_, Objects> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn objects_mut(&self) -> RwLockWriteGuard<'_, Objects> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &Key) -> Option<Arc<Object>> {
        self.objects().get(key.as_str()).cloned()
    }
}

/// All names below a folder: those between `folder/` and what follows `/`.
fn below(folder: &Key) -> (Bound<String>, Bound<String>) {
    (Bound::Excluded(format!("{folder}/")), Bound::Excluded(format!("{folder}{AFTER_SLASH}")))
}

/// The byte behind `/`.
const AFTER_SLASH: char = '0';

fn corrupt(key: &Key, reason: &'static str) -> StorageError {
    StorageError::Corrupt { key: key.clone(), reason }
}

#[async_trait]
impl Storage for Memory {
    async fn check(&self) -> Result<(), StorageError> {
        Ok(())
    }

    async fn read_all(&self, keys: Vec<Key>, limit_bytes: u64) -> Result<Vec<Option<Bytes>>, StorageError> {
        let read = |key: &Key| {
            let Some(content) = self.find(key).map(|object| object.content()) else { return Ok(None) };
            if content.length() > limit_bytes {
                return Err(StorageError::TooLarge { key: key.clone(), limit_bytes });
            }
            Ok(Some(content.whole()))
        };
        keys.iter().map(read).collect()
    }

    async fn write_all(
        &self,
        objects: Vec<(Key, Bytes)>,
        _durability: Durability,
    ) -> Result<(), StorageError> {
        for (key, bytes) in objects {
            let object = Object::new(Content::of(&bytes), self.clock.now());
            self.objects_mut().insert(key.as_str().to_owned(), object);
        }
        Ok(())
    }

    async fn sizes(&self, keys: Vec<Key>) -> Result<Vec<Option<u64>>, StorageError> {
        Ok(keys.iter().map(|key| self.find(key).map(|object| object.content().length())).collect())
    }

    async fn open(&self, key: &Key) -> Result<Option<Box<dyn ObjectReader>>, StorageError> {
        let object = self.find(key);
        Ok(object.map(|object| -> Box<dyn ObjectReader> { Box::new(MemoryReader(object.content())) }))
    }

    async fn hash(&self, key: &Key, range: Range<u64>, hasher: Hasher) -> Result<Hasher, StorageError> {
        let content = self.find(key).map(|object| object.content()).unwrap_or_default();
        let (mut hasher, mut rest) = (hasher, range);
        while let Some(piece) = content.first_piece(&rest) {
            hasher.update(&piece);
            rest.start += piece.len() as u64;
            // A large object must not keep this thread from its other requests.
            tokio::task::yield_now().await;
        }
        if rest.is_empty() { Ok(hasher) } else { Err(corrupt(key, "it is shorter than it was a moment ago")) }
    }

    async fn append(&self, key: &Key, hasher: Hasher) -> Result<Box<dyn Appender>, StorageError> {
        let empty = || Object::new(Content::default(), self.clock.now());
        let object = match hasher.length() {
            0 => Some(self.objects_mut().entry(key.as_str().to_owned()).or_insert_with(empty).clone()),
            _ => self.find(key),
        };
        let object = object.filter(|object| object.content().length() == hasher.length());
        let object = object.ok_or_else(|| corrupt(key, "it changed its length while it was locked"))?;
        Ok(Box::new(MemoryAppender { object, hasher, clock: Arc::clone(&self.clock) }))
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<bool, StorageError> {
        let mut objects = self.objects_mut();
        let Some(object) = objects.remove(from.as_str()) else { return Ok(false) };
        objects.insert(to.as_str().to_owned(), object);
        Ok(true)
    }

    async fn list(&self, folder: &Key) -> Result<Option<Vec<Entry>>, StorageError> {
        let objects = self.objects();
        let (mut from, end) = below(folder);
        let mut entries = Vec::new();
        while let Some((key, _)) = objects.range((from, end.clone())).next() {
            let rest = &key[folder.as_str().len() + 1..];
            // One look for each name, however much lies below it.
            let (name, kind) = match rest.split_once('/') {
                Some((name, _)) => (name, EntryKind::Folder),
                None => (rest, EntryKind::Object),
            };
            from = match kind {
                EntryKind::Folder => Bound::Included(format!("{folder}/{name}{AFTER_SLASH}")),
                EntryKind::Object => Bound::Excluded(key.clone()),
            };
            entries.push(Entry { name: name.to_owned(), kind });
        }
        // `a-b` comes before `a/`, but not before `a`.
        entries.sort_unstable();
        Ok((!entries.is_empty()).then_some(entries))
    }

    async fn newest(&self, folder: &Key) -> Result<Option<OffsetDateTime>, StorageError> {
        let objects = self.objects();
        Ok(objects.range(below(folder)).map(|(_, object)| object.state().written).max())
    }

    async fn remove(&self, key: &Key, _durability: Durability) -> Result<bool, StorageError> {
        Ok(self.objects_mut().remove(key.as_str()).is_some())
    }

    async fn remove_tree(&self, folder: &Key, _durability: Durability) -> Result<(), StorageError> {
        let removed: Vec<_> = self.objects_mut().extract_if(below(folder), |_, _| true).collect();
        // Freeing a lot of memory takes its time, and nobody has to wait for it.
        drop(removed);
        Ok(())
    }

    async fn sync_removals(&self, _folder: &Key) -> Result<(), StorageError> {
        Ok(())
    }

    async fn lock(&self, key: &Key) -> Result<Lock, StorageError> {
        Ok(Lock::new(self.queues.wait(key).await))
    }

    async fn try_lock(&self, key: &Key) -> Result<TryLock, StorageError> {
        if self.find(key).is_none() {
            return Ok(TryLock::Absent);
        }
        let Some(held) = self.queues.try_now(key) else { return Ok(TryLock::Busy) };
        // The holder before us may have removed it between our look and our claim.
        Ok(if self.find(key).is_some() { TryLock::Held(Lock::new(held)) } else { TryLock::Absent })
    }

    async fn claim_tree(&self, claim: TreeClaim) -> Result<Option<Lock>, StorageError> {
        let claims = Arc::clone(&self.claims);
        Ok(match claim {
            TreeClaim::Shared => claims.try_read_owned().ok().map(Lock::new),
            TreeClaim::Alone => claims.try_write_owned().ok().map(Lock::new),
        })
    }
}

struct MemoryReader(Arc<Content>);

impl ObjectReader for MemoryReader {
    fn size(&self) -> u64 {
        self.0.length()
    }

    fn stream(self: Box<Self>, range: Range<u64>) -> ByteStream {
        let mut rest = range;
        let pieces = std::iter::from_fn(move || {
            let piece = self.0.first_piece(&rest)?;
            rest.start += piece.len() as u64;
            Some(Ok(piece))
        });
        Box::pin(stream::iter(pieces))
    }
}

struct MemoryAppender {
    object: Arc<Object>,
    hasher: Hasher,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Appender for MemoryAppender {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.hasher.update(&bytes);
        let mut state = self.object.state();
        // If somebody reads it, the list of its pieces is copied, not the pieces.
        Arc::make_mut(&mut state.content).append(&bytes);
        state.written = self.clock.now();
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<Hasher, StorageError> {
        Ok(self.hasher)
    }
}

#[cfg(test)]
mod tests {
    use shared::clock::SystemClock;
    use shared::repository_name::RepositoryName;

    use super::*;
    use crate::oci::digest::{Algorithm, Digest};
    use crate::storage::{conformance, layout};

    fn empty_tree() -> (Arc<dyn Storage>, ()) {
        (Arc::new(Memory::new(Arc::new(SystemClock))), ())
    }

    conformance::suite!(empty_tree);

    #[tokio::test]
    async fn appending_to_what_was_removed_brings_nothing_back() {
        let (storage, ()) = empty_tree();
        let name = RepositoryName::parse("a").expect("a name");
        let key = layout::layer_link(&name, &Digest::sha256_of(b"x"));
        let mut appender = storage.append(&key, Hasher::new(Algorithm::Sha256)).await.expect("new");
        storage.remove_tree(&layout::all_layers(&name), Durability::Relaxed).await.expect("removed");
        appender.write(Bytes::from_static(b"late")).await.expect("written nowhere");
        assert_eq!(appender.finish().await.expect("finished").length(), 4);
        assert_eq!(storage.size(&key).await.expect("readable"), None);
        assert_eq!(storage.list(&layout::repositories()).await.expect("readable"), None);
    }
}
