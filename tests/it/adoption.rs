//! Taking over a tree of the distribution registry and handing it back: everything either of them wrote is served by the
//! other with the same answers, and looking at a tree does not change it.
//!
//! *Invariant:* what is asked for is everything in the tree; the answers are recorded from the registry that wrote it.

use std::path::Path;

use harness::client::{OciClient, Request, uploads, with_digest};
use harness::images::{Blob, DOCKER_LIST, DOCKER_MANIFEST, Family, Image, Index, sha512};
use harness::peer::{self, Peer};
use harness::settings::Auth;
use harness::stack::LoneRegistry;
use harness::trees;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use crate::collection::{collect, delete, index, referrer};

/// Lets the distribution registry take foreign layers.
const FOREIGN_LAYERS: &str =
    "validation:\n  manifests:\n    urls:\n      allow:\n        - ^https://example\\.com/\n";

/// A life of a registry: everything its protocol knows, and what goes wrong in one.
async fn live(registry: &str, seed: u64) -> anyhow::Result<()> {
    let client = OciClient::anonymous(registry)?;
    let oci = Image::new(seed, 3, 20_000)?;
    let docker = Image::with(seed + 1, 2, 10_000, Family::Docker, "amd64")?;
    let arm = Image::with(seed + 2, 2, 10_000, Family::Docker, "arm64")?;
    let platforms = Index::two_platforms(seed + 3)?;
    let app = &format!("life-{seed}/app");
    client.push_image(app, "oci", &oci).await?;
    client.push_image(app, "docker", &docker).await?;
    client.push_index(app, "multi", &platforms).await?;
    client.push_image(app, &arm.manifest.digest, &arm).await?;
    let list = json!({
        "schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [docker.descriptor(), arm.descriptor()],
    });
    client
        .put_manifest(app, "list", &Blob::new(DOCKER_LIST, serde_json::to_vec(&list)?))
        .await?
        .expect(201)?;
    referrers(&client, app, &oci.manifest).await?;
    odd_content(&client, app).await?;

    // Names that look like parts of the protocol or of the layout.
    for repository in ["nested/deep/er", "blobs", "manifests/tags", "uploads"] {
        client.push_image(&format!("life-{seed}/app/{repository}"), "1", &docker).await?;
    }
    let mounted = &format!("life-{seed}/mounted");
    for blob in docker.blobs() {
        let query = format!("{}?mount={}&from={app}", uploads(mounted), blob.digest);
        client.send(&Request::new(Method::POST, query)).await?.expect(201)?;
    }
    client.put_manifest(mounted, "1", &docker.manifest).await?.expect(201)?;
    // Tags that moved, tags that went with their manifest, and manifests left without one.
    client.push_image(app, "moved", &oci).await?;
    client.push_image(app, "moved", &docker).await?;
    let (doomed, untagged) = (Image::new(seed + 10, 1, 5000)?, Image::new(seed + 11, 1, 5000)?);
    client.push_image(app, "doomed", &doomed).await?;
    client.push_image(app, "doomed-too", &doomed).await?;
    delete(&client, app, &doomed.manifest.digest).await?;
    client.push_image(app, &untagged.manifest.digest, &untagged).await?;
    client.push_image(app, "deleted-layer", &Image::new(seed + 12, 2, 5000)?).await?;
    let layer = &Image::new(seed + 12, 2, 5000)?.layers[0].digest;
    client.send(&Request::new(Method::DELETE, format!("/v2/{app}/blobs/{layer}"))).await?.expect(202)?;
    client.push_blob(&format!("life-{seed}/blobs-only"), &Blob::new("x/y", format!("blob {seed}"))).await?;
    interrupted_uploads(&client, app).await
}

/// Signatures of an image the way clients make them at a registry that knows no referrers.
async fn referrers(client: &OciClient, repository: &str, subject: &Blob) -> anyhow::Result<()> {
    let config = Blob::new("application/vnd.oci.empty.v1+json", "{}");
    client.push_blob(repository, &config).await?;
    let signature = referrer(&config, subject)?;
    client.put_manifest(repository, &signature.digest, &signature).await?.expect(201)?;
    let tag = subject.digest.replace(':', "-");
    client.put_manifest(repository, &tag, &index(&[signature.descriptor()])?).await?.expect(201)?;
    client.put_manifest(repository, &format!("{tag}.sig"), &signature).await?.expect(201)?;
    Ok(())
}

