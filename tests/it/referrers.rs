//! What refers to a manifest: attached, found, filtered, paged, deleted, and found in trees we did not write.
//!
//! *Invariant:* what is listed can be pulled, and what was pushed with a subject is listed.

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{OciClient, Request};
use harness::images::{Blob, Image, OCI_INDEX, OCI_MANIFEST, sha256, sha512};
use harness::peer::Peer;
use harness::settings::Auth;
use harness::stack::LoneRegistry;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";

fn empty() -> Blob {
    Blob::new(EMPTY_TYPE, "{}")
}

/// An artifact without files that refers to a manifest.
fn artifact(subject: &Blob, artifact_type: &str, note: &str) -> Blob {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": artifact_type,
        "config": empty().descriptor(), "layers": [empty().descriptor()],
        "subject": subject.descriptor(), "annotations": {"note": note},
    });
    Blob::new(OCI_MANIFEST, manifest.to_string())
}

async fn attach(client: &OciClient, repository: &str, artifact: &Blob) -> anyhow::Result<Answer> {
    client.push_blob(repository, &empty()).await?;
    client.put_manifest(repository, &artifact.digest, artifact).await?.expect(201)
}

async fn get(client: &OciClient, repository: &str, digest: &str, query: &str) -> anyhow::Result<Answer> {
    client.send(&Request::get(format!("/v2/{repository}/referrers/{digest}{query}"))).await
}

fn digests(answer: &Answer) -> anyhow::Result<Vec<String>> {
    let body = answer.json()?;
    assert_eq!((body["schemaVersion"].as_u64(), body["mediaType"].as_str()), (Some(2), Some(OCI_INDEX)));
    let manifests = body["manifests"].as_array().expect("a list, never null");
    let text = |descriptor: &Value| descriptor["digest"].as_str().unwrap_or_default().to_owned();
    Ok(manifests.iter().map(text).collect())
}

fn sorted<'a>(blobs: impl IntoIterator<Item = &'a Blob>) -> Vec<String> {
    let mut digests: Vec<_> = blobs.into_iter().map(|blob| blob.digest.clone()).collect();
    digests.sort_unstable();
    digests
}

#[tokio::test]
async fn an_attached_signature_is_found_before_and_after_its_image() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(1, 1, 1000)?;
    let repository = "platform/app";
    let early = artifact(&image.manifest, "application/vnd.example.signature+json", "early");
    let answer = attach(&town.alice, repository, &early).await?;
    assert_eq!(answer.needs_header("oci-subject")?, image.manifest.digest);
    town.alice.push_image(repository, "1", &image).await?;
    let late = artifact(&image.manifest, "application/vnd.example.sbom", "late");
    let answer = town.alice.put_manifest(repository, "sbom", &late).await?.expect(201)?;
    assert_eq!(answer.needs_header("oci-subject")?, image.manifest.digest, "by tag as well");

    let answer = get(&town.alice, repository, &image.manifest.digest, "").await?.expect(200)?;
    assert_eq!(answer.needs_header("content-type")?, OCI_INDEX);
    assert_eq!(answer.needs_header("content-length")?, answer.body.len().to_string());
    assert!(answer.header("link").is_none() && answer.header("oci-filters-applied").is_none(), "{answer}");
    assert_eq!(digests(&answer)?, sorted([&early, &late]));
    let listed = answer.json()?["manifests"].as_array().cloned().unwrap_or_default();
    let listed = listed.iter().find(|listed| listed["digest"] == early.digest).expect("listed");
    let expected = json!({
        "mediaType": OCI_MANIFEST, "digest": early.digest, "size": early.bytes.len(),
        "artifactType": "application/vnd.example.signature+json", "annotations": {"note": "early"},
    });
    assert_eq!(listed, &expected);

    // The image may go; what refers to it stays until it is deleted itself.
    let delete = |digest: &str| Request::new(Method::DELETE, format!("/v2/{repository}/manifests/{digest}"));
    town.admin.send(&delete(&image.manifest.digest)).await?.expect(202)?;
    town.admin.send(&delete(&early.digest)).await?.expect(202)?;
    let answer = get(&town.alice, repository, &image.manifest.digest, "").await?.expect(200)?;
    assert_eq!(digests(&answer)?, sorted([&late]));
    Ok(())
}

