//! Manifests beyond pushing and pulling: several tags at once, conditions, what old clients are given, what old trees
//! hold, and very many tags.
//!
//! *Invariant:* a request that is refused has changed nothing.

use std::path::{Path, PathBuf};

use harness::client::{OciClient, Request};
use harness::images::{
    Blob, DOCKER_LIST, DOCKER_MANIFEST, Family, Image, OCI_INDEX, OCI_MANIFEST, sha256, sha512,
};
use harness::settings::Auth;
use harness::stack::LoneRegistry;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};
use serde_json::json;

/// An open registry on a folder of its own.
struct Room {
    client: OciClient,
    _registry: LoneRegistry,
    folder: tempfile::TempDir,
}

impl Room {
    async fn open() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let registry = LoneRegistry::start(folder.path(), Auth::Open).await?;
        Ok(Self { client: OciClient::anonymous(&registry.url())?, _registry: registry, folder })
    }

    fn manifests(&self) -> PathBuf {
        self.folder.path().join("docker/registry/v2/repositories/a/b/_manifests")
    }

    /// Pushes an image without a tag.
    async fn image(&self, seed: u64) -> anyhow::Result<Image> {
        let image = Image::new(seed, 1, 100)?;
        self.client.push_image("a/b", &image.manifest.digest, &image).await?;
        Ok(image)
    }

    async fn tags(&self) -> anyhow::Result<Vec<String>> {
        let answer = self.client.send(&Request::get("/v2/a/b/tags/list")).await?.expect(200)?;
        let body = answer.json()?;
        let tags = body["tags"].as_array().expect("a list");
        Ok(tags.iter().filter_map(|tag| tag.as_str()).map(str::to_owned).collect())
    }

    async fn digest_of(&self, reference: &str) -> anyhow::Result<String> {
        let head = Request::new(Method::HEAD, format!("/v2/a/b/manifests/{reference}"));
        let answer = self.client.send(&head.accepting_manifests()).await?.expect(200)?;
        Ok(answer.needs_header("docker-content-digest")?.to_owned())
    }
}

fn put(reference: &str, manifest: &Blob) -> Request {
    Request::new(Method::PUT, format!("/v2/a/b/manifests/{reference}"))
        .header(CONTENT_TYPE, manifest.media_type)
        .body(manifest.bytes.clone())
}

fn delete(reference: &str) -> Request {
    Request::new(Method::DELETE, format!("/v2/a/b/manifests/{reference}"))
}

#[tokio::test]
async fn a_manifest_is_put_under_many_tags_at_once() -> anyhow::Result<()> {
    let room = Room::open().await?;
    let image = room.image(1).await?;
    let digest = &image.manifest.digest;
    let tags: Vec<String> = (0..100).map(|number| format!("t{number:02}")).collect();
    let query = tags.iter().map(|tag| format!("tag={tag}")).collect::<Vec<_>>().join("&");
    let answer = room.client.send(&put(&format!("{digest}?{query}"), &image.manifest)).await?.expect(201)?;
    let given = answer.headers.get_all("oci-tag").iter().filter_map(|tags| tags.to_str().ok());
    let given: Vec<_> = given.flat_map(|tags| tags.split(", ")).collect();
    assert_eq!(given, tags);
    assert_eq!(answer.needs_header("docker-content-digest")?, digest);
    assert_eq!(room.tags().await?, tags);
    assert_eq!(room.digest_of("t42").await?, *digest);

    let other = Image::new(2, 1, 100)?;
    for blob in other.blobs() {
        room.client.push_blob("a/b", blob).await?;
    }
    let other = &other.manifest;
    for (reference, status, code) in [
        (format!("{}?{query}&tag=one-more", other.digest), 414, "MANIFEST_INVALID"),
        (format!("{}?tag=fine&tag=.hidden", other.digest), 400, "MANIFEST_INVALID"),
        (format!("{}?tag=a%2Fb", other.digest), 400, "MANIFEST_INVALID"),
        (format!("{}?tag={digest}", other.digest), 400, "MANIFEST_INVALID"),
        ("fine?tag=other".to_owned(), 400, "MANIFEST_INVALID"),
    ] {
        room.client.send(&put(&reference, other)).await?.expect_error(status, code)?;
    }
    assert_eq!(room.tags().await?, tags, "nothing was stored");
    room.client.get_manifest("a/b", &other.digest).await?.expect(404)?;
    // The same tag twice is one tag, and an empty one is none.
    let answer = room.client.send(&put(&format!("{}?tag=x&tag=x&tag=", other.digest), other)).await?;
    assert_eq!(answer.expect(201)?.needs_header("oci-tag")?, "x");
    Ok(())
}

