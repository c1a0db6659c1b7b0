//! Passkeys, with a real browser and a device of its own.
//!
//! *Invariant:* an answer of a device counts once, for the browser, the page and the errand it was asked for.

use std::time::Duration;

use harness::actors::Town;
use harness::answer::Answer;
use harness::browser::Browser;
use harness::client::Request;
use harness::stack::{Port, StackOptions, password_of};
use reqwest::header::CONTENT_SECURITY_POLICY;

use crate::rights::run;

/// A deployment whose address has a name, which passkeys are for.
struct House {
    town: Town,
    url: String,
}

impl House {
    async fn start() -> anyhow::Result<Self> {
        let options = StackOptions {
            port: Port::Known,
            token_server_more: "signon:\n  url: 'http://localhost:{port}'\n".to_owned(),
            ..StackOptions::default()
        };
        let town = Town::with(options).await?;
        let url = town.stack.token_server_url().replace("127.0.0.1", "localhost");
        Ok(Self { town, url })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.town.anonymous.raw(&Request::get(format!("{}{path}", self.town.stack.token_server_url()))).await
    }

    async fn sign_in(&self, browser: &Browser) -> anyhow::Result<()> {
        browser.open(&format!("{}/account", self.url)).await?;
        browser.fill("user", "alice").await?;
        browser.fill("password", &password_of("alice")).await?;
        browser.press("Sign in").await
    }

    /// A browser in which somebody has just added a passkey of its device.
    async fn with_passkey(&self, knows_owner: bool) -> anyhow::Result<(Browser, String)> {
        let browser = Browser::start(true).await?;
        let device = browser.add_authenticator(knows_owner).await?;
        self.sign_in(&browser).await?;
        browser.press("Second factors").await?;
        browser.fill("name", "desk").await?;
        browser.press("Add a passkey").await?;
        browser.reads("Your recovery codes").await?;
        browser.reads("Remove desk").await?;
        Ok((browser, device))
    }

    async fn reasons(&self) -> anyhow::Result<Vec<String>> {
        let logins = self.town.stack.database.db_audit_of("login").await?;
        Ok(logins.into_iter().filter_map(|row| row.reason).collect())
    }
}

/// A script that sends the form of a page with this answer, as if it were that of the device.
fn sending(answer: &str) -> String {
    format!(
        "const form = document.querySelector('form[data-passkey]'); const sent = document.createElement('form'); \
         sent.method = 'post'; sent.action = form.action; form.elements.passkey.value = {}; \
         const button = document.createElement('button'); \
         sent.append(form.elements.form, form.elements.page, form.elements.passkey, button); \
         document.body.append(sent); button.click();",
        serde_json::Value::from(answer)
    )
}

#[tokio::test]
async fn a_passkey_is_added_shown_besides_the_password_and_removed() -> anyhow::Result<()> {
    let house = House::start().await?;
    let (browser, device) = house.with_passkey(false).await?;
    assert_eq!(browser.keys(&device).await?.len(), 1);
    assert_eq!(house.town.alice.login().await?.status, 401);
    browser.press("Sign out alice").await?;
    browser.reads("You are signed out").await?;
    house.sign_in(&browser).await?;
    browser.press("Use a passkey").await?;
    browser.reads("Where else you sign in").await?;
    assert!(house.reasons().await?.iter().any(|reason| reason == "browser, password and passkey"));
    // Another key of the same device is not made, and a second device has one of its own.
    browser.press("Second factors").await?;
    browser.fill("name", "phone").await?;
    browser.press("Add a passkey").await?;
    browser.reads("Nothing came of it").await?;
    // After a while it is shown again before anything changes.
    house.town.stack.clock.advance(Duration::from_mins(11));
    browser.press("Remove desk").await?;
    browser.reads("Show again who you are").await?;
    browser.press("Use a passkey").await?;
    browser.press("Remove desk").await?;
    browser.reads("Set up an app").await?;
    assert!(!browser.text().await?.contains("Recovery codes"), "they go with the last factor");
    assert_eq!(house.town.alice.login().await?.status, 200);
    browser.close().await
}

#[tokio::test]
async fn an_answer_counts_once_and_from_its_own_browser() -> anyhow::Result<()> {
    let house = House::start().await?;
    let (browser, _) = house.with_passkey(true).await?;
    browser.press("Sign out alice").await?;
    browser.reads("You are signed out").await?;
    house.sign_in(&browser).await?;
    browser.reads("Your second factor").await?;
    // The form is kept from being sent, and its fields are read.
    browser
        .run("HTMLFormElement.prototype.submit = function () { document.title = this.elements.passkey.value; };")
        .await?;
    browser.press("Use a passkey").await?;
    let mut answer = String::new();
    for _ in 0..200 {
        answer = browser.run("return document.title").await?.as_str().unwrap_or_default().to_owned();
        if answer.starts_with('{') {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(answer.contains("authenticatorData"), "{answer}");
    // Another browser, in which the password was right as well, was asked something else.
    let other = Browser::start(true).await?;
    house.sign_in(&other).await?;
    other.reads("Your second factor").await?;
    other.run(&sending(&answer)).await?;
    other.reads("that is not right").await?;
    browser.run(&sending(&answer)).await?;
    browser.reads("Where else you sign in").await?;
    // Once more, after the page has asked anew.
    browser.press("Sign out alice").await?;
    browser.reads("You are signed out").await?;
    house.sign_in(&browser).await?;
    browser.reads("Your second factor").await?;
    browser.run(&sending(&answer)).await?;
    browser.reads("that is not right").await?;
    assert!(house.reasons().await?.iter().any(|reason| reason == "passkey_for_another_challenge"));
    other.close().await?;
    browser.close().await
}

#[tokio::test]
async fn a_copied_passkey_is_noticed() -> anyhow::Result<()> {
    let house = House::start().await?;
    let (browser, device) = house.with_passkey(true).await?;
    let copy = browser.keys(&device).await?.remove(0);
    for _ in 0..2 {
        browser.press("Sign out alice").await?;
        browser.reads("You are signed out").await?;
        house.sign_in(&browser).await?;
        browser.press("Use a passkey").await?;
        browser.reads("Where else you sign in").await?;
    }
    let other = Browser::start(true).await?;
    let second = other.add_authenticator(true).await?;
    other.put_key(&second, copy).await?;
    house.sign_in(&other).await?;
    other.press("Use a passkey").await?;
    other.reads("that is not right").await?;
    assert!(house.reasons().await?.iter().any(|reason| reason == "copied_passkey"));
    // A recovery code stays, and whoever runs the server has the last word.
    run(&house.town.stack, "user remove-second-factors alice --yes").await?.success()?;
    house.sign_in(&other).await?;
    other.reads("Where else you sign in").await?;
    other.close().await?;
    browser.close().await
}

#[tokio::test]
async fn only_pages_that_talk_to_passkeys_run_a_script() -> anyhow::Result<()> {
    let house = House::start().await?;
    let script = house.get("/assets/passkeys.js").await?.expect(200)?;
    assert_eq!(script.needs_header("content-type")?, "text/javascript; charset=utf-8");
    let policy = house.get("/signin").await?.expect(200)?;
    let policy = policy.needs_header(CONTENT_SECURITY_POLICY.as_str())?.to_owned();
    assert!(!policy.contains("script-src"), "{policy}");
    // Without scripts the form says what it needs.
    let browser = Browser::start(false).await?;
    house.sign_in(&browser).await?;
    browser.press("Second factors").await?;
    browser.fill("name", "desk").await?;
    browser.press("Add a passkey").await?;
    browser.reads("passkeys need a script").await?;
    browser.close().await
}
