//! Deleting tags, manifests and blobs.
//!
//! Spec: distribution-spec, "Content Management".

use std::sync::Arc;

use harness::client::{OciClient, Request};
use harness::edited;
use harness::images::{Image, Index, sha512};
use harness::server::Server;
use harness::settings::Auth;
use serde_json::json;
use shared::clock::ManualClock;

use super::{Case, delete, head, in_every_mode, layer};

const ABSENT: &str = "sha256:6666666666666666666666666666666666666666666666666666666666666666";

/// A repository with one image under two tags.
async fn twice_tagged(case: &Case, seed: u64) -> anyhow::Result<(String, Image)> {
    let (name, image) = (case.repository(), Image::new(seed, 1, 500)?);
    case.push_image(&name, "one", &image).await?;
    case.stored(&name, "two", &image.manifest).await?;
    Ok((name, image))
}

/// A registry in which nothing can be deleted, with one image in it.
async fn without_deletion() -> anyhow::Result<(Server, OciClient, Image, tempfile::TempDir)> {
    let folder = tempfile::tempdir()?;
    let switched_off = [("  delete:\n    enabled: true", "  delete:\n    enabled: false")];
    let registry =
        edited::registry(folder.path(), Auth::Open, &switched_off, &Arc::new(ManualClock::default())).await?;
    let client = OciClient::anonymous(&format!("http://{}", registry.address()))?;
    let image = Image::new(1101, 1, 500)?;
    client.push_image("a/b", "tag", &image).await?;
    Ok((registry, client, image, folder))
}

