//! Mounting a blob of another repository instead of uploading it.
//!
//! Spec: distribution-spec, "Mounting a blob from another repository".

use harness::actors::Town;
use harness::client::{OciClient, Request, uploads};
use harness::images::{Image, sha512};

use super::{Mode, in_every_mode, layer, post};

const ABSENT: &str = "sha256:3333333333333333333333333333333333333333333333333333333333333333";

fn mount(target: &str, digest: &str, from: &str) -> Request {
    post(format!("{}?mount={digest}&from={from}", uploads(target)))
}

#[tokio::test]
async fn x_1_a_mounted_blob_is_there_at_once_under_the_address_of_the_answer() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (source, target, blob) = (case.repository(), case.repository(), layer(701));
        case.push_blob(&source, &blob).await?;
        let answer = case.send(&mount(&target, &blob.digest, &source)).await?.expect(201)?;
        let location = answer.needs_header("location")?;
        assert!(location.contains(&format!("/v2/{target}/blobs/")), "{answer}");
        assert_eq!(case.send(&Request::get(location)).await?.expect(200)?.body, blob.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn x_2_without_a_source_the_blob_is_found_where_the_caller_may_read() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (source, target, blob) = (case.repository(), case.repository(), layer(702));
        case.push_blob(&source, &blob).await?;
        let anywhere = post(format!("{}?mount={}", uploads(&target), blob.digest));
        if case.mode == Mode::Token {
            let mut challenge = case.challenge().await?;
            challenge.scope = Some(format!("repository:{target}:pull,push repository:{source}:pull"));
            let token = case.token_for(&challenge).await?.map_err(|answer| anyhow::anyhow!("{answer}"))?;
            let answer = case.with_token(&anywhere, &token).await?.expect(201)?;
            assert!(answer.needs_header("location")?.contains(&target), "{answer}");
            assert_eq!(case.get_blob(&target, &blob.digest).await?.expect(200)?.body, blob.bytes);
        } else {
            // Nothing says where to look, and nobody looks through everything.
            case.send(&anywhere).await?.expect(202)?;
        }
        // What is here already is found in any case.
        case.push_blob(&target, &blob).await?;
        case.send(&anywhere).await?.expect(201)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn x_3_a_mount_of_what_cannot_be_a_digest_is_400() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (source, target) = (case.repository(), case.repository());
        for digest in ["sha256:x", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
            case.send(&mount(&target, digest, &source)).await?.expect_error(400, "DIGEST_INVALID")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn x_3_a_mount_that_cannot_be_is_an_upload() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (source, target, blob) = (case.repository(), case.repository(), layer(703));
        case.push_blob(&source, &layer(704)).await?;
        let never = case.repository();
        for (digest, from) in
            [(ABSENT, &*source), (&*blob.digest, &*source), (ABSENT, &*never), (ABSENT, "BAD")]
        {
            let answer = case.send(&mount(&target, digest, from)).await?.expect(202)?;
            let location = answer.needs_header("location")?.to_owned();
            case.upload_range(&location).await?;
        }
        // And this upload works.
        let answer = case.send(&mount(&target, &blob.digest, &source)).await?.expect(202)?;
        let location = answer.needs_header("location")?.to_owned();
        case.close(&location, &blob.digest, &blob.bytes).await?.expect(201)?;
        assert_eq!(case.get_blob(&target, &blob.digest).await?.expect(200)?.body, blob.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn x_4_the_digest_of_a_mount_is_the_one_that_was_asked_for() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (source, target, blob) = (case.repository(), case.repository(), layer(705));
        let long = sha512(&blob.bytes);
        let location = case.start_upload(&source).await?;
        case.close(&location, &long, &blob.bytes).await?.expect(201)?;
        for digest in [&blob.digest, &long] {
            let answer = case.send(&mount(&target, digest, &source)).await?.expect(201)?;
            assert_eq!(answer.needs_header("docker-content-digest")?, digest);
            assert_eq!(case.get_blob(&target, digest).await?.expect(200)?.body, blob.bytes);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn x_5_one_challenge_names_target_and_source() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        if case.mode != Mode::Token {
            return Ok(());
        }
        let (source, target, blob) = (case.repository(), case.repository(), layer(706));
        case.push_blob(&source, &blob).await?;
        // A token for the target alone.
        let mut challenge = case.challenge().await?;
        challenge.scope = Some(format!("repository:{target}:pull,push"));
        let token = case.token_for(&challenge).await?.map_err(|answer| anyhow::anyhow!("{answer}"))?;
        let answer = case.with_token(&mount(&target, &blob.digest, &source), &token).await?;
        let answer = answer.expect_error(401, "UNAUTHORIZED")?;
        let asked = answer.needs_header("www-authenticate")?;
        for scope in [format!("repository:{target}:pull,push"), format!("repository:{source}:pull")] {
            assert!(asked.contains(&scope), "{answer}");
        }
        case.get_blob(&target, &blob.digest).await?.expect(404)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn x_5_a_mount_never_gives_what_the_caller_could_not_read() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let image = Image::new(707, 1, 500)?;
    let digest = &image.layers[0].digest;
    town.admin.push_image("secret/base", "1", &image).await?;
    let refused = async |client: &OciClient, request: &Request| {
        client.send(request).await?.expect(202)?;
        client.get_blob("platform/app", digest).await?.expect(404)
    };
    refused(&town.alice, &mount("platform/app", digest, "secret/base")).await?;
    // Nor without naming the source.
    refused(&town.alice, &post(format!("{}?mount={digest}", uploads("platform/app")))).await?;
    Ok(())
}
