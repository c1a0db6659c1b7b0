//! The token server while its database is away, and after it came back.
//!
//! *Invariant:* a request that needs the database is told within seconds to come back, one that does not is served,
//! nobody has to restart anything, and nothing that was to be recorded is lost.

use std::time::{Duration, Instant};

use harness::actors::Town;
use harness::answer::Answer;
use harness::audit::AuditRow;
use harness::client::{OciClient, Request, basic};
use harness::forge::claims_of;
use harness::gate::Gate;
use harness::images::Image;
use harness::program;
use harness::settings::{KEYS_PATH, SERVICE};
use harness::stack::{StackOptions, password_of};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};

use crate::rights::{done, run};
use crate::token_endpoint::{get, post};
use crate::{personal_tokens, refresh_tokens};

/// More than waiting for a connection and checking a password take, less than clients wait.
const PATIENCE: Duration = Duration::from_secs(10);

async fn town() -> anyhow::Result<Town> {
    let options = StackOptions { gated_database: true, ..StackOptions::default() };
    Town::with(StackOptions { processes: true, ..options }).await
}

fn gate(town: &Town) -> &Gate {
    town.stack.gate.as_ref().expect("the town was built with a gate")
}

async fn health(town: &Town, path: &str) -> anyhow::Result<Answer> {
    town.anonymous.raw(&Request::get(format!("{}{path}", town.stack.token_server_url()))).await
}

