//! Keeping bytes under keys; knows nothing of repositories, manifests or HTTP.
//!
//! *Invariant:* what a method has answered `Ok` for with [`Durability::Synced`] survives the death of the process and
//! the loss of power, and no reader ever sees half of a written object.
//!
//! Absence is `None`, `false` or an enum variant, never an error: only the caller knows what was not found.
//!
//! Reading order: [`layout`] draws the key tree and is the only place that spells a key, [`Storage`] below is the
//! contract of a driver, [`filesystem`] and [`memory`] are drivers, `queues` keeps the tasks of one apart, `measured`
//! times any of them, [`error`] is how it fails, `conformance` is the suite every driver passes.

use std::any::Any;
use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use time::OffsetDateTime;

use self::error::StorageError;
use self::layout::Key;
use crate::oci::hasher::Hasher;

pub mod layout;

pub mod error;

pub mod filesystem;

pub mod memory;

mod queues;

pub(crate) mod measured;

#[cfg(test)]
pub(crate) mod conformance;

/// Bytes of an object in order, in pieces of at most [`PIECE_BYTES`].
///
/// At most one piece is read ahead of the one handed out; dropping the stream stops the reading.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, StorageError>> + Send>>;

/// The largest piece in which object bytes are read, written and hashed: large enough that the cost of a switch
/// between threads vanishes, small enough that a thousand transfers fit into memory.
pub const PIECE_BYTES: usize = 256 * 1024;

/// What a write has to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Loss of power.
    Synced,
    /// The death of the process. For what may be lost with the power: a session that nobody was promised.
    Relaxed,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The last component of the key.
    pub name: String,
    /// What stands there.
    pub kind: EntryKind,
}

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// Bytes.
    Object,
    /// Further names.
    Folder,
}

/// A claim; dropping it gives it up.
pub struct Lock {
    _held: Box<dyn Any + Send>,
}

impl Lock {
    /// Wraps whatever a driver holds to keep others away.
    pub(crate) fn new(held: impl Any + Send) -> Self {
        Self { _held: Box::new(held) }
    }
}

/// The answer of [`Storage::try_lock`].
pub enum TryLock {
    /// There is no such object.
    Absent,
    /// Somebody else holds it.
    Busy,
    /// It is ours, and the object still existed after it became ours.
    Held(Lock),
}

/// How long to wait before each further attempt at what others hold for a moment only; about a second in all.
///
/// Besides those who are about to give it up, a process that is just being started by the one that held it can hold it
/// still: open files, and so their locks, are shared with it until it runs its own program.
pub fn pauses() -> impl Iterator<Item = Duration> {
    (0..8).map(|doubled| Duration::from_millis(5 << doubled))
}

/// What somebody needs a whole tree for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeClaim {
    /// To write to it together with others.
    Shared,
    /// To be the only one who writes.
    Alone,
}

