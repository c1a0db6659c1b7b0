//! Barriers: put up, list, take away.
//!
//! *Invariant:* what is stored was parsed first, so that every stored barrier means something.

use shared::repository_pattern::RepositoryPattern;
use time::OffsetDateTime;

use super::super::audit::Event;
use super::super::barrier::Barrier;
use super::super::error::TokenServerError;
use super::super::right::RightSet;
use super::Administration;
use crate::db::barriers::{self, BarrierRow};
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
        let mut tx = db::begin(&self.pool).await?;
        insert(&mut tx, pattern, rights, reason, self.clock.now()).await?;
        self.record(&mut tx, Event::BarrierAdded, &format!("{pattern} {rights}"), reason).await?;
        Ok(db::commit(tx).await?)
    }

    /// All barriers, by pattern.
    pub async fn list_barriers(&self) -> Result<Vec<BarrierRow>, TokenServerError> {
        Ok(barriers::list_barriers(&self.pool, MAX_LISTED).await?)
    }

    /// Takes a barrier away.
    pub async fn remove_barrier(&self, pattern: &RepositoryPattern) -> Result<(), TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let rights = delete(&mut tx, pattern).await?;
        self.record(&mut tx, Event::BarrierRemoved, &format!("{pattern} {rights}"), None).await?;
        Ok(db::commit(tx).await?)
    }
}

/// Stores a barrier.
pub(super) async fn insert(
    tx: &mut Transaction,
    pattern: &RepositoryPattern,
    rights: RightSet,
    reason: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), TokenServerError> {
    Barrier::new(pattern.clone(), rights)?;
    let row = BarrierRow {
        pattern: pattern.to_string(),
        rights: rights.to_string(),
        reason: reason.map(str::to_owned),
        created_at: now,
    };
    barriers::insert_barrier(&mut **tx, &pattern.anchor(), &row).await.map_err(|error| {
        if error.is_conflict_with(barriers::BARRIER_KEY) {
            TokenServerError::AlreadyThere { kind: "barrier around", name: row.pattern.clone() }
        } else {
            error.into()
        }
    })
}

/// Removes a barrier; says what it kept out.
pub(super) async fn delete(
    tx: &mut Transaction,
    pattern: &RepositoryPattern,
) -> Result<String, TokenServerError> {
    let name = pattern.to_string();
    let removed = barriers::delete_barrier(&mut **tx, &pattern.anchor(), &name).await?;
    removed.ok_or(TokenServerError::NotFound { kind: "barrier around", name })
}
