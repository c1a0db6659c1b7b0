//! Rights that are more than what was used, from tokens to the commands that take them away.
//!
//! *Invariant:* the printed commands are run as they are, and whoever used something can still use it.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use harness::actors::Town;
use harness::program;
use harness::server::Which;
use harness::settings::SERVICE;
use harness::stack::{Stack, basic_of};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::process::Command;

/// The actions of a token, and what it was asked for.
async fn ask(stack: &Stack, user: Option<&str>, scope: &str) -> anyhow::Result<Value> {
    let url = format!("{}/token?service={SERVICE}&scope=repository:{scope}", stack.token_server_url());
    let client = stack.anonymous()?;
    let mut request = client.http().get(url);
    if let Some(user) = user {
        request = request.header("authorization", basic_of(user));
    }
    let body: Value = request.send().await?.error_for_status()?.json().await?;
    Ok(harness::forge::claims_of(body["token"].as_str().unwrap_or_default())?["access"].clone())
}

async fn db_run(stack: &Stack, statements: &[&str]) -> anyhow::Result<()> {
    let mut connection = stack.database.db_connect().await?;
    for statement in statements {
        connection.execute(AssertSqlSafe((*statement).to_owned())).await?;
    }
    Ok(())
}

/// Lets a hundred days pass for what is there.
async fn db_age(stack: &Stack) -> anyhow::Result<()> {
    let statements = [
        "update acl_grant set created_at = created_at - interval '100 days'",
        "update token_use_start set since = since - interval '100 days'",
    ];
    db_run(stack, &statements).await
}

async fn until_written(stack: &Stack, expected: i64) -> anyhow::Result<()> {
    let is_there = || async {
        let Ok(mut connection) = stack.database.db_connect().await else { return false };
        let query = "select coalesce(sum(uses), 0)::bigint from token_use";
        let total: Result<i64, _> = sqlx::query_scalar(query).fetch_one(&mut connection).await;
        total.is_ok_and(|total| total == expected)
    };
    program::until("uses are written", Duration::from_mins(1), is_there).await
}

async fn unused(stack: &Stack, days: &str) -> anyhow::Result<Vec<Value>> {
    let said =
        stack.operator(&["grant", "unused", "--days", days, "--output", "json"], "").await?.success()?;
    Ok(serde_json::from_str(&said.output)?)
}

/// Runs a script as it is, without a terminal; says what was said.
async fn run(stack: &Stack, script: &str) -> anyhow::Result<String> {
    let (program, file) = (stack.folder().join("token-server"), stack.folder().join("script"));
    let (binary, settings) = (Which::TokenServer.binary()?, stack.token_server_settings());
    let words = format!("#!/bin/sh\nexec '{}' --config '{}' \"$@\"\n", binary.display(), settings.display());
    std::fs::write(&program, words)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    std::fs::write(&file, script)?;
    let path = format!("{}:/usr/bin:/bin", stack.folder().display());
    Ok(program::run(Command::new("sh").arg(&file).env("PATH", path), "").await?.success()?.text)
}