/// Content with a long name, without bytes, and with bytes elsewhere.
async fn odd_content(client: &OciClient, repository: &str) -> anyhow::Result<()> {
    client.push_blob(repository, &Blob::new("x/y", "")).await?;
    let location = client.start_upload(repository).await?;
    let long = with_digest(&location, &sha512(b"content with a long name"));
    client.send(&Request::new(Method::PUT, long).body("content with a long name")).await?.expect(201)?;
    let image = Image::with(7, 1, 2000, Family::Docker, "amd64")?;
    for blob in image.blobs() {
        client.push_blob(repository, blob).await?;
    }
    let foreign = json!({
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": harness::images::sha256(b"elsewhere"),
        "size": 9,
        "urls": ["https://example.com/layer"],
    });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": image.config.descriptor(),
        "layers": [foreign, image.layers[0].descriptor()],
    });
    let manifest = Blob::new(DOCKER_MANIFEST, serde_json::to_vec(&manifest)?);
    client.put_manifest(repository, "foreign", &manifest).await?.expect(201)?;
    Ok(())
}

/// Uploads that were opened, begun, begun twice, closed wrongly and cancelled.
async fn interrupted_uploads(client: &OciClient, repository: &str) -> anyhow::Result<()> {
    client.start_upload(repository).await?;
    let cancelled = client.start_upload(repository).await?;
    client.send(&Request::new(Method::DELETE, cancelled)).await?.expect(204)?;
    for parts in 1..4 {
        let mut location = client.start_upload(repository).await?;
        for _ in 0..parts {
            let patch = Request::new(Method::PATCH, location.as_str())
                .header(CONTENT_TYPE, "application/octet-stream")
                .body(vec![parts; 1000]);
            client.send(&patch).await?.expect(202)?.needs_header("location")?.clone_into(&mut location);
        }
        if parts == 3 {
            let wrong = with_digest(&location, &harness::images::sha256(b"something else"));
            client.send(&Request::new(Method::PUT, wrong)).await?.expect(400)?;
        }
    }
    Ok(())
}

/// The answers of the distribution registry, and everything it was asked.
async fn recorded_from_peer(root: &Path) -> anyhow::Result<(Vec<Request>, Vec<String>)> {
    let targets = trees::targets(root)?;
    let peer = Peer::start(root, FOREIGN_LAYERS).await?;
    let answers = trees::answers(&peer.url(), &targets).await?;
    peer.stop()?;
    Ok((targets, answers))
}

/// The answers of ours.
async fn recorded_from_ours(root: &Path) -> anyhow::Result<(Vec<Request>, Vec<String>)> {
    let targets = trees::targets(root)?;
    let ours = LoneRegistry::start(root, Auth::Open).await?;
    let answers = trees::answers(&ours.url(), &targets).await?;
    Ok((targets, answers))
}

fn assert_same(theirs: &[String], ours: &[String], when: &str) {
    assert_eq!(theirs.len(), ours.len());
    let differ: Vec<_> = theirs.iter().zip(ours).filter(|(theirs, ours)| theirs != ours).collect();
    assert!(differ.is_empty(), "{when}: {differ:#?}");
    let found = theirs.iter().filter(|answer| answer.contains(" -> 200")).count();
    assert!(found > 60, "only {found} of {} answers were found {when}", theirs.len());
}

/// The files of a tree without those that are ours.
fn shared_files(root: &Path) -> anyhow::Result<Vec<(String, String)>> {
    Ok(trees::files(root)?.into_iter().filter(|(path, _)| !trees::is_ours(path)).collect())
}

