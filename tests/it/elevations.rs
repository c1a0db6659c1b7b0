//! Rights for a while: asked for, given by somebody else, over by themselves, and taken in an emergency.
//!
//! *Invariant:* no token outlives the right it rests on, and no emergency goes unnoticed.

use std::time::Duration;

use harness::actors::Town;
use harness::api::Api;
use harness::program;
use harness::server::Server;
use harness::stack::{Stack, StackOptions};
use serde_json::json;

use crate::rights::{actions, claims, done, run};

const RIGHTS: &str = "pull,push";

/// The number of a new request.
async fn asked(stack: &Stack, line: &str) -> anyhow::Result<String> {
    Ok(run(stack, line).await?.success()?.output.trim().to_owned())
}

#[tokio::test]
async fn what_is_asked_for_is_given_for_a_while_and_tokens_end_with_it() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let id = asked(stack, "elevation request user:bob writer prod/app --for 2h --reason CHG-17").await?;
    assert_eq!(actions(stack, "bob", "prod/app").await?.0, "", "asking is not having");
    let listed = run(stack, "elevation list").await?.success()?.output;
    assert!(listed.contains(&id) && listed.contains("requested") && listed.contains("CHG-17"), "{listed}");
    let said = run(stack, &format!("elevation approve {id} --reason fine")).await?.success()?;
    assert!(said.text.contains("until"), "{}", said.text);
    assert_eq!(actions(stack, "bob", "prod/app").await?.0, RIGHTS);
    let listed = run(stack, "grant list").await?.success()?.output;
    assert!(listed.contains("elevation") && listed.contains("until 20"), "{listed}");
    // A minute before the end a token lives a minute, and then there is none.
    stack.clock.advance(Duration::from_mins(119));
    let claims = claims(stack, "bob", harness::settings::SERVICE, "repository:prod/app:pull,push").await?;
    assert!(claims.exp - claims.iat.unwrap_or_default() <= 60, "{claims:?}");
    stack.clock.advance(Duration::from_mins(1));
    assert_eq!(actions(stack, "bob", "prod/app").await?.0, "");
    let said = run(stack, &format!("elevation approve {id}")).await?;
    assert_eq!(said.code, Some(4), "once is enough: {}", said.text);
    assert!(run(stack, "elevation list --all").await?.success()?.output.contains(&id));
    Ok(())
}

#[tokio::test]
async fn a_request_is_refused_taken_back_or_ended_early() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let line = "elevation request user:bob writer prod/app --tags pr-* --for 1d --reason test";
    let refused = asked(stack, line).await?;
    done(stack, &[&format!("elevation deny {refused} --reason no")]).await?;
    assert_eq!(run(stack, &format!("elevation approve {refused}")).await?.code, Some(4));
    let withdrawn = asked(stack, line).await?;
    done(stack, &[&format!("elevation end {withdrawn} --yes")]).await?;
    assert_eq!(run(stack, &format!("elevation approve {withdrawn}")).await?.code, Some(4));
    let given = asked(stack, line).await?;
    done(stack, &[&format!("elevation approve {given}")]).await?;
    assert_eq!(actions(stack, "bob", "prod/app").await?.0, RIGHTS);
    done(stack, &[&format!("elevation end {given} --yes")]).await?;
    assert_eq!(actions(stack, "bob", "prod/app").await?.0, "");
    let audit = run(stack, "audit list").await?.success()?.output;
    for event in ["elevation_requested", "elevation_denied", "elevation_approved", "elevation_ended"] {
        assert!(audit.contains(event), "{event}: {audit}");
    }
    for (line, code) in [
        ("elevation request user:bob writer prod/app --for 2h", 2),
        ("elevation request user:bob writer prod/app --for 1s --reason x", 2),
        ("elevation request user:bob writer prod/app --for 90d --reason x", 2),
        ("elevation request team:platform writer prod/app --for 2h --reason x", 2),
        ("elevation request user:bob king prod/app --for 2h --reason x", 3),
        ("elevation request user:nobody writer prod/app --for 2h --reason x", 3),
        ("elevation approve 00000000-0000-0000-0000-000000000000", 3),
        ("elevation break-glass user:bob prod/** --reason fire", 2),
    ] {
        let said = run(stack, line).await?;
        assert_eq!(said.code, Some(code), "{line}: {}", said.text);
    }
    Ok(())
}

#[tokio::test]
async fn a_broken_glass_gives_everything_for_an_hour_and_is_told() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    done(
        stack,
        &[
            "barrier add prod/** --actions push,delete",
            "elevation break-glass user:admin prod/** --reason fire --yes",
        ],
    )
    .await?;
    assert_eq!(actions(stack, "admin", "prod/app").await?.0, "pull,push,delete");
    let audit = run(stack, "audit list --event glass_broken").await?.success()?.output;
    assert!(audit.contains("user:admin owner prod/**") && audit.contains("fire"), "{audit}");
    let listed = run(stack, "elevation list").await?.success()?.output;
    assert!(listed.contains("glass broken"), "{listed}");
    stack.clock.advance(Duration::from_hours(1));
    assert_eq!(actions(stack, "admin", "prod/app").await?.0, "pull");
    Ok(())
}

#[tokio::test]
async fn the_server_that_breaks_the_glass_logs_an_error() -> anyhow::Result<()> {
    let town = Town::with(StackOptions { processes: true, ..StackOptions::default() }).await?;
    let api = Api::of(&town.stack).await?;
    let fire = json!({"pattern": "prod/**", "reason": "a fire"});
    api.post("admin", "/elevations/break-glass", &fire).await?.expect(201)?;
    let Server::Process(server) = &town.stack.token_server else { anyhow::bail!("a process was asked for") };
    program::until("the error is logged", Duration::from_secs(30), || async {
        server.log().is_ok_and(|log| log.contains("the glass was broken"))
    })
    .await?;
    let log = server.log()?;
    let line = log.lines().find(|line| line.contains("the glass was broken")).unwrap_or_default();
    for part in ["ERROR", "admin", "prod/**", "a fire"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    Ok(())
}
