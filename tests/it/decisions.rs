//! Whatever happens to what a server keeps in memory of the rights, tokens say what the database says.
//!
//! *Invariant:* a change that was acknowledged is in the next token, whoever made it and whichever server is asked.

use std::sync::Arc;

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::Request;
use harness::forge::claims_of;
use harness::server::{Server, Threaded, Which};
use harness::settings::SERVICE;
use harness::stack::{StackOptions, basic_of};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use shared::clock::ManualClock;

async fn ask(town: &Town, url: &str, user: Option<&str>, repository: &str) -> anyhow::Result<Answer> {
    let target = format!("{url}/token?service={SERVICE}&scope=repository:{repository}:pull");
    let request = Request::get(target);
    let request = match user {
        Some(user) => request.header(AUTHORIZATION, basic_of(user)),
        None => request,
    };
    town.anonymous.raw(&request).await
}

/// Whether a token of the server at this address lets somebody pull.
async fn may(town: &Town, url: &str, user: Option<&str>, repository: &str) -> anyhow::Result<bool> {
    let body = ask(town, url, user, repository).await?.expect(200)?.json()?;
    let claims = claims_of(body["token"].as_str().unwrap_or_default())?;
    Ok(claims["access"].as_array().is_some_and(|access| !access.is_empty()))
}

/// Makes a change in the database, as somebody does who knows nothing of servers.
async fn db_change(town: &Town, sql: &'static str) -> anyhow::Result<()> {
    let mut connection = town.stack.database.db_connect().await?;
    sqlx::raw_sql(sql).execute(&mut connection).await?;
    Ok(())
}

const GIVE: &str = "insert into acl_grant (subject_pid, anchor, pattern, effect, role)
    select pid, 'r:some/app', 'some/app', 'allow', 'viewer' from principal where name = 'bob'";

const TAKE: &str = "delete from acl_grant where pattern = 'some/app'";

