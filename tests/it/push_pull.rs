//! The main job: pushing and pulling through the gate, and the sentence that says why not.
//!
//! *Invariant:* every byte that comes back is the byte that was pushed.

use harness::actors::Town;
use harness::client::{OciClient, Request, uploads, with_digest};
use harness::images::{Blob, Family, Image, Index, noise, sha512};
use harness::stack::StackOptions;
use reqwest::Method;
use reqwest::header::{CONTENT_RANGE, IF_NONE_MATCH, RANGE};

#[tokio::test]
async fn a_member_pushes_and_pulls_what_the_team_may() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(1, 3, 700_000)?;
    town.alice.push_image("platform/app", "1", &image).await?;
    town.alice.pull_image("platform/app", "1", &image).await?;
    town.alice.pull_image("platform/app", &image.manifest.digest, &image).await?;
    town.admin.pull_image("platform/app", "1", &image).await?;
    Ok(())
}

#[tokio::test]
async fn a_push_without_the_right_is_refused_with_a_sentence() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let start = |repository: &str| Request::new(Method::POST, uploads(repository));
    for (client, repository) in [
        (&town.alice, "other/app"),
        (&town.alice, "platformish/app"),
        (&town.bob, "platform/app"),
        (&town.bob, "public/app"),
    ] {
        let answer = client.send(&start(repository)).await?.expect_error(403, "DENIED")?;
        let message = answer.error_message()?;
        assert!(message.contains(repository) && message.contains("push"), "{message}");
    }
    let answer = town.anonymous.send(&start("public/app")).await?;
    let answer = answer.expect_error(403, "DENIED")?;
    assert!(!answer.text().contains("admin"), "a stranger is told a name: {answer}");
    assert!(answer.error_message()?.contains("not logged in"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_refusal_says_whom_to_ask_and_not_what_there_is() -> anyhow::Result<()> {
    let town = Town::start().await?;
    town.stack.grant("team:platform", "admin", "shop/**").await?;
    town.stack.grant("team:platform", "admin", "secret/**").await?;
    town.stack.grant("user:bob", "viewer", "shop/app").await?;
    town.admin.push_image("secret/app", "1", &Image::new(37, 1, 1000)?).await?;
    let refusal = async |repository: &str| {
        let answer = town.bob.send(&Request::new(Method::POST, uploads(repository))).await?;
        answer.expect_error(403, "DENIED")?.error_message().map(|message| message.replace(repository, "…"))
    };
    let near = refusal("shop/app").await?;
    assert_eq!(near, "bob may not push to …: no grant allows it; ask team:platform or admin");
    // Whoever has nothing there learns neither that it is there nor whose it is.
    let (there, nowhere) = (refusal("secret/app").await?, refusal("nowhere/app").await?);
    assert_eq!(there, nowhere);
    assert_eq!(there, "bob may not push to …: no grant allows it; ask admin");
    // Where a barrier keeps rights from above out, those who hold them cannot give them.
    town.stack.operator(&["barrier", "add", "secret/**", "--actions", "*"], "").await?.success()?;
    assert_eq!(refusal("secret/app").await?, nowhere);
    Ok(())
}

#[tokio::test]
async fn everybody_pulls_what_is_public_and_nothing_else() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(2, 1, 1000)?;
    town.admin.push_image("public/tool", "1", &image).await?;
    town.admin.push_image("secret/tool", "1", &image).await?;
    town.anonymous.pull_image("public/tool", "1", &image).await?;
    town.bob.pull_image("public/tool", "1", &image).await?;
    let secret = town.anonymous.get_manifest("secret/tool", "1").await?.expect(403)?;
    let absent = town.anonymous.get_manifest("absent/tool", "1").await?.expect(403)?;
    assert_eq!(
        secret.text().replace("secret/", "absent/"),
        absent.text(),
        "what exists and may not be seen looks like what does not exist"
    );
    // The same bytes under a name one may not read are not served.
    town.bob.get_blob("secret/tool", &image.layers[0].digest).await?.expect(403)?;
    Ok(())
}

#[tokio::test]
async fn a_new_right_works_with_the_next_token() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(3, 1, 1000)?;
    town.bob.send(&Request::new(Method::POST, uploads("bob/app"))).await?.expect(403)?;
    town.stack.grant("user:bob", "writer", "bob/**").await?;
    town.bob.forget_tokens();
    town.bob.push_image("bob/app", "1", &image).await?;
    town.stack
        .operator(&["grant", "remove", "user:bob", "writer", "bob/**", "--yes"], "")
        .await?
        .success()?;
    town.bob.forget_tokens();
    town.bob.get_manifest("bob/app", "1").await?.expect(403)?;
    Ok(())
}

