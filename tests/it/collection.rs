//! `registry garbage-collect` beside the distribution registry's: the same garbage where that one is right, and none of
//! its losses.
//!
//! *Invariant:* where both are compared, each collects its own copy of one tree.

use std::collections::BTreeSet;
use std::path::Path;

use harness::client::{OciClient, Request, with_digest};
use harness::images::{self, Blob, Family, Image, Index, OCI_INDEX, OCI_MANIFEST, noise};
use harness::peer::{self, Peer};
use harness::program::{self, Said};
use harness::server::{Process, Which};
use harness::settings::{self, Auth, RegistryOptions};
use harness::stack::LoneRegistry;
use harness::trees;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

const REPOSITORY: &str = "team/app";

/// Runs our collection on a tree. Its settings do not allow clients to delete anything.
pub(crate) async fn collect(root: &Path, flags: &[&str]) -> anyhow::Result<Said> {
    let folder = tempfile::tempdir()?;
    let settings = folder.path().join("registry.yml");
    let text = format!("storage:\n  filesystem:\n    rootdirectory: {}\nauth: none\n", root.display());
    std::fs::write(&settings, text)?;
    let mut command = Command::new(Which::Registry.binary()?);
    program::run(command.arg("garbage-collect").args(flags).arg(settings), "").await
}

/// Deletes a manifest or a tag.
pub(crate) async fn delete(client: &OciClient, repository: &str, reference: &str) -> anyhow::Result<()> {
    let target = format!("/v2/{repository}/manifests/{reference}");
    client.send(&Request::new(Method::DELETE, target)).await?.expect(202)?;
    Ok(())
}

/// A manifest of the OCI's that is about another one; its config has to be pushed before.
pub(crate) fn referrer(config: &Blob, subject: &Blob) -> anyhow::Result<Blob> {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example.signature",
        "config": config.descriptor(),
        "layers": [config.descriptor()],
        "subject": subject.descriptor(),
    });
    Ok(Blob::new(OCI_MANIFEST, serde_json::to_vec(&manifest)?))
}

/// An index of the OCI's over these manifests.
pub(crate) fn index(children: &[Value]) -> anyhow::Result<Blob> {
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children});
    Ok(Blob::new(OCI_INDEX, serde_json::to_vec(&index)?))
}

/// What both lines of the distribution registry say alike. The 2.x line keeps layer links for ever, says again for each
/// repository that a blob is marked, and names only the digest of an eligible manifest.
fn lines(said: &Said) -> BTreeSet<&str> {
    let lines = said.output.lines().filter(|line| !line.contains("layer link eligible"));
    lines
        .map(|line| {
            let is_manifest = line.starts_with("manifest eligible for deletion: ");
            let digest = line.split(' ').find(|word| word.starts_with("sha256:"));
            let blob = line.split_once(": marking blob ").map(|(_, digest)| digest);
            digest.filter(|_| is_manifest).or(blob).unwrap_or(line)
        })
        .collect()
}

/// Revisions and tags, which both have to leave alike.
fn manifest_links(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let files = trees::files(root)?.into_keys();
    Ok(files.filter(|path| path.contains("/revisions/") || path.contains("/tags/")).collect())
}

