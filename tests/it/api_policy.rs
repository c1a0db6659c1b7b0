//! Over the API: the whole policy as a document, and what a change would mean.
//!
//! *Invariant:* the answers are those of the commands, and only an owner of everything gets them.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use harness::actors::Town;
use harness::answer::Answer;
use harness::api::Api;
use harness::program;
use harness::stack::Stack;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, IF_NONE_MATCH};
use serde_json::{Value, json};

use crate::api::{code, command};
use crate::contention::hold;
use crate::rights::{actions, done};

const YAML: &str = "application/yaml";

const POLICY: &str = r"
version: 1
roles:
  deployer: {actions: [list, pull, push], description: Deploys}
teams:
  release: [bob]
namespaces:
  apps: {owner: team:release, visibility: internal}
grants:
  - {subject: team:release, role: deployer, pattern: 'platform/**'}
barriers:
  - {pattern: 'prod/**', actions: [push], reason: releases}
";

/// Sends a document in YAML.
async fn send(api: &Api, user: &str, path: &str, media_type: &str, text: &str) -> anyhow::Result<Answer> {
    let request = api.request(Some(user), Method::POST, path, None);
    api.send(&request.header(CONTENT_TYPE, media_type).body(text.to_owned())).await
}

/// What a command about the policy prints of a document as JSON.
async fn said(stack: &Stack, word: &str, text: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&stack.operator(&["policy", word, "-", "--output", "json"], text).await?.output)?)
}

#[tokio::test]
async fn a_policy_is_planned_applied_and_exported_as_by_commands() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let (stack, api) = (&town.stack, Api::of(&town.stack).await?);
    let planned = send(&api, "admin", "/policy/plan", YAML, POLICY).await?.expect(200)?.json()?;
    assert_eq!(planned, said(stack, "plan", POLICY).await?);
    assert_eq!(planned["effects"]["days"], 30);
    let gains = planned["effects"]["effects"].as_array().cloned().unwrap_or_default();
    assert!(
        gains.iter().any(|gain| gain["change"] == "gain" && gain["users"] == json!(["bob"])),
        "{planned}"
    );
    let fewer = send(&api, "admin", "/policy/plan?days=7", YAML, POLICY).await?.expect(200)?.json()?;
    assert_eq!(fewer["effects"]["days"], 7);
    let drift = send(&api, "admin", "/policy/drift", "text/x-yaml", POLICY).await?.expect(200)?.json()?;
    assert_eq!((&drift["steps"], &drift["by_hand"]), (&planned["steps"], &planned["by_hand"]));
    assert_eq!(actions(stack, "bob", "platform/app").await?.0, "", "a plan changes nothing");

    let applied = send(&api, "admin", "/policy/apply", YAML, POLICY).await?.expect(200)?.json()?;
    assert_eq!(applied, drift);
    assert_eq!(actions(stack, "bob", "platform/app").await?.0, "pull,push");
    assert_eq!(actions(stack, "bob", "apps/new").await?.0, "pull,push,delete");
    let rows = api.all("admin", "/audit/events?event=policy_applied&actor=admin", 100).await?;
    let steps = applied["steps"].as_array().map_or(0, Vec::len);
    assert!(steps > 0 && rows.len() == steps, "{rows:?}");
    let grants = api.all("admin", "/grants?within=platform/**", 100).await?;
    assert!(grants.iter().any(|row| row["source"] == "policy" && row["added_by"] == "admin"), "{grants:?}");
    let again = send(&api, "admin", "/policy/apply", YAML, POLICY).await?.expect(200)?.json()?;
    assert_eq!(again["steps"], json!([]));

    // What comes out can go in again, in either form.
    let exported = api.get("admin", "/policy").await?.expect(200)?;
    assert_eq!(exported.json()?, command(&town, "policy export").await?);
    assert_eq!(exported.header("vary"), Some("accept"));
    let tag = exported.needs_header("etag")?;
    api.call_with("admin", Method::GET, "/policy", (IF_NONE_MATCH, tag), None).await?.expect(304)?;
    for (wanted, media_type) in [
        ("application/yaml", YAML),
        ("text/yaml;q=0.9, application/json;q=0.1", YAML),
        ("application/json, application/yaml;q=0.5", "application/json"),
        ("*/*", "application/json"),
    ] {
        let got =
            api.call_with("admin", Method::GET, "/policy", (ACCEPT, wanted), None).await?.expect(200)?;
        assert_eq!(got.header("content-type"), Some(media_type), "{wanted}");
        let drift =
            send(&api, "admin", "/policy/drift", media_type, &got.text()).await?.expect(200)?.json()?;
        // What was made by hand is in the file as well, which would keep it from now on.
        let steps = drift["steps"].as_array().cloned().unwrap_or_default();
        assert!(steps.iter().all(|step| step["step"] == "adopt"), "{drift}");
        assert_eq!(drift["by_hand"], json!([]));
    }
    let yaml = api.call_with("admin", Method::GET, "/policy", (ACCEPT, YAML), None).await?.text();
    let printed = stack.operator(&["policy", "export"], "").await?.success()?.output;
    assert_eq!(yaml.trim_end(), printed.trim_end());

    let page = api.send(&api.request(None, Method::GET, "/docs", None)).await?.expect(200)?.text();
    for part in ["POST /api/v1/policy/apply", "takes <code>application/yaml</code>", "At most 1024 KiB"] {
        assert!(page.contains(part), "{part}");
    }

    // As JSON, and with less in it.
    let less = json!({"version": 1, "teams": {"release": ["bob"]}});
    let planned = api.post("admin", "/policy/plan", &less).await?.expect(200)?.json()?;
    let effects = planned["effects"]["effects"].as_array().cloned().unwrap_or_default();
    assert!(
        effects.iter().any(|loss| loss["change"] == "lose" && loss["users"] == json!(["bob"])),
        "{planned}"
    );
    api.post("admin", "/policy/apply", &less).await?.expect(200)?;
    assert_eq!(actions(stack, "bob", "platform/app").await?.0, "");
    assert_eq!(actions(stack, "alice", "platform/app").await?.0, "pull,push", "given by hand");
    Ok(())
}

