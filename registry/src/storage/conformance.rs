//! The suite every driver must pass: named cases, each on an empty tree of its own.
//!
//! *Invariant:* cases speak only of the contract in the parent module, so a case that fails on one driver shows a
//! defect of that driver or of the contract, not of the case.
//!
//! A driver's tests call [`suite!`] with a function that makes an empty tree.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use shared::repository_name::RepositoryName;
use uuid::Uuid;

use super::layout::{self, Key, SessionKeys};
use super::{Durability, Entry, EntryKind, PIECE_BYTES, Storage, TreeClaim, TryLock};
use crate::oci::digest::{Algorithm, Digest};
use crate::oci::hasher::Hasher;
use crate::oci::reference::Tag;
use crate::storage::error::StorageError;

/// Makes one test of every case.
macro_rules! suite {
    ($empty_tree:expr) => {
        $crate::storage::conformance::suite! { @cases $empty_tree;
            an_empty_tree_is_healthy_and_has_nothing
            what_is_written_is_read_whole
            writing_replaces_as_a_whole
            a_large_object_is_not_read_as_a_small_one
            many_objects_are_read_and_measured_in_order
            any_range_of_a_large_object_streams
            a_dropped_stream_leaves_the_object_usable
            a_reader_keeps_what_it_opened
            appending_goes_on_where_it_ended
            appending_at_another_length_is_refused
            hashing_a_range_goes_on_from_a_state
            a_renamed_object_is_only_at_its_new_key
            a_listing_is_sorted_and_tells_folders
            the_newest_of_a_folder_is_found_at_any_depth
            removing_an_object_leaves_its_neighbours
            removing_a_tree_spares_names_that_begin_alike
            a_key_below_an_object_is_absent
            concurrent_writers_leave_one_whole_object
            a_lock_admits_one_at_a_time
            a_lock_whose_folder_is_removed_still_admits_one_at_a_time
            an_object_can_be_claimed_once_and_only_while_it_exists
            a_tree_is_shared_by_many_or_had_alone
        }
    };
    (@cases $empty_tree:expr; $($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                let (storage, _tree) = $empty_tree();
                $crate::storage::conformance::$case(storage).await;
            }
        )*
    };
}

pub(crate) use suite;

type Driver = Arc<dyn Storage>;

fn name() -> RepositoryName {
    RepositoryName::parse("team/app").expect("a name")
}

fn key(label: &str) -> Key {
    layout::layer_link(&name(), &Digest::sha256_of(label.as_bytes()))
}

fn tag_key(tag: &str) -> Key {
    layout::tag_current_link(&name(), &Tag::parse(tag).expect("a tag"))
}

fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from(at * 7 % 251).expect("below 251")).collect()
}

async fn write(storage: &Driver, key: &Key, content: impl Into<Bytes>) {
    storage.write_all(vec![(key.clone(), content.into())], Durability::Synced).await.expect("written");
}

async fn read(storage: &Driver, key: &Key) -> Option<Bytes> {
    storage.read(key, 1 << 22).await.expect("readable")
}

pub(crate) async fn an_empty_tree_is_healthy_and_has_nothing(storage: Driver) {
    storage.check().await.expect("healthy");
    let key = key("nothing");
    assert_eq!(read(&storage, &key).await, None);
    assert_eq!(storage.size(&key).await.expect("readable"), None);
    assert!(storage.open(&key).await.expect("readable").is_none());
    assert_eq!(storage.list(&layout::repositories()).await.expect("readable"), None);
    assert!(!storage.remove(&key, Durability::Synced).await.expect("no error"));
    storage.remove_tree(&layout::repositories(), Durability::Synced).await.expect("no error");
    storage.sync_removals(&layout::repositories()).await.expect("no error");
    assert!(!storage.rename(&key, &tag_key("x")).await.expect("no error"));
    assert!(matches!(storage.try_lock(&key).await, Ok(TryLock::Absent)));
    assert!(storage.hash(&key, 0..1, Hasher::new(Algorithm::Sha256)).await.is_err());
}

pub(crate) async fn what_is_written_is_read_whole(storage: Driver) {
    for (label, durability) in [("synced", Durability::Synced), ("relaxed", Durability::Relaxed)] {
        for content in [Bytes::new(), pattern(71), pattern(PIECE_BYTES + 3)] {
            storage.write_all(vec![(key(label), content.clone())], durability).await.expect("written");
            assert_eq!(read(&storage, &key(label)).await, Some(content.clone()));
            assert_eq!(storage.size(&key(label)).await.expect("readable"), Some(content.len() as u64));
        }
    }
}

