//! Robots: whose they are, what they log in with, and how that ends.
//!
//! *Invariant:* a robot holds what it was given and nothing because of whose it is.

use std::time::Duration;

use harness::actors::Town;
use harness::client::OciClient;
use harness::images::Image;
use harness::stack::Stack;

use crate::rights::{done, run};

/// A secret and its number, as the command prints them.
async fn made(stack: &Stack, line: &str) -> anyhow::Result<(String, String)> {
    let said = run(stack, line).await?.success()?;
    let number =
        said.text.split("secret ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    Ok((said.output.trim().to_owned(), number.to_owned()))
}

fn robot(stack: &Stack, secret: &str) -> anyhow::Result<OciClient> {
    OciClient::new(&stack.registry_url(), "platform/ci", secret)
}

async fn town() -> anyhow::Result<Town> {
    let town = Town::start().await?;
    done(
        &town.stack,
        &[
            "namespace add platform --owner team:platform",
            "robot add platform/ci --description pipelines",
            "grant add robot:platform/ci publisher platform/**",
        ],
    )
    .await?;
    Ok(town)
}

#[tokio::test]
async fn a_robot_pushes_with_its_secret_and_does_no_more_than_it_may() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    let (secret, _) = made(stack, "robot secret add platform/ci --label main").await?;
    assert!(secret.starts_with("pcb_") && secret.len() == 53, "one secret, alone on standard output");
    let (ci, image) = (robot(stack, &secret)?, Image::new(861, 1, 1000)?);
    ci.login().await?.expect(200)?;
    ci.push_image("platform/app", "v1", &image).await?;
    ci.pull_image("platform/app", "v1", &image).await?;
    let other = Image::new(862, 1, 1000)?;
    let refused = ci.push_image("platform/app", "v1", &other).await.unwrap_err().to_string();
    assert!(refused.contains("platform/ci may not move the tag v1"), "{refused}");
    assert!(ci.push_image("other/app", "v1", &image).await.is_err());
    let listed = run(stack, "robot list platform").await?.success()?.output;
    assert!(listed.contains("platform/ci") && listed.contains("pipelines"), "{listed}");
    let may = run(stack, "who-can push platform/app").await?.success()?.output;
    assert!(may.contains("robot:platform/ci"), "{may}");
    run(stack, "explain robot:platform/ci push platform/app:v2").await?.success()?;
    // Robots are in teams like people, and `authenticated` like everybody who logged in.
    done(
        stack,
        &["team add crew", "team member add crew robot:platform/ci", "grant add team:crew writer crew/**"],
    )
    .await?;
    ci.push_image("crew/app", "v1", &image).await?;
    assert!(run(stack, "team member list crew").await?.success()?.output.contains("robot:platform/ci"));
    let audit = run(stack, "audit list").await?.success()?.output;
    assert!(audit.contains("robot_secret_added") && !audit.contains(&secret), "{audit}");
    Ok(())
}

#[tokio::test]
async fn two_secrets_make_a_rotation_and_each_ends_by_itself() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    let (old, number) = made(stack, "robot secret add platform/ci --expires 30d").await?;
    let (new, _) = made(stack, "robot secret add platform/ci --expires 90d").await?;
    let said = run(stack, "robot secret add platform/ci").await?;
    assert_eq!(said.code, Some(4), "{}", said.text);
    assert!(said.text.contains("two secrets"), "{}", said.text);
    for secret in [&old, &new] {
        robot(stack, secret)?.login().await?.expect(200)?;
    }
    let listed = run(stack, "robot secret list platform/ci").await?.success()?.output;
    assert!(listed.contains(&number) && !listed.contains(&old), "{listed}");
    done(stack, &[&format!("robot secret revoke {number} --yes")]).await?;
    robot(stack, &old)?.login().await?.expect(401)?;
    robot(stack, &new)?.login().await?.expect(200)?;
    let said = run(stack, &format!("robot secret revoke {number} --yes")).await?;
    assert_eq!(said.code, Some(3), "{}", said.text);
    stack.clock.advance(Duration::from_hours(24 * 91));
    robot(stack, &new)?.login().await?.expect(401)?;
    Ok(())
}

#[tokio::test]
async fn a_robot_ends_with_its_owner_or_before() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    let (secret, _) = made(stack, "robot secret add platform/ci").await?;
    let login = async |code| robot(stack, &secret)?.login().await?.expect(code).map(drop);
    for (line, code) in [("robot disable platform/ci --yes", 401), ("robot enable platform/ci", 200)] {
        done(stack, &[line]).await?;
        login(code).await?;
    }
    // One that belongs to a user goes quiet with the user.
    done(stack, &["robot add bob/helper", "grant add robot:bob/helper viewer platform/app"]).await?;
    let (helper, _) = made(stack, "robot secret add bob/helper").await?;
    let helper = OciClient::new(&stack.registry_url(), "bob/helper", &helper)?;
    helper.login().await?.expect(200)?;
    done(stack, &["user disable bob --yes"]).await?;
    helper.forget_tokens();
    helper.login().await?.expect(401)?;
    let said = run(stack, "namespace remove platform --yes").await?.success()?;
    assert!(said.text.contains("1 robot and"), "{}", said.text);
    login(401).await?;
    assert!(!run(stack, "grant list").await?.success()?.output.contains("platform/ci"));
    // A robot of the same name begins with nothing.
    done(stack, &["namespace add platform --owner team:platform", "robot add platform/ci"]).await?;
    login(401).await?;
    Ok(())
}

#[tokio::test]
async fn what_is_no_robot_and_no_secret_is_refused() -> anyhow::Result<()> {
    let town = town().await?;
    let stack = &town.stack;
    let (secret, _) = made(stack, "robot secret add platform/ci").await?;
    done(stack, &["robot add platform/other"]).await?;
    for (user, password) in [
        ("platform/ci", "wrong"),
        ("platform/ci", &secret[..52]),
        ("platform/other", &secret),
        ("platform/none", &secret),
        ("alice", &secret),
        ("platform/ci/x", &secret),
    ] {
        OciClient::new(&stack.registry_url(), user, password)?.login().await?.expect(401)?;
    }
    // A secret of a robot is no login that lasts, and the name may be typed in capitals like any other.
    OciClient::new(&stack.registry_url(), "<token>", &secret)?.login().await?.expect(401)?;
    OciClient::new(&stack.registry_url(), "Platform/CI", &secret)?.login().await?.expect(200)?;
    for (line, code) in [
        ("robot add ci", 2),
        ("robot add nobody/ci", 3),
        ("robot add platform/ci", 3),
        ("robot add platform/a/b", 2),
        ("robot remove platform/none --yes", 3),
        ("robot remove platform/ci", 2),
        ("robot secret add platform/none", 3),
        ("robot secret add platform/ci --expires 2020-01-01T00:00:00Z", 2),
        ("robot secret revoke not-a-number --yes", 2),
        ("grant add robot:platform/none viewer a", 3),
    ] {
        let said = run(stack, line).await?;
        assert_eq!(said.code, Some(code), "{line}: {}", said.text);
    }
    Ok(())
}
