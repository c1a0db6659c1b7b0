//! Tests of closing an upload session: a crash after every step of it.
//!
//! *Invariant:* a crash is shown as the state it leaves in the tree, and the tree is then opened anew.

use super::tests::{alice, append, at, finish, offset, started};
use super::*;
use crate::domain::testing::{Tree, name};

/// The record as it is after the digest of `content` was verified.
fn verified_record(digest: &Digest, content: &[u8]) -> Vec<u8> {
    let verified = Verified {
        digest: digest.clone(),
        canonical: Digest::sha256_of(content),
        size: content.len() as u64,
    };
    encode(&StoredRecord {
        owner: alice(),
        began: 1,
        algorithm: None,
        deletion: None,
        verified: Some(verified),
    })
}

#[tokio::test]
async fn a_closing_request_can_be_repeated_after_a_crash_behind_any_step() {
    let content = b"all the bytes";
    let repository = name("a/b");
    for digest in [Digest::sha256_of(content), Digest::of(Algorithm::Sha512, content)] {
        let canonical = Digest::sha256_of(content);
        for crash in ["bytes durable", "recorded", "moved", "linked", "startedat removed"] {
            for repeated_body in [&b""[..], &b" bytes"[..]] {
                let tree = Tree::new();
                let (id, keys) = started(&tree).await;
                tree.storage_write(&keys.data, content);
                if crash != "bytes durable" {
                    tree.storage_write(&keys.record, verified_record(&digest, content));
                }
                if matches!(crash, "moved" | "linked" | "startedat removed") {
                    tree.storage_remove(&keys.data);
                    tree.storage_write(&layout::blob(&canonical), content);
                }
                if matches!(crash, "linked" | "startedat removed") {
                    tree.storage_write(&layout::layer_link(&repository, &canonical), canonical.to_string());
                    tree.storage_write(&layout::layer_link(&repository, &digest), canonical.to_string());
                }
                if crash == "startedat removed" {
                    tree.storage_remove(&keys.started_at);
                }
                let after = tree.reopened();
                let outcome = finish(&after, id, &digest, repeated_body).await;
                match crash {
                    // The last chunk had been stored, so sending it again makes other bytes; its announced start
                    // would have told, and the session stays for a client that looks.
                    "bytes durable" if !repeated_body.is_empty() => {
                        assert!(matches!(outcome, Err(RegistryError::DigestMismatch { .. })), "{crash}");
                        continue;
                    }
                    "startedat removed" => {
                        assert!(matches!(outcome, Err(RegistryError::UploadUnknown { .. })), "{crash}");
                    }
                    _ => {
                        assert_eq!(outcome.expect(crash).size, content.len() as u64);
                        assert!(!tree.storage_exists(&keys.folder), "{crash}");
                    }
                }
                let stat = after.stat_blob(&repository, &digest).await.expect(crash);
                assert_eq!((stat.canonical, stat.size), (canonical.clone(), content.len() as u64));
                assert_eq!(tree.storage_read(&layout::blob(&canonical)).as_deref(), Some(&content[..]));
            }
        }
    }
}

#[tokio::test]
async fn bytes_are_linked_without_being_sent_only_on_the_word_of_this_session() {
    let tree = Tree::new();
    let content = b"somebody else's secret";
    let digest = tree.push_blob(&name("other"), content).await;

    // Nothing was verified here, so knowing the digest must not be enough.
    let (id, keys) = started(&tree).await;
    let guessed = finish(&tree.repositories, id, &digest, b"").await;
    assert!(matches!(guessed, Err(RegistryError::DigestMismatch { .. })));
    tree.storage_remove(&keys.data);
    let guessed = finish(&tree.repositories, id, &digest, b"").await;
    assert!(matches!(guessed, Err(RegistryError::DigestMismatch { .. })), "not without data either");

    // Something else was verified here.
    let (id, keys) = started(&tree).await;
    tree.storage_write(&keys.record, verified_record(&Digest::sha256_of(b"mine"), b"mine"));
    tree.storage_remove(&keys.data);
    let guessed = finish(&tree.repositories, id, &digest, b"").await;
    assert!(matches!(guessed, Err(RegistryError::UploadUnknown { .. })));

    let stat = tree.repositories.stat_blob(&name("a/b"), &digest).await;
    assert!(matches!(stat, Err(RegistryError::BlobUnknown { .. })));
}

