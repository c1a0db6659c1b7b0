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
async fn what_goes_along_with_a_namespace_is_said_and_goes() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let with = "version: 1\nteams: {crew: [alice], ops: []}\nnamespaces: {mn: {owner: team:crew}, kept: {owner: team:crew}}\n";
    policy(stack, &["apply", "--yes"], with).await?.success()?;
    done(stack, &["robot add mn/r", "robot secret add mn/r", "grant add robot:mn/r writer shared/**"])
        .await?;
    let member = with.replace("ops: []", "ops: [robot:mn/r]");
    policy(stack, &["apply", "--yes"], &member).await?.success()?;
    // The team goes with its namespace given to another one in the same file.
    let without = "version: 1\nteams: {ops: []}\nnamespaces: {kept: {owner: team:ops}}\n";
    let planned = policy(stack, &["plan"], without).await?.success()?.output;
    for line in [
        "- member of team ops: robot:mn/r",
        "- namespace mn: team:crew",
        "- robot mn/r with 1 secret (goes with its namespace)",
        "- team crew",
        "1 robot loses push,list,pull on shared/**: mn/r",
    ] {
        assert!(planned.contains(line), "{line}: {planned}");
    }
    let json = policy(stack, &["plan", "--output", "json"], without).await?.success()?.output;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    assert_eq!(json["gone_robots"], serde_json::json!([{"robot": "mn/r", "secrets": 1}]));
    // What a file names cannot go with it.
    let named = format!("{without}grants: [{{subject: robot:mn/r, role: viewer, pattern: a}}]\n");
    let said = policy(stack, &["plan"], &named).await?;
    assert_eq!(said.code, Some(2), "{}", said.text);
    assert!(said.text.contains("robot:mn/r, which would go with"), "{}", said.text);
    let named = format!("{without}grants: [{{subject: team:crew, role: viewer, pattern: a}}]\n");
    let said = policy(stack, &["plan"], &named).await?;
    assert!(said.text.contains("does not exist: team:crew"), "{}", said.text);
    let applied = policy(stack, &["apply", "--yes"], without).await?.success()?;
    assert!(applied.output.contains("- robot mn/r"), "{}", applied.output);
    assert_eq!(run(stack, "robot list --output json").await?.success()?.output.trim(), "[]");
    assert_eq!(
        policy(stack, &["drift"], without).await?.code,
        Some(1),
        "the team of the town is made by hand"
    );
    Ok(())
}

#[tokio::test]
async fn what_was_exported_is_what_is_stored() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    policy(stack, &["apply", "--yes"], FILE).await?.success()?;
    done(stack, &["grant add user:bob viewer x --expires 2099-01-01T00:00:00Z --network 10.0.0.0/8"]).await?;
    let exported = run(stack, "policy export").await?.success()?.output;
    assert!(exported.contains("2099-01-01T00:00:00Z"), "{exported}");
    let planned = policy(stack, &["plan"], &exported).await?.success()?.output;
    assert!(planned.contains("until 2099-01-01T00:00:00Z, in 10.0.0.0/8"), "{planned}");
    assert!(planned.lines().all(|line| line.starts_with("= ")), "{planned}");
    policy(stack, &["apply", "--yes"], &exported).await?.success()?;
    let said = policy(stack, &["drift"], &exported).await?;
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert_eq!(run(stack, "policy export").await?.success()?.output, exported);
    // Somebody's hand that did the same is no difference, and is told.
    done(stack, &["barrier remove prod/** --yes", "barrier add prod/** --actions push --reason releases"])
        .await?;
    let said = policy(stack, &["drift"], &exported).await?;
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(said.text.contains("1 row is as the policy says, but made by hand"), "{}", said.text);
    // Somebody's hand is seen.
    let said = run(stack, "grant remove user:bob viewer x --yes").await?;
    assert_eq!(said.code, Some(2), "{}", said.text);
    assert!(said.text.contains("comes from the policy file"), "{}", said.text);
    let said = run(stack, "grant remove team:release owner apps/** --yes").await?;
    assert!(said.text.contains("comes from a namespace"), "{}", said.text);
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
        ("version: 1\nteams: {a: [team:b], b: [team:a]}\n", 4, "nothing was changed"),
        ("version: 1\nteams: {alice: []}\n", 4, "already"),
        ("version: 1\nnamespaces: {alice: {owner: user:bob}}\n", 4, "belongs to user:alice"),
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
    let file = stack.folder().join("latin.yml");
    std::fs::write(&file, b"version: 1\n# M\xfcller\n")?;
    for verb in ["plan", "apply", "drift"] {
        let said = run(stack, &format!("policy {verb} {}", file.display())).await?;
        assert_eq!(said.code, Some(2), "{}", said.text);
        assert!(said.text.contains("latin.yml is not text in UTF-8"), "{}", said.text);
    }
    Ok(())
}
