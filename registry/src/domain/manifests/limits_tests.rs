//! Tests of pushes and deletions by callers who may not do everything.
//!
//! *Invariant:* what is refused has left nothing behind; what was judged under a lock is what was there when it was done.

use serde_json::{Value, json};

use super::*;
use crate::domain::limits::{Act, BeyondLimits};
use crate::domain::testing::{Tree, image, limits, name, tag};
use crate::domain::watched::{Acts, watched};
use crate::oci::media_type::OCI_MANIFEST;

/// An image whose blobs are in the repository and which is not.
async fn ready(tree: &Tree, seed: &str) -> (Digest, Bytes) {
    let config = tree.push_blob(&name("a/b"), format!("config of {seed}").as_bytes()).await;
    let bytes = image(&config, &[]);
    (Digest::sha256_of(&bytes), bytes)
}

/// The same, referring to another manifest.
fn attached(bytes: &Bytes, subject: &Digest) -> Bytes {
    let mut manifest: Value = serde_json::from_slice(bytes).expect("a manifest");
    manifest["subject"] = json!({"mediaType": OCI_MANIFEST, "digest": subject.to_string(), "size": 1});
    manifest.to_string().into()
}

async fn put(registry: &Repositories, reference: &str, tags: &[&str], bytes: &Bytes, row: &Value) -> Outcome {
    let reference = Reference::parse(reference).expect("a reference");
    let tags = tags.iter().map(|text| tag(text)).collect();
    let push = ManifestPush { tags, ..ManifestPush::new(reference, OCI_MANIFEST, bytes.clone()) };
    let limits = limits("a/b", row.clone());
    outcome(registry.put_manifest(&name("a/b"), push, Some(&limits)).await)
}

async fn delete(registry: &Repositories, digest: &Digest, row: &Value) -> Outcome {
    let limits = limits("a/b", row.clone());
    let condition = Precondition::default();
    outcome(registry.delete_manifest(&name("a/b"), digest, condition, Some(&limits)).await)
}

/// Done, or what of it was refused.
type Outcome = Result<(), Act>;

fn outcome<T>(result: Result<T, RegistryError>) -> Outcome {
    match result {
        Ok(_) => Ok(()),
        Err(RegistryError::BeyondLimits(BeyondLimits { act, .. })) => Err(act),
        Err(error) => panic!("{error}"),
    }
}

async fn named(tree: &Tree, name_of_tag: &str) -> Option<Digest> {
    tree.repositories.living_tag(&name("a/b"), &tag(name_of_tag)).await.expect("readable")
}

