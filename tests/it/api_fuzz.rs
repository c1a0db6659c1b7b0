//! The API under a fuzzer that reads its description: schemathesis.
//!
//! *Invariant:* whatever is sent, there is no 5xx, and every answer is as described; the seed is fixed, so that a
//! failure comes again.

use harness::actors::Town;
use harness::api::Api;
use harness::schemathesis;
use harness::stack::password_of;
use reqwest::Method;
use serde_json::json;

/// It would end the login with which everything else is tried.
const OWN_PASSWORD: &str = "setOwnPassword";

/// What the examples of the description are about.
async fn furnish(api: &Api) -> anyhow::Result<()> {
    let user = json!({"name": "ann", "password": "a first password"});
    api.post("admin", "/users", &user).await?.expect(201)?;
    api.post("admin", "/teams", &json!({"name": "core"})).await?.expect(201)?;
    api.call("admin", Method::PUT, "/teams/core/members/ann", None).await?.expect(201)?;
    let role = json!({"name": "deployer", "actions": ["pull"]});
    api.post("admin", "/roles", &role).await?.expect(201)?;
    api.post("admin", "/namespaces", &json!({"name": "core", "owner": "team:core"})).await?.expect(201)?;
    for owner in ["core", "bob"] {
        api.post("admin", "/robots", &json!({"name": format!("{owner}/ci")})).await?.expect(201)?;
    }
    let workload = json!({"name": "nightly", "description": "the nightly build"});
    api.post("admin", "/workloads", &workload).await?.expect(201)?;
    let barrier = json!({"pattern": "core/**", "actions": ["push"]});
    api.post("admin", "/barriers", &barrier).await?.expect(201)?;
    for number in 0..20 {
        let right = json!({"subject": "user:ann", "role": "viewer", "pattern": format!("core/{number}")});
        api.post("admin", "/grants", &right).await?.expect(201)?;
    }
    Ok(())
}

#[tokio::test]
async fn whatever_is_sent_is_answered_as_described() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    furnish(&api).await?;
    let url = town.stack.token_server_url();
    // First who may do nothing, so that everything is still there for who may do everything.
    for (user, chosen) in [
        ("bob", ["--exclude-operation-id", OWN_PASSWORD]),
        ("admin", ["--exclude-operation-id", OWN_PASSWORD]),
        ("bob", ["--include-operation-id", OWN_PASSWORD]),
    ] {
        let said = schemathesis::run(&url, (user, &password_of(user)), &chosen).await?;
        anyhow::ensure!(said.succeeded(), "as {user}:\n{}", said.text);
    }
    // It came as far as making and removing things. Who did it may have taken away their own login at last.
    for event in [
        "team_removed",
        "role_removed",
        "grant_removed",
        "barrier_removed",
        "user_password_set",
        "namespace_removed",
        "workload_removed",
        "elevation_requested",
        "policy_applied",
    ] {
        let words = ["audit", "list", "--actor", "admin", "--outcome", "allowed", "--event", event];
        let rows = town.stack.operator(&words, "").await?.success()?.output;
        assert!(rows.contains(event), "no {event} in the record");
    }
    Ok(())
}
