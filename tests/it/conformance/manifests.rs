//! Reading manifests.
//!
//! Spec: distribution-spec, "Pulling manifests", "Checking if content exists in the registry".

use harness::client::Request;
use harness::images::{Image, Index, OCI_MANIFEST};
use reqwest::header::{ACCEPT, CONTENT_TYPE};

use super::{as_manifest, delete, empty_config, head, in_every_mode, put};

const ABSENT: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

#[tokio::test]
async fn m_1_a_manifest_comes_back_byte_for_byte() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = (case.repository(), Image::new(201, 1, 500)?);
        case.push_image(&name, "tag", &image).await?;
        for reference in ["tag", &image.manifest.digest] {
            let answer = case.get_manifest(&name, reference).await?.expect(200)?;
            assert_eq!(answer.body, image.manifest.bytes);
            assert_eq!(answer.needs_header("content-length")?, image.manifest.bytes.len().to_string());
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn m_1_spaces_and_order_in_a_manifest_are_kept() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        case.push_blob(&name, &empty_config()).await?;
        let config = empty_config().descriptor();
        let odd = format!(
            "\n{{ \"layers\" : [ ] ,\t\"config\":{config},\r\n \"mediaType\":\"{OCI_MANIFEST}\", \
             \"artifactType\":\"a/b\", \"x\":1.50, \"\\u00e9\":\"\\/\", \"schemaVersion\":2 }}\n\n"
        );
        let manifest = harness::images::Blob::new(OCI_MANIFEST, odd.into_bytes());
        case.stored(&name, "odd", &manifest).await?;
        let answer = case.get_manifest(&name, "odd").await?.expect(200)?;
        assert_eq!(answer.body, manifest.bytes);
        assert_eq!(answer.needs_header("docker-content-digest")?, manifest.digest);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn m_2_a_manifest_comes_with_its_digest() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = (case.repository(), Image::new(202, 1, 500)?);
        case.push_image(&name, "tag", &image).await?;
        for reference in ["tag", &image.manifest.digest] {
            let answer = case.get_manifest(&name, reference).await?.expect(200)?;
            assert_eq!(answer.needs_header("docker-content-digest")?, image.manifest.digest);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn m_3_the_digest_is_the_one_that_was_asked_for() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = (case.repository(), Image::new(203, 1, 500)?);
        case.push_image(&name, "tag", &image).await?;
        let long = harness::images::sha512(&image.manifest.bytes);
        case.put_manifest(&name, &long, &image.manifest).await?.expect(201)?;
        for (reference, digest) in [
            ("tag", &image.manifest.digest),
            (&*long, &long),
            (&*image.manifest.digest, &image.manifest.digest),
        ] {
            assert_eq!(case.digest_of(&name, reference).await?.as_ref(), Some(digest));
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn m_4_the_type_is_the_one_it_was_pushed_with() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, index) = (case.repository(), Index::two_platforms(204)?);
        case.push_index(&name, "index", &index).await?;
        // The types of the OCI need not be named inside.
        case.push_blob(&name, &empty_config()).await?;
        let nameless = as_manifest(
            OCI_MANIFEST,
            &serde_json::json!({"schemaVersion": 2, "config": empty_config().descriptor(), "layers": []}),
        );
        case.stored(&name, "nameless", &nameless).await?;
        let empty = as_manifest(
            harness::images::OCI_INDEX,
            &serde_json::json!({"schemaVersion": 2, "manifests": []}),
        );
        case.stored(&name, "empty", &empty).await?;
        for (reference, manifest) in [
            ("index", &index.index),
            ("nameless", &nameless),
            ("empty", &empty),
            (&*index.images[0].manifest.digest, &index.images[0].manifest),
        ] {
            let answer = case.get_manifest(&name, reference).await?.expect(200)?;
            assert_eq!(answer.needs_header("content-type")?, manifest.media_type, "{answer}");
            let answer = case.send(&head(format!("/v2/{name}/manifests/{reference}"))).await?.expect(200)?;
            assert_eq!(answer.needs_header("content-type")?, manifest.media_type, "{answer}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn m_5_the_type_has_no_parameters_even_if_it_was_pushed_with_some() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = (case.repository(), Image::new(205, 1, 500)?);
        case.push_image(&name, "tag", &image).await?;
        let request = put(format!("/v2/{name}/manifests/other"))
            .header(CONTENT_TYPE, format!("{OCI_MANIFEST}; charset=utf-8"))
            .body(image.manifest.bytes.clone());
        case.send(&request).await?.expect(201)?;
        let answer = case.get_manifest(&name, "other").await?.expect(200)?;
        assert_eq!(answer.needs_header("content-type")?, OCI_MANIFEST);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn m_6_what_is_not_in_this_repository_is_404() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, other) = (case.repository(), case.repository());
        let image = Image::new(206, 1, 500)?;
        case.push_image(&name, "tag", &image).await?;
        case.push_image(&other, "there", &image).await?;
        case.push_image(&other, "only", &Image::new(207, 1, 500)?).await?;
        let only = case.digest_of(&other, "only").await?.expect("just pushed");
        for reference in ["there", "absent", ABSENT, &only] {
            case.get_manifest(&name, reference).await?.expect_error(404, "MANIFEST_UNKNOWN")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn m_7_what_a_client_accepts_never_changes_the_bytes() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = (case.repository(), Image::new(208, 1, 500)?);
        case.push_image(&name, "tag", &image).await?;
        let get = || Request::get(format!("/v2/{name}/manifests/tag"));
        for accept in
            [None, Some("*/*"), Some("application/*"), Some(OCI_MANIFEST), Some("text/html, */*;q=0.1")]
        {
            let request = accept.map_or_else(get, |accept| get().header(ACCEPT, accept));
            let answer = case.send(&request).await?.expect(200)?;
            assert_eq!(answer.body, image.manifest.bytes);
            assert_eq!(answer.needs_header("content-type")?, OCI_MANIFEST);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn m_8_a_repository_that_does_not_exist_has_nothing() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        for reference in ["latest", ABSENT] {
            case.get_manifest(&name, reference).await?.expect_error(404, "MANIFEST_UNKNOWN")?;
        }
        case.get_blob(&name, ABSENT).await?.expect_error(404, "BLOB_UNKNOWN")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn m_9_a_malformed_digest_is_400_and_a_malformed_tag_names_nothing() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        for reference in ["sha256:tooshort", "sha256:", ":x", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
            case.get_manifest(&name, reference).await?.expect_error(400, "DIGEST_INVALID")?;
        }
        for reference in [".dot", "-dash", "sp%20ace", &"t".repeat(129)] {
            case.get_manifest(&name, reference).await?.expect_error(404, "MANIFEST_UNKNOWN")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn m_10_head_of_a_manifest_is_200_without_a_body() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = (case.repository(), Image::new(210, 1, 500)?);
        case.push_image(&name, "tag", &image).await?;
        for reference in ["tag", &image.manifest.digest] {
            let answer = case.send(&head(format!("/v2/{name}/manifests/{reference}"))).await?.expect(200)?;
            assert!(answer.body.is_empty(), "{answer}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn m_11_head_of_a_manifest_tells_digest_and_length() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = (case.repository(), Image::new(211, 1, 500)?);
        case.push_image(&name, "tag", &image).await?;
        // Large ones are sent in another way than small ones.
        let long = "x".repeat(300_000);
        let large = super::artifact_of(
            &image.config,
            &[&image.layers[0]],
            &serde_json::json!({"annotations": {"long": long}}),
        );
        case.stored(&name, "large", &large).await?;
        for (reference, manifest) in
            [("tag", &image.manifest), (&*image.manifest.digest, &image.manifest), ("large", &large)]
        {
            let answer = case.send(&head(format!("/v2/{name}/manifests/{reference}"))).await?.expect(200)?;
            assert_eq!(answer.needs_header("docker-content-digest")?, manifest.digest);
            assert_eq!(answer.needs_header("content-length")?, manifest.bytes.len().to_string());
            assert!(answer.body.is_empty(), "{answer}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn m_12_head_of_a_missing_manifest_is_404() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = (case.repository(), Image::new(212, 1, 500)?);
        let target = |reference: &str| format!("/v2/{name}/manifests/{reference}");
        case.send(&head(target("tag"))).await?.expect(404)?;
        case.push_image(&name, "tag", &image).await?;
        case.send(&head(target("tag"))).await?.expect(200)?;
        case.send(&delete(target(&image.manifest.digest))).await?.expect(202)?;
        for reference in ["tag", &image.manifest.digest, ABSENT] {
            let answer = case.send(&head(target(reference))).await?.expect(404)?;
            assert!(answer.body.is_empty(), "{answer}");
        }
        Ok(())
    })
    .await
}
