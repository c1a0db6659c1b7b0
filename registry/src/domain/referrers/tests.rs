//! Tests of referrers: what is listed, what is not, and what is found in trees we did not write.
//!
//! *Invariant:* what a listing shows can be pulled.

use futures_util::TryStreamExt;
use serde_json::{Value, json};

use super::*;
use crate::domain::manifests::ManifestPush;
use crate::domain::manifests::precondition::Precondition;
use crate::domain::testing::{Tree, name, tag};
use crate::oci::media_type::{DOCKER_SCHEMA_1, OCI_INDEX, OCI_MANIFEST};
use crate::oci::reference::Reference;

fn subject() -> Digest {
    Digest::sha256_of(b"a subject nobody pushed")
}

fn referring_index(to: &Digest, artifact_type: &str, number: usize) -> Bytes {
    let subject = json!({"mediaType": OCI_MANIFEST, "digest": to.to_string(), "size": 5});
    let index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": subject,
        "artifactType": artifact_type, "annotations": {"number": number.to_string()},
    });
    index.to_string().into()
}

async fn put(tree: &Tree, reference: Reference, bytes: Bytes) -> Digest {
    let push = ManifestPush::new(reference, OCI_INDEX, bytes);
    tree.repositories.put_manifest(&name("a/b"), push, None).await.expect("accepted").digest
}

async fn refer(tree: &Tree, to: &Digest, artifact_type: &str, number: usize) -> Digest {
    let bytes = referring_index(to, artifact_type, number);
    put(tree, Reference::Digest(Digest::sha256_of(&bytes)), bytes).await
}

struct Listed {
    digests: Vec<String>,
    values: Vec<Value>,
    next: Option<Digest>,
}

async fn list(tree: &Tree, query: ReferrerQuery<'_>) -> Listed {
    let page = tree.repositories.list_referrers(&name("a/b"), query).await.expect("readable");
    let next = page.next.clone();
    let pieces: Vec<_> = tree.repositories.read_referrers(page).try_collect().await.expect("readable");
    let descriptors = pieces.concat();
    let values: Vec<Value> =
        descriptors.iter().map(|bytes| serde_json::from_slice(bytes).expect("JSON")).collect();
    let digests = values.iter().map(|value| value["digest"].as_str().expect("a digest").to_owned()).collect();
    Listed { digests, values, next }
}

fn everything(subject: &Digest) -> ReferrerQuery<'_> {
    ReferrerQuery { subject, artifact_types: &[], after: None, limit: MAX_PAGE_ENTRIES }
}

async fn list_all(tree: &Tree, subject: &Digest) -> Vec<String> {
    list(tree, everything(subject)).await.digests
}

fn sorted(digests: &[&Digest]) -> Vec<String> {
    let mut texts: Vec<_> = digests.iter().map(ToString::to_string).collect();
    texts.sort_unstable();
    texts
}

/// Makes the tree look as if the distribution registry had written it.
fn forget(tree: &Tree) {
    std::fs::remove_dir_all(tree.path(&layout::subjects(&name("a/b"), Algorithm::Sha256))).expect("removed");
}

#[tokio::test]
async fn what_refers_to_a_manifest_is_listed_in_byte_order() {
    let tree = Tree::new();
    let subject = subject();
    assert!(list_all(&tree, &subject).await.is_empty(), "an unknown repository refers to nothing");
    assert!(!tree.storage_exists(&layout::root()), "and asking leaves nothing behind");
    let mut made = Vec::new();
    for number in 0..8 {
        made.push(refer(&tree, &subject, "text/x", number).await);
    }
    refer(&tree, &Digest::sha256_of(b"another"), "text/x", 9).await;
    let listed = list(&tree, everything(&subject)).await;
    assert_eq!(listed.digests, sorted(&made.iter().collect::<Vec<_>>()));
    let value = &listed.values[0];
    assert_eq!(value["mediaType"], OCI_INDEX);
    assert_eq!(value["artifactType"], "text/x");
    assert!(value["annotations"]["number"].is_string());
    let stored = Reference::parse(&listed.digests[0]).expect("a digest");
    let stored = tree.repositories.get_manifest(&name("a/b"), &stored).await.expect("listed, so there");
    assert_eq!(value["size"], stored.bytes.len());
}