#[tokio::test]
async fn both_find_the_same_garbage_and_say_so_in_the_same_lines() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let peer = Peer::start(tree.path(), "").await?;
    let client = OciClient::anonymous(&peer.url())?;
    let (kept, shared) = (Image::new(900, 2, 3000)?, Image::with(901, 2, 3000, Family::Docker, "amd64")?);
    let (gone, moved) = (Image::new(902, 2, 3000)?, Image::new(903, 1, 3000)?);
    client.push_image(REPOSITORY, "kept", &kept).await?;
    client.push_image(REPOSITORY, "shared", &shared).await?;
    client.push_image("other", "shared", &shared).await?;
    client.push_image(REPOSITORY, "gone", &gone).await?;
    client.push_image("moving", "only", &moved).await?;
    client.push_image("moving", "only", &kept).await?;
    delete(&client, REPOSITORY, &gone.manifest.digest).await?;
    delete(&client, REPOSITORY, &shared.manifest.digest).await?;
    client.push_blob("other", &Blob::new("x/y", "a blob no manifest needs")).await?;
    peer.stop()?;
    let before = trees::files(tree.path())?;
    for flags in [&["-d"][..], &["--dry-run=true", "--delete-untagged"], &["-m=false"], &["-m"]] {
        let (theirs, ours) = (tempfile::tempdir()?, tempfile::tempdir()?);
        trees::copy(tree.path(), theirs.path())?;
        trees::copy(tree.path(), ours.path())?;
        let they_said = peer::collect_garbage(theirs.path(), flags).await?.success()?;
        let we_said = collect(ours.path(), flags).await?.success()?;
        assert_eq!(lines(&we_said), lines(&they_said), "{flags:?}");
        assert_eq!(trees::blobs(ours.path())?, trees::blobs(theirs.path())?, "{flags:?}");
        assert_eq!(manifest_links(ours.path())?, manifest_links(theirs.path())?, "{flags:?}");
        if flags.len() == 2 || flags == ["-d"] {
            assert_eq!(trees::files(ours.path())?, before, "a dry run changes nothing");
        }
        let after = Peer::start(ours.path(), "").await?;
        let client = OciClient::anonymous(&after.url())?;
        client.pull_image("moving", "only", &kept).await?;
        client.pull_image("other", "shared", &shared).await?;
        after.stop()?;
    }
    Ok(())
}

#[tokio::test]
async fn children_and_signatures_of_tagged_images_survive_where_distribution_takes_them() -> anyhow::Result<()>
{
    let tree = tempfile::tempdir()?;
    let peer = Peer::start(tree.path(), "").await?;
    let client = OciClient::anonymous(&peer.url())?;
    let platforms = Index::two_platforms(910)?;
    client.push_index(REPOSITORY, "multi", &platforms).await?;
    let inner = index(&[platforms.index.descriptor()])?;
    client.put_manifest(REPOSITORY, "nested", &inner).await?.expect(201)?;
    let config = Blob::new("application/vnd.oci.empty.v1+json", "{}");
    client.push_blob(REPOSITORY, &config).await?;
    let image = Image::new(912, 1, 1000)?;
    client.push_image(REPOSITORY, "signed", &image).await?;
    let signature = referrer(&config, &image.manifest)?;
    let of_signature = referrer(&config, &signature)?;
    for manifest in [&signature, &of_signature] {
        client.put_manifest(REPOSITORY, &manifest.digest, manifest).await?.expect(201)?;
    }
    peer.stop()?;
    let theirs = tempfile::tempdir()?;
    trees::copy(tree.path(), theirs.path())?;
    peer::collect_garbage(theirs.path(), &["-m"]).await?.success()?;
    let (left, before) = (trees::blobs(theirs.path())?, trees::blobs(tree.path())?);
    assert!(!left.contains(&signature.digest), "the loss is still theirs: {left:?}");
    let said = collect(tree.path(), &["-m"]).await?.success()?;
    assert_eq!(trees::blobs(tree.path())?, before, "{}", said.text);
    let ours = LoneRegistry::start(tree.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&ours.url())?;
    for image in platforms.images.iter().chain([&image]) {
        client.pull_image(REPOSITORY, &image.manifest.digest, image).await?;
    }
    for manifest in [&platforms.index, &inner, &signature, &of_signature] {
        let answer = client.get_manifest(REPOSITORY, &manifest.digest).await?.expect(200)?;
        assert_eq!(answer.body, manifest.bytes);
    }
    Ok(())
}

