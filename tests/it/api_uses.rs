//! What tokens were issued for, and which rights were not used, over the API.
//!
//! *Invariant:* the API says what the commands say, to those who may read it.

use std::time::Duration;

use anyhow::Context as _;
use harness::program;
use serde_json::json;
use sqlx::Executor as _;

use crate::api_delegation::{command, refused, town_of_owners};
use crate::rights::actions;

#[tokio::test]
async fn what_was_used_and_what_was_not_is_listed_as_by_the_command_line() -> anyhow::Result<()> {
    let (town, api) = town_of_owners().await?;
    let stack = &town.stack;
    for (user, repository) in [("alice", "platform/app"), ("alice", "platform/base"), ("admin", "shop/app")] {
        actions(stack, user, repository).await?;
    }
    let is_written = || async {
        let Ok(mut connection) = stack.database.db_connect().await else { return false };
        let query = "select coalesce(sum(uses), 0)::bigint from token_use";
        let total: Result<i64, _> = sqlx::query_scalar(query).fetch_one(&mut connection).await;
        total.is_ok_and(|total| total == 3)
    };
    program::until("uses are written", Duration::from_mins(1), is_written).await?;
    let mut listed = api.all("admin", "/audit/tokens", 1).await?;
    assert_eq!(listed.len(), 3, "{listed:?}");
    listed.reverse();
    assert_eq!(json!(listed), command(&town, "audit tokens").await?);
    let of_alice = api.all("admin", "/audit/tokens?user=ALICE&repository=base", 10).await?;
    assert_eq!((of_alice.len(), &of_alice[0]["repository"]), (1, &json!("platform/base")));
    assert!(api.all("admin", "/audit/tokens?user=anonymous", 10).await?.is_empty());
    refused(&api.get("alice", "/audit/tokens").await?, 403, "not_delegated", "audit-read on all of **")?;
    let right = json!({"subject": "user:alice", "actions": ["audit-read"], "pattern": "**"});
    api.post("admin", "/grants", &right).await?.expect(201)?;
    assert_eq!(api.all("alice", "/audit/tokens", 2).await?.len(), 3);

    let answer = api.get("admin", "/unused-grants").await?;
    refused(&answer, 422, "uses_not_known", "nothing can be said of 90 days")?;
    for days in ["0", "3651", "x"] {
        let answer = api.get("admin", &format!("/unused-grants?days={days}")).await?;
        refused(&answer, 422, "bad_parameter", "a number from 1 to 3650")?;
    }
    let mut connection = stack.database.db_connect().await?;
    for statement in [
        "update acl_grant set created_at = created_at - interval '100 days'",
        "update token_use_start set since = since - interval '100 days'",
    ] {
        connection.execute(statement).await?;
    }
    let mut commanded = command(&town, "grant unused --days 30").await?;
    let rows = commanded.as_array_mut().context("no list")?;
    rows.sort_by_key(|row| row["id"].as_i64());
    for row in rows {
        // These are for a terminal.
        assert!(row.as_object_mut().and_then(|row| row.remove("commands")).is_some(), "{row}");
    }
    let unused = api.all("admin", "/unused-grants?days=30", 1).await?;
    // Not those of who holds everything, and of alice to read the record: tokens do not show whether they are needed.
    assert_eq!(unused.len(), 2, "{unused:?}");
    assert_eq!(json!(unused), commanded);
    refused(&api.get("alice", "/unused-grants").await?, 403, "not_delegated", "`*` on `**`")?;
    Ok(())
}
