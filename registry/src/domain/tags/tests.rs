//! Tests of tag lists.
//!
//! *Invariant:* a page never shows what cannot be pulled, and pages put together are the whole list.

use super::*;
use crate::domain::manifests::precondition::Precondition;
use crate::domain::testing::{Tree, name, tag};

fn texts(page: &TagPage) -> Vec<&str> {
    page.tags.iter().map(Tag::as_str).collect()
}

async fn listed(tree: &Tree, after: Option<&str>, limit: Option<usize>) -> TagPage {
    tree.repositories.list_tags(&name("a/b"), after, limit).await.expect("readable")
}

async fn tagged(tags: &[&str]) -> Tree {
    let tree = Tree::new();
    for text in tags {
        tree.push_image(&name("a/b"), Some(&tag(text)), "image").await;
    }
    tree
}

#[tokio::test]
async fn tags_come_in_byte_order_and_in_pages() {
    let tree = tagged(&["a", "b", "c1", "B", "C2"]).await;
    assert_eq!(texts(&listed(&tree, None, None).await), ["B", "C2", "a", "b", "c1"]);
    let first = listed(&tree, None, Some(2)).await;
    assert_eq!((texts(&first), first.more), (vec!["B", "C2"], true));
    let second = listed(&tree, Some("C2"), Some(2)).await;
    assert_eq!((texts(&second), second.more), (vec!["a", "b"], true));
    let last = listed(&tree, Some("b"), Some(2)).await;
    assert_eq!((texts(&last), last.more), (vec!["c1"], false));
    let exact = listed(&tree, Some("a"), Some(2)).await;
    assert_eq!((texts(&exact), exact.more), (vec!["b", "c1"], false), "full, but nothing is left");
}

#[tokio::test]
async fn edges_of_paging_are_empty_lists() {
    let tree = tagged(&["m"]).await;
    for (after, limit, expected) in [
        (None, Some(0), vec![]),
        (Some("m"), None, vec![]),
        (Some("zzz"), Some(5), vec![]),
        (Some("not/a tag"), Some(5), vec![]),
        (Some("a-tag-that-is-gone"), Some(5), vec!["m"]),
        (Some(""), None, vec!["m"]),
        (None, Some(usize::MAX), vec!["m"]),
    ] {
        let page = listed(&tree, after, limit).await;
        assert_eq!((texts(&page), page.more), (expected, false), "{after:?} {limit:?}");
    }
}

#[tokio::test]
async fn a_repository_without_tags_is_told_from_one_that_never_was() {
    let tree = tagged(&["v1"]).await;
    tree.repositories
        .delete_tag(&name("a/b"), &tag("v1"), Precondition::default(), None)
        .await
        .expect("deleted");
    assert_eq!(texts(&listed(&tree, None, None).await), Vec::<&str>::new());
    tree.push_blob(&name("only/blobs"), b"x").await;
    let page = tree.repositories.list_tags(&name("only/blobs"), None, None).await.expect("it has content");
    assert_eq!(texts(&page), Vec::<&str>::new());
    for unknown in ["never", "a", "only"] {
        let error = tree.repositories.list_tags(&name(unknown), None, None).await.expect_err("unknown");
        assert!(matches!(error, RegistryError::RepositoryUnknown { .. }), "{unknown}");
    }
}

#[tokio::test]
async fn what_cannot_be_pulled_is_not_listed() {
    let tree = tagged(&["a", "z"]).await;
    let doomed = tree.push_image(&name("a/b"), Some(&tag("gone")), "doomed").await;
    tree.storage_remove(&layout::revision_link(&name("a/b"), &doomed));
    tree.storage_write(&layout::tag_current_link(&name("a/b"), &tag("damaged")), "");
    tree.storage_write(&layout::tag_current_link(&name("a/b"), &tag("oversized")), "x".repeat(5000));
    std::fs::create_dir_all(tree.path(&layout::tag(&name("a/b"), &tag("empty")))).expect("made");
    let page = listed(&tree, None, Some(2)).await;
    assert_eq!((texts(&page), page.more), (vec!["a", "z"], false));
}

#[tokio::test]
async fn more_tags_than_one_batch_are_all_listed() {
    let tree = tagged(&["first"]).await;
    let link = tree.storage_read(&layout::tag_current_link(&name("a/b"), &tag("first"))).expect("there");
    for number in 0..2 * links::BATCH {
        tree.storage_write(&layout::tag_current_link(&name("a/b"), &tag(&format!("t{number:04}"))), &link);
    }
    assert_eq!(listed(&tree, None, None).await.tags.len(), 2 * links::BATCH + 1);
    let page = listed(&tree, Some("t0000"), Some(links::BATCH + 7)).await;
    assert_eq!(page.tags.len(), links::BATCH + 7);
    assert!(page.more);
    assert_eq!(page.tags[0].as_str(), "t0001");
}
