//! Maintainers of teams: members who say who else is in the team, as themselves over the API.
//!
//! *Invariant:* nobody comes to hold more by it than the maintainer does, and a refusal changes nothing.

use harness::actors::Town;
use harness::api::Api;
use reqwest::Method;
use serde_json::{Value, json};

use crate::rights::{actions, done, run};

const TEAM: &str = "/teams/platform/members";

/// A town in which alice maintains the team platform, which is in the team outer.
async fn town() -> anyhow::Result<(Town, Api)> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    done(
        &town.stack,
        &[
            "team member change platform alice --maintainer",
            "team add outer",
            "team member add outer team:platform",
            "grant add team:outer viewer outer/**",
        ],
    )
    .await?;
    Ok((town, api))
}

async fn put(api: &Api, actor: &str, member: &str, status: u16) -> anyhow::Result<String> {
    Ok(api.call(actor, Method::PUT, &format!("{TEAM}/{member}"), None).await?.expect(status)?.text())
}

async fn delete(api: &Api, actor: &str, member: &str, status: u16) -> anyhow::Result<String> {
    Ok(api.call(actor, Method::DELETE, &format!("{TEAM}/{member}"), None).await?.expect(status)?.text())
}

#[tokio::test]
async fn a_maintainer_puts_others_in_and_takes_them_out() -> anyhow::Result<()> {
    let (town, api) = town().await?;
    let stack = &town.stack;
    put(&api, "bob", "bob", 403).await?;
    assert_eq!(actions(stack, "bob", "platform/app").await?.0, "");
    put(&api, "alice", "bob", 201).await?;
    put(&api, "alice", "bob", 204).await?;
    assert_eq!(actions(stack, "bob", "platform/app").await?.0, "pull,push");
    assert_eq!(actions(stack, "bob", "outer/app").await?.0, "pull", "as in every team above");
    // Who was put in is a member and nothing more.
    done(stack, &["robot add bob/ci", "workload add nightly", "team add core"]).await?;
    put(&api, "bob", "robot:bob/ci", 403).await?;
    delete(&api, "bob", "bob", 403).await?;
    for member in ["robot:bob%2Fci", "workload:nightly", "team:core"] {
        put(&api, "alice", member, 201).await?;
        delete(&api, "alice", member, 204).await?;
    }
    delete(&api, "alice", "bob", 204).await?;
    assert_eq!(actions(stack, "bob", "platform/app").await?.0, "");
    put(&api, "alice", "nobody-at-all", 404).await?;
    delete(&api, "alice", "bob", 404).await?;
    // It is about that team alone, and about nothing else of it.
    for (method, path, body) in [
        (Method::PUT, "/teams/outer/members/bob", None),
        (Method::PUT, "/teams/none/members/bob", None),
        (Method::DELETE, "/teams/platform", None),
        (Method::POST, "/teams", Some(json!({"name": "more"}))),
        (Method::PATCH, "/teams/platform/members/alice", Some(json!({"maintainer": false}))),
    ] {
        api.call("alice", method, path, body.as_ref()).await?.expect(403)?;
    }
    let recorded =
        api.all("admin", "/audit/events?actor=alice&outcome=allowed&event=team_member_added", 100).await?;
    let reasons: Vec<&Value> = recorded.iter().map(|row| &row["reason"]).collect();
    assert_eq!(reasons, ["team:core", "workload:nightly", "robot:bob/ci", "bob"]);
    let refused = api.all("admin", "/audit/events?event=change_refused&actor=bob", 100).await?;
    assert!(!refused.is_empty());
    Ok(())
}

#[tokio::test]
async fn nobody_is_given_what_the_maintainer_does_not_hold() -> anyhow::Result<()> {
    let (town, api) = town().await?;
    let stack = &town.stack;
    // What is denied to her alone.
    done(stack, &["grant add user:alice --deny --actions push platform/prod/**"]).await?;
    let said = put(&api, "alice", "bob", 403).await?;
    assert!(said.contains("you do not hold push on all of platform/**"), "{said}");
    done(stack, &["grant remove user:alice --deny --actions push platform/prod/** --yes"]).await?;
    // What is denied to everybody is no difference.
    done(stack, &["grant add everyone --deny --actions push platform/prod/**"]).await?;
    put(&api, "alice", "bob", 201).await?;
    delete(&api, "alice", "bob", 204).await?;
    // A place for each member, and what a team above denies.
    for (line, undo, part) in [
        (
            "grant add team:outer maintainer people/${user}/**",
            "grant remove team:outer maintainer people/${user}/** --yes",
            "you do not hold",
        ),
        (
            "grant add team:outer --deny --actions pull secret/**",
            "grant remove team:outer --deny --actions pull secret/** --yes",
            "whoever is in the team is denied pull on secret/**",
        ),
    ] {
        done(stack, &[line]).await?;
        let said = put(&api, "alice", "bob", 403).await?;
        assert!(said.contains(part), "{said}");
        // Whoever holds it all may, and so may who is asked for nothing.
        put(&api, "admin", "bob", 201).await?;
        if line.contains("--deny") {
            delete(&api, "alice", "bob", 403).await?;
            done(stack, &["grant add user:alice admin secret/**"]).await?;
        }
        delete(&api, "alice", "bob", 204).await?;
        done(stack, &[undo]).await?;
    }
    put(&api, "alice", "bob", 201).await?;
    Ok(())
}

