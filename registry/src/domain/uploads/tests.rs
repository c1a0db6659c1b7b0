//! Tests of upload sessions: what lies on disk, resuming, order and locks.
//!
//! *Invariant:* what a request left behind is looked at in the tree, not in memory.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::sync::Notify;

use super::*;
use crate::domain::testing::{Tree, body, broken_body, name};
use crate::storage::TryLock;

pub(super) fn alice() -> UploadOwner {
    UploadOwner { issuer: "https://issuer.example".into(), subject: "alice".into() }
}

pub(super) fn nothing() -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    body(&[])
}

pub(super) fn at(start: u64) -> Announced {
    Announced { start: Some(start), length: None }
}

pub(super) async fn started(tree: &Tree) -> (UploadId, SessionKeys) {
    let status =
        tree.repositories.start_upload(&name("a/b"), &alice(), Algorithm::Sha256).await.expect("started");
    assert_eq!(status.offset, 0);
    (status.id, SessionKeys::new(&name("a/b"), status.id.uuid()))
}

pub(super) async fn append(
    tree: &Tree,
    id: UploadId,
    announced: Announced,
    content: &[u8],
) -> Result<u64, RegistryError> {
    let appended =
        tree.repositories.append_upload(&name("a/b"), id, &alice(), announced, body(&[content])).await;
    appended.map(|status| status.offset)
}

pub(super) async fn finish(
    repositories: &Repositories,
    id: UploadId,
    digest: &Digest,
    content: &[u8],
) -> Result<BlobStat, RegistryError> {
    let body = body(&[content]);
    repositories.finish_upload(&name("a/b"), id, &alice(), digest, Announced::default(), body).await
}

