//! What tokens were issued for: summed up by the hour, and counted for each right that gave something.
//!
//! *Invariant:* counts are compared as they are, not as "at least".

use std::time::Duration;

use futures_util::future::try_join_all;
use harness::actors::Town;
use harness::database::Database;
use harness::program;
use harness::server::{Threaded, Which};
use harness::settings::{self, SERVICE, TokenServerOptions};
use harness::stack::{Stack, StackOptions, basic_of};
use serde_json::Value;

/// Longer than counts wait to be written.
const PATIENCE: Duration = Duration::from_mins(1);

/// Asks a token server for a token.
async fn ask(town: &Town, url: &str, user: Option<&str>, scopes: &str) -> anyhow::Result<()> {
    let scopes: Vec<_> = scopes.split(' ').map(|scope| format!("scope=repository:{scope}")).collect();
    let mut request =
        town.anonymous.http().get(format!("{url}/token?service={SERVICE}&{}", scopes.join("&")));
    if let Some(user) = user {
        request = request.header("authorization", basic_of(user));
    }
    request.send().await?.error_for_status()?;
    Ok(())
}

async fn asked(town: &Town, user: Option<&str>, scopes: &str, times: usize) -> anyhow::Result<()> {
    let url = town.stack.token_server_url();
    try_join_all((0..times).map(|_| ask(town, &url, user, scopes))).await?;
    Ok(())
}

/// User, repository, actions and number of tokens of a listing.
async fn listed(stack: &Stack, more: &[&str]) -> anyhow::Result<Vec<(String, String, String, i64)>> {
    let words = [&["audit", "tokens", "--output", "json"], more].concat();
    let said = stack.operator(&words, "").await?.success()?;
    let rows: Vec<Value> = serde_json::from_str(&said.output)?;
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let row = |row: &Value| {
        let actions: Vec<_> = row["actions"].as_array().into_iter().flatten().map(text).collect();
        let count = row["tokens"].as_i64().unwrap_or_default();
        (text(&row["user"]), text(&row["repository"]), actions.join(","), count)
    };
    Ok(rows.iter().map(row).collect())
}

async fn db_total(database: &Database) -> anyhow::Result<i64> {
    let mut connection = database.db_connect().await?;
    let query = "select coalesce(sum(uses), 0)::bigint from token_use";
    Ok(sqlx::query_scalar(query).fetch_one(&mut connection).await?)
}

/// How often each right gave something, by its pattern.
async fn db_grant_uses(database: &Database) -> anyhow::Result<Vec<(String, i64)>> {
    let mut connection = database.db_connect().await?;
    let query =
        "select g.pattern, u.uses from grant_use u join acl_grant g on g.id = u.grant_id order by g.pattern";
    Ok(sqlx::query_as(query).fetch_all(&mut connection).await?)
}

async fn until_total(database: &Database, expected: i64) -> anyhow::Result<()> {
    let is_there = || async { db_total(database).await.is_ok_and(|total| total >= expected) };
    program::until("uses are written", PATIENCE, is_there).await?;
    assert_eq!(db_total(database).await?, expected);
    Ok(())
}

fn row(user: &str, repository: &str, actions: &str, count: i64) -> (String, String, String, i64) {
    (user.into(), repository.into(), actions.into(), count)
}

#[tokio::test]
async fn tokens_are_summed_up_by_what_they_give() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    stack.grant("user:alice", "viewer", "platform/app").await?;
    asked(&town, Some("alice"), "platform/app:pull,push", 30).await?;
    asked(&town, Some("alice"), "platform/app:pull other/app:pull", 3).await?;
    asked(&town, Some("bob"), "platform/app:pull public/tool:pull", 2).await?;
    asked(&town, None, "public/tool:pull,push public/other:pull", 20).await?;
    asked(&town, Some("admin"), "other/app:delete", 1).await?;
    until_total(&stack.database, 76).await?;
    let all = [
        row("-", "public/other", "pull", 20),
        row("-", "public/tool", "pull", 20),
        row("admin", "other/app", "delete", 1),
        row("alice", "platform/app", "pull", 3),
        row("alice", "platform/app", "pull,push", 30),
        row("bob", "public/tool", "pull", 2),
    ];
    assert_eq!(listed(stack, &[]).await?, all);
    assert_eq!(listed(stack, &["--user", "Alice", "--since", "2h"]).await?, all[3..5]);
    assert_eq!(listed(stack, &["--user", "anonymous", "--repository", "tool"]).await?, all[1..2]);
    assert_eq!(listed(stack, &["--limit", "1"]).await?, all[5..]);
    assert_eq!(listed(stack, &["--since", "2099-01-01T00:00:00Z"]).await?, []);
    // Each right that gives something, once for each repository in a token.
    let expected = [("**", 1), ("platform/**", 33), ("platform/app", 33), ("public/**", 42)];
    let expected: Vec<_> = expected.into_iter().map(|(pattern, uses)| (pattern.to_owned(), uses)).collect();
    assert_eq!(db_grant_uses(&stack.database).await?, expected);

    let said = stack.operator(&["audit", "tokens", "--user", "bob"], "").await?.success()?;
    let line: Vec<_> = said.output.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(line[2..6], ["bob", "public/tool", "pull", "2"], "{}", said.output);
    assert_eq!(line.last(), Some(&"127.0.0.1"));
    Ok(())
}