#[tokio::test]
async fn a_tag_remembers_the_long_digest_it_was_made_with() -> anyhow::Result<()> {
    let room = Room::open().await?;
    let image = room.image(1).await?;
    let manifest = &image.manifest;
    let long = sha512(&manifest.bytes);
    let answer = room.client.send(&put(&format!("{long}?tag=long"), manifest)).await?.expect(201)?;
    assert_eq!(answer.needs_header("docker-content-digest")?, long);
    assert!(answer.needs_header("location")?.ends_with(&format!("/manifests/{long}")));
    room.client.put_manifest("a/b", "short", manifest).await?.expect(201)?;
    assert_eq!(room.digest_of("long").await?, long);
    assert_eq!(room.digest_of("short").await?, manifest.digest);
    for reference in ["long", "short", &long, &manifest.digest] {
        let answer = room.client.get_manifest("a/b", reference).await?.expect(200)?;
        assert_eq!(answer.body, manifest.bytes, "{reference}");
        let digest = answer.needs_header("docker-content-digest")?;
        assert_eq!(answer.needs_header("etag")?, format!("\"{digest}\""));
    }
    // Each digest is a revision of its own, with its own tags.
    room.client.send(&delete(&long)).await?.expect(202)?;
    assert_eq!(room.tags().await?, ["short"]);
    room.client.get_manifest("a/b", &long).await?.expect_error(404, "MANIFEST_UNKNOWN")?;
    room.client.pull_image("a/b", "short", &image).await?;
    room.client.send(&put(&format!("{long}?tag=long"), manifest)).await?.expect(201)?;
    room.client.send(&delete(&manifest.digest)).await?.expect(202)?;
    assert_eq!(room.tags().await?, ["long"]);
    assert_eq!(room.client.get_manifest("a/b", "long").await?.expect(200)?.body, manifest.bytes);
    let wrong = put(&sha512(b"other"), manifest);
    room.client.send(&wrong).await?.expect_error(400, "DIGEST_INVALID")?;
    Ok(())
}

#[tokio::test]
async fn a_change_can_demand_what_is_there_before() -> anyhow::Result<()> {
    let room = Room::open().await?;
    let (old, new) = (room.image(1).await?, room.image(2).await?);
    let (old, new) = (&old.manifest, &new.manifest);
    let tag = |digest: &str| format!("\"{digest}\"");
    let with = |request: Request, name: HeaderName, value: &str| request.header(name, value);
    let client = &room.client;
    let send = |request: Request| async move { client.send(&request).await };
    let refused =
        |request: Request| async move { client.send(&request).await?.expect_error(412, "MANIFEST_INVALID") };

    // Create only, replace only.
    refused(with(put("v", new), IF_MATCH, "*")).await?;
    assert!(room.tags().await?.is_empty());
    send(with(put("v", old), IF_NONE_MATCH, "*")).await?.expect(201)?;
    refused(with(put("v", new), IF_NONE_MATCH, "*")).await?;
    assert_eq!(room.digest_of("v").await?, old.digest);
    // Compare and swap.
    let unknown = sha256(b"unknown");
    for stale in [tag(&new.digest), tag(&unknown), format!("W/{}", tag(&old.digest)), "nonsense".into()] {
        refused(with(put("v", new), IF_MATCH, &stale)).await?;
        refused(with(delete("v"), IF_MATCH, &stale)).await?;
    }
    let either = format!("{}, {}", tag(&unknown), tag(&old.digest));
    send(with(put("v", new), IF_MATCH, &either)).await?.expect(201)?;
    refused(with(put("v", old), IF_MATCH, &either)).await?;
    refused(with(put("v", old), IF_NONE_MATCH, &tag(&new.digest))).await?;
    assert_eq!(room.digest_of("v").await?, new.digest);
    // Deleting.
    refused(with(delete("v"), IF_NONE_MATCH, "*")).await?;
    refused(with(delete(&old.digest), IF_MATCH, &tag(&new.digest))).await?;
    send(with(delete("absent"), IF_MATCH, "*")).await?.expect(404)?;
    send(with(delete("v"), IF_MATCH, &tag(&new.digest))).await?.expect(202)?;
    send(with(delete(&old.digest), IF_MATCH, &tag(&old.digest))).await?.expect(202)?;
    // By digest.
    refused(with(put(&new.digest, new), IF_NONE_MATCH, "*")).await?;
    send(with(put(&old.digest, old), IF_NONE_MATCH, "*")).await?.expect(201)?;
    // Reading.
    let get = || Request::get(format!("/v2/a/b/manifests/{}", new.digest)).accepting_manifests();
    refused(with(get(), IF_MATCH, &tag(&old.digest))).await?;
    send(with(get(), IF_MATCH, &either.replace(&old.digest, &new.digest))).await?.expect(200)?;
    let answer = send(with(get(), IF_NONE_MATCH, &tag(&new.digest))).await?.expect(304)?;
    assert_eq!(answer.needs_header("etag")?, tag(&new.digest));
    let both = with(with(get(), IF_NONE_MATCH, "*"), IF_MATCH, &tag(&old.digest));
    refused(both).await?;
    Ok(())
}

