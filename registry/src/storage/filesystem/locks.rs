//! Keeping tasks and processes apart.
//!
//! *Invariant:* whoever holds a lock holds `flock(2)` on the file of that name, which excludes every other open of it,
//! in this process and in others on the same tree; the kernel gives it up when the process dies.
//!
//! Waiting tasks of one process queue up in memory first (`storage/queues.rs`), so that the file is asked by one of them only.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::files::{Files, absent_as_none, make_folders};
use crate::storage::error::StorageError;
use crate::storage::layout::Key;
use crate::storage::{Lock, TreeClaim, TryLock};

/// How long to wait before asking again for a lock another process holds; it is held for a few disk writes.
pub(super) const RETRY: Duration = Duration::from_millis(5);

/// Claims a lock file, which is made when needed; `None` while another holds it in a way that forbids it.
pub(super) fn claim(files: &Files, key: &Key, claim: TreeClaim) -> Result<Option<File>, StorageError> {
    let failed = |error| StorageError::from_io("lock", key, error);
    let path = files.path(key);
    let mut options = OpenOptions::new();
    // NFS grants exclusive locks only on files open for writing, and shared ones only on files open for reading.
    options.read(true).write(true).truncate(false).create(true);
    let file = if let Some(file) = absent_as_none(options.open(&path)).map_err(failed)? {
        file
    } else {
        if let Some(folder) = path.parent() {
            make_folders(folder).map_err(failed)?;
        }
        options.open(&path).map_err(failed)?
    };
    let locked = match claim {
        TreeClaim::Shared => file.try_lock_shared(),
        TreeClaim::Alone => file.try_lock(),
    };
    match locked {
        // The holder before us may have removed the folder it lies in; then another file is the lock now.
        Ok(()) => Ok(is_at(&file, &path).map_err(failed)?.then_some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Whether an open file is still the one of that name.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let here = file.metadata()?;
    let there = absent_as_none(fs::metadata(path))?;
    Ok(there.is_some_and(|there| (there.dev(), there.ino()) == (here.dev(), here.ino())))
}

/// Claims an existing file without waiting.
pub(super) fn try_claim(files: &Files, key: &Key) -> Result<TryLock, StorageError> {
    let failed = |error| StorageError::from_io("lock", key, error);
    let path = files.path(key);
    let opened = absent_as_none(OpenOptions::new().write(true).open(&path)).map_err(failed)?;
    let Some(file) = opened else { return Ok(TryLock::Absent) };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(TryLock::Busy),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // The holder before us may have removed it between our opening and our locking.
    if is_at(&file, &path).map_err(failed)? {
        Ok(TryLock::Held(Lock::new(file)))
    } else {
        Ok(TryLock::Absent)
    }
}
