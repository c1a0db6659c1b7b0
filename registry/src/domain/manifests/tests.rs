//! Tests of manifests: what lies on disk, what is refused, and who wins when two change the same thing.
//!
//! *Invariant:* every acknowledged push of a race can be read afterwards.

use super::*;
use crate::domain::testing::{Tree, image, index, name, tag};
use crate::domain::watched::watched;
use crate::oci::manifest::InvalidManifest;
use crate::oci::media_type::{DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

fn by_tag(text: &str) -> Reference {
    Reference::Tag(tag(text))
}

fn by_digest(digest: &Digest) -> Reference {
    Reference::Digest(digest.clone())
}

async fn put(
    tree: &Tree,
    reference: Reference,
    content_type: Option<&str>,
    bytes: Bytes,
) -> Result<Digest, RegistryError> {
    let push = ManifestPush::new(reference, content_type.unwrap_or_default(), bytes);
    Ok(tree.repositories.put_manifest(&name("a/b"), push, None).await?.digest)
}

fn no_condition() -> Precondition {
    Precondition::default()
}

async fn is_there(tree: &Tree, reference: &Reference) -> bool {
    match tree.repositories.get_manifest(&name("a/b"), reference).await {
        Ok(_) => true,
        Err(RegistryError::ManifestUnknown { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_manifest_lies_on_disk_as_the_distribution_registry_expects_it() {
    let tree = Tree::new();
    let repository = name("a/b");
    let config = tree.push_blob(&repository, b"{}").await;
    let bytes = image(&config, &[]);
    let digest = tree.push_manifest(&repository, Some(&tag("v1")), bytes.clone()).await;
    assert_eq!(tree.storage_read(&layout::blob(&digest)).as_deref(), Some(&bytes[..]));
    for link in [
        layout::revision_link(&repository, &digest),
        layout::tag_current_link(&repository, &tag("v1")),
        layout::tag_index_link(&repository, &tag("v1"), &digest),
    ] {
        assert_eq!(tree.storage_read(&link).map(String::from_utf8), Some(Ok(digest.to_string())), "{link}");
    }
    for reference in [by_tag("v1"), by_digest(&digest)] {
        let stored = tree.repositories.get_manifest(&repository, &reference).await.expect("there");
        assert_eq!(stored.bytes, bytes);
        assert_eq!(stored.media_type, OCI_MANIFEST);
        assert_eq!(stored.digest, digest);
    }
}

#[tokio::test]
async fn a_tag_moves_and_remembers_where_it_was() {
    let tree = Tree::new();
    let repository = name("a/b");
    let old = tree.push_image(&repository, Some(&tag("v1")), "old").await;
    let new = tree.push_image(&repository, Some(&tag("v1")), "new").await;
    let stored = tree.repositories.get_manifest(&repository, &by_tag("v1")).await.expect("there");
    assert_eq!(stored.digest, new);
    assert!(is_there(&tree, &by_digest(&old)).await);
    for digest in [&old, &new] {
        assert!(tree.storage_exists(&layout::tag_index_link(&repository, &tag("v1"), digest)));
    }
}

#[tokio::test]
async fn a_reference_by_digest_must_be_that_of_the_bytes() {
    let tree = Tree::new();
    let repository = name("a/b");
    let config = tree.push_blob(&repository, b"{}").await;
    let bytes = image(&config, &[]);
    let other = Digest::sha256_of(b"other");
    let pushed = put(&tree, by_digest(&other), Some(OCI_MANIFEST), bytes.clone());
    let error = pushed.await.expect_err("mismatch");
    assert!(matches!(error, RegistryError::DigestMismatch { expected, .. } if expected == other));

    let long = Digest::of(Algorithm::Sha512, &bytes);
    let pushed = put(&tree, by_digest(&long), Some(OCI_MANIFEST), bytes.clone());
    assert_eq!(pushed.await.expect("sha512 is right"), long);
    let canonical = Digest::sha256_of(&bytes);
    let link = tree.storage_read(&layout::revision_link(&repository, &long)).expect("linked");
    assert_eq!(String::from_utf8(link), Ok(canonical.to_string()));
    let stored = tree.repositories.get_manifest(&repository, &by_digest(&long)).await.expect("there");
    assert_eq!((stored.digest, stored.bytes), (long, bytes));
}

#[tokio::test]
async fn everything_that_is_missing_is_named() {
    let tree = Tree::new();
    let repository = name("a/b");
    let here = tree.push_blob(&repository, b"here").await;
    let elsewhere = tree.push_blob(&name("other"), b"elsewhere").await;
    let nowhere = Digest::sha256_of(b"nowhere");
    let gutted = tree.push_blob(&repository, b"collected by another registry").await;
    tree.storage_remove(&layout::blob(&gutted));
    let bytes = image(&here, &[&elsewhere, &here, &nowhere, &gutted]);
    let pushed = put(&tree, by_tag("v1"), Some(OCI_MANIFEST), bytes.clone());
    let error = pushed.await.expect_err("incomplete");
    let RegistryError::ManifestBlobUnknown { missing } = error else { panic!("{error}") };
    assert_eq!(missing, [elsewhere, nowhere, gutted]);
    assert!(!tree.storage_exists(&layout::blob(&Digest::sha256_of(&bytes))), "nothing was written");
    assert!(!tree.storage_exists(&layout::tags(&repository)));

    let child = tree.push_image(&repository, None, "child").await;
    let stranger = tree.push_image(&name("other"), None, "stranger").await;
    // A blob of the repository is not a manifest of it.
    let bytes = index(&[&child, &stranger, &here]);
    let pushed = put(&tree, by_tag("multi"), Some(OCI_INDEX), bytes);
    let error = pushed.await.expect_err("incomplete");
    let RegistryError::ManifestBlobUnknown { missing } = error else { panic!("{error}") };
    assert_eq!(missing, [stranger, here]);
    let whole = index(&[&child]);
    let pushed = put(&tree, by_tag("multi"), Some(OCI_INDEX), whole);
    pushed.await.expect("its only child is here");
}

#[tokio::test]
async fn what_is_no_manifest_is_refused_before_anything_is_touched() {
    let tree = Tree::new();
    let config = Digest::sha256_of(b"");
    for (content_type, bytes) in [
        (None, image(&config, &[])),
        (Some("application/json"), image(&config, &[])),
        (Some(DOCKER_MANIFEST), image(&config, &[])),
        (Some(OCI_MANIFEST), Bytes::from("{")),
        (Some(OCI_MANIFEST), Bytes::new()),
    ] {
        let pushed = put(&tree, by_tag("v1"), content_type, bytes).await;
        assert!(matches!(pushed, Err(RegistryError::ManifestInvalid(_))), "{content_type:?}");
    }
    let named = put(&tree, by_tag("v1"), Some("text/x"), Bytes::new()).await;
    let Err(RegistryError::ManifestInvalid(InvalidManifest::UnsupportedMediaType { media_type })) = named
    else {
        panic!("unsupported")
    };
    assert_eq!(media_type, "text/x");
    assert!(!tree.storage_exists(&layout::root()));
}

#[tokio::test]
async fn a_manifest_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() {
    let tree = Tree::new();
    let repository = name("a/b");
    let config = tree.push_blob(&repository, b"{}").await;
    let limit = usize::try_from(MANIFEST_LIMIT_BYTES).expect("small");
    let mut bytes = image(&config, &[]).to_vec();
    bytes.resize(limit, b' ');
    tree.push_manifest(&repository, Some(&tag("big")), bytes.clone().into()).await;
    let stored = tree.repositories.get_manifest(&repository, &by_tag("big")).await.expect("there");
    assert_eq!(stored.bytes.len(), limit);
    bytes.push(b' ');
    let pushed = put(&tree, by_tag("big"), Some(OCI_MANIFEST), bytes.into()).await;
    assert!(matches!(pushed, Err(RegistryError::ManifestTooLarge { limit_bytes: MANIFEST_LIMIT_BYTES })));
}

#[tokio::test]
async fn deleting_a_manifest_takes_its_tags_and_no_others() {
    let tree = Tree::new();
    let repository = name("a/b");
    let doomed = tree.push_image(&repository, Some(&tag("v1")), "doomed").await;
    tree.push_image(&repository, Some(&tag("latest")), "doomed").await;
    let kept = tree.push_image(&repository, Some(&tag("v2")), "kept").await;
    // Once named the doomed one, now names another.
    tree.push_image(&repository, Some(&tag("moved")), "doomed").await;
    tree.push_image(&repository, Some(&tag("moved")), "kept").await;
    // Damage beside it must not keep it from going.
    tree.storage_write(&layout::tag_current_link(&repository, &tag("damaged")), "");

    let deleted =
        tree.repositories.delete_manifest(&repository, &doomed, no_condition(), None).await.expect("deleted");
    assert_eq!(deleted.tags, [tag("latest"), tag("v1")]);
    for gone in [by_digest(&doomed), by_tag("v1"), by_tag("latest")] {
        assert!(!is_there(&tree, &gone).await, "{gone}");
    }
    for there in [by_digest(&kept), by_tag("v2"), by_tag("moved")] {
        assert!(is_there(&tree, &there).await, "{there}");
    }
    assert!(tree.storage_exists(&layout::blob(&doomed)), "the bytes are the collector's");
    let again = tree.repositories.delete_manifest(&repository, &doomed, no_condition(), None).await;
    assert!(matches!(again, Err(RegistryError::ManifestUnknown { .. })));
    let pushed_again = tree.push_image(&repository, Some(&tag("v1")), "doomed").await;
    assert_eq!(pushed_again, doomed);
    assert!(is_there(&tree, &by_tag("v1")).await);
}

#[tokio::test]
async fn deleting_what_is_not_there_leaves_no_files() {
    let tree = Tree::new();
    let unknown =
        tree.repositories.delete_manifest(&name("a/b"), &Digest::sha256_of(b"x"), no_condition(), None).await;
    assert!(matches!(unknown, Err(RegistryError::ManifestUnknown { .. })));
    let unknown = tree.repositories.delete_tag(&name("a/b"), &tag("x"), no_condition(), None).await;
    assert!(matches!(unknown, Err(RegistryError::ManifestUnknown { .. })));
    assert!(!tree.storage_exists(&layout::root()));
}

#[tokio::test]
async fn deleting_a_tag_keeps_the_manifest_and_other_tags() {
    let tree = Tree::new();
    let repository = name("a/b");
    let digest = tree.push_image(&repository, Some(&tag("v1")), "image").await;
    tree.push_image(&repository, Some(&tag("v1-rc")), "image").await;
    tree.repositories.delete_tag(&repository, &tag("v1"), no_condition(), None).await.expect("deleted");
    assert!(!is_there(&tree, &by_tag("v1")).await);
    assert!(!tree.storage_exists(&layout::tag(&repository, &tag("v1"))), "the whole folder is gone");
    assert!(is_there(&tree, &by_tag("v1-rc")).await);
    assert!(is_there(&tree, &by_digest(&digest)).await);
    let again = tree.repositories.delete_tag(&repository, &tag("v1"), no_condition(), None).await;
    assert!(matches!(again, Err(RegistryError::ManifestUnknown { .. })));
}

#[tokio::test]
async fn a_tag_whose_revision_is_gone_reads_as_absent() {
    let tree = Tree::new();
    let repository = name("a/b");
    let digest = tree.push_image(&repository, Some(&tag("v1")), "image").await;
    tree.storage_remove(&layout::revision_link(&repository, &digest));
    assert!(!is_there(&tree, &by_tag("v1")).await);
    let deleting = tree.repositories.delete_tag(&repository, &tag("v1"), no_condition(), None).await;
    assert!(matches!(deleting, Err(RegistryError::ManifestUnknown { .. })));
}

#[tokio::test]
async fn a_broken_link_is_told_as_damage_with_its_key() {
    let tree = Tree::new();
    let repository = name("a/b");
    let digest = tree.push_image(&repository, Some(&tag("v1")), "image").await;
    let current = layout::tag_current_link(&repository, &tag("v1"));
    let revision = layout::revision_link(&repository, &digest);
    for (key, content, reference) in [
        (&current, format!("{digest}\n"), by_tag("v1")),
        (&current, String::new(), by_tag("v1")),
        (&current, "x".repeat(5000), by_tag("v1")),
        (&revision, String::new(), by_digest(&digest)),
        (&revision, Digest::sha256_of(b"another").to_string(), by_digest(&digest)),
    ] {
        let whole = tree.storage_read(key).expect("there");
        tree.storage_write(key, content);
        let error = tree.repositories.get_manifest(&repository, &reference).await.expect_err("damage");
        assert!(matches!(error, RegistryError::Storage(_)), "{error}");
        assert!(error.to_string().contains(key.as_str()), "{error}");
        tree.storage_write(key, whole);
    }
    // Pushing again repairs it.
    tree.storage_write(&current, "");
    tree.push_image(&repository, Some(&tag("v1")), "image").await;
    assert!(is_there(&tree, &by_tag("v1")).await);
}

#[tokio::test]
async fn a_tree_without_index_links_is_as_good_as_one_with() {
    let tree = Tree::new();
    let repository = name("a/b");
    let digest = tree.push_image(&repository, Some(&tag("v1")), "image").await;
    tree.storage_remove(&layout::tag_index_link(&repository, &tag("v1"), &digest));
    assert!(is_there(&tree, &by_tag("v1")).await);
    let deleted =
        tree.repositories.delete_manifest(&repository, &digest, no_condition(), None).await.expect("deleted");
    assert_eq!(deleted.tags, [tag("v1")]);
}

#[tokio::test]
async fn bytes_that_a_crash_of_another_registry_emptied_are_written_again() {
    let tree = Tree::new();
    let repository = name("a/b");
    let digest = tree.push_image(&repository, Some(&tag("v1")), "image").await;
    tree.storage_write(&layout::blob(&digest), "");
    let damaged = tree.repositories.get_manifest(&repository, &by_tag("v1")).await;
    assert!(matches!(damaged, Err(RegistryError::Storage(_))));
    tree.push_image(&repository, Some(&tag("v1")), "image").await;
    assert!(is_there(&tree, &by_tag("v1")).await);
}

#[tokio::test]
async fn a_change_that_was_begun_is_finished_although_the_client_left() {
    let tree = Tree::new();
    let repository = name("a/b");
    let digest = tree.push_image(&repository, Some(&tag("v1")), "image").await;
    let lock = layout::revision_lock(&repository, &digest);
    let held = tree.repositories.storage().lock(&lock).await.expect("granted");
    let (registry, acts) = watched(&tree);
    {
        let mut delete = Box::pin(registry.delete_manifest(&repository, &digest, no_condition(), None));
        while !acts.take().of("lock").contains(&lock.as_str()) {
            assert!(futures_util::poll!(&mut delete).is_pending(), "somebody else holds the lock");
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
    drop(held);
    while is_there(&tree, &by_digest(&digest)).await {
        tokio::task::yield_now().await;
    }
    assert!(!is_there(&tree, &by_tag("v1")).await);
}

/// Deleting the manifest a tag named while the tag is being moved elsewhere must not take the moved tag.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_moved_during_a_delete_is_not_lost() {
    let tree = Tree::new();
    let repository = name("a/b");
    let there = tree.reopened();
    for round in 0..30 {
        let old = tree.push_image(&repository, Some(&tag("v1")), "old").await;
        let config = tree.push_blob(&repository, b"config of new").await;
        let bytes = image(&config, &[]);
        let (deleting, moving) = (there.clone(), tree.repositories.clone());
        let (a, b) = (repository.clone(), repository.clone());
        let delete =
            tokio::spawn(async move { deleting.delete_manifest(&a, &old, no_condition(), None).await });
        let moved = tokio::spawn(async move {
            moving.put_manifest(&b, ManifestPush::new(by_tag("v1"), OCI_MANIFEST, bytes), None).await
        });
        let moved = moved.await.expect("no panic").expect("acknowledged");
        delete.await.expect("no panic").expect("deleted");
        let stored = tree.repositories.get_manifest(&repository, &by_tag("v1")).await;
        assert_eq!(stored.expect("acknowledged, so it is there").digest, moved.digest, "round {round}");
    }
}

/// Pushing and deleting one digest at once, in two processes, ends in one of the two orders and never between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_and_a_delete_of_one_manifest_do_not_mix() {
    let tree = Tree::new();
    let repository = name("a/b");
    let there = tree.reopened();
    for round in 0..30 {
        let digest = tree.push_image(&repository, Some(&tag("v1")), "image").await;
        let bytes = tree.repositories.get_manifest(&repository, &by_tag("v1")).await.expect("there").bytes;
        let (deleting, pushing) = (there.clone(), tree.repositories.clone());
        let (a, b, doomed) = (repository.clone(), repository.clone(), digest.clone());
        let delete =
            tokio::spawn(async move { deleting.delete_manifest(&a, &doomed, no_condition(), None).await });
        let push = tokio::spawn(async move {
            pushing.put_manifest(&b, ManifestPush::new(by_tag("v1"), OCI_MANIFEST, bytes), None).await
        });
        push.await.expect("no panic").expect("acknowledged");
        delete.await.expect("no panic").expect("deleted");
        let (revision, tagged) =
            (is_there(&tree, &by_digest(&digest)).await, is_there(&tree, &by_tag("v1")).await);
        assert_eq!(revision, tagged, "round {round}: tag and revision stand or fall together");
    }
}
