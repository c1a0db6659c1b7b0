//! A team that runs its own place over the API alone: its namespace, robots, their secrets, and rights for a while.
//!
//! Every answer in these tests is held against the API's own description.
//!
//! *Invariant:* whoever was given a place does there what the command line does everywhere, and nothing outside; what
//! somebody may not see answers like what is not there.

use std::time::Duration;

use anyhow::Context as _;
use harness::actors::Town;
use harness::answer::Answer;
use harness::api::Api;
use harness::client::{OciClient, basic};
use harness::images::Image;
use harness::settings::SERVICE;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, IF_MATCH};
use serde_json::{Value, json};
use shared::clock::Clock as _;
use time::format_description::well_known::Rfc3339;

use crate::rights::{actions, claims, run};

/// Checks a refusal: its status, what it says to programs, and a part of what it says to people.
pub(crate) fn refused(answer: &Answer, status: u16, code: &str, part: &str) -> anyhow::Result<()> {
    let body = answer.json()?;
    assert_eq!((answer.status, body["code"].as_str()), (status, Some(code)), "{answer}");
    assert!(body["detail"].as_str().is_some_and(|detail| detail.contains(part)), "{part}: {answer}");
    Ok(())
}

/// A text member of an answer.
fn text(answer: &Answer, member: &str) -> anyhow::Result<String> {
    Ok(answer.json()?[member].as_str().with_context(|| format!("no {member}"))?.to_owned())
}

/// What a command prints as JSON.
pub(crate) async fn command(town: &Town, line: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&run(&town.stack, &format!("{line} --output json")).await?.success()?.output)?)
}

/// A town in which the team `platform` owns the namespace of its name, and bob the namespace `shop`.
pub(crate) async fn town_of_owners() -> anyhow::Result<(Town, Api)> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    let made =
        api.post("admin", "/namespaces", &json!({"name": "Platform", "owner": "team:platform"})).await?;
    let made = made.expect(201)?;
    assert_eq!(made.needs_header("location")?, "/api/v1/namespaces/platform");
    let body = made.json()?;
    for (member, value) in
        [("name", "platform"), ("owner", "team:platform"), ("visibility", "private"), ("create", "pushers")]
    {
        assert_eq!(body[member], value, "{made}");
    }
    api.post("admin", "/namespaces", &json!({"name": "shop", "owner": "user:bob"})).await?.expect(201)?;
    Ok((town, api))
}

