//! The registry while the token server is away: with remembered keys it goes on, without them it waits.
//!
//! *Invariant:* a registry without keys says that it cannot judge a token, never that the token is bad, because
//! clients throw away what they are told is bad.

use std::time::Duration;

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::Request;
use harness::images::Image;
use harness::program;
use harness::stack::StackOptions;

async fn town() -> anyhow::Result<Town> {
    Town::with(StackOptions { processes: true, ..StackOptions::default() }).await
}

async fn health(town: &Town, path: &str) -> anyhow::Result<Answer> {
    town.anonymous.raw(&Request::get(path)).await
}

#[tokio::test]
async fn a_registry_starts_with_remembered_keys() -> anyhow::Result<()> {
    let mut town = town().await?;
    let image = Image::new(760, 1, 10_000)?;
    town.alice.push_image("platform/app", "1", &image).await?;
    town.stack.token_server.process()?.kill()?;
    town.alice.pull_image("platform/app", "1", &image).await?;
    let remembered = std::fs::read_dir(town.stack.images().join("portcullis"))?.flatten();
    assert!(remembered.count() > 0, "the keys are remembered beside the images");
    town.stack.registry.process()?.restart().await?;
    health(&town, "/readyz").await?.expect(200)?;
    town.alice.pull_image("platform/app", "1", &image).await?;
    // Remembered keys still tell a bad token from a good one.
    let bad = town.anonymous.with_token(&Request::get("/v2/"), "x.y.z").await?;
    bad.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn a_registry_without_keys_waits_and_recovers_by_itself() -> anyhow::Result<()> {
    let mut town = town().await?;
    let image = Image::new(761, 1, 10_000)?;
    town.alice.push_image("platform/app", "1", &image).await?;
    town.stack.token_server.process()?.kill()?;
    town.stack.registry.process()?.kill()?;
    std::fs::remove_dir_all(town.stack.images().join("portcullis"))?;
    town.stack.registry.process()?.restart_unready().await?;
    let ready = health(&town, "/readyz").await?.expect(503)?;
    assert!(ready.json()?["checks"]["trusted keys"].as_str().is_some_and(|text| text != "ok"), "{ready}");
    // The client still holds its token and shows it.
    let answer = town.alice.get_manifest("platform/app", "1").await?.expect_error(503, "UNAVAILABLE")?;
    answer.needs_header("retry-after")?;
    assert!(answer.header("www-authenticate").is_none(), "{answer}");
    // Whoever has no token is told where to get one.
    town.anonymous.challenge().await?;
    town.stack.token_server.process()?.restart().await?;
    program::until("the registry is ready", Duration::from_secs(30), || async {
        health(&town, "/readyz").await.is_ok_and(|answer| answer.status == 200)
    })
    .await?;
    town.alice.pull_image("platform/app", "1", &image).await?;
    Ok(())
}