#[tokio::test]
async fn of_many_who_create_or_swap_a_tag_one_wins() -> anyhow::Result<()> {
    let room = Room::open().await?;
    let mut images = Vec::new();
    for seed in 0..8 {
        images.push(room.image(seed).await?.manifest);
    }
    let client = &room.client;
    let mut current = String::new();
    let mut demand = (IF_NONE_MATCH, "*".to_owned());
    for round in 0..5 {
        // To put what is there already changes nothing, so that somebody else could win as well.
        let others = images.iter().filter(|manifest| manifest.digest != current);
        let pushes = others.map(|manifest| {
            let request = put("contested", manifest).header(demand.0.clone(), demand.1.clone());
            async move { client.send(&request).await.map(|answer| (answer.status, manifest)) }
        });
        let outcomes = futures_util::future::try_join_all(pushes).await?;
        let winners: Vec<_> = outcomes.iter().filter(|(status, _)| *status == 201).collect();
        assert_eq!(winners.len(), 1, "round {round}: {outcomes:?}");
        assert!(
            outcomes.iter().all(|(status, _)| matches!(status, 201 | 412)),
            "round {round}: {outcomes:?}"
        );
        let digest = &winners[0].1.digest;
        assert_eq!(room.digest_of("contested").await?, *digest);
        demand = (IF_MATCH, format!("\"{digest}\""));
        current.clone_from(digest);
    }
    Ok(())
}

