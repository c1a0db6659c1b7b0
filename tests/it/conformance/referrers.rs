//! Who refers to a manifest.
//!
//! Spec: distribution-spec, "Listing Referrers", "Referrers Tag Schema".

use harness::answer::Answer;
use harness::client::{OciClient, Request};
use harness::images::{Blob, OCI_INDEX, OCI_MANIFEST, sha512};
use harness::settings::Auth;
use harness::stack::LoneRegistry;
use serde_json::{Value, json};

use super::{Case, artifact_of, as_manifest, delete, empty_config, in_every_mode, next_page};

const ABSENT: &str = "sha256:7777777777777777777777777777777777777777777777777777777777777777";

async fn referrers(case: &OciClient, name: &str, digest: &str, query: &str) -> anyhow::Result<Answer> {
    let answer =
        case.send(&Request::get(format!("/v2/{name}/referrers/{digest}{query}"))).await?.expect(200)?;
    assert_eq!(answer.needs_header("content-type")?, OCI_INDEX);
    let body = answer.json()?;
    assert_eq!((&body["schemaVersion"], &body["mediaType"]), (&json!(2), &json!(OCI_INDEX)), "{answer}");
    assert!(body["manifests"].is_array(), "{answer}");
    Ok(answer)
}

/// The descriptors of an answer, in the order of their digests.
fn listed(answer: &Answer) -> anyhow::Result<Vec<Value>> {
    let body = answer.json()?;
    let mut found = body["manifests"].as_array().cloned().unwrap_or_default();
    found.sort_by_key(|descriptor| descriptor["digest"].to_string());
    Ok(found)
}

/// The digests of these manifests, in order.
fn digests_of(manifests: &[&Blob]) -> Vec<Value> {
    let mut digests: Vec<_> = manifests.iter().map(|manifest| json!(manifest.digest)).collect();
    digests.sort_by_key(Value::to_string);
    digests
}

fn listed_digests(answer: &Answer) -> anyhow::Result<Vec<Value>> {
    Ok(listed(answer)?.into_iter().map(|descriptor| descriptor["digest"].clone()).collect())
}

/// An image, and a repository that has it and the empty configuration.
async fn subject(case: &Case, seed: u64) -> anyhow::Result<(String, Blob)> {
    let name = case.repository();
    let image = case.artifact(&name, seed).await?;
    case.stored(&name, "image", &image).await?;
    Ok((name, image))
}

/// An artifact about a manifest.
fn about(subject: &Value, artifact_type: &str) -> Blob {
    artifact_of(&empty_config(), &[], &json!({"subject": subject, "artifactType": artifact_type}))
}

