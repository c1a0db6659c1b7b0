//! Namespaces: what their owner holds, who sees them, who makes repositories in them, and whose name they have.
//!
//! *Invariant:* what a namespace gives stands in the list of grants, and goes with it.

use harness::actors::Town;
use harness::images::Image;
use harness::stack::{Stack, StackOptions};
use serde_json::Value;

use crate::docker_auth::{corpus, report};
use crate::rights::{actions, done, run};

#[tokio::test]
async fn a_namespace_is_its_owners_and_as_visible_as_they_like() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let everything = "pull,push,delete".to_owned();
    done(stack, &["namespace add shop --owner user:bob"]).await?;
    assert_eq!(actions(stack, "bob", "shop/app").await?, (everything.clone(), String::new()));
    assert_eq!(actions(stack, "alice", "shop/app").await?.0, "");
    let listed = run(stack, "grant list").await?.success()?.output;
    assert!(listed.contains("owner") && listed.contains("shop/**"), "{listed}");
    done(stack, &["namespace change shop --visibility internal"]).await?;
    assert_eq!(actions(stack, "alice", "shop/app").await?.0, "pull");
    done(stack, &["namespace change shop --visibility public --owner team:platform --yes"]).await?;
    assert_eq!(actions(stack, "bob", "shop/app").await?.0, "pull");
    assert_eq!(actions(stack, "alice", "shop/app").await?.0, everything);
    let listed = run(stack, "namespace list").await?.success()?.output;
    assert!(listed.contains("team:platform") && listed.contains("public"), "{listed}");
    let said = run(stack, "namespace change shop --visibility public").await?.success()?;
    assert!(said.text.contains("was already"), "{}", said.text);
    // What was given by hand stays when the namespace goes.
    done(stack, &["grant add everyone viewer shop/**", "namespace change shop --visibility private --yes"])
        .await?;
    assert_eq!(actions(stack, "bob", "shop/app").await?.0, "pull");
    done(stack, &["grant remove everyone viewer shop/** --yes"]).await?;
    let said = run(stack, "grant remove team:platform owner shop/** --yes").await?;
    assert_eq!(said.code, Some(2), "what belongs to a namespace changes with it: {}", said.text);
    done(stack, &["namespace remove shop --yes"]).await?;
    assert_eq!(actions(stack, "alice", "shop/app").await?.0, "");
    assert!(!run(stack, "grant list").await?.success()?.output.contains("shop"));
    Ok(())
}

#[tokio::test]
async fn a_name_means_one_party() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    done(stack, &["namespace add shop --owner user:bob", "namespace add platform --owner team:platform"])
        .await?;
    for (line, code, part) in [
        ("team add shop", 4, "belongs to user:bob"),
        ("namespace add alice --owner user:bob", 4, "belongs to user:alice"),
        ("namespace add shop --owner user:bob", 3, "already"),
        ("namespace add other --owner everyone", 2, "a user or a team"),
        ("namespace add other --owner nobody", 2, "write its owner as user:NAME or team:NAME"),
        ("namespace change shop --owner robot:shop/ci", 2, "not to robot:shop/ci"),
        ("namespace add other --owner user:nobody", 3, "no user nobody"),
        ("namespace add a..b --owner user:bob", 2, "cannot begin"),
        ("namespace add a/b --owner user:bob", 2, "letters"),
        ("namespace change shop", 2, "--owner"),
        ("namespace change nowhere --visibility public", 3, "no namespace"),
        ("namespace remove shop", 2, "--yes"),
        ("team remove platform --yes", 4, "owns the namespace platform;"),
    ] {
        let said = run(stack, line).await?;
        assert_eq!(said.code, Some(code), "{line}: {}", said.text);
        assert!(said.text.contains(part), "{line}: {}", said.text);
    }
    Ok(())
}

#[tokio::test]
async fn new_repositories_are_made_by_those_who_may() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    let image = Image::new(851, 1, 1000)?;
    done(
        stack,
        &["namespace add shop --owner user:bob --create admins", "grant add user:alice writer shop/**"],
    )
    .await?;
    let (_, limits) = actions(stack, "alice", "shop/new").await?;
    assert!(limits.contains(r#""create":{"in":["*"]}"#) && !limits.contains("\"new\""), "{limits}");
    let refused = town.alice.push_image("shop/new", "v1", &image).await.unwrap_err().to_string();
    assert!(refused.contains("alice may not create the repository shop/new"), "{refused}");
    assert!(
        !stack.images().join("docker/registry/v2/repositories/shop/new").exists(),
        "nothing is left of it"
    );
    let bob = stack.client("bob")?;
    bob.push_image("shop/new", "v1", &image).await?;
    town.alice.push_image("shop/new", "v2", &image).await?;
    let said = run(stack, "explain user:alice repository-create shop/other").await?;
    assert_eq!(said.code, Some(1), "{}", said.text);
    assert!(said.output.contains("kept out by the namespace shop"), "{}", said.output);
    done(stack, &["namespace change shop --create nobody"]).await?;
    bob.forget_tokens();
    assert!(bob.push_image("shop/third", "v1", &image).await.is_err());
    bob.push_image("shop/new", "v3", &image).await?;
    done(stack, &["namespace change shop --create pushers"]).await?;
    town.alice.forget_tokens();
    town.alice.push_image("shop/third", "v1", &image).await?;
    Ok(())
}

#[tokio::test]
async fn every_new_user_gets_a_namespace_where_that_is_wanted() -> anyhow::Result<()> {
    let more = "namespaces: {personal: true}\n".to_owned();
    let town = Town::with(StackOptions { token_server_more: more, ..StackOptions::default() }).await?;
    let stack = &town.stack;
    let everything = "pull,push,delete".to_owned();
    assert_eq!(actions(stack, "bob", "bob/app").await?, (everything, String::new()));
    assert_eq!(actions(stack, "alice", "bob/app").await?.0, "");
    let listed = run(stack, "namespace list").await?.success()?.output;
    assert!(listed.contains("user:alice") && listed.contains("user:bob"), "{listed}");
    Ok(())
}

#[tokio::test]
async fn so_does_every_user_who_is_taken_over_and_the_report_tells_what_that_gives() -> anyhow::Result<()> {
    let more = "namespaces: {personal: true}\n".to_owned();
    let stack = Stack::with(StackOptions { token_server_more: more, ..StackOptions::default() }).await?;
    let (planned, code) = report(&stack, &corpus("two-people"), &[]).await?;
    let differs = |found: &&Value| found["who"] == "bob" && found["repository"] == "bob/app";
    let differences = planned["differences"].as_array().cloned().unwrap_or_default();
    assert!(code == Some(1) && differences.iter().any(|found| differs(&found)), "{planned:#}");
    report(&stack, &corpus("two-people"), &["--apply"]).await?;
    let everything = "pull,push,delete".to_owned();
    assert_eq!(actions(&stack, "bob", "bob/app").await?, (everything, String::new()));
    assert_eq!(actions(&stack, "bob", "other/app").await?.0, "pull");
    let listed = run(&stack, "namespace list").await?.success()?.output;
    assert!(listed.contains("user:admin") && listed.contains("user:bob"), "{listed}");
    let audit = run(&stack, "audit list --event namespace_added").await?.success()?.output;
    assert!(audit.contains("bob") && audit.contains("private"), "{audit}");
    // What was taken over is found to be the same.
    assert_eq!(
        report(&stack, &corpus("two-people"), &["--apply"]).await?.0["users"][1]["state"],
        "already there"
    );
    Ok(())
}
