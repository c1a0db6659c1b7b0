//! Uploads that outlive their token.
//!
//! *Invariant:* an expired token serves the upload session it began, for an hour, and nothing else.

use std::time::Duration;

use harness::actors::Town;
use harness::client::{Request, uploads, with_digest};
use harness::images::{Blob, noise};
use harness::stack::StackOptions;
use reqwest::Method;

#[tokio::test]
async fn a_slow_upload_outlives_a_sixty_second_token() -> anyhow::Result<()> {
    let town = Town::with(StackOptions { token_lifetime: "60s", ..StackOptions::default() }).await?;
    let blob = Blob::new("application/octet-stream", noise(81, 900));
    // The client keeps its one token, as the classic engine does during an operation.
    let start = Request::new(Method::POST, uploads("platform/app"));
    let challenge = town.anonymous.raw(&start).await?.expect(401)?;
    let challenge = challenge.needs_header("www-authenticate")?;
    let challenge = shared::challenge::BearerChallenge::parse(challenge).expect("a challenge");
    let token = town.alice.token_for(&challenge).await?.expect("a token");
    let mut location =
        town.alice.with_token(&start, &token).await?.expect(202)?.needs_header("location")?.to_owned();
    // Three minutes, a chunk a minute.
    for chunk in 0..3 {
        town.stack.clock.advance(Duration::from_mins(1));
        let body = blob.bytes.slice(chunk * 300..(chunk + 1) * 300);
        let patch = Request::new(Method::PATCH, location).body(body);
        let answer = town.alice.with_token(&patch, &token).await?.expect(202)?;
        location = answer.needs_header("location")?.to_owned();
    }
    town.alice.with_token(&start, &token).await?.expect_error(401, "UNAUTHORIZED")?;
    let put = Request::new(Method::PUT, with_digest(&location, &blob.digest));
    town.alice.with_token(&put, &token).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn the_lease_ends_and_is_for_its_own_session_only() -> anyhow::Result<()> {
    let town = Town::with(StackOptions { token_lifetime: "60s", ..StackOptions::default() }).await?;
    let start = Request::new(Method::POST, uploads("platform/app"));
    let challenge = town.anonymous.raw(&start).await?.expect(401)?;
    let challenge = challenge.needs_header("www-authenticate")?;
    let challenge = shared::challenge::BearerChallenge::parse(challenge).expect("a challenge");
    let token = town.alice.token_for(&challenge).await?.expect("a token");
    let location =
        town.alice.with_token(&start, &token).await?.expect(202)?.needs_header("location")?.to_owned();
    let others = town.admin.start_upload("platform/app").await?;
    town.stack.clock.advance(Duration::from_mins(30));
    town.alice.with_token(&Request::get(location.clone()), &token).await?.expect(204)?;
    town.alice.with_token(&Request::get(others), &token).await?.expect_error(401, "UNAUTHORIZED")?;
    town.alice.with_token(&Request::get("/v2/platform/app/tags/list"), &token).await?.expect(401)?;
    town.stack.clock.advance(Duration::from_mins(32));
    town.alice.with_token(&Request::get(location), &token).await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}

#[tokio::test]
async fn a_session_begun_after_the_token_expired_is_not_leased() -> anyhow::Result<()> {
    let town = Town::with(StackOptions { token_lifetime: "60s", ..StackOptions::default() }).await?;
    let old = {
        let start = Request::new(Method::POST, uploads("platform/app"));
        let answer = town.anonymous.raw(&start).await?;
        let challenge = shared::challenge::BearerChallenge::parse(answer.needs_header("www-authenticate")?);
        town.alice.token_for(&challenge.expect("a challenge")).await?.expect("a token")
    };
    town.stack.clock.advance(Duration::from_mins(5));
    town.alice.forget_tokens();
    let location = town.alice.start_upload("platform/app").await?;
    town.alice.with_token(&Request::get(location), &old).await?.expect_error(401, "UNAUTHORIZED")?;
    Ok(())
}
