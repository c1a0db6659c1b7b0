//! Pushing manifests.
//!
//! Spec: distribution-spec, "Pushing manifests".

use harness::client::Request;
use harness::images::{Blob, OCI_INDEX, OCI_MANIFEST, sha512};
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use super::{artifact_of, as_manifest, empty_config, in_every_mode, layer, put};

const ABSENT: &str = "sha256:4444444444444444444444444444444444444444444444444444444444444444";
/// The largest manifest.
const LIMIT: usize = 4 * 1024 * 1024;

/// A manifest of exactly so many bytes.
fn manifest_of_size(size: usize) -> Blob {
    let with = |length: usize| {
        let filler = "x".repeat(length);
        artifact_of(&empty_config(), &[], &json!({"annotations": {"filler": filler}}))
    };
    with(size - with(0).bytes.len())
}

#[tokio::test]
async fn w_1_the_bytes_are_kept_as_they_were_sent() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let blob = layer(801);
        let manifest = case.artifact(&name, 801).await?;
        let mut content: serde_json::Value = serde_json::from_slice(&manifest.bytes)?;
        content["x-unknown"] = json!({"deep": [1, 2.5, null, "\u{1F600}"]});
        content["annotations"] = json!({"org.example.empty": "", "org.example.long": "y".repeat(100_000)});
        content["config"]["data"] = json!("e30=");
        content["layers"][0]["x-more"] = json!(true);
        let odd = Blob::new(OCI_MANIFEST, serde_json::to_vec_pretty(&content)?);
        case.stored(&name, "odd", &odd).await?;
        let answer = case.get_manifest(&name, "odd").await?.expect(200)?;
        assert_eq!(answer.body, odd.bytes);
        assert_eq!(answer.needs_header("docker-content-digest")?, odd.digest);
        case.get_blob(&name, &blob.digest).await?.expect(200)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_2_the_answer_leads_to_the_manifest() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 802).await?;
        for reference in ["tag", &manifest.digest] {
            let answer = case.stored(&name, reference, &manifest).await?;
            let location = answer.needs_header("location")?;
            let pulled = case.send(&Request::get(location).accepting_manifests()).await?.expect(200)?;
            assert_eq!(pulled.body, manifest.bytes);
            assert_eq!(pulled.needs_header("content-type")?, OCI_MANIFEST);
            assert_eq!(pulled.needs_header("content-length")?, manifest.bytes.len().to_string());
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_3_the_answer_repeats_the_digest_that_was_given() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 803).await?;
        let long = sha512(&manifest.bytes);
        for (reference, digest) in
            [("tag", &manifest.digest), (&*manifest.digest, &manifest.digest), (&*long, &long)]
        {
            let answer = case.stored(&name, reference, &manifest).await?;
            assert_eq!(answer.needs_header("docker-content-digest")?, digest);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_4_parameters_of_the_type_are_ignored() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 804).await?;
        for parameters in ["; charset=utf-8", ";q=1", " ; a=\"b;c\"", ";"] {
            let request = put(format!("/v2/{name}/manifests/tag"))
                .header(CONTENT_TYPE, format!("{OCI_MANIFEST}{parameters}"))
                .body(manifest.bytes.clone());
            case.send(&request).await?.expect(201)?;
            let answer = case.get_manifest(&name, "tag").await?.expect(200)?;
            assert_eq!(answer.needs_header("content-type")?, OCI_MANIFEST, "{parameters}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_5_a_manifest_that_calls_itself_something_else_is_refused() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 805).await?;
        let request = put(format!("/v2/{name}/manifests/tag"))
            .header(CONTENT_TYPE, OCI_INDEX)
            .body(manifest.bytes.clone());
        case.send(&request).await?.expect_error(400, "MANIFEST_INVALID")?;
        case.get_manifest(&name, "tag").await?.expect(404)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_6_a_subject_need_not_exist() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, config) = (case.repository(), empty_config());
        case.push_blob(&name, &config).await?;
        let subject = json!({"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 1234});
        let manifest = artifact_of(&config, &[&config], &json!({"subject": subject}));
        case.stored(&name, &manifest.digest, &manifest).await?;
        let index = as_manifest(
            OCI_INDEX,
            &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": subject}),
        );
        case.stored(&name, "index", &index).await?;
        case.get_manifest(&name, &manifest.digest).await?.expect(200)?;
        case.get_manifest(&name, "index").await?.expect(200)?;
        case.get_manifest(&name, ABSENT).await?.expect(404)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_7_a_manifest_whose_other_parts_are_missing_is_refused() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, config, missing) = (case.repository(), empty_config(), layer(817));
        case.push_blob(&name, &config).await?;
        for manifest in
            [artifact_of(&config, &[&missing], &json!({})), artifact_of(&missing, &[&config], &json!({}))]
        {
            case.put_manifest(&name, "tag", &manifest).await?.expect_error(400, "MANIFEST_BLOB_UNKNOWN")?;
            case.get_manifest(&name, "tag").await?.expect(404)?;
            case.get_manifest(&name, &manifest.digest).await?.expect(404)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_8_each_missing_part_is_named_with_manifest_blob_unknown() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let (config, first, second) = (empty_config(), layer(806), layer(807));
        case.push_blob(&name, &config).await?;
        let manifest = artifact_of(&config, &[&first, &second], &json!({}));
        let index = as_manifest(
            OCI_INDEX,
            &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
                manifest.descriptor(), {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 1}]}),
        );
        for (document, missing) in
            [(&manifest, [&*first.digest, &*second.digest]), (&index, [&*manifest.digest, ABSENT])]
        {
            let answer = case.put_manifest(&name, "tag", document).await?;
            let answer = answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN")?;
            assert_eq!(answer.error_codes()?, ["MANIFEST_BLOB_UNKNOWN"; 2], "{answer}");
            let body = answer.json()?;
            let details: Vec<_> = (0..2).filter_map(|at| body["errors"][at]["detail"].as_str()).collect();
            assert_eq!(details, missing, "{answer}");
        }
        case.get_manifest(&name, "tag").await?.expect(404)?;
        // What another repository has does not count.
        let other = case.repository();
        case.push_blob(&other, &first).await?;
        case.push_blob(&other, &second).await?;
        case.put_manifest(&name, "tag", &manifest).await?.expect_error(400, "MANIFEST_BLOB_UNKNOWN")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_9_layers_that_stay_at_their_source_need_not_be_here() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, config) = (case.repository(), empty_config());
        case.push_blob(&name, &config).await?;
        let plain = "application/vnd.oci.image.layer.nondistributable.v1.tar";
        for (number, media_type) in [
            plain.to_owned(),
            format!("{plain}+gzip"),
            format!("{plain}+zstd"),
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".to_owned(),
        ]
        .into_iter()
        .enumerate()
        {
            let foreign = json!({"mediaType": media_type, "digest": ABSENT, "size": 1234});
            let mut with_source = foreign.clone();
            with_source["urls"] = json!(["https://example.com/layer"]);
            let manifest = artifact_of(&config, &[], &json!({"layers": [foreign, with_source]}));
            case.stored(&name, &format!("tag-{number}"), &manifest).await?;
        }
        // An address alone makes no layer foreign.
        let ordinary = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": ABSENT,
            "size": 1234, "urls": ["https://example.com/layer"]});
        let manifest = artifact_of(&config, &[], &json!({"layers": [ordinary]}));
        case.put_manifest(&name, "tag", &manifest).await?.expect_error(400, "MANIFEST_BLOB_UNKNOWN")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_10_a_manifest_may_list_nothing() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, config) = (case.repository(), empty_config());
        case.push_blob(&name, &config).await?;
        let manifest = artifact_of(&config, &[], &json!({}));
        let index =
            as_manifest(OCI_INDEX, &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}));
        for document in [&manifest, &index] {
            case.stored(&name, "nothing", document).await?;
            assert_eq!(case.get_manifest(&name, "nothing").await?.expect(200)?.body, document.bytes);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_11_a_manifest_above_the_limit_is_413() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        case.push_blob(&name, &empty_config()).await?;
        for reference in ["large", &manifest_of_size(LIMIT + 1).digest] {
            let answer = case.put_manifest(&name, reference, &manifest_of_size(LIMIT + 1)).await?;
            answer.expect_error(413, "MANIFEST_INVALID")?;
            case.get_manifest(&name, reference).await?.expect(404)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_12_a_manifest_of_four_mebibytes_is_taken() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        case.push_blob(&name, &empty_config()).await?;
        let manifest = manifest_of_size(LIMIT);
        case.stored(&name, "large", &manifest).await?;
        let answer = case.get_manifest(&name, "large").await?.expect(200)?;
        assert!(answer.body == manifest.bytes, "{} bytes came back", answer.body.len());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_13_a_digest_of_other_bytes_is_400() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 813).await?;
        for digest in [ABSENT.to_owned(), sha512(b"other")] {
            let answer = case.put_manifest(&name, &digest, &manifest).await?;
            answer.expect_error(400, "DIGEST_INVALID")?;
            case.get_manifest(&name, &digest).await?.expect(404)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_14_a_malformed_digest_is_400_and_never_a_tag() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 814).await?;
        case.stored(&name, "tag", &manifest).await?;
        for digest in
            ["sha256:baddigeststring", "sha256:", "sha256:short", "md5:d41d8cd98f00b204e9800998ecf8427e"]
        {
            case.put_manifest(&name, digest, &manifest).await?.expect_error(400, "DIGEST_INVALID")?;
        }
        let list = case.send(&Request::get(format!("/v2/{name}/tags/list"))).await?.expect(200)?;
        assert_eq!(list.json()?["tags"], json!(["tag"]));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_14_a_name_no_tag_can_have_is_400() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 815).await?;
        for tag in [".dot", "-dash", "sp%20ace", "%c3%a9", &"t".repeat(129)] {
            case.put_manifest(&name, tag, &manifest).await?.expect_error(400, "MANIFEST_INVALID")?;
        }
        for tag in ["_under", "0", "UPPER.lower-1_2", &"t".repeat(128)] {
            case.stored(&name, tag, &manifest).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_15_by_tag_a_manifest_is_known_by_its_sha256() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 816).await?;
        let answer = case.stored(&name, "tag", &manifest).await?;
        assert_eq!(answer.needs_header("docker-content-digest")?, manifest.digest);
        assert_eq!(case.digest_of(&name, "tag").await?, Some(manifest.digest.clone()));
        case.get_manifest(&name, &manifest.digest).await?.expect(200)?;
        case.get_manifest(&name, &sha512(&manifest.bytes)).await?.expect(404)?;
        Ok(())
    })
    .await
}
