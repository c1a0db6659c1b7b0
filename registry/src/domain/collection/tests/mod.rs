//! Collections on trees made by the operations themselves, then damaged by hand.

use bytes::Bytes;
use serde_json::json;
use shared::repository_name::RepositoryName;

use super::report::{Event, Observer};
use super::{CollectionError, CollectionOptions};
use crate::domain::manifests::precondition::Precondition;
use crate::domain::testing::{Tree, image, index, name, tag};
use crate::oci::digest::{Algorithm, Digest};
use crate::oci::manifest::references::References;
use crate::storage::layout::{self, Key};
use crate::storage::{Storage, TreeClaim};

mod faulty;

mod model;

/// All lines, those about what is kept marked with a `!`.
#[derive(Default)]
struct Lines(Vec<String>);

impl Observer for Lines {
    fn tell(&mut self, event: Event<'_>) {
        let mark = if matches!(event, Event::Kept { .. }) { "!" } else { "" };
        self.0.push(format!("{mark}{event}"));
    }
}

impl Lines {
    fn kept(&self) -> Vec<&String> {
        self.0.iter().filter(|line| line.starts_with('!')).collect()
    }
}

const ALL: CollectionOptions = CollectionOptions { dry_run: false, delete_untagged: false };
const TAGGED: CollectionOptions = CollectionOptions { dry_run: false, delete_untagged: true };

async fn collect(tree: &Tree, options: CollectionOptions) -> Lines {
    let mut lines = Lines::default();
    tree.reopened().collect_garbage(options, &mut lines).await.expect("collected");
    lines
}

fn is_blob(tree: &Tree, digest: &Digest) -> bool {
    tree.storage_exists(&layout::blob(digest))
}

/// Whether a client gets the manifest and everything in it.
async fn is_whole(tree: &Tree, repository: &RepositoryName, digest: &Digest) -> bool {
    let reference = crate::oci::reference::Reference::Digest(digest.clone());
    let Ok(manifest) = tree.repositories.get_manifest(repository, &reference).await else { return false };
    for needed in References::of(&manifest.bytes).expect("a manifest").content {
        let blob = tree.repositories.stat_blob(repository, &needed).await.is_ok();
        let child = tree.storage_exists(&layout::revision_link(repository, &needed));
        if !blob && !child {
            return false;
        }
    }
    true
}

/// An image manifest that is about another manifest.
fn referrer(config: &Digest, subject: &Digest) -> Bytes {
    let mut manifest: serde_json::Value = serde_json::from_slice(&image(config, &[])).expect("JSON");
    manifest["subject"] = json!({"mediaType": "x/y", "digest": subject.to_string(), "size": 1});
    manifest.to_string().into()
}

#[tokio::test]
async fn what_no_manifest_needs_goes_and_the_rest_stays() {
    let tree = Tree::new();
    let a = name("a");
    let kept = tree.push_image(&a, Some(&tag("1")), "kept").await;
    let gone = tree.push_image(&a, Some(&tag("2")), "gone").await;
    let stray = tree.push_blob(&a, b"stray").await;
    // An empty layer and a shared one.
    tree.push_blob(&a, b"").await;
    tree.repositories.delete_manifest(&a, &gone, Precondition::default(), None).await.expect("deleted");
    let lines = collect(&tree, ALL).await;
    assert!(is_whole(&tree, &a, &kept).await);
    for digest in [&gone, &stray, &Digest::sha256_of(b"layer of gone"), &Digest::sha256_of(b"")] {
        assert!(!is_blob(&tree, digest), "{digest}");
        assert!(!tree.storage_exists(&layout::layer_folder(&a, digest)));
    }
    assert!(lines.kept().is_empty());
    assert!(lines.0.contains(&"\n3 blobs marked, 5 blobs and 0 manifests eligible for deletion".to_owned()));
    let again = collect(&tree, ALL).await;
    assert!(again.0.contains(&"\n3 blobs marked, 0 blobs and 0 manifests eligible for deletion".to_owned()));
}

