//! The blocking steps on files: read, write, rename, list, remove.
//!
//! *Invariant:* nothing here follows a key out of the root, since keys hold no `..`; a file is never changed in place
//! except by appending to upload data.
//!
//! Why a directory that already exists is not synced again: it was made either long ago or by a neighbour a moment
//! ago, and in the latter case the journal of the file system orders the making before what is synced in it later.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use time::OffsetDateTime;

use crate::storage::error::StorageError;
use crate::storage::layout::{self, Key};
use crate::storage::{Durability, Entry, EntryKind};

const TEMPORARY: &str = ".tmp";

/// How often a tree is removed anew when others put something into it meanwhile.
const REMOVE_ATTEMPTS: usize = 5;

/// A directory and the means to make names nobody else uses.
pub(super) struct Files {
    root: PathBuf,
    instance: u64,
    counter: AtomicU64,
}

impl Files {
    /// `instance` tells the temporary names of this process from those of others on the same tree.
    pub(super) fn new(root: PathBuf, instance: u64) -> Self {
        Self { root, instance, counter: AtomicU64::new(0) }
    }

    pub(super) fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    pub(super) fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, StorageError> {
        let Some((file, size)) = self.open(key)? else { return Ok(None) };
        if size > limit_bytes {
            return Err(StorageError::TooLarge { key: key.clone(), limit_bytes });
        }
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        // The file may have grown since; one byte more than allowed is enough to know.
        file.take(limit_bytes + 1)
            .read_to_end(&mut content)
            .map_err(|error| StorageError::from_io("read", key, error))?;
        if content.len() as u64 > limit_bytes {
            return Err(StorageError::TooLarge { key: key.clone(), limit_bytes });
        }
        Ok(Some(content.into()))
    }

    pub(super) fn write(
        &self,
        key: &Key,
        content: &[u8],
        durability: Durability,
    ) -> Result<(), StorageError> {
        let failed = |error| StorageError::from_io("write", key, error);
        let path = self.path(key);
        let folder = parent(&path);
        make_folders(folder).map_err(failed)?;
        let temporary = self.temporary(&path);
        let written = write_new(&temporary, content, durability).and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = written {
            // The first error is the one to tell; a leftover is passed over by every reader.
            let _ = fs::remove_file(&temporary);
            return Err(failed(error));
        }
        match durability {
            Durability::Synced => sync_folder(folder).map_err(failed),
            Durability::Relaxed => Ok(()),
        }
    }

    pub(super) fn size(&self, key: &Key) -> Result<Option<u64>, StorageError> {
        let metadata = fs::metadata(self.path(key));
        let found = absent_as_none(metadata).map_err(|error| StorageError::from_io("look at", key, error))?;
        Ok(found.filter(fs::Metadata::is_file).map(|metadata| metadata.len()))
    }

    pub(super) fn open(&self, key: &Key) -> Result<Option<(File, u64)>, StorageError> {
        let failed = |error| StorageError::from_io("open", key, error);
        let Some(file) = absent_as_none(File::open(self.path(key))).map_err(failed)? else { return Ok(None) };
        let metadata = file.metadata().map_err(failed)?;
        Ok(metadata.is_file().then_some((file, metadata.len())))
    }

    pub(super) fn open_for_append(&self, key: &Key, length: u64) -> Result<File, StorageError> {
        let failed = |error| StorageError::from_io("append to", key, error);
        let path = self.path(key);
        if length == 0 {
            make_folders(parent(&path)).map_err(failed)?;
        }
        let file =
            OpenOptions::new().write(true).truncate(false).create(length == 0).open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() != length {
            return Err(StorageError::Corrupt {
                key: key.clone(),
                reason: "it changed its length while it was locked",
            });
        }
        Ok(file)
    }

    pub(super) fn rename(&self, from: &Key, to: &Key) -> Result<bool, StorageError> {
        let failed = |error| StorageError::from_io("move something to", to, error);
        let target = self.path(to);
        let folder = parent(&target);
        make_folders(folder).map_err(failed)?;
        if absent_as_none(fs::rename(self.path(from), &target)).map_err(failed)?.is_none() {
            return Ok(false);
        }
        sync_folder(folder).map_err(failed)?;
        Ok(true)
    }

