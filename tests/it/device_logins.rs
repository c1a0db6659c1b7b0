//! Programs that wait for somebody to allow them in a browser, reached through the registry's own address, and codes that
//! take the place of a password once.
//!
//! *Invariant:* a program gets a login only if somebody who is signed in said so, once, and only as that user.

use std::time::Duration;

use harness::answer::Answer;
use harness::client::{OciClient, Request, basic};
use harness::settings::SERVICE;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;

use crate::rights::{done, run};
use crate::sign_on_hostile::{Fair, form_token};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A form sent to the token endpoint of the registry, or below it.
async fn form(fair: &Fair, below: &str, fields: &[(&str, &str)]) -> anyhow::Result<Answer> {
    let url = format!("{}/auth/token{below}", fair.town.stack.registry_url());
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request =
        Request::new(Method::POST, url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
    fair.town.anonymous.raw(&request).await
}

pub(crate) struct Waiting {
    pub(crate) device_code: String,
    pub(crate) user_code: String,
}

pub(crate) async fn begin(fair: &Fair) -> anyhow::Result<Waiting> {
    let fields = [("client_id", "a-program"), ("service", SERVICE)];
    let begun = form(fair, "/device", &fields).await?.expect(200)?.json()?;
    let text = |name: &str| begun[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(text("verification_uri"), format!("{}/device", fair.town.stack.token_server_url()));
    assert_eq!(
        text("verification_uri_complete"),
        format!("{}?code={}", text("verification_uri"), text("user_code"))
    );
    assert_eq!((&begun["expires_in"], &begun["interval"]), (&600.into(), &5.into()));
    Ok(Waiting { device_code: text("device_code"), user_code: text("user_code") })
}

pub(crate) async fn poll(fair: &Fair, device_code: &str, client: &str) -> anyhow::Result<Answer> {
    let fields = [
        ("grant_type", GRANT),
        ("device_code", device_code),
        ("client_id", client),
        ("service", SERVICE),
        ("scope", "repository:platform/app:pull,push"),
    ];
    form(fair, "", &fields).await
}

/// What a program is told that may not log in, or not yet.
async fn refused(fair: &Fair, device_code: &str) -> anyhow::Result<String> {
    let said: Value = poll(fair, device_code, "a-program").await?.expect(400)?.json()?;
    Ok(said["error"].as_str().unwrap_or_default().to_owned())
}

pub(crate) async fn decide(fair: &Fair, cookie: &str, code: &str, answer: &str) -> anyhow::Result<Answer> {
    let page = fair.get("/device", cookie).await?.expect(200)?;
    let token = form_token(&page)?;
    fair.post("/device", cookie, &[("form", &token), ("code", code), ("answer", answer)], &[]).await
}

pub(crate) async fn refresh(fair: &Fair, token: &str) -> anyhow::Result<Answer> {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("service", SERVICE)];
    form(fair, "", &fields).await
}

#[tokio::test]
async fn a_program_is_logged_in_as_who_allows_it_and_gives_the_login_back() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let clock = &fair.town.stack.clock;
    let waiting = begin(&fair).await?;
    assert_eq!(refused(&fair, &waiting.device_code).await?, "authorization_pending");
    assert_eq!(refused(&fair, &waiting.device_code).await?, "slow_down");
    clock.advance(Duration::from_secs(6));
    assert_eq!(refused(&fair, &waiting.device_code).await?, "authorization_pending");
    // A stranger is asked to sign in; whoever is signed in sees what asks.
    let asked = fair.get(&format!("/device?code={}", waiting.user_code), "").await?.expect(303)?;
    let code = &waiting.user_code;
    assert_eq!(asked.needs_header("location")?, format!("/signin?page=/device?code={code}"));
    let page = fair.get(asked.needs_header("location")?, "").await?.expect(200)?.text();
    assert!(page.contains(&format!("value=\"/device?code={}\"", waiting.user_code)), "{page}");
    let alice = fair.sign_in("alice").await?;
    let typed = waiting.user_code.to_lowercase().replace('-', "");
    let page = fair.get(&format!("/device?code={typed}"), &alice).await?.expect(200)?.text();
    assert!(page.contains("a-program") && page.contains("127.0.0.1") && page.contains(SERVICE), "{page}");
    // Looking is not allowing.
    clock.advance(Duration::from_secs(6));
    assert_eq!(refused(&fair, &waiting.device_code).await?, "authorization_pending");
    decide(&fair, &alice, &typed, "allow").await?.expect(200)?;
    // Another program cannot take the answer away.
    poll(&fair, &waiting.device_code, "another-program").await?.expect(400)?;
    let issued = poll(&fair, &waiting.device_code, "a-program").await?.expect(200)?.json()?;
    assert_eq!(issued["scope"], "repository:platform/app:pull,push");
    assert_eq!(refused(&fair, &waiting.device_code).await?, "expired_token", "one answer is given once");
    let token = issued["refresh_token"].as_str().unwrap_or_default().to_owned();
    refresh(&fair, &token).await?.expect(200)?;
    let client = OciClient::new(&fair.town.stack.registry_url(), "<token>", &token)?;
    assert_eq!(client.login().await?.status, 200);
    let listed = run(&fair.town.stack, "login list user:alice").await?.success()?.output;
    assert!(listed.contains("a-program"), "{listed}");
    form(&fair, "/revoke", &[("token", &token)]).await?.expect(200)?;
    form(&fair, "/revoke", &[("token", "no token")]).await?.expect(200)?;
    form(&fair, "/revoke", &[]).await?.expect(400)?;
    refresh(&fair, &token).await?.expect(401)?;
    assert!(!run(&fair.town.stack, "login list user:alice").await?.success()?.output.contains("a-program"));
    Ok(())
}

