//! Several tags in one push of a manifest, and what the answer says about a subject.
//!
//! Spec: distribution-spec, "Pushing manifests", "Pushing manifests with subject"; end-7b.

use harness::answer::Answer;
use harness::client::Request;
use harness::images::{Blob, OCI_INDEX, OCI_MANIFEST, sha512};
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use super::{Case, artifact_of, as_manifest, empty_config, in_every_mode, put};

const ABSENT: &str = "sha256:5555555555555555555555555555555555555555555555555555555555555555";

async fn put_with_tags(
    case: &Case,
    repository: &str,
    digest: &str,
    tags: &[&str],
    manifest: &Blob,
) -> anyhow::Result<Answer> {
    let query: Vec<_> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    let target = format!("/v2/{repository}/manifests/{digest}?{}", query.join("&"));
    let request = put(target).header(CONTENT_TYPE, manifest.media_type).body(manifest.bytes.clone());
    case.send(&request).await
}

/// The tags that an answer says were set.
fn confirmed(answer: &Answer) -> Vec<String> {
    let values = answer.headers.get_all("oci-tag").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).collect()
}

#[tokio::test]
async fn w_16_a_push_by_digest_may_set_tags() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 901).await?;
        let other = case.artifact(&name, 902).await?;
        case.stored(&name, "moves", &other).await?;
        let tags = ["one", "moves", "1.0"];
        put_with_tags(case, &name, &manifest.digest, &tags, &manifest).await?.expect(201)?;
        for tag in tags {
            assert_eq!(case.digest_of(&name, tag).await?, Some(manifest.digest.clone()), "{tag}");
        }
        case.get_manifest(&name, &other.digest).await?.expect(200)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_17_ten_tags_in_one_push_are_not_too_many() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 903).await?;
        let tags: Vec<_> = (0..10).map(|number| format!("tag-{number}")).collect();
        let tags: Vec<_> = tags.iter().map(String::as_str).collect();
        let answer = put_with_tags(case, &name, &manifest.digest, &tags, &manifest).await?.expect(201)?;
        assert_eq!(confirmed(&answer), tags);
        let list = case.send(&Request::get(format!("/v2/{name}/tags/list"))).await?.expect(200)?;
        assert_eq!(list.json()?["tags"], json!(tags));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_18_more_tags_than_the_registry_takes_are_414_and_none_is_set() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 904).await?;
        let tags: Vec<_> = (0..1000).map(|number| format!("tag-{number}")).collect();
        let tags: Vec<_> = tags.iter().map(String::as_str).collect();
        let answer = put_with_tags(case, &name, &manifest.digest, &tags, &manifest).await?;
        assert!(matches!(answer.status, 414 | 431), "{answer}");
        case.get_manifest(&name, &manifest.digest).await?.expect(404)?;
        for tag in ["tag-0", "tag-999"] {
            case.get_manifest(&name, tag).await?.expect(404)?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_19_the_answer_confirms_each_tag() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 905).await?;
        let answer =
            put_with_tags(case, &name, &manifest.digest, &["b", "a"], &manifest).await?.expect(201)?;
        let mut tags = confirmed(&answer);
        tags.sort_unstable();
        assert_eq!(tags, ["a", "b"]);
        // Without the parameter there is nothing to confirm.
        for reference in ["tag", &manifest.digest] {
            let answer = case.stored(&name, reference, &manifest).await?;
            assert!(confirmed(&answer).is_empty(), "{answer}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_19_a_bad_tag_among_good_ones_sets_none() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 906).await?;
        let answer = put_with_tags(case, &name, &manifest.digest, &["good", "-bad"], &manifest).await?;
        answer.expect_error(400, "MANIFEST_INVALID")?;
        case.get_manifest(&name, "good").await?.expect(404)?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_20_a_tag_remembers_the_digest_it_was_made_with() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 907).await?;
        let long = sha512(&manifest.bytes);
        put_with_tags(case, &name, &long, &["long"], &manifest).await?.expect(201)?;
        assert_eq!(case.digest_of(&name, "long").await?, Some(long.clone()));
        let answer = case.get_manifest(&name, "long").await?.expect(200)?;
        assert_eq!(answer.needs_header("docker-content-digest")?, long);
        assert_eq!(answer.body, manifest.bytes);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_21_a_subject_that_was_seen_is_confirmed() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let image = case.artifact(&name, 908).await?;
        case.stored(&name, "image", &image).await?;
        for subject in [
            image.descriptor(),
            json!({"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}),
            json!({"mediaType": OCI_MANIFEST, "digest": sha512(&image.bytes), "size": image.bytes.len()}),
        ] {
            let artifact = artifact_of(&empty_config(), &[], &json!({"subject": subject}));
            let index = as_manifest(
                OCI_INDEX,
                &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": subject}),
            );
            for manifest in [&artifact, &index] {
                for reference in ["tag", &manifest.digest] {
                    let answer = case.stored(&name, reference, manifest).await?;
                    assert_eq!(answer.needs_header("oci-subject")?, subject["digest"]);
                }
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn w_22_without_a_subject_nothing_is_confirmed() -> anyhow::Result<()> {
    in_every_mode(async |case| {
        let name = case.repository();
        let manifest = case.artifact(&name, 909).await?;
        let answer = case.stored(&name, "tag", &manifest).await?;
        assert!(answer.header("oci-subject").is_none(), "{answer}");
        Ok(())
    })
    .await
}