#[tokio::test]
async fn a_team_makes_its_robots_and_their_secrets() -> anyhow::Result<()> {
    let (town, api) = town_of_owners().await?;
    let stack = &town.stack;
    let made =
        api.post("alice", "/robots", &json!({"name": "Platform/CI", "description": "pipelines"})).await?;
    assert_eq!(made.expect(201)?.needs_header("location")?, "/api/v1/robots/platform/ci");
    let right = json!({"subject": "robot:platform/ci", "role": "publisher", "pattern": "platform/**"});
    api.post("alice", "/grants", &right).await?.expect(201)?;

    let secrets = "/robots/platform/ci/secrets";
    let end = (stack.clock.now() + time::Duration::days(30)).format(&Rfc3339)?;
    let made = api.post("alice", secrets, &json!({"label": "main", "expires_at": end})).await?.expect(201)?;
    let (secret, id) = (text(&made, "secret")?, text(&made, "id")?);
    assert!(secret.starts_with("pcb_"), "{}", secret.len());
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let address = made.needs_header("location")?["/api/v1".len()..].to_owned();
    assert_eq!(address, format!("{secrets}/{id}"));
    assert_eq!(made.header("etag"), api.get("alice", &address).await?.header("etag"));
    let ci = OciClient::new(&stack.registry_url(), "platform/ci", &secret)?;
    let image = Image::new(871, 1, 1000)?;
    ci.push_image("platform/app", "v1", &image).await?;
    let said = ci.push_image("platform/app", "v1", &Image::new(872, 1, 1000)?).await.unwrap_err().to_string();
    assert!(said.contains("platform/ci may not move the tag v1"), "{said}");
    assert!(ci.push_image("shop/app", "v1", &image).await.is_err());

    // It is not told again, and the second one is the last.
    for path in [secrets, &address, "/robots", "/robots/platform/ci"] {
        let shown = api.get("alice", path).await?.expect(200)?;
        assert!(!shown.text().contains(&secret), "{path}");
    }
    let second = api.post("alice", secrets, &json!({})).await?.expect(201)?;
    let listed = api.all("alice", secrets, 1).await?;
    assert_eq!(json!(listed), command(&town, "robot secret list platform/ci").await?);
    assert_eq!((listed.len(), &listed[0]["label"], &listed[1]["label"]), (2, &json!("main"), &Value::Null));
    refused(&api.post("alice", secrets, &json!({})).await?, 409, "too_many_secrets", "two secrets already")?;
    let second = second.needs_header("location")?["/api/v1".len()..].to_owned();
    // A number is good with its own robot only.
    api.post("alice", "/robots", &json!({"name": "platform/other"})).await?.expect(201)?;
    for path in
        [second.replace("/ci/", "/other/"), format!("{secrets}/1"), format!("/robots/bob/ci/secrets/{id}")]
    {
        refused(
            &api.call("alice", Method::DELETE, &path, None).await?,
            404,
            "not_found",
            "there is no secret",
        )?;
    }
    api.call("alice", Method::DELETE, &second, None).await?.expect(204)?;
    api.get("alice", &second).await?.expect(404)?;
    for body in [
        json!({"label": "a\nb"}),
        json!({"expires_at": "2020-01-01T00:00:00Z"}),
        json!({"expires_at": "soon"}),
    ] {
        api.post("alice", secrets, &body).await?.expect(422)?;
    }

    // Others neither see nor touch any of it.
    assert!(api.all("bob", "/robots", 1).await?.is_empty());
    assert!(api.all("bob", "/robots?owner=platform", 1).await?.is_empty());
    for path in ["/robots/platform/ci", secrets, &address] {
        let answer = api.get("bob", path).await?.expect(404)?;
        let missing = api.get("bob", &path.replace("/ci", "/no")).await?.expect(404)?;
        assert_eq!(missing.text().replace("platform/no", "platform/ci"), answer.text());
    }
    for (method, path, body, status) in [
        (Method::POST, "/robots", Some(json!({"name": "platform/mine"})), 403),
        (Method::POST, secrets, Some(json!({})), 403),
        (Method::PATCH, "/robots/platform/ci", Some(json!({"disabled": true})), 403),
        (Method::DELETE, "/robots/platform/ci", None, 403),
        (Method::DELETE, &address, None, 404),
    ] {
        let answer = api.call("bob", method.clone(), path, body.as_ref()).await?;
        assert_eq!(answer.status, status, "{answer}");
        let missing = api.call("bob", method, &path.replace("/ci", "/no"), body.as_ref()).await?;
        assert_eq!(missing.text().replace("platform/no", "platform/ci"), answer.text());
    }

    // Nobody makes themselves a robot that holds more than they do.
    let right = json!({"subject": "robot:platform/ci", "role": "viewer", "pattern": "shop/**"});
    api.post("admin", "/grants", &right).await?.expect(201)?;
    let answer = api.post("alice", secrets, &json!({})).await?;
    refused(&answer, 403, "robot_holds_more", "platform/ci holds more than you do (list,pull on shop/**)")?;
    api.post("admin", secrets, &json!({})).await?.expect(201)?;

    // Off, on, described otherwise, and gone.
    let path = "/robots/platform/ci";
    let seen = api.get("alice", path).await?.expect(200)?;
    let off = json!({"disabled": true, "description": ""});
    let change = (IF_MATCH, seen.needs_header("etag")?);
    let changed =
        api.call_with("alice", Method::PATCH, path, change.clone(), Some(&off)).await?.expect(200)?;
    let body = changed.json()?;
    assert!(body["disabled_at"].is_string() && body["description"].is_null(), "{changed}");
    api.call_with("alice", Method::PATCH, path, change, Some(&off)).await?.expect(412)?;
    ci.forget_tokens();
    ci.login().await?.expect(401)?;
    api.call("alice", Method::PATCH, path, Some(&json!({"disabled": false}))).await?.expect(200)?;
    ci.login().await?.expect(200)?;
    let robots = api.all("alice", "/robots?owner=platform", 1).await?;
    assert_eq!(json!(robots), command(&town, "robot list platform").await?);
    api.call("alice", Method::DELETE, path, None).await?.expect(204)?;
    ci.forget_tokens();
    ci.login().await?.expect(401)?;

    let done = api.all("admin", "/audit/events?actor=alice", 100).await?;
    for event in [
        "robot_added",
        "robot_changed",
        "robot_disabled",
        "robot_secret_added",
        "robot_secret_revoked",
        "robot_removed",
    ] {
        let row = done.iter().find(|row| row["event"] == event).context(event)?;
        assert_eq!((&row["actor"], &row["address"]), (&json!("alice"), &json!("127.0.0.1")), "{event}");
        assert!(row["actor_uid"].is_string() && !row.to_string().contains(&secret), "{row}");
    }
    Ok(())
}

