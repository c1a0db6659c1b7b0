//! skopeo, podman and buildah, which keep their logins in one file and do the token dance in their own way.
//!
//! *Invariant:* digests do not change on the way, unless the tool itself says that it converts.

use harness::actors::Town;
use harness::containers::ContainersPerson;
use harness::images::{Image, Index};
use harness::layout;
use harness::stack::password_of;

#[tokio::test]
async fn skopeo_copies_up_and_down() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let person = ContainersPerson::new()?;
    let registry = town.stack.registry_address();
    person.skopeo_login(&registry, "alice", &password_of("alice")).await?.success()?;
    let image = Image::new(41, 3, 1_700_000)?;
    let source = person.folder().join("source");
    layout::write_image(&source, &image, "1")?;
    let from = format!("oci:{}:1", source.display());
    let there = format!("docker://{registry}/platform/app:1");
    person
        .skopeo(&["copy", "--preserve-digests", "--dest-tls-verify=false", &from, &there])
        .await?
        .success()?;
    let said = person.skopeo(&["inspect", "--tls-verify=false", &there]).await?.success()?;
    assert!(said.output.contains(&image.manifest.digest), "{}", said.output);
    let to = format!("dir:{}", person.folder().join("copy").display());
    person.skopeo(&["copy", "--src-tls-verify=false", &there, &to]).await?.success()?;
    assert_eq!(std::fs::read(person.folder().join("copy/manifest.json"))?, image.manifest.bytes);
    let said = person
        .skopeo(&["list-tags", "--tls-verify=false", &format!("docker://{registry}/platform/app")])
        .await?
        .success()?;
    assert!(said.output.contains("\"1\""), "{}", said.output);
    Ok(())
}

#[tokio::test]
async fn skopeo_copies_an_index_with_all_its_images_and_an_owner_deletes_it() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let person = ContainersPerson::new()?;
    let registry = town.stack.registry_address();
    person.skopeo_login(&registry, "admin", &password_of("admin")).await?.success()?;
    let index = Index::two_platforms(42)?;
    let source = person.folder().join("source");
    layout::write_index(&source, &index, "1")?;
    let from = format!("oci:{}:1", source.display());
    let there = format!("docker://{registry}/any/multi:1");
    person
        .skopeo(&["copy", "--all", "--preserve-digests", "--dest-tls-verify=false", &from, &there])
        .await?
        .success()?;
    let answer = town.admin.get_manifest("any/multi", "1").await?.expect(200)?;
    assert_eq!(answer.body, index.index.bytes);
    person.skopeo(&["delete", "--tls-verify=false", &there]).await?.success()?;
    town.admin.get_manifest("any/multi", "1").await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn podman_pushes_and_pulls() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let person = ContainersPerson::new()?;
    let registry = town.stack.registry_address();
    let said = person.podman_login(&registry, "alice", &password_of("alice")).await?.success()?;
    assert!(said.text.contains("Login Succeeded"), "{}", said.text);
    let image = Image::new(43, 2, 500_000)?;
    let source = person.folder().join("source");
    layout::write_image(&source, &image, "1")?;
    let name = format!("{registry}/platform/podman:1");
    let id = person.podman(&["pull", "--quiet", &format!("oci:{}:1", source.display())]).await?.success()?;
    let id = id.output.trim().to_owned();
    person.podman(&["push", "--quiet", "--tls-verify=false", &id, &name]).await?.success()?;
    person.podman(&["rmi", "--force", &id]).await?.success()?;
    let pulled = person.podman(&["pull", "--quiet", "--tls-verify=false", &name]).await?.success()?;
    assert_eq!(pulled.output.trim(), id);
    person.podman(&["logout", &registry]).await?.success()?;
    person.podman(&["push", "--quiet", "--tls-verify=false", &id, &name]).await?.failure()?;
    Ok(())
}

#[tokio::test]
async fn buildah_pushes_what_it_built_from_nothing() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let person = ContainersPerson::new()?;
    let registry = town.stack.registry_address();
    person.podman_login(&registry, "alice", &password_of("alice")).await?.success()?;
    let container = person.buildah(&["from", "scratch"]).await?.success()?.output.trim().to_owned();
    let file = person.folder().join("hello");
    std::fs::write(&file, "hello")?;
    person.buildah(&["copy", &container, &file.display().to_string(), "/"]).await?.success()?;
    person.buildah(&["commit", "--format", "oci", &container, "built"]).await?.success()?;
    let there = format!("docker://{registry}/platform/built:1");
    person.buildah(&["push", "--tls-verify=false", "built", &there]).await?.success()?;
    town.alice.get_manifest("platform/built", "1").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_readable() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let person = ContainersPerson::new()?;
    let registry = town.stack.registry_address();
    let text = person.podman_login(&registry, "alice", "wrong").await?.failure()?;
    assert!(text.contains("invalid username/password"), "{text}");
    person.podman_login(&registry, "bob", &password_of("bob")).await?.success()?;
    let source = person.folder().join("source");
    layout::write_image(&source, &Image::new(44, 1, 1000)?, "1")?;
    let from = format!("oci:{}:1", source.display());
    let there = format!("docker://{registry}/platform/app:1");
    let skopeo = person.skopeo(&["copy", "--dest-tls-verify=false", &from, &there]).await?.failure()?;
    person.podman(&["pull", &from]).await?.success()?;
    let ids = person.podman(&["images", "--quiet", "--no-trunc"]).await?.success()?.output;
    let id = ids.lines().next().unwrap_or_default();
    let podman = person.podman(&["push", "--tls-verify=false", id, &there]).await?.failure()?;
    for text in [skopeo, podman] {
        assert!(text.contains("bob may not"), "{text}");
        assert!(text.contains("platform/app: no grant allows it; ask admin"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn anonymous_pulls_work_with_the_registrys_own_address_as_realm() -> anyhow::Result<()> {
    let options = harness::stack::StackOptions { same_origin: true, ..Default::default() };
    let town = Town::with(options).await?;
    let image = Image::new(45, 1, 1000)?;
    town.admin.push_image("public/tool", "1", &image).await?;
    let person = ContainersPerson::new()?;
    let from = format!("docker://{}/public/tool:1", town.stack.registry_address());
    let to = format!("dir:{}", person.folder().join("copy").display());
    person.skopeo(&["copy", "--src-tls-verify=false", &from, &to]).await?.success()?;
    Ok(())
}
