//! The API of the token server: what the command line does, over HTTP, for people with rights of their own.
//!
//! Every answer in these tests is held against the API's own description.
//!
//! *Invariant:* the API and the command line say the same and decide alike.

use anyhow::Context as _;
use harness::actors::Town;
use harness::answer::Answer;
use harness::api::Api;
use harness::client::OciClient;
use harness::stack::password_of;
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};

/// What a command prints as JSON.
pub(crate) async fn command(town: &Town, line: &str) -> anyhow::Result<Value> {
    let words: Vec<&str> = line.split(' ').chain(["--output", "json"]).collect();
    Ok(serde_json::from_str(&town.stack.operator(&words, "").await?.output)?)
}

/// What a refusal says to programs.
pub(crate) fn code(answer: &Answer) -> anyhow::Result<String> {
    Ok(answer.json()?["code"].as_str().context("no code")?.to_owned())
}

#[tokio::test]
async fn what_is_made_over_http_is_what_commands_list_and_what_logins_get() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    let user = json!({"name": "Dave", "password": password_of("dave")});
    let made = api.post("admin", "/users", &user).await?.expect(201)?;
    assert_eq!(made.needs_header("location")?, "/api/v1/users/dave");
    assert_eq!(made.json()?["name"], "dave");
    assert!(!made.text().contains(&password_of("dave")), "{made}");
    api.post("admin", "/teams", &json!({"name": "core"})).await?.expect(201)?;
    for (member, status) in [("dave", 201), ("dave", 204), ("team:platform", 201)] {
        let path = format!("/teams/core/members/{member}");
        api.call("admin", Method::PUT, &path, None).await?.expect(status)?;
    }
    let role = json!({"name": "deployer", "actions": ["pull", "tag-update"], "description": "moves tags"});
    api.post("admin", "/roles", &role).await?.expect(201)?;
    let right = json!({
        "subject": "team:core", "role": "deployer", "pattern": "core/**", "tags": "v*", "reason": "CHG-17",
        "expires_at": "2090-01-31T12:00:00+01:00", "networks": ["127.0.0.9/8"],
    });
    let made = api.post("admin", "/grants", &right).await?.expect(201)?;
    let right = made.json()?;
    assert_eq!(right["expires_at"], "2090-01-31T11:00:00Z");
    assert_eq!(right["networks"], json!(["127.0.0.0/8"]));
    let denial =
        json!({"subject": "everyone", "effect": "deny", "actions": ["delete"], "pattern": "core/**"});
    api.post("admin", "/grants", &denial).await?.expect(201)?;
    let barrier = json!({"pattern": "prod/**", "actions": ["push", "delete"], "reason": "CHG-18"});
    let made = api.post("admin", "/barriers", &barrier).await?.expect(201)?;
    let address = made.needs_header("location")?.to_owned();
    assert_eq!(address, "/api/v1/barriers/prod%2F**");
    for path in [&address["/api/v1".len()..], "/barriers/prod/**"] {
        assert_eq!(api.get("admin", path).await?.expect(200)?.body, made.body, "{path}");
    }

    for (list, line) in [
        ("/users", "user list"),
        ("/teams", "team list"),
        ("/teams/platform/members", "team member list platform"),
        ("/roles", "role list"),
        ("/barriers", "barrier list"),
    ] {
        assert_eq!(json!(api.all("admin", list, 2).await?), command(&town, line).await?, "{list}");
    }
    let by_id = |mut rows: Vec<Value>| {
        rows.sort_by_key(|row| row["id"].as_i64());
        rows
    };
    let listed = command(&town, "grant list").await?.as_array().cloned().unwrap_or_default();
    assert_eq!(by_id(api.all("admin", "/grants", 2).await?), by_id(listed));
    // As a member of a team in a team, and from the network of the right.
    let question = "action=tag-update&place=core/app:v1&address=127.0.0.1";
    for (subject, words) in
        [("user:dave", "user:dave"), ("user:alice", "user:alice"), ("user:bob", "user:bob")]
    {
        let answer =
            api.get("admin", &format!("/explain?subject={subject}&{question}")).await?.expect(200)?;
        let line = format!("explain {words} tag-update core/app:v1 --address 127.0.0.1");
        assert_eq!(answer.json()?, command(&town, &line).await?);
    }
    let capable = json!(api.all("admin", &format!("/who-can?{question}"), 1).await?);
    assert_eq!(capable, command(&town, "who-can tag-update core/app:v1 --address 127.0.0.1").await?);

    // A login is over as soon as it is ended.
    let dave = OciClient::new(&town.stack.registry_url(), "dave", &password_of("dave"))?;
    assert_eq!(dave.login().await?.status, 200);
    let off = api.call("admin", Method::PATCH, "/users/dave", Some(&json!({"disabled": true}))).await?;
    assert!(off.expect(200)?.json()?["disabled_at"].is_string());
    api.get("dave", "/account").await?.expect(401)?;
    api.call("admin", Method::PATCH, "/users/dave", Some(&json!({"disabled": false}))).await?.expect(200)?;
    let password = json!({"password": "another long password"});
    api.call("admin", Method::PUT, "/users/dave/password", Some(&password)).await?.expect(204)?;
    api.get("dave", "/account").await?.expect(401)?;
    assert_eq!(
        OciClient::new(&town.stack.registry_url(), "dave", "another long password")?.login().await?.status,
        200
    );

    // And everything goes again.
    let role = json!({"actions": ["pull"], "description": ""});
    let changed =
        api.call("admin", Method::PATCH, "/roles/deployer", Some(&role)).await?.expect(200)?.json()?;
    assert_eq!((&changed["actions"], &changed["description"]), (&json!(["pull"]), &Value::Null));
    assert_eq!(
        code(&api.call("admin", Method::DELETE, "/roles/deployer", None).await?.expect(409)?)?,
        "role_in_use"
    );
    for path in [
        format!("/grants/{}", right["id"]).as_str(),
        "/roles/deployer",
        "/teams/core/members/dave",
        "/teams/core",
        "/barriers/prod/**",
    ] {
        api.call("admin", Method::DELETE, path, None).await?.expect(204)?;
        assert_eq!(code(&api.call("admin", Method::DELETE, path, None).await?.expect(404)?)?, "not_found");
    }
    let done = command(&town, "audit list --actor admin --limit 1000").await?;
    for event in ["user_added", "team_member_added", "role_changed", "grant_removed", "barrier_removed"] {
        let row = done.as_array().into_iter().flatten().find(|row| row["event"] == event);
        assert_eq!(row.context(event)?["address"], "127.0.0.1", "{event}");
    }
    Ok(())
}

