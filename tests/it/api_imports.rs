//! Over the API: users and rights of docker_auth.
//!
//! *Invariant:* the report is that of the command, and no password or hash is in it.

use harness::actors::Town;
use harness::api::Api;
use harness::client::OciClient;
use harness::stack::{Stack, StackOptions, password_of};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::code;
use crate::docker_auth::{corpus, kind_of_hash, report};
use crate::rights::{actions, done};

const IMPORT: &str = "/imports/docker-auth";

fn text(name: &str) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(corpus(name))?)
}

#[tokio::test]
async fn what_docker_auth_had_is_reported_and_taken_over_as_by_the_command() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let api = Api::of(&stack).await?;
    stack.add_user("owner").await?;
    done(&stack, &["grant add user:owner owner **"]).await?;
    let before = (api.get("owner", "/policy").await?.body, api.all("owner", "/users", 100).await?);
    for name in ["small-office", "careless", "networks", "odd-names"] {
        let said = api.post("owner", IMPORT, &json!({"config": text(name)?})).await?.expect(200)?;
        assert_eq!(said.json()?, report(&stack, &corpus(name), &[]).await?.0, "{name}");
        assert!(!said.text().contains("$2a$05$") && !said.text().contains("plain-text"), "{name}: {said}");
    }
    let named = json!({"config": text("own-suffix-only")?, "repositories": ["team/app", "team/web"]});
    let said = api.post("owner", IMPORT, &named).await?.expect(200)?.json()?;
    assert_eq!((&said["equal"], &said["compared"]["repositories"]), (&json!(true), &json!(2)));
    let after = (api.get("owner", "/policy").await?.body, api.all("owner", "/users", 100).await?);
    assert_eq!(after, before, "a report changes nothing");

    let office = json!({"config": text("small-office")?, "apply": true});
    let said = api.post("owner", IMPORT, &office).await?.expect(200)?.json()?;
    let states = |report: &Value, part: &str| -> Vec<Value> {
        report[part].as_array().into_iter().flatten().map(|item| item["state"].clone()).collect()
    };
    assert_eq!((&said["applied"], &said["equal"]), (&json!(true), &json!(true)), "{said}");
    assert_eq!(states(&said, "users"), ["added"; 3]);
    assert_eq!(states(&said, "rows"), ["added"; 5]);
    let rows = api.all("owner", "/audit/events?actor=owner&outcome=allowed", 100).await?;
    let added = rows.iter().filter(|row| row["reason"] == "from docker_auth").count();
    assert_eq!(added, 8, "{rows:?}");
    // Who had a password there logs in with it here, with what they had.
    assert_eq!(kind_of_hash(&stack.database, "alice").await?, "2a");
    let alice = OciClient::new(&stack.registry_url(), "alice", &password_of("alice"))?;
    alice.login().await?.expect(200)?;
    assert_eq!(kind_of_hash(&stack.database, "alice").await?, "argon2id");
    assert_eq!(actions(&stack, "alice", "alice/app").await?.0, "pull,push,delete");
    assert_eq!(actions(&stack, "alice", "bob/app").await?.0, "pull");
    let again = api.post("owner", IMPORT, &office).await?.expect(200)?.json()?;
    assert_eq!(states(&again, "users"), ["already there"; 3]);
    assert_eq!(states(&again, "rows"), ["already there"; 5]);
    Ok(())
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_refused_line_by_line() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    let before = api.get("admin", "/policy").await?.body;
    let broken = json!({"config": text("broken")?, "apply": true});
    let answer = api.post("admin", IMPORT, &broken).await?.expect(422)?;
    assert_eq!(code(&answer)?, "invalid_import");
    let problem = answer.json()?;
    let lines: Vec<_> =
        problem["errors"].as_array().into_iter().flatten().map(|error| &error["line"]).collect();
    assert_eq!(lines, [9, 11, 13, 15, 16, 17, 18], "{answer}");
    assert!(
        problem["detail"].as_str().is_some_and(|text| text.contains("line 15: the rule has no `actions`"))
    );
    let rule = |number| format!("- {{match: {{account: a, name: r{number}}}, actions: [pull]}}\n");
    let rules = (0..1_001).map(rule).collect::<Vec<_>>().concat();
    for (body, status, part) in [
        (json!({"config": "users: [", "apply": true}), 422, "line"),
        (json!({"config": format!("users: {{a: {{}}}}\nacl:\n{rules}")}), 422, "command line"),
        (json!({"config": "", "repositories": []}), 422, "at least one"),
        (json!({"config": "", "repositories": ["Team/App"]}), 422, "Team/App"),
        (json!({"repositories": ["a"]}), 400, "missing member `config`"),
        (json!({"config": "", "aply": true}), 400, "unknown member `aply`"),
        (json!({"config": "x".repeat(600_000)}), 413, "too large"),
    ] {
        let answer = api.post("admin", IMPORT, &body).await?.expect(status)?;
        assert!(answer.text().contains(part), "{part}: {answer}");
    }
    for user in ["alice", "bob"] {
        let office = json!({"config": text("small-office")?, "apply": true});
        let answer = api.post(user, IMPORT, &office).await?.expect(403)?;
        assert_eq!(code(&answer)?, "not_delegated");
    }
    assert_eq!(api.get("admin", "/policy").await?.body, before);
    assert_eq!(api.all("admin", "/users", 100).await?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn hashes_and_keys_that_are_sent_reach_no_log_and_no_record() -> anyhow::Result<()> {
    let mut stack = Stack::with(StackOptions {
        processes: true,
        token_server_more: "log:\n  level: debug\n".to_owned(),
        ..StackOptions::default()
    })
    .await?;
    let api = Api::of(&stack).await?;
    stack.add_user("owner").await?;
    done(&stack, &["grant add user:owner owner **"]).await?;
    let hash = "$2a$05$1fycVV68tqisAjBHdQpgUetuESYrXqK8xdO996QFl8OG1vSd8t6TS";
    let canary = "Canary-In-The-Settings-77aa";
    let key =
        "-----BEGIN PRIVATE KEY-----\nQ2FuYXJ5SW5BS2V5MDAwMDAwMDAwMDAwMDAwMA==\n-----END PRIVATE KEY-----\n";
    let mut said = String::new();
    for (path, body, status) in [
        (
            IMPORT,
            json!({"config": format!("users: {{a: {{password: \"{hash}\"}}}}\nacl: []"), "apply": true}),
            200,
        ),
        (IMPORT, json!({"config": format!("users: {{a: {{password: {canary}}}}}\nacl: 7")}), 422),
        (IMPORT, json!({"config": format!("users: {{a: {{password: [{canary}]}}}}")}), 422),
        (IMPORT, json!({"config": format!("users: {{a: {canary}}}")}), 422),
        (IMPORT, json!({"config": format!("users: {{a: {{password: \"{canary}\n")}), 422),
        (IMPORT, json!({"config": [canary]}), 400),
        ("/keys", json!({"certificate": key, "key": key}), 422),
        ("/keys", json!({"certificate": "x", "key": [key]}), 400),
    ] {
        let answer = api.call("owner", Method::POST, path, Some(&body)).await?.expect(status)?;
        said.push_str(&answer.text());
    }
    said.push_str(&stack.database.db_audit_text().await?);
    let log = stack.token_server.process()?.log()?;
    assert!(log.contains(IMPORT) && log.contains("/api/v1/keys"), "{log}");
    said.push_str(&log);
    for secret in ["1fycVV68", canary, "Q2FuYXJ5"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    Ok(())
}
