//! What tokens were issued for, and which rights that did not take.
//!
//! *Invariant:* looking changes nothing and leaves no record.

use super::super::error::TokenServerError;
use super::super::record::least_privilege::{self, Report};
use super::Administration;
use super::pages::{Page, one_more, page};
use crate::db;
use crate::db::token_uses::{TokenUseFilter, TokenUsePlace, TokenUseRow, list_latest_uses, list_uses_before};

impl Administration {
    /// The newest rows of what tokens were issued for, newest last.
    pub async fn list_token_uses(
        &self,
        filter: &TokenUseFilter,
        limit: i64,
    ) -> Result<Vec<TokenUseRow>, TokenServerError> {
        self.demand_audit("seeing what tokens were issued for").await?;
        let mut snapshot = db::begin_snapshot(&self.pool).await?;
        let mut rows = list_latest_uses(&mut *snapshot, filter, limit).await?;
        rows.reverse();
        Ok(rows)
    }

    /// The same before a row, newest first; without one, the newest.
    pub async fn page_of_token_uses(
        &self,
        filter: &TokenUseFilter,
        before: Option<&TokenUsePlace>,
        limit: usize,
    ) -> Result<Page<TokenUseRow, TokenUsePlace>, TokenServerError> {
        self.demand_audit("seeing what tokens were issued for").await?;
        let found = list_uses_before(&self.pool, filter, before, one_more(limit)).await?;
        Ok(page(found, limit, TokenUseRow::place))
    }

    /// Rights that nobody used for so many days, or not all of.
    pub async fn unused_rights(&self, days: u32) -> Result<Report, TokenServerError> {
        self.demand_sight_of_all("finding rights that nobody uses").await?;
        least_privilege::report(&self.pool, self.clock.now(), days).await
    }
}
