//! Names, lists and manifests at the edge of what is allowed.
//!
//! *Invariant:* what the grammars allow works everywhere: pushed, pulled, listed, deleted.

use std::path::Path;

use harness::client::{OciClient, Request};
use harness::images::{Blob, Image, OCI_INDEX, OCI_MANIFEST};
use harness::settings::Auth;
use harness::stack::LoneRegistry;
use reqwest::Method;
use serde_json::{Value, json};

/// An open registry on a folder of its own.
struct Odd {
    client: OciClient,
    _registry: LoneRegistry,
    folder: tempfile::TempDir,
}

impl Odd {
    async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let registry = LoneRegistry::start(folder.path(), Auth::Open).await?;
        let client = OciClient::anonymous(&registry.url())?;
        Ok(Self { client, _registry: registry, folder })
    }

    async fn json(&self, target: &str) -> anyhow::Result<Value> {
        self.client.send(&Request::get(target)).await?.expect(200)?.json()
    }

    async fn delete(&self, target: &str) -> anyhow::Result<()> {
        self.client.send(&Request::new(Method::DELETE, target)).await?.expect(202)?;
        Ok(())
    }
}

/// Everything that can be done with a repository, with one of this name.
async fn whole_life(odd: &Odd, name: &str) -> anyhow::Result<()> {
    let (client, image) = (&odd.client, Image::new(1301, 1, 500)?);
    client.push_image(name, "tag", &image).await?;
    client.pull_image(name, "tag", &image).await?;
    client.pull_image(name, &image.manifest.digest, &image).await?;
    assert_eq!(odd.json(&format!("/v2/{name}/tags/list")).await?, json!({"name": name, "tags": ["tag"]}));
    let signature = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": image.config.descriptor(),
        "layers": [], "subject": image.manifest.descriptor()});
    let signature = Blob::new(OCI_MANIFEST, signature.to_string().into_bytes());
    client.put_manifest(name, &signature.digest, &signature).await?.expect(201)?;
    let referrers = odd.json(&format!("/v2/{name}/referrers/{}", image.manifest.digest)).await?;
    assert_eq!(referrers["manifests"][0]["digest"], json!(signature.digest));
    let last = &name[..name.len() - 1];
    let catalogue = odd.json(&format!("/v2/_catalog?n=1&last={last}")).await?;
    assert_eq!(catalogue["repositories"], json!([name]));
    let target = format!("other/of-{}", name.len());
    let mount = format!("/v2/{target}/blobs/uploads/?mount={}&from={name}", image.config.digest);
    client.send(&Request::new(Method::POST, mount)).await?.expect(201)?;
    odd.delete(&format!("/v2/{name}/manifests/tag")).await?;
    odd.delete(&format!("/v2/{name}/manifests/{}", image.manifest.digest)).await?;
    odd.delete(&format!("/v2/{name}/blobs/{}", image.config.digest)).await?;
    client.get_manifest(name, "tag").await?.expect_error(404, "MANIFEST_UNKNOWN")?;
    assert_eq!(odd.json(&format!("/v2/{name}/tags/list")).await?["tags"], json!([]));
    Ok(())
}

#[tokio::test]
async fn a_name_of_255_bytes_is_as_good_as_any() -> anyhow::Result<()> {
    let odd = Odd::start().await?;
    whole_life(&odd, &format!("{}/{}", "a".repeat(127), "b".repeat(127))).await?;
    whole_life(&odd, &"c".repeat(255)).await?;
    whole_life(&odd, &format!("d{}", "/d".repeat(127))).await?;
    let too_long = format!("/v2/{}/tags/list", "e".repeat(256));
    odd.client.send(&Request::get(too_long)).await?.expect_error(400, "NAME_INVALID")?;
    Ok(())
}

#[tokio::test]
async fn a_name_of_twenty_components_is_as_good_as_any() -> anyhow::Result<()> {
    let odd = Odd::start().await?;
    let name: Vec<_> = (1..=20).map(|number| format!("part-{number}")).collect();
    whole_life(&odd, &name.join("/")).await
}