pub(crate) async fn writing_replaces_as_a_whole(storage: Driver) {
    write(&storage, &key("x"), "a longer content").await;
    write(&storage, &key("x"), "short").await;
    assert_eq!(read(&storage, &key("x")).await.as_deref(), Some(&b"short"[..]));
}

pub(crate) async fn a_large_object_is_not_read_as_a_small_one(storage: Driver) {
    write(&storage, &key("x"), pattern(72)).await;
    assert!(storage.read(&key("x"), 72).await.expect("fits").is_some());
    let error = storage.read(&key("x"), 71).await.expect_err("one byte too many");
    assert!(matches!(error, StorageError::TooLarge { limit_bytes: 71, .. }), "{error}");
}

pub(crate) async fn many_objects_are_read_and_measured_in_order(storage: Driver) {
    write(&storage, &key("a"), "1").await;
    write(&storage, &key("c"), "333").await;
    let keys = vec![key("c"), key("b"), key("a")];
    assert_eq!(storage.sizes(keys.clone()).await.expect("readable"), [Some(3), None, Some(1)]);
    let contents = storage.read_all(keys, 10).await.expect("readable");
    assert_eq!(contents, [Some(Bytes::from("333")), None, Some(Bytes::from("1"))]);
}

pub(crate) async fn any_range_of_a_large_object_streams(storage: Driver) {
    let content = pattern(3 * PIECE_BYTES + 1000);
    write(&storage, &key("x"), content.clone()).await;
    let piece = PIECE_BYTES as u64;
    let end = content.len() as u64;
    for range in
        [0..end, 0..0, end..end, 0..1, end - 1..end, piece - 1..piece + 1, piece..2 * piece, 5..end - 5]
    {
        let reader = storage.open(&key("x")).await.expect("readable").expect("present");
        assert_eq!(reader.size(), end);
        let pieces: Vec<Bytes> = reader.stream(range.clone()).try_collect().await.expect("whole");
        assert!(pieces.iter().all(|piece| (1..=PIECE_BYTES).contains(&piece.len())), "{range:?}");
        let wanted = &content
            [usize::try_from(range.start).expect("small")..usize::try_from(range.end).expect("small")];
        assert!(pieces.concat() == wanted, "{range:?}");
    }
}

pub(crate) async fn a_dropped_stream_leaves_the_object_usable(storage: Driver) {
    let content = pattern(4 * PIECE_BYTES);
    write(&storage, &key("x"), content.clone()).await;
    for _ in 0..200 {
        let reader = storage.open(&key("x")).await.expect("readable").expect("present");
        let mut stream = reader.stream(0..content.len() as u64);
        assert!(stream.next().await.expect("a piece").is_ok());
    }
    assert_eq!(read(&storage, &key("x")).await, Some(content));
}

pub(crate) async fn a_reader_keeps_what_it_opened(storage: Driver) {
    write(&storage, &key("x"), pattern(500)).await;
    let reader = storage.open(&key("x")).await.expect("readable").expect("present");
    write(&storage, &key("x"), "other").await;
    let outcome: Result<Vec<Bytes>, _> = reader.stream(0..500).try_collect().await;
    // Where the backend cannot keep it, an error is allowed; other bytes never are.
    if let Ok(pieces) = outcome {
        assert_eq!(pieces.concat(), pattern(500));
    }
}

pub(crate) async fn appending_goes_on_where_it_ended(storage: Driver) {
    let content = pattern(PIECE_BYTES + 777);
    let mut hasher = Hasher::new(Algorithm::Sha256);
    for chunk in [&content[..10], &content[10..10], &content[10..PIECE_BYTES], &content[PIECE_BYTES..]] {
        let mut appender = storage.append(&key("x"), hasher).await.expect("at its end");
        for half in chunk.chunks(PIECE_BYTES / 2) {
            appender.write(Bytes::copy_from_slice(half)).await.expect("written");
        }
        hasher = appender.finish().await.expect("durable");
        assert_eq!(storage.size(&key("x")).await.expect("readable"), Some(hasher.length()));
    }
    assert_eq!(hasher.digest(), Digest::sha256_of(&content));
    assert_eq!(read(&storage, &key("x")).await, Some(content));
}

pub(crate) async fn appending_at_another_length_is_refused(storage: Driver) {
    write(&storage, &key("x"), "12345").await;
    let mut seen_four = Hasher::new(Algorithm::Sha256);
    seen_four.update(b"1234");
    assert!(storage.append(&key("x"), seen_four.clone()).await.is_err());
    assert!(storage.append(&key("x"), Hasher::new(Algorithm::Sha256)).await.is_err());
    assert!(storage.append(&key("absent"), seen_four).await.is_err());
    assert_eq!(read(&storage, &key("x")).await.as_deref(), Some(&b"12345"[..]));
    assert_eq!(read(&storage, &key("absent")).await, None);
}

