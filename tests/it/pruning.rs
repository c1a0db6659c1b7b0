//! Rows that no server needs any more.
//!
//! *Invariant:* they go whatever decides, what is still needed stays, and what cannot go holds up nothing else.

use std::time::Duration;

use harness::actors::Town;
use harness::program;
use harness::server::{Server, Threaded, Which};
use harness::stack::StackOptions;

/// More changes than are kept, which are more than one statement removes; and of the others one of each kind.
const FILL: &str = "
    insert into acl_change (kind) select 'everything' from generate_series(1, 25000);
    delete from revocation;
    insert into revocation (at, made_at) values (-1, now() - interval '3 hours'), (-2, now() - interval '1 hour');
    insert into login_try (key, wrong, next_at, forgotten_at)
    values ('old', 1, now(), now() - interval '1 minute'), ('new', 1, now(), now() + interval '1 minute')";

/// How many changes are left, and what is left of the others.
const LEFT: &str = "
    select (select count(*) from acl_change),
           (select coalesce(string_agg(at::text, ' '), '') from revocation),
           (select coalesce(string_agg(encode(key, 'escape'), ' '), '') from login_try)";

async fn left(town: &Town) -> anyhow::Result<(i64, String, String)> {
    let mut connection = town.stack.database.db_connect().await?;
    Ok(sqlx::query_as(LEFT).fetch_one(&mut connection).await?)
}

async fn expect_left(town: &Town, expected: (i64, &str, &str)) -> anyhow::Result<()> {
    let outcome = program::until("only what is needed is left", Duration::from_secs(30), || async {
        left(town).await.is_ok_and(|(changes, at, keys)| (changes, at.as_str(), keys.as_str()) == expected)
    });
    let outcome = outcome.await;
    assert!(outcome.is_ok(), "left: {:?}", left(town).await);
    Ok(())
}

#[tokio::test]
async fn what_no_server_needs_any_more_goes_whatever_decides() -> anyhow::Result<()> {
    for source in ["snapshot", "database"] {
        let more = format!("decisions:\n  source: {source}");
        let town = Town::with(StackOptions { token_server_more: more, ..StackOptions::default() }).await?;
        let mut connection = town.stack.database.db_connect().await?;
        sqlx::raw_sql(FILL).execute(&mut connection).await?;
        // Rows that cannot be removed, because somebody holds the table.
        let mut holding = town.stack.database.db_connect().await?;
        sqlx::raw_sql("begin; lock table login_try in exclusive mode").execute(&mut holding).await?;
        let (settings, clock) = (town.stack.token_server_settings(), &town.stack.clock);
        let start = || Threaded::start(Which::TokenServer, settings, clock.clone());
        let one = Server::Thread(start().await?);
        expect_left(&town, (10_001, "-2", "old new")).await?;
        drop(one);
        sqlx::raw_sql("rollback").execute(&mut holding).await?;
        let _two = Server::Thread(start().await?);
        expect_left(&town, (10_001, "-2", "new")).await?;
    }
    Ok(())
}
