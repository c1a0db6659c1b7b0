//! Many who change rights at the same time, or one who takes long.
//!
//! *Invariant:* who cannot have a turn is told to come back, with the true reason, and nothing is
//! changed; whoever only asks for a token or looks does not wait for them.

use harness::actors::Town;
use harness::api::Api;
use harness::stack::Stack;
use serde_json::json;
use sqlx::PgConnection;

use crate::api::code;

/// The number by which changes exclude each other. ("pacl" in ASCII.)
const CHANGE_LOCK: i64 = 0x7061_636c;

/// Keeps everybody from changing rights until it is dropped.
pub(crate) async fn hold(stack: &Stack) -> anyhow::Result<PgConnection> {
    let mut connection = stack.database.db_connect().await?;
    sqlx::query("select pg_advisory_lock($1)").bind(CHANGE_LOCK).execute(&mut connection).await?;
    Ok(connection)
}

#[tokio::test]
async fn changes_wait_for_each_other_and_tokens_for_none() -> anyhow::Result<()> {
    let town = Town::start().await?;
    let api = Api::of(&town.stack).await?;
    let holder = hold(&town.stack).await?;
    // More than there are connections.
    let changes = (0..30).map(|number| {
        let right = json!({"subject": "user:bob", "role": "viewer", "pattern": format!("other/{number}")});
        let api = &api;
        async move { api.post("admin", "/grants", &right).await?.expect(503) }
    });
    let changes = futures_util::future::try_join_all(changes);
    let others = async {
        for _ in 0..20 {
            town.alice.forget_tokens();
            town.alice.login().await?.expect(200)?;
            api.get("admin", "/grants").await?.expect(200)?;
        }
        anyhow::Ok(())
    };
    let (refusals, ()) = tokio::try_join!(changes, others)?;
    for refused in refusals {
        assert_eq!(code(&refused)?, "busy");
        refused.needs_header("retry-after")?;
        assert!(refused.text().contains("others are changing rights"), "{refused}");
    }
    drop(holder);
    assert_eq!(api.all("admin", "/grants?subject=user:bob", 100).await?.len(), 0);
    let right = json!({"subject": "user:bob", "role": "viewer", "pattern": "other/0"});
    api.post("admin", "/grants", &right).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn a_command_says_that_others_change_something_and_one_that_only_looks_does_not_wait()
-> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let file = stack.folder().join("policy.yml");
    let exported = stack.operator(&["policy", "export"], "").await?.success()?;
    std::fs::write(&file, exported.output)?;
    let file = file.to_string_lossy().into_owned();
    let _holder = hold(&stack).await?;
    let said = stack.operator(&["team", "add", "late"], "").await?;
    assert_eq!(said.code, Some(4), "{}", said.text);
    assert!(said.text.contains("somebody else is changing"), "{}", said.text);
    for look in [&["policy", "export"][..], &["policy", "drift", &file], &["grant", "list"]] {
        let said = stack.operator(look, "").await?;
        assert!(matches!(said.code, Some(0 | 1)), "{look:?}: {}", said.text);
    }
    Ok(())
}