#[tokio::test]
async fn a_build_cache_is_an_index_of_layers_that_both_take_and_ours_keeps() -> anyhow::Result<()> {
    let config = Blob::new("application/vnd.buildkit.cacheconfig.v0", r#"{"layers":[{"blob":""}]}"#);
    let layer = Blob::new("application/vnd.oci.image.layer.v1.tar+gzip", noise(920, 2000));
    let cache = index(&[layer.descriptor(), config.descriptor()])?;
    let folders = (tempfile::tempdir()?, tempfile::tempdir()?);
    let peer = Peer::start(folders.0.path(), "").await?;
    let ours = LoneRegistry::start(folders.1.path(), Auth::Open).await?;
    for registry in [peer.url(), ours.url()] {
        let client = OciClient::anonymous(&registry)?;
        for blob in [&layer, &config] {
            client.push_blob(REPOSITORY, blob).await?;
        }
        client.put_manifest(REPOSITORY, "cache", &cache).await?.expect(201)?;
    }
    // What it calls a manifest has to be one here.
    let client = OciClient::anonymous(&ours.url())?;
    let mislabelled = Blob::new(OCI_MANIFEST, layer.bytes.clone());
    let broken = index(&[mislabelled.descriptor()])?;
    let answer = client.put_manifest(REPOSITORY, "broken", &broken).await?;
    answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN")?;
    drop(ours);
    peer.stop()?;
    for tree in [folders.0.path(), folders.1.path()] {
        let before = trees::blobs(tree)?;
        let said = collect(tree, &["-m"]).await?.success()?;
        assert_eq!(trees::blobs(tree)?, before, "{}", said.text);
        let ours = LoneRegistry::start(tree, Auth::Open).await?;
        let client = OciClient::anonymous(&ours.url())?;
        assert_eq!(client.get_manifest(REPOSITORY, "cache").await?.expect(200)?.body, cache.bytes);
        for blob in [&layer, &config] {
            assert_eq!(client.get_blob(REPOSITORY, &blob.digest).await?.expect(200)?.body, blob.bytes);
        }
    }
    Ok(())
}

#[tokio::test]
async fn one_damaged_manifest_ends_theirs_and_not_ours() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let peer = Peer::start(tree.path(), "").await?;
    let client = OciClient::anonymous(&peer.url())?;
    let (damaged, neighbour) = (Image::new(920, 1, 1000)?, Image::new(921, 1, 1000)?);
    client.push_image("damaged", "1", &damaged).await?;
    client.push_image("damaged", "2", &neighbour).await?;
    client.push_image("sound", "1", &neighbour).await?;
    let garbage = Blob::new("x/y", "a blob no manifest needs");
    client.push_blob("sound", &garbage).await?;
    peer.stop()?;
    std::fs::write(trees::blob(tree.path(), &damaged.manifest.digest), [0; 100])?;
    let theirs = peer::collect_garbage(tree.path(), &[]).await?;
    assert_eq!(theirs.code, Some(1), "{}", theirs.text);
    let said = collect(tree.path(), &["-q", "-m"]).await?.success()?;
    assert_eq!(said.output, "", "quiet");
    assert!(said.text.contains(&damaged.manifest.digest) && said.text.contains("damaged: "), "{}", said.text);
    let left = trees::blobs(tree.path())?;
    assert!(!left.contains(&garbage.digest));
    assert!(damaged.blobs().all(|blob| left.contains(&blob.digest)), "its layers wait for it to be mended");
    // It may be mended from a copy.
    std::fs::write(trees::blob(tree.path(), &damaged.manifest.digest), &damaged.manifest.bytes)?;
    let ours = LoneRegistry::start(tree.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&ours.url())?;
    client.pull_image("damaged", "1", &damaged).await?;
    client.pull_image("damaged", "2", &neighbour).await?;
    Ok(())
}

#[tokio::test]
async fn content_named_by_sha512_survives_where_distribution_takes_it() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let peer = Peer::start(tree.path(), "").await?;
    let client = OciClient::anonymous(&peer.url())?;
    let config = Blob::new("application/vnd.oci.empty.v1+json", "{}");
    client.push_blob(REPOSITORY, &config).await?;
    let content = "named by its long digest";
    let long = images::sha512(content.as_bytes());
    let location = client.start_upload(REPOSITORY).await?;
    let put = Request::new(Method::PUT, with_digest(&location, &long)).body(content);
    client.send(&put).await?.expect(201)?;
    let layer = json!({"mediaType": "x/y", "digest": long, "size": content.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.descriptor(), "layers": [layer],
    });
    let manifest = Blob::new(OCI_MANIFEST, serde_json::to_vec(&manifest)?);
    client.put_manifest(REPOSITORY, "1", &manifest).await?.expect(201)?;
    peer.stop()?;
    let theirs = tempfile::tempdir()?;
    trees::copy(tree.path(), theirs.path())?;
    peer::collect_garbage(theirs.path(), &[]).await?.success()?;
    let bytes = images::sha256(content.as_bytes());
    assert!(!trees::blobs(theirs.path())?.contains(&bytes), "the loss is still theirs");
    for flags in [&[][..], &["-m"]] {
        collect(tree.path(), flags).await?.success()?;
        let ours = LoneRegistry::start(tree.path(), Auth::Open).await?;
        let client = OciClient::anonymous(&ours.url())?;
        assert_eq!(client.get_blob(REPOSITORY, &long).await?.expect(200)?.body, content.as_bytes());
    }
    Ok(())
}