pub(super) async fn offset(repositories: &Repositories, id: UploadId) -> Option<u64> {
    match repositories.upload_status(&name("a/b"), id, &alice()).await {
        Ok(status) => Some(status.offset),
        Err(RegistryError::UploadUnknown { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_session_lies_on_disk_as_the_distribution_registry_expects_it() {
    let tree = Tree::new();
    let (id, keys) = started(&tree).await;
    let started_at = String::from_utf8(tree.storage_read(&keys.started_at).expect("there")).expect("text");
    assert_eq!(started_at.len(), "2026-11-20T23:04:12Z".len());
    assert!(started_at.ends_with('Z') && !started_at.contains('.'), "{started_at}");
    assert_eq!(tree.storage_read(&keys.data).as_deref(), Some(&b""[..]));
    let empty = Hasher::new(Algorithm::Sha256).save_state(Algorithm::Sha256).expect("a state");
    assert_eq!(tree.storage_read(&keys.hash_state(Algorithm::Sha256, 0)).as_deref(), Some(&empty[..]));

    append(&tree, id, Announced::default(), b"0123456789").await.expect("appended");
    assert_eq!(tree.storage_read(&keys.data).as_deref(), Some(&b"0123456789"[..]));
    let mut ten = Hasher::new(Algorithm::Sha256);
    ten.update(b"0123456789");
    assert_eq!(
        tree.storage_read(&keys.hash_state(Algorithm::Sha256, 10)).as_deref(),
        ten.save_state(Algorithm::Sha256).as_ref().map(|state| &state[..])
    );

    let digest = Digest::sha256_of(b"0123456789");
    let stat = finish(&tree.repositories, id, &digest, b"").await.expect("finished");
    assert_eq!(stat, BlobStat { digest: digest.clone(), canonical: digest.clone(), size: 10 });
    assert!(!tree.storage_exists(&keys.folder), "the whole folder is gone");
    assert_eq!(tree.storage_read(&layout::blob(&digest)).as_deref(), Some(&b"0123456789"[..]));
    let link = tree.storage_read(&layout::layer_link(&name("a/b"), &digest)).expect("linked");
    assert_eq!(String::from_utf8(link), Ok(digest.to_string()));
    assert_eq!(offset(&tree.repositories, id).await, None);
}

#[tokio::test]
async fn a_body_larger_than_every_buffer_arrives_whole() {
    let tree = Tree::new();
    let (id, _) = started(&tree).await;
    let content: Vec<u8> = (0..3_000_000u32).map(|at| at.to_le_bytes()[1]).collect();
    let digest = Digest::sha256_of(&content);
    let chunks: Vec<&[u8]> = content.chunks(1_234_567).chain([&b""[..]]).collect();
    let announced = Announced { start: Some(0), length: Some(3_000_000) };
    let appended =
        tree.repositories.append_upload(&name("a/b"), id, &alice(), announced, body(&chunks)).await;
    assert_eq!(appended.expect("appended").offset, 3_000_000);
    finish(&tree.repositories, id, &digest, b"").await.expect("the digest is right");
}

#[tokio::test]
async fn a_chunk_out_of_order_changes_nothing() {
    let tree = Tree::new();
    let (id, keys) = started(&tree).await;
    append(&tree, id, at(0), b"12345").await.expect("the first chunk");
    for start in [0, 4, 6, u64::MAX] {
        let error = append(&tree, id, at(start), b"xyz").await.expect_err("out of order");
        assert!(matches!(error, RegistryError::UploadOutOfOrder { have: 5, got } if got == start), "{error}");
        let digest = Digest::sha256_of(b"12345xyz");
        let closing = tree
            .repositories
            .finish_upload(&name("a/b"), id, &alice(), &digest, at(start), body(&[b"xyz"]))
            .await;
        assert!(matches!(closing, Err(RegistryError::UploadOutOfOrder { have: 5, .. })));
        assert_eq!(tree.storage_read(&keys.data).as_deref(), Some(&b"12345"[..]));
    }
    append(&tree, id, at(5), b"678").await.expect("in order");
    finish(&tree.repositories, id, &Digest::sha256_of(b"12345678"), b"").await.expect("finished");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_kept_up_to_there() {
    let tree = Tree::new();
    let (id, keys) = started(&tree).await;
    let broken = broken_body(&[b"abc", b"def"]);
    let outcome =
        tree.repositories.append_upload(&name("a/b"), id, &alice(), Announced::default(), broken).await;
    assert!(matches!(outcome, Err(RegistryError::Body(BodyError::Broken(_)))));
    assert_eq!(offset(&tree.repositories, id).await, Some(6));
    assert!(
        tree.storage_exists(&keys.hash_state(Algorithm::Sha256, 6)),
        "so that resuming need not hash again"
    );

    let digest = Digest::sha256_of(b"abcdefghi");
    let broken = broken_body(&[b"gh"]);
    let outcome = tree
        .repositories
        .finish_upload(&name("a/b"), id, &alice(), &digest, Announced::default(), broken)
        .await;
    assert!(matches!(outcome, Err(RegistryError::Body(_))));
    assert_eq!(offset(&tree.repositories, id).await, Some(8));
    finish(&tree.reopened(), id, &digest, b"i").await.expect("resumed by another process");
}

#[tokio::test]
async fn a_request_that_is_dropped_keeps_what_came() {
    let tree = Tree::new();
    let (id, keys) = started(&tree).await;
    let content = vec![5; 300_000];
    let endless = body(&[&content]).chain(stream::pending());
    {
        let (repositories, announced) = (tree.repositories.clone(), Announced::default());
        let repository = name("a/b");
        let owner = alice();
        let mut request = Box::pin(repositories.append_upload(&repository, id, &owner, announced, endless));
        // One whole piece has been passed on as soon as data shows up in the file.
        while tree.storage_read(&keys.data).is_none_or(|data| data.is_empty()) {
            assert!(futures_util::poll!(&mut request).is_pending());
            tokio::task::yield_now().await;
        }
    }
    // The writer still holds the lock until it has synced and saved what it got.
    let have = loop {
        match append(&tree, id, Announced::default(), b"").await {
            Ok(have) => break have,
            Err(RegistryError::UploadBusy { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(have, crate::storage::PIECE_BYTES as u64);
    assert!(tree.storage_exists(&keys.hash_state(Algorithm::Sha256, have)));
}

#[tokio::test]
async fn an_announced_length_that_is_not_kept_is_told_and_loses_nothing() {
    let tree = Tree::new();
    let (id, keys) = started(&tree).await;
    let announced = |length| Announced { start: None, length: Some(length) };
    let short = append(&tree, id, announced(5), b"abc").await.expect_err("two bytes are missing");
    assert!(matches!(short, RegistryError::SizeMismatch { announced: 5, received: 3 }));
    assert_eq!(offset(&tree.repositories, id).await, Some(3));
    let long = append(&tree, id, announced(2), b"defg").await.expect_err("two bytes too many");
    assert!(matches!(long, RegistryError::SizeMismatch { announced: 2, received: 4 }));
    assert_eq!(tree.storage_read(&keys.data).as_deref(), Some(&b"abcde"[..]), "not more than announced");
    let none = append(&tree, id, announced(0), b"x").await.expect_err("none was announced");
    assert!(matches!(none, RegistryError::SizeMismatch { announced: 0, received: 1 }));
    assert_eq!(offset(&tree.repositories, id).await, Some(5));
}

#[tokio::test]
async fn a_wrong_digest_leaves_the_session_to_be_closed_rightly() {
    let tree = Tree::new();
    let (id, keys) = started(&tree).await;
    let wrong = Digest::sha256_of(b"something else");
    let error = finish(&tree.repositories, id, &wrong, b"content").await.expect_err("mismatch");
    let right = Digest::sha256_of(b"content");
    assert!(
        matches!(&error, RegistryError::DigestMismatch { expected, actual } if (expected, actual) == (&wrong, &right))
    );
    assert!(!tree.storage_exists(&layout::blob(&wrong)) && !tree.storage_exists(&layout::blob(&right)));
    assert!(tree.storage_exists(&keys.hash_state(Algorithm::Sha256, 7)));
    finish(&tree.repositories, id, &right, b"").await.expect("finished");
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let tree = Tree::new();
    let digest = tree.push_blob(&name("a/b"), b"").await;
    assert_eq!(tree.repositories.stat_blob(&name("a/b"), &digest).await.expect("there").size, 0);
}

#[tokio::test]
async fn a_sha512_digest_is_verified_and_the_bytes_lie_under_sha256() {
    let tree = Tree::new();
    let (id, _) = started(&tree).await;
    let digest = Digest::of(Algorithm::Sha512, b"content");
    let canonical = Digest::sha256_of(b"content");
    let wrong = Digest::of(Algorithm::Sha512, b"other");
    assert!(matches!(
        finish(&tree.repositories, id, &wrong, b"content").await,
        Err(RegistryError::DigestMismatch { .. })
    ));
    let stat = finish(&tree.repositories, id, &digest, b"").await.expect("finished");
    assert_eq!((&stat.digest, &stat.canonical), (&digest, &canonical));
    for linked in [&digest, &canonical] {
        let link = tree.storage_read(&layout::layer_link(&name("a/b"), linked)).expect("linked");
        assert_eq!(String::from_utf8(link), Ok(canonical.to_string()));
        let found = tree.repositories.stat_blob(&name("a/b"), linked).await.expect("there");
        assert_eq!((&found.digest, found.size), (linked, 7));
    }
    assert!(!tree.storage_exists(&layout::blob(&digest)));
}

#[tokio::test]
async fn a_session_is_unknown_to_everyone_else() {
    let tree = Tree::new();
    let (id, _) = started(&tree).await;
    let repositories = &tree.repositories;
    let others = [
        UploadOwner { subject: "bob".into(), ..alice() },
        UploadOwner { issuer: "https://other.example".into(), ..alice() },
        UploadOwner::anonymous(),
    ];
    for other in &others {
        let unknown = |error| matches!(error, RegistryError::UploadUnknown { .. });
        let announced = Announced::default();
        assert!(unknown(repositories.upload_status(&name("a/b"), id, other).await.expect_err("not theirs")));
        assert!(unknown(
            repositories.append_upload(&name("a/b"), id, other, announced, nothing()).await.expect_err("no")
        ));
        assert!(unknown(repositories.cancel_upload(&name("a/b"), id, other).await.expect_err("no")));
        let digest = Digest::sha256_of(b"");
        let closing =
            repositories.finish_upload(&name("a/b"), id, other, &digest, announced, nothing()).await;
        assert!(unknown(closing.expect_err("no")));
    }
    let elsewhere = repositories.upload_status(&name("a"), id, &alice()).await;
    assert!(matches!(elsewhere, Err(RegistryError::UploadUnknown { .. })), "not in this repository");
    let record = repositories.upload_record(&name("a/b"), id).await.expect("readable").expect("ours");
    assert_eq!(record.owner, alice());
    assert!(record.began > 1_700_000_000);
    assert_eq!(repositories.upload_record(&name("a"), id).await.expect("readable"), None);
    assert_eq!(offset(repositories, id).await, Some(0));
}

#[tokio::test]
async fn a_session_of_another_registry_is_continued_by_whoever_may_push() {
    let tree = Tree::new();
    let id = UploadId::parse("0190a6d2-7f0a-7000-8000-0123456789ab").expect("an id");
    let keys = SessionKeys::new(&name("a/b"), id.uuid());
    tree.storage_write(&keys.started_at, "2026-11-20T23:04:12Z");
    tree.storage_write(&keys.data, "begun elsewhere, ");
    assert_eq!(tree.repositories.upload_record(&name("a/b"), id).await.expect("readable"), None);
    assert_eq!(append(&tree, id, at(17), b"ended here").await.expect("continued"), 27);
    let status = tree.repositories.upload_status(&name("a/b"), id, &alice()).await.expect("there");
    assert_eq!(status.started_at.unix_timestamp(), 1_795_215_852);
    finish(&tree.repositories, id, &Digest::sha256_of(b"begun elsewhere, ended here"), b"")
        .await
        .expect("finished");
}

#[tokio::test]
async fn damaged_session_files_make_the_session_unknown_and_nothing_worse() {
    let tree = Tree::new();
    let (id, keys) = started(&tree).await;
    tree.storage_write(&keys.record, "");
    assert_eq!(offset(&tree.repositories, id).await, None, "nobody can prove that it is theirs");
    assert_eq!(tree.repositories.upload_record(&name("a/b"), id).await.expect("readable"), None);
    let (id, keys) = started(&tree).await;
    tree.storage_write(&keys.started_at, "");
    assert_eq!(offset(&tree.repositories, id).await, None);
}

#[tokio::test]
async fn missing_damaged_and_outdated_hash_states_only_cost_time() {
    let content = b"0123456789abcdefghij";
    let digest = Digest::sha256_of(content);
    let mut other = Hasher::new(Algorithm::Sha256);
    other.update(b"other bytes");
    let other = other.save_state(Algorithm::Sha256).expect("a state");
    // (offset, what lies there) besides the data, which holds all but the last five bytes.
    let states: [&[(u64, &[u8])]; 6] = [
        &[],
        &[(15, b"")],
        &[(15, b"not a state at all")],
        &[(15, &[7; 4000])],
        // A state whose own length is not its name.
        &[(15, &other)],
        // A state beyond the end of the data must not be used later, when the data has grown past it.
        &[(0, b"damaged"), (20, &other)],
    ];
    for states in states {
        let tree = Tree::new();
        let (id, keys) = started(&tree).await;
        tree.storage_remove(&keys.hash_state(Algorithm::Sha256, 0));
        tree.storage_write(&keys.data, &content[..15]);
        for (offset, state) in states {
            tree.storage_write(&keys.hash_state(Algorithm::Sha256, *offset), state);
        }
        assert_eq!(append(&tree, id, at(15), &content[15..]).await.expect("resumed"), 20);
        finish(&tree.reopened(), id, &digest, b"").await.expect("the digest is right");
    }
}

#[tokio::test]
async fn data_longer_than_its_last_state_is_hashed_from_there() {
    let tree = Tree::new();
    let (id, keys) = started(&tree).await;
    append(&tree, id, at(0), b"first ").await.expect("appended");
    // Written by a process that died before it saved a state.
    tree.storage_write(&keys.data, "first second ");
    assert_eq!(append(&tree, id, at(13), b"third").await.expect("resumed"), 18);
    finish(&tree.repositories, id, &Digest::sha256_of(b"first second third"), b"").await.expect("finished");
}

#[tokio::test]
async fn a_writer_who_comes_while_the_one_before_ends_waits_for_it() {
    let tree = Tree::new();
    let (id, keys) = started(&tree).await;
    let Ok(TryLock::Held(held)) = tree.repositories.storage().try_lock(&keys.started_at).await else {
        panic!("free")
    };
    let appending = append(&tree, id, at(0), b"chunk");
    let ending = async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        drop(held);
    };
    let (appended, ()) = tokio::join!(appending, ending);
    assert_eq!(appended.expect("after the other"), 5);
}

#[tokio::test]
async fn a_second_writer_is_told_that_the_upload_is_busy() {
    let tree = Tree::new();
    let (id, _) = started(&tree).await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (telling, waiting) = (Arc::clone(&begun), Arc::clone(&go_on));
    // A body is asked for its first bytes only under the lock.
    let slow = stream::once(async move {
        telling.notify_one();
        waiting.notified().await;
        Ok(Bytes::from("slow but sure"))
    });
    let repositories = tree.repositories.clone();
    let first = tokio::spawn(async move {
        repositories.append_upload(&name("a/b"), id, &alice(), Announced::default(), slow).await
    });
    begun.notified().await;
    let elsewhere = tree.reopened();
    let (repository, owner, digest) = (name("a/b"), alice(), Digest::sha256_of(b""));
    let (cancelling, appending, closing) = tokio::join!(
        elsewhere.cancel_upload(&repository, id, &owner),
        append(&tree, id, at(0), b"x"),
        finish(&elsewhere, id, &digest, b""),
    );
    assert!(matches!(cancelling, Err(RegistryError::UploadBusy { .. })));
    assert!(matches!(appending, Err(RegistryError::UploadBusy { .. })));
    assert!(matches!(closing, Err(RegistryError::UploadBusy { .. })));
    let stranger = elsewhere.cancel_upload(&name("a/b"), id, &UploadOwner::anonymous()).await;
    assert!(matches!(stranger, Err(RegistryError::UploadUnknown { .. })), "strangers learn nothing");
    go_on.notify_one();
    assert_eq!(first.await.expect("no panic").expect("appended").offset, 13);
}

#[tokio::test]
async fn of_many_concurrent_first_chunks_exactly_one_is_taken() {
    let tree = Tree::new();
    let (id, keys) = started(&tree).await;
    let requests = (0..16).map(|_| {
        let repositories = tree.repositories.clone();
        tokio::spawn(async move {
            repositories.append_upload(&name("a/b"), id, &alice(), at(0), body(&[b"chunk"])).await
        })
    });
    let outcomes = futures_util::future::join_all(requests).await;
    let mut taken = 0;
    for outcome in outcomes {
        match outcome.expect("no panic") {
            Ok(status) => {
                assert_eq!(status.offset, 5);
                taken += 1;
            }
            Err(RegistryError::UploadBusy { .. } | RegistryError::UploadOutOfOrder { have: 5, got: 0 }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(taken, 1);
    assert_eq!(tree.storage_read(&keys.data).as_deref(), Some(&b"chunk"[..]));
}

#[tokio::test]
async fn concurrent_uploads_of_one_blob_all_succeed() {
    let tree = Tree::new();
    let content = vec![9; 400_000];
    let digest = Digest::sha256_of(&content);
    let uploads = (0..8).map(|_| {
        let (repositories, content, digest) = (tree.repositories.clone(), content.clone(), digest.clone());
        tokio::spawn(async move {
            let id = repositories.start_upload(&name("a/b"), &alice(), Algorithm::Sha256).await?.id;
            finish(&repositories, id, &digest, &content).await
        })
    });
    for outcome in futures_util::future::join_all(uploads).await {
        assert_eq!(outcome.expect("no panic").expect("finished").size, 400_000);
    }
    assert_eq!(tree.storage_read(&layout::blob(&digest)), Some(content));
}

#[tokio::test]
async fn a_blob_of_another_size_is_damage_and_is_replaced() {
    let tree = Tree::new();
    let digest = Digest::sha256_of(b"content");
    tree.storage_write(&layout::blob(&digest), "");
    tree.push_blob(&name("a/b"), b"content").await;
    assert_eq!(tree.storage_read(&layout::blob(&digest)).as_deref(), Some(&b"content"[..]));
}

#[tokio::test]
async fn cancelling_leaves_nothing_behind() {
    let tree = Tree::new();
    let (id, keys) = started(&tree).await;
    append(&tree, id, at(0), b"bytes").await.expect("appended");
    tree.repositories.cancel_upload(&name("a/b"), id, &alice()).await.expect("cancelled");
    assert!(!tree.storage_exists(&keys.folder));
    let again = tree.repositories.cancel_upload(&name("a/b"), id, &alice()).await;
    assert!(matches!(again, Err(RegistryError::UploadUnknown { .. })));
}