/// Waits until somebody has asked for a lock that the test holds.
async fn until_asked(acts: &Acts, lock: &Key) {
    while !acts.take().of("lock").contains(&lock.as_str()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_push_is_judged_by_what_its_tags_name_and_a_refusal_leaves_nothing() {
    let tree = Tree::new();
    let there = tree.push_image(&name("a/b"), Some(&tag("v1")), "there").await;
    let there_bytes = tree.repositories.get_manifest(&name("a/b"), &Reference::Digest(there.clone())).await;
    let there_bytes = there_bytes.expect("there").bytes;
    let (new, bytes) = ready(&tree, "new").await;
    let signature = attached(&bytes, &there);
    let signed = Digest::sha256_of(&signature);
    let (new, signed) = (new.to_string(), signed.to_string());
    let before = tree.listing();
    let create = json!({"create": {"in": ["*"]}});
    let attach = json!({"attach": true});
    for (row, reference, tags, bytes, act) in [
        (&json!({}), "v2", &[][..], &bytes, Act::CreateTag(tag("v2"))),
        (&create, "v1", &[], &bytes, Act::MoveTag(tag("v1"))),
        (&json!({"create": {"in": ["*"], "not": ["v*"]}}), "v2", &[], &bytes, Act::CreateTag(tag("v2"))),
        (&json!({"update": {"in": ["*"]}}), "v2", &[], &bytes, Act::CreateTag(tag("v2"))),
        (&json!({"update": {"in": ["w*"]}}), "v1", &[], &there_bytes, Act::MoveTag(tag("v1"))),
        (&create, &new, &[], &bytes, Act::PushByDigest),
        (&create, &new, &["w"], &bytes, Act::PushByDigest),
        (&attach, &new, &[], &bytes, Act::PushByDigest),
        (&attach, &signed, &["w"], &signature, Act::CreateTag(tag("w"))),
        (
            &json!({"digests": true, "create": {"in": ["*"]}}),
            &new,
            &["x", "y", "v1", "z"],
            &bytes,
            Act::MoveTag(tag("v1")),
        ),
    ] {
        let refused = put(&tree.repositories, reference, tags, bytes, row).await;
        assert_eq!(refused, Err(act), "{row} {reference} {tags:?}");
        assert_eq!(tree.listing(), before, "{row} {reference} {tags:?}: nothing is left, not even a lock");
    }
    assert_eq!(put(&tree.repositories, "v1", &[], &there_bytes, &create).await, Ok(()), "a repeated push");
    assert_eq!(put(&tree.repositories, &signed, &[], &signature, &attach).await, Ok(()));
    let both = json!({"digests": true, "create": {"in": ["w", "x"]}, "update": {"in": ["v1"]}});
    assert_eq!(put(&tree.repositories, &new, &["w", "v1", "x"], &bytes, &both).await, Ok(()));
    for tag in ["v1", "w", "x"] {
        assert_eq!(named(&tree, tag).await.map(|digest| digest.to_string()).as_ref(), Some(&new), "{tag}");
    }
}

#[tokio::test]
async fn rights_come_before_conditions_and_before_content_that_is_missing() {
    let tree = Tree::new();
    tree.push_image(&name("a/b"), Some(&tag("v1")), "there").await;
    let incomplete = image(&Digest::sha256_of(b"nowhere"), &[]);
    let create = json!({"create": {"in": ["*"]}});
    let refused = put(&tree.repositories, "v1", &[], &incomplete, &create).await;
    assert_eq!(refused, Err(Act::MoveTag(tag("v1"))));
    let (_, bytes) = ready(&tree, "new").await;
    let if_none = Precondition { if_match: None, if_none_match: Some(precondition::Expected::Anything) };
    let push = ManifestPush {
        precondition: if_none.clone(),
        ..ManifestPush::new(Reference::Tag(tag("v1")), OCI_MANIFEST, bytes)
    };
    let limits = limits("a/b", create);
    let pushed = tree.repositories.put_manifest(&name("a/b"), push, Some(&limits)).await;
    assert_eq!(outcome(pushed), Err(Act::MoveTag(tag("v1"))));
    let deleted = tree.repositories.delete_tag(&name("a/b"), &tag("v1"), if_none, Some(&limits)).await;
    assert_eq!(outcome(deleted), Err(Act::DeleteTag(tag("v1"))));
}

#[tokio::test]
async fn a_tag_that_somebody_makes_while_a_push_waits_for_it_is_not_moved() {
    let tree = Tree::new();
    let repository = name("a/b");
    let other = tree.push_image(&repository, None, "other").await;
    let (digest, bytes) = ready(&tree, "new").await;
    let lock = layout::tag_lock(&repository, &tag("v1"));
    let held = tree.repositories.storage().lock(&lock).await.expect("granted");
    let (registry, acts) = watched(&tree);
    let push =
        tokio::spawn(
            async move { put(&registry, "v1", &[], &bytes, &json!({"create": {"in": ["*"]}})).await },
        );
    until_asked(&acts, &lock).await;
    tree.storage_write(&layout::tag_current_link(&repository, &tag("v1")), other.to_string());
    drop(held);
    assert_eq!(push.await.expect("no panic"), Err(Act::MoveTag(tag("v1"))));
    assert_eq!(named(&tree, "v1").await, Some(other));
    assert!(!tree.storage_exists(&layout::blob(&digest)), "nothing was written");
    assert!(!tree.storage_exists(&layout::revision_folder(&repository, &digest)));
}

#[tokio::test]
async fn a_manifest_that_is_tagged_while_its_deletion_waits_is_kept() {
    let tree = Tree::new();
    let repository = name("a/b");
    let digest = tree.push_image(&repository, Some(&tag("pr-1")), "image").await;
    let lock = layout::revision_lock(&repository, &digest);
    let held = tree.repositories.storage().lock(&lock).await.expect("granted");
    let (registry, acts) = watched(&tree);
    let doomed = digest.clone();
    let row = json!({"manifests": true, "delete": {"in": ["pr-*"]}});
    let deletion = tokio::spawn(async move { delete(&registry, &doomed, &row).await });
    until_asked(&acts, &lock).await;
    tree.storage_write(&layout::tag_current_link(&repository, &tag("v1")), digest.to_string());
    drop(held);
    assert_eq!(deletion.await.expect("no panic"), Err(Act::DeleteTagged));
    for tag in ["pr-1", "v1"] {
        assert_eq!(named(&tree, tag).await.as_ref(), Some(&digest), "{tag}");
    }
}

/// In two processes, one of which lists its tags backwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_may_only_create_one_does_and_nobody_waits_for_ever() {
    let tree = Tree::new();
    let there = tree.reopened();
    let row = json!({"digests": true, "create": {"in": ["*"]}});
    for round in 0..10 {
        let tags: Vec<String> = (0..10).map(|number| format!("round-{round}.{number}")).collect();
        let mut pushes = tokio::task::JoinSet::new();
        for number in 0..6 {
            let (digest, bytes) = ready(&tree, &format!("{round}-{number}")).await;
            let (registry, mut tags) = if number % 2 == 0 {
                (tree.repositories.clone(), tags.clone())
            } else {
                (there.clone(), tags.iter().rev().cloned().collect())
            };
            tags.rotate_left(number);
            let row = row.clone();
            pushes.spawn(async move {
                let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
                (put(&registry, &digest.to_string(), &tags, &bytes, &row).await.is_ok(), digest)
            });
        }
        let (done, refused): (Vec<_>, Vec<_>) =
            pushes.join_all().await.into_iter().partition(|(is_done, _)| *is_done);
        let [(_, winner)] = &done[..] else { panic!("round {round}: {done:?}") };
        for tag in &tags {
            assert_eq!(named(&tree, tag).await.as_ref(), Some(winner), "round {round}: {tag}");
        }
        for (_, digest) in refused {
            assert!(!tree.storage_exists(&layout::blob(&digest)), "round {round}: nothing was written");
        }
    }
}

#[tokio::test]
async fn a_deletion_needs_the_right_to_every_tag_that_goes() {
    let tree = Tree::new();
    let repository = name("a/b");
    let digest = tree.push_image(&repository, Some(&tag("pr-1")), "image").await;
    tree.push_image(&repository, Some(&tag("v1")), "image").await;
    let untagged = tree.push_image(&repository, None, "untagged").await;
    let layer = tree.push_blob(&repository, b"a layer").await;
    let before = tree.listing();
    let registry = &tree.repositories;
    let everything = json!({"delete": {"in": ["*"]}, "create": {"in": ["*"]}, "digests": true});
    assert_eq!(delete(registry, &untagged, &everything).await, Err(Act::DeleteByDigest));
    let elsewhere = Digest::sha256_of(b"elsewhere");
    assert_eq!(delete(registry, &elsewhere, &everything).await, Err(Act::DeleteByDigest), "there or not");
    let requests = json!({"manifests": true, "delete": {"in": ["pr-*"]}});
    assert_eq!(delete(registry, &digest, &requests).await, Err(Act::DeleteTagged));
    let limited = limits("a/b", everything);
    let refused = registry.delete_blob(&repository, &layer, Some(&limited)).await;
    assert_eq!(outcome(refused), Err(Act::DeleteByDigest));
    let limited = limits("a/b", requests.clone());
    let refused = registry.delete_tag(&repository, &tag("v1"), Precondition::default(), Some(&limited)).await;
    assert_eq!(outcome(refused), Err(Act::DeleteTag(tag("v1"))));
    assert_eq!(tree.listing(), before, "nothing has gone, and nothing has come");

    registry.delete_blob(&repository, &layer, Some(&limited)).await.expect("deleted");
    assert_eq!(delete(registry, &untagged, &json!({"manifests": true})).await, Ok(()));
    let deleted =
        registry.delete_tag(&repository, &tag("pr-1"), Precondition::default(), Some(&limited)).await;
    deleted.expect("deleted");
    tree.push_image(&repository, Some(&tag("v1")), "moved on").await;
    // What is left of a tag is none.
    tree.storage_write(&layout::tag_index_link(&repository, &tag("old"), &digest), digest.to_string());
    assert_eq!(delete(registry, &digest, &requests).await, Ok(()));
    assert!(named(&tree, "v1").await.is_some());
}

#[tokio::test]
async fn limits_cost_nothing_where_there_are_none_and_locks_are_taken_in_order() {
    let tree = Tree::new();
    let repository = name("a/b");
    let (digest, bytes) = ready(&tree, "new").await;
    let (registry, acts) = watched(&tree);
    let tags = ["b", "a", "d", "c"];
    let push = ManifestPush {
        tags: tags.iter().map(|text| tag(text)).collect(),
        ..ManifestPush::new(Reference::Digest(digest.clone()), OCI_MANIFEST, bytes.clone())
    };
    registry.put_manifest(&repository, push, None).await.expect("accepted");
    let revision = layout::revision_lock(&repository, &digest);
    let mut expected: Vec<_> = tags.iter().map(|text| layout::tag_lock(&repository, &tag(text))).collect();
    let keys = |locks: &[Key]| -> Vec<String> {
        std::iter::once(&revision).chain(locks).map(ToString::to_string).collect()
    };
    assert_eq!(acts.take().of("lock"), keys(&expected), "each when it is its turn");
    expected.sort_unstable();
    let row = json!({"digests": true, "create": {"in": ["*"]}});
    assert_eq!(put(&registry, &digest.to_string(), &tags, &bytes, &row).await, Ok(()));
    assert_eq!(acts.take().of("lock"), keys(&expected), "all, and once");
}