#[tokio::test]
async fn filters_are_applied_said_and_kept_from_page_to_page() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let registry = LoneRegistry::start(folder.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&registry.url())?;
    let subject = Blob::new(OCI_MANIFEST, "whatever");
    let (one, two) = ("application/vnd.one+json", "application/vnd.two");
    let mut all = Vec::new();
    for number in 0..9 {
        let kind = [one, two, "text/three"][number % 3];
        let artifact = artifact(&subject, kind, &number.to_string());
        attach(&client, "a/b", &artifact).await?;
        all.push((kind, artifact));
    }
    let of =
        |kinds: &[&str]| sorted(all.iter().filter(|(kind, _)| kinds.contains(kind)).map(|(_, blob)| blob));
    for (query, expected) in [
        ("?artifactType=application%2Fvnd.one%2Bjson", of(&[one])),
        ("?artifactType=application/vnd.one+json", of(&[one])),
        ("?artifactType=application/vnd.two&artifactType=text/three", of(&[two, "text/three"])),
        ("?artifactType=text/none", vec![]),
    ] {
        let answer = get(&client, "a/b", &subject.digest, query).await?.expect(200)?;
        assert_eq!(answer.needs_header("oci-filters-applied")?, "artifactType", "{query}");
        assert_eq!(digests(&answer)?, expected, "{query}");
    }
    let answer = get(&client, "a/b", &subject.digest, "?artifactType=").await?.expect(200)?;
    assert!(answer.header("oci-filters-applied").is_none(), "nothing was asked for: {answer}");

    let mut together = Vec::new();
    let mut target =
        format!("/v2/a/b/referrers/{}?n=2&artifactType={one}&artifactType={two}", subject.digest);
    loop {
        let answer = client.send(&Request::get(target)).await?.expect(200)?;
        assert_eq!(answer.needs_header("oci-filters-applied")?, "artifactType");
        together.extend(digests(&answer)?);
        let Some(link) = answer.header("link") else { break };
        let (next, relation) = link.split_once("; ").expect("a relation");
        assert_eq!(relation, "rel=\"next\"");
        target = next.trim_matches(['<', '>']).to_owned();
    }
    assert_eq!(together, of(&[one, two]));
    let answer = get(&client, "a/b", &subject.digest, "?n=0").await?.expect(200)?;
    assert!(digests(&answer)?.is_empty() && answer.header("link").is_none());
    get(&client, "a/b", &subject.digest, "?n=-1").await?.expect_error(400, "SIZE_INVALID")?;
    Ok(())
}

#[tokio::test]
async fn what_nobody_knows_has_no_referrers_and_is_no_error() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let registry = LoneRegistry::start(folder.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&registry.url())?;
    client.push_image("a/b", "1", &Image::new(1, 1, 100)?).await?;
    let (short, long) = (sha256(b"unknown"), sha512(b"unknown"));
    let mut answers = Vec::new();
    for (repository, digest) in [("a/b", &short), ("a/b", &long), ("never/was", &short), ("a", &short)] {
        let answer = get(&client, repository, digest, "").await?.expect(200)?;
        assert!(digests(&answer)?.is_empty(), "{answer}");
        answers.push(answer.text());
    }
    answers.dedup();
    assert_eq!(answers, [format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[]}}"#)]);
    let head = Request::new(Method::HEAD, format!("/v2/a/b/referrers/{short}"));
    let answer = client.send(&head).await?.expect(200)?;
    assert_eq!(answer.needs_header("content-length")?, answers[0].len().to_string());
    for malformed in
        ["sha256:abc", "latest", "sha256", "sha256:..%2F..%2Fx", "md5:d41d8cd98f00b204e9800998ecf8427e"]
    {
        get(&client, "a/b", malformed, "").await?.expect_error(400, "DIGEST_INVALID")?;
    }
    Ok(())
}

