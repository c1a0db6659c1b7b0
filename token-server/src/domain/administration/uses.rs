//! What tokens were issued for, and which rights that did not take.
//!
//! *Invariant:* looking changes nothing and leaves no record.

use super::super::error::TokenServerError;
use super::super::least_privilege::{self, Report};
use super::Administration;
use crate::db;
use crate::db::token_uses::{TokenUseFilter, TokenUseRow, list_latest_uses};

impl Administration {
    /// The newest rows of what tokens were issued for, newest last.
    pub async fn list_token_uses(
        &self,
        filter: &TokenUseFilter,
        limit: i64,
    ) -> Result<Vec<TokenUseRow>, TokenServerError> {
        let mut snapshot = db::begin_snapshot(&self.pool).await?;
        let mut rows = list_latest_uses(&mut *snapshot, filter, limit).await?;
        rows.reverse();
        Ok(rows)
    }

    /// Rights that nobody used for so many days, or not all of.
    pub async fn unused_rights(&self, days: u32) -> Result<Report, TokenServerError> {
        least_privilege::report(&self.pool, self.clock.now(), days).await
    }
}