#[tokio::test]
async fn d_1_deletion_is_there_for_tags_manifests_and_blobs() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = twice_tagged(case, 1102).await?;
        for target in [
            "manifests/one".to_owned(),
            format!("manifests/{}", image.manifest.digest),
            format!("blobs/{}", image.layers[0].digest),
        ] {
            case.send(&delete(format!("/v2/{name}/{target}"))).await?.expect(202)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d_2_a_deleted_tag_is_gone_at_once_and_only_the_tag() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = twice_tagged(case, 1103).await?;
        let answer = case.send(&delete(format!("/v2/{name}/manifests/one"))).await?.expect(202)?;
        assert!(answer.body.is_empty(), "{answer}");
        case.get_manifest(&name, "one").await?.expect_error(404, "MANIFEST_UNKNOWN")?;
        case.pull_image(&name, "two", &image).await?;
        case.pull_image(&name, &image.manifest.digest, &image).await?;
        let list = case.send(&Request::get(format!("/v2/{name}/tags/list"))).await?.expect(200)?;
        assert_eq!(list.json()?["tags"], json!(["two"]));
        case.send(&delete(format!("/v2/{name}/manifests/one")))
            .await?
            .expect_error(404, "MANIFEST_UNKNOWN")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d_3_a_tag_cannot_be_deleted_where_deleting_is_off() -> anyhow::Result<()> {
    let (_registry, client, image, _folder) = without_deletion().await?;
    client.send(&delete("/v2/a/b/manifests/tag")).await?.expect_error(405, "UNSUPPORTED")?;
    client.pull_image("a/b", "tag", &image).await?;
    Ok(())
}

#[tokio::test]
async fn d_4_a_deleted_manifest_is_gone_at_once_with_every_tag_of_it() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = twice_tagged(case, 1104).await?;
        let other = case.artifact(&name, 1105).await?;
        case.stored(&name, "stays", &other).await?;
        let target = format!("/v2/{name}/manifests/{}", image.manifest.digest);
        case.send(&delete(&target)).await?.expect(202)?;
        for reference in [&*image.manifest.digest, "one", "two"] {
            case.get_manifest(&name, reference).await?.expect_error(404, "MANIFEST_UNKNOWN")?;
        }
        let list = case.send(&Request::get(format!("/v2/{name}/tags/list"))).await?.expect(200)?;
        assert_eq!(list.json()?["tags"], json!(["stays"]));
        case.send(&delete(&target)).await?.expect_error(404, "MANIFEST_UNKNOWN")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d_5_in_a_repository_that_does_not_exist_nothing_can_be_deleted() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        for (target, code) in [
            ("manifests/tag".to_owned(), "MANIFEST_UNKNOWN"),
            (format!("manifests/{ABSENT}"), "MANIFEST_UNKNOWN"),
            (format!("blobs/{ABSENT}"), "BLOB_UNKNOWN"),
        ] {
            case.send(&delete(format!("/v2/{name}/{target}"))).await?.expect_error(404, code)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d_6_a_manifest_cannot_be_deleted_where_deleting_is_off() -> anyhow::Result<()> {
    let (_registry, client, image, _folder) = without_deletion().await?;
    let target = format!("/v2/a/b/manifests/{}", image.manifest.digest);
    client.send(&delete(target)).await?.expect_error(405, "UNSUPPORTED")?;
    client.pull_image("a/b", &image.manifest.digest, &image).await?;
    Ok(())
}

#[tokio::test]
async fn d_7_a_deleted_blob_is_gone_and_an_unknown_one_is_404() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(1106));
        case.push_blob(&name, &blob).await?;
        let target = format!("/v2/{name}/blobs/{}", blob.digest);
        case.send(&delete(&target)).await?.expect(202)?;
        case.get_blob(&name, &blob.digest).await?.expect_error(404, "BLOB_UNKNOWN")?;
        case.send(&delete(&target)).await?.expect_error(404, "BLOB_UNKNOWN")?;
        case.send(&delete(format!("/v2/{name}/blobs/sha256:x")))
            .await?
            .expect_error(400, "DIGEST_INVALID")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d_8_a_blob_cannot_be_deleted_where_deleting_is_off() -> anyhow::Result<()> {
    let (_registry, client, image, _folder) = without_deletion().await?;
    let digest = &image.layers[0].digest;
    client.send(&delete(format!("/v2/a/b/blobs/{digest}"))).await?.expect_error(405, "UNSUPPORTED")?;
    client.get_blob("a/b", digest).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn d_9_what_is_deleted_here_stays_elsewhere_and_can_come_back() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = twice_tagged(case, 1107).await?;
        let other = case.repository();
        case.push_image(&other, "tag", &image).await?;
        for target in [
            format!("manifests/{}", image.manifest.digest),
            format!("blobs/{}", image.layers[0].digest),
            format!("blobs/{}", image.config.digest),
        ] {
            case.send(&delete(format!("/v2/{name}/{target}"))).await?.expect(202)?;
            case.send(&head(format!("/v2/{name}/{target}"))).await?.expect(404)?;
        }
        case.pull_image(&other, "tag", &image).await?;
        case.put_manifest(&name, "one", &image.manifest).await?.expect_error(400, "MANIFEST_BLOB_UNKNOWN")?;
        case.push_image(&name, "one", &image).await?;
        case.pull_image(&name, "one", &image).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d_9_a_manifest_known_by_two_digests_goes_by_one() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = twice_tagged(case, 1108).await?;
        let long = sha512(&image.manifest.bytes);
        case.stored(&name, &long, &image.manifest).await?;
        case.send(&delete(format!("/v2/{name}/manifests/{}", image.manifest.digest))).await?.expect(202)?;
        case.get_manifest(&name, "one").await?.expect(404)?;
        assert_eq!(case.get_manifest(&name, &long).await?.expect(200)?.body, image.manifest.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d_10_an_index_goes_without_its_children() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, index) = (case.repository(), Index::two_platforms(1109)?);
        case.push_index(&name, "index", &index).await?;
        case.send(&delete(format!("/v2/{name}/manifests/{}", index.index.digest))).await?.expect(202)?;
        for image in &index.images {
            case.pull_image(&name, &image.manifest.digest, image).await?;
        }
        Ok(())
    })
    .await
}