pub(crate) async fn hashing_a_range_goes_on_from_a_state(storage: Driver) {
    let content = pattern(2 * PIECE_BYTES + 5);
    write(&storage, &key("x"), content.clone()).await;
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(&content[..100]);
    let end = content.len() as u64;
    let hasher = storage.hash(&key("x"), 100..end, hasher).await.expect("readable");
    assert_eq!(hasher.digest(), Digest::of(Algorithm::Sha512, &content));
    let beyond = storage.hash(&key("x"), 0..end + 1, Hasher::new(Algorithm::Sha256)).await;
    assert!(matches!(beyond, Err(StorageError::Corrupt { .. })));
}

pub(crate) async fn a_renamed_object_is_only_at_its_new_key(storage: Driver) {
    write(&storage, &key("from"), "new").await;
    write(&storage, &tag_key("to"), "old").await;
    assert!(storage.rename(&key("from"), &tag_key("to")).await.expect("moved"));
    assert_eq!(read(&storage, &tag_key("to")).await.as_deref(), Some(&b"new"[..]));
    assert_eq!(read(&storage, &key("from")).await, None);
    assert!(!storage.rename(&key("from"), &tag_key("to")).await.expect("nothing to move"));
    assert_eq!(read(&storage, &tag_key("to")).await.as_deref(), Some(&b"new"[..]));
}

pub(crate) async fn a_listing_is_sorted_and_tells_folders(storage: Driver) {
    let session = SessionKeys::new(&name(), Uuid::from_u128(1));
    for offset in [10, 9, 200] {
        write(&storage, &session.hash_state(Algorithm::Sha256, offset), "s").await;
    }
    write(&storage, &session.data, "d").await;
    let entry = |name: &str, kind| Entry { name: name.into(), kind };
    assert_eq!(
        storage.list(&session.hash_states(Algorithm::Sha256)).await.expect("readable"),
        Some(["10", "200", "9"].map(|name| entry(name, EntryKind::Object)).to_vec())
    );
    assert_eq!(
        storage.list(&session.folder).await.expect("readable"),
        Some(vec![entry("data", EntryKind::Object), entry("hashstates", EntryKind::Folder)])
    );
}

pub(crate) async fn the_newest_of_a_folder_is_found_at_any_depth(storage: Driver) {
    let session = SessionKeys::new(&name(), Uuid::from_u128(1));
    assert_eq!(storage.newest(&session.folder).await.expect("readable"), None);
    write(&storage, &session.data, "d").await;
    let before = storage.newest(&session.folder).await.expect("readable").expect("there");
    // Some backends tell times in steps of a few milliseconds.
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    write(&storage, &session.hash_state(Algorithm::Sha256, 1), "s").await;
    let after = storage.newest(&session.folder).await.expect("readable").expect("there");
    assert!(after > before, "{before} {after}");
}

pub(crate) async fn removing_an_object_leaves_its_neighbours(storage: Driver) {
    write(&storage, &key("a"), "1").await;
    write(&storage, &key("b"), "2").await;
    assert!(storage.remove(&key("a"), Durability::Synced).await.expect("removed"));
    assert!(!storage.remove(&key("a"), Durability::Relaxed).await.expect("already gone"));
    assert_eq!(read(&storage, &key("a")).await, None);
    assert_eq!(read(&storage, &key("b")).await.as_deref(), Some(&b"2"[..]));
}

pub(crate) async fn removing_a_tree_spares_names_that_begin_alike(storage: Driver) {
    for tag in ["v1", "v1-rc", "v10", "v"] {
        write(&storage, &tag_key(tag), "x").await;
    }
    let folder = layout::tag(&name(), &Tag::parse("v1").expect("a tag"));
    storage.remove_tree(&folder, Durability::Synced).await.expect("removed");
    storage.remove_tree(&folder, Durability::Relaxed).await.expect("removed once more");
    storage.sync_removals(&layout::tags(&name())).await.expect("durable");
    assert_eq!(read(&storage, &tag_key("v1")).await, None);
    for tag in ["v1-rc", "v10", "v"] {
        assert!(read(&storage, &tag_key(tag)).await.is_some(), "{tag}");
    }
}