/// A driver.
///
/// Every method may be called at the same time from many tasks, and several processes may work on one tree. Keys of
/// objects and of folders come from [`layout`] only. Temporary names a driver needs end in `.tmp` and are passed over
/// by [`list`](Self::list).
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// Tries whether the tree can be written to, for readiness; makes its root if it is not there.
    async fn check(&self) -> Result<(), StorageError>;

    /// Reads whole small objects, in the order of `keys`; `None` for each that does not exist.
    ///
    /// An object larger than `limit_bytes` is [`StorageError::TooLarge`] and is not read, so memory is bounded by the
    /// number of keys times the limit.
    async fn read_all(&self, keys: Vec<Key>, limit_bytes: u64) -> Result<Vec<Option<Bytes>>, StorageError>;

    /// Like [`read_all`](Self::read_all) for one key.
    async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, StorageError> {
        Ok(self.read_all(vec![key.clone()], limit_bytes).await?.pop().flatten())
    }

    /// Writes small objects one after the other; each replaces what was there as a whole, and with
    /// [`Durability::Synced`] each is durable before the next is begun. After an error the first ones may stand.
    async fn write_all(&self, objects: Vec<(Key, Bytes)>, durability: Durability)
    -> Result<(), StorageError>;

    /// Sizes of objects in bytes, in the order of `keys`; `None` for each that does not exist or is a folder.
    async fn sizes(&self, keys: Vec<Key>) -> Result<Vec<Option<u64>>, StorageError>;

    /// Like [`sizes`](Self::sizes) for one key.
    async fn size(&self, key: &Key) -> Result<Option<u64>, StorageError> {
        Ok(self.sizes(vec![key.clone()]).await?.pop().flatten())
    }

    /// Opens an object for reading; later replacement or removal does not disturb the reader where the backend can
    /// keep it so, and is an error of the stream, never wrong bytes, where it cannot.
    async fn open(&self, key: &Key) -> Result<Option<Box<dyn ObjectReader>>, StorageError>;

    /// Feeds the bytes of `range` to `hasher` and hands it back; an object shorter than `range` is
    /// [`StorageError::Corrupt`].
    async fn hash(&self, key: &Key, range: Range<u64>, hasher: Hasher) -> Result<Hasher, StorageError>;

    /// Goes on writing an object behind its last byte; creates it if `hasher` has seen nothing and it is absent.
    ///
    /// `hasher` has seen exactly the bytes the object holds; another length is [`StorageError::Corrupt`]. The caller
    /// sees to it that nobody else appends.
    async fn append(&self, key: &Key, hasher: Hasher) -> Result<Box<dyn Appender>, StorageError>;

    /// Moves an object, durably, replacing what stands at `to`; `false` if there is nothing at `from`. Its bytes must
    /// be durable before.
    async fn rename(&self, from: &Key, to: &Key) -> Result<bool, StorageError>;

    /// Names directly below a folder, in byte order, without temporary ones; `None` if there is no such folder.
    async fn list(&self, folder: &Key) -> Result<Option<Vec<Entry>>, StorageError>;

    /// When anything in a folder or below it was last written; `None` if there is no such folder.
    async fn newest(&self, folder: &Key) -> Result<Option<OffsetDateTime>, StorageError>;

    /// Removes an object; `false` if it was not there. The folders above it may stay.
    async fn remove(&self, key: &Key, durability: Durability) -> Result<bool, StorageError>;

    /// Removes a folder with all that is below it; absence is no error. Readers may see a part of it gone meanwhile.
    /// With [`Durability::Relaxed`], loss of power may bring a part of it back: whatever makes it visible has to be
    /// removed on its own before.
    async fn remove_tree(&self, folder: &Key, durability: Durability) -> Result<(), StorageError>;

    /// Makes durable, all at once, what was removed directly below a folder with [`Durability::Relaxed`]; absence is no
    /// error. What lay below a removed tree cannot come back either, since its name does not.
    async fn sync_removals(&self, folder: &Key) -> Result<(), StorageError>;

    /// Waits until nobody holds `key` and holds it; `key` names the lock itself, which is made when needed and stays
    /// until a folder above it is removed; then whoever waits goes on waiting at a new one.
    ///
    /// Excludes every task of this process, and of other processes where the backend can.
    async fn lock(&self, key: &Key) -> Result<Lock, StorageError>;

    /// Claims an existing object without waiting, with the same reach as [`lock`](Self::lock). The object must not be
    /// replaced while it serves for this, only removed.
    async fn try_lock(&self, key: &Key) -> Result<TryLock, StorageError>;

    /// Claims the whole tree without waiting; `None` while somebody's claim forbids it. Where the backend has no locks
    /// between processes, everything is granted.
    async fn claim_tree(&self, claim: TreeClaim) -> Result<Option<Lock>, StorageError>;

    /// The same, waiting a moment for whoever is about to give up a claim.
    async fn claim_tree_soon(&self, claim: TreeClaim) -> Result<Option<Lock>, StorageError> {
        for pause in pauses() {
            if let Some(claimed) = self.claim_tree(claim).await? {
                return Ok(Some(claimed));
            }
            tokio::time::sleep(pause).await;
        }
        self.claim_tree(claim).await
    }
}

/// An object that was opened.
pub trait ObjectReader: Send {
    /// Its size in bytes.
    fn size(&self) -> u64;

    /// Its bytes in `range`, which must lie within its size; ends with an error if the object turns out shorter.
    fn stream(self: Box<Self>, range: Range<u64>) -> ByteStream;
}

/// An object that is being appended to.
#[async_trait]
pub trait Appender: Send {
    /// Writes and hashes the next bytes, at most [`PIECE_BYTES`] of them for the best use of threads.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError>;

    /// Makes all that was written durable and hands back the hasher, which has then seen the whole object.
    async fn finish(self: Box<Self>) -> Result<Hasher, StorageError>;
}
