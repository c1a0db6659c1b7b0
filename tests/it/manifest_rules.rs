//! What an operator may ask of manifests: addresses of layers, complete indexes, classes of images.
//!
//! *Invariant:* a rule that is given is enforced with a refusal a person understands; one that excuses says so in a
//! warning.

use harness::client::OciClient;
use harness::images::{Blob, Family, Image, Index, OCI_MANIFEST};
use harness::settings::Auth;
use harness::stack::LoneRegistry;
use serde_json::json;

async fn with_rules(rules: &str) -> anyhow::Result<(OciClient, LoneRegistry, tempfile::TempDir)> {
    let folder = tempfile::tempdir()?;
    let registry = LoneRegistry::start_with(folder.path(), Auth::Open, rules).await?;
    Ok((OciClient::anonymous(&registry.url())?, registry, folder))
}

/// An image with a layer that is somewhere else.
fn with_url(image: &Image, url: &str) -> Blob {
    let foreign = Blob::new("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "foreign");
    let mut layer = foreign.descriptor();
    layer["urls"] = json!([url]);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": image.config.descriptor(), "layers": [layer],
    });
    Blob::new(OCI_MANIFEST, manifest.to_string())
}

#[tokio::test]
async fn addresses_of_layers_are_refused_only_where_the_settings_say_so() -> anyhow::Result<()> {
    let (good, bad, odd) = ("https://layers.example/x", "https://evil.example/x", "ftp://layers.example/x");
    for (rules, taken) in [
        ("", &[good, bad, odd][..]),
        ("validation: {manifests: {urls: {allow: ['^https://layers\\.example/']}}}", &[good]),
        ("validation: {manifests: {urls: {deny: [evil]}}}", &[good]),
        ("validation: {manifests: {urls: {allow: [example], deny: [evil]}}}", &[good]),
        ("validation: {manifests: {urls: {}}}", &[good, bad, odd]),
        ("validation: {manifests: {urls: {allow: []}}}", &[]),
        ("validation: {disabled: true, manifests: {urls: {deny: [evil]}}}", &[good, bad, odd]),
        ("validation: {disabled: true, enabled: true, manifests: {urls: {deny: [evil]}}}", &[good]),
    ] {
        let (client, _registry, _folder) = with_rules(rules).await?;
        let image = Image::new(1, 1, 100)?;
        client.push_image("a/b", "1", &image).await?;
        for url in [good, bad, odd] {
            let manifest = with_url(&image, url);
            let answer = client.put_manifest("a/b", "foreign", &manifest).await?;
            if taken.contains(&url) {
                let answer = answer.expect(201)?;
                assert!(answer.needs_header("warning")?.starts_with("299 - \"1 of the layers"), "{answer}");
            } else {
                let answer = answer.expect_error(400, "MANIFEST_INVALID")?;
                assert_eq!(answer.error_codes()?.len(), 1, "once: {answer}");
                assert!(answer.error_message()?.contains(url), "{rules}: {answer}");
                client.get_manifest("a/b", &manifest.digest).await?.expect(404)?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_index_may_come_without_the_images_nobody_asks_for() -> anyhow::Result<()> {
    let index = Index::two_platforms(1)?;
    let (amd64, arm64) = (&index.images[0], &index.images[1]);
    let only_amd64 = "validation: {manifests: {indexes: {platforms: list, \
                      platformlist: [{architecture: amd64, os: linux}]}}}";
    for (rules, present, missing, warned) in [
        ("", &[][..], &[amd64, arm64][..], None),
        ("validation: {manifests: {indexes: {platforms: all}}}", &[amd64], &[arm64], None),
        ("validation: {manifests: {indexes: {platforms: none}}}", &[], &[], Some("2 manifests")),
        (only_amd64, &[amd64], &[], Some("a manifest that this index lists")),
        (only_amd64, &[arm64], &[amd64], None),
        (only_amd64, &[amd64, arm64], &[], None),
        ("validation: {disabled: true}", &[arm64], &[], Some("a manifest that this index lists")),
    ] {
        let (client, _registry, _folder) = with_rules(rules).await?;
        for image in present {
            client.push_image("a/b", &image.manifest.digest, image).await?;
        }
        let answer = client.put_manifest("a/b", "multi", &index.index).await?;
        if missing.is_empty() {
            let answer = answer.expect(201)?;
            assert_eq!(answer.header("warning").is_some(), warned.is_some(), "{rules}: {answer}");
            if let Some(warned) = warned {
                assert!(
                    answer.needs_header("warning")?.starts_with(&format!("299 - \"{warned}")),
                    "{answer}"
                );
            }
            client.get_manifest("a/b", "multi").await?.expect(200)?;
        } else {
            let answer = answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN")?;
            assert_eq!(answer.error_codes()?.len(), missing.len(), "{rules}: {answer}");
            assert!(missing.iter().all(|image| answer.text().contains(&image.manifest.digest)), "{answer}");
        }
    }
    // A child without a platform is for none of the list.
    let (client, _registry, _folder) = with_rules(only_amd64).await?;
    let index = json!({
        "schemaVersion": 2, "mediaType": index.index.media_type, "manifests": [amd64.manifest.descriptor()],
    });
    let index = Blob::new(harness::images::OCI_INDEX, index.to_string());
    client.put_manifest("a/b", "plain", &index).await?.expect(201)?.needs_header("warning")?;
    Ok(())
}

#[tokio::test]
async fn only_the_listed_classes_of_images_are_taken() -> anyhow::Result<()> {
    let (client, _registry, _folder) = with_rules("policy: {repository: {classes: [image]}}").await?;
    let (oci, docker) = (Image::new(1, 1, 100)?, Image::with(2, 1, 100, Family::Docker, "amd64")?);
    client.push_image("a/b", "oci", &oci).await?;
    client.push_image("a/b", "docker", &docker).await?;
    client.push_index("a/b", "multi", &Index::two_platforms(3)?).await?;
    for config in ["application/vnd.docker.plugin.v1+json", "application/vnd.cncf.helm.config.v1+json"] {
        let mut descriptor = oci.config.descriptor();
        descriptor["mediaType"] = json!(config);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor, "layers": [],
        });
        let manifest = Blob::new(OCI_MANIFEST, manifest.to_string());
        let answer = client.put_manifest("a/b", "other", &manifest).await?.expect_error(403, "DENIED")?;
        assert!(answer.error_message()?.contains(config), "{answer}");
    }
    Ok(())
}
