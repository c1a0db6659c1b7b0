//! The log of what changed about rights, which servers follow. Triggers write it.
//!
//! *Invariant:* numbers become visible in their order, and only the oldest rows go; so whoever has read up to a row
//! that is still there has missed nothing.

use sqlx::PgExecutor;
use uuid::Uuid;

use super::error::DbError;

/// Where servers are told that there is something new.
pub const CHANNEL: &str = "acl_change";

/// The last row that somebody has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Its number.
    pub seq: i64,
    /// What tells it from a row of the same number in another history of the database.
    pub mark: Uuid,
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRow {
    /// Its number.
    pub seq: i64,
    /// What tells it from another of the same number.
    pub mark: Uuid,
    /// `everything`, `principal`, `member`, `grant`, `barrier`, `role` or `namespace`.
    pub kind: String,
    /// Which row, if it has a number.
    pub id: Option<i64>,
    /// Which row, or where it stands.
    pub name: Option<String>,
}

/// The last row there is.
pub async fn find_position(db: impl PgExecutor<'_>) -> Result<Position, DbError> {
    let query = sqlx::query_as!(Position, "select seq, mark from acl_change order by seq desc limit 1");
    Ok(query.fetch_one(db).await?)
}

/// The number of the last row there is.
pub async fn find_last(db: impl PgExecutor<'_>) -> Result<i64, DbError> {
    let query = sqlx::query_scalar!("select seq from acl_change order by seq desc limit 1");
    Ok(query.fetch_one(db).await?)
}

/// The rows from this number on, in order, up to a number of them.
pub async fn list_changes_from(
    db: impl PgExecutor<'_>,
    seq: i64,
    limit: i64,
) -> Result<Vec<ChangeRow>, DbError> {
    let query = sqlx::query_as!(
        ChangeRow,
        "select seq, mark, kind, id, name from acl_change where seq >= $1 order by seq limit $2",
        seq,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// Removes the oldest rows, but never one of the newest, up to a number of them; says how many.
pub async fn delete_older_changes(db: impl PgExecutor<'_>, keep: i64, at_once: i64) -> Result<u64, DbError> {
    let query = sqlx::query!(
        "delete from acl_change
          where seq in (select seq from acl_change
                         where seq < (select seq from acl_change order by seq desc offset $1 limit 1)
                         order by seq limit $2)",
        keep,
        at_once
    );
    Ok(query.execute(db).await?.rows_affected())
}
