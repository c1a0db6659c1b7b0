//! Tests of what deleting a manifest with many tags costs, and in which order it reaches the disk.
//!
//! *Invariant:* work is counted in locks and syncs, not in seconds.

use super::*;
use crate::domain::testing::{Tree, name, tag};
use crate::domain::watched::watched;

const TAGS: usize = 600;

async fn delete(registry: &Repositories, digest: &Digest) -> Vec<Tag> {
    let deleted = registry.delete_manifest(&name("a/b"), digest, Precondition::default(), None).await;
    deleted.expect("deleted").tags
}

#[tokio::test]
async fn any_number_of_tags_costs_two_syncs_and_a_lock_for_each_that_they_share() {
    let tree = Tree::new();
    let repository = name("a/b");
    let digest = tree.push_image(&repository, Some(&tag("t0000")), "one").await;
    let other = tree.push_image(&repository, Some(&tag("kept")), "two").await;
    for number in 1..TAGS {
        let tag = tag(&format!("t{number:04}"));
        for link in
            [layout::tag_current_link(&repository, &tag), layout::tag_index_link(&repository, &tag, &digest)]
        {
            tree.storage_write(&link, digest.to_string());
        }
    }
    let (registry, acts) = watched(&tree);
    let tags = delete(&registry, &digest).await;
    assert_eq!(tags.len(), TAGS);
    assert!(tags.is_sorted());
    let acts = acts.take();
    let (tags, link) = (layout::tags(&repository), layout::revision_link(&repository, &digest));
    assert_eq!(
        acts.of("sync"),
        [tags.as_str(), link.as_str()],
        "the tags are gone for good before the manifest goes"
    );
    let locks = acts.of("lock");
    assert_eq!(locks[0], layout::revision_lock(&repository, &digest).as_str());
    assert!(locks.len() <= 1 + 256, "{}", locks.len());
    assert!(locks.is_sorted_by(|a, b| a < b), "each once");
    let left = registry.list_tags(&repository, None, None).await.expect("listed").tags;
    assert_eq!(left, [tag("kept")]);
    assert!(registry.get_manifest(&repository, &Reference::Digest(other)).await.is_ok());
    assert!(!tree.storage_exists(&layout::tag(&repository, &tag("t0001"))), "nothing is left of them");
}

#[tokio::test]
async fn what_an_interrupted_deletion_has_removed_is_made_durable_by_the_next() {
    let tree = Tree::new();
    let repository = name("a/b");
    let digest = tree.push_image(&repository, Some(&tag("gone")), "one").await;
    // As if the process had died between the two steps of removing the only tag.
    tree.storage_remove(&layout::tag_current_link(&repository, &tag("gone")));
    let (registry, acts) = watched(&tree);
    assert_eq!(delete(&registry, &digest).await, []);
    let (tags, link) = (layout::tags(&repository), layout::revision_link(&repository, &digest));
    assert_eq!(acts.take().of("sync"), [tags.as_str(), link.as_str()]);
    assert!(!tree.storage_exists(&layout::tag(&repository, &tag("gone"))), "its link cannot come back");
}
