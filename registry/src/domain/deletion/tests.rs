//! Tests of deleting whole repositories.
//!
//! *Invariant:* what is gone is looked for in the tree and by every way to list or read it.

use shared::clock::Clock as _;

use super::*;
use crate::domain::manifests::ManifestPush;
use crate::domain::testing::{Tree, body, image, name, tag};
use crate::domain::upload_session::UploadOwner;
use crate::domain::uploads::Announced;
use crate::domain::watched::{Acts, watched};
use crate::oci::digest::{Algorithm, Digest};
use crate::oci::media_type::OCI_MANIFEST;
use crate::oci::reference::Reference;
use crate::storage::layout::{Key, SessionKeys};

async fn listed(repositories: &Repositories) -> Vec<String> {
    let page = repositories.list_repositories(None, 100, None).await.expect("listed");
    page.repositories.iter().map(ToString::to_string).collect()
}

fn is_unknown<T>(outcome: &Result<T, RegistryError>) -> bool {
    matches!(outcome, Err(RegistryError::RepositoryUnknown { .. }))
}

#[tokio::test]
async fn a_deleted_repository_is_gone_with_all_it_had_and_those_below_it_stay() {
    let tree = Tree::new();
    let (doomed, below, beside) = (name("a/b"), name("a/b/c"), name("a/b-c"));
    for repository in [&doomed, &below, &beside] {
        tree.push_image(repository, Some(&tag("v1")), "x").await;
    }
    let layer = Digest::sha256_of(b"layer of x");
    let session = tree.repositories.start_upload(&doomed, &UploadOwner::anonymous(), Algorithm::Sha256).await;
    let session = session.expect("started").id;
    assert_eq!(tree.repositories.deleted_at(&doomed).await.expect("readable"), None);

    let deleted = tree.repositories.delete_repository(&doomed, None).await.expect("deleted");
    assert_eq!(listed(&tree.repositories).await, ["a/b-c", "a/b/c"]);
    assert!(is_unknown(&tree.repositories.list_tags(&doomed, None, None).await));
    let manifest = tree.repositories.get_manifest(&doomed, &Reference::Tag(tag("v1"))).await;
    assert!(matches!(manifest, Err(RegistryError::ManifestUnknown { .. })));
    let blob = tree.repositories.stat_blob(&doomed, &layer).await;
    assert!(matches!(blob, Err(RegistryError::BlobUnknown { .. })));
    let upload = tree.repositories.upload_status(&doomed, session, &UploadOwner::anonymous()).await;
    assert!(matches!(upload, Err(RegistryError::UploadUnknown { .. })));
    for folder in [layout::manifests(&doomed), layout::all_layers(&doomed), layout::uploads(&doomed)] {
        assert!(!tree.storage_exists(&folder), "{folder}");
    }
    for repository in [&below, &beside] {
        tree.repositories.get_manifest(repository, &Reference::Tag(tag("v1"))).await.expect("still there");
        tree.repositories.stat_blob(repository, &layer).await.expect("still there");
    }
    assert_eq!(tree.repositories.deleted_at(&doomed).await.expect("readable"), Some(deleted));
    assert_eq!(tree.reopened().deleted_at(&doomed).await.expect("readable"), Some(deleted));
    assert_eq!(tree.storage_read(&layout::deletion(&doomed)), Some(deleted.to_string().into_bytes()));
    assert_eq!(tree.repositories.deleted_at(&below).await.expect("readable"), None);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_deleted_and_leaves_no_trace() {
    let tree = Tree::new();
    assert!(is_unknown(&tree.repositories.delete_repository(&name("a"), None).await));
    tree.push_image(&name("a/b"), None, "x").await;
    assert!(is_unknown(&tree.repositories.delete_repository(&name("a"), None).await), "only a folder");
    assert!(!tree.storage_exists(&layout::locks(&name("a"))));
    tree.repositories.delete_repository(&name("a/b"), None).await.expect("deleted");
    assert!(is_unknown(&tree.repositories.delete_repository(&name("a/b"), None).await), "deleted already");
}

#[tokio::test]
async fn of_many_who_delete_at_a_time_one_does() {
    let tree = Tree::new();
    tree.push_image(&name("a"), Some(&tag("v1")), "x").await;
    let deletes =
        (0..5).map(|_| async { tree.repositories.delete_repository(&name("a"), None).await.is_ok() });
    let done = futures_util::future::join_all(deletes).await;
    assert_eq!(done.into_iter().filter(|done| *done).count(), 1);
    assert!(listed(&tree.repositories).await.is_empty(), "locks do not make a repository");
}

#[tokio::test]
async fn a_push_afterwards_makes_a_fresh_repository() {
    let tree = Tree::new();
    tree.push_image(&name("a"), Some(&tag("old")), "x").await;
    let first = tree.repositories.delete_repository(&name("a"), None).await.expect("deleted");
    tree.clock.advance(std::time::Duration::from_secs(2));
    tree.push_image(&name("a"), Some(&tag("new")), "x").await;
    let tags = tree.repositories.list_tags(&name("a"), None, None).await.expect("listed").tags;
    assert_eq!(tags, [tag("new")]);
    let second = tree.repositories.delete_repository(&name("a"), None).await.expect("deleted");
    assert!(second > first);
}

#[tokio::test]
async fn the_recorded_time_is_not_before_the_permission_and_always_grows() {
    let tree = Tree::new();
    let now = tree.clock.unix_now();
    tree.push_image(&name("a"), None, "x").await;
    let first = tree.repositories.delete_repository(&name("a"), Some(now + 500)).await.expect("deleted");
    assert_eq!(first, now + 500, "the clock of the issuer is ahead");
    tree.clock.advance(std::time::Duration::from_mins(10));
    tree.push_image(&name("a"), None, "x").await;
    let second = tree.repositories.delete_repository(&name("a"), Some(1)).await.expect("deleted");
    assert!(second >= now + 600, "an old permission does not date it back");
    tree.storage_write(&layout::deletion(&name("b")), (now + 9000).to_string());
    tree.push_manifest(&name("b"), None, image(&tree.push_blob(&name("b"), b"config").await, &[])).await;
    let third = tree.repositories.delete_repository(&name("b"), None).await.expect("deleted");
    assert_eq!(third, now + 9001, "the clock was set back since the last time");
}

#[tokio::test]
async fn a_crash_behind_any_step_leaves_something_that_can_be_deleted() {
    let repository = name("a");
    let steps = [
        layout::tags(&repository),
        layout::revision_algorithms(&repository),
        layout::all_layers(&repository),
        layout::uploads(&repository),
    ];
    for done in 0..=2 {
        let tree = Tree::new();
        tree.push_image(&repository, Some(&tag("v1")), "x").await;
        tree.storage_write(&layout::deletion(&repository), "1000");
        for folder in &steps[..done] {
            std::fs::remove_dir_all(tree.path(folder)).expect("removed");
        }
        let after = tree.reopened();
        let read = after.get_manifest(&repository, &Reference::Tag(tag("v1"))).await;
        assert_eq!(read.is_ok(), done == 0, "a tag is there or unknown, never damaged: {done}");
        let tags = after.list_tags(&repository, None, None).await.expect("still a repository").tags;
        assert_eq!(tags.is_empty(), done > 0);
        after.delete_repository(&repository, None).await.expect("repeated");
        assert!(listed(&after).await.is_empty());
    }
}

#[tokio::test]
async fn a_look_is_good_for_a_second_and_deleting_here_is_known_at_once() {
    let tree = Tree::new();
    tree.push_image(&name("a"), None, "x").await;
    assert_eq!(tree.repositories.deleted_at(&name("a")).await.expect("readable"), None);
    let deleted = tree.repositories.delete_repository(&name("a"), None).await.expect("deleted");
    assert_eq!(tree.repositories.deleted_at(&name("a")).await.expect("readable"), Some(deleted));
    tree.clock.advance(std::time::Duration::from_secs(1));
    tree.storage_remove(&layout::deletion(&name("a")));
    assert_eq!(tree.repositories.deleted_at(&name("a")).await.expect("readable"), None, "looked again");
}

#[tokio::test]
async fn a_damaged_record_is_no_permission() {
    let tree = Tree::new();
    for damage in ["", "yesterday", "1000\n", "99999999999999999999"] {
        tree.storage_write(&layout::deletion(&name("a")), damage);
        let error = tree.reopened().deleted_at(&name("a")).await.expect_err("damage");
        assert!(error.to_string().contains("_portcullis/deleted"), "{error}");
    }
}

#[tokio::test]
async fn what_was_begun_before_a_deletion_does_not_come_in_after_it() {
    let tree = Tree::new();
    let (repository, owner) = (name("a"), UploadOwner::anonymous());
    let digest = Digest::sha256_of(b"content");
    let session =
        tree.repositories.start_upload(&repository, &owner, Algorithm::Sha256).await.expect("started");
    tree.storage_write(&layout::deletion(&repository), session.started_at.unix_timestamp().to_string());
    let closing = tree.repositories.finish_upload(
        &repository,
        session.id,
        &owner,
        &digest,
        Announced::default(),
        body(&[b"content"]),
    );
    assert!(matches!(closing.await, Err(RegistryError::UploadUnknown { .. })));
    assert!(!tree.storage_exists(&layout::all_layers(&repository)), "nothing was linked");
    assert!(!tree.storage_exists(&SessionKeys::new(&repository, session.id.uuid()).folder));

    // A manifest that was checked and waits for its lock while the repository goes.
    let config = tree.push_blob(&name("b"), b"config").await;
    let manifest = image(&config, &[]);
    let lock = layout::revision_lock(&name("b"), &Digest::sha256_of(&manifest));
    let held = tree.repositories.storage().lock(&lock).await.expect("free");
    let (registry, acts) = watched(&tree);
    let push = tokio::spawn(async move {
        let push = ManifestPush::new(Reference::Tag(tag("v1")), OCI_MANIFEST, manifest);
        registry.put_manifest(&name("b"), push, None).await
    });
    until_locked(&acts, &lock, 1).await;
    tree.storage_write(&layout::deletion(&name("b")), "1000");
    drop(held);
    let outcome = push.await.expect("no panic");
    assert!(matches!(outcome, Err(RegistryError::RepositoryDeleted { .. })), "{outcome:?}");
    assert!(!tree.storage_exists(&layout::tags(&name("b"))));
}

#[tokio::test]
async fn a_deletion_removes_the_locks_it_holds_and_no_others() {
    let tree = Tree::new();
    tree.push_image(&name("a"), Some(&tag("v1")), "x").await;
    // Whoever waits for a lock makes it anew as soon as it is gone; here somebody holds one of his own all the time.
    let other = format!("{}/other", tree.path(&layout::locks(&name("a"))).display());
    std::fs::write(&other, "").expect("written");
    tree.repositories.delete_repository(&name("a"), None).await.expect("deleted");
    assert!(std::path::Path::new(&other).exists());
    for lock in layout::all_locks(&name("a")) {
        assert!(!tree.storage_exists(&lock), "{lock}");
    }
}

/// Waits until so many have asked for a lock.
async fn until_locked(acts: &Acts, lock: &Key, count: usize) {
    let mut asked = 0;
    while asked < count {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        asked += acts.take().of("lock").iter().filter(|key| **key == lock.as_str()).count();
    }
}

#[tokio::test]
async fn a_blob_that_is_about_to_be_linked_does_not_bring_the_repository_back() {
    let tree = Tree::new();
    let (repository, owner) = (name("a"), UploadOwner::anonymous());
    let digest = tree.push_blob(&name("source"), b"content").await;
    tree.push_blob(&repository, b"other content").await;
    let session = tree.repositories.start_upload(&repository, &owner, Algorithm::Sha256).await;
    let session = session.expect("started").id;
    let lock = layout::revision_lock(&repository, &digest);
    let held = tree.repositories.storage().lock(&lock).await.expect("free");
    let (registry, acts) = watched(&tree);
    let closing = tokio::spawn({
        let (registry, repository, digest) = (registry.clone(), repository.clone(), digest.clone());
        async move {
            let (whole, body) = (Announced::default(), body(&[b"content"]));
            registry.finish_upload(&repository, session, &owner, &digest, whole, body).await
        }
    });
    let mounting = tokio::spawn({
        let repository = repository.clone();
        async move { registry.mount_blob(&repository, &digest, &name("source")).await }
    });
    until_locked(&acts, &lock, 2).await;
    assert!(!closing.is_finished() && !mounting.is_finished());
    tree.storage_write(&layout::deletion(&repository), "1000");
    std::fs::remove_dir_all(tree.path(&layout::all_layers(&repository))).expect("removed");
    drop(held);
    let closed = closing.await.expect("no panic");
    assert!(matches!(closed, Err(RegistryError::UploadUnknown { .. })), "{closed:?}");
    let mounted = mounting.await.expect("no panic");
    assert!(mounted.is_err(), "{mounted:?}");
    assert!(!tree.storage_exists(&layout::all_layers(&repository)));
}

#[test]
fn a_look_that_was_overtaken_by_a_deletion_does_not_hide_it() {
    let (deletions, repository) = (Deletions::default(), name("a"));
    let at = |second| OffsetDateTime::from_unix_timestamp(second).expect("a time");
    assert_eq!(deletions.remember(&repository, Looked { at: at(2), deleted: Some(2) }), Some(2));
    assert_eq!(deletions.remember(&repository, Looked { at: at(2), deleted: None }), Some(2));
    assert_eq!(deletions.remember(&repository, Looked { at: at(1), deleted: None }), Some(2));
    assert_eq!(deletions.remember(&repository, Looked { at: at(3), deleted: None }), None, "removed by hand");
}