#[tokio::test]
async fn the_lines_are_those_of_the_distribution_registry() {
    let tree = Tree::new();
    let a = name("a/b");
    let first = tree.push_image(&a, Some(&tag("v1")), "first").await;
    let second = tree.push_image(&a, Some(&tag("v1")), "second").await;
    let blob = |text: &str| Digest::sha256_of(text.as_bytes());
    let mut dead = [first.clone(), blob("config of first"), blob("layer of first")];
    dead.sort();
    let mut expected = vec![
        "a/b".to_owned(),
        format!("a/b: marking manifest {second} "),
        format!("a/b: marking blob {}", blob("config of second")),
        format!("a/b: marking blob {}", blob("layer of second")),
        format!("manifest eligible for deletion: {{a/b {first} [v1]}}"),
        "\n3 blobs marked, 3 blobs and 1 manifests eligible for deletion".to_owned(),
    ];
    expected.extend(dead.iter().map(|digest| format!("blob eligible for deletion: {digest}")));
    let links = dead.iter().filter(|digest| **digest != first);
    expected.extend(links.map(|digest| format!("a/b: layer link eligible for deletion: {digest}")));
    let options = CollectionOptions { dry_run: true, ..TAGGED };
    assert_eq!(collect(&tree, options).await.0, expected);
    assert!(is_whole(&tree, &a, &first).await, "a dry run changes nothing");
    assert_eq!(collect(&tree, TAGGED).await.0, expected);
    assert!(!is_blob(&tree, &first) && is_whole(&tree, &a, &second).await);
    assert!(!tree.storage_exists(&layout::revision_folder(&a, &first)));
    assert!(!tree.storage_exists(&layout::tag_index_folder(&a, &tag("v1"), &first)));
}

#[tokio::test]
async fn links_are_decided_for_each_repository_by_itself() {
    // The same manifest is untagged in the first repository and tagged in the last; and the other way round.
    for order in [["a", "b"], ["b", "a"]] {
        let tree = Tree::new();
        let [untagged, tagged] = order.map(name);
        let digest = tree.push_image(&tagged, Some(&tag("1")), "image").await;
        tree.push_image(&untagged, None, "image").await;
        let stray = tree.push_blob(&untagged, b"layer of something else").await;
        collect(&tree, ALL).await;
        assert!(is_whole(&tree, &tagged, &digest).await && is_whole(&tree, &untagged, &digest).await);
        assert!(!is_blob(&tree, &stray));
        collect(&tree, TAGGED).await;
        assert!(is_whole(&tree, &tagged, &digest).await);
        assert!(
            !tree.storage_exists(&layout::revision_link(&untagged, &digest)),
            "manifest and layers go together"
        );
        assert!(!tree.storage_exists(&layout::layer_link(&untagged, &Digest::sha256_of(b"layer of image"))));
    }
}

#[tokio::test]
async fn children_and_referrers_of_what_is_tagged_stay_however_deep() {
    let tree = Tree::new();
    let a = name("a");
    let child = tree.push_image(&a, None, "child").await;
    let inner = tree.push_index(&a, None, index(&[&child])).await;
    let outer = tree.push_index(&a, Some(&tag("1")), index(&[&inner])).await;
    let config = tree.push_blob(&a, b"{}").await;
    let signature = tree.push_manifest(&a, None, referrer(&config, &child)).await;
    let of_signature = tree.push_manifest(&a, None, referrer(&config, &signature)).await;
    let untagged = tree.push_image(&a, None, "untagged").await;
    let its_signature = tree.push_manifest(&a, None, referrer(&config, &untagged)).await;
    let tagged_signature = tree.push_manifest(&a, Some(&tag("s")), referrer(&config, &its_signature)).await;
    let old = tree.push_index(&a, None, index(&[&child, &untagged])).await;
    collect(&tree, TAGGED).await;
    for kept in [&child, &inner, &outer, &signature, &of_signature, &tagged_signature] {
        assert!(is_whole(&tree, &a, kept).await, "{kept}");
    }
    for gone in [&untagged, &its_signature, &old] {
        assert!(!is_blob(&tree, gone), "{gone}");
    }
    let entry = |subject, referrer| tree.storage_exists(&layout::referrer(&a, subject, referrer));
    assert!(entry(&child, &signature) && entry(&its_signature, &tagged_signature));
    assert!(!entry(&untagged, &its_signature), "what goes is no longer recorded as a referrer");
}