#[tokio::test]
async fn the_words_of_the_protocol_are_names_like_others() -> anyhow::Result<()> {
    let odd = Odd::start().await?;
    for name in [
        "blobs",
        "manifests",
        "uploads",
        "tags",
        "referrers",
        "v2",
        "tags/list",
        "blobs/uploads",
        "manifests/latest",
        "a/blobs/uploads/b",
        "a/manifests/b/referrers/c",
        "blobs/manifests/tags/referrers/uploads",
        "tags/list/tags",
        "link/current/data",
    ] {
        whole_life(&odd, name).await.map_err(|error| error.context(name))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_name_whose_slashes_are_escaped_is_the_same_name() -> anyhow::Result<()> {
    let (odd, image) = (Odd::start().await?, Image::new(1302, 1, 500)?);
    odd.client.push_image("a/b/c", "tag", &image).await?;
    for name in ["a%2Fb%2Fc", "a%2fb/c"] {
        let listed = odd.json(&format!("/v2/{name}/tags/list")).await?;
        assert_eq!(listed, json!({"name": "a/b/c", "tags": ["tag"]}));
        odd.client.pull_image(name, "tag", &image).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_repository_below_another_one_shares_nothing_with_it() -> anyhow::Result<()> {
    let odd = Odd::start().await?;
    let (outer, inner) = (Image::new(1302, 1, 500)?, Image::new(1303, 1, 500)?);
    odd.client.push_image("a/b", "tag", &outer).await?;
    odd.client.push_image("a/b/c", "tag", &inner).await?;
    odd.client.pull_image("a/b", "tag", &outer).await?;
    odd.client.get_blob("a/b", &inner.layers[0].digest).await?.expect(404)?;
    odd.delete(&format!("/v2/a/b/manifests/{}", outer.manifest.digest)).await?;
    odd.client.pull_image("a/b/c", "tag", &inner).await
}

/// Writes more tags of a manifest: only what makes them visible, because making and removing files is what takes long.
fn write_tags(folder: &Path, name: &str, manifest: &Blob, tags: &[String]) -> anyhow::Result<()> {
    let all = folder.join("docker/registry/v2/repositories").join(name).join("_manifests/tags");
    for tag in tags {
        let current = all.join(tag).join("current");
        std::fs::create_dir_all(&current)?;
        std::fs::write(current.join("link"), &manifest.digest)?;
    }
    Ok(())
}

#[tokio::test]
async fn ten_thousand_tags_are_paged_through_and_go_with_their_manifest() -> anyhow::Result<()> {
    let odd = Odd::start().await?;
    let (many, few) = (Image::new(1304, 1, 500)?, Image::new(1305, 1, 500)?);
    odd.client.push_image("a/many", "a-first", &many).await?;
    odd.client.push_image("a/many", "few", &few).await?;
    let mut tags: Vec<_> = (0..500).map(|number| format!("v{number:05}")).collect();
    write_tags(odd.folder.path(), "a/many", &many.manifest, &tags)?;
    let of_few: Vec<_> = (0..9_498).map(|number| format!("w{number:05}")).collect();
    write_tags(odd.folder.path(), "a/many", &few.manifest, &of_few)?;
    tags.extend(of_few.iter().cloned().chain(["a-first".into(), "few".into()]));
    tags.sort_unstable();
    assert_eq!(tags.len(), 10_000);

    let all = odd.json("/v2/a/many/tags/list").await?;
    assert_eq!(all["tags"], json!(tags));
    let mut seen: Vec<String> = Vec::new();
    let mut next = Some("/v2/a/many/tags/list?n=900".to_owned());
    while let Some(target) = next {
        let answer = odd.client.send(&Request::get(target)).await?.expect(200)?;
        let page: Vec<String> = serde_json::from_value(answer.json()?["tags"].clone())?;
        assert!(page.len() == 900 || answer.header("link").is_none(), "{}", page.len());
        seen.extend(page);
        let link = answer.header("link").and_then(|link| link.strip_prefix('<')?.split_once('>'));
        next = link.map(|(target, _)| target.to_owned());
    }
    assert_eq!(seen, tags);

    odd.delete(&format!("/v2/a/many/manifests/{}", many.manifest.digest)).await?;
    for reference in ["a-first", "v00000", "v00499", &many.manifest.digest] {
        odd.client.get_manifest("a/many", reference).await?.expect(404)?;
    }
    let left: Vec<_> = std::iter::once("few".to_owned()).chain(of_few).collect();
    assert_eq!(odd.json("/v2/a/many/tags/list").await?["tags"], json!(left));
    odd.client.pull_image("a/many", "w09497", &few).await
}

#[tokio::test]
async fn a_tag_may_have_128_characters() -> anyhow::Result<()> {
    let odd = Odd::start().await?;
    let image = Image::new(1306, 1, 500)?;
    let tag = format!("_{}", "Zz.9-_".repeat(22))[..128].to_owned();
    odd.client.push_image("a/b", &tag, &image).await?;
    odd.client.pull_image("a/b", &tag, &image).await?;
    assert_eq!(odd.json("/v2/a/b/tags/list").await?["tags"], json!([tag]));
    odd.delete(&format!("/v2/a/b/manifests/{tag}")).await?;
    let longer = odd.client.put_manifest("a/b", &format!("{tag}x"), &image.manifest).await?;
    longer.expect_error(400, "MANIFEST_INVALID")?;
    Ok(())
}

#[tokio::test]
async fn an_image_of_a_hundred_layers_comes_back_whole() -> anyhow::Result<()> {
    let odd = Odd::start().await?;
    let image = Image::new(1307, 100, 300)?;
    odd.client.push_image("a/b", "layers", &image).await?;
    odd.client.pull_image("a/b", "layers", &image).await
}

#[tokio::test]
async fn a_manifest_may_list_a_thousand_layers_also_the_same_ones() -> anyhow::Result<()> {
    let odd = Odd::start().await?;
    let image = Image::new(1308, 10, 300)?;
    for blob in image.blobs() {
        odd.client.push_blob("a/b", blob).await?;
    }
    let layers: Vec<_> = image.layers.iter().cycle().take(1000).map(Blob::descriptor).collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": image.config.descriptor(),
        "layers": layers});
    let manifest = Blob::new(OCI_MANIFEST, manifest.to_string().into_bytes());
    odd.client.put_manifest("a/b", "same", &manifest).await?.expect(201)?;
    assert_eq!(odd.client.get_manifest("a/b", "same").await?.expect(200)?.body, manifest.bytes);
    // A thousand that are not here are all named in one answer.
    let missing: Vec<_> = (0..1000)
        .map(|number| json!({"mediaType": "a/b", "digest": format!("sha256:{number:064x}"), "size": 1}))
        .collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": image.config.descriptor(),
        "layers": missing});
    let manifest = Blob::new(OCI_MANIFEST, manifest.to_string().into_bytes());
    let answer = odd.client.put_manifest("a/b", "missing", &manifest).await?;
    let answer = answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN")?;
    assert_eq!(answer.error_codes()?.len(), 1000);
    Ok(())
}

