//! The audit record: list, read as a whole, verify, prune.
//!
//! *Invariant:* reading leaves no record, removing does; whoever may not read all of it reads of nobody else.

use shared::repository_pattern::RepositoryPattern;
use time::OffsetDateTime;

use super::super::error::TokenServerError;
use super::super::grant_subject::spelled;
use super::super::record::audit::COMMAND_LINE;
use super::super::record::audit_chain::{self, KnownHashes, Verdict};
use super::super::record::audit_pages::EventPages;
use super::super::record::audit_retention;
use super::super::record::token_uses;
use super::super::right::Right;
use super::Administration;
use super::pages::Page;
use crate::db;
use crate::db::audit::{self, About, EventFilter, EventRow, Period};
use crate::db::principals::{ROBOT, USER};

/// What was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// Rows of the audit record.
    pub events: u64,
    /// Rows of what tokens were issued for.
    pub token_uses: u64,
}

/// How many rows a page looks at: more than anybody reads, and done in some milliseconds.
const LOOKED_AT: i64 = 20_000;

impl Administration {
    /// The newest rows, newest last.
    pub async fn list_events(
        &self,
        filter: &EventFilter,
        limit: i64,
    ) -> Result<Vec<EventRow>, TokenServerError> {
        self.demand_audit("reading the audit record").await?;
        let mut snapshot = db::begin_snapshot(&self.pool).await?;
        let mut rows = audit::list_latest_events(&mut *snapshot, filter, limit).await?;
        rows.reverse();
        Ok(rows)
    }

    /// Rows before one, newest first; without one, the newest. A page looks at so many rows at most, so it can have
    /// few items or none although there are more. Whoever may not read the record reads what is about themselves.
    pub async fn page_of_events(
        &self,
        mut filter: EventFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Page<EventRow, i64>, TokenServerError> {
        match self.demand_audit("reading the audit record").await {
            Err(TokenServerError::NotDelegated(_)) => filter.about = Some(self.about_oneself()),
            outcome => outcome?,
        }
        let Some((oldest, newest)) = audit::find_ends(&self.pool).await? else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let before = before.unwrap_or(newest + 1).clamp(oldest, newest + 1);
        let wanted = i64::try_from(limit).unwrap_or(i64::MAX);
        let items = audit::list_events_before(&self.pool, &filter, before, LOOKED_AT, wanted).await?;
        let is_full = items.len() >= limit;
        let reached = match items.last() {
            Some(last) if is_full => last.id,
            _ => before.saturating_sub(LOOKED_AT),
        };
        Ok(Page { items, next: (reached > oldest).then_some(reached) })
    }

    /// Whoever acts, as records have them.
    fn about_oneself(&self) -> About {
        let name = self.actor.name().to_owned();
        let kind = if self.actor.robot().is_some() { ROBOT } else { USER };
        About { uid: self.actor.uid().unwrap_or_default(), spelled: spelled(kind, &name), name }
    }

    /// Lets through who may read the record.
    pub(super) async fn demand_audit(&self, what: &'static str) -> Result<(), TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let sight = self.sight(&mut tx).await?;
        Ok(sight.demand(what, Right::AuditRead, &RepositoryPattern::all())?)
    }

    /// All rows of a time, in order.
    pub async fn open_events(&self, period: Period) -> Result<EventPages, TokenServerError> {
        self.demand_audit("reading the audit record").await?;
        Ok(EventPages::open(&self.pool, period).await?)
    }

    /// Whether the record is as it was written.
    pub async fn verify_events(&self, known: &KnownHashes) -> Result<Verdict, TokenServerError> {
        self.demand_audit("reading the audit record").await?;
        Ok(audit_chain::verify(&self.pool, known).await?)
    }

    /// Removes the rows before this moment.
    pub async fn prune_events(&self, before: OffsetDateTime) -> Result<Pruned, TokenServerError> {
        let events = audit_retention::prune(&self.pool, &*self.clock, COMMAND_LINE, before).await?;
        Ok(Pruned { events, token_uses: token_uses::prune(&self.pool, before).await? })
    }
}