#[tokio::test]
async fn an_index_may_list_what_is_not_there_and_blobs() {
    let tree = Tree::new();
    let a = name("a");
    // Build caches put layers into an index.
    let layer = tree.push_blob(&a, b"a layer").await;
    let missing = Digest::sha256_of(b"never pushed");
    let bytes = index(&[&layer, &missing]);
    let digest = Digest::sha256_of(&bytes);
    tree.storage_write(&layout::blob(&digest), &bytes);
    tree.storage_write(&layout::revision_link(&a, &digest), digest.to_string());
    tree.storage_write(&layout::tag_current_link(&a, &tag("1")), digest.to_string());
    let lines = collect(&tree, TAGGED).await;
    assert!(lines.kept().is_empty());
    assert!(is_blob(&tree, &layer) && is_blob(&tree, &digest));
    assert!(tree.storage_exists(&layout::layer_link(&a, &layer)));
}

#[tokio::test]
async fn repositories_with_nothing_but_layers_are_visited() {
    let tree = Tree::new();
    let digest = tree.push_blob(&name("only/layers"), b"content").await;
    tree.push_image(&name("other"), Some(&tag("1")), "image").await;
    collect(&tree, ALL).await;
    assert!(!is_blob(&tree, &digest));
    assert!(!tree.storage_exists(&layout::layer_link(&name("only/layers"), &digest)));
}

#[tokio::test]
async fn uploads_are_not_touched() {
    let tree = Tree::new();
    let (a, owner) = (name("a"), crate::domain::upload_session::UploadOwner::anonymous());
    tree.push_blob(&a, b"stray").await;
    let upload = tree.repositories.start_upload(&a, &owner, Algorithm::Sha256).await.expect("started");
    collect(&tree, TAGGED).await;
    let status = tree.repositories.upload_status(&a, upload.id, &owner).await.expect("still there");
    assert_eq!(status.offset, 0);
}

#[tokio::test]
async fn schema_1_is_kept_with_its_layers() {
    let tree = Tree::new();
    let a = name("a");
    let layer = tree.push_blob(&a, b"an old layer").await;
    let stray = tree.push_blob(&a, b"stray").await;
    let old = json!({
        "schemaVersion": 1, "name": "a", "tag": "old", "architecture": "amd64",
        "fsLayers": [{"blobSum": layer.to_string()}], "history": [{"v1Compatibility": "{}"}],
    });
    let bytes = old.to_string();
    let digest = Digest::sha256_of(bytes.as_bytes());
    tree.storage_write(&layout::blob(&digest), bytes);
    tree.storage_write(&layout::revision_link(&a, &digest), digest.to_string());
    let signature = tree.path(&layout::revision_folder(&a, &digest)).join("signatures/sha256/00/link");
    std::fs::create_dir_all(signature.parent().expect("a folder")).expect("made");
    std::fs::write(&signature, "sha256:00").expect("written");
    let lines = collect(&tree, ALL).await;
    assert!(lines.kept().is_empty(), "it is old, not broken");
    assert!(is_blob(&tree, &digest) && is_blob(&tree, &layer) && !is_blob(&tree, &stray));
    assert!(signature.exists());
    collect(&tree, TAGGED).await;
    assert!(!is_blob(&tree, &digest) && !signature.exists(), "untagged, it goes with its signatures");
}

#[tokio::test]
async fn content_known_by_a_long_digest_stays_under_all_its_names() {
    let tree = Tree::new();
    let a = name("a");
    let config = tree.push_blob(&a, b"{}").await;
    let layer = tree.push_blob(&a, b"content").await;
    let long = Digest::of(Algorithm::Sha512, b"content");
    tree.storage_write(&layout::layer_link(&a, &long), layer.to_string());
    let bytes = image(&config, &[&long]);
    let digest = tree.push_manifest(&a, None, bytes.clone()).await;
    let long_digest = Digest::of(Algorithm::Sha512, &bytes);
    tree.storage_write(&layout::revision_link(&a, &long_digest), digest.to_string());
    tree.storage_write(&layout::tag_current_link(&a, &tag("1")), long_digest.to_string());
    let lines = collect(&tree, TAGGED).await;
    assert!(lines.kept().is_empty());
    assert!(is_whole(&tree, &a, &digest).await && is_whole(&tree, &a, &long_digest).await);
    assert!(tree.storage_exists(&layout::layer_link(&a, &layer)));
    tree.repositories.delete_tag(&a, &tag("1"), Precondition::default(), None).await.expect("deleted");
    collect(&tree, TAGGED).await;
    assert!(!is_blob(&tree, &layer) && !is_blob(&tree, &digest));
    for link in [layout::layer_link(&a, &long), layout::revision_link(&a, &long_digest)] {
        assert!(!tree.storage_exists(&link), "{link}");
    }
}