#[tokio::test]
async fn a_page_that_is_not_held_in_memory_is_whole() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let registry = LoneRegistry::start(folder.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&registry.url())?;
    let subject = Blob::new(OCI_MANIFEST, "whatever");
    let mut all = Vec::new();
    for number in 0..12 {
        let note = format!("{number} {}", "x".repeat(100_000));
        let artifact = artifact(&subject, "text/x", &note);
        attach(&client, "a/b", &artifact).await?;
        all.push(artifact);
    }
    let answer = get(&client, "a/b", &subject.digest, "").await?.expect(200)?;
    assert!(answer.body.len() > 1_200_000);
    assert_eq!(digests(&answer)?, sorted(&all));
    Ok(())
}

#[tokio::test]
async fn referrers_in_a_tree_of_the_distribution_registry_are_found() -> anyhow::Result<()> {
    let tree = tempfile::tempdir()?;
    let image = Image::new(1, 1, 1000)?;
    let (first, second) =
        (artifact(&image.manifest, "text/first", ""), artifact(&image.manifest, "text/second", ""));
    let peer = Peer::start(tree.path(), "").await?;
    let theirs = OciClient::anonymous(&peer.url())?;
    theirs.push_image("a/b", "1", &image).await?;
    let answer = attach(&theirs, "a/b", &first).await?;
    assert!(answer.header("oci-subject").is_none(), "it does not know referrers: {answer}");

    let ours = LoneRegistry::start(tree.path(), Auth::Open).await?;
    let mine = OciClient::anonymous(&ours.url())?;
    let answer = get(&mine, "a/b", &image.manifest.digest, "").await?.expect(200)?;
    assert_eq!(digests(&answer)?, sorted([&first]));

    // Both serve the tree now. Clients of theirs keep an index behind a tag made of the subject's digest.
    attach(&theirs, "a/b", &second).await?;
    let fallback = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [first.descriptor(), second.descriptor()],
    });
    let fallback = Blob::new(OCI_INDEX, fallback.to_string());
    let tag = image.manifest.digest.replace(':', "-");
    theirs.put_manifest("a/b", &tag, &fallback).await?.expect(201)?;
    let answer = get(&mine, "a/b", &image.manifest.digest, "").await?.expect(200)?;
    assert_eq!(digests(&answer)?, sorted([&first, &second]));

    // What they delete is gone here, and what we add does not disturb them.
    let delete = Request::new(Method::DELETE, format!("/v2/a/b/manifests/{}", first.digest));
    theirs.send(&delete).await?.expect(202)?;
    let third = artifact(&image.manifest, "text/third", "");
    attach(&mine, "a/b", &third).await?;
    let answer = get(&mine, "a/b", &image.manifest.digest, "").await?.expect(200)?;
    assert_eq!(digests(&answer)?, sorted([&second, &third]));
    theirs.pull_image("a/b", "1", &image).await?;
    assert_eq!(theirs.get_manifest("a/b", &third.digest).await?.expect(200)?.body, third.bytes);
    peer.stop()
}

#[tokio::test]
async fn a_subject_that_nobody_can_ask_for_is_not_confirmed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let registry = LoneRegistry::start(folder.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&registry.url())?;
    let put = |body: Value| {
        Request::new(Method::PUT, "/v2/a/b/manifests/x")
            .header(CONTENT_TYPE, OCI_INDEX)
            .body(body.to_string())
    };
    let index = |subject: Value| json!({"schemaVersion": 2, "manifests": [], "subject": subject});
    let foreign = json!({"mediaType": OCI_MANIFEST, "digest": "blake3:00", "size": 1});
    let answer = client.send(&put(index(foreign))).await?.expect(201)?;
    assert!(answer.header("oci-subject").is_none(), "{answer}");
    let malformed = json!({"mediaType": OCI_MANIFEST, "digest": "sha256:00", "size": 1});
    client.send(&put(index(malformed))).await?.expect_error(400, "MANIFEST_INVALID")?;
    let no_text = json!({"schemaVersion": 2, "manifests": [], "annotations": {"a": 1}});
    client.send(&put(no_text)).await?.expect_error(400, "MANIFEST_INVALID")?;
    Ok(())
}
