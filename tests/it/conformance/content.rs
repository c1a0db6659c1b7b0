//! What may be stored: digests, types, artifacts of every kind, and JSON that is odd without being wrong.
//!
//! Spec: image-spec, "Content Descriptors", "Image Manifest", "Image Index", "Guidance for Empty Descriptors";
//! Docker image manifest, version 2, schema 2.

use harness::images::{Blob, DOCKER_LIST, DOCKER_MANIFEST, Family, Image, OCI_INDEX, OCI_MANIFEST};
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use super::{artifact_of, as_manifest, delete, empty_config, in_every_mode, layer, put};

#[tokio::test]
async fn the_empty_descriptor_may_be_everything_and_come_again_and_again() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, empty) = (case.repository(), empty_config());
        assert_eq!(empty.digest, "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
        for _ in 0..2 {
            case.push_blob(&name, &empty).await?;
            let manifest = artifact_of(&empty, &[&empty, &empty], &json!({}));
            case.stored(&name, "tag", &manifest).await?;
            case.get_manifest(&name, "tag").await?.expect(200)?;
            case.send(&delete(format!("/v2/{name}/blobs/{}", empty.digest))).await?.expect(202)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn types_nobody_has_heard_of_are_carried_along() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        for (number, (config_type, layer_type, artifact_type)) in [
            (
                "application/vnd.cncf.helm.config.v1+json",
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
                None,
            ),
            (
                "application/vnd.wasm.config.v0+json",
                "application/wasm",
                Some("application/vnd.wasm.component"),
            ),
            (
                "application/vnd.oci.image.config.v1+json",
                "application/vnd.dev.cosign.simplesigning.v1+json",
                None,
            ),
            ("application/vnd.buildkit.cacheconfig.v0", "application/vnd.oci.image.layer.v1.tar+zstd", None),
            ("application/vnd.oci.empty.v1+json", "application/spdx+json", Some("application/spdx+json")),
        ]
        .into_iter()
        .enumerate()
        {
            let config = Blob::new(config_type, format!("{{\"number\":{number}}}").into_bytes());
            let content = Blob::new(layer_type, layer(1200 + number as u64).bytes);
            case.push_blob(&name, &config).await?;
            case.push_blob(&name, &content).await?;
            let mut manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
                "config": config.descriptor(), "layers": [content.descriptor()]});
            if let Some(artifact_type) = artifact_type {
                manifest["artifactType"] = json!(artifact_type);
            }
            let manifest = as_manifest(OCI_MANIFEST, &manifest);
            case.stored(
                &name,
                config_type.rsplit('.').next().unwrap_or("tag").trim_end_matches("+json"),
                &manifest,
            )
            .await?;
            assert_eq!(case.get_manifest(&name, &manifest.digest).await?.expect(200)?.body, manifest.bytes);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_index_may_list_anything_that_is_here_also_other_indexes() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 1211).await?;
        case.stored(&name, &manifest.digest, &manifest).await?;
        let index = |children: serde_json::Value| {
            as_manifest(
                OCI_INDEX,
                &json!({"schemaVersion": 2, "mediaType": OCI_INDEX,
                "artifactType": "application/vnd.example.list", "manifests": children}),
            )
        };
        let inner = index(json!([manifest.descriptor()]));
        case.stored(&name, &inner.digest, &inner).await?;
        let mut described = inner.descriptor();
        described["platform"] = json!({"os": "linux", "architecture": "arm64", "variant": "v8"});
        described["annotations"] = json!({"org.example": ""});
        let outer = index(json!([described, manifest.descriptor(), manifest.descriptor()]));
        case.stored(&name, "outer", &outer).await?;
        assert_eq!(case.get_manifest(&name, "outer").await?.expect(200)?.body, outer.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn images_and_lists_of_docker_come_back_with_their_types() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let image = Image::with(1212, 2, 500, Family::Docker, "amd64")?;
        case.push_image(&name, &image.manifest.digest, &image).await?;
        let list = as_manifest(
            DOCKER_LIST,
            &json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [image.descriptor()]}),
        );
        case.stored(&name, "list", &list).await?;
        let answer = case.get_manifest(&name, "list").await?.expect(200)?;
        assert_eq!(answer.needs_header("content-type")?, DOCKER_LIST);
        assert_eq!(answer.body, list.bytes);
        let answer = case.get_manifest(&name, &image.manifest.digest).await?.expect(200)?;
        assert_eq!(answer.needs_header("content-type")?, DOCKER_MANIFEST);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn schema_1_and_what_is_no_manifest_are_refused() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        case.push_blob(&name, &empty_config()).await?;
        let config = empty_config().descriptor();
        let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        let negative = json!({"schemaVersion": 2, "config": {"mediaType": "a/b", "digest": config["digest"], "size": -1}});
        let malformed = json!({"schemaVersion": 2, "config": {"mediaType": "a/b", "digest": "sha256:x", "size": 1}});
        for (media_type, body) in [
            (signed, json!({"schemaVersion": 1, "name": "a", "tag": "b"}).to_string()),
            (OCI_MANIFEST, json!({"schemaVersion": 1, "config": config}).to_string()),
            (OCI_MANIFEST, json!({"schemaVersion": 2}).to_string()),
            (OCI_MANIFEST, json!({"schemaVersion": 2, "config": config, "manifests": []}).to_string()),
            (OCI_INDEX, json!({"schemaVersion": 2, "manifests": [], "layers": []}).to_string()),
            (OCI_INDEX, json!({"schemaVersion": 2, "manifests": [], "config": config}).to_string()),
            (OCI_MANIFEST, negative.to_string()),
            (OCI_MANIFEST, malformed.to_string()),
            (OCI_MANIFEST, "[]".to_owned()),
            (OCI_MANIFEST, "null".to_owned()),
            (OCI_MANIFEST, String::new()),
            (OCI_MANIFEST, format!("{}x", json!({"schemaVersion": 2, "config": config, "layers": []}))),
            ("application/json", json!({"schemaVersion": 2, "config": config, "layers": []}).to_string()),
        ] {
            let request =
                put(format!("/v2/{name}/manifests/bad")).header(CONTENT_TYPE, media_type).body(body.clone());
            let answer = case.send(&request).await?;
            let answer = answer.expect_error(400, "MANIFEST_INVALID");
            assert!(answer.is_ok(), "{media_type} {body}: {answer:?}");
        }
        case.get_manifest(&name, "bad").await?.expect(404)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_layer_that_usually_stays_at_its_source_may_be_pushed_all_the_same() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, config) = (case.repository(), empty_config());
        let foreign =
            Blob::new("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", layer(1213).bytes);
        case.push_blob(&name, &config).await?;
        case.push_blob(&name, &foreign).await?;
        let manifest = artifact_of(&config, &[&foreign], &json!({}));
        case.stored(&name, "tag", &manifest).await?;
        assert_eq!(case.get_blob(&name, &foreign.digest).await?.expect(200)?.body, foreign.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_manifest_whose_parts_are_known_by_sha512_is_taken() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, blob) = (case.repository(), layer(1214));
        let long = harness::images::sha512(&blob.bytes);
        let location = case.start_upload(&name).await?;
        case.close(&location, &long, &blob.bytes).await?.expect(201)?;
        let part = json!({"mediaType": "application/octet-stream", "digest": long, "size": blob.bytes.len()});
        let manifest = as_manifest(
            OCI_MANIFEST,
            &json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": part, "layers": [part]}),
        );
        case.stored(&name, &harness::images::sha512(&manifest.bytes), &manifest).await?;
        Ok(())
    })
    .await
}
