//! `kill -9` at any moment: what was acknowledged is there, and what was interrupted can be done again.
//!
//! *Invariant:* every push that was answered with success before the kill is complete after the restart.

use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::actors::Town;
use harness::client::{OciClient, Request, basic, with_digest};
use harness::images::{Blob, Image, noise};
use harness::server::Which;
use harness::settings::SERVICE;
use harness::stack::{StackOptions, password_of};
use harness::watchdog::Guarded;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE};

use crate::refresh_tokens::redeem;

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

/// Uploads a blob in four parts with a kill between all of them, going on at the addresses given before the kill.
async fn resume_across_kills(registry_secret: Option<&'static str>) -> anyhow::Result<()> {
    let mut town = Town::with(StackOptions { registry_secret, ..processes() }).await?;
    let blob = Blob::new("application/octet-stream", noise(725, 1_000_000));
    let mut location = town.alice.start_upload("platform/app").await?;
    assert!(location.contains("_state="), "{location}");
    for part in 0..4 {
        town.stack.registry.process()?.restart().await?;
        let (start, end) = (part * 250_000, (part + 1) * 250_000);
        let patch = Request::new(Method::PATCH, location.as_str())
            .header(CONTENT_RANGE, format!("{start}-{}", end - 1))
            .body(blob.bytes.slice(start..end));
        let answer = town.alice.send(&patch).await?.expect(202)?;
        assert_eq!(answer.needs_header("range")?, format!("0-{}", end - 1));
        answer.needs_header("location")?.clone_into(&mut location);
    }
    town.stack.registry.process()?.restart().await?;
    let status = town.alice.send(&Request::get(location.as_str())).await?.expect(204)?;
    assert_eq!(status.needs_header("range")?, "0-999999");
    let put = Request::new(Method::PUT, with_digest(&location, &blob.digest));
    town.alice.send(&put).await?.expect(201)?;
    assert_eq!(town.alice.get_blob("platform/app", &blob.digest).await?.expect(200)?.body, blob.bytes);
    Ok(())
}

#[tokio::test]
async fn an_upload_goes_on_after_a_kill_at_the_address_given_before() -> anyhow::Result<()> {
    resume_across_kills(Some("of-all-replicas")).await
}

#[tokio::test]
async fn an_upload_goes_on_after_a_kill_also_where_no_secret_is_configured() -> anyhow::Result<()> {
    resume_across_kills(None).await
}

#[tokio::test]
async fn what_a_token_server_acknowledged_before_a_kill_is_there_after_it() -> anyhow::Result<()> {
    let mut town = Town::with(processes()).await?;
    let mut password = password_of("alice");
    let mut refresh_tokens = Vec::new();
    let mut whole = Duration::ZERO;
    for round in 0..9_u32 {
        let alice = OciClient::new(&town.stack.registry_url(), "alice", &password)?;
        let bob = town.stack.client("bob")?;
        let challenge = alice.challenge().await?;
        let kept = [("offline_token", "true"), ("client_id", "docker")];
        let new = format!("password number {round}");
        let body = serde_json::json!({"password": new}).to_string();
        let change =
            Request::new(Method::PUT, format!("{}/api/v1/account/password", town.stack.token_server_url()))
                .header(AUTHORIZATION, basic("alice", &password))
                .header(CONTENT_TYPE, "application/json")
                .body(body);
        let asking = async { bob.ask_token(&challenge, &kept).await.ok() };
        let changing = async { town.anonymous.raw(&change).await.ok() };
        let answers = if round == 0 {
            // How long it takes when nothing disturbs it.
            let start = Instant::now();
            let answers = tokio::join!(asking, changing);
            whole = start.elapsed();
            town.stack.token_server.process()?.kill()?;
            answers
        } else {
            // The kill comes later in each round, so that it hits checking, writing and answering.
            let killing = async {
                tokio::time::sleep(whole * (round - 1) / 6).await;
                town.stack.token_server.process()?.kill()
            };
            let (asked, changed, killed) = tokio::join!(asking, changing, killing);
            killed?;
            (asked, changed)
        };
        // A command is a process of its own; it needs no server.
        let repository = format!("round-{round}/app");
        town.stack.grant("user:alice", "viewer", &repository).await?;
        town.stack.token_server.process()?.restart().await?;
        if let Some(answer) = answers.0 {
            let body = answer.expect(200)?.json()?;
            refresh_tokens.push(body["refresh_token"].as_str().unwrap_or_default().to_owned());
        }
        let is_new = OciClient::new(&town.stack.registry_url(), "alice", &new)?.login().await?.status == 200;
        let is_old = alice.login().await?.status == 200;
        assert!(is_new != is_old, "exactly one password is right in round {round}");
        if let Some(answer) = answers.1 {
            answer.expect(204)?;
            assert!(is_new, "a change that was answered is lost in round {round}");
        }
        if is_new {
            password = new;
        }
        for token in &refresh_tokens {
            redeem(&town, token, SERVICE).await?.expect(200)?;
        }
        // Nothing is there, so a right to look is told from its absence by the status alone.
        let alice = OciClient::new(&town.stack.registry_url(), "alice", &password)?;
        alice.get_manifest(&repository, "1").await?.expect(404)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_command_killed_at_any_moment_did_all_or_nothing() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let binary = Which::TokenServer.binary()?;
    let start = |words: &[&str]| {
        let mut command = std::process::Command::new(&binary);
        command.arg("--config").arg(town.stack.token_server_settings()).args(words);
        Guarded::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))
    };
    let begin = Instant::now();
    start(&["grant", "add", "user:alice", "viewer", "whole/**"])?.wait(Duration::from_mins(1))?;
    let whole = begin.elapsed();
    let mut undone = 0;
    for round in 0..20_u32 {
        let pattern = format!("round-{round}/**");
        let mut command = start(&["grant", "add", "user:alice", "viewer", &pattern])?;
        tokio::time::sleep(whole * round / 15).await;
        let acknowledged = !command.is_running();
        command.kill()?;
        // The database may still be ending the transaction of a command that is gone.
        let before = is_recorded(&town, &pattern).await?;
        let listed = town.stack.operator(&["grant", "list"], "").await?.success()?.output.contains(&pattern);
        let after = is_recorded(&town, &pattern).await?;
        assert!(before <= listed && listed <= after, "the right and its record are one in round {round}");
        assert!(listed || !acknowledged, "a command that ended has done its work in round {round}");
        undone += u32::from(!listed);
    }
    assert!(undone > 0, "no kill came in time");
    Ok(())
}

async fn is_recorded(town: &Town, pattern: &str) -> anyhow::Result<bool> {
    let records = town.stack.database.db_audit_of("grant_added").await?;
    Ok(records.iter().any(|row| row.target.contains(pattern)))
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
