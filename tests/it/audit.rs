//! The audit record: who did what from where, and why it was refused.
//!
//! *Invariant:* whatever changes rights or is refused leaves a row, what changes nothing leaves none, and no row
//! holds a password or a token.

use std::time::Duration;

use harness::actors::Town;
use harness::answer::Answer;
use harness::api::Api;
use harness::audit::AuditRow;
use harness::client::{Request, basic};
use harness::settings::SERVICE;
use harness::stack::{Stack, basic_of, password_of};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use serde_json::{Value, json};

use crate::refresh_tokens::{redeem, refresh_token};
use crate::rights::{done, run};
use crate::token_endpoint::{encoded, get};

const AGENT: &str = "docker/27.0 (test)";

/// Asks for a token with any credentials, as a program that says who it is.
async fn ask(town: &Town, authorization: Option<String>, scopes: &[&str]) -> anyhow::Result<Answer> {
    let pairs = [("service", SERVICE)].into_iter().chain(scopes.iter().map(|scope| ("scope", *scope)));
    let query = encoded(&pairs.collect::<Vec<_>>());
    let request = Request::get(format!("{}/token?{query}", town.stack.token_server_url()));
    let mut request = request.header(USER_AGENT, AGENT);
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    town.anonymous.raw(&request).await
}

/// Words, input, exit code, and event, target and remark of the row it leaves.
type Command<'a> = (&'a [&'a str], &'a str, i32, Option<[&'a str; 3]>);

fn came_from_here(row: &AuditRow) -> bool {
    row.address.as_deref() == Some("127.0.0.1") && row.agent.as_deref() == Some(AGENT)
}

#[tokio::test]
async fn a_login_is_one_row_however_many_tokens_it_gets_within_a_minute() -> anyhow::Result<()> {
    let town = Town::start().await?;
    for _ in 0..5 {
        ask(&town, Some(basic_of("alice")), &["repository:platform/app:pull"]).await?.expect(200)?;
    }
    let rows = town.stack.database.db_audit_of("login").await?;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].summary(), ["login", "alice", "alice", "allowed", "password"]);
    assert!(came_from_here(&rows[0]) && rows[0].actor_is_known, "{rows:?}");
    town.stack.clock.advance(Duration::from_mins(1));
    ask(&town, Some(basic_of("alice")), &[]).await?.expect(200)?;
    assert_eq!(town.stack.database.db_audit_of("login").await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_failed_login_says_why_to_whoever_reads_the_record() -> anyhow::Result<()> {
    let town = Town::start().await?;
    town.stack.add_user("gone").await?;
    town.stack.operator(&["user", "disable", "gone", "--yes"], "").await?.success()?;
    let long = "x".repeat(1025);
    let cases = [
        (("Alice", "wrong"), ("alice", "wrong_password")),
        // Nobody's name, so perhaps a password in the wrong field: it is not kept.
        (("nobody", "wrong"), ("", "unknown_user")),
        (("gone", &password_of("gone")), ("gone", "disabled_user")),
        (("bob", &long), ("bob", "password_too_long")),
        (("my secret passphrase!", "x"), ("", "unknown_user")),
        (("", "neither name nor token"), ("", "not_a_refresh_token")),
    ];
    for ((user, password), _) in &cases {
        ask(&town, Some(basic(user, password)), &[]).await?.expect(401)?;
    }
    let rows = town.stack.database.db_audit_of("login").await?;
    assert_eq!(rows.len(), cases.len(), "{rows:?}");
    for (row, (_, (target, reason))) in rows.iter().zip(&cases) {
        assert_eq!(row.summary(), ["login", "", target, "refused", reason]);
        assert!(came_from_here(row) && !row.actor_is_known, "{row:?}");
    }
    Ok(())
}

#[tokio::test]
async fn refused_scopes_are_recorded_with_what_was_missing() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let scopes = ["repository:platform/app:pull,push,delete", "repository:other/app:pull"];
    ask(&town, Some(basic_of("alice")), &scopes).await?.expect(200)?;
    ask(&town, None, &["repository:platform/app:pull"]).await?.expect(200)?;
    // What is granted in full is no refusal.
    ask(&town, Some(basic_of("alice")), &["repository:platform/app:pull,push"]).await?.expect(200)?;
    let rows = town.stack.database.db_audit_of("scopes_refused").await?;
    let summaries: Vec<_> = rows.iter().map(AuditRow::summary).collect();
    let missing = "repository:other/app:pull repository:platform/app:delete";
    assert_eq!(
        summaries,
        [
            ["scopes_refused", "alice", missing, "refused", "no_grant"],
            ["scopes_refused", "", "repository:platform/app:pull", "refused", "anonymous"],
        ]
    );
    assert!(rows.iter().all(came_from_here), "{rows:?}");
    Ok(())
}

#[tokio::test]
async fn kept_logins_are_recorded_when_made_used_and_refused() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let refresh = refresh_token(&town).await?;
    let issued = town.stack.database.db_audit_of("refresh_token_issued").await?;
    let summaries: Vec<_> = issued.iter().map(AuditRow::summary).collect();
    assert_eq!(summaries, [["refresh_token_issued", "alice", SERVICE, "allowed", "docker"]]);
    town.stack.clock.advance(Duration::from_mins(2));
    for _ in 0..3 {
        redeem(&town, &refresh, SERVICE).await?.expect(200)?;
    }
    redeem(&town, &refresh, harness::settings::PEER_SERVICE).await?.expect(401)?;
    let mut logins = town.stack.database.db_audit_of("login").await?;
    // Which login it was is told by its number.
    let number = logins[1].reason.as_deref().and_then(|reason| reason.strip_prefix("refresh_token "));
    number.unwrap_or_default().parse::<uuid::Uuid>()?;
    logins[1].reason = Some("refresh_token".into());
    let summaries: Vec<_> = logins.iter().map(AuditRow::summary).collect();
    assert_eq!(
        summaries,
        [
            ["login", "alice", "alice", "allowed", "password"],
            ["login", "alice", "alice", "allowed", "refresh_token"],
            ["login", "", "alice", "refused", "refresh_token_for_another_registry"],
        ]
    );
    Ok(())
}