#[tokio::test]
async fn maintainers_and_members_of_a_policy_stay() -> anyhow::Result<()> {
    let (town, api) = town().await?;
    let stack = &town.stack;
    let file = "version: 1\nteams: {platform: [bob]}\n";
    stack.operator(&["policy", "apply", "--yes", "-"], file).await?.success()?;
    let said = delete(&api, "alice", "bob", 403).await?;
    assert!(said.contains("policy file"), "{said}");
    done(stack, &["team member remove platform bob --yes", "team member add platform bob --maintainer"])
        .await?;
    let said = delete(&api, "alice", "bob", 403).await?;
    assert!(said.contains("taking a maintainer out"), "{said}");
    put(&api, "bob", "admin", 201).await?;
    // A maintainer who is no longer one can do nothing more.
    let change = json!({"maintainer": false});
    let one = format!("{TEAM}/bob");
    let changed = api.call("admin", Method::PATCH, &one, Some(&change)).await?.expect(200)?;
    assert_eq!(changed.json()?["maintainer"], false);
    delete(&api, "bob", "admin", 403).await?;
    delete(&api, "alice", "bob", 204).await?;
    let audit = run(stack, "audit list --event team_member_changed").await?.success()?.output;
    assert!(audit.contains("bob, maintainer") && audit.contains("bob, member"), "{audit}");
    // Neither can somebody who is a maintainer of a team that is gone.
    done(stack, &["team remove platform --yes", "team add platform", "team member add platform bob"]).await?;
    put(&api, "alice", "admin", 403).await?;
    Ok(())
}

#[tokio::test]
async fn who_maintains_a_team_is_listed_compared_and_exported() -> anyhow::Result<()> {
    let (town, api) = town().await?;
    let stack = &town.stack;
    let listed = run(stack, "team list").await?.success()?.output;
    assert!(listed.lines().any(|line| line.starts_with("platform") && line.ends_with("alice")), "{listed}");
    assert_eq!(
        api.get("admin", "/teams/platform").await?.expect(200)?.json()?["maintainers"],
        json!(["alice"])
    );
    let members = api.all("admin", TEAM, 100).await?;
    assert_eq!((&members[0]["maintainer"], &members[0]["source"]), (&json!(true), &json!("manual")));
    let one = api.get("alice", &format!("{TEAM}/alice")).await?.expect(200)?;
    assert_eq!(one.json()?["member"], "alice");
    api.get("bob", &format!("{TEAM}/alice")).await?.expect(404)?;
    let exported = run(stack, "policy export").await?.success()?.output;
    assert!(exported.contains("maintainers:"), "{exported}");
    let plan = async |file: &str| {
        anyhow::Ok(stack.operator(&["policy", "plan", "-"], file).await?.success()?.output)
    };
    assert!(plan(&exported).await?.lines().all(|line| line.starts_with("= ")));
    let file = "version: 1\nteams: {platform: [alice, bob]}\nmaintainers: {platform: [bob]}\n";
    let planned = plan(file).await?;
    for line in [
        "~ member of team platform: alice (maintainer) → member of team platform: alice",
        "+ member of team platform: bob (maintainer)",
    ] {
        assert!(planned.contains(line), "{line}: {planned}");
    }
    stack.operator(&["policy", "apply", "--yes", "-"], file).await?.success()?;
    let team = api.get("admin", "/teams/platform").await?.expect(200)?.json()?;
    assert_eq!((&team["member_count"], &team["maintainers"]), (&json!(2), &json!(["bob"])));
    for (line, code, part) in [
        ("team member add outer team:platform --maintainer", 2, "team:platform cannot maintain a team"),
        ("team member change platform bob", 2, "--maintainer"),
        ("team member change platform admin --maintainer", 3, "no member admin in team platform"),
        ("team member change platform bob --maintainer", 0, "was already a maintainer"),
        ("team member change platform bob --no-maintainer --yes", 0, "is now a member like others"),
    ] {
        let said = run(stack, line).await?;
        assert!(said.code == Some(code) && said.text.contains(part), "{line}: {:?} {}", said.code, said.text);
    }
    Ok(())
}
