//! The audit record, a page at a time.
//!
//! *Invariant:* all pages show the record of one moment, whatever is added or removed meanwhile, and no more than one
//! page is in memory.

use crate::db::audit::{self, AnchorRow, EventRow, Period};
use crate::db::error::DbError;
use crate::db::{self, Pool, Transaction};

const ROWS_ON_A_PAGE: i64 = 1000;

/// A reader.
pub struct EventPages {
    snapshot: Transaction,
    period: Period,
    last_id: i64,
}

impl EventPages {
    /// Begins with the oldest row.
    pub async fn open(pool: &Pool, period: Period) -> Result<Self, DbError> {
        Ok(Self { snapshot: db::begin_snapshot(pool).await?, period, last_id: i64::MIN })
    }

    /// Where the record begins.
    pub async fn anchor(&mut self) -> Result<AnchorRow, DbError> {
        audit::find_anchor(&mut *self.snapshot).await?.ok_or_else(|| DbError::Inconsistent {
            table: "audit_anchor",
            column: "id",
            value: "no row".to_owned(),
        })
    }

    /// The next rows; none when that were all.
    pub async fn next(&mut self) -> Result<Vec<EventRow>, DbError> {
        let rows =
            audit::list_events_behind(&mut *self.snapshot, self.last_id, self.period, ROWS_ON_A_PAGE).await?;
        self.last_id = rows.last().map_or(self.last_id, |row| row.id);
        Ok(rows)
    }
}