#[tokio::test]
async fn an_index_over_two_platforms_comes_back_whole() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let index = Index::two_platforms(4)?;
    town.alice.push_index("platform/multi", "1", &index).await?;
    let answer = town.alice.get_manifest("platform/multi", "1").await?.expect(200)?;
    assert_eq!(answer.body, index.index.bytes);
    for image in &index.images {
        town.alice.pull_image("platform/multi", &image.manifest.digest, image).await?;
    }
    Ok(())
}

#[tokio::test]
async fn docker_schema_2_images_come_back_as_they_were() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::with(5, 2, 10_000, Family::Docker, "amd64")?;
    town.alice.push_image("platform/docker", "1", &image).await?;
    town.alice.pull_image("platform/docker", "1", &image).await?;
    Ok(())
}

#[tokio::test]
async fn a_blob_is_mounted_from_a_repository_one_may_pull() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(6, 1, 5000)?;
    town.admin.push_image("public/base", "1", &image).await?;
    town.admin.push_image("secret/base", "1", &image).await?;
    let digest = &image.layers[0].digest;
    let mount = |from: &str| {
        let target = format!("{}?mount={digest}&from={from}", uploads("platform/app"));
        Request::new(Method::POST, target)
    };
    let answer = town.alice.send(&mount("public/base")).await?.expect(201)?;
    assert_eq!(answer.needs_header("docker-content-digest")?, digest);
    town.alice.get_blob("platform/app", digest).await?.expect(200)?;
    // Without the right to pull there, an ordinary upload begins and nothing is told.
    let answer = town.alice.send(&mount("secret/base")).await?.expect(202)?;
    assert!(answer.header("docker-upload-uuid").is_some());
    Ok(())
}

#[tokio::test]
async fn an_upload_goes_on_where_it_stopped() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let blob = Blob::new("application/octet-stream", noise(7, 300_000));
    let (first, second) = (blob.bytes.slice(..100_000), blob.bytes.slice(100_000..));
    let location = town.alice.start_upload("platform/app").await?;
    let patch = |location: &str, range: &str, body: &bytes::Bytes| {
        Request::new(Method::PATCH, location).header(CONTENT_RANGE, range).body(body.clone())
    };
    let answer = town.alice.send(&patch(&location, "0-99999", &first)).await?.expect(202)?;
    assert_eq!(answer.needs_header("range")?, "0-99999");
    let location = answer.needs_header("location")?.to_owned();
    // A chunk that does not follow is refused, and the answer says what is held.
    let answer = town.alice.send(&patch(&location, "150000-349999", &second)).await?.expect(416)?;
    assert_eq!(answer.needs_header("range")?, "0-99999");
    let status = town.alice.send(&Request::get(location.clone())).await?.expect(204)?;
    assert_eq!(status.needs_header("range")?, "0-99999");
    let location = status.needs_header("location")?.to_owned();
    let answer = town.alice.send(&patch(&location, "100000-299999", &second)).await?.expect(202)?;
    let location = answer.needs_header("location")?.to_owned();
    let put = Request::new(Method::PUT, with_digest(&location, &blob.digest));
    town.alice.send(&put).await?.expect(201)?;
    let answer = town.alice.get_blob("platform/app", &blob.digest).await?.expect(200)?;
    assert_eq!(answer.body, blob.bytes);
    Ok(())
}

