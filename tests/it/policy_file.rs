//! The whole policy in one file: what it would change, that it is applied as a whole or not at all, and that applied
//! again it changes nothing.
//!
//! *Invariant:* what somebody did by hand is told and never taken away.

use harness::actors::Town;
use harness::program::Said;
use harness::stack::Stack;

use crate::rights::{actions, done, run};

const FILE: &str = r"
version: 1
roles:
  deployer: {actions: [list, pull, push], description: Deploys}
teams:
  platform: [alice, team:release]
  release: [bob]
namespaces:
  apps: {owner: team:release, visibility: internal}
grants:
  - {subject: team:platform, role: deployer, pattern: 'platform/**'}
  - {subject: everyone, effect: deny, actions: [tag-update], pattern: 'prod/**', tags: 'v*'}
barriers:
  - {pattern: 'prod/**', actions: [push], reason: releases}
";

async fn policy(stack: &Stack, words: &[&str], file: &str) -> anyhow::Result<Said> {
    let words: Vec<&str> = ["policy"].into_iter().chain(words.iter().copied()).chain(["-"]).collect();
    stack.operator(&words, file).await
}

#[tokio::test]
async fn a_file_is_planned_applied_and_then_changes_nothing() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let planned = policy(stack, &["plan"], FILE).await?.success()?.output;
    for line in [
        "+ role deployer: push,list,pull (Deploys)",
        "= team platform",
        "+ team release",
        "= member of team platform: alice",
        "+ member of team platform: team:release",
        "+ namespace apps: team:release, internal, new repositories by pushers",
        "+ grant team:platform deployer platform/**",
        "+ grant everyone deny tag-update prod/**:v*",
        "+ barrier prod/**: push (releases)",
        "? grant team:platform writer platform/** (made by hand",
    ] {
        assert!(planned.contains(line), "{line}: {planned}");
    }
    assert_eq!(actions(stack, "bob", "platform/app").await?.0, "", "a plan changes nothing");
    policy(stack, &["apply", "--yes"], FILE).await?.success()?;
    assert_eq!(actions(stack, "bob", "platform/app").await?.0, "pull,push");
    assert_eq!(actions(stack, "bob", "apps/x").await?.0, "pull,push,delete");
    let again = policy(stack, &["apply", "--yes"], FILE).await?.success()?;
    assert!(again.text.contains("nothing was done"), "{}", again.text);
    assert_eq!(
        policy(stack, &["plan"], FILE)
            .await?
            .success()?
            .output
            .lines()
            .filter(|l| !l.starts_with('?'))
            .count(),
        0
    );
    let listed = run(stack, "grant list").await?.success()?.output;
    assert!(listed.lines().any(|line| line.contains("deployer") && line.contains("policy")), "{listed}");
    let audit = run(stack, "audit list --event policy_applied").await?.success()?.output;
    assert!(audit.contains("+ role deployer"), "{audit}");
    // What the file no longer says goes; what was made by hand stays.
    let less = FILE.replace("[alice, team:release]", "[alice]").replace("reason: releases", "reason: frozen");
    let less = less.replace("  - {subject: team:platform, role: deployer, pattern: 'platform/**'}\n", "");
    let planned = policy(stack, &["plan"], &less).await?.success()?.output;
    assert!(planned.contains("1 person loses") && planned.contains("on platform/**: bob"), "{planned}");
    let planned = policy(stack, &["apply", "--yes"], &less).await?.success()?.output;
    for line in [
        "- grant team:platform deployer platform/**",
        "- member of team platform: team:release",
        "~ barrier prod/**: push (releases) → barrier prod/**: push (frozen)",
    ] {
        assert!(planned.contains(line), "{line}: {planned}");
    }
    assert_eq!(actions(stack, "bob", "platform/app").await?.0, "");
    assert_eq!(actions(stack, "alice", "platform/app").await?.0, "pull,push", "given by hand");
    Ok(())
}

#[tokio::test]
async fn what_was_exported_is_what_is_stored() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    policy(stack, &["apply", "--yes"], FILE).await?.success()?;
    done(stack, &["grant add user:bob viewer x --expires 2099-01-01T00:00:00Z --network 10.0.0.0/8"]).await?;
    let exported = run(stack, "policy export").await?.success()?.output;
    let planned = policy(stack, &["plan"], &exported).await?.success()?.output;
    assert!(planned.lines().all(|line| line.starts_with("= ")), "{planned}");
    policy(stack, &["apply", "--yes"], &exported).await?.success()?;
    let said = policy(stack, &["drift"], &exported).await?;
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert_eq!(run(stack, "policy export").await?.success()?.output, exported);
    // Somebody's hand is seen.
    for line in ["grant add user:bob viewer y", "barrier remove prod/** --yes"] {
        done(stack, &[line]).await?;
    }
    let said = policy(stack, &["drift"], &exported).await?;
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.output.contains("? grant user:bob viewer y"), "{}", said.output);
    assert!(said.output.contains("+ barrier prod/**"), "{}", said.output);
    Ok(())
}

#[tokio::test]
async fn a_file_with_a_mistake_changes_nothing() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let before = run(stack, "policy export").await?.success()?.output;
    for (file, code, part) in [
        ("version: 1\nteams: {a: [nobody], b: [team:none]}\n", 2, "does not exist: team:none, user:nobody"),
        ("version: 1\ngrants: [{subject: everyone, role: king, pattern: a}]\n", 2, "role king"),
        ("version: 1\nteams: {a: [team:b], b: [team:a]}\n", 1, "nothing was applied"),
        ("version: 1\nteams: {alice: []}\n", 1, "already"),
        ("version: 1\nnamespaces: {alice: {owner: user:bob}}\n", 1, "belongs to user:alice"),
        ("version: 1\nteams: {a: [], x\n", 2, "cannot be read"),
        ("version: 1\nroles: {x: {actions: [fly]}}\n", 2, "roles.x"),
        ("", 2, "cannot be read"),
    ] {
        let said = policy(stack, &["apply", "--yes"], file).await?;
        assert_eq!(said.code, Some(code), "{file}: {}", said.text);
        assert!(said.text.contains(part), "{file}: {}", said.text);
    }
    assert_eq!(run(stack, "policy export").await?.success()?.output, before);
    let said = policy(stack, &["apply"], FILE).await?;
    assert_eq!(said.code, Some(2), "{}", said.text);
    let said = run(stack, "policy drift no-such-file").await?;
    assert_eq!(said.code, Some(2), "{}", said.text);
    Ok(())
}