#[tokio::test]
async fn each_command_that_changes_something_is_a_row_and_no_other() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let password = "correct horse\n";
    let commands: [Command<'_>; 16] = [
        (&["user", "add", "Carol", "--password-stdin"], password, 0, Some(["user_added", "carol", ""])),
        (&["user", "add", "carol", "--password-stdin"], password, 3, None),
        (
            &["user", "password", "carol", "--password-stdin", "--yes"],
            password,
            0,
            Some(["user_password_set", "carol", ""]),
        ),
        (&["user", "disable", "carol", "--yes"], "", 0, Some(["user_disabled", "carol", ""])),
        (&["user", "disable", "carol", "--yes"], "", 0, None),
        (&["user", "enable", "carol"], "", 0, Some(["user_enabled", "carol", ""])),
        (&["user", "enable", "carol"], "", 0, None),
        (&["team", "add", "crew"], "", 0, Some(["team_added", "crew", ""])),
        (&["team", "member", "add", "crew", "carol"], "", 0, Some(["team_member_added", "crew", "carol"])),
        (&["team", "member", "add", "crew", "carol"], "", 3, None),
        (
            &["grant", "add", "team:crew", "writer", "a/**"],
            "",
            0,
            Some(["grant_added", "team:crew writer a/**", ""]),
        ),
        (&["grant", "add", "team:crew", "writer", "a/**"], "", 3, None),
        (
            &["grant", "remove", "team:crew", "writer", "a/**", "--yes"],
            "",
            0,
            Some(["grant_removed", "team:crew writer a/**", ""]),
        ),
        (&["grant", "remove", "team:crew", "writer", "a/**"], "", 2, None),
        (
            &["team", "member", "remove", "crew", "carol", "-y"],
            "",
            0,
            Some(["team_member_removed", "crew", "carol"]),
        ),
        (&["team", "remove", "crew", "-y"], "", 0, Some(["team_removed", "crew", "0 members, 0 grants"])),
    ];
    for (words, input, code, _) in &commands {
        let said = stack.operator(words, input).await?;
        assert_eq!(said.code, Some(*code), "{words:?}: {}", said.text);
    }
    let mut rows = stack.database.db_audit().await?;
    // The first start made a key.
    rows.retain(|row| row.actor != "system");
    let summaries: Vec<_> = rows.iter().map(AuditRow::summary).collect();
    let expected: Vec<_> = commands
        .iter()
        .filter_map(|(.., row)| row.map(|[event, target, remark]| [event, "cli", target, "allowed", remark]))
        .collect();
    assert_eq!(summaries, expected);
    assert!(rows.iter().all(|row| row.address.is_none() && row.agent.is_none()), "{rows:?}");
    Ok(())
}