#[tokio::test]
async fn a_policy_with_a_mistake_is_refused_with_its_place_and_changes_nothing() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    let before = api.get("admin", "/policy").await?.expect(200)?.body;
    let refused = [
        (
            YAML,
            "version: 1\ngrants:\n  - {subject: everyone, role: viewer, pattern: a, tag: x}\n",
            "line 3",
            422,
        ),
        (YAML, "version: 1\nteams: {a: [], x\n", "cannot be read", 422),
        (YAML, "version: 2\n", "version 2", 422),
        (YAML, "", "cannot be read", 422),
        ("application/json", r#"{"version": 2}"#, "version 2", 422),
        ("application/json", r#"{"version": 1, "team": {}}"#, "unknown member `team`", 400),
        ("application/json", "version: 1", "not JSON", 400),
        (YAML, "version: 1\nteams: {a: [nobody]}\n", "does not exist: user:nobody", 422),
        (YAML, "version: 1\nteams: {a: [team:b], b: [team:a]}\n", "nothing was changed", 409),
        (YAML, "version: 1\nteams: {alice: []}\n", "already", 409),
    ];
    for (media_type, text, part, status) in refused {
        for path in ["/policy/plan", "/policy/apply"] {
            let answer = send(&api, "admin", path, media_type, text).await?.expect(status)?;
            let detail = answer.json()?["detail"].as_str().unwrap_or_default().to_owned();
            assert!(detail.contains(part), "{part}: {detail}");
        }
    }
    let text =
        "version: 1\nroles: {x: {actions: [fly]}}\ngrants: [{subject: nobody, role: viewer, pattern: a}]\n";
    let answer = send(&api, "admin", "/policy/apply", YAML, text).await?.expect(422)?;
    assert_eq!(code(&answer)?, "policy_problems");
    let errors = answer.json()?["errors"].as_array().cloned().unwrap_or_default();
    let sentences: Vec<_> = errors.iter().filter_map(|error| error["sentence"].as_str()).collect();
    assert_eq!(sentences.len(), 2, "{answer}");
    assert!(sentences[0].starts_with("roles.x: ") && sentences[1].starts_with("grants[0]: "), "{answer}");

    for media_type in ["text/plain", "application/octet-stream", ""] {
        send(&api, "admin", "/policy/apply", media_type, POLICY).await?.expect(415)?;
    }
    send(&api, "admin", "/teams", YAML, "name: core").await?.expect(415)?;
    let large = format!("version: 1\n#{}\n", "x".repeat(1024 * 1024));
    let answer = send(&api, "admin", "/policy/plan", YAML, &large).await?.expect(413)?;
    assert_eq!(code(&answer)?, "body_too_large");
    let bytes = api.request(Some("admin"), Method::POST, "/policy/plan", None).header(CONTENT_TYPE, YAML);
    api.send(&bytes.body(b"version: 1\n# \xff".to_vec())).await?.expect(400)?;
    assert_eq!(api.get("admin", "/policy").await?.body, before);
    Ok(())
}

#[tokio::test]
async fn policies_are_for_who_holds_everything_for_good() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let (stack, api) = (&town.stack, Api::of(&town.stack).await?);
    done(
        stack,
        &[
            "grant add user:alice admin platform/**",
            "grant add user:bob owner ** --expires 2099-01-01T00:00:00Z",
        ],
    )
    .await?;
    let before = api.get("admin", "/policy").await?.expect(200)?.body;
    let change = json!({"remove_grant": {"subject": "everyone", "role": "viewer", "pattern": "public/**"}});
    for user in ["alice", "bob"] {
        for path in ["/policy/plan", "/policy/drift", "/policy/apply"] {
            let answer = send(&api, user, path, YAML, POLICY).await?.expect(403)?;
            assert_eq!(code(&answer)?, "not_delegated");
        }
        api.get(user, "/policy").await?.expect(403)?;
        api.post(user, "/what-if", &change).await?.expect(403)?;
    }
    assert_eq!(api.get("admin", "/policy").await?.body, before);
    let refused = api.all("admin", "/audit/events?event=change_refused&actor=alice", 100).await?;
    assert!(
        refused.iter().any(|row| row["target"].as_str().is_some_and(|text| text.contains("policy"))),
        "{refused:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_a_change_would_mean_is_what_the_command_says() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let (stack, api) = (&town.stack, Api::of(&town.stack).await?);
    done(
        stack,
        &["barrier add prod/** --actions push", "team add release", "grant add team:release writer prod/**"],
    )
    .await?;
    // Something that clients did.
    actions(stack, "alice", "platform/app").await?;
    program::until("the token is counted", Duration::from_mins(1), || async {
        api.all("admin", "/audit/tokens?user=alice", 100).await.is_ok_and(|rows| !rows.is_empty())
    })
    .await?;
    let before = api.get("admin", "/policy").await?.expect(200)?.body;
    for (change, words) in [
        (
            json!({"add_grant": {"subject": "user:bob", "role": "writer", "pattern": "platform/**", "tags": "pr-*"}}),
            "grant add user:bob writer platform/** --tags pr-*",
        ),
        (
            json!({"add_grant": {"subject": "everyone", "effect": "deny", "actions": ["push"], "pattern": "platform/**"}}),
            "grant add everyone --deny --actions push platform/**",
        ),
        (
            json!({"remove_grant": {"subject": "team:platform", "role": "writer", "pattern": "platform/**"}}),
            "grant remove team:platform writer platform/**",
        ),
        (
            json!({"add_barrier": {"pattern": "platform/app/**", "actions": ["push", "delete"]}}),
            "barrier add platform/app/** --actions push,delete",
        ),
        (json!({"remove_barrier": {"pattern": "prod/**"}}), "barrier remove prod/**"),
        (json!({"add_member": {"team": "release", "member": "bob"}}), "team member add release bob"),
        (
            json!({"remove_member": {"team": "platform", "member": "alice"}}),
            "team member remove platform alice",
        ),
    ] {
        let said = api.post("admin", "/what-if?days=10", &change).await?.expect(200)?.json()?;
        assert_eq!(said, command(&town, &format!("what-if {words} --days 10")).await?, "{words}");
        assert_ne!(said["effects"], json!([]), "{words}");
    }
    let removed = json!({"remove_member": {"team": "platform", "member": "alice"}});
    let said = api.post("admin", "/what-if", &removed).await?.expect(200)?.json()?;
    assert_eq!((&said["days"], &said["requests"], &said["refused"]), (&json!(30), &json!(1), &json!(1)));
    assert_eq!(said["refusals"][0]["user"], "alice");
    for (change, status, part) in [
        (json!({}), 422, "propose one change"),
        (
            json!({"remove_barrier": {"pattern": "prod/**"}, "add_member": {"team": "a", "member": "b"}}),
            422,
            "propose one",
        ),
        (json!({"remove_barrier": {"pattern": "test/**"}}), 404, "there is no barrier"),
        (json!({"add_member": {"team": "platform", "member": "alice"}}), 409, "already"),
        (json!({"add_grant": {"subject": "user:bob", "role": "king", "pattern": "a"}}), 404, "role king"),
        (json!({"add_grants": []}), 400, "unknown member"),
    ] {
        let answer = api.post("admin", "/what-if", &change).await?.expect(status)?;
        assert!(answer.text().contains(part), "{part}: {answer}");
    }
    assert_eq!(api.get("admin", "/policy").await?.body, before);
    Ok(())
}

#[tokio::test]
async fn only_so_many_wait_for_a_plan_and_the_others_are_asked_to_come_back() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    for user in ["alice", "bob"] {
        town.stack.grant(&format!("user:{user}"), "owner", "**").await?;
        api.get(user, "/account").await?.expect(200)?;
    }
    // Somebody changes something, and takes their time.
    let holder = hold(&town.stack).await?;
    let plan = |user| send(&api, user, "/policy/plan", YAML, POLICY);
    let mut plans: FuturesUnordered<_> = ["admin", "alice", "bob"].into_iter().map(plan).collect();
    let answer = plans.next().await.context("there are three")??.expect(503)?;
    assert_eq!(code(&answer)?, "busy");
    answer.needs_header("retry-after")?;
    drop(holder);
    while let Some(answer) = plans.next().await {
        answer?.expect(200)?;
    }
    plan("admin").await?.expect(200)?;
    Ok(())
}