#[tokio::test]
async fn the_printed_commands_leave_what_was_used() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    stack.add_user("carol").await?;
    stack.grant("user:carol", "viewer", "platform/app").await?;
    stack.grant("authenticated", "writer", "people/${user}/**").await?;
    let words = ["grant", "add", "user:bob", "writer", "legacy/app", "--tags", "pr-*", "--reason", "CHG-1"];
    stack.operator(&words, "").await?.success()?;
    let words = ["grant", "add", "everyone", "--deny", "--actions", "delete", "public/**"];
    stack.operator(&words, "").await?.success()?;
    // Two rows that come down to the same, which is there already; and what is done over the API, which is not counted.
    for pattern in ["tools/**", "tools/*", "libs/**", "libs/*", "libs/x"] {
        stack.grant("user:carol", "viewer", pattern).await?;
    }
    stack.operator(&["grant", "add", "user:bob", "admin", "unused/**"], "").await?.success()?;
    db_age(stack).await?;
    stack.grant("user:bob", "viewer", "new/app").await?;
    let asked = [
        (Some("alice"), "platform/app:pull,push"),
        (Some("alice"), "platform/web:pull"),
        (Some("carol"), "platform/app:pull"),
        (Some("admin"), "any/thing:delete"),
        (Some("admin"), "platform/app:pull"),
        (Some("alice"), "people/alice/x:pull"),
        (Some("carol"), "tools/x:pull"),
        (Some("carol"), "libs/x:pull"),
    ];
    for (user, scope) in asked {
        ask(stack, user, scope).await?;
    }
    until_written(stack, 8).await?;

    let found = unused(stack, "90").await?;
    let brief = |row: &Value| {
        json!([row["subject"], row["pattern"], row["uses"], row["last_used"].is_string(), row["enough"]])
    };
    let part =
        |repository: &str, actions: Option<&[&str]>| json!({"repository": repository, "actions": actions});
    let mut found: Vec<_> = found.iter().map(brief).collect();
    found.sort_by_key(ToString::to_string);
    let expected = [
        json!(["everyone", "public/**", 0, false, []]),
        json!([
            "team:platform",
            "platform/**",
            2,
            true,
            [part("platform/app", None), part("platform/web", Some(&["list", "pull"]))]
        ]),
        json!(["user:bob", "legacy/app", 0, false, []]),
        json!(["user:carol", "libs/*", 1, true, [part("libs/x", None)]]),
        json!(["user:carol", "libs/**", 1, true, [part("libs/x", None)]]),
        json!(["user:carol", "tools/*", 1, true, [part("tools/x", None)]]),
        json!(["user:carol", "tools/**", 1, true, [part("tools/x", None)]]),
    ];
    assert_eq!(found, expected);

    let said = stack.operator(&["grant", "unused"], "").await?.success()?;
    assert!(
        said.text.contains(
            "of 10 rights that are older than 90 days, 2 were not used since and 5 could be smaller; 2 more were not \
             looked at"
        ),
        "{}",
        said.text
    );
    for (line, expected) in [("viewer tools/x", 1), ("viewer libs/x", 0), ("admin", 0), ("owner", 0)] {
        assert_eq!(
            said.output.lines().filter(|l| l.contains(line)).count(),
            expected,
            "{line}: {}",
            said.output
        );
    }
    assert!(
        said.text.contains("token-server grant remove user:bob writer legacy/app --tags 'pr-*' --yes"),
        "{}",
        said.text
    );
    let before = stack.operator(&["grant", "list"], "").await?.success()?.output;
    // A script of which a part fails goes no further, and the rest can be asked for again.
    let bad = said.output.replacen("grant add", "grant add user:nobody viewer a;token-server grant add", 1);
    assert!(run(stack, &bad).await.is_err());
    let listed = stack.operator(&["grant", "list"], "").await?.success()?.output;
    assert!(listed.contains("team:platform  allow   writer  platform/**"), "{listed}");
    let said = stack.operator(&["grant", "unused"], "").await?.success()?;
    run(stack, &said.output).await?;
    assert_ne!(stack.operator(&["grant", "list"], "").await?.success()?.output, before);
    for (user, scope) in asked {
        let (name, actions) = scope.split_once(':').expect("a scope");
        let actions: Vec<_> = actions.split(',').collect();
        let expected = json!([{"type": "repository", "name": name, "actions": actions}]);
        assert_eq!(ask(stack, user, scope).await?, expected, "{user:?} {scope}");
    }
    assert_eq!(ask(stack, Some("alice"), "platform/other:pull").await?, json!([]));
    db_age(stack).await?;
    until_written(stack, 16).await?;
    let found: Vec<_> = unused(stack, "90").await?.iter().map(brief).collect();
    assert_eq!(found, [json!(["user:bob", "new/app", 0, false, []])]);
    Ok(())
}

#[tokio::test]
async fn nothing_is_said_of_a_time_that_is_not_known() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let said = stack.operator(&["grant", "unused"], "").await?;
    assert_eq!(said.code, Some(4), "{}", said.text);
    assert!(said.text.contains("nothing can be said of 90 days; wait for a day"), "{}", said.text);
    db_run(stack, &["update token_use_start set since = since - interval '40 days'"]).await?;
    let text = stack.operator(&["grant", "unused"], "").await?.failure()?;
    assert!(text.contains("ask for 40 or fewer"), "{text}");
    assert_eq!(unused(stack, "40").await?, [] as [Value; 0], "no right is so old");
    db_age(stack).await?;
    assert_eq!(unused(stack, "90").await?.len(), 2, "what belongs to the administrator is not looked at");

    // A use that is old is shown and does not count.
    ask(stack, Some("alice"), "platform/app:pull,push").await?;
    until_written(stack, 1).await?;
    db_run(
        stack,
        &["update grant_use set day = day - 95", "update token_use set hour = hour - interval '95 days'"],
    )
    .await?;
    let found = unused(stack, "90").await?;
    let team = found.iter().find(|row| row["subject"] == "team:platform").expect("it is unused");
    assert!(team["last_used"].is_string() && team["uses"] == 0 && team["enough"] == json!([]), "{team}");

    // Who used more repositories than are kept apart may have used anything.
    ask(stack, Some("alice"), "platform/app:pull").await?;
    until_written(stack, 2).await?;
    db_run(stack, &["update token_use set repository = '', actions = '' where actions = 'pull'"]).await?;
    let found = unused(stack, "90").await?;
    assert!(found.iter().all(|row| row["subject"] != "team:platform"), "{found:?}");

    // What was pruned is not known any more.
    stack.operator(&["audit", "prune", "--before", "30d", "--yes"], "").await?.success()?;
    let text = stack.operator(&["grant", "unused"], "").await?.failure()?;
    assert!(text.contains("ask for 30 or fewer"), "{text}");
    Ok(())
}
