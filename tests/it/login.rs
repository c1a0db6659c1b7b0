//! `docker login` and what a wrong, unknown or disabled user learns from it.
//!
//! *Invariant:* whoever may not log in cannot tell why.

use harness::actors::Town;
use harness::client::{OciClient, Request, basic};
use harness::forge::{claims_of, header_of};
use harness::settings::{ISSUER, SERVICE};
use harness::stack::password_of;
use reqwest::header::AUTHORIZATION;

#[tokio::test]
async fn a_user_logs_in_and_the_base_route_takes_a_token_without_rights() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let answer = town.bob.login().await?.expect(200)?;
    assert_eq!(answer.text(), "{}");
    assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
    Ok(())
}

#[tokio::test]
async fn the_challenge_names_realm_and_service() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let challenge = town.anonymous.challenge().await?;
    assert_eq!(challenge.realm, format!("{}/token", town.stack.token_server_url()));
    assert_eq!(challenge.service, SERVICE);
    assert_eq!((challenge.scope, challenge.error), (None, None));
    Ok(())
}

#[tokio::test]
async fn unknown_wrong_and_disabled_users_get_the_same_answer_after_the_same_work() -> anyhow::Result<()> {
    let town = Town::start().await?;
    town.stack.add_user("gone").await?;
    town.stack.operator(&["user", "disable", "gone", "--yes"], "").await?.success()?;
    let registry = town.stack.registry_url();
    let mut answers = Vec::new();
    for (user, password) in [
        ("alice", "wrong"),
        ("nobody-of-that-name", "wrong"),
        ("gone", &password_of("gone")),
        ("GONE", "wrong"),
    ] {
        let client = OciClient::new(&registry, user, password)?;
        let before = town.stack.token_server.hash_runs();
        let answer = client.login().await?.expect_error(401, "UNAUTHORIZED")?;
        assert_eq!(town.stack.token_server.hash_runs() - before, 1, "{user}");
        answers.push((answer.text(), answer.header("www-authenticate").map(str::to_owned)));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    Ok(())
}

#[tokio::test]
async fn a_password_is_hashed_once_for_many_tokens_and_again_after_a_minute() -> anyhow::Result<()> {
    let town = Town::start().await?;
    for _ in 0..10 {
        town.alice.forget_tokens();
        town.alice.login().await?.expect(200)?;
    }
    assert_eq!(town.stack.token_server.hash_runs(), 1);
    town.stack.clock.advance(std::time::Duration::from_mins(1));
    town.alice.forget_tokens();
    town.alice.login().await?.expect(200)?;
    assert_eq!(town.stack.token_server.hash_runs(), 2);
    Ok(())
}

#[tokio::test]
async fn a_login_with_blanks_does_not_succeed() -> anyhow::Result<()> {
    let town = Town::start().await?;
    town.anonymous.login().await?.expect_error(401, "UNAUTHORIZED")?;
    let blank = OciClient::new(&town.stack.registry_url(), "", "")?;
    blank.login().await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn a_changed_password_counts_at_once_and_the_old_one_no_longer() -> anyhow::Result<()> {
    let town = Town::start().await?;
    town.alice.login().await?.expect(200)?;
    town.stack
        .operator(&["user", "password", "alice", "--password-stdin", "--yes"], "another long password\n")
        .await?
        .success()?;
    town.alice.forget_tokens();
    town.alice.login().await?.expect_error(401, "UNAUTHORIZED")?;
    let client = OciClient::new(&town.stack.registry_url(), "alice", "another long password")?;
    client.login().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_disabled_user_gets_no_token_and_an_enabled_one_does_again() -> anyhow::Result<()> {
    let town = Town::start().await?;
    town.alice.login().await?.expect(200)?;
    town.stack.operator(&["user", "disable", "alice", "--yes"], "").await?.success()?;
    town.alice.forget_tokens();
    town.alice.login().await?.expect_error(401, "UNAUTHORIZED")?;
    town.stack.operator(&["user", "enable", "alice"], "").await?.success()?;
    town.alice.login().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_token_says_who_for_whom_by_whom_and_until_when() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let challenge = town.alice.challenge().await?;
    let answer = town.alice.ask_token(&challenge, &[("scope", "repository:platform/app:pull,push")]).await?;
    let answer = answer.expect(200)?;
    let body = answer.json()?;
    let token = body["token"].as_str().unwrap_or_default();
    let header = header_of(token)?;
    assert_eq!((&header["alg"], &header["typ"]), (&"ES256".into(), &"JWT".into()));
    let claims = claims_of(token)?;
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["aud"], SERVICE);
    assert_eq!(claims["sub"], "alice");
    let lifetime = claims["exp"].as_i64().unwrap_or_default() - claims["iat"].as_i64().unwrap_or_default();
    assert_eq!(lifetime, 300);
    assert_eq!(body["expires_in"], 300);
    assert_eq!(claims["access"][0]["actions"], serde_json::json!(["pull", "push"]));
    Ok(())
}

#[tokio::test]
async fn the_registry_never_accepts_a_password() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let request = Request::get("/v2/").header(AUTHORIZATION, basic("alice", &password_of("alice")));
    let answer = town.anonymous.raw(&request).await?.expect_error(401, "UNAUTHORIZED")?;
    assert!(answer.needs_header("www-authenticate")?.starts_with("Bearer "));
    assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 1);
    Ok(())
}

#[tokio::test]
async fn the_forwarded_endpoint_is_one_address_with_and_without_its_last_slash() -> anyhow::Result<()> {
    let options = harness::stack::StackOptions { same_origin: true, ..Default::default() };
    let town = Town::with(options).await?;
    let ask = |method: reqwest::Method, path: &str| {
        let authorization = harness::stack::basic_of("alice");
        let target = format!("{path}?service={}", harness::settings::SERVICE);
        Request::new(method, target).header(reqwest::header::AUTHORIZATION, authorization)
    };
    for path in ["/auth/token", "/auth/token/"] {
        town.anonymous.raw(&ask(reqwest::Method::GET, path)).await?.expect(200)?;
        let preflight = Request::new(reqwest::Method::OPTIONS, path);
        for answer in [
            town.anonymous.raw(&ask(reqwest::Method::DELETE, path)).await?.expect(405)?,
            // From a browser, which asks this before it sends a password.
            town.anonymous.raw(&preflight).await?.expect(200)?,
        ] {
            assert_eq!(answer.needs_header("allow")?, "GET, POST");
        }
    }
    // Nothing else of the token server can be reached this way.
    for path in ["/auth/token/x", "/auth", "/auth/token//", "/auth/token/../account"] {
        town.anonymous.raw(&ask(reqwest::Method::GET, path)).await?.expect(404)?;
    }
    Ok(())
}
