//! The token server while its database is away, and after it came back.
//!
//! *Invariant:* a request that needs the database is told within seconds to come back, one that does not is served,
//! and nobody has to restart anything.

use std::time::{Duration, Instant};

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{OciClient, Request, basic};
use harness::gate::Gate;
use harness::images::Image;
use harness::program;
use harness::settings::{KEYS_PATH, SERVICE};
use harness::stack::{StackOptions, password_of};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};

use crate::token_endpoint::{get, post};

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
    let anonymous = get(town, None, &query);
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
    let (by_get, anonymous, by_post, change, list) =
        tokio::try_join!(by_get, anonymous, by_post, change, list)?;
    for answer in [by_get, anonymous, by_post] {
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
    let ready = health(town, "/readyz").await?.expect(503)?;
    assert!(ready.json()?["checks"]["database"].as_str().is_some_and(|text| text != "ok"), "{ready}");
    health(town, KEYS_PATH).await?.expect(200)?;
    Ok(())
}

async fn expect_back(town: &Town) -> anyhow::Result<()> {
    program::until("the token server is ready", Duration::from_secs(20), || async {
        health(town, "/readyz").await.is_ok_and(|answer| answer.status == 200)
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