#[tokio::test]
async fn pages_put_together_are_the_whole_list() {
    let tree = Tree::new();
    let subject = subject();
    for number in 0..7 {
        refer(&tree, &subject, if number % 2 == 0 { "text/even" } else { "text/odd" }, number).await;
    }
    let whole = list_all(&tree, &subject).await;
    let even = ["text/even".to_owned()];
    let filtered = list(&tree, ReferrerQuery { artifact_types: &even, ..everything(&subject) }).await.digests;
    assert_eq!((whole.len(), filtered.len()), (7, 4));
    for (artifact_types, expected) in [(&[][..], &whole), (&even[..], &filtered)] {
        for limit in 1..9 {
            let (mut together, mut after, mut pages) = (Vec::new(), None::<String>, 0);
            loop {
                let query =
                    ReferrerQuery { subject: &subject, artifact_types, after: after.as_deref(), limit };
                let page = list(&tree, query).await;
                assert!(page.digests.len() <= limit && !page.digests.is_empty());
                together.extend(page.digests);
                pages += 1;
                match page.next {
                    Some(next) => after = Some(next.to_string()),
                    None => break,
                }
            }
            assert_eq!(&together, expected, "{limit}");
            assert_eq!(pages, expected.len().div_ceil(limit), "no page is empty");
        }
    }
    let none = list(&tree, ReferrerQuery { limit: 0, ..everything(&subject) }).await;
    assert!(none.digests.is_empty() && none.next.is_none());
    let other = ["text/other".to_owned()];
    let none = list(&tree, ReferrerQuery { artifact_types: &other, ..everything(&subject) }).await;
    assert!(none.digests.is_empty() && none.next.is_none());
}

#[tokio::test]
async fn a_page_ends_before_it_gets_too_large() {
    let tree = Tree::new();
    let subject = subject();
    let large = "x".repeat(1_500_000);
    for number in 0..4 {
        let to = json!({"mediaType": OCI_MANIFEST, "digest": subject.to_string(), "size": 5});
        let index = json!({
            "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": to,
            "annotations": {"number": number.to_string(), "large": large},
        });
        put(&tree, Reference::Tag(tag(&format!("t{number}"))), index.to_string().into()).await;
    }
    let first = list(&tree, everything(&subject)).await;
    assert_eq!(first.digests.len(), 2);
    let after = first.next.map(|next| next.to_string());
    let second = list(&tree, ReferrerQuery { after: after.as_deref(), ..everything(&subject) }).await;
    assert_eq!((second.digests.len(), second.next), (2, None));
}

#[tokio::test]
async fn a_filter_that_fits_little_reads_a_bounded_part_for_one_page() {
    let tree = Tree::new();
    let subject = subject();
    let kind = |number| format!("text/{number}{}", "x".repeat(3_900_000));
    let count = usize::try_from(MAX_EXAMINED_BYTES).expect("a small number") / 3_900_000 + 3;
    let mut made = Vec::new();
    for number in 0..count {
        made.push((refer(&tree, &subject, &kind(number), number).await, number));
    }
    made.sort_by_key(|(digest, _)| digest.to_string());
    let (last, number) = made.last().expect("some");
    let wanted = [kind(*number)];
    let query = ReferrerQuery { artifact_types: &wanted, ..everything(&subject) };
    let first = list(&tree, query).await;
    assert_eq!(first.digests, Vec::<String>::new());
    let after = first.next.expect("more to look at").to_string();
    let second = list(&tree, ReferrerQuery { after: Some(&after), ..query }).await;
    assert_eq!((second.digests, second.next), (vec![last.to_string()], None));
}

#[tokio::test]
async fn a_deleted_referrer_is_no_longer_listed() {
    let tree = Tree::new();
    let subject = subject();
    let repository = name("a/b");
    let (gone, stays) =
        (refer(&tree, &subject, "text/x", 1).await, refer(&tree, &subject, "text/x", 2).await);
    tree.repositories
        .delete_manifest(&repository, &gone, Precondition::default(), None)
        .await
        .expect("deleted");
    assert_eq!(list_all(&tree, &subject).await, sorted(&[&stays]));
    assert!(!tree.storage_exists(&layout::referrer(&repository, &subject, &gone)));
    // The distribution registry deletes without knowing of entries.
    let other = refer(&tree, &subject, "text/x", 3).await;
    tree.storage_remove(&layout::revision_link(&repository, &other));
    assert_eq!(list_all(&tree, &subject).await, sorted(&[&stays]));
    refer(&tree, &subject, "text/x", 1).await;
    assert_eq!(list_all(&tree, &subject).await, sorted(&[&gone, &stays]));
}

#[tokio::test]
async fn referrers_of_a_subject_that_is_deleted_stay() {
    let tree = Tree::new();
    let subject = tree.push_image(&name("a/b"), Some(&tag("v1")), "image").await;
    let referrer = refer(&tree, &subject, "text/x", 1).await;
    tree.repositories
        .delete_manifest(&name("a/b"), &subject, Precondition::default(), None)
        .await
        .expect("deleted");
    assert_eq!(list_all(&tree, &subject).await, sorted(&[&referrer]));
}