#[tokio::test]
async fn wrong_bytes_never_become_visible() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let blob = Blob::new("application/octet-stream", noise(8, 1000));
    let location = town.alice.start_upload("platform/app").await?;
    let put = Request::new(Method::PUT, with_digest(&location, &blob.digest)).body(noise(9, 1000));
    town.alice.send(&put).await?.expect_error(400, "DIGEST_INVALID")?;
    town.alice.get_blob("platform/app", &blob.digest).await?.expect_error(404, "BLOB_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn a_cancelled_upload_is_gone() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let location = town.alice.start_upload("platform/app").await?;
    town.alice.send(&Request::new(Method::DELETE, location.clone())).await?.expect(204)?;
    town.alice.send(&Request::get(location)).await?.expect_error(404, "BLOB_UPLOAD_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn a_monolithic_upload_needs_one_or_two_requests() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let blob = Blob::new("application/octet-stream", noise(10, 50_000));
    let target = with_digest(&uploads("platform/one"), &blob.digest);
    let post = Request::new(Method::POST, target).body(blob.bytes.clone());
    let answer = town.alice.send(&post).await?.expect(201)?;
    town.alice.send(&Request::get(answer.needs_header("location")?)).await?.expect(200)?;
    let other = Blob::new("application/octet-stream", noise(11, 50_000));
    let location = town.alice.start_upload("platform/two").await?;
    let put = Request::new(Method::PUT, with_digest(&location, &other.digest)).body(other.bytes.clone());
    town.alice.send(&put).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn a_blob_pushed_with_sha512_is_served_under_both_names() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let blob = Blob::new("application/octet-stream", noise(12, 9000));
    let long = sha512(&blob.bytes);
    let location = town.alice.start_upload("platform/app").await?;
    let put = Request::new(Method::PUT, with_digest(&location, &long)).body(blob.bytes.clone());
    town.alice.send(&put).await?.expect(201)?;
    for digest in [&blob.digest, &long] {
        let answer = town.alice.get_blob("platform/app", digest).await?.expect(200)?;
        assert_eq!(answer.body, blob.bytes);
    }
    Ok(())
}

#[tokio::test]
async fn ranges_and_conditions_save_bytes() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(13, 1, 100_000)?;
    town.alice.push_image("platform/app", "1", &image).await?;
    let layer = &image.layers[0];
    let get = || Request::get(format!("/v2/platform/app/blobs/{}", layer.digest));
    let answer = town.alice.send(&get().header(RANGE, "bytes=1000-1999")).await?.expect(206)?;
    assert_eq!(answer.body, layer.bytes.slice(1000..2000));
    assert_eq!(answer.needs_header("content-range")?, format!("bytes 1000-1999/{}", layer.bytes.len()));
    let answer = town.alice.send(&get().header(RANGE, "bytes=-100")).await?.expect(206)?;
    assert_eq!(answer.body, layer.bytes.slice(layer.bytes.len() - 100..));
    let answer = town.alice.send(&get().header(RANGE, "bytes=99999999-")).await?.expect(416)?;
    assert_eq!(answer.needs_header("content-range")?, format!("bytes */{}", layer.bytes.len()));
    let etag = format!("\"{}\"", layer.digest);
    town.alice.send(&get().header(IF_NONE_MATCH, etag)).await?.expect(304)?;
    let manifest = Request::get("/v2/platform/app/manifests/1").accepting_manifests();
    let etag = format!("\"{}\"", image.manifest.digest);
    town.alice.send(&manifest.header(IF_NONE_MATCH, etag)).await?.expect(304)?;
    Ok(())
}

