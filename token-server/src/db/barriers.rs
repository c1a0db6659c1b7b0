//! Barriers: where rights from above stop.
//!
//! *Invariant:* there is one row for a pattern.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::error::DbError;
use super::places::AnchorRange;

/// The key of the table.
pub const BARRIER_KEY: &str = "acl_barrier_key";

/// A barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarrierRow {
    /// Below which rows from above do not count.
    pub pattern: String,
    /// For which rights, with commas between them.
    pub rights: String,
    /// Why it was put up, in somebody's words.
    pub reason: Option<String>,
    /// When.
    pub created_at: OffsetDateTime,
}

/// Those at these anchors.
pub async fn list_barriers_at(
    db: impl PgExecutor<'_>,
    anchors: &[String],
) -> Result<Vec<BarrierRow>, DbError> {
    let query = sqlx::query_as!(
        BarrierRow,
        "select pattern, rights, reason, created_at from acl_barrier where anchor = any($1)",
        anchors
    );
    Ok(query.fetch_all(db).await?)
}

/// A barrier and the anchor at which it stands.
#[derive(Clone, Debug)]
pub struct PlacedBarrier {
    /// The indexable part of the pattern.
    pub anchor: String,
    /// Below which rows from above do not count.
    pub pattern: String,
    /// For which rights, with commas between them.
    pub rights: String,
}

/// All of them, or those at these anchors.
pub async fn list_placed(
    db: impl PgExecutor<'_>,
    anchors: Option<&[String]>,
) -> Result<Vec<PlacedBarrier>, DbError> {
    let query = sqlx::query_as!(
        PlacedBarrier,
        "select anchor, pattern, rights from acl_barrier
          where $1::text[] is null or anchor = any($1) order by anchor, pattern",
        anchors
    );
    Ok(query.fetch_all(db).await?)
}

/// All, by pattern, up to a number.
pub async fn list_barriers(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<BarrierRow>, DbError> {
    let query = sqlx::query_as!(
        BarrierRow,
        "select pattern, rights, reason, created_at from acl_barrier order by pattern limit $1",
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// The one around this pattern.
pub async fn find_barrier(
    db: impl PgExecutor<'_>,
    anchor: &str,
    pattern: &str,
) -> Result<Option<BarrierRow>, DbError> {
    let query = sqlx::query_as!(
        BarrierRow,
        "select pattern, rights, reason, created_at from acl_barrier where anchor = $1 and pattern = $2",
        anchor,
        pattern
    );
    Ok(query.fetch_optional(db).await?)
}

/// Those at anchors of a range behind one of them, in order, up to a number.
pub async fn list_barriers_behind(
    db: impl PgExecutor<'_>,
    range: &AnchorRange,
    anchor: &str,
    limit: i64,
) -> Result<Vec<BarrierRow>, DbError> {
    let query = sqlx::query_as!(
        BarrierRow,
        "select pattern, rights, reason, created_at from acl_barrier
          where anchor >= $1 and anchor < $2 and anchor > $3 order by anchor limit $4",
        range.from,
        range.to,
        anchor,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// Puts one up; one that is there already is a conflict with [`BARRIER_KEY`].
pub async fn insert_barrier(
    db: impl PgExecutor<'_>,
    anchor: &str,
    barrier: &BarrierRow,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into acl_barrier (anchor, pattern, rights, reason, created_at) values ($1, $2, $3, $4, $5)",
        anchor,
        barrier.pattern,
        barrier.rights,
        barrier.reason,
        barrier.created_at
    );
    query.execute(db).await?;
    Ok(())
}

/// Takes one away; says what it kept out.
pub async fn delete_barrier(
    db: impl PgExecutor<'_>,
    anchor: &str,
    pattern: &str,
) -> Result<Option<String>, DbError> {
    let query = sqlx::query_scalar!(
        "delete from acl_barrier where anchor = $1 and pattern = $2 returning rights",
        anchor,
        pattern
    );
    Ok(query.fetch_optional(db).await?)
}
