//! The audit record: list, read as a whole, verify, prune.
//!
//! *Invariant:* reading leaves no record, removing does.

use time::OffsetDateTime;

use super::super::audit::COMMAND_LINE;
use super::super::audit_chain::{self, KnownHashes, Verdict};
use super::super::audit_pages::EventPages;
use super::super::audit_retention;
use super::super::error::TokenServerError;
use super::super::token_uses;
use super::Administration;
use crate::db;
use crate::db::audit::{self, EventFilter, EventRow, Period};

/// What was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// Rows of the audit record.
    pub events: u64,
    /// Rows of what tokens were issued for.
    pub token_uses: u64,
}

impl Administration {
    /// The newest rows, newest last.
    pub async fn list_events(
        &self,
        filter: &EventFilter,
        limit: i64,
    ) -> Result<Vec<EventRow>, TokenServerError> {
        let mut snapshot = db::begin_snapshot(&self.pool).await?;
        let mut rows = audit::list_latest_events(&mut *snapshot, filter, limit).await?;
        rows.reverse();
        Ok(rows)
    }

    /// All rows of a time, in order.
    pub async fn open_events(&self, period: Period) -> Result<EventPages, TokenServerError> {
        Ok(EventPages::open(&self.pool, period).await?)
    }

    /// Whether the record is as it was written.
    pub async fn verify_events(&self, known: &KnownHashes) -> Result<Verdict, TokenServerError> {
        Ok(audit_chain::verify(&self.pool, known).await?)
    }

    /// Removes the rows before this moment.
    pub async fn prune_events(&self, before: OffsetDateTime) -> Result<Pruned, TokenServerError> {
        let events = audit_retention::prune(&self.pool, &*self.clock, COMMAND_LINE, before).await?;
        Ok(Pruned { events, token_uses: token_uses::prune(&self.pool, before).await? })
    }
}