#[tokio::test]
async fn a_session_whose_verified_bytes_are_gone_cannot_be_closed() {
    let tree = Tree::new();
    let digest = Digest::sha256_of(b"mine");
    let (id, keys) = started(&tree).await;
    tree.storage_write(&keys.record, verified_record(&digest, b"mine"));
    tree.storage_remove(&keys.data);
    let closing = finish(&tree.repositories, id, &digest, b"").await;
    assert!(matches!(closing, Err(RegistryError::UploadUnknown { .. })));
    assert!(matches!(append(&tree, id, at(4), b"x").await, Err(RegistryError::UploadUnknown { .. })));
}

#[tokio::test]
async fn bytes_added_after_verification_have_to_be_verified_anew() {
    let tree = Tree::new();
    let (id, keys) = started(&tree).await;
    append(&tree, id, at(0), b"mine").await.expect("appended");
    let digest = Digest::sha256_of(b"mine");
    tree.storage_write(&keys.record, verified_record(&digest, b"mine"));
    append(&tree, id, at(4), b" and more").await.expect("the session is still open");
    let old = finish(&tree.repositories, id, &digest, b"").await;
    assert!(matches!(old, Err(RegistryError::DigestMismatch { .. })));
    finish(&tree.repositories, id, &Digest::sha256_of(b"mine and more"), b"").await.expect("finished");
}

#[tokio::test]
async fn a_session_that_was_moved_but_not_linked_tells_its_whole_length() {
    let tree = Tree::new();
    let digest = Digest::sha256_of(b"mine");
    let (id, keys) = started(&tree).await;
    tree.storage_write(&keys.record, verified_record(&digest, b"mine"));
    tree.storage_remove(&keys.data);
    tree.storage_write(&layout::blob(&digest), b"mine");
    assert_eq!(offset(&tree.repositories, id).await, Some(4));
    finish(&tree.repositories, id, &digest, b"").await.expect("closed again");
}

#[tokio::test]
async fn an_announced_algorithm_is_hashed_while_the_bytes_come_in() {
    for (announced, hashed) in [(Algorithm::Sha512, true), (Algorithm::Sha256, false)] {
        let tree = Tree::new();
        let repository = name("a/b");
        let started =
            tree.repositories.start_upload(&repository, &alice(), announced).await.expect("started");
        let (id, keys) = (started.id, SessionKeys::new(&repository, started.id.uuid()));
        append(&tree, id, at(0), b"the whole ").await.expect("appended");
        append(&tree, id, at(10), b"content").await.expect("appended");
        assert_eq!(tree.storage_exists(&keys.hash_state(Algorithm::Sha512, 17)), hashed);
        // If closing read them again, it would see other bytes than it was given.
        tree.storage_write(&keys.data, b"another   content");
        let digest = Digest::of(Algorithm::Sha512, b"the whole content");
        match finish(&tree.reopened(), id, &digest, b"").await {
            Ok(stat) => {
                assert!(hashed, "only what was announced can be known without reading");
                assert_eq!(stat.canonical, Digest::sha256_of(b"the whole content"));
            }
            Err(RegistryError::DigestMismatch { .. }) => assert!(!hashed),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn an_upload_may_be_closed_with_another_algorithm_than_was_announced() {
    let tree = Tree::new();
    let repository = name("a/b");
    for (announced, closing) in
        [(Algorithm::Sha512, Algorithm::Sha256), (Algorithm::Sha256, Algorithm::Sha512)]
    {
        let started =
            tree.repositories.start_upload(&repository, &alice(), announced).await.expect("started");
        append(&tree, started.id, at(0), b"content").await.expect("appended");
        let digest = Digest::of(closing, b"content");
        let stat = finish(&tree.repositories, started.id, &digest, b"").await.expect("closed");
        assert_eq!((stat.digest, stat.canonical), (digest, Digest::sha256_of(b"content")));
    }
}

#[tokio::test]
async fn a_damaged_or_missing_state_of_one_function_only_costs_time() {
    for damage in ["missing", "damaged", "of another offset"] {
        let tree = Tree::new();
        let repository = name("a/b");
        let started =
            tree.repositories.start_upload(&repository, &alice(), Algorithm::Sha512).await.expect("started");
        let keys = SessionKeys::new(&repository, started.id.uuid());
        append(&tree, started.id, at(0), b"the whole ").await.expect("appended");
        let state = keys.hash_state(Algorithm::Sha512, 10);
        match damage {
            "missing" => tree.storage_remove(&state),
            "damaged" => tree.storage_write(&state, b"?"),
            _ => {
                let empty = tree.storage_read(&keys.hash_state(Algorithm::Sha512, 0)).expect("there");
                tree.storage_write(&state, empty);
            }
        }
        let digest = Digest::of(Algorithm::Sha512, b"the whole content");
        finish(&tree.reopened(), started.id, &digest, b"content").await.expect(damage);
    }
}
