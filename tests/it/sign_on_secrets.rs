//! What passes between browsers, providers, programs that wait and this server is looked for where it must not be.
//!
//! *Invariant:* no cookie, code, token or secret is in a log or a record, or in a table as it is; the search is known to
//! find.

use harness::client::{OciClient, Request, basic};
use harness::images::hexadecimal;
use harness::settings::SERVICE;
use harness::stack::{StackOptions, password_of};
use reqwest::header::AUTHORIZATION;
use serde_json::json;

use crate::device_logins::{begin, decide, login_code, poll, refresh};
use crate::sign_on_hostile::{CLIENT_SECRET, CODE, Fair, cookie};

#[tokio::test]
async fn nothing_secret_of_signing_in_is_found_in_logs_or_tables() -> anyhow::Result<()> {
    let debug = "log:\n  level: debug\n".to_owned();
    let options = StackOptions {
        processes: true,
        token_server_more: debug.clone(),
        registry_more: debug,
        ..StackOptions::default()
    };
    let mut fair = Fair::with("create", "", options).await?;
    let mut secrets = vec![("the client's secret", CLIENT_SECRET.to_owned()), ("a code", CODE.to_owned())];

    // At a provider, with a token that is good and one that is not.
    let (answer, token) = fair.visit_with_token(&json!({})).await?;
    secrets.push(("a token of a provider", token));
    let by_provider = cookie(&answer.expect(303)?)?;
    let (refused, token) = fair.visit_with_token(&json!({"aud": "somebody-else"})).await?;
    refused.expect(401)?;
    secrets.push(("a token of a provider for somebody else", token));
    let alice = fair.sign_in("alice").await?;
    secrets.push(("a password", password_of("alice")));
    for (name, cookie) in [("a cookie of a provider", &by_provider), ("a cookie of a password", &alice)] {
        fair.get("/account", cookie).await?.expect(200)?;
        secrets.push((name, cookie.split('=').nth(1).unwrap_or_default().to_owned()));
    }

    // A program that waits, and gives its login back.
    let waiting = begin(&fair).await?;
    fair.get(&format!("/device?code={}", waiting.user_code), &alice).await?.expect(200)?;
    decide(&fair, &alice, &waiting.user_code, "allow").await?.expect(200)?;
    let issued = poll(&fair, &waiting.device_code, "a-program").await?.expect(200)?.json()?;
    let kept = issued["refresh_token"].as_str().unwrap_or_default().to_owned();
    refresh(&fair, &kept).await?.expect(200)?;
    secrets.push(("a code of a program", waiting.device_code));
    secrets.push(("a code for a person", waiting.user_code));
    secrets.push(("a kept login", kept));
    // This one waits on.
    let waiting = begin(&fair).await?;
    secrets.push(("a code of a program that waits", waiting.device_code));
    secrets.push(("a code for a person to come", waiting.user_code));

    // A code in the place of a password.
    let code = login_code(&fair, &alice).await?;
    let url = format!("{}/auth/token?service={SERVICE}", fair.town.stack.registry_url());
    let request = Request::get(url).header(AUTHORIZATION, basic("alice", &code));
    fair.town.anonymous.raw(&request).await?.expect(200)?;
    let registry = fair.town.stack.registry_url();
    assert_eq!(OciClient::new(&registry, "bob", &code)?.login().await?.status, 401);
    secrets.push(("a code in the place of a password", code));

    let stack = &mut fair.town.stack;
    let mut places = stack.database.db_tables().await?;
    places.push(("the log of the token server".to_owned(), stack.token_server.process()?.log()?));
    places.push(("the log of the registry".to_owned(), stack.registry.process()?.log()?));
    // The search is in the right places: what may be there is found in them.
    for (place, word) in [
        ("the log of the token server", "/signin/corp/callback"),
        ("the log of the registry", "/auth/token/device"),
        ("audit_event", "alice"),
        ("browser_session", "127.0.0.1"),
        ("device_login", "a-program"),
    ] {
        let text = places.iter().find(|(name, _)| name == place).map(|(_, text)| text.as_str());
        assert!(text.is_some_and(|text| text.contains(word)), "no {word} in {place}");
    }
    // Binary columns are shown as hexadecimal.
    let is_in =
        |text: &str, secret: &str| text.contains(secret) || text.contains(&hexadecimal(secret.as_bytes()));
    let found: Vec<_> = places
        .iter()
        .flat_map(|place| secrets.iter().map(move |secret| (place, secret)))
        .filter(|((_, text), (_, secret))| is_in(text, secret))
        .map(|((place, _), (name, _))| format!("{name} in {place}"))
        .collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(secrets.iter().all(|(_, secret)| secret.len() > 7), "a secret is too short to be looked for");
    Ok(())
}
