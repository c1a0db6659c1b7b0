//! Letting go of old records.
//!
//! *Invariant:* only the oldest rows are removed, so that the chain of the rest stays whole; a removal and its record
//! are one transaction; where nothing is removed, nothing is recorded.

use std::sync::Arc;
use std::time::Duration;

use shared::clock::Clock;
use shared::server::causes;
use time::OffsetDateTime;

use super::super::words::counted::counted;
use super::audit::{self, Event, Origin, Outcome, Record, SYSTEM};
use super::token_uses;
use crate::db::error::DbError;
use crate::db::{self, Pool, audit as rows};

/// Rows that one statement removes, so that none takes long.
const ROWS_AT_ONCE: i64 = 10_000;

const INTERVAL: Duration = Duration::from_hours(1);

/// How often the clock is looked at; it may be set forward.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Removes the rows before this moment; says how many.
pub async fn prune(
    pool: &Pool,
    clock: &dyn Clock,
    actor: &str,
    before: OffsetDateTime,
) -> Result<u64, DbError> {
    let mut tx = db::begin(pool).await?;
    rows::hold_anchor(&mut tx).await?;
    let (mut removed, mut behind) = (0, i64::MIN);
    // Rows that are gone are not looked at again: until the end of the transaction they are in the way.
    while let Some(last) = rows::find_last_older(&mut *tx, behind, before, ROWS_AT_ONCE).await? {
        rows::update_anchor(&mut *tx, last).await?;
        removed += rows::delete_events(&mut *tx, behind, last).await?;
        behind = last;
    }
    if removed > 0 {
        let record = Record {
            event: Event::AuditPruned,
            actor,
            actor_uid: None,
            target: &format!("before {}", audit::moment(before)),
            outcome: Outcome::Allowed(Some(&counted(removed, "row", "rows"))),
        };
        audit::record(&mut *tx, clock, &Origin::default(), record).await?;
    }
    db::commit(tx).await?;
    Ok(removed)
}

/// Removes what is older than this, also of what tokens were issued for, once an hour, until it is dropped. Several servers that do so do no harm.
pub async fn keep_pruning(pool: Pool, clock: Arc<dyn Clock>, retention: Duration) {
    let mut due = clock.now();
    loop {
        let now = clock.now();
        if now >= due {
            due = now + INTERVAL;
            match prune(&pool, &*clock, SYSTEM, now - retention).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "old rows of the audit record were removed"),
                Err(error) => {
                    let error = causes::sentence(&error);
                    tracing::error!(error, "old rows of the audit record were not removed");
                }
            }
            if let Err(error) = token_uses::prune(&pool, now - retention).await {
                let error = causes::sentence(&error);
                tracing::error!(error, "old counts of uses of tokens were not removed");
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