    pub(super) fn list(&self, folder: &Key) -> Result<Option<Vec<Entry>>, StorageError> {
        let failed = |error| StorageError::from_io("list", folder, error);
        let Some(names) = absent_as_none(fs::read_dir(self.path(folder))).map_err(failed)? else {
            return Ok(None);
        };
        let mut entries = Vec::new();
        for name in names {
            let name = name.map_err(failed)?;
            // A name that is not UTF-8 is none of the layout's.
            let Ok(text) = name.file_name().into_string() else { continue };
            let kind = name.file_type().map_err(failed)?;
            // An operator may have spread a tree over disks with symbolic links.
            let is_folder = kind.is_dir() || (kind.is_symlink() && name.path().is_dir());
            if !is_folder && text.ends_with(TEMPORARY) {
                continue;
            }
            let kind = if is_folder { EntryKind::Folder } else { EntryKind::Object };
            entries.push(Entry { name: text, kind });
        }
        entries.sort_unstable();
        Ok(Some(entries))
    }

    pub(super) fn newest(&self, folder: &Key) -> Result<Option<OffsetDateTime>, StorageError> {
        newest_below(&self.path(folder)).map_err(|error| StorageError::from_io("look through", folder, error))
    }

    pub(super) fn remove(&self, key: &Key, durability: Durability) -> Result<bool, StorageError> {
        let failed = |error| StorageError::from_io("remove", key, error);
        let path = self.path(key);
        if absent_as_none(fs::remove_file(&path)).map_err(failed)?.is_none() {
            return Ok(false);
        }
        if durability == Durability::Synced {
            sync_folder(parent(&path)).map_err(failed)?;
        }
        Ok(true)
    }

    pub(super) fn remove_tree(&self, folder: &Key, durability: Durability) -> Result<(), StorageError> {
        let failed = |error| StorageError::from_io("remove", folder, error);
        let path = self.path(folder);
        let mut attempts = REMOVE_ATTEMPTS;
        loop {
            match fs::remove_dir_all(&path) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && attempts > 1 => {
                    attempts -= 1;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        if durability == Durability::Synced {
            // Nothing that is left below it can be reached any more once its own name is gone.
            absent_as_none(sync_folder(parent(&path))).map_err(failed)?;
        }
        Ok(())
    }

    pub(super) fn sync_removals(&self, folder: &Key) -> Result<(), StorageError> {
        let synced = absent_as_none(sync_folder(&self.path(folder)));
        synced.map(drop).map_err(|error| StorageError::from_io("sync", folder, error))
    }

    /// Makes, writes and removes a file, which is what a push will need.
    pub(super) fn try_writing(&self) -> io::Result<()> {
        make_folders(&self.root)?;
        let probe = self.temporary(&self.root.join("check"));
        let written = write_new(&probe, b"portcullis", Durability::Relaxed);
        let removed = fs::remove_file(&probe);
        written.and(removed)
    }

    fn temporary(&self, path: &Path) -> PathBuf {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{:016x}-{count:x}{TEMPORARY}", self.instance));
        path.with_file_name(name)
    }
}

/// Makes a folder and those above it that are missing. Each is durable at once, whatever it is made for: others will
/// keep acknowledged things in it and find it there. Only what is inside an upload session goes with the session.
pub(super) fn make_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = parent(folder);
    if folder != above {
        make_folders(above)?;
    }
    let in_session = above.components().any(|component| component.as_os_str() == layout::UPLOADS);
    match fs::create_dir(folder) {
        Ok(()) if in_session => Ok(()),
        Ok(()) => sync_folder(above),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// The youngest of a folder and all below it, temporary files too. What vanishes meanwhile does not count.
fn newest_below(folder: &Path) -> io::Result<Option<OffsetDateTime>> {
    let Some(names) = absent_as_none(fs::read_dir(folder))? else { return Ok(None) };
    let mut newest = absent_as_none(fs::metadata(folder))?.map(|own| own.modified()).transpose()?;
    let mut folders = Vec::new();
    for name in names {
        let name = name?;
        let Some(metadata) = absent_as_none(name.metadata())? else { continue };
        newest = newest.max(Some(metadata.modified()?));
        if metadata.is_dir() {
            folders.push(name.path());
        }
    }
    let mut newest = newest.map(OffsetDateTime::from);
    for folder in folders {
        newest = newest.max(newest_below(&folder)?);
    }
    Ok(newest)
}

fn write_new(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(content)?;
    match durability {
        Durability::Synced => file.sync_all(),
        Durability::Relaxed => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// A component that is a file where a folder would have to be means just as much that there is nothing below it.
pub(super) fn absent_as_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
