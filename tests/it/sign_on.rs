//! People sign in at a real identity provider with a real browser, which runs no scripts.
//!
//! *Invariant:* who somebody is, is decided by who they are at the provider; what they are given by groups goes with the
//! groups; what ends at the provider ends here.

use std::time::Duration;

use harness::actors::Town;
use harness::browser::Browser;
use harness::client::OciClient;
use harness::identity_provider::{CLIENT, IdentityProvider, SECRET};
use harness::images::Image;
use harness::stack::{Port, StackOptions, password_of};
use serde_json::{Value, json};

use crate::rights::{done, run};

/// A deployment with a provider.
struct Corp {
    town: Town,
    provider: IdentityProvider,
}

const CAROL: &str = "00u-carol";

fn carol(groups: &Value) -> Value {
    json!({
        CAROL: {
            "preferred_username": "carol@acme.example", "name": "Carol <script>alert(1)</script>", "groups": groups
        },
        "00u-alice": {"preferred_username": "alice", "name": "Alice"}
    })
}

impl Corp {
    async fn start() -> anyhow::Result<Self> {
        let mut provider = IdentityProvider::reserve()?;
        provider.set_people(&carol(&json!(["devs", "others"])))?;
        let more = format!(
            "signon:\n  url: '{{url}}'\n  providers:\n    corp:\n      kind: oidc\n      title: Company account\n      \
             issuer: {}\n      clientid: {CLIENT}\n      clientsecret: '{SECRET}'\n      \
             scopes: [openid, profile, groups, offline_access]\n      parameters: {{prompt: consent}}\n      newusers: create\n      \
             teams: {{devs: platform, nobody: platform}}\n",
            provider.issuer()
        );
        let options = StackOptions { port: Port::Known, token_server_more: more, ..StackOptions::default() };
        let town = Town::with(options).await?;
        provider.start(&town.stack.token_server_url(), "corp").await?;
        Ok(Self { town, provider })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.town.stack.token_server_url())
    }

    /// At the provider: says who one is, and that the token server may know it.
    async fn be(&self, browser: &Browser, who: &str) -> anyhow::Result<()> {
        browser.fill("login", who).await?;
        browser.fill("password", "whatever the provider takes").await?;
        browser.press("Sign-in").await?;
        browser.press("Continue").await
    }

    /// From the sign-in page to an account.
    async fn sign_in(&self, browser: &Browser, who: &str) -> anyhow::Result<()> {
        browser.open(&self.url("/account")).await?;
        browser.press("Company account").await?;
        self.be(browser, who).await
    }

    async fn members(&self) -> anyhow::Result<String> {
        Ok(run(&self.town.stack, "team member list platform").await?.success()?.output)
    }

    /// Waits until the server has seen by itself that somebody is in the team, or is not.
    async fn until_member(&self, name: &str, is_member: bool) -> anyhow::Result<()> {
        for _ in 0..120 {
            if self.members().await?.contains(name) == is_member {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        anyhow::bail!(
            "{name} did not come to be, or not to be, in the team: {is_member}; {}",
            self.provider.log()
        )
    }
}

#[tokio::test]
async fn somebody_new_signs_in_at_a_provider_and_makes_a_token_that_works() -> anyhow::Result<()> {
    let corp = Corp::start().await?;
    let browser = Browser::start(false).await?;
    corp.sign_in(&browser, CAROL).await?;
    // A name is a text, whatever is in it.
    browser.reads("Carol <script>alert(1)</script>").await?;
    browser.reads("platform").await?;
    assert_eq!(browser.find("code").await?, "carol");
    browser.press("Access tokens").await?;
    browser.fill("name", "laptop").await?;
    browser.press("Make a token").await?;
    let secret = browser.find("#secret").await?;
    let client = OciClient::new(&corp.town.stack.registry_url(), "carol", &secret)?;
    assert_eq!(client.login().await?.status, 200);
    client.push_image("platform/app", "v1", &Image::new(1, 1, 100)?).await?;
    // It is shown once.
    browser.press("Access tokens").await?;
    browser.reads("laptop").await?;
    assert!(!browser.text().await?.contains(&secret));
    browser.press("Revoke laptop").await?;
    browser.reads("You have none").await?;
    client.forget_tokens();
    assert_eq!(client.login().await?.status, 401);
    browser.press("Logins").await?;
    browser.reads("this browser").await?;
    browser.press("Sign out carol").await?;
    browser.press("Sign out at Company account too").await?;
    browser.press("Yes, sign me out").await?;
    browser.reads("User name").await?;
    browser.open(&corp.url("/account")).await?;
    browser.reads("User name").await?;
    browser.close().await
}

#[tokio::test]
async fn who_signs_out_at_the_provider_is_signed_out_here() -> anyhow::Result<()> {
    let corp = Corp::start().await?;
    let browser = Browser::start(false).await?;
    corp.sign_in(&browser, CAROL).await?;
    browser.reads("Where else you sign in").await?;
    browser.open(&format!("{}/session/end", corp.provider.issuer())).await?;
    browser.press("Yes, sign me out").await?;
    browser.reads("Sign-out Success").await?;
    browser.open(&corp.url("/account")).await?;
    browser.reads("Company account").await?;
    assert!(browser.address().await?.contains("/signin"), "{}", browser.address().await?);
    browser.close().await
}

#[tokio::test]
async fn a_name_that_is_taken_is_linked_by_who_has_it_and_by_nobody_else() -> anyhow::Result<()> {
    let corp = Corp::start().await?;
    let browser = Browser::start(false).await?;
    corp.sign_in(&browser, "00u-alice").await?;
    browser.reads("you are not known here yet").await?;
    let pending = run(&corp.town.stack, "identity pending").await?.success()?.output;
    assert!(pending.contains("00u-alice") && pending.contains("somebody has that name"), "{pending}");
    browser.open(&corp.url("/signin")).await?;
    browser.fill("user", "alice").await?;
    browser.fill("password", &password_of("alice")).await?;
    browser.press("Sign in").await?;
    browser.reads("you sign in with your password").await?;
    // At the provider she is signed in already, and asked what this server may know.
    browser.press("Link Company account").await?;
    browser.press("Continue").await?;
    browser.reads("Unlink corp").await?;
    assert!(!run(&corp.town.stack, "identity pending").await?.success()?.output.contains("00u-alice"));
    browser.press("Sign out alice").await?;
    browser.press("Sign in again").await?;
    browser.press("Company account").await?;
    browser.press("Continue").await?;
    browser.reads("Unlink corp").await?;
    assert_eq!(browser.find("code").await?, "alice");
    // With a password she can do without; browsers in which she signed in with it are signed out.
    browser.press("Unlink corp").await?;
    browser.reads("User name").await?;
    assert!(!run(&corp.town.stack, "identity list").await?.success()?.output.contains("00u-alice"));
    browser.close().await
}

#[tokio::test]
async fn groups_that_end_at_the_provider_end_here_while_nobody_is_there() -> anyhow::Result<()> {
    let mut corp = Corp::start().await?;
    done(&corp.town.stack, &["team add nobody", "user add dave --no-password"]).await?;
    let browser = Browser::start(false).await?;
    corp.sign_in(&browser, CAROL).await?;
    browser.reads("platform").await?;
    browser.close().await?;
    assert!(corp.members().await?.contains("carol"));
    corp.provider.set_people(&carol(&json!(["others"])))?;
    corp.town.stack.clock.advance(Duration::from_hours(2));
    corp.until_member("carol", false).await?;
    let record = run(&corp.town.stack, "audit list --event team_member_removed").await?.success()?.output;
    assert!(record.contains("by a group elsewhere"), "{record}");
    // And back; then the provider is silent for too long.
    corp.provider.set_people(&carol(&json!(["devs"])))?;
    corp.town.stack.clock.advance(Duration::from_hours(2));
    corp.until_member("carol", true).await?;
    corp.provider.stop();
    corp.town.stack.clock.advance(Duration::from_hours(25));
    corp.until_member("carol", false).await
}
