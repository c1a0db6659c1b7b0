//! `kill -9` at any moment: what was acknowledged is there, and what was interrupted can be done again.
//!
//! *Invariant:* every push that was answered with success before the kill is complete after the restart.

use std::time::Duration;

use harness::actors::Town;
use harness::images::Image;
use harness::stack::StackOptions;

fn processes() -> StackOptions {
    StackOptions { processes: true, ..StackOptions::default() }
}

#[tokio::test]
async fn a_registry_killed_during_pushes_keeps_what_it_acknowledged() -> anyhow::Result<()> {
    let mut town = Town::with(processes()).await?;
    let mut acknowledged: Vec<(String, Image)> = Vec::new();
    for round in 0..8_u64 {
        let image = Image::new(700 + round, 3, 400_000)?;
        let repository = format!("crash/round-{round}");
        // The kill comes later in each round, so that it hits blobs, manifests and the time between.
        let push = town.admin.push_image(&repository, "1", &image);
        let outcome = tokio::time::timeout(Duration::from_millis(15 * (round + 1)), push).await;
        town.stack.registry.process()?.kill()?;
        if matches!(outcome, Ok(Ok(()))) {
            acknowledged.push((repository.clone(), image.clone()));
        }
        town.stack.registry.process()?.restart().await?;
        town.admin.push_image(&repository, "1", &image).await?;
        acknowledged.push((repository, image));
        for (repository, image) in &acknowledged {
            town.admin.pull_image(repository, "1", image).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn blobs_that_were_answered_201_survive_a_kill_right_after() -> anyhow::Result<()> {
    let mut town = Town::with(processes()).await?;
    let image = Image::new(710, 4, 100_000)?;
    for blob in image.blobs() {
        town.admin.push_blob("crash/blobs", blob).await?;
        town.stack.registry.process()?.restart().await?;
        let answer = town.admin.get_blob("crash/blobs", &blob.digest).await?.expect(200)?;
        assert_eq!(answer.body, blob.bytes);
    }
    town.admin.put_manifest("crash/blobs", "1", &image.manifest).await?.expect(201)?;
    town.stack.registry.process()?.restart().await?;
    town.admin.pull_image("crash/blobs", "1", &image).await?;
    Ok(())
}

#[tokio::test]
async fn a_token_server_killed_at_any_moment_keeps_users_keys_and_rights() -> anyhow::Result<()> {
    let mut town = Town::with(processes()).await?;
    let image = Image::new(720, 1, 10_000)?;
    town.alice.push_image("platform/app", "1", &image).await?;
    for _ in 0..3 {
        let challenge = town.alice.challenge().await?;
        let asking = town.alice.ask_token(&challenge, &[]);
        let _ = tokio::time::timeout(Duration::from_millis(5), asking).await;
        town.stack.token_server.process()?.restart().await?;
    }
    // Tokens of before still verify: the key is the same.
    town.alice.pull_image("platform/app", "1", &image).await?;
    town.alice.forget_tokens();
    town.alice.pull_image("platform/app", "1", &image).await?;
    town.bob.get_manifest("platform/app", "1").await?.expect(403)?;
    Ok(())
}

#[tokio::test]
async fn the_registry_goes_on_while_the_token_server_is_away() -> anyhow::Result<()> {
    let mut town = Town::with(processes()).await?;
    let image = Image::new(730, 1, 10_000)?;
    town.alice.push_image("platform/app", "1", &image).await?;
    town.alice.pull_image("platform/app", "1", &image).await?;
    town.stack.token_server.process()?.kill()?;
    town.alice.pull_image("platform/app", "1", &image).await?;
    // Even after a restart of its own, because the last known keys are on disk.
    town.stack.registry.process()?.restart().await?;
    town.alice.pull_image("platform/app", "1", &image).await?;
    Ok(())
}

#[tokio::test]
async fn starting_costs_less_than_a_second_of_work_whatever_is_stored() -> anyhow::Result<()> {
    let mut town = Town::with(processes()).await?;
    town.admin.push_image("a/b", "1", &Image::new(740, 1, 100)?).await?;
    let repositories = town.stack.images().join("docker/registry/v2/repositories");
    for number in 0..5000 {
        let tag = format!("many/{}/repository-{number}/_manifests/tags/1/current", number % 50);
        std::fs::create_dir_all(repositories.join(tag))?;
    }
    for server in [&mut town.stack.registry, &mut town.stack.token_server] {
        let server = server.process()?;
        server.restart().await?;
        let used = server.processor_time()?;
        assert!(used < Duration::from_secs(1), "process {} used {used:?} until it was ready", server.id());
    }
    town.admin.get_manifest("a/b", "1").await?.expect(200)?;
    Ok(())
}