#[tokio::test]
async fn the_record_is_listed_exported_and_verified_as_by_commands() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    api.get("bob", "/account").await?.expect(200)?;
    let exported = api.get("admin", "/audit/export").await?.expect(200)?;
    let lines: Vec<Value> = exported.text().lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let printed = town.stack.operator(&["audit", "export"], "").await?.success()?.output;
    let printed: Vec<Value> = printed.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(lines, printed);
    let mut listed = api.all("admin", "/audit/events", 3).await?;
    listed.reverse();
    assert_eq!(listed, printed);
    let logins = api.all("admin", "/audit/events?event=login&actor=bob", 1).await?;
    assert_eq!(logins.len(), 1);
    assert!(api.all("admin", "/audit/events?until=2020-01-01T00:00:00Z", 5).await?.is_empty());
    let verdict = api.get("admin", "/audit/verification").await?.expect(200)?.json()?;
    assert_eq!(verdict, command(&town, "audit verify").await?);
    let head = verdict["last_hash"].as_str().unwrap_or_default();
    let known = api.get("admin", &format!("/audit/verification?head={head}")).await?.json()?;
    assert_eq!(known["whole"], true);
    let unknown = "0f".repeat(32);
    let unknown =
        api.get("admin", &format!("/audit/verification?head={unknown}")).await?.expect(200)?.json()?;
    assert_eq!(unknown["whole"], false);
    Ok(())
}

#[tokio::test]
async fn the_public_key_is_the_one_that_commands_export() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    for (path, format) in [("/key/certificate", "pem"), ("/key/jwks", "jwks")] {
        let given = api.get("bob", path).await?.expect(200)?.text();
        let printed =
            town.stack.operator(&["key", "export", "--format", format], "").await?.success()?.output;
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(squeezed(&given), squeezed(&printed), "{format}");
        assert!(!given.contains("PRIVATE"), "{given}");
    }
    Ok(())
}

#[tokio::test]
async fn a_robot_acts_by_its_own_rights_and_what_a_namespace_gave_stays_with_it() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    for line in [
        "namespace add platform --owner team:platform",
        "robot add platform/ci",
        "grant add robot:platform/ci admin platform/apps/**",
        "team add pipelines",
    ] {
        town.stack.operator(&line.split(' ').collect::<Vec<_>>(), "").await?.success()?;
    }
    let secret = town.stack.operator(&["robot", "secret", "add", "platform/ci"], "").await?.success()?.output;
    let login = harness::client::basic("platform/ci", secret.trim());
    let as_robot = |method, path: &str, body: Option<&Value>| {
        api.request(None, method, path, body).header(AUTHORIZATION, login.as_str())
    };
    let member = "/teams/pipelines/members/robot:platform%2Fci";
    for (path, status) in [(member, 201), ("/teams/pipelines/members/robot:platform/ci", 204)] {
        api.call("admin", Method::PUT, path, None).await?.expect(status)?;
    }
    let account = api.send(&as_robot(Method::GET, "/account", None)).await?.expect(200)?.json()?;
    assert_eq!((&account["name"], &account["teams"]), (&json!("platform/ci"), &json!(["pipelines"])));
    let right = json!({"subject": "user:bob", "role": "viewer", "pattern": "platform/apps/one"});
    let made = api.send(&as_robot(Method::POST, "/grants", Some(&right))).await?.expect(201)?.json()?;
    assert_eq!(made["added_by"], "platform/ci");
    let above = json!({"subject": "user:bob", "role": "viewer", "pattern": "platform/**"});
    api.send(&as_robot(Method::POST, "/grants", Some(&above))).await?.expect(403)?;
    let explained =
        api.send(&as_robot(Method::GET, "/explain?action=push&place=platform/apps/one", None)).await?;
    assert_eq!(explained.json()?["subject"], "robot:platform/ci");
    // It is nobody's user, so it changes nobody's password.
    let password = json!({"password": "a long enough password"});
    api.send(&as_robot(Method::PUT, "/account/password", Some(&password))).await?.expect(401)?;
    // Rows that a namespace came with are not taken away one by one.
    let rows = api.all("admin", "/grants?subject=team:platform", 10).await?;
    let given = rows.iter().find(|row| row["source"] == "namespace").context("no row of the namespace")?;
    let path = format!("/grants/{}", given["id"]);
    let refused = api.call("admin", Method::DELETE, &path, None).await?.expect(422)?;
    assert!(refused.text().contains("comes from a namespace"), "{refused}");
    api.call("admin", Method::DELETE, member, None).await?.expect(204)?;
    Ok(())
}
