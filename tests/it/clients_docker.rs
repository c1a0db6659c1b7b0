//! The Docker engine: login, push, pull, logout, and what a person reads when it is refused.
//!
//! *Invariant:* the image that comes back has the id of the image that was pushed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::actors::Town;
use harness::docker_engine::DockerEngine;
use harness::heavy;
use harness::images::{Image, Index};
use harness::stack::password_of;

#[tokio::test]
async fn a_person_logs_in_pushes_pulls_and_logs_out() -> anyhow::Result<()> {
    let (town, docker) = (Town::start().await?, DockerEngine::shared().await?);
    let person = docker.person()?;
    let registry = town.stack.registry_address();
    let said = person.login(&registry, "alice", &password_of("alice")).await?.success()?;
    assert!(said.text.contains("Login Succeeded"), "{}", said.text);
    let name = format!("{registry}/platform/app:1");
    let image = Image::new(31, 3, 1_700_000)?;
    person.push_and_pull(&image, &name).await?;
    person.docker(&["logout", &registry]).await?.success()?;
    let text = person.docker(&["push", &name]).await?.failure()?;
    assert!(text.contains("log in") || text.contains("denied") || text.contains("unauthorized"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_says_so_in_the_terminal() -> anyhow::Result<()> {
    let (town, docker) = (Town::start().await?, DockerEngine::shared().await?);
    let person = docker.person()?;
    let text = person.login(&town.stack.registry_address(), "alice", "wrong").await?.failure()?;
    assert!(text.contains("unauthorized") && text.contains("password"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_refused_push_says_why_in_the_terminal() -> anyhow::Result<()> {
    let (town, docker) = (Town::start().await?, DockerEngine::shared().await?);
    let registry = town.stack.registry_address();
    let image = Image::new(32, 1, 10_000)?;
    for (user, repository) in [("alice", "other/app"), ("bob", "platform/app")] {
        let person = docker.person()?;
        person.login(&registry, user, &password_of(user)).await?.success()?;
        let name = format!("{registry}/{repository}:1");
        person.load(&image, &name).await?;
        let text = person.docker(&["push", &name]).await?.failure()?;
        let sentence = format!("{user} may not push to {repository}: no grant allows it; ask admin");
        assert!(text.contains(&sentence), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_tag_that_may_not_be_moved_stays_and_the_terminal_says_so() -> anyhow::Result<()> {
    let (town, docker) = (Town::start().await?, DockerEngine::shared().await?);
    town.stack.grant("user:bob", "publisher", "shop/app").await?;
    let name = format!("{}/shop/app:v1", town.stack.registry_address());
    let (first, second) = (Image::new(35, 1, 10_000)?, Image::new(36, 1, 10_000)?);
    let person = docker.person()?;
    person.login(&town.stack.registry_address(), "bob", &password_of("bob")).await?.success()?;
    for image in [&first, &second] {
        person.load(image, &name).await?;
        let said = person.docker(&["push", &name]).await?;
        if image.config.digest == first.config.digest {
            said.success()?;
        } else {
            let text = said.failure()?;
            assert!(text.contains("bob may not move the tag v1 of shop/app"), "{text}");
        }
    }
    let there = town.stack.client("bob")?.get_manifest("shop/app", "v1").await?.expect(200)?.json()?;
    assert_eq!(there["config"]["digest"], serde_json::json!(first.config.digest));
    Ok(())
}

#[tokio::test]
async fn everybody_pulls_what_is_public_without_a_login() -> anyhow::Result<()> {
    let (town, docker) = (Town::start().await?, DockerEngine::shared().await?);
    let registry = town.stack.registry_address();
    let image = Image::new(33, 2, 10_000)?;
    town.admin.push_image("public/tool", "1", &image).await?;
    town.admin.push_image("secret/tool", "1", &image).await?;
    let person = docker.person()?;
    let name = format!("{registry}/public/tool:1");
    person.docker(&["pull", &name]).await?.success()?;
    assert_eq!(person.image_id(&name).await?, image.config.digest);
    let text = person.docker(&["pull", &format!("{registry}/secret/tool:1")]).await?.failure()?;
    assert!(text.contains("not logged in"), "{text}");
    Ok(())
}

#[tokio::test]
async fn the_stored_login_is_an_identity_token_and_works() -> anyhow::Result<()> {
    let (town, docker) = (Town::start().await?, DockerEngine::shared().await?);
    let registry = town.stack.registry_address();
    let person = docker.person()?;
    person.login(&registry, "alice", &password_of("alice")).await?.success()?;
    let stored = person.stored_credentials()?.to_string();
    assert!(stored.contains("identitytoken"), "{stored}");
    let plain = STANDARD.encode(format!("alice:{}", password_of("alice")));
    assert!(!stored.contains(&plain), "the password is on disk");
    let image = Image::new(34, 1, 10_000)?;
    let name = format!("{registry}/platform/identity:1");
    person.load(&image, &name).await?;
    person.docker(&["push", &name]).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn a_stored_password_without_an_identity_token_works_as_well() -> anyhow::Result<()> {
    let (town, docker) = (Town::start().await?, DockerEngine::shared().await?);
    let registry = town.stack.registry_address();
    let name = format!("{registry}/platform/stored:1");
    let image = Image::new(37, 2, 10_000)?;
    let person = docker.person()?;
    person.store_password(&registry, "alice", &password_of("alice"))?;
    person.load(&image, &name).await?;
    let id = person.image_id(&name).await?;
    person.docker(&["push", &name]).await?.success()?;
    person.forget(&name).await?;
    person.docker(&["pull", &name]).await?.success()?;
    assert_eq!(person.image_id(&name).await?, id);
    assert!(!person.stored_credentials()?.to_string().contains("identitytoken"));
    person.store_password(&registry, "alice", "wrong")?;
    for words in [["push", &name], ["pull", &name]] {
        let text = person.docker(&words).await?.failure()?;
        assert!(text.contains("wrong user name or password"), "{words:?}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn the_engine_takes_its_platform_from_an_index() -> anyhow::Result<()> {
    let (town, docker) = (Town::start().await?, DockerEngine::shared().await?);
    let index = Index::two_platforms(35)?;
    town.admin.push_index("public/multi", "1", &index).await?;
    let person = docker.person()?;
    let name = format!("{}/public/multi:1", town.stack.registry_address());
    for image in &index.images {
        let platform = format!("linux/{}", image.architecture);
        person.docker(&["pull", "--platform", &platform, &name]).await?.success()?;
        assert_eq!(person.image_id(&name).await?, image.config.digest);
        person.forget(&name).await?;
    }
    Ok(())
}

#[tokio::test]
async fn two_hundred_megabytes_in_ten_layers_go_up_and_come_down() -> anyhow::Result<()> {
    let _turn = heavy::turn().await?;
    let (town, docker) = (Town::start().await?, DockerEngine::shared().await?);
    let registry = town.stack.registry_address();
    let person = docker.person()?;
    person.login(&registry, "alice", &password_of("alice")).await?.success()?;
    let name = format!("{registry}/platform/big:1");
    let image = Image::new(36, 10, 20_000_000)?;
    person.load(&image, &name).await?;
    let id = person.image_id(&name).await?;
    person.docker(&["push", &name]).await?.success()?;
    person.forget(&name).await?;
    person.docker(&["pull", &name]).await?.success()?;
    assert_eq!(person.image_id(&name).await?, id);
    person.forget(&name).await?;
    Ok(())
}