#[tokio::test]
async fn what_is_refused_late_or_of_somebody_disabled_is_no_login() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let alice = fair.sign_in("alice").await?;
    let waiting = begin(&fair).await?;
    decide(&fair, &alice, &waiting.user_code, "refuse").await?.expect(200)?;
    assert_eq!(refused(&fair, &waiting.device_code).await?, "access_denied");
    assert_eq!(refused(&fair, "pcd_none").await?, "expired_token");
    let late = begin(&fair).await?;
    fair.town.stack.clock.advance(Duration::from_mins(10));
    assert_eq!(decide(&fair, &alice, &late.user_code, "allow").await?.status, 422);
    assert_eq!(refused(&fair, &late.device_code).await?, "expired_token");
    let leaver = begin(&fair).await?;
    decide(&fair, &alice, &leaver.user_code, "allow").await?.expect(200)?;
    done(&fair.town.stack, &["user disable alice --yes"]).await?;
    assert_eq!(refused(&fair, &leaver.device_code).await?, "access_denied");
    Ok(())
}

#[tokio::test]
async fn no_address_takes_all_the_places_of_programs_that_wait() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    for _ in 0..100 {
        begin(&fair).await?;
    }
    let fields = [("client_id", "a-program"), ("service", SERVICE)];
    let answer = form(&fair, "/device", &fields).await?.expect(503)?;
    assert!(answer.header("retry-after").is_some(), "{answer}");
    fair.town.stack.clock.advance(Duration::from_mins(10));
    begin(&fair).await?;
    Ok(())
}

#[tokio::test]
async fn codes_are_not_guessed() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let alice = fair.sign_in("alice").await?;
    let waiting = begin(&fair).await?;
    let mut statuses = Vec::new();
    for _ in 0..21 {
        statuses.push(fair.get("/device?code=BBBB-BBBB", &alice).await?.status);
    }
    assert_eq!((statuses.first(), statuses.last()), (Some(&422), Some(&429)), "{statuses:?}");
    // The right one comes too late as well, for her; not for others.
    fair.get(&format!("/device?code={}", waiting.user_code), &alice).await?.expect(429)?;
    let bob = fair.sign_in("bob").await?;
    fair.get(&format!("/device?code={}", waiting.user_code), &bob).await?.expect(200)?;
    Ok(())
}

/// A code in the place of a password, from the page.
pub(crate) async fn login_code(fair: &Fair, cookie: &str) -> anyhow::Result<String> {
    let page = fair.get("/device", cookie).await?.expect(200)?;
    let made = fair.post("/device/code", cookie, &[("form", &form_token(&page)?)], &[]).await?.expect(200)?;
    let text = made.text();
    let code = text.split("<output id=\"secret\">").nth(1).and_then(|rest| rest.split('<').next());
    Ok(code.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_login_code_takes_the_place_of_the_password_once() -> anyhow::Result<()> {
    let fair = Fair::start("create").await?;
    let alice = fair.sign_in("alice").await?;
    let code = login_code(&fair, &alice).await?;
    let log_in = async |user: &str| {
        let url =
            format!("{}/auth/token?service={SERVICE}&offline_token=true", fair.town.stack.registry_url());
        fair.town.anonymous.raw(&Request::get(url).header(AUTHORIZATION, basic(user, &code))).await
    };
    log_in("bob").await?.expect(401)?;
    let issued = log_in("Alice").await?.expect(200)?.json()?;
    let token = issued["refresh_token"].as_str().unwrap_or_default().to_owned();
    refresh(&fair, &token).await?.expect(200)?;
    // Some clients ask twice for one login.
    log_in("alice").await?.expect(200)?;
    fair.town.stack.clock.advance(Duration::from_secs(61));
    log_in("alice").await?.expect(401)?;
    refresh(&fair, &token).await?.expect(200)?;
    Ok(())
}
