//! Tests of the list of repositories: its order, its pages, and how little of the tree a page looks into.
//!
//! *Invariant:* work is counted in folders listed, not in seconds.

use std::fs;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use shared::clock::ManualClock;

use super::*;
use crate::domain::testing::{Tree, name};
use crate::oci::hasher::Hasher;
use crate::storage::filesystem::{DEFAULT_MAX_THREADS, Filesystem};
use crate::storage::{Appender, Durability, Lock, ObjectReader, Storage, TreeClaim, TryLock};

fn texts(page: &CatalogPage) -> Vec<&str> {
    page.repositories.iter().map(RepositoryName::as_str).collect()
}

fn make(tree: &Tree, repositories: &[&str]) {
    for repository in repositories {
        let folder = tree.path(&layout::repository_folder(repository)).join(layout::MANIFESTS);
        fs::create_dir_all(folder).expect("made");
    }
}

async fn listed(repositories: &Repositories, after: Option<&str>, limit: usize) -> CatalogPage {
    repositories.list_repositories(after, limit).await.expect("readable")
}

#[tokio::test]
async fn names_come_in_byte_order_of_the_whole_name() {
    let tree = Tree::new();
    assert_eq!(texts(&listed(&tree.repositories, None, 10).await), Vec::<&str>::new());
    let mut names = ["a/c", "a", "a-b", "a.b", "a/b/c/d", "a0", "a/b", "a-b/x", "b", "a__b"];
    make(&tree, &names);
    names.sort_unstable();
    let all = listed(&tree.repositories, None, 100).await;
    assert_eq!((texts(&all), all.more), (names.to_vec(), false));
    assert_eq!(names[..4], ["a", "a-b", "a-b/x", "a.b"], "dashes and dots sort before slashes");
}

#[tokio::test]
async fn pages_put_together_are_the_whole_list() {
    let tree = Tree::new();
    let names = ["a", "a-b", "a-b/x", "a.b", "a/b", "a/b/c/d", "a/c", "a0", "b"];
    make(&tree, &names);
    for limit in 1..=names.len() + 1 {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let page = listed(&tree.repositories, seen.last().map(String::as_str), limit).await;
            seen.extend(texts(&page).into_iter().map(str::to_owned));
            if !page.more {
                break;
            }
            assert_eq!(page.repositories.len(), limit);
        }
        assert_eq!(seen, names, "pages of {limit}");
    }
    let none = listed(&tree.repositories, None, 0).await;
    assert_eq!((texts(&none), none.more), (vec![], false));
    assert_eq!(texts(&listed(&tree.repositories, Some("a/b/c"), 2).await), ["a/b/c/d", "a/c"]);
    assert_eq!(texts(&listed(&tree.repositories, Some("zz"), 2).await), Vec::<&str>::new());
}

#[tokio::test]
async fn a_repository_is_known_by_its_manifests_or_its_layers() {
    let tree = Tree::new();
    tree.push_blob(&name("only/layers"), b"x").await;
    tree.push_image(&name("whole"), None, "image").await;
    let root = tree.path(&layout::repositories());
    for not_one in ["only/uploads/_uploads/x", "empty", "_manifests/_manifests", "Upper/_manifests"] {
        fs::create_dir_all(root.join(not_one)).expect("made");
    }
    fs::write(root.join("file"), "x").expect("written");
    assert_eq!(texts(&listed(&tree.repositories, None, 10).await), ["only/layers", "whole"]);
}

