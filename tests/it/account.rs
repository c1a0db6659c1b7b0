//! Users change their own password: `PUT /api/v1/account/password` of the token server.
//!
//! *Invariant:* only who knows the current password can set another; then the old one and every login made with it
//! are worth nothing, and no answer repeats either of them.

use harness::actors::Town;
use harness::answer::Answer;
use harness::client::{OciClient, Request, basic};
use harness::settings::SERVICE;
use harness::stack::{basic_of, password_of};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::json;

use crate::refresh_tokens::{redeem, refresh_token};

const NEW: &str = "an entirely new password";

fn address(town: &Town) -> String {
    format!("{}/api/v1/account/password", town.stack.token_server_url())
}

/// What `curl -X PUT -u alice -H 'Content-Type: application/json' -d BODY` sends.
fn put(town: &Town, authorization: &str, body: impl Into<bytes::Bytes>) -> Request {
    Request::new(Method::PUT, address(town))
        .header(AUTHORIZATION, authorization)
        .header(CONTENT_TYPE, "application/json")
        .body(body)
}

async fn change(town: &Town, authorization: &str, new: &str) -> anyhow::Result<Answer> {
    let body = json!({"password": new}).to_string();
    town.anonymous.raw(&put(town, authorization, body)).await
}

/// The sentence of problem details, after a look at their shape.
fn problem(answer: &Answer) -> anyhow::Result<String> {
    anyhow::ensure!(answer.needs_header("content-type")? == "application/problem+json", "{answer}");
    let body = answer.json()?;
    anyhow::ensure!(body["status"] == answer.status && body["title"].is_string(), "{answer}");
    let sentence = body["detail"].as_str().unwrap_or_default().to_owned();
    anyhow::ensure!(sentence.split(' ').count() >= 4, "not a sentence: {answer}");
    Ok(sentence)
}

async fn logs_in(town: &Town, password: &str) -> anyhow::Result<bool> {
    let client = OciClient::new(&town.stack.registry_url(), "alice", password)?;
    Ok(client.login().await?.status == 200)
}

#[tokio::test]
async fn a_user_sets_another_password_and_the_old_one_is_worth_nothing() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let refresh = refresh_token(&town).await?;
    redeem(&town, &refresh, SERVICE).await?.expect(200)?;
    let answer = change(&town, &basic_of("alice"), NEW).await?.expect(204)?;
    assert!(answer.body.is_empty(), "{answer}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(logs_in(&town, NEW).await?, "the new password");
    assert!(!logs_in(&town, &password_of("alice")).await?, "the old password");
    redeem(&town, &refresh, SERVICE).await?.expect_error(401, "UNAUTHORIZED")?;
    change(&town, &basic_of("alice"), "a third password").await?.expect(401)?;
    change(&town, &basic("alice", NEW), "a third password").await?.expect(204)?;
    Ok(())
}

#[tokio::test]
async fn nobody_sets_a_password_without_the_current_one() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let refresh = refresh_token(&town).await?;
    for authorization in [
        basic("alice", "wrong"),
        basic("alice", ""),
        basic("nobody", "wrong"),
        basic("", &refresh),
        basic("<token>", &refresh),
        "Bearer abc".to_owned(),
        "Basic %".to_owned(),
    ] {
        let answer = change(&town, &authorization, NEW).await?.expect(401)?;
        problem(&answer)?;
        assert!(answer.needs_header("www-authenticate")?.starts_with("Basic "), "{answer}");
        assert!(!answer.text().contains(NEW) && !answer.text().contains(&refresh), "{answer}");
    }
    let without = Request::new(Method::PUT, address(&town))
        .header(CONTENT_TYPE, "application/json")
        .body(json!({"password": NEW}).to_string());
    problem(&town.anonymous.raw(&without).await?.expect(401)?)?;
    assert!(logs_in(&town, &password_of("alice")).await?);
    redeem(&town, &refresh, SERVICE).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_password_that_cannot_be_chosen_is_refused_with_a_sentence() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let longest = "x".repeat(1024);
    for (password, word) in [
        ("seven77".to_owned(), "at least"),
        (String::new(), "at least"),
        // Characters count, not bytes.
        ("äöüäöü".to_owned(), "at least"),
        (format!("{longest}x"), "at most"),
        ("with a\nline end".to_owned(), "control"),
        ("with a \u{7f} in it".to_owned(), "control"),
    ] {
        let answer = change(&town, &basic_of("alice"), &password).await?.expect(422)?;
        assert!(problem(&answer)?.contains(word), "{answer}");
        assert!(password.is_empty() || !answer.text().contains(&password), "{answer}");
    }
    assert!(logs_in(&town, &password_of("alice")).await?);
    change(&town, &basic_of("alice"), &longest).await?.expect(204)?;
    assert!(logs_in(&town, &longest).await?);
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_not_the_one_json_object_is_refused() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let alice = basic_of("alice");
    for body in [
        "",
        "{",
        "null",
        "[]",
        r#""an entirely new password""#,
        "{}",
        r#"{"password":7}"#,
        r#"{"password":"an entirely new password","also":1}"#,
        r#"{"password":"an entirely new password"} "#.repeat(2).as_str(),
    ] {
        let answer = town.anonymous.raw(&put(&town, &alice, body.to_owned())).await?.expect(400)?;
        problem(&answer)?;
        assert!(!answer.text().contains(NEW), "{answer}");
    }
    let large = format!(r#"{{"password":"{NEW}"{}}}"#, " ".repeat(17 * 1024));
    problem(&town.anonymous.raw(&put(&town, &alice, large)).await?.expect(413)?)?;
    assert!(logs_in(&town, &password_of("alice")).await?);
    Ok(())
}

#[tokio::test]
async fn only_json_by_put_is_taken_so_that_no_web_page_can_send_it() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let body = json!({"password": NEW}).to_string();
    let authorized = |method| Request::new(method, address(&town)).header(AUTHORIZATION, basic_of("alice"));
    let without = authorized(Method::PUT).body(body.clone());
    problem(&town.anonymous.raw(&without).await?.expect(415)?)?;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json"] {
        let request = without.clone().header(CONTENT_TYPE, kind);
        problem(&town.anonymous.raw(&request).await?.expect(415)?)?;
    }
    for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        let request = authorized(method).header(CONTENT_TYPE, "application/json").body(body.clone());
        let answer = town.anonymous.raw(&request).await?.expect(405)?;
        assert_eq!(answer.needs_header("allow")?, "PUT");
        problem(&answer)?;
        assert!(answer.header("access-control-allow-origin").is_none(), "{answer}");
    }
    assert!(logs_in(&town, &password_of("alice")).await?);
    let with_charset = without.header(CONTENT_TYPE, "application/json; charset=utf-8");
    town.anonymous.raw(&with_charset).await?.expect(204)?;
    Ok(())
}