/// A manifest list over images for these architectures.
async fn docker_list(
    room: &Room,
    tag: &str,
    architectures: &[&'static str],
) -> anyhow::Result<(Blob, Vec<Image>)> {
    let mut images = Vec::new();
    for (seed, architecture) in (10..).zip(architectures) {
        let image = Image::with(seed, 1, 100, Family::Docker, architecture)?;
        room.client.push_image("a/b", &image.manifest.digest, &image).await?;
        images.push(image);
    }
    let list = json!({
        "schemaVersion": 2, "mediaType": DOCKER_LIST,
        "manifests": images.iter().map(Image::descriptor).collect::<Vec<_>>(),
    });
    let list = Blob::new(DOCKER_LIST, list.to_string());
    room.client.put_manifest("a/b", tag, &list).await?.expect(201)?;
    Ok((list, images))
}

#[tokio::test]
async fn only_a_client_that_cannot_read_a_list_gets_the_image_in_it() -> anyhow::Result<()> {
    let room = Room::open().await?;
    let (list, images) = docker_list(&room, "multi", &["arm64", "amd64"]).await?;
    docker_list(&room, "no-amd64", &["arm64"]).await?;
    let child = &images[1].manifest;
    let get = |method: Method, reference: &str, accept: &[&str]| {
        let request = Request::new(method, format!("/v2/a/b/manifests/{reference}"));
        accept.iter().fold(request, |request, kind| request.header(ACCEPT, *kind))
    };
    let schema_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    for (reference, accept, expected) in [
        ("multi", &[DOCKER_MANIFEST][..], child),
        ("multi", &[DOCKER_MANIFEST, schema_1], child),
        ("multi", &[OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST], child),
        ("multi", &[], &list),
        ("multi", &["*/*"], &list),
        ("multi", &["text/html"], &list),
        ("multi", &[DOCKER_MANIFEST, DOCKER_LIST], &list),
        ("multi", &[DOCKER_MANIFEST, "application/*;q=0.1"], &list),
        (&list.digest, &[DOCKER_MANIFEST], &list),
        (&child.digest, &[OCI_INDEX], child),
        ("no-amd64", &["*/*"], &list),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = room.client.send(&get(method, reference, accept)).await?.expect(200)?;
            if reference != "no-amd64" {
                assert_eq!(answer.needs_header("docker-content-digest")?, expected.digest, "{accept:?}");
                assert_eq!(answer.needs_header("etag")?, format!("\"{}\"", expected.digest));
                assert_eq!(answer.needs_header("content-length")?, expected.bytes.len().to_string());
            }
            assert_eq!(answer.needs_header("content-type")?, expected.media_type);
            assert_eq!(answer.header("vary").is_some(), !reference.contains(':'), "{answer}");
        }
    }
    let answer = room.client.send(&get(Method::GET, "no-amd64", &[DOCKER_MANIFEST])).await?;
    let answer = answer.expect_error(404, "MANIFEST_UNKNOWN")?;
    assert!(answer.error_message()?.contains("linux/amd64"), "{answer}");
    // The condition is about what would be served.
    let known =
        get(Method::GET, "multi", &[DOCKER_MANIFEST]).header(IF_NONE_MATCH, format!("\"{}\"", child.digest));
    room.client.send(&known).await?.expect(304)?;
    // Nothing else is chosen by what a client accepts.
    let image = room.image(1).await?;
    room.client.put_manifest("a/b", "oci", &image.manifest).await?.expect(201)?;
    for accept in [&[DOCKER_MANIFEST][..], &["text/html"], &[]] {
        let answer = room.client.send(&get(Method::GET, "oci", accept)).await?.expect(200)?;
        assert_eq!(answer.body, image.manifest.bytes);
    }
    Ok(())
}

#[tokio::test]
async fn a_push_without_its_foreign_layers_is_taken_with_a_warning() -> anyhow::Result<()> {
    let room = Room::open().await?;
    let image = room.image(1).await?;
    let foreign = Blob::new("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "foreign");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": image.config.descriptor(),
        "layers": [foreign.descriptor()],
    });
    let manifest = Blob::new(OCI_MANIFEST, manifest.to_string());
    let answer = room.client.put_manifest("a/b", "windows", &manifest).await?.expect(201)?;
    let warning = answer.needs_header("warning")?;
    assert!(warning.starts_with("299 - \"1 of the layers") && warning.ends_with('"'), "{warning}");
    room.client.push_blob("a/b", &foreign).await?;
    let answer = room.client.put_manifest("a/b", "windows", &manifest).await?.expect(201)?;
    assert!(answer.header("warning").is_none(), "{answer}");
    Ok(())
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(path.parent().expect("not the root"))?;
    Ok(std::fs::write(path, content)?)
}

