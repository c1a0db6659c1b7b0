//! The distribution registry and ours on the same trees, and behind the same token server.
//!
//! *Invariant:* nothing is converted: both serve the same bytes from the same files.

use std::collections::BTreeSet;
use std::path::Path;

use harness::actors::Town;
use harness::client::{OciClient, Request};
use harness::forge::header_of;
use harness::images::{Family, Image, Index, noise};
use harness::peer::Peer;
use harness::server::{Server, Threaded, Which};
use harness::settings::{ISSUER, PEER_SERVICE};
use harness::stack::{LoneRegistry, password_of};
use harness::{containers::ContainersPerson, settings::Auth};
use reqwest::Method;

use crate::imported_keys::{Pair, UNTIL_IT_SIGNS};

const IMAGES: &str = "team/app";

async fn fill(registry: &str) -> anyhow::Result<()> {
    let client = OciClient::anonymous(registry)?;
    let oci = Image::new(61, 2, 200_000)?;
    let docker = Image::with(62, 2, 100_000, Family::Docker, "amd64")?;
    let index = Index::two_platforms(63)?;
    client.push_image(IMAGES, "oci", &oci).await?;
    client.push_image(IMAGES, "docker", &docker).await?;
    client.push_image("team/app/nested", "1", &oci).await?;
    client.push_index(IMAGES, "multi", &index).await?;
    // Moved tags leave a trace in the layout.
    client.push_image(IMAGES, "moved", &oci).await?;
    client.push_image(IMAGES, "moved", &docker).await?;
    Ok(())
}

#[tokio::test]
async fn both_write_the_same_tree() -> anyhow::Result<()> {
    let (theirs, mine) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let peer = Peer::start(theirs.path(), "").await?;
    fill(&peer.url()).await?;
    peer.stop()?;
    let ours = LoneRegistry::start(mine.path(), Auth::Open).await?;
    fill(&ours.url()).await?;
    drop(ours);
    let (theirs, mine) = (files(theirs.path())?, files(mine.path())?);
    let missing: Vec<_> = theirs.difference(&mine).collect();
    let added: Vec<_> = mine.difference(&theirs).collect();
    assert!(missing.is_empty() && added.is_empty(), "missing: {missing:#?}, added: {added:#?}");
    Ok(())
}

#[tokio::test]
async fn sha512_content_lies_where_distribution_puts_it() -> anyhow::Result<()> {
    let (theirs, mine) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let bytes = noise(67, 5000);
    let digest = harness::images::sha512(&bytes);
    let push = async |registry: &str| {
        let client = OciClient::anonymous(registry)?;
        let location = client.start_upload(IMAGES).await?;
        let put = harness::client::with_digest(&location, &digest);
        client.send(&Request::new(Method::PUT, put).body(bytes.clone())).await?.expect(201)
    };
    let peer = Peer::start(theirs.path(), "").await?;
    push(&peer.url()).await?;
    peer.stop()?;
    let ours = LoneRegistry::start(mine.path(), Auth::Open).await?;
    push(&ours.url()).await?;
    drop(ours);
    assert_eq!(files(theirs.path())?, files(mine.path())?);
    // Each serves it from the other's tree.
    let peer = Peer::start(mine.path(), "").await?;
    let client = OciClient::anonymous(&peer.url())?;
    assert_eq!(client.get_blob(IMAGES, &digest).await?.expect(200)?.body, bytes);
    let ours = LoneRegistry::start(theirs.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&ours.url())?;
    assert_eq!(client.get_blob(IMAGES, &digest).await?.expect(200)?.body, bytes);
    Ok(())
}

/// Every file that both registries must agree on, with the content of the small ones.
fn files(root: &Path) -> anyhow::Result<BTreeSet<(String, Option<String>)>> {
    let mut folders = vec![root.to_owned()];
    let mut files = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let relative = path.strip_prefix(root)?.display().to_string();
            // What ours adds lives under names that the other ignores.
            if ["/_manifests/referrers", "/_manifests/intents", "/_portcullis", "/_uploads", "/_trash"]
                .iter()
                .any(|added| relative.contains(added))
                || !relative.starts_with("docker")
            {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let small = path.file_name().is_some_and(|name| name == "link");
                files.insert((relative, small.then(|| std::fs::read_to_string(&path)).transpose()?));
            }
        }
    }
    Ok(files)
}

#[tokio::test]
async fn an_upload_begun_by_distribution_is_finished_by_ours() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let bytes = noise(64, 300_000);
    let digest = harness::images::sha256(&bytes);
    let peer = Peer::start_with_secret(tree.path(), "of-a-test").await?;
    let client = OciClient::anonymous(&peer.url())?;
    let location = client.start_upload("a/b").await?;
    let patch = Request::new(Method::PATCH, location).body(bytes.slice(..100_000));
    let answer = client.send(&patch).await?.expect(202)?;
    let location = path_of(answer.needs_header("location")?);
    peer.stop()?;
    let ours = LoneRegistry::start(tree.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&ours.url())?;
    let patch = Request::new(Method::PATCH, location).body(bytes.slice(100_000..));
    let answer = client.send(&patch).await?.expect(202)?;
    let put = harness::client::with_digest(answer.needs_header("location")?, &digest);
    client.send(&Request::new(Method::PUT, put)).await?.expect(201)?;
    assert_eq!(client.get_blob("a/b", &digest).await?.expect(200)?.body, bytes);
    Ok(())
}

