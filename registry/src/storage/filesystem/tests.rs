//! The suite on a temporary directory, and what only files can show.
//!
//! *Invariant:* no test leaves a temporary file of the driver behind.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use ring::rand::SystemRandom;
use shared::repository_name::RepositoryName;
use tempfile::TempDir;

use super::*;
use crate::oci::digest::{Algorithm, Digest};
use crate::oci::reference::Tag;
use crate::storage::conformance;
use crate::storage::layout::SessionKeys;

/// Checks at the end that nothing temporary was left.
struct Tree(TempDir);

impl Drop for Tree {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(temporary_files(self.0.path()), Vec::<String>::new());
        }
    }
}

fn temporary_files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(temporary_files(&path));
        } else if path.to_string_lossy().ends_with(".tmp") {
            found.push(path.display().to_string());
        }
    }
    found
}

fn filesystem(folder: &Path) -> Filesystem {
    Filesystem::open(folder, DEFAULT_MAX_THREADS, &SystemRandom::new()).expect("randomness")
}

fn empty_tree() -> (Arc<dyn Storage>, Tree) {
    let folder = TempDir::new().expect("a temporary directory");
    (Arc::new(filesystem(&folder.path().join("not/yet/there"))), Tree(folder))
}

conformance::suite!(empty_tree);

fn key() -> Key {
    layout::tag_current_link(&RepositoryName::parse("a").expect("a name"), &Tag::parse("t").expect("a tag"))
}

#[tokio::test]
async fn leftovers_of_a_crashed_write_are_passed_over() {
    let folder = TempDir::new().expect("a temporary directory");
    let storage = filesystem(folder.path());
    storage.write_all(vec![(key(), Bytes::from("x"))], Durability::Synced).await.expect("written");
    let beside = folder.path().join("docker/registry/v2/repositories/a/_manifests/tags/t/current");
    fs::write(beside.join("link.0190a6d2-7f0a-7000-8000-0123456789ab.tmp"), "half").expect("written");
    fs::write(folder.path().join("docker/registry/v2/repositories/half.tmp"), "half").expect("written");
    let listed = storage.list(&layout::repositories()).await.expect("readable").expect("there");
    assert_eq!(listed.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["a"]);
    let names = fs::read_dir(&beside).expect("readable").count();
    assert_eq!(names, 2, "the leftover and the link");
    storage.write_all(vec![(key(), Bytes::from("y"))], Durability::Synced).await.expect("written again");
    assert_eq!(storage.read(&key(), 10).await.expect("readable").as_deref(), Some(&b"y"[..]));
}

#[tokio::test]
async fn a_failed_write_keeps_the_old_content_and_names_the_key() {
    let folder = TempDir::new().expect("a temporary directory");
    let storage = filesystem(folder.path());
    // A folder where the object has to go makes the rename fail, for root as well.
    fs::create_dir_all(folder.path().join(key().as_str()).join("x")).expect("made");
    let error = storage.write_all(vec![(key(), Bytes::from("x"))], Durability::Synced).await.expect_err("no");
    assert!(error.to_string().contains("tags/t/current/link"), "{error}");
    assert_eq!(temporary_files(folder.path()), Vec::<String>::new());
    assert_eq!(storage.size(&key()).await.expect("readable"), None, "a folder is not an object");
    assert_eq!(storage.read(&key(), 10).await.expect("readable"), None);
}

#[tokio::test]
async fn two_drivers_on_one_tree_exclude_each_other() {
    let folder = TempDir::new().expect("a temporary directory");
    let (here, there) = (filesystem(folder.path()), filesystem(folder.path()));
    here.write_all(vec![(key(), Bytes::from("x"))], Durability::Synced).await.expect("written");
    let Ok(TryLock::Held(held)) = here.try_lock(&key()).await else { panic!("free") };
    assert!(matches!(there.try_lock(&key()).await, Ok(TryLock::Busy)));
    drop(held);

    let lock = layout::revision_lock(&RepositoryName::parse("a").expect("a name"), &Digest::sha256_of(b""));
    let held = here.lock(&lock).await.expect("granted");
    let mut waiting = Box::pin(there.lock(&lock));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let late = tokio::time::timeout(locks::RETRY * 4, &mut waiting).await;
    assert!(late.is_err(), "the other process holds it");
    drop(held);
    waiting.await.expect("granted once it is free");
}

#[tokio::test]
async fn waiting_for_a_lock_takes_no_thread_from_its_holder() {
    let folder = TempDir::new().expect("a temporary directory");
    let (here, there) = (filesystem(folder.path()), filesystem(folder.path()));
    let lock = layout::revision_lock(&RepositoryName::parse("a").expect("a name"), &Digest::sha256_of(b""));
    let held = here.lock(&lock).await.expect("granted");
    let there = Arc::new(there);
    let waiters: Vec<_> = (0..2 * MIN_MAX_THREADS)
        .map(|_| {
            let (there, lock) = (Arc::clone(&there), lock.clone());
            tokio::spawn(async move { there.lock(&lock).await.map(drop) })
        })
        .collect();
    tokio::task::yield_now().await;
    there.write_all(vec![(key(), Bytes::from("x"))], Durability::Synced).await.expect("a thread is free");
    drop(held);
    for waiter in waiters {
        waiter.await.expect("no panic").expect("granted in the end");
    }
}

#[tokio::test]
async fn an_object_cut_short_ends_its_stream_with_an_error() {
    let folder = TempDir::new().expect("a temporary directory");
    let storage = filesystem(folder.path());
    storage.write_all(vec![(key(), vec![7; 1000].into())], Durability::Synced).await.expect("written");
    let reader = storage.open(&key()).await.expect("readable").expect("there");
    File::options()
        .write(true)
        .open(folder.path().join(key().as_str()))
        .and_then(|file| file.set_len(10))
        .expect("cut short");
    let outcome: Result<Vec<Bytes>, _> = reader.stream(0..1000).try_collect().await;
    assert!(matches!(outcome, Err(StorageError::Corrupt { .. })));
}

#[tokio::test]
async fn a_sparse_object_of_more_than_four_gib_streams_from_its_end() {
    let folder = TempDir::new().expect("a temporary directory");
    let storage = filesystem(folder.path());
    let keys = SessionKeys::new(&RepositoryName::parse("a").expect("a name"), uuid::Uuid::from_u128(1));
    let path = folder.path().join(keys.data.as_str());
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let size = (4 << 30) + 1;
    File::create(&path).and_then(|file| file.set_len(size)).expect("sparse");
    let reader = storage.open(&keys.data).await.expect("readable").expect("there");
    assert_eq!(reader.size(), size);
    let tail: Vec<Bytes> = reader.stream(size - 3..size).try_collect().await.expect("readable");
    assert_eq!(tail.concat(), [0, 0, 0]);
    let hashed = storage.hash(&keys.data, size - 3..size, Hasher::new(Algorithm::Sha256)).await;
    assert_eq!(hashed.expect("readable").digest(), Digest::sha256_of(&[0; 3]));
}
