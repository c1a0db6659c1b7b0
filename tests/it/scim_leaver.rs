//! Somebody leaves: the provider says so by SCIM, and everything that they have ends.
//!
//! *Invariant:* nothing that was given out before is good after the next answer of the feed.

use std::time::Duration;

use harness::client::{Request, basic};
use harness::images::Image;
use harness::program;
use harness::scim::town;
use harness::settings::SERVICE;
use harness::stack::StackOptions;
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::json;

use crate::rights::{done, run};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn who_leaves_pulls_nothing_any_more() -> anyhow::Result<()> {
    let (town, scim) = town(StackOptions { feed: Some("strict"), ..StackOptions::default() }).await?;
    program::until("the registry follows the feed", SOON, || async {
        let ready = format!("{}/readyz", town.stack.registry_url());
        town.anonymous.raw(&Request::get(ready)).await.is_ok_and(|answer| answer.status == 200)
    })
    .await?;
    town.admin.push_image("platform/app", "v1", &Image::new(891, 1, 1_000)?).await?;
    let user = json!({"userName": "carol", "externalId": "00u-carol"});
    let address = format!("/Users/{}", scim.make("/Users", &user).await?);
    done(&town.stack, &["grant add user:carol viewer platform/**"]).await?;
    let personal = run(&town.stack, "token create user:carol --name laptop").await?.success()?.output;
    let login = basic("carol", personal.trim());
    let ask = |more: &str| {
        let url = town.stack.token_server_url();
        let target = format!("{url}/token?service={SERVICE}&scope=repository:platform/app:pull{more}");
        Request::get(target).header(AUTHORIZATION, login.clone())
    };
    let body = town.anonymous.raw(&ask("")).await?.expect(200)?.json()?;
    let token = body["token"].as_str().unwrap_or_default();
    let manifest = Request::get("/v2/platform/app/manifests/v1").accepting_manifests();
    town.anonymous.with_token(&manifest, token).await?.expect(200)?;
    let leave = json!({"Operations": [{"op": "Replace", "path": "active", "value": "False"}]});
    scim.call(Method::PATCH, &address, &leave).await?.expect(200)?;
    // The token of before, with the next answer of the feed.
    program::until("the token is taken back", SOON, || async {
        town.anonymous.with_token(&manifest, token).await.is_ok_and(|answer| answer.status == 401)
    })
    .await?;
    assert_eq!(town.anonymous.raw(&ask("")).await?.status, 401);
    let told = town.stack.database.db_audit_of("user_disabled").await?;
    assert_eq!(told[0].actor, "scim:corp");
    // Who comes back begins without what was ended.
    let back = json!({"Operations": [{"op": "Replace", "path": "active", "value": "True"}]});
    scim.call(Method::PATCH, &address, &back).await?.expect(200)?;
    assert_eq!(town.anonymous.raw(&ask("")).await?.status, 401);
    town.anonymous.with_token(&manifest, token).await?.expect(401)?;
    Ok(())
}
