//! People sign in at Keycloak, set up as the manual says.
//!
//! *Invariant:* what works with the certified provider works with this one, too: groups, refreshing them, and signing out
//! there.

use harness::actors::Town;
use harness::browser::Browser;
use harness::identity_provider::{CLIENT, SECRET};
use harness::keycloak::{Keycloak, PASSWORD};
use harness::stack::{Port, StackOptions};

use crate::rights::run;

#[tokio::test]
async fn somebody_of_keycloak_signs_in_is_in_the_teams_of_their_groups_and_signs_out() -> anyhow::Result<()> {
    let mut keycloak = Keycloak::reserve()?;
    let more = format!(
        "signon:\n  url: '{{url}}'\n  providers:\n    corp:\n      kind: oidc\n      title: Keycloak\n      issuer: {}\n      \
         clientid: {CLIENT}\n      clientsecret: '{SECRET}'\n      scopes: [openid, profile, offline_access]\n      \
         newusers: create\n      teams: {{devs: platform}}\n",
        keycloak.issuer()
    );
    let options = StackOptions { port: Port::Known, token_server_more: more, ..StackOptions::default() };
    let town = Town::with(options).await?;
    let url = town.stack.token_server_url();
    keycloak.start(&url, "corp").await?;
    // Its own pages need scripts.
    let browser = Browser::start(true).await?;
    browser.open(&format!("{url}/account")).await?;
    browser.press("Keycloak").await?;
    browser.fill("username", "carol").await?;
    browser.fill("password", PASSWORD).await?;
    browser.press("Sign In").await?;
    browser.reads("Carol Acme").await?;
    browser.reads("platform").await?;
    let identities = run(&town.stack, "identity list --output json").await?.success()?.output;
    assert!(identities.contains("\"devs\"") && identities.contains("carol"), "{identities}");
    // Signed out there, and so here.
    browser.press("Sign out carol").await?;
    browser.press("Sign out at Keycloak too").await?;
    browser.reads("User name").await?;
    browser.press("Keycloak").await?;
    browser.fill("username", "carol").await?;
    browser.fill("password", PASSWORD).await?;
    browser.press("Sign In").await?;
    browser.reads("Carol Acme").await?;
    browser.open(&format!("{}/protocol/openid-connect/logout", keycloak.issuer())).await?;
    browser.press("Logout").await?;
    browser.reads("logged out").await?;
    browser.open(&format!("{url}/account")).await?;
    browser.reads("User name").await?;
    browser.close().await
}