#[tokio::test]
async fn a_change_is_told_as_it_was_before_and_as_it_is_after() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let (stack, api) = (&town.stack, Api::of(&town.stack).await?);
    let lines = [
        "role add tester --actions list,pull",
        "role change tester --actions list,pull,push --yes",
        "role remove tester --yes",
        "barrier add prod/** --actions push",
        "barrier remove prod/** --yes",
        "namespace add shop --owner user:bob",
        "namespace change shop --visibility internal",
        "namespace change shop --owner team:platform --create nobody --yes",
        "robot add shop/ci --description builds",
        "workload add nightly --description builds",
    ];
    done(stack, &lines).await?;
    for one in ["/robots/shop/ci", "/workloads/nightly"] {
        let change = json!({"description": "pipelines", "disabled": true});
        api.call("admin", Method::PATCH, one, Some(&change)).await?.expect(200)?;
    }
    let lines = [
        "robot enable shop/ci",
        "workload enable nightly",
        "robot remove shop/ci --yes",
        "workload remove nightly --yes",
        "namespace remove shop --yes",
    ];
    done(stack, &lines).await?;
    let exported = run(stack, "audit export").await?.success()?.output;
    let rows: Vec<Value> = exported.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let is_about = |row: &&Value| {
        let kinds = ["role_", "barrier_", "namespace_", "robot_", "workload_"];
        row["event"].as_str().is_some_and(|event| kinds.iter().any(|kind| event.starts_with(kind)))
    };
    let told: Vec<_> = rows
        .iter()
        .filter(is_about)
        .map(|row| ["event", "target", "before", "after"].map(|part| row[part].as_str().unwrap_or("-")))
        .collect();
    let shop = [
        "user:bob, private, new repositories by pushers",
        "user:bob, internal, new repositories by pushers",
        "team:platform, internal, new repositories by nobody",
    ];
    assert_eq!(
        told,
        [
            ["role_added", "tester list,pull", "-", "-"],
            ["role_changed", "tester", "list,pull", "push,list,pull"],
            ["role_removed", "tester push,list,pull", "-", "-"],
            ["barrier_added", "prod/** push", "-", "-"],
            ["barrier_removed", "prod/** push", "-", "-"],
            ["namespace_added", "shop", "-", "-"],
            ["namespace_changed", "shop", shop[0], shop[1]],
            ["namespace_changed", "shop", shop[1], shop[2]],
            ["robot_added", "shop/ci", "-", "-"],
            ["workload_added", "nightly", "-", "-"],
            ["robot_changed", "shop/ci", "builds", "pipelines"],
            ["robot_disabled", "shop/ci", "active", "disabled"],
            ["workload_changed", "nightly", "builds", "pipelines"],
            ["workload_disabled", "nightly", "active", "disabled"],
            ["robot_enabled", "shop/ci", "disabled", "active"],
            ["workload_enabled", "nightly", "disabled", "active"],
            ["robot_removed", "shop/ci", "-", "-"],
            ["workload_removed", "nightly", "-", "-"],
            ["namespace_removed", "shop", "-", "-"],
        ]
    );
    Ok(())
}

#[tokio::test]
async fn no_row_holds_a_password_or_a_token_wherever_it_was_typed() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let refresh = refresh_token(&town).await?;
    let answer = get(&town, Some("alice"), &[("service", SERVICE), ("scope", "repository:a/b:pull")]).await?;
    let token = answer.expect(200)?.json()?["token"].as_str().unwrap_or_default().to_owned();
    let new = "an entirely new password";
    // The last one could be a user's name.
    let typed =
        [password_of("alice"), refresh.clone(), token.clone(), new.to_owned(), "hunter2hunter2".to_owned()];
    for secret in &typed {
        for authorization in [basic(secret, "x"), basic("bob", secret), basic("", secret)] {
            // The right ones are right, the wrong ones wrong; here only what they leave behind counts.
            ask(&town, Some(authorization), &["repository:a/b:pull"]).await?;
        }
        let fields = [("grant_type", "refresh_token"), ("refresh_token", secret), ("client_id", "c")];
        let form = Request::new(Method::POST, format!("{}/token", town.stack.token_server_url()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(encoded(&fields));
        town.anonymous.raw(&form).await?;
    }
    let change =
        Request::new(Method::PUT, format!("{}/api/v1/account/password", town.stack.token_server_url()))
            .header(AUTHORIZATION, basic_of("alice"))
            .header(CONTENT_TYPE, "application/json")
            .body(serde_json::json!({"password": new}).to_string());
    town.anonymous.raw(&change).await?.expect(204)?;
    let changed = town.stack.database.db_audit_of("password_changed").await?;
    let summaries: Vec<_> = changed.iter().map(AuditRow::summary).collect();
    assert_eq!(summaries, [["password_changed", "alice", "alice", "allowed", ""]]);
    // Names are folded to lower case, so a secret kept as one would be too.
    let text = town.stack.database.db_audit_text().await?.to_lowercase();
    assert!(text.lines().count() > 10, "{text}");
    for secret in typed {
        assert!(!text.contains(&secret.to_lowercase()), "{secret} is in {text}");
    }
    Ok(())
}