/// Puts bytes into the tree that no registry would have taken as a manifest.
fn link(tree: &Tree, repository: &RepositoryName, bytes: impl AsRef<[u8]>) {
    let digest = Digest::sha256_of(bytes.as_ref());
    tree.storage_write(&layout::blob(&digest), bytes);
    tree.storage_write(&layout::revision_link(repository, &digest), digest.to_string());
}

type Damage = fn(&Tree, &RepositoryName, &Digest);

/// One kind of damage, done to the image `1` of the repository `a`.
fn damages() -> Vec<(&'static str, Damage)> {
    vec![
        ("no JSON", |tree, repository, _| link(tree, repository, "\0\0\0\0")),
        ("too large", |tree, repository, _| link(tree, repository, vec![b' '; 4 * 1024 * 1024 + 1])),
        ("a foreign digest", |tree, repository, _| {
            link(tree, repository, format!(r#"{{"layers":[{{"digest":"sha384:{}"}}]}}"#, "0".repeat(96)));
        }),
        ("no bytes", |tree, repository, _| {
            let digest = Digest::sha256_of(b"not there");
            tree.storage_write(&layout::revision_link(repository, &digest), digest.to_string());
        }),
        ("zeroed bytes", |tree, _, digest| tree.storage_write(&layout::blob(digest), [0; 300])),
        ("other bytes", |tree, _, digest| {
            // Still well-formed, but what it names is not what was pushed.
            let other = image(&Digest::sha256_of(b"other"), &[]);
            tree.storage_write(&layout::blob(digest), other);
        }),
        ("an empty alias", |tree, repository, _| {
            let long = Digest::of(Algorithm::Sha512, b"whatever");
            tree.storage_write(&layout::layer_link(repository, &long), "");
        }),
        ("a foreign revision", |tree, repository, digest| {
            let path = tree.path(&layout::revision_algorithms(repository)).join("sha384").join(digest.hex());
            std::fs::create_dir_all(path).expect("made");
        }),
    ]
}

#[tokio::test]
async fn a_repository_that_is_not_understood_is_left_as_it_is() {
    for (damage, inflict) in damages() {
        for options in [ALL, TAGGED] {
            let tree = Tree::new();
            let (a, b) = (name("a"), name("b"));
            let tagged = tree.push_image(&a, Some(&tag("1")), "tagged").await;
            let untagged = tree.push_image(&a, None, "untagged").await;
            let stray = tree.push_blob(&a, b"perhaps needed").await;
            let elsewhere = tree.push_blob(&b, b"surely not").await;
            inflict(&tree, &a, &tagged);
            let before = tree.listing();
            let lines = collect(&tree, options).await;
            assert!(!lines.kept().is_empty(), "{damage} is told");
            assert!(!is_blob(&tree, &elsewhere), "{damage} does not keep others from going");
            assert!(is_blob(&tree, &stray) && is_whole(&tree, &a, &untagged).await, "{damage} {options:?}");
            let gone: Vec<_> = before.difference(&tree.listing()).cloned().collect();
            assert!(
                gone.iter().all(|path| path.contains("/b/") || path.contains(elsewhere.hex())),
                "{damage}: {gone:#?}"
            );
        }
    }
}

#[tokio::test]
async fn a_broken_link_loses_nothing() {
    let (a, one) = (name("a"), tag("1"));
    let broken = |key_of: fn(&RepositoryName, &Digest) -> Key| key_of;
    let revision = broken(layout::revision_link);
    let layer = broken(|repository, _| layout::layer_link(repository, &Digest::sha256_of(b"layer of image")));
    let current = broken(|repository, _| layout::tag_current_link(repository, &tag("1")));
    for key_of in [revision, layer, current] {
        for content in ["", "\n", "sha256:00", &"\0".repeat(71)] {
            for options in [ALL, TAGGED] {
                let tree = Tree::new();
                let digest = tree.push_image(&a, Some(&one), "image").await;
                let link = key_of(&a, &digest);
                tree.storage_write(&link, content);
                collect(&tree, options).await;
                tree.storage_write(&link, layout_content(&link, &digest));
                assert!(is_whole(&tree, &a, &digest).await, "{link} {content:?} {options:?}");
            }
        }
    }
}

/// What mends a broken link.
fn layout_content(link: &Key, manifest: &Digest) -> String {
    let is_layer = link.as_str().contains("_layers");
    if is_layer { Digest::sha256_of(b"layer of image").to_string() } else { manifest.to_string() }
}

#[tokio::test]
async fn a_tag_whose_manifest_is_gone_is_no_reason_to_worry() {
    let tree = Tree::new();
    let a = name("a");
    let digest = tree.push_image(&a, Some(&tag("1")), "image").await;
    tree.storage_remove(&layout::revision_link(&a, &digest));
    let lines = collect(&tree, TAGGED).await;
    assert!(lines.kept().is_empty());
    // A crash between two writes can leave it so; the next push of the tag needs the content.
    assert!(is_blob(&tree, &digest) && is_blob(&tree, &Digest::sha256_of(b"layer of image")));
    tree.storage_remove(&layout::blob(&digest));
    let lines = collect(&tree, TAGGED).await;
    assert!(lines.kept().is_empty());
    assert!(!is_blob(&tree, &Digest::sha256_of(b"layer of image")));
}

#[tokio::test]
async fn a_renamed_repository_keeps_all_bytes() {
    let tree = Tree::new();
    let digest = tree.push_image(&name("a"), Some(&tag("1")), "image").await;
    tree.push_blob(&name("b"), b"stray").await;
    let from = tree.path(&layout::repository_folder("a"));
    std::fs::rename(&from, from.with_file_name("A.old")).expect("renamed");
    let lines = collect(&tree, TAGGED).await;
    assert_eq!(lines.kept().len(), 1);
    std::fs::rename(from.with_file_name("A.old"), &from).expect("renamed back");
    assert!(is_whole(&tree, &name("a"), &digest).await);
}

#[tokio::test]
async fn stray_files_are_passed_over() {
    let tree = Tree::new();
    let a = name("a");
    let digest = tree.push_image(&a, Some(&tag("1")), "image").await;
    let stray = [
        layout::repositories(),
        layout::repository_folder("a"),
        layout::revision_algorithms(&a),
        layout::revisions(&a, Algorithm::Sha256),
        layout::layers(&a, Algorithm::Sha256),
        layout::tags(&a),
        layout::blobs(),
        layout::blobs_beginning(&digest.hex()[..2]),
    ];
    for folder in &stray {
        std::fs::write(tree.path(folder).join(".DS_Store"), "x").expect("written");
        std::fs::create_dir(tree.path(folder).join("@eaDir")).expect("made");
        std::fs::write(tree.path(folder).join("link.0-0.tmp"), "x").expect("written");
    }
    std::fs::create_dir_all(tree.path(&layout::revision_folder(&a, &Digest::sha256_of(b"empty"))))
        .expect("made");
    let lines = collect(&tree, TAGGED).await;
    assert!(lines.kept().is_empty(), "{:?}", lines.kept());
    assert!(is_whole(&tree, &a, &digest).await);
    for folder in &stray {
        assert!(tree.path(folder).join("@eaDir").exists(), "{folder}");
    }
}

#[tokio::test]
async fn a_served_tree_is_left_alone_and_an_absent_one_is_not_made() {
    let tree = Tree::new();
    let mut lines = Lines::default();
    let outcome = tree.repositories.collect_garbage(ALL, &mut lines).await;
    assert!(matches!(outcome, Err(CollectionError::NoImages)));
    let digest = tree.push_blob(&name("a"), b"stray").await;
    let serving = tree.repositories.storage().claim_tree(TreeClaim::Shared).await.expect("no error");
    let outcome = tree.reopened().collect_garbage(ALL, &mut lines).await;
    assert!(matches!(outcome, Err(CollectionError::Served)));
    assert!(is_blob(&tree, &digest) && lines.0.is_empty());
    let dry = CollectionOptions { dry_run: true, ..ALL };
    tree.reopened().collect_garbage(dry, &mut lines).await.expect("looking is allowed");
    drop(serving);
    collect(&tree, ALL).await;
    assert!(!is_blob(&tree, &digest));
}

#[tokio::test]
async fn a_dry_run_writes_nothing_at_all() {
    let tree = Tree::new();
    tree.push_image(&name("a"), None, "image").await;
    tree.push_blob(&name("a"), b"stray").await;
    let before = tree.listing();
    collect(&tree, CollectionOptions { dry_run: true, ..TAGGED }).await;
    assert_eq!(tree.listing(), before);
}
