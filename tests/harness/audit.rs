//! The audit record of the token server, read where an operator reads it: in the database.
//!
//! *Invariant:* rows come in the order in which they were written.

use sqlx::Row as _;

use crate::database::Database;

/// One row of `audit_event`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// What happened.
    pub event: String,
    /// Who did it.
    pub actor: String,
    /// Whether the actor is known by a stable id.
    pub actor_is_known: bool,
    /// On whom or what.
    pub target: String,
    /// `allowed` or `refused`.
    pub outcome: String,
    /// Why.
    pub reason: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// With which program.
    pub agent: Option<String>,
}

impl AuditRow {
    /// Event, actor, target, outcome and reason, for comparing rows at a glance.
    pub fn summary(&self) -> [&str; 5] {
        [&self.event, &self.actor, &self.target, &self.outcome, self.reason.as_deref().unwrap_or_default()]
    }
}

impl Database {
    /// Every row of the audit record.
    pub async fn db_audit(&self) -> anyhow::Result<Vec<AuditRow>> {
        let mut connection = self.db_connect().await?;
        let query = "select event, actor, actor_uid is not null, target, outcome, reason, address, agent \
                     from audit_event order by id";
        let rows = sqlx::query(query).fetch_all(&mut connection).await?;
        rows.iter()
            .map(|row| {
                Ok(AuditRow {
                    event: row.try_get(0)?,
                    actor: row.try_get(1)?,
                    actor_is_known: row.try_get(2)?,
                    target: row.try_get(3)?,
                    outcome: row.try_get(4)?,
                    reason: row.try_get(5)?,
                    address: row.try_get(6)?,
                    agent: row.try_get(7)?,
                })
            })
            .collect()
    }

    /// The rows of one event.
    pub async fn db_audit_of(&self, event: &str) -> anyhow::Result<Vec<AuditRow>> {
        Ok(self.db_audit().await?.into_iter().filter(|row| row.event == event).collect())
    }

    /// Every row as it lies in the table, all columns, as JSON.
    pub async fn db_audit_text(&self) -> anyhow::Result<String> {
        let mut connection = self.db_connect().await?;
        let query = "select coalesce(string_agg(to_jsonb(a)::text, E'\\n'), '') from audit_event a";
        Ok(sqlx::query_scalar(query).fetch_one(&mut connection).await?)
    }
}
