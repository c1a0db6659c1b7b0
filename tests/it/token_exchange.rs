//! The exchange of a platform's token for one of ours.
//!
//! *Invariant:* answers and refusals are those of the RFC, and what would be refused as a password is refused here.

use harness::client::Request;
use harness::forge::claims_of;
use harness::settings::SERVICE;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::rights::done;
use crate::trust::{Platform, RULE, github, with};

#[tokio::test]
async fn a_token_is_exchanged_as_the_rfc_says() -> anyhow::Result<()> {
    let platform = Platform::new("").await?.trusted("github").await?;
    let stack = &platform.town.stack;
    done(stack, &[RULE, "grant add workload:app writer ci/**"]).await?;
    let post = async |fields: &[(&str, &str)]| -> anyhow::Result<(u16, Value)> {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::new(Method::POST, format!("{}/token", stack.token_server_url()));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let answer = platform.town.anonymous.raw(&request).await?;
        Ok((answer.status, answer.json()?))
    };
    let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    let kind = ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt");
    let (token, service) = (platform.token(&github())?, ("service", SERVICE));
    let subject = ("subject_token", &*token);
    let scope = ("scope", "repository:ci/app:pull,push");
    let (status, answer) = post(&[grant, kind, subject, service, scope]).await?;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(claims_of(answer["access_token"].as_str().unwrap_or_default())?["sub"], "app");
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!(answer["scope"], "repository:ci/app:pull,push");
    assert_eq!(answer.get("token"), None);
    let expired = platform.token(&with(github(), "exp", json!(1)))?;
    for (fields, part) in [
        (&[grant, kind, service][..], "`subject_token` is missing"),
        (&[grant, subject, service], "`subject_token_type`"),
        (
            &[grant, ("subject_token_type", "urn:ietf:params:oauth:token-type:saml2"), subject],
            "`subject_token_type`",
        ),
        (&[grant, kind, subject, ("username", "alice")], "`username`"),
        (&[grant, kind, subject, ("actor_token", "x")], "`actor_token`"),
        (&[grant, kind, ("subject_token", "secret")], "no signed token"),
        (&[grant, kind, ("subject_token", &*expired), service], "expired"),
    ] {
        let (status, answer) = post(fields).await?;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")), "{part}: {answer}");
        let sentence = answer["error_description"].as_str().unwrap_or_default();
        assert!(sentence.contains(part) && !sentence.contains(&token), "{part}: {sentence}");
        assert_eq!(answer.as_object().map(serde_json::Map::len), Some(2), "{answer}");
    }
    Ok(())
}
