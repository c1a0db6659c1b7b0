//! Barriers: put up, list, take away.
//!
//! *Invariant:* what is stored was parsed first, so that every stored barrier means something.

use shared::repository_pattern::RepositoryPattern;

use super::super::barrier::Barrier;
use super::super::error::TokenServerError;
use super::super::record::audit::Event;
use super::super::right::RightSet;
use super::super::words::remark;
use super::expectation::Present;
use super::{Administration, allow};
use crate::db::barriers::{self, BarrierRow};
use crate::db::error::DbError;
use crate::db::{self, Transaction};

/// The most barriers that a listing shows.
const MAX_LISTED: i64 = 10_000;

impl Administration {
    /// Puts a barrier up. Tokens from before live on for at most their lifetime.
    pub async fn add_barrier(
        &self,
        pattern: &RepositoryPattern,
        rights: RightSet,
        reason: Option<&str>,
    ) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        self.insert_barrier(&mut tx, pattern, rights, reason).await?;
        self.record(&mut tx, Event::BarrierAdded, &format!("{pattern} {rights}"), reason).await?;
        Ok(db::commit(tx).await?)
    }

    /// Stores a barrier, if whoever acts may put it up.
    pub(super) async fn insert_barrier(
        &self,
        tx: &mut Transaction,
        pattern: &RepositoryPattern,
        rights: RightSet,
        reason: Option<&str>,
    ) -> Result<(), TokenServerError> {
        remark::check(reason)?;
        let barrier = Barrier::new(pattern.clone(), rights)?;
        let row = BarrierRow {
            pattern: pattern.to_string(),
            rights: rights.to_string(),
            reason: reason.map(str::to_owned),
            created_at: self.clock.now(),
        };
        self.demand(tx, |own| own.demand_barrier(&barrier)).await?;
        barriers::insert_barrier(&mut **tx, &pattern.anchor(), &row).await.map_err(|error| {
            if error.is_conflict_with(barriers::BARRIER_KEY) {
                TokenServerError::AlreadyThere { kind: "barrier around", name: row.pattern.clone() }
            } else {
                error.into()
            }
        })
    }

    /// All barriers, by pattern.
    pub async fn list_barriers(&self) -> Result<Vec<BarrierRow>, TokenServerError> {
        self.demand_sight_of_all("listing all barriers").await?;
        Ok(barriers::list_barriers(&self.pool, MAX_LISTED).await?)
    }

    /// Takes a barrier away.
    pub async fn remove_barrier(&self, pattern: &RepositoryPattern) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        let rights = self.delete_barrier(&mut tx, pattern).await?;
        self.record(&mut tx, Event::BarrierRemoved, &format!("{pattern} {rights}"), None).await?;
        Ok(db::commit(tx).await?)
    }

    /// Removes a barrier, if whoever acts may take it away; says what it kept out.
    pub(super) async fn delete_barrier(
        &self,
        tx: &mut Transaction,
        pattern: &RepositoryPattern,
    ) -> Result<String, TokenServerError> {
        let name = pattern.to_string();
        let own = self.authority(tx).await?;
        // Before anything is told of what is there.
        allow(own.as_ref(), |own| own.demand_administered(pattern))?;
        let Some(row) = barriers::find_barrier(&mut **tx, &pattern.anchor(), &name).await? else {
            return Err(TokenServerError::NotFound { kind: "barrier around", name });
        };
        self.compare(Present::Barrier(&row))?;
        let rights = row.rights;
        barriers::delete_barrier(&mut **tx, &pattern.anchor(), &name).await?;
        let wrong =
            || DbError::Inconsistent { table: "acl_barrier", column: "rights", value: rights.clone() };
        let barrier = Barrier::new(pattern.clone(), RightSet::parse(&rights).map_err(|_| wrong())?)?;
        allow(own.as_ref(), |own| own.demand_barrier(&barrier))?;
        Ok(rights)
    }
}