#[tokio::test]
async fn r_1_referrers_are_an_index() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = subject(case, 1501).await?;
        let signature = about(&image.descriptor(), "application/vnd.example.signature");
        case.stored(&name, &signature.digest, &signature).await?;
        let answer = referrers(case, &name, &image.digest, "").await?;
        assert_eq!(answer.json()?["manifests"].as_array().map(Vec::len), Some(1), "{answer}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r_2_nothing_is_an_empty_index_and_never_404() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = subject(case, 1502).await?;
        for (name, digest) in [
            (&*name, &*image.digest),
            (&name, ABSENT),
            (&name, &sha512(b"nobody")),
            (&case.repository(), ABSENT),
        ] {
            let answer = referrers(case, name, digest, "").await?;
            assert_eq!(answer.json()?["manifests"], json!([]), "{answer}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r_3_a_malformed_digest_is_400() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        for digest in ["sha256:short", "latest", "sha256:", ":"] {
            let request = Request::get(format!("/v2/{name}/referrers/{digest}"));
            case.send(&request).await?.expect_error(400, "DIGEST_INVALID")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r_4_manifests_and_indexes_of_this_repository_are_listed_and_no_others() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = subject(case, 1504).await?;
        let artifact = about(&image.descriptor(), "a/b");
        let index = as_manifest(
            OCI_INDEX,
            &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": image.descriptor()}),
        );
        case.stored(&name, &artifact.digest, &artifact).await?;
        case.stored(&name, "index", &index).await?;
        // About something else, and in another repository.
        let other = about(&json!({"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 1}), "a/b");
        case.stored(&name, &other.digest, &other).await?;
        let elsewhere = case.repository();
        case.push_blob(&elsewhere, &empty_config()).await?;
        let foreign = about(&image.descriptor(), "c/d");
        case.stored(&elsewhere, &foreign.digest, &foreign).await?;
        let answer = referrers(case, &name, &image.digest, "").await?;
        assert_eq!(listed_digests(&answer)?, digests_of(&[&artifact, &index]));
        let answer = referrers(case, &elsewhere, &image.digest, "").await?;
        assert_eq!(listed_digests(&answer)?, digests_of(&[&foreign]));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r_5_the_type_is_the_manifests_own_or_that_of_its_configuration_or_none() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = subject(case, 1505).await?;
        let config = Blob::new("application/vnd.example.config+json", &b"{\"x\":1}"[..]);
        case.push_blob(&name, &config).await?;
        let own = about(&image.descriptor(), "application/vnd.example.own");
        let of_config = as_manifest(
            OCI_MANIFEST,
            &json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.descriptor(), "layers": [],
                "subject": image.descriptor()}),
        );
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [],
            "subject": image.descriptor()});
        let mut typed = index.clone();
        typed["artifactType"] = json!("application/vnd.example.list");
        let (index, typed) = (as_manifest(OCI_INDEX, &index), as_manifest(OCI_INDEX, &typed));
        for manifest in [&own, &of_config, &index, &typed] {
            case.stored(&name, &manifest.digest, manifest).await?;
        }
        let answer = referrers(case, &name, &image.digest, "").await?;
        let descriptors = listed(&answer)?;
        let type_of = |manifest: &Blob| {
            let found = descriptors.iter().find(|descriptor| descriptor["digest"] == json!(manifest.digest));
            found.map(|descriptor| descriptor.get("artifactType").cloned())
        };
        assert_eq!(type_of(&own), Some(Some(json!("application/vnd.example.own"))));
        assert_eq!(type_of(&of_config), Some(Some(json!("application/vnd.example.config+json"))));
        assert_eq!(type_of(&index), Some(None), "left out, neither empty nor null");
        assert_eq!(type_of(&typed), Some(Some(json!("application/vnd.example.list"))));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r_6_a_descriptor_has_type_digest_size_and_every_annotation() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = subject(case, 1506).await?;
        let annotations = json!({"org.opencontainers.image.created": "2026-01-01T00:00:00Z", "empty": "",
            "org.example.\u{e9}": "\u{1F600} \"quoted\""});
        let artifact = artifact_of(
            &empty_config(),
            &[],
            &json!({"subject": image.descriptor(), "annotations": annotations}),
        );
        case.stored(&name, "signature", &artifact).await?;
        let answer = referrers(case, &name, &image.digest, "").await?;
        let expected = json!([{"mediaType": OCI_MANIFEST, "digest": artifact.digest,
            "size": artifact.bytes.len(), "artifactType": "application/vnd.example.artifact",
            "annotations": annotations}]);
        assert_eq!(answer.json()?["manifests"], expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r_7_what_does_not_fit_is_on_further_pages_with_other_entries() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = subject(case, 1507).await?;
        // Large annotations fill a page long before it has many entries.
        let mut manifests = Vec::new();
        for number in 0..12 {
            let annotations = json!({"long": format!("{number:07}").repeat(100_000)});
            let artifact = artifact_of(
                &empty_config(),
                &[],
                &json!({"subject": image.descriptor(), "annotations": annotations}),
            );
            case.stored(&name, &artifact.digest, &artifact).await?;
            manifests.push(artifact);
        }
        let mut seen = Vec::new();
        let mut pages = 0;
        let mut next = Some(format!("/v2/{name}/referrers/{}", image.digest));
        while let Some(target) = next {
            let answer = case.send(&Request::get(target)).await?.expect(200)?;
            assert_eq!(answer.needs_header("content-type")?, OCI_INDEX);
            assert!(answer.body.len() <= 4 * 1024 * 1024, "{} bytes in one page", answer.body.len());
            seen.extend(listed_digests(&answer)?);
            pages += 1;
            next = next_page(&answer)?;
        }
        seen.sort_by_key(Value::to_string);
        assert_eq!(seen, digests_of(&manifests.iter().collect::<Vec<_>>()));
        assert!(pages > 1, "eight megabytes are more than one page");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r_8_the_list_can_be_filtered_by_type() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = subject(case, 1508).await?;
        let wanted = about(&image.descriptor(), "application/vnd.example.wanted");
        let other = about(&image.descriptor(), "application/vnd.example.other");
        for manifest in [&wanted, &other] {
            case.stored(&name, &manifest.digest, manifest).await?;
        }
        let answer =
            referrers(case, &name, &image.digest, "?artifactType=application/vnd.example.wanted").await?;
        assert_eq!(listed_digests(&answer)?, digests_of(&[&wanted]));
        let answer = referrers(case, &name, &image.digest, "?artifactType=application/vnd.nobody").await?;
        assert_eq!(answer.json()?["manifests"], json!([]));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r_9_a_filter_that_was_applied_is_confirmed_and_only_then() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = subject(case, 1509).await?;
        for (query, confirmed) in
            [("", None), ("?artifactType=a/b", Some("artifactType")), ("?unknown=x", None)]
        {
            let answer = referrers(case, &name, &image.digest, query).await?;
            assert_eq!(answer.header("oci-filters-applied"), confirmed, "{query}: {answer}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r_10_filters_come_encoded_and_match_the_type_of_the_configuration() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = subject(case, 1510).await?;
        let config = Blob::new("application/vnd.example.config+json", &b"{\"y\":1}"[..]);
        case.push_blob(&name, &config).await?;
        let artifact = as_manifest(
            OCI_MANIFEST,
            &json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.descriptor(), "layers": [],
                "subject": image.descriptor()}),
        );
        case.stored(&name, &artifact.digest, &artifact).await?;
        let query = "?artifactType=application%2Fvnd.example.config%2Bjson";
        let answer = referrers(case, &name, &image.digest, query).await?;
        assert_eq!(listed_digests(&answer)?, digests_of(&[&artifact]));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn r_11_what_a_client_listed_under_the_referrers_tag_is_listed_as_well() -> anyhow::Result<()> {
    // A tree as a registry without referrers left it: nothing of ours in it but the bytes and the links.
    let folder = tempfile::tempdir()?;
    let (image, artifact, untagged) = {
        let registry = LoneRegistry::start(folder.path(), Auth::Open).await?;
        let client = OciClient::anonymous(&registry.url())?;
        client.push_blob("a/b", &empty_config()).await?;
        let image = artifact_of(&empty_config(), &[], &json!({}));
        let artifact = about(&image.descriptor(), "application/vnd.example.old");
        let untagged = about(&image.descriptor(), "application/vnd.example.unlisted");
        for manifest in [&image, &artifact, &untagged] {
            client.put_manifest("a/b", &manifest.digest, manifest).await?.expect(201)?;
        }
        let fallback = as_manifest(
            OCI_INDEX,
            &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [artifact.descriptor()]}),
        );
        let tag = image.digest.replace(':', "-");
        client.put_manifest("a/b", &tag, &fallback).await?.expect(201)?;
        (image, artifact, untagged)
    };
    let manifests = folder.path().join("docker/registry/v2/repositories/a/b/_manifests");
    let ours = manifests.join("referrers");
    anyhow::ensure!(ours.is_dir(), "referrers are kept elsewhere now: {}", manifests.display());
    std::fs::remove_dir_all(ours)?;
    let registry = LoneRegistry::start(folder.path(), Auth::Open).await?;
    let client = OciClient::anonymous(&registry.url())?;
    let answer = referrers(&client, "a/b", &image.digest, "").await?;
    let found = listed_digests(&answer)?;
    assert!(found.contains(&json!(artifact.digest)), "{answer}");
    // New ones come beside the old ones.
    let fresh = about(&image.descriptor(), "application/vnd.example.new");
    client.put_manifest("a/b", &fresh.digest, &fresh).await?.expect(201)?;
    let found = listed_digests(&referrers(&client, "a/b", &image.digest, "").await?)?;
    for manifest in [&artifact, &fresh] {
        assert!(found.contains(&json!(manifest.digest)), "{found:?}");
    }
    assert!(found.len() <= digests_of(&[&artifact, &fresh, &untagged]).len(), "{found:?}");
    Ok(())
}

#[tokio::test]
async fn r_12_referrers_outlive_their_subject_and_go_when_they_are_deleted() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = subject(case, 1512).await?;
        let (first, second) = (about(&image.descriptor(), "a/first"), about(&image.descriptor(), "a/second"));
        for manifest in [&first, &second] {
            case.stored(&name, &manifest.digest, manifest).await?;
        }
        case.send(&delete(format!("/v2/{name}/manifests/{}", image.digest))).await?.expect(202)?;
        let answer = referrers(case, &name, &image.digest, "").await?;
        assert_eq!(listed_digests(&answer)?, digests_of(&[&first, &second]));
        case.send(&delete(format!("/v2/{name}/manifests/{}", first.digest))).await?.expect(202)?;
        let answer = referrers(case, &name, &image.digest, "").await?;
        assert_eq!(listed_digests(&answer)?, digests_of(&[&second]));
        // The subject may come later than what refers to it.
        case.stored(&name, "image", &image).await?;
        let answer = referrers(case, &name, &image.digest, "").await?;
        assert_eq!(listed_digests(&answer)?, digests_of(&[&second]));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_subject_named_by_sha512_is_found_by_that_name() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let (name, image) = subject(case, 1513).await?;
        let long = sha512(&image.bytes);
        case.stored(&name, &long, &image).await?;
        let by_long = json!({"mediaType": OCI_MANIFEST, "digest": long, "size": image.bytes.len()});
        let artifact = about(&by_long, "a/b");
        case.stored(&name, &artifact.digest, &artifact).await?;
        let answer = referrers(case, &name, &long, "").await?;
        assert_eq!(listed_digests(&answer)?, digests_of(&[&artifact]));
        Ok(())
    })
    .await
}