pub(crate) async fn a_key_below_an_object_is_absent(storage: Driver) {
    let session = SessionKeys::new(&name(), Uuid::from_u128(1));
    write(&storage, &session.hash_states(Algorithm::Sha256), "an object where a folder would be").await;
    assert_eq!(read(&storage, &session.hash_state(Algorithm::Sha256, 0)).await, None);
    assert_eq!(storage.size(&session.hash_state(Algorithm::Sha256, 0)).await.expect("readable"), None);
    assert!(
        !storage
            .remove(&session.hash_state(Algorithm::Sha256, 0), Durability::Synced)
            .await
            .expect("nothing there")
    );
}

pub(crate) async fn concurrent_writers_leave_one_whole_object(storage: Driver) {
    let writers = (0..24u8).map(|writer| {
        let storage = Arc::clone(&storage);
        tokio::spawn(async move {
            let content = Bytes::from(vec![writer; 10_000]);
            storage.write_all(vec![(key("x"), content)], Durability::Synced).await
        })
    });
    for outcome in futures_util::future::join_all(writers).await {
        outcome.expect("no panic").expect("written");
    }
    let content = read(&storage, &key("x")).await.expect("present");
    assert_eq!(content.len(), 10_000);
    assert!(content.iter().all(|byte| *byte == content[0]), "bytes of one writer only");
}

pub(crate) async fn a_lock_admits_one_at_a_time(storage: Driver) {
    let lock = layout::revision_lock(&name(), &Digest::sha256_of(b"x"));
    let inside = Arc::new(AtomicBool::new(false));
    let tasks = (0..20).map(|_| {
        let (storage, lock, inside) = (Arc::clone(&storage), lock.clone(), Arc::clone(&inside));
        tokio::spawn(async move {
            let held = storage.lock(&lock).await.expect("granted");
            assert!(!inside.swap(true, Ordering::SeqCst), "two are inside");
            // Anything that lets the others run while the lock is held.
            storage.size(&lock).await.expect("readable");
            assert!(inside.swap(false, Ordering::SeqCst));
            drop(held);
        })
    });
    for outcome in futures_util::future::join_all(tasks).await {
        outcome.expect("nobody met another inside");
    }
}

pub(crate) async fn a_lock_whose_folder_is_removed_still_admits_one_at_a_time(storage: Driver) {
    let lock = layout::revision_lock(&name(), &Digest::sha256_of(b"x"));
    let inside = Arc::new(AtomicBool::new(false));
    let tasks = (0..20).map(|number| {
        let (storage, lock, inside) = (Arc::clone(&storage), lock.clone(), Arc::clone(&inside));
        tokio::spawn(async move {
            let held = storage.lock(&lock).await.expect("granted");
            assert!(!inside.swap(true, Ordering::SeqCst), "two are inside");
            if number % 3 == 0 {
                let folder = layout::locks(&name());
                storage.remove_tree(&folder, Durability::Relaxed).await.expect("removed");
            }
            assert!(inside.swap(false, Ordering::SeqCst));
            drop(held);
        })
    });
    for outcome in futures_util::future::join_all(tasks).await {
        outcome.expect("nobody met another inside");
    }
}

pub(crate) async fn an_object_can_be_claimed_once_and_only_while_it_exists(storage: Driver) {
    write(&storage, &key("x"), "x").await;
    let Ok(TryLock::Held(held)) = storage.try_lock(&key("x")).await else { panic!("free") };
    assert!(matches!(storage.try_lock(&key("x")).await, Ok(TryLock::Busy)));
    drop(held);
    let Ok(TryLock::Held(held)) = storage.try_lock(&key("x")).await else { panic!("free again") };
    assert!(storage.remove(&key("x"), Durability::Relaxed).await.expect("removed"));
    drop(held);
    assert!(matches!(storage.try_lock(&key("x")).await, Ok(TryLock::Absent)));
}

pub(crate) async fn a_tree_is_shared_by_many_or_had_alone(storage: Driver) {
    let claim = async |claim| storage.claim_tree(claim).await.expect("no error");
    let shared = [claim(TreeClaim::Shared).await, claim(TreeClaim::Shared).await];
    assert!(shared.iter().all(Option::is_some));
    assert!(claim(TreeClaim::Alone).await.is_none());
    drop(shared);
    let alone = claim(TreeClaim::Alone).await;
    assert!(alone.is_some());
    assert!(claim(TreeClaim::Shared).await.is_none() && claim(TreeClaim::Alone).await.is_none());
    drop(alone);
    assert!(claim(TreeClaim::Shared).await.is_some());
    assert_eq!(storage.list(&layout::repositories()).await.expect("readable"), None, "the tree is untouched");
}
