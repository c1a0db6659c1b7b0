//! Identity tokens: what `docker login` stores instead of the password.
//!
//! *Invariant:* a refresh token is worth no more than the login it came from, and ends when that login is taken away.

use std::time::Duration;

use harness::actors::Town;
use harness::answer::Answer;
use harness::api::Api;
use harness::client::{Request, basic};
use harness::forge::claims_of;
use harness::settings::{PEER_SERVICE, SERVICE};
use harness::stack::StackOptions;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};

use crate::rights::run;

/// What `docker login` of alice keeps.
pub(crate) async fn refresh_token(town: &Town) -> anyhow::Result<String> {
    let challenge = town.alice.challenge().await?;
    let answer =
        town.alice.ask_token(&challenge, &[("offline_token", "true"), ("client_id", "docker")]).await?;
    let body = answer.expect(200)?.json()?;
    let token = body["refresh_token"].as_str().unwrap_or_default().to_owned();
    assert!(!token.is_empty() && token.len() < 200, "credential stores take short secrets only: {body}");
    Ok(token)
}

/// Asks for a token with a kept login, as clients do.
pub(crate) async fn redeem(town: &Town, refresh: &str, service: &str) -> anyhow::Result<Answer> {
    redeem_as(town, refresh, service, "docker").await
}

async fn redeem_as(town: &Town, refresh: &str, service: &str, client: &str) -> anyhow::Result<Answer> {
    let pairs = [
        ("grant_type", "refresh_token"),
        ("service", service),
        ("client_id", client),
        ("scope", "repository:platform/app:pull,push"),
        ("refresh_token", refresh),
    ];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let request = Request::new(Method::POST, format!("{}/token", town.stack.token_server_url()))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body);
    town.anonymous.raw(&request).await
}

#[tokio::test]
async fn a_refresh_token_stands_for_its_user() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let refresh = refresh_token(&town).await?;
    let body = redeem(&town, &refresh, SERVICE).await?.expect(200)?.json()?;
    let claims = claims_of(body["access_token"].as_str().unwrap_or_default())?;
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["access"][0]["actions"], serde_json::json!(["pull", "push"]));
    Ok(())
}

#[tokio::test]
async fn the_fallback_with_an_empty_user_works_too() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let refresh = refresh_token(&town).await?;
    let target = format!("{}/token?service={SERVICE}", town.stack.token_server_url());
    let request = Request::get(target).header(AUTHORIZATION, basic("", &refresh));
    town.anonymous.raw(&request).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_is_bound_to_its_registry() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let refresh = refresh_token(&town).await?;
    redeem(&town, &refresh, PEER_SERVICE).await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn a_changed_refresh_token_is_nobodys() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let refresh = refresh_token(&town).await?;
    let mut changed: Vec<char> = refresh.chars().collect();
    let last = changed.len() - 9;
    changed[last] = if changed[last] == 'a' { 'b' } else { 'a' };
    let changed: String = changed.into_iter().collect();
    redeem(&town, &changed, SERVICE).await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn refresh_tokens_end_with_a_new_password_and_with_disabling() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let refresh = refresh_token(&town).await?;
    town.stack.operator(&["user", "disable", "alice", "--yes"], "").await?.success()?;
    redeem(&town, &refresh, SERVICE).await?.expect_error(401, "UNAUTHORIZED")?;
    town.stack.operator(&["user", "enable", "alice"], "").await?.success()?;
    let refresh = refresh_token(&town).await?;
    town.stack
        .operator(&["user", "password", "alice", "--password-stdin", "--yes"], "another long password\n")
        .await?
        .success()?;
    redeem(&town, &refresh, SERVICE).await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn each_device_is_listed_and_ended_by_itself() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let api = Api::of(stack).await?;
    let (one, two) = (refresh_token(&town).await?, refresh_token(&town).await?);
    let logins = api.all("alice", "/users/alice/logins", 1).await?;
    assert_eq!(logins.len(), 2, "{logins:?}");
    assert_eq!((&logins[0]["client"], &logins[0]["added_from"]), (&"docker".into(), &"127.0.0.1".into()));
    // The newest first.
    let id = logins[0]["id"].as_str().unwrap_or_default();
    api.call("bob", Method::DELETE, &format!("/users/alice/logins/{id}"), None).await?.expect(404)?;
    api.call("bob", Method::DELETE, &format!("/users/bob/logins/{id}"), None).await?.expect(404)?;
    redeem(&town, &two, SERVICE).await?.expect(200)?;
    api.call("alice", Method::DELETE, &format!("/users/alice/logins/{id}"), None).await?.expect(204)?;
    redeem(&town, &two, SERVICE).await?.expect_error(401, "UNAUTHORIZED")?;
    redeem(&town, &one, SERVICE).await?.expect(200)?;
    let listed = run(stack, "login list user:alice").await?.success()?.output;
    assert!(listed.contains("docker") && !listed.contains(id) && !listed.contains(&one), "{listed}");
    let said = run(stack, "login revoke --all user:alice --yes").await?.success()?;
    assert!(said.text.contains("1 login of user alice ended"), "{}", said.text);
    redeem(&town, &one, SERVICE).await?.expect_error(401, "UNAUTHORIZED")?;
    assert_eq!(run(stack, &format!("login revoke {id} --yes")).await?.code, Some(3));
    Ok(())
}

