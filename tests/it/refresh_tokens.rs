//! Identity tokens: what `docker login` stores instead of the password.
//!
//! *Invariant:* a refresh token is worth no more than the login it came from, and ends when that login is taken away.

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{Request, basic};
use harness::forge::claims_of;
use harness::settings::{PEER_SERVICE, SERVICE};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};

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
    let pairs = [
        ("grant_type", "refresh_token"),
        ("service", service),
        ("client_id", "docker"),
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