#[tokio::test]
async fn each_digest_of_a_manifest_is_a_referrer_of_its_own() {
    let tree = Tree::new();
    let subject = subject();
    let bytes = referring_index(&subject, "text/x", 1);
    let (short, long) = (Digest::sha256_of(&bytes), Digest::of(Algorithm::Sha512, &bytes));
    for digest in [&short, &long] {
        put(&tree, Reference::Digest(digest.clone()), bytes.clone()).await;
    }
    assert_eq!(list_all(&tree, &subject).await, sorted(&[&short, &long]));
    tree.repositories
        .delete_manifest(&name("a/b"), &short, Precondition::default(), None)
        .await
        .expect("deleted");
    assert_eq!(list_all(&tree, &subject).await, sorted(&[&long]));
    let stored = tree.repositories.get_manifest(&name("a/b"), &Reference::Digest(long)).await;
    assert_eq!(stored.expect("another revision").bytes, bytes);
}

#[tokio::test]
async fn manifests_from_before_are_found_by_the_first_request() {
    let tree = Tree::new();
    let subject = subject();
    let mut made = Vec::new();
    for number in 0..TREE_SIZE {
        made.push(refer(&tree, &subject, "text/x", number).await);
    }
    forget(&tree);
    // What the distribution registry's older line left behind, and damage.
    let repository = name("a/b");
    for (number, content) in
        [r#"{"schemaVersion":1,"name":"a/b","signatures":[]}"#, "", "{"].into_iter().enumerate()
    {
        let odd = Digest::sha256_of(format!("odd {number}").as_bytes());
        tree.storage_write(&layout::blob(&odd), content);
        tree.storage_write(&layout::revision_link(&repository, &odd), odd.to_string());
    }
    let (bytesless, broken) = (Digest::sha256_of(b"no bytes"), Digest::sha256_of(b"broken link"));
    tree.storage_write(&layout::revision_link(&repository, &bytesless), bytesless.to_string());
    tree.storage_write(&layout::revision_link(&repository, &broken), format!("{broken}\n"));
    let folder = tree.path(&layout::revisions(&repository, Algorithm::Sha256));
    std::fs::create_dir_all(folder.join("not-a-digest")).expect("made");
    std::fs::create_dir_all(folder.join(Digest::sha256_of(b"deleted").hex())).expect("made");

    let (one, two) = tokio::join!(list_all(&tree, &subject), list_all(&tree, &subject));
    assert_eq!(one, sorted(&made.iter().collect::<Vec<_>>()));
    assert_eq!(two, one);
    assert!(tree.storage_exists(&layout::referrers_complete(&repository)));
    // It is looked at once.
    forget(&tree);
    assert!(list_all(&tree, &subject).await.is_empty());
}

/// More than are looked at in one turn.
const TREE_SIZE: usize = 70;

#[tokio::test]
async fn the_index_behind_a_referrers_tag_is_merged_whenever_it_moves() {
    let tree = Tree::new();
    let subject = subject();
    let repository = name("a/b");
    let known = refer(&tree, &subject, "text/x", 1).await;
    assert_eq!(list_all(&tree, &subject).await, sorted(&[&known]));
    // From here on a distribution registry takes the pushes: it makes no entries.
    let late = refer(&tree, &subject, "text/x", 2).await;
    let stranger = refer(&tree, &Digest::sha256_of(b"another subject"), "text/x", 3).await;
    let later = refer(&tree, &subject, "text/x", 4).await;
    for digest in [&late, &later] {
        tree.storage_remove(&layout::referrer(&repository, &subject, digest));
    }
    let absent = Digest::sha256_of(b"absent");
    let index = |digests: &[&Digest]| {
        let manifests: Vec<_> = digests
            .iter()
            .map(|digest| json!({"mediaType": OCI_INDEX, "digest": digest.to_string(), "size": 1}))
            .collect();
        Bytes::from(json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).to_string())
    };
    let behind_the_tag = |bytes: &Bytes| {
        let digest = Digest::sha256_of(bytes);
        tree.storage_write(&layout::blob(&digest), bytes);
        tree.storage_write(&layout::revision_link(&repository, &digest), digest.to_string());
        let fallback = tag(&format!("sha256-{}", subject.hex()));
        tree.storage_write(&layout::tag_current_link(&repository, &fallback), digest.to_string());
    };
    behind_the_tag(&index(&[&late, &stranger, &absent]));
    assert_eq!(list_all(&tree, &subject).await, sorted(&[&known, &late]));
    behind_the_tag(&index(&[&late, &later]));
    assert_eq!(list_all(&tree, &subject).await, sorted(&[&known, &late, &later]));
    // An index that cannot be read hides nothing.
    tree.storage_write(&layout::blob(&Digest::sha256_of(&index(&[&late, &later]))), "{");
    assert_eq!(list_all(&tree, &subject).await, sorted(&[&known, &late, &later]));
}

