//! Roles that are made, changed and removed on the command line.
//!
//! *Invariant:* a changed role is in the next token of everybody who holds it, and one that is held cannot go.

use harness::actors::Town;

use crate::rights::{actions, done, run};

#[tokio::test]
async fn a_role_counts_as_it_is_now_for_everybody_who_holds_it() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let stack = &town.stack;
    done(
        stack,
        &["role add tester --actions list,pull --description looks", "grant add user:bob tester lab/**"],
    )
    .await?;
    assert_eq!(actions(stack, "bob", "lab/app").await?.0, "pull");
    let listed = run(stack, "role list").await?.success()?.output;
    let row = listed.lines().find(|line| line.starts_with("tester")).unwrap_or_default();
    assert!(row.contains("list,pull") && row.contains("looks"), "{listed}");
    let said = run(stack, "role change tester --actions list,pull,push --yes").await?.success()?;
    assert!(said.text.contains("now allows push,list,pull; 1 grant names it"), "{}", said.text);
    assert_eq!(actions(stack, "bob", "lab/app").await?.0, "pull,push");
    let said = run(stack, "role change tester --actions list,pull,push --yes").await?.success()?;
    assert!(said.text.contains("already"), "{}", said.text);
    done(stack, &["role change tester --actions list --yes"]).await?;
    assert_eq!(actions(stack, "bob", "lab/app").await?.0, "");
    for (line, code, part) in [
        ("role add tester --actions pull", 3, "already"),
        ("role add writer --actions pull", 2, "writer"),
        ("role add other --actions fly", 2, "fly"),
        ("role change tester --actions pull", 2, "--yes"),
        ("role change nobody --actions pull --yes", 3, "nobody"),
        ("role change viewer --actions pull --yes", 2, "built in"),
        ("role remove tester", 2, "--yes"),
        ("role remove tester --yes", 4, "1 grant"),
        ("role remove nobody --yes", 3, "nobody"),
    ] {
        let said = run(stack, line).await?;
        assert_eq!(said.code, Some(code), "{line}: {}", said.text);
        assert!(said.text.contains(part), "{line}: {}", said.text);
    }
    done(stack, &["grant remove user:bob tester lab/** --yes", "role remove tester --yes"]).await?;
    assert!(!run(stack, "role list").await?.success()?.output.contains("tester"));
    Ok(())
}