#[tokio::test]
async fn ours_answers_as_distribution_did_and_changes_nothing() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let root = tree.path();
    let peer = Peer::start(root, FOREIGN_LAYERS).await?;
    live(&peer.url(), 1000).await?;
    peer.stop()?;
    for collection in [None, Some(&[][..]), Some(&["-m"][..])] {
        if let Some(flags) = collection {
            peer::collect_garbage(root, flags).await?.success()?;
        }
        let (targets, theirs) = recorded_from_peer(root).await?;
        let before = shared_files(root)?;
        let ours = LoneRegistry::start(root, Auth::Open).await?;
        let answers = trees::answers(&ours.url(), &targets).await?;
        drop(ours);
        assert_same(&theirs, &answers, &format!("after their collection {collection:?}"));
        assert_eq!(shared_files(root)?, before, "being looked at changed the tree");
    }
    Ok(())
}

#[tokio::test]
async fn distribution_answers_as_ours_did_and_can_collect() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let root = tree.path();
    let ours = LoneRegistry::start(root, Auth::Open).await?;
    live(&ours.url(), 1100).await?;
    drop(ours);
    for collection in [None, Some(&[][..]), Some(&["-m"][..])] {
        if let Some(flags) = collection {
            collect(root, flags).await?.success()?;
        }
        let (targets, ours) = recorded_from_ours(root).await?;
        let peer = Peer::start(root, FOREIGN_LAYERS).await?;
        let theirs = trees::answers(&peer.url(), &targets).await?;
        peer.stop()?;
        assert_same(&theirs, &ours, &format!("after our collection {collection:?}"));
        // Nothing we add stops their collector.
        let copy = tempfile::tempdir()?;
        trees::copy(root, copy.path())?;
        peer::collect_garbage(copy.path(), &[]).await?.success()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_tree_goes_back_and_forth_while_both_write() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let root = tree.path();
    let peer = Peer::start(root, FOREIGN_LAYERS).await?;
    live(&peer.url(), 1200).await?;
    peer.stop()?;
    let ours = LoneRegistry::start(root, Auth::Open).await?;
    live(&ours.url(), 1300).await?;
    // Into repositories of the other, over its tags, without its manifests.
    let client = OciClient::anonymous(&ours.url())?;
    let image = Image::new(1400, 1, 1000)?;
    client.push_image("life-1200/app", "oci", &image).await?;
    delete(&client, "life-1200/app", &Index::two_platforms(1203)?.index.digest).await?;
    drop(ours);
    collect(root, &["-m"]).await?.success()?;
    let peer = Peer::start(root, FOREIGN_LAYERS).await?;
    let client = OciClient::anonymous(&peer.url())?;
    client.pull_image("life-1200/app", "oci", &image).await?;
    client.push_image("life-1300/app", "multi", &image).await?;
    live(&peer.url(), 1500).await?;
    peer.stop()?;
    let (targets, theirs) = recorded_from_peer(root).await?;
    let ours = LoneRegistry::start(root, Auth::Open).await?;
    let answers = trees::answers(&ours.url(), &targets).await?;
    assert_same(&theirs, &answers, "after three lives");
    Ok(())
}

#[tokio::test]
async fn leftovers_of_old_registries_spoil_nothing_else() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let root = tree.path();
    let peer = Peer::start(root, FOREIGN_LAYERS).await?;
    live(&peer.url(), 1600).await?;
    peer.stop()?;
    let (mut targets, mut before) = recorded_from_peer(root).await?;
    // The leftovers are in the catalogue too.
    targets.retain(|target| target.target != "/v2/_catalog");
    before.retain(|answer| !answer.contains("/v2/_catalog"));
    let damaged = leave(root)?;

    let ours = LoneRegistry::start(root, Auth::Open).await?;
    let answers = trees::answers(&ours.url(), &targets).await?;
    assert_same(&before, &answers, "with leftovers around");
    let client = OciClient::anonymous(&ours.url())?;
    for target in damaged {
        let answer = client.raw(&Request::get(&target).accepting_manifests()).await?;
        assert!(matches!(answer.status, 200 | 404 | 500), "{answer}");
        assert!(answer.status == 200 || !answer.error_codes()?.is_empty(), "{answer}");
    }
    let catalogue = client.raw(&Request::get("/v2/_catalog")).await?.expect(200)?.json()?;
    assert!(catalogue["repositories"].as_array().is_some_and(|all| all.iter().any(|name| name == "old")));
    let tags = client.raw(&Request::get("/v2/old/tags/list")).await?.expect(200)?.json()?;
    assert_eq!(tags["tags"], json!(["nobytes", "schema1"]), "what is not there is not listed");
    drop(ours);
    collect(root, &[]).await?.success()?;
    let ours = LoneRegistry::start(root, Auth::Open).await?;
    let answers = trees::answers(&ours.url(), &targets).await?;
    let kept = |answers: &[String]| -> Vec<String> {
        answers.iter().filter(|answer| answer.contains("/manifests/")).cloned().collect()
    };
    assert_eq!(kept(&answers), kept(&before), "a collection among leftovers takes no manifest");
    Ok(())
}