#[tokio::test]
async fn the_referrers_tag_of_a_long_digest_is_cut() {
    let tree = Tree::new();
    let long = Digest::of(Algorithm::Sha512, b"a subject");
    let referrer = refer(&tree, &long, "text/x", 1).await;
    list_all(&tree, &long).await;
    let entry = layout::referrer(&name("a/b"), &long, &referrer);
    tree.storage_remove(&entry);
    let index = json!({"schemaVersion": 2, "manifests": [{"digest": referrer.to_string(), "size": 1}]});
    let fallback = tag(&format!("sha512-{}", &long.hex()[..64]));
    put(&tree, Reference::Tag(fallback), index.to_string().into()).await;
    assert_eq!(list_all(&tree, &long).await, sorted(&[&referrer]));
    assert!(tree.storage_exists(&entry));
}

#[tokio::test]
async fn reindexing_mends_what_is_missing_damaged_or_left_over() {
    let tree = Tree::new();
    let subject = subject();
    let repository = name("a/b");
    let mut made = Vec::new();
    for number in 0..4 {
        made.push(refer(&tree, &subject, "text/x", number).await);
    }
    let entry = |digest: &Digest| layout::referrer(&repository, &subject, digest);
    tree.storage_remove(&entry(&made[0]));
    tree.storage_write(&entry(&made[1]), "{");
    tree.storage_remove(&layout::revision_link(&repository, &made[2]));
    list_all(&tree, &subject).await;
    tree.storage_remove(&entry(&made[0]));
    tree.storage_write(&entry(&made[1]), "{");
    assert_eq!(list_all(&tree, &subject).await, sorted(&[&made[3]]), "damage hides only itself");
    let found = tree.repositories.reindex_referrers(&repository).await.expect("done");
    assert_eq!(found, Reindexed { referrers: 3, unreadable: 0, removed: 1 });
    assert_eq!(list_all(&tree, &subject).await, sorted(&[&made[0], &made[1], &made[3]]));
    assert!(!tree.storage_exists(&entry(&made[2])));
    let again = tree.repositories.reindex_referrers(&repository).await.expect("done");
    assert_eq!(again, Reindexed { referrers: 3, unreadable: 0, removed: 0 });
}

#[tokio::test]
async fn an_old_manifest_refers_to_nothing() {
    let tree = Tree::new();
    let repository = name("a/b");
    let old = Digest::sha256_of(b"old");
    let subject = json!({"mediaType": DOCKER_SCHEMA_1, "digest": subject().to_string(), "size": 5});
    let body = json!({"schemaVersion": 1, "signatures": [], "subject": subject});
    tree.storage_write(&layout::blob(&old), body.to_string());
    tree.storage_write(&layout::revision_link(&repository, &old), old.to_string());
    let found = tree.repositories.reindex_referrers(&repository).await.expect("done");
    assert_eq!(found, Reindexed { referrers: 0, unreadable: 1, removed: 0 });
}

#[tokio::test]
async fn looking_at_a_repository_that_is_deleted_does_not_bring_it_back() {
    let tree = Tree::new();
    let (repository, subject) = (name("a/b"), subject());
    refer(&tree, &subject, "text/x", 1).await;
    let fallback = tag(&format!("sha256-{}", subject.hex()));
    put(&tree, Reference::Tag(fallback), referring_index(&subject, "text/x", 2)).await;
    // Each of the two looks waits for the lock while the repository goes.
    for is_complete in [false, true] {
        if is_complete {
            tree.storage_write(&layout::referrers_complete(&repository), "");
        }
        let lock = layout::referrers_lock(&repository);
        let held = tree.repositories.storage().lock(&lock).await.expect("free");
        let listing = tokio::spawn({
            let (registry, repository, subject) =
                (tree.repositories.clone(), repository.clone(), subject.clone());
            async move { registry.list_referrers(&repository, everything(&subject)).await.map(drop) }
        });
        for _ in 0..20 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        assert!(!listing.is_finished());
        let (manifests, aside) =
            (tree.path(&layout::manifests(&repository)), tree.path(&layout::root()).join("aside"));
        std::fs::rename(&manifests, &aside).expect("gone");
        drop(held);
        listing.await.expect("no panic").expect("an empty list");
        assert!(!manifests.exists(), "{is_complete}");
        std::fs::rename(&aside, &manifests).expect("back");
    }
    // An operator may ask for one that is not there.
    tree.repositories.reindex_referrers(&name("never")).await.expect("done");
    assert!(!tree.storage_exists(&layout::manifests(&name("never"))));
}