#[tokio::test]
async fn an_upload_begun_by_ours_is_finished_by_distribution() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let bytes = noise(65, 300_000);
    let digest = harness::images::sha256(&bytes);
    let ours = LoneRegistry::start(tree.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&ours.url())?;
    let location = client.start_upload("a/b").await?;
    let patch = Request::new(Method::PATCH, location).body(bytes.slice(..100_000));
    let answer = client.send(&patch).await?.expect(202)?;
    let location = path_of(answer.needs_header("location")?);
    drop(ours);
    let peer = Peer::start_with_secret(tree.path(), "of-a-test").await?;
    let client = OciClient::anonymous(&peer.url())?;
    let patch = Request::new(Method::PATCH, location).body(bytes.slice(100_000..));
    let answer = client.send(&patch).await?.expect(202)?;
    let put = harness::client::with_digest(answer.needs_header("location")?, &digest);
    client.send(&Request::new(Method::PUT, put)).await?.expect(201)?;
    assert_eq!(client.get_blob("a/b", &digest).await?.expect(200)?.body, bytes);
    Ok(())
}

/// Path and query of an upload address, to continue it at another registry.
fn path_of(location: &str) -> String {
    let Ok(url) = reqwest::Url::parse(location) else { return location.to_owned() };
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

#[tokio::test]
async fn distribution_takes_tokens_of_every_algorithm_it_knows_from_one_bundle() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let pair = Pair::rsa().await?;
    let words: Vec<_> = pair.words()?.into_iter().chain(["--for-algorithm"]).collect();
    stack.operator(&words, "").await?.success()?;
    // It would not start with the certificate of this one.
    stack.operator(&["key", "rotate", "--algorithm", "EdDSA"], "").await?.success()?;
    let exported = stack.operator(&["key", "export", "--format", "pem"], "").await?.success()?;
    assert_eq!(exported.output.matches("BEGIN CERTIFICATE").count(), 2);
    let bundle = stack.folder().join("bundle.pem");
    std::fs::write(&bundle, exported.output)?;
    let text = std::fs::read_to_string(stack.token_server_settings())?;
    stack.clock.advance(UNTIL_IT_SIGNS);
    for (number, (algorithm, x5c)) in [("ES256", true), ("RS256", false)].into_iter().enumerate() {
        let verifier = "verifier: distribution2";
        let text = text.replace(verifier, &format!("{verifier}\n    algorithm: {algorithm}"));
        let file = stack.folder().join(format!("{algorithm}.yml"));
        std::fs::write(&file, text)?;
        let server = Threaded::start(Which::TokenServer, &file, stack.clock.clone()).await?;
        let server = Server::Thread(server);
        let auth = format!(
            "auth:\n  token:\n    realm: http://{}/token\n    service: {PEER_SERVICE}\n    issuer: {ISSUER}\n    \
             rootcertbundle: {}",
            server.address(),
            bundle.display()
        );
        let tree = tempfile::tempdir()?;
        let peer = Peer::start(tree.path(), &auth).await?;
        let alice = OciClient::new(&peer.url(), "alice", &password_of("alice"))?;
        alice.login().await?.expect(200)?;
        let image = Image::new(68 + number as u64, 1, 10_000)?;
        alice.push_image("platform/app", "1", &image).await?;
        alice.pull_image("platform/app", "1", &image).await?;
        let challenge = alice.challenge().await?;
        let token = alice.token_for(&challenge).await?.map_err(|answer| anyhow::anyhow!("{answer}"))?;
        let header = header_of(&token)?;
        assert_eq!((&header["alg"], header.get("x5c").is_some()), (&algorithm.into(), x5c), "{header}");
    }
    Ok(())
}

#[tokio::test]
async fn distribution_stands_behind_our_token_server() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let bundle = town.stack.folder().join("bundle.pem");
    let exported = town.stack.operator(&["key", "export", "--format", "pem"], "").await?.success()?;
    std::fs::write(&bundle, exported.output)?;
    let auth = format!(
        "auth:\n  token:\n    realm: {}/token\n    service: {PEER_SERVICE}\n    issuer: {ISSUER}\n    \
         rootcertbundle: {}",
        town.stack.token_server_url(),
        bundle.display()
    );
    let tree = tempfile::tempdir()?;
    let peer = Peer::start(tree.path(), &auth).await?;
    let image = Image::new(66, 1, 10_000)?;
    let alice = OciClient::new(&peer.url(), "alice", &password_of("alice"))?;
    alice.login().await?.expect(200)?;
    alice.push_image("platform/app", "1", &image).await?;
    alice.pull_image("platform/app", "1", &image).await?;
    let bob = OciClient::new(&peer.url(), "bob", &password_of("bob"))?;
    assert_eq!(bob.get_manifest("platform/app", "1").await?.status, 401);
    let admin = OciClient::new(&peer.url(), "admin", &password_of("admin"))?;
    admin.push_image("public/tool", "1", &image).await?;
    OciClient::anonymous(&peer.url())?.pull_image("public/tool", "1", &image).await?;

    let person = ContainersPerson::new()?;
    person.skopeo_login(peer.address(), "alice", &password_of("alice")).await?.success()?;
    let there = format!("docker://{}/platform/app:1", peer.address());
    person.skopeo(&["inspect", "--tls-verify=false", &there]).await?.success()?;
    Ok(())
}