#[tokio::test]
async fn head_answers_have_the_length_and_no_body() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(14, 1, 4000)?;
    town.alice.push_image("platform/app", "1", &image).await?;
    for (target, length) in [
        (format!("blobs/{}", image.layers[0].digest), image.layers[0].bytes.len()),
        ("manifests/1".to_owned(), image.manifest.bytes.len()),
    ] {
        let head = Request::new(Method::HEAD, format!("/v2/platform/app/{target}")).accepting_manifests();
        let answer = town.alice.send(&head).await?.expect(200)?;
        assert_eq!(answer.needs_header("content-length")?, length.to_string());
        assert!(answer.body.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn tags_are_listed_in_order_and_in_pages() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(15, 1, 100)?;
    for tag in ["v3", "v1", "v2"] {
        town.alice.push_image("platform/app", tag, &image).await?;
    }
    let list = |query: &str| Request::get(format!("/v2/platform/app/tags/list{query}"));
    let all = town.alice.send(&list("")).await?.expect(200)?.json()?;
    assert_eq!(all, serde_json::json!({"name": "platform/app", "tags": ["v1", "v2", "v3"]}));
    let page = town.alice.send(&list("?n=2")).await?.expect(200)?;
    assert_eq!(page.json()?["tags"], serde_json::json!(["v1", "v2"]));
    let link = page.needs_header("link")?;
    let next = link.trim_start_matches('<').split('>').next().unwrap_or_default();
    let rest = town.alice.send(&Request::get(next)).await?.expect(200)?.json()?;
    assert_eq!(rest["tags"], serde_json::json!(["v3"]));
    Ok(())
}

#[tokio::test]
async fn the_catalogue_is_whole_for_those_who_may_see_everything_only() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(16, 1, 100)?;
    town.admin.push_image("b/two", "1", &image).await?;
    town.admin.push_image("a/one", "1", &image).await?;
    let catalogue = Request::get("/v2/_catalog");
    let answer = town.admin.send(&catalogue).await?.expect(200)?.json()?;
    assert_eq!(answer["repositories"], serde_json::json!(["a/one", "b/two"]));
    for client in [&town.bob, &town.anonymous] {
        let answer = client.send(&catalogue).await?.expect(200)?.json()?;
        assert_eq!(answer["repositories"], serde_json::json!([]));
    }
    Ok(())
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_the_rest_stays() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let (one, two) = (Image::new(17, 1, 100)?, Image::new(18, 1, 100)?);
    town.admin.push_image("a/b", "one", &one).await?;
    town.admin.push_image("a/b", "also", &one).await?;
    town.admin.push_image("a/b", "two", &two).await?;
    let delete = |reference: &str| Request::new(Method::DELETE, format!("/v2/a/b/manifests/{reference}"));
    town.admin.send(&delete("also")).await?.expect(202)?;
    town.admin.pull_image("a/b", "one", &one).await?;
    town.admin.send(&delete(&one.manifest.digest)).await?.expect(202)?;
    for reference in ["one", "also", &one.manifest.digest] {
        town.admin.get_manifest("a/b", reference).await?.expect_error(404, "MANIFEST_UNKNOWN")?;
    }
    town.admin.pull_image("a/b", "two", &two).await?;
    Ok(())
}

#[tokio::test]
async fn a_manifest_whose_layers_are_missing_is_refused_and_names_them() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(19, 2, 100)?;
    town.alice.push_blob("platform/app", &image.config).await?;
    town.alice.push_blob("platform/app", &image.layers[0]).await?;
    let answer = town.alice.put_manifest("platform/app", "1", &image.manifest).await?;
    let answer = answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN")?;
    assert!(answer.text().contains(&image.layers[1].digest), "{answer}");
    assert!(!answer.text().contains(&image.layers[0].digest), "{answer}");
    town.alice.get_manifest("platform/app", "1").await?.expect_error(404, "MANIFEST_UNKNOWN")?;
    Ok(())
}

#[tokio::test]
async fn one_address_is_enough_when_the_registry_passes_token_requests_on() -> anyhow::Result<()> {
    let town = Town::with(StackOptions { same_origin: true, ..StackOptions::default() }).await?;
    let challenge = town.alice.challenge().await?;
    assert!(challenge.realm.starts_with(&town.stack.registry_url()), "{}", challenge.realm);
    let image = Image::new(20, 1, 1000)?;
    town.alice.push_image("platform/app", "1", &image).await?;
    town.alice.pull_image("platform/app", "1", &image).await?;
    let stranger = OciClient::new(&town.stack.registry_url(), "alice", "wrong")?;
    stranger.login().await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn a_closing_request_that_is_repeated_with_its_body_does_not_spoil_the_upload() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let blob = Blob::new("application/octet-stream", noise(71, 600));
    let before = town.alice.start_upload("platform/app").await?;
    let patch = Request::new(Method::PATCH, before.clone()).body(blob.bytes.slice(..300));
    let after = town.alice.send(&patch).await?.expect(202)?.needs_header("location")?.to_owned();
    // A proxy sends again what a client sent before the upload had grown.
    let stale = Request::new(Method::PUT, with_digest(&before, &blob.digest)).body(blob.bytes.slice(..300));
    let refused = town.alice.send(&stale).await?.expect_error(416, "BLOB_UPLOAD_INVALID")?;
    assert_eq!(refused.needs_header("range")?, "0-299");
    let close = Request::new(Method::PUT, with_digest(&after, &blob.digest)).body(blob.bytes.slice(300..));
    town.alice.send(&close).await?.expect(201)?;
    let pulled = town.alice.get_blob("platform/app", &blob.digest).await?.expect(200)?;
    assert_eq!(pulled.body, blob.bytes);
    Ok(())
}