/// What trees of the 2.x line hold, and what crashes left in them.
#[tokio::test]
async fn leftovers_of_old_registries_break_nothing_else() -> anyhow::Result<()> {
    let room = Room::open().await?;
    let image = room.image(1).await?;
    room.client.put_manifest("a/b", "good", &image.manifest).await?.expect(201)?;
    let manifests = room.manifests();
    let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    let blob = |digest: &str| {
        let hex = hex(digest);
        room.folder.path().join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    };
    let revision = |digest: &str| manifests.join(format!("revisions/sha256/{}/link", hex(digest)));
    let current = |tag: &str| manifests.join(format!("tags/{tag}/current/link"));

    // A schema 1 manifest with its signatures.
    let old =
        r#"{"schemaVersion":1,"name":"a/b","tag":"old","fsLayers":[],"signatures":[{"protected":"x"}]}"#;
    let old_digest = sha256(old.as_bytes());
    write(&blob(&old_digest), old)?;
    write(&revision(&old_digest), &old_digest)?;
    let signature = sha256(b"signature");
    let signatures = manifests.join(format!("revisions/sha256/{}/signatures/sha256", hex(&old_digest)));
    write(&signatures.join(hex(&signature)).join("link"), &signature)?;
    write(&current("old"), &old_digest)?;
    // Tags that lead nowhere: no revision, no bytes, a damaged link, an empty one, none at all.
    let (no_revision, no_bytes) = (sha256(b"no revision"), sha256(b"no bytes"));
    write(&current("no-revision"), &no_revision)?;
    write(&current("no-bytes"), &no_bytes)?;
    write(&revision(&no_bytes), &no_bytes)?;
    write(&current("newline"), &format!("{}\n", image.manifest.digest))?;
    write(&current("empty"), "")?;
    std::fs::create_dir_all(manifests.join("tags/nothing"))?;
    std::fs::create_dir_all(manifests.join("tags/folder/current/link"))?;
    // Names nobody can ask for, and what an interrupted write left.
    write(&manifests.join("tags/.hidden/current/link"), &image.manifest.digest)?;
    write(&manifests.join("tags/file"), "x")?;
    write(&manifests.join("tags/good/current/link.8c1e.tmp"), "sha2")?;
    write(&manifests.join("revisions/sha256/x/link"), "x")?;
    write(&revision(&sha256(b"broken revision")), "sha256:")?;
    std::fs::remove_dir_all(manifests.join("tags/good/index"))?;

    assert_eq!(room.tags().await?, ["good", "no-bytes", "old"]);
    let catalogue = room.client.send(&Request::get("/v2/_catalog")).await?.expect(200)?.json()?;
    assert_eq!(catalogue["repositories"], json!(["a/b"]));
    room.client.pull_image("a/b", "good", &image).await?;
    let answer = room.client.get_manifest("a/b", "old").await?.expect(200)?;
    assert_eq!(answer.text(), old);
    let schema_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    assert_eq!(answer.needs_header("content-type")?, schema_1);
    for gone in ["no-revision", "no-bytes", "nothing", "folder"] {
        room.client.get_manifest("a/b", gone).await?.expect_error(404, "MANIFEST_UNKNOWN")?;
    }
    let referrers = format!("/v2/a/b/referrers/{}", image.manifest.digest);
    room.client.send(&Request::get(referrers)).await?.expect(200)?;
    // Damage does not keep anything from being deleted, itself included.
    room.client.put_manifest("a/b", "other", &image.manifest).await?.expect(201)?;
    room.client.send(&delete(&image.manifest.digest)).await?.expect(202)?;
    room.client.send(&delete(&old_digest)).await?.expect(202)?;
    room.client.send(&delete("newline")).await?.expect(202)?;
    room.client.send(&delete("no-bytes")).await?.expect(202)?;
    assert!(room.tags().await?.is_empty());
    room.client.push_image("a/b", "newline", &image).await?;
    assert_eq!(room.tags().await?, ["newline"]);
    Ok(())
}

#[tokio::test]
async fn ten_thousand_tags_are_listed_in_pages_and_at_once() -> anyhow::Result<()> {
    let room = Room::open().await?;
    let image = room.image(1).await?;
    let expected: Vec<String> = (0..10_000).map(|number| format!("v{number:05}")).collect();
    for tag in &expected {
        write(&room.manifests().join(format!("tags/{tag}/current/link")), &image.manifest.digest)?;
    }
    assert_eq!(room.tags().await?, expected);
    let mut together: Vec<String> = Vec::new();
    let mut target = "/v2/a/b/tags/list?n=999".to_owned();
    loop {
        let answer = room.client.send(&Request::get(target)).await?.expect(200)?;
        let page = answer.json()?;
        let page = page["tags"].as_array().expect("a list");
        together.extend(page.iter().filter_map(|tag| tag.as_str()).map(str::to_owned));
        let Some(link) = answer.header("link") else { break };
        assert_eq!(page.len(), 999, "a page with a link is full");
        target = link.split_once('>').expect("an address").0.trim_start_matches('<').to_owned();
    }
    assert_eq!(together, expected);
    Ok(())
}