#[tokio::test]
async fn several_servers_count_into_the_same_rows_and_lose_nothing_when_they_stop() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let folder = tempfile::tempdir()?;
    let options = TokenServerOptions {
        address: "127.0.0.1:0".into(),
        database_url: town.stack.database.url().into(),
        token_lifetime: "300s",
        more: String::new(),
    };
    let file = settings::write_token_server(folder.path(), &options)?;
    let second = Threaded::start(Which::TokenServer, &file, town.stack.clock.clone()).await?;
    let second = harness::server::Server::Thread(second);
    let url = format!("http://{}", second.address());
    let names: Vec<_> = (0..10).map(|number| format!("public/tool-{number}:pull")).collect();
    for name in names.iter().chain(names.iter().rev()) {
        try_join_all((0..5).map(|_| ask(&town, &url, None, name))).await?;
        asked(&town, None, name, 5).await?;
    }
    // They stop long before they would have written by themselves, or not.
    let Stack { token_server, database, .. } = town.stack;
    drop(second);
    drop(token_server);
    assert_eq!(db_total(&database).await?, 200);
    assert_eq!(db_grant_uses(&database).await?, [("public/**".to_owned(), 200)]);
    Ok(())
}

#[tokio::test]
async fn counts_wait_for_a_database_that_is_away() -> anyhow::Result<()> {
    let options = StackOptions { gated_database: true, ..StackOptions::default() };
    let town = Town::with(options).await?;
    let gate = town.stack.gate.as_ref().expect("the town was built with a gate");
    asked(&town, Some("alice"), "platform/app:pull", 7).await?;
    gate.shut();
    // What is counted is in no table yet, unless it was written before the gate was shut.
    tokio::time::sleep(Duration::from_secs(6)).await;
    gate.open();
    until_total(&town.stack.database, 7).await?;
    Ok(())
}

#[tokio::test]
async fn one_user_cannot_fill_the_table() -> anyhow::Result<()> {
    let town = Town::start().await?;
    for batch in 0..40 {
        let scopes: Vec<_> = (0..30).map(|number| format!("public/r{}:pull", batch * 30 + number)).collect();
        asked(&town, None, &scopes.join(" "), 1).await?;
    }
    let Stack { token_server, database, .. } = town.stack;
    drop(token_server);
    let mut connection = database.db_connect().await?;
    let query = "select count(*), max(uses) from token_use";
    let (rows, most): (i64, i64) = sqlx::query_as(query).fetch_one(&mut connection).await?;
    assert_eq!((rows, most), (1001, 200));
    assert_eq!(db_total(&database).await?, 1200);
    Ok(())
}

#[tokio::test]
async fn old_counts_go_with_the_record() -> anyhow::Result<()> {
    let more = "audit:\n  retention: 24h\n".to_owned();
    let town = Town::with(StackOptions { token_server_more: more, ..StackOptions::default() }).await?;
    let database = &town.stack.database;
    asked(&town, Some("alice"), "platform/app:pull", 3).await?;
    until_total(database, 3).await?;
    let said = town.stack.operator(&["audit", "prune", "--before", "1h", "--yes"], "").await?.success()?;
    assert!(said.text.contains("nothing was removed"), "{}", said.text);
    town.stack.clock.advance(Duration::from_hours(73));
    let is_gone = || async { db_total(database).await.is_ok_and(|total| total == 0) };
    program::until("old counts are removed", PATIENCE, is_gone).await?;
    let is_gone = || async { db_grant_uses(database).await.is_ok_and(|rows| rows.is_empty()) };
    program::until("old counts of rights are removed", PATIENCE, is_gone).await?;
    assert_eq!(listed(&town.stack, &[]).await?, []);
    Ok(())
}