#[tokio::test]
async fn an_index_may_list_a_thousand_children() -> anyhow::Result<()> {
    let odd = Odd::start().await?;
    let image = Image::new(1309, 1, 300)?;
    odd.client.push_image("a/b", "image", &image).await?;
    let children = vec![image.descriptor(); 1000];
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children});
    let index = Blob::new(OCI_INDEX, index.to_string().into_bytes());
    odd.client.put_manifest("a/b", "index", &index).await?.expect(201)?;
    assert_eq!(odd.client.get_manifest("a/b", "index").await?.expect(200)?.body, index.bytes);
    Ok(())
}

#[tokio::test]
async fn nothing_and_empty_layers_are_content() -> anyhow::Result<()> {
    let odd = Odd::start().await?;
    let nothing = Blob::new("application/vnd.oci.image.layer.v1.tar", bytes::Bytes::new());
    // A thousand zero bytes: an archive without files.
    let empty_archive = Blob::new("application/vnd.oci.image.layer.v1.tar", vec![0; 1024]);
    let config = Blob::new("application/vnd.oci.image.config.v1+json", &b"{}"[..]);
    for blob in [&nothing, &empty_archive, &config] {
        odd.client.push_blob("a/b", blob).await?;
        let answer = odd.client.get_blob("a/b", &blob.digest).await?.expect(200)?;
        assert_eq!(answer.body, blob.bytes);
    }
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.descriptor(),
        "layers": [nothing.descriptor(), empty_archive.descriptor(), nothing.descriptor()]});
    let manifest = Blob::new(OCI_MANIFEST, manifest.to_string().into_bytes());
    odd.client.put_manifest("a/b", "nothing", &manifest).await?.expect(201)?;
    let range = Request::get(format!("/v2/a/b/blobs/{}", nothing.digest));
    let answer = odd.client.send(&range.header(reqwest::header::RANGE, "bytes=0-")).await?;
    assert!(matches!(answer.status, 200 | 416), "{answer}");
    Ok(())
}