/// Insists on the answer of a token server that cannot work, in both dialects of the token endpoint and on the API.
async fn expect_away(town: &Town) -> anyhow::Result<()> {
    let start = Instant::now();
    let scope = ("scope", "repository:platform/app:pull");
    let query = [("service", SERVICE), scope];
    let by_get = get(town, Some("alice"), &query);
    let password = password_of("alice");
    let form =
        [query[0], query[1], ("grant_type", "password"), ("username", "alice"), ("password", &password)];
    let by_post = post(town, &form);
    let address = format!("{}/api/v1/account/password", town.stack.token_server_url());
    let change = Request::new(Method::PUT, address)
        .header(AUTHORIZATION, basic("alice", &password))
        .header(CONTENT_TYPE, "application/json")
        .body(r#"{"password":"an entirely new password"}"#);
    let list = format!("{}/api/v1/users", town.stack.token_server_url());
    let list = Request::get(list).header(AUTHORIZATION, basic("alice", &password));
    let (change, list) = (town.anonymous.raw(&change), town.anonymous.raw(&list));
    let (by_get, by_post, change, list) = tokio::try_join!(by_get, by_post, change, list)?;
    for answer in [by_get, by_post] {
        let answer = answer.expect_error(503, "UNAVAILABLE")?;
        assert!(answer.error_message()?.contains("database"), "{answer}");
        assert!(answer.needs_header("retry-after")?.parse::<u32>()? > 0, "{answer}");
    }
    for answer in [change, list] {
        let answer = answer.expect(503)?;
        assert_eq!(answer.needs_header("content-type")?, "application/problem+json");
        assert_eq!(answer.json()?["code"], "unavailable");
        answer.needs_header("retry-after")?;
    }
    assert!(start.elapsed() < PATIENCE, "the refusals took {:?}", start.elapsed());
    health(town, "/healthz").await?.expect(200)?;
    // A load balancer must not take it away: what needs no password goes on.
    let ready = health(town, "/readyz").await?.expect(200)?;
    assert!(
        ready.json()?["checks"]["database"].as_str().is_some_and(|text| text.starts_with("away")),
        "{ready}"
    );
    get(town, None, &query).await?.expect(200)?;
    health(town, KEYS_PATH).await?.expect(200)?;
    Ok(())
}

async fn expect_back(town: &Town) -> anyhow::Result<()> {
    program::until("the token server has its database", Duration::from_secs(20), || async {
        let answer = health(town, "/readyz").await.and_then(|answer| answer.json());
        answer.is_ok_and(|body| body["checks"]["database"] == "ok")
    })
    .await?;
    for user in ["alice", "bob"] {
        OciClient::new(&town.stack.registry_url(), user, &password_of(user))?.login().await?.expect(200)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_database_that_refuses_means_503_and_pulls_go_on() -> anyhow::Result<()> {
    let town = town().await?;
    let image = Image::new(750, 1, 10_000)?;
    town.alice.push_image("platform/app", "1", &image).await?;
    for round in 0..2 {
        gate(&town).shut();
        expect_away(&town).await?;
        // With tokens that are out already, by a registry that knows nothing of databases.
        town.alice.pull_image("platform/app", "1", &image).await?;
        let fresh = OciClient::new(&town.stack.registry_url(), "alice", &password_of("alice"))?;
        fresh.get_manifest("platform/app", "1").await?.expect_error(503, "UNAVAILABLE")?;
        gate(&town).open();
        expect_back(&town).await?;
        town.alice.forget_tokens();
        town.alice.push_image("platform/app", &round.to_string(), &image).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_database_that_says_nothing_is_as_good_as_none() -> anyhow::Result<()> {
    let town = town().await?;
    town.alice.login().await?.expect(200)?;
    gate(&town).fall_silent();
    expect_away(&town).await?;
    gate(&town).open();
    expect_back(&town).await?;
    Ok(())
}

#[tokio::test]
async fn connections_that_the_database_ends_are_replaced_unseen() -> anyhow::Result<()> {
    let town = town().await?;
    town.alice.login().await?.expect(200)?;
    let mut connection = town.stack.database.db_connect().await?;
    for _ in 0..3 {
        let ended: i64 = sqlx::query_scalar(
            "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity \
             where datname = current_database() and pid <> pg_backend_pid()",
        )
        .fetch_one(&mut connection)
        .await?;
        assert!(ended > 0, "the token server had no connection");
        town.alice.forget_tokens();
        town.alice.login().await?.expect(200)?;
    }
    Ok(())
}

/// What pipelines, programs and devices log in with, made while the database was there.
struct Kept {
    /// A robot and a user, with what they bring in place of a password.
    clients: [OciClient; 2],
    refresh: String,
}

impl Kept {
    async fn make(town: &Town) -> anyhow::Result<Self> {
        let stack = &town.stack;
        done(
            stack,
            &[
                "namespace add platform --owner team:platform",
                "robot add platform/ci",
                "grant add robot:platform/ci writer platform/**",
            ],
        )
        .await?;
        let secret = run(stack, "robot secret add platform/ci").await?.success()?.output;
        let (token, _) = personal_tokens::made(stack, "user:alice --name laptop").await?;
        let registry = stack.registry_url();
        let clients = [
            OciClient::new(&registry, "platform/ci", secret.trim())?,
            OciClient::new(&registry, "alice", &token)?,
        ];
        Ok(Self { clients, refresh: refresh_tokens::refresh_token(town).await? })
    }

    /// Insists that all of them get new tokens, and do with them what they did before.
    async fn expect_working(&self, town: &Town, tag: &str, image: &Image) -> anyhow::Result<()> {
        for (number, client) in self.clients.iter().enumerate() {
            client.forget_tokens();
            client.push_image("platform/app", &format!("{tag}-{number}"), image).await?;
            client.forget_tokens();
            client.pull_image("platform/app", &format!("{tag}-{number}"), image).await?;
        }
        let body = refresh_tokens::redeem(town, &self.refresh, SERVICE).await?.expect(200)?.json()?;
        let claims = claims_of(body["access_token"].as_str().unwrap_or_default())?;
        assert_eq!(claims["access"][0]["actions"], serde_json::json!(["pull", "push"]));
        Ok(())
    }
}

#[tokio::test]
async fn ten_minutes_without_the_database_are_seen_by_nobody_who_needs_no_password() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let spool = folder.path().join("spool");
    let town = Town::with(StackOptions {
        gated_database: true,
        token_server_more: format!("audit: {{spool: {}}}\n", spool.display()),
        ..StackOptions::default()
    })
    .await?;
    let (stack, image) = (&town.stack, Image::new(751, 1, 10_000)?);
    let kept = Kept::make(&town).await?;
    kept.expect_working(&town, "before", &image).await?;
    gate(&town).shut();
    // Tokens live five minutes, so everybody needs new ones in each of these.
    for step in 0..3 {
        if step > 0 {
            stack.clock.advance(Duration::from_mins(5));
        }
        kept.expect_working(&town, &format!("away-{step}"), &image).await?;
        expect_away(&town).await?;
        // Who is wrong is told so, and that is to be recorded too.
        OciClient::new(&stack.registry_url(), "platform/ci", "wrong")?.login().await?.expect(401)?;
    }
    assert!(std::fs::read_to_string(&spool)?.lines().count() > 5, "what waits is on the disk");
    gate(&town).open();
    expect_back(&town).await?;
    kept.expect_working(&town, "after", &image).await?;
    program::until("what waited is written", Duration::from_secs(20), || async {
        std::fs::metadata(&spool).is_ok_and(|file| file.len() == 0)
    })
    .await?;
    // Once for each of the steps, because the same is recorded once a minute.
    let logins = stack.database.db_audit_of("login").await?;
    let count = |actor: &str, how: &str| {
        let is_it = |row: &&AuditRow| {
            row.actor == actor && row.reason.as_deref().is_some_and(|reason| reason.starts_with(how))
        };
        logins.iter().filter(is_it).count()
    };
    assert!(count("platform/ci", "robot_secret") >= 3, "{logins:?}");
    assert!(count("alice", "personal_token") >= 3 && count("alice", "refresh_token") >= 3, "{logins:?}");
    assert_eq!(count("", "not_a_robot_secret"), 3, "{logins:?}");
    run(stack, "audit verify").await?.success()?;
    Ok(())
}

#[tokio::test]
async fn what_waits_for_the_database_outlives_the_server() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let spool = folder.path().join("spool");
    let mut town = Town::with(StackOptions {
        gated_database: true,
        processes: true,
        token_server_more: format!("audit: {{spool: {}}}\n", spool.display()),
        ..StackOptions::default()
    })
    .await?;
    let kept = Kept::make(&town).await?;
    // A server that has seen that something changed and could not read it any more would decide nothing.
    kept.clients[1].login().await?.expect(200)?;
    gate(&town).shut();
    kept.clients[0].login().await?.expect(200)?;
    town.stack.token_server.process()?.kill()?;
    gate(&town).open();
    let before = town.stack.database.db_audit_of("login").await?;
    assert!(!before.iter().any(|row| row.actor == "platform/ci"), "{before:?}");
    town.stack.token_server.process()?.restart().await?;
    program::until("what waited is written", Duration::from_secs(20), || async {
        let rows = town.stack.database.db_audit_of("login").await;
        rows.is_ok_and(|rows| rows.iter().any(|row| row.actor == "platform/ci"))
    })
    .await?;
    Ok(())
}