/// Puts what old registries, crashes and people leave into a tree: into a repository of its own, and stray files
/// everywhere. Returns what can be asked for because of it.
fn leave(root: &Path) -> anyhow::Result<Vec<String>> {
    let write = |path: &Path, content: &[u8]| -> anyhow::Result<()> {
        std::fs::create_dir_all(path.parent().unwrap_or(path))?;
        Ok(std::fs::write(path, content)?)
    };
    let old = trees::repository(root, "old");
    let schema_1 = br#"{"schemaVersion":1,"name":"old","tag":"schema1","architecture":"amd64","fsLayers":[],"history":[]}"#;
    let digest = harness::images::sha256(schema_1);
    let hex = digest.trim_start_matches("sha256:").to_owned();
    write(&trees::blob(root, &digest), schema_1)?;
    let revision = |hex: &str| old.join("_manifests/revisions/sha256").join(hex);
    let tag = |name: &str| old.join("_manifests/tags").join(name).join("current/link");
    write(&revision(&hex).join("link"), digest.as_bytes())?;
    write(&revision(&hex).join("signatures/sha256").join(&hex).join("link"), digest.as_bytes())?;
    write(&tag("schema1"), digest.as_bytes())?;
    // Bytes that are gone; a link that is gone; a crash while a link was written; somebody's editor.
    let gone = "d".repeat(64);
    write(&revision(&gone).join("link"), format!("sha256:{gone}").as_bytes())?;
    write(&tag("nobytes"), format!("sha256:{gone}").as_bytes())?;
    write(&tag("nolink"), format!("sha256:{}", "e".repeat(64)).as_bytes())?;
    write(&tag("empty"), b"")?;
    write(&tag("newline"), format!("{digest}\n").as_bytes())?;
    write(&revision(&"f".repeat(64)).join("link"), b"")?;
    write(&old.join("_layers/sha256").join("a".repeat(64)).join("link"), b"")?;
    std::fs::create_dir_all(old.join("_manifests/tags/folder"))?;
    std::fs::create_dir_all(revision(&"c".repeat(64)))?;
    std::fs::create_dir_all(trees::repository(root, "empty/folders"))?;
    for folder in ["", "life-1600", "life-1600/app", "life-1600/app/_manifests/tags", "old/_layers/sha256"] {
        for file in [".DS_Store", "link.tmp", "notes.txt"] {
            write(&trees::repository(root, folder).join(file), b"stray")?;
        }
    }
    write(&root.join(trees::IMAGES).join("blobs/sha256/.nfs0001"), b"stray")?;
    let digests = [hex, gone, "e".repeat(64), "f".repeat(64), "c".repeat(64)];
    let tags = ["schema1", "nobytes", "nolink", "empty", "newline", "folder"].map(str::to_owned);
    let references = tags.into_iter().chain(digests.iter().map(|hex| format!("sha256:{hex}")));
    let mut targets: Vec<_> = references.map(|reference| format!("/v2/old/manifests/{reference}")).collect();
    targets.push(format!("/v2/old/blobs/sha256:{}", "a".repeat(64)));
    Ok(targets)
}