#[tokio::test]
async fn a_team_gives_what_it_holds_where_it_holds_it() -> anyhow::Result<()> {
    let (town, api) = town_of_owners().await?;
    let stack = &town.stack;
    let end = (stack.clock.now() + time::Duration::days(1)).format(&Rfc3339)?;
    let right =
        |subject: &str, pattern: &str| json!({"subject": subject, "role": "owner", "pattern": pattern});
    let short =
        json!({"subject": "user:bob", "role": "writer", "pattern": "platform/app", "expires_at": end});
    api.post("alice", "/grants", &short).await?.expect(201)?;
    assert_eq!(actions(stack, "bob", "platform/app").await?.0, "pull,push");
    assert_eq!(actions(stack, "bob", "platform/other").await?.0, "");
    for pattern in ["shop/app", "shop/**", "**"] {
        let answer = api.post("alice", "/grants", &right("user:alice", pattern)).await?;
        refused(&answer, 403, "not_delegated", &format!("you do not administer {pattern}"))?;
    }
    let new = json!({"name": "mine", "owner": "user:alice"});
    refused(&api.post("alice", "/namespaces", &new).await?, 403, "not_delegated", "takes `*` on `**`")?;

    // What is not theirs is not there.
    let names = |items: Vec<Value>| items.iter().map(|item| item["name"].clone()).collect::<Vec<_>>();
    assert_eq!(names(api.all("alice", "/namespaces", 1).await?), ["platform"]);
    assert_eq!(names(api.all("bob", "/namespaces", 1).await?), ["shop"]);
    assert_eq!(json!(api.all("admin", "/namespaces", 1).await?), command(&town, "namespace list").await?);
    for (method, body, status) in [
        (Method::GET, None, 404),
        (Method::PATCH, Some(json!({"owner": "user:alice"})), 403),
        (Method::DELETE, None, 403),
    ] {
        let answer = api.call("alice", method.clone(), "/namespaces/shop", body.as_ref()).await?;
        assert_eq!(answer.status, status, "{answer}");
        let missing = api.call("alice", method, "/namespaces/shoq", body.as_ref()).await?;
        assert_eq!(missing.text().replace("shoq", "shop"), answer.text());
    }
    let answer = api.call("alice", Method::DELETE, "/namespaces/platform", None).await?;
    refused(&answer, 403, "not_delegated", "removing a namespace takes")?;

    // Who sees it and who makes repositories in it is theirs to say.
    let path = "/namespaces/platform";
    let seen = api.get("alice", path).await?.expect(200)?;
    let change = (IF_MATCH, seen.needs_header("etag")?);
    let open = json!({"visibility": "public", "create": "admins"});
    let changed =
        api.call_with("alice", Method::PATCH, path, change.clone(), Some(&open)).await?.expect(200)?;
    assert_eq!(
        (text(&changed, "visibility")?.as_str(), text(&changed, "create")?.as_str()),
        ("public", "admins")
    );
    api.call_with("alice", Method::PATCH, path, change, Some(&open)).await?.expect(412)?;
    assert_eq!(api.get("bob", path).await?.expect(200)?.body, changed.body, "who may pull it sees it");
    assert_eq!(actions(stack, "bob", "platform/other").await?.0, "pull");
    api.call("alice", Method::PATCH, path, Some(&json!({"visibility": "secret"}))).await?.expect(400)?;
    api.call("alice", Method::PATCH, path, Some(&json!({"visibility": "private"}))).await?.expect(200)?;
    assert_eq!(actions(stack, "bob", "platform/other").await?.0, "");
    stack.clock.advance(Duration::from_hours(24));
    assert_eq!(actions(stack, "bob", "platform/app").await?.0, "");

    // Holding everything for a while is not owning: nothing that stays comes of it.
    let end = (stack.clock.now() + time::Duration::hours(1)).format(&Rfc3339)?;
    let owner = json!({"subject": "user:bob", "role": "owner", "pattern": "platform/**", "expires_at": end});
    api.post("alice", "/grants", &owner).await?.expect(201)?;
    assert_eq!(actions(stack, "bob", "platform/other").await?.0, "pull,push,delete");
    let taken = api.call("bob", Method::PATCH, path, Some(&json!({"owner": "user:bob"}))).await?;
    refused(&taken, 403, "not_delegated", "platform/**")?;

    // Who gave a namespace away has its name and not its robots.
    let given =
        api.call("bob", Method::PATCH, "/namespaces/shop", Some(&json!({"owner": "team:platform"}))).await?;
    assert_eq!(text(&given.expect(200)?, "owner")?, "team:platform");
    api.get("bob", "/namespaces/shop").await?.expect(404)?;
    api.call("admin", Method::DELETE, "/namespaces/shop", None).await?.expect(204)?;
    api.post("bob", "/robots", &json!({"name": "bob/helper"})).await?.expect(201)?;
    api.post("admin", "/namespaces", &json!({"name": "bob", "owner": "user:bob"})).await?.expect(201)?;
    let owner = json!({"owner": "team:platform"});
    api.call("bob", Method::PATCH, "/namespaces/bob", Some(&owner)).await?.expect(200)?;
    let answer = api.post("bob", "/robots", &json!({"name": "bob/more"})).await?;
    refused(&answer, 403, "not_delegated", "robot-manage on all of bob/**")?;
    api.post("alice", "/robots", &json!({"name": "bob/more"})).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn rights_for_a_while_are_asked_for_given_by_somebody_else_and_over() -> anyhow::Result<()> {
    let (town, api) = town_of_owners().await?;
    let stack = &town.stack;
    let wanted =
        json!({"role": "writer", "pattern": "platform/prod", "lasts_seconds": 7200, "reason": "CHG-18"});
    let asked = api.post("bob", "/elevations", &wanted).await?.expect(201)?;
    let path = asked.needs_header("location")?["/api/v1".len()..].to_owned();
    assert_eq!(path, format!("/elevations/{}", text(&asked, "id")?));
    assert_eq!(text(&asked, "state")?, "requested");
    assert_eq!(actions(stack, "bob", "platform/prod").await?.0, "", "asking is not having");
    for user in ["bob", "alice", "admin"] {
        assert_eq!(api.get(user, &path).await?.expect(200)?.body, asked.body);
    }
    let answer = api.post("bob", &format!("{path}/approve"), &json!({})).await?;
    refused(&answer, 403, "own_elevation", "nobody decides about their own request")?;
    let given =
        api.post("alice", &format!("{path}/approve"), &json!({"reason": "fine"})).await?.expect(200)?;
    let body = given.json()?;
    assert_eq!((&body["state"], &body["decided_by"]), (&json!("approved"), &json!("alice")));
    assert!(body["ends_at"].is_string() && body["decision_reason"] == "fine", "{given}");
    assert_eq!(actions(stack, "bob", "platform/prod").await?.0, "pull,push");
    let again = api.post("alice", &format!("{path}/deny"), &json!({})).await?;
    refused(&again, 409, "elevation_over", "is approved")?;
    // A minute before the end a token lives a minute, and then there is none.
    stack.clock.advance(Duration::from_mins(119));
    let claims = claims(stack, "bob", SERVICE, "repository:platform/prod:pull,push").await?;
    assert!(claims.exp - claims.iat.unwrap_or_default() <= 60, "{claims:?}");
    stack.clock.advance(Duration::from_mins(1));
    assert_eq!(actions(stack, "bob", "platform/prod").await?.0, "");
    assert!(api.all("bob", "/elevations", 1).await?.is_empty());

    // Refused, taken back, and ended early.
    let ask = async || {
        let asked = api.post("bob", "/elevations", &wanted).await?.expect(201)?;
        anyhow::Ok(asked.needs_header("location")?["/api/v1".len()..].to_owned())
    };
    let denied = ask().await?;
    let answer = api.post("alice", &format!("{denied}/deny"), &json!({"reason": "no"})).await?.expect(200)?;
    assert_eq!((text(&answer, "state")?, text(&answer, "decision_reason")?), ("denied".into(), "no".into()));
    let ended = ask().await?;
    api.post("alice", &format!("{ended}/approve"), &json!({})).await?.expect(200)?;
    assert_eq!(actions(stack, "bob", "platform/prod").await?.0, "pull,push");
    let answer = api.call("bob", Method::POST, &format!("{ended}/end"), None).await?.expect(200)?;
    assert_eq!(text(&answer, "state")?, "ended");
    assert_eq!(actions(stack, "bob", "platform/prod").await?.0, "");
    // By actions and tags, and elsewhere, where alice decides nothing and sees nothing.
    let elsewhere = json!({
        "actions": ["pull", "tag-update"], "pattern": "shop/app", "tags": "pr-*", "lasts_seconds": 60, "reason": "x",
    });
    let hidden = api.post("admin", "/elevations", &elsewhere).await?.expect(201)?;
    let hidden = hidden.needs_header("location")?["/api/v1".len()..].to_owned();
    let nothing = "/elevations/00000000-0000-0000-0000-000000000000";
    for (method, more, body) in
        [(Method::GET, "", None), (Method::POST, "/approve", Some(json!({}))), (Method::POST, "/end", None)]
    {
        let answer = api.call("alice", method.clone(), &format!("{hidden}{more}"), body.as_ref()).await?;
        let missing = api.call("alice", method, &format!("{nothing}{more}"), body.as_ref()).await?;
        assert_eq!((answer.status, missing.status), (404, 404), "{answer}");
        let plain = missing.text().replace(&nothing["/elevations/".len()..], &hidden["/elevations/".len()..]);
        assert_eq!(plain, answer.text());
    }
    for (body, status) in [
        (json!({"role": "writer", "pattern": "a", "lasts_seconds": 1, "reason": "x"}), 422),
        (json!({"role": "writer", "pattern": "a", "lasts_seconds": 9_999_999, "reason": "x"}), 422),
        (json!({"role": "writer", "pattern": "a", "lasts_seconds": 60, "reason": " "}), 422),
        (
            json!({"role": "writer", "actions": ["pull"], "pattern": "a", "lasts_seconds": 60, "reason": "x"}),
            422,
        ),
        (json!({"role": "king", "pattern": "a", "lasts_seconds": 60, "reason": "x"}), 404),
        (json!({"role": "writer", "pattern": "a", "lasts_seconds": -1, "reason": "x"}), 400),
        (json!({"user": "bob", "role": "writer", "pattern": "a", "lasts_seconds": 60, "reason": "x"}), 400),
    ] {
        api.post("bob", "/elevations", &body).await?.expect(status)?;
    }
    assert_eq!(api.all("alice", "/elevations?all=true", 2).await?.len(), 3);
    let all = api.all("admin", "/elevations?all=true", 1).await?;
    assert_eq!(json!(all), command(&town, "elevation list --all").await?);

    // In an emergency, for those who may.
    let fire = json!({"pattern": "shop/**", "reason": "fire"});
    let answer = api.post("alice", "/elevations/break-glass", &fire).await?;
    refused(&answer, 403, "not_delegated", "break-glass on all of shop/**")?;
    let right =
        json!({"subject": "user:alice", "actions": ["break-glass", "grant-manage"], "pattern": "shop/**"});
    api.post("admin", "/grants", &right).await?.expect(201)?;
    let taken = api.post("alice", "/elevations/break-glass", &fire).await?.expect(201)?;
    assert_eq!(taken.json()?["break_glass"], true);
    assert_eq!(actions(stack, "alice", "shop/app").await?.0, "pull,push,delete");
    // What was taken does not last by itself: who lost the right to take it cannot take it again.
    let given = api.all("admin", "/grants?subject=user:alice&within=shop/**", 10).await?;
    let lasting = given.iter().find(|row| row["expires_at"].is_null()).context("no right without an end")?;
    api.call("admin", Method::DELETE, &format!("/grants/{}", lasting["id"]), None).await?.expect(204)?;
    stack.clock.advance(Duration::from_mins(30));
    let answer = api.post("alice", "/elevations/break-glass", &fire).await?;
    refused(&answer, 403, "not_delegated", "break-glass on all of shop/**")?;
    let rows = api.all("admin", "/audit/events?event=glass_broken", 10).await?;
    assert_eq!((rows.len(), &rows[0]["actor"], &rows[0]["reason"]), (1, &json!("alice"), &json!("fire")));
    let path = format!("/elevations/{}/end", text(&taken, "id")?);
    api.call("alice", Method::POST, &path, None).await?.expect(200)?;
    assert_eq!(actions(stack, "alice", "shop/app").await?.0, "");
    Ok(())
}

#[tokio::test]
async fn a_robot_does_over_the_api_what_it_was_given_and_no_more() -> anyhow::Result<()> {
    let (town, api) = town_of_owners().await?;
    let stack = &town.stack;
    api.post("alice", "/robots", &json!({"name": "platform/keeper"})).await?.expect(201)?;
    let right = json!({"subject": "robot:platform/keeper", "role": "admin", "pattern": "platform/**"});
    api.post("alice", "/grants", &right).await?.expect(201)?;
    let made = api.post("alice", "/robots/platform/keeper/secrets", &json!({})).await?.expect(201)?;
    let login = basic("Platform/Keeper", &text(&made, "secret")?);
    let keeper = async |method: Method, path: &str, body: Option<Value>| {
        api.send(&api.request(None, method, path, body.as_ref()).header(AUTHORIZATION, &login)).await
    };
    let account = keeper(Method::GET, "/account", None).await?.expect(200)?;
    assert_eq!(text(&account, "name")?, "platform/keeper");

    let right = |role: &str, pattern: &str| json!({"subject": "user:bob", "role": role, "pattern": pattern});
    let given = keeper(Method::POST, "/grants", Some(right("writer", "platform/app"))).await?.expect(201)?;
    assert_eq!(text(&given, "added_by")?, "platform/keeper");
    assert_eq!(actions(stack, "bob", "platform/app").await?.0, "pull,push");
    let path = format!("/grants/{}", given.json()?["id"]);
    keeper(Method::DELETE, &path, None).await?.expect(204)?;
    assert_eq!(actions(stack, "bob", "platform/app").await?.0, "");
    for (role, pattern, part) in [
        ("viewer", "shop/app", "you do not administer shop/app"),
        ("viewer", "**", "you do not administer **"),
        ("owner", "platform/app", "you do not hold"),
    ] {
        let answer = keeper(Method::POST, "/grants", Some(right(role, pattern))).await?;
        refused(&answer, 403, "not_delegated", part)?;
    }
    // It manages robots there, and no namespace.
    keeper(Method::POST, "/robots", Some(json!({"name": "platform/helper"}))).await?.expect(201)?;
    keeper(Method::GET, "/namespaces/platform", None).await?.expect(200)?;
    keeper(Method::GET, "/namespaces/shop", None).await?.expect(404)?;
    for (name, part) in [("platform", "you do not hold"), ("shop", "you do not administer shop/**")] {
        let path = format!("/namespaces/{name}");
        let answer = keeper(Method::PATCH, &path, Some(json!({"visibility": "public"}))).await?;
        refused(&answer, 403, "not_delegated", part)?;
    }
    keeper(Method::POST, "/robots", Some(json!({"name": "shop/helper"}))).await?.expect(403)?;
    keeper(Method::POST, "/users", Some(json!({"name": "eve", "password": "long enough for this"})))
        .await?
        .expect(403)?;
    keeper(Method::GET, "/audit/tokens", None).await?.expect(403)?;
    keeper(Method::GET, "/unused-grants", None).await?.expect(403)?;
    // It decides about requests, and makes none.
    let wanted =
        json!({"role": "writer", "pattern": "platform/prod", "lasts_seconds": 60, "reason": "CHG-19"});
    let answer = keeper(Method::POST, "/elevations", Some(wanted.clone())).await?;
    refused(&answer, 422, "contradiction", "rights for a while are for a user")?;
    let asked = api.post("bob", "/elevations", &wanted).await?.expect(201)?;
    let path = format!("/elevations/{}/approve", text(&asked, "id")?);
    let given = keeper(Method::POST, &path, Some(json!({}))).await?.expect(200)?;
    assert_eq!(text(&given, "decided_by")?, "platform/keeper");
    // Who made it, and so may have its secret, would decide about their own.
    let asked = api.post("alice", "/elevations", &wanted).await?.expect(201)?;
    let path = format!("/elevations/{}/approve", text(&asked, "id")?);
    let answer = keeper(Method::POST, &path, Some(json!({}))).await?;
    refused(&answer, 403, "own_elevation", "nobody decides about their own request")?;
    // It does not make itself a secret that is good for longer than its own.
    let end = |days| (stack.clock.now() + time::Duration::days(days)).format(&Rfc3339);
    let secrets = "/robots/platform/keeper/secrets";
    let brief = api.post("alice", secrets, &json!({"expires_at": end(2)?})).await?.expect(201)?;
    let brief_login = basic("platform/keeper", &text(&brief, "secret")?);
    api.call("alice", Method::DELETE, &format!("{secrets}/{}", text(&made, "id")?), None)
        .await?
        .expect(204)?;
    keeper(Method::GET, "/account", None).await?.expect(401)?;
    let login = brief_login;
    let keeper = async |method: Method, path: &str, body: Option<Value>| {
        api.send(&api.request(None, method, path, body.as_ref()).header(AUTHORIZATION, &login)).await
    };
    for body in [json!({}), json!({"expires_at": end(3)?})] {
        let answer = keeper(Method::POST, secrets, Some(body)).await?;
        refused(&answer, 422, "contradiction", "one that you make ends no later")?;
    }
    keeper(Method::POST, secrets, Some(json!({"expires_at": end(1)?}))).await?.expect(201)?;
    // It has no password to set.
    let password = json!({"password": "long enough for this"});
    keeper(Method::PUT, "/account/password", Some(password)).await?.expect(401)?;

    let done = api.all("admin", "/audit/events?actor=platform/keeper&event=grant_added", 10).await?;
    assert_eq!((done.len(), &done[0]["address"]), (1, &json!("127.0.0.1")));
    assert!(done[0]["actor_uid"].is_string());
    api.call("alice", Method::PATCH, "/robots/platform/keeper", Some(&json!({"disabled": true})))
        .await?
        .expect(200)?;
    keeper(Method::GET, "/account", None).await?.expect(401)?;
    Ok(())
}