#[tokio::test]
async fn idleness_is_counted_from_the_last_use_on_any_server() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let refresh = refresh_token(&town).await?;
    let day = Duration::from_hours(24);
    stack.clock.advance(day * 20);
    // Another server recorded a use, which is no change that this one follows.
    let mut connection = stack.database.db_connect().await?;
    let query = "update refresh_token set last_used_at = last_used_at + interval '20 days'";
    sqlx::query(query).execute(&mut connection).await?;
    stack.clock.advance(day * 20);
    redeem(&town, &refresh, SERVICE).await?.expect(200)?;
    stack.clock.advance(day * 20);
    redeem(&town, &refresh, SERVICE).await?.expect(200)?;
    stack.clock.advance(day * 29);
    redeem(&town, &refresh, SERVICE).await?.expect(200)?;
    // Ninety days after the login it ends in any case.
    stack.clock.advance(day);
    redeem(&town, &refresh, SERVICE).await?.expect_error(401, "UNAUTHORIZED")?;
    let other = refresh_token(&town).await?;
    stack.clock.advance(day * 30);
    redeem(&town, &other, SERVICE).await?.expect_error(401, "UNAUTHORIZED")?;
    let audit = run(stack, "audit list").await?.success()?.output;
    assert!(audit.contains("expired_refresh_token") && audit.contains("idle_refresh_token"), "{audit}");
    Ok(())
}

#[tokio::test]
async fn a_token_that_was_replaced_ends_the_login_when_somebody_uses_it_later() -> anyhow::Result<()> {
    let more = "refresh: {rotatingclients: [helper]}\n".to_owned();
    let town = Town::with(StackOptions { token_server_more: more, ..StackOptions::default() }).await?;
    let challenge = town.alice.challenge().await?;
    let asked = [("offline_token", "true"), ("client_id", "helper")];
    let body = town.alice.ask_token(&challenge, &asked).await?.expect(200)?.json()?;
    let first = body["refresh_token"].as_str().unwrap_or_default().to_owned();
    let next = async |token: &str| -> anyhow::Result<String> {
        let body = redeem_as(&town, token, SERVICE, "helper").await?.expect(200)?.json()?;
        Ok(body["refresh_token"].as_str().unwrap_or_default().to_owned())
    };
    let second = next(&first).await?;
    assert!(second != first && !second.is_empty());
    // An answer can be lost, so the one before is good for a moment; for another client it is not.
    let third = next(&first).await?;
    redeem_as(&town, &second, SERVICE, "docker").await?.expect_error(401, "UNAUTHORIZED")?;
    let fourth = next(&third).await?;
    town.stack.clock.advance(Duration::from_mins(2));
    let fifth = next(&fourth).await?;
    // The second was lost, or stolen: whoever comes with it later ends the login.
    redeem_as(&town, &second, SERVICE, "helper").await?.expect_error(401, "UNAUTHORIZED")?;
    redeem_as(&town, &fifth, SERVICE, "helper").await?.expect_error(401, "UNAUTHORIZED")?;
    // What another client keeps is not replaced behind its back.
    let shared = refresh_token(&town).await?;
    for client in ["helper", "docker", "helper"] {
        let body = redeem_as(&town, &shared, SERVICE, client).await?.expect(200)?.json()?;
        assert!(body["refresh_token"].as_str().is_none_or(|token| token == shared), "{body}");
    }
    let audit = run(&town.stack, "audit list").await?.success()?.output;
    assert!(audit.contains("replaced_refresh_token") && audit.contains("login_ended"), "{audit}");
    // Clients that cannot replace theirs keep it.
    let kept = refresh_token(&town).await?;
    redeem(&town, &kept, SERVICE).await?.expect(200)?;
    redeem(&town, &kept, SERVICE).await?.expect(200)?;
    Ok(())
}