#[tokio::test]
async fn every_change_is_in_the_next_token_of_every_server() -> anyhow::Result<()> {
    for source in ["snapshot", "database"] {
        let more = format!("decisions:\n  source: {source}");
        let town = Town::with(StackOptions { token_server_more: more, ..StackOptions::default() }).await?;
        let clock = Arc::new(ManualClock::default());
        let settings = town.stack.token_server_settings();
        let other = Server::Thread(Threaded::start(Which::TokenServer, settings, clock).await?);
        let urls = [town.stack.token_server_url(), format!("http://{}", other.address())];
        for round in 0..10 {
            for (change, expected) in [(GIVE, true), (TAKE, false)] {
                db_change(&town, change).await?;
                for url in &urls {
                    let is_allowed = may(&town, url, Some("bob"), "some/app").await?;
                    assert_eq!(is_allowed, expected, "{source} {round} {url}");
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_change_by_a_command_or_over_the_api_of_one_server_is_in_the_next_token_of_the_other()
-> anyhow::Result<()> {
    let town = Town::start().await?;
    let clock = Arc::new(ManualClock::default());
    let settings = town.stack.token_server_settings();
    let other = Server::Thread(Threaded::start(Which::TokenServer, settings, clock).await?);
    let urls = [town.stack.token_server_url(), format!("http://{}", other.address())];
    let seen = async |expected: bool, change: &str| -> anyhow::Result<()> {
        for url in &urls {
            assert_eq!(may(&town, url, Some("bob"), "some/app").await?, expected, "{change}: {url}");
        }
        Ok(())
    };
    let grant = ["user:bob", "viewer", "some/app"];
    for round in 0..3 {
        seen(false, "before").await?;
        town.stack.operator(&[&["grant", "add"], &grant[..]].concat(), "").await?.success()?;
        seen(true, "given by a command").await?;
        town.stack.operator(&[&["grant", "remove"], &grant[..], &["--yes"]].concat(), "").await?.success()?;
        seen(false, "taken away by a command").await?;
        // Each server is the one that is told in turn.
        let told = &urls[round % urls.len()];
        let send = async |method: Method, path: &str, body: &str| {
            let request = Request::new(method, format!("{told}/api/v1{path}"));
            let request = request.header(AUTHORIZATION, basic_of("admin"));
            let request = request.header(CONTENT_TYPE, "application/json").body(body.to_owned());
            town.anonymous.raw(&request).await
        };
        let body = r#"{"subject":"user:bob","role":"viewer","pattern":"some/app"}"#;
        let given = send(Method::POST, "/grants", body).await?.expect(201)?.json()?;
        seen(true, "given over the API").await?;
        send(Method::DELETE, &format!("/grants/{}", given["id"]), "").await?.expect(204)?;
        seen(false, "taken away over the API").await?;
    }
    Ok(())
}

#[tokio::test]
async fn with_the_database_away_what_everybody_may_pull_is_pulled() -> anyhow::Result<()> {
    let town = Town::with(StackOptions { gated_database: true, ..StackOptions::default() }).await?;
    let url = town.stack.token_server_url();
    let gate = town.stack.gate.as_ref().expect("the town was built with a gate");
    // What it has seen before is what it can know afterwards.
    assert!(may(&town, &url, None, "public/app").await?);
    for _ in 0..2 {
        gate.shut();
        assert!(may(&town, &url, None, "public/app").await?);
        gate.fall_silent();
        assert!(may(&town, &url, None, "public/app").await?);
        gate.open();
        // What changed meanwhile is not overlooked.
        db_change(&town, "delete from acl_grant where pattern = 'public/**'").await?;
        assert!(!may(&town, &url, None, "public/app").await?);
        town.stack.grant("everyone", "viewer", "public/**").await?;
        assert!(may(&town, &url, None, "public/app").await?);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_too_old_does_not_decide() -> anyhow::Result<()> {
    let more = "decisions:\n  maxage: 0s".to_owned();
    let options = StackOptions { gated_database: true, token_server_more: more, ..StackOptions::default() };
    let town = Town::with(options).await?;
    let url = town.stack.token_server_url();
    assert!(may(&town, &url, None, "public/app").await?);
    town.stack.gate.as_ref().expect("the town was built with a gate").shut();
    ask(&town, &url, None, "public/app").await?.expect_error(503, "UNAVAILABLE")?;
    Ok(())
}

#[tokio::test]
async fn a_log_that_leads_nowhere_is_no_reason_to_be_wrong() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let url = town.stack.token_server_url();
    for trouble in [
        // Pruned while the server was away.
        "delete from acl_change where seq < (select max(seq) from acl_change)",
        // A backup that was put back.
        "update acl_change set mark = gen_random_uuid()",
        "insert into acl_change (kind) values ('everything')",
        // Nobody can read it.
        "alter table acl_change rename column mark to hidden",
        "alter table acl_change rename column hidden to mark",
    ] {
        let is_hidden = trouble.contains("to hidden");
        if is_hidden {
            db_change(&town, trouble).await?;
        }
        db_change(&town, GIVE).await?;
        if !is_hidden {
            db_change(&town, trouble).await?;
        }
        assert!(may(&town, &url, Some("bob"), "some/app").await?, "{trouble}");
        db_change(&town, TAKE).await?;
        assert!(!may(&town, &url, Some("bob"), "some/app").await?, "{trouble}");
    }
    Ok(())
}

#[tokio::test]
async fn many_who_ask_at_once_share_a_look_at_the_log() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let url = town.stack.token_server_url();
    for change in [GIVE, TAKE, GIVE, TAKE] {
        db_change(&town, change).await?;
        let asking = (0..50).map(|_| may(&town, &url, Some("bob"), "some/app"));
        let answers = futures_util::future::try_join_all(asking).await?;
        assert!(answers.iter().all(|answer| *answer == (change == GIVE)), "{change}: {answers:?}");
    }
    Ok(())
}