#[tokio::test]
async fn a_manifest_untagged_here_and_tagged_there_loses_nothing_in_either() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let ours = LoneRegistry::start(tree.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&ours.url())?;
    let (image, other) = (Image::new(930, 2, 1000)?, Image::new(931, 1, 1000)?);
    // Walked before and behind the repository that tags it.
    for repository in ["a", "m", "z"] {
        client.push_image(repository, "1", &image).await?;
    }
    for repository in ["a", "z"] {
        client.push_image(repository, "1", &other).await?;
    }
    client.push_blob("layers/only", &Blob::new("x/y", "no manifest ever came")).await?;
    drop(ours);
    collect(tree.path(), &["-m"]).await?.success()?;
    let ours = LoneRegistry::start(tree.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&ours.url())?;
    client.pull_image("m", "1", &image).await?;
    for repository in ["a", "z"] {
        client.pull_image(repository, "1", &other).await?;
        // What went there went as a whole: nobody is promised a layer that is not there.
        client
            .get_manifest(repository, &image.manifest.digest)
            .await?
            .expect_error(404, "MANIFEST_UNKNOWN")?;
        for blob in image.blobs() {
            client.get_blob(repository, &blob.digest).await?.expect_error(404, "BLOB_UNKNOWN")?;
        }
    }
    let mut left = trees::files(&trees::repository(tree.path(), "layers/only"))?;
    left.retain(|path, _| !path.starts_with("_portcullis/locks/"));
    assert!(left.is_empty(), "{left:?}");
    // A client that pushes again is not told that the layers are there.
    client.push_image("a", "again", &image).await?;
    client.pull_image("a", "again", &image).await?;
    Ok(())
}

#[tokio::test]
async fn a_served_tree_is_refused_and_serving_waits_for_the_end() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("images");
    let said = collect(&root, &[]).await?;
    assert_eq!((said.code, said.output.as_str()), (Some(1), ""), "{}", said.text);
    assert!(said.text.contains("failed to garbage collect: there are no images"), "{}", said.text);
    assert!(!root.exists(), "a wrong path makes nothing");

    let port = program::free_port()?;
    let options = RegistryOptions {
        address: format!("127.0.0.1:{port}"),
        root: root.clone(),
        auth: Auth::Open,
        more: String::new(),
    };
    let settings = settings::write_registry(folder.path(), &options)?;
    let mut serving = Process::start(Which::Registry, &settings, ([127, 0, 0, 1], port).into()).await?;
    let client = OciClient::anonymous(&format!("http://127.0.0.1:{port}"))?;
    client.push_blob(REPOSITORY, &Blob::new("x/y", "garbage")).await?;
    let before = trees::files(&root)?;
    let said = collect(&root, &["-m"]).await?;
    assert_eq!((said.code, said.output.as_str()), (Some(1), ""), "{}", said.text);
    assert!(said.text.contains("a registry is serving these images"), "{}", said.text);
    assert_eq!(trees::files(&root)?, before);
    let said = collect(&root, &["-d"]).await?.success()?;
    assert!(said.output.contains("1 blobs and 0 manifests eligible for deletion"), "{}", said.text);
    // The kernel gives the claim up, however the registry ends.
    serving.kill()?;

    let claim = std::fs::File::open(root.join("portcullis/serving"))?;
    claim.lock()?;
    let arguments = Which::Registry.arguments(&settings);
    let mut command = Command::new(Which::Registry.binary()?);
    let said = program::run(command.args(arguments), "").await?;
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.text.contains("garbage is being collected"), "{}", said.text);
    drop(claim);
    let said = collect(&root, &[]).await?.success()?;
    assert!(said.output.contains("blob eligible for deletion: "), "{}", said.text);
    assert!(trees::blobs(&root)?.is_empty());
    Ok(())
}