/// Passes everything on and remembers which folders were listed.
struct Watched {
    storage: Filesystem,
    listed: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Storage for Watched {
    async fn check(&self) -> Result<(), StorageError> {
        self.storage.check().await
    }
    async fn read_all(&self, keys: Vec<Key>, limit: u64) -> Result<Vec<Option<Bytes>>, StorageError> {
        self.storage.read_all(keys, limit).await
    }
    async fn write_all(
        &self,
        objects: Vec<(Key, Bytes)>,
        durability: Durability,
    ) -> Result<(), StorageError> {
        self.storage.write_all(objects, durability).await
    }
    async fn sizes(&self, keys: Vec<Key>) -> Result<Vec<Option<u64>>, StorageError> {
        self.storage.sizes(keys).await
    }
    async fn open(&self, key: &Key) -> Result<Option<Box<dyn ObjectReader>>, StorageError> {
        self.storage.open(key).await
    }
    async fn hash(&self, key: &Key, range: Range<u64>, hasher: Hasher) -> Result<Hasher, StorageError> {
        self.storage.hash(key, range, hasher).await
    }
    async fn append(&self, key: &Key, hasher: Hasher) -> Result<Box<dyn Appender>, StorageError> {
        self.storage.append(key, hasher).await
    }
    async fn rename(&self, from: &Key, to: &Key) -> Result<bool, StorageError> {
        self.storage.rename(from, to).await
    }
    async fn list(&self, folder: &Key) -> Result<Option<Vec<Entry>>, StorageError> {
        self.listed.lock().expect("no panic").push(folder.to_string());
        self.storage.list(folder).await
    }
    async fn newest(&self, folder: &Key) -> Result<Option<time::OffsetDateTime>, StorageError> {
        self.storage.newest(folder).await
    }

    async fn remove(&self, key: &Key, durability: Durability) -> Result<bool, StorageError> {
        self.storage.remove(key, durability).await
    }
    async fn remove_tree(&self, folder: &Key, durability: Durability) -> Result<(), StorageError> {
        self.storage.remove_tree(folder, durability).await
    }
    async fn lock(&self, key: &Key) -> Result<Lock, StorageError> {
        self.storage.lock(key).await
    }
    async fn try_lock(&self, key: &Key) -> Result<TryLock, StorageError> {
        self.storage.try_lock(key).await
    }
    async fn claim_tree(&self, claim: TreeClaim) -> Result<Option<Lock>, StorageError> {
        self.storage.claim_tree(claim).await
    }
}

#[tokio::test]
async fn a_page_looks_only_into_folders_that_can_hold_its_names() {
    let tree = Tree::new();
    let names: Vec<String> =
        (0..20).flat_map(|team| (0..20).map(move |app| format!("team{team:02}/app{app:02}"))).collect();
    make(&tree, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let random = SystemRandom::new();
    let root = tree.path(&layout::root()).ancestors().nth(3).expect("three components").to_owned();
    let folders = Arc::new(Mutex::new(Vec::new()));
    let storage = Watched {
        storage: Filesystem::open(root, DEFAULT_MAX_THREADS, &random).expect("randomness"),
        listed: Arc::clone(&folders),
    };
    let repositories = Repositories::new(Arc::new(storage), Arc::new(ManualClock::default()), random);
    for after in [None, Some("team10/app15"), Some("team19/app10")] {
        folders.lock().expect("no panic").clear();
        let page = listed(&repositories, after, 7).await;
        assert_eq!(page.repositories.len(), 7);
        let folders = folders.lock().expect("no panic");
        // The root, two teams at most, the one to begin after, which may have others below it, and one folder for
        // each name that is shown or needed to know that there are more.
        assert!(folders.len() <= 1 + 2 + 1 + 8, "{after:?}: {folders:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_page_is_a_cut_of_the_sorted_list(
        names in proptest::collection::btree_set("[ab](-|\\.|_)?[ab](/[ab](-[ab])?){0,2}", 0..12),
        after in "[ab./-]{0,5}",
        limit in 0..6usize,
    ) {
        let tree = Tree::new();
        make(&tree, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let page = runtime.block_on(listed(&tree.repositories, Some(&after), limit));
        let rest: Vec<&str> = names.iter().map(String::as_str).filter(|name| **name > *after).collect();
        let expected = &rest[..limit.min(rest.len())];
        prop_assert_eq!(texts(&page), expected);
        prop_assert_eq!(page.more, limit > 0 && rest.len() > limit);
    }
}
