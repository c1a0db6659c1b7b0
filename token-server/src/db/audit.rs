//! The audit record.
//!
//! *Invariant:* rows are only ever added.

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// One thing worth remembering.
#[derive(Clone, Debug)]
pub struct AuditRow<'a> {
    /// What happened.
    pub event: &'a str,
    /// Who did it.
    pub actor: &'a str,
    /// Stable id of the actor.
    pub actor_uid: Option<Uuid>,
    /// On whom or what.
    pub target: &'a str,
    /// `allowed` or `refused`.
    pub outcome: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
    /// From which address.
    pub address: Option<&'a str>,
    /// With which program.
    pub agent: Option<&'a str>,
}

/// Adds a row.
pub async fn insert_event(
    db: impl PgExecutor<'_>,
    row: &AuditRow<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into audit_event (at, event, actor, actor_uid, target, outcome, reason, address, agent)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        now,
        row.event,
        row.actor,
        row.actor_uid,
        row.target,
        row.outcome,
        row.reason,
        row.address,
        row.agent
    );
    query.execute(db).await?;
    Ok(())
}
