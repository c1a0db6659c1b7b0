//! What takes tokens back, and the life of the database in which that counts. Triggers write it.
//!
//! *Invariant:* a row has the number of the change that it comes from; numbers are compared only within an epoch.

use sqlx::PgExecutor;
use uuid::Uuid;

use super::error::DbError;

/// Takes tokens back of which everything is true that stands here.
#[derive(Clone, Debug, PartialEq)]
pub struct RevocationRow {
    /// Its number in the log of changes.
    pub at: i64,
    /// How many seconds ago it was written, by the clock of the database.
    pub age_seconds: f64,
    /// Whose they are, by the stable id.
    pub subject: Option<Uuid>,
    /// With what they were got.
    pub credential: Option<Uuid>,
    /// Which key signed them.
    pub key: Option<String>,
    /// In which repository they are used.
    pub repository: Option<String>,
    /// Below which name they are used, with its slash; everywhere, if it is empty.
    pub below: Option<String>,
}

/// Those behind a number that are young enough to matter, in order.
pub async fn list_behind(
    db: impl PgExecutor<'_>,
    at: i64,
    kept_seconds: f64,
) -> Result<Vec<RevocationRow>, DbError> {
    let query = sqlx::query_as!(
        RevocationRow,
        r#"select at, extract(epoch from clock_timestamp() - made_at)::float8 as "age_seconds!", subject, credential, key,
                  repository, below
             from revocation
            where at > $1 and made_at > clock_timestamp() - make_interval(secs => $2)
            order by at"#,
        at,
        kept_seconds
    );
    Ok(query.fetch_all(db).await?)
}

/// Removes those that are older, up to a number of them; says how many.
pub async fn delete_older(db: impl PgExecutor<'_>, kept_seconds: f64, at_once: i64) -> Result<u64, DbError> {
    let query = sqlx::query!(
        "delete from revocation
          where at in (select at from revocation
                        where made_at < clock_timestamp() - make_interval(secs => $1)
                        order by made_at limit $2)",
        kept_seconds,
        at_once
    );
    Ok(query.execute(db).await?.rows_affected())
}

/// The life of the database.
pub async fn find_epoch(db: impl PgExecutor<'_>) -> Result<Uuid, DbError> {
    Ok(sqlx::query_scalar!("select epoch from revocation_epoch").fetch_one(db).await?)
}

/// Begins another life if the database was put into another place since, as a backup is; says whether it was. What does
/// not say to which life it belongs is taken back as well.
pub async fn update_epoch_after_restore(db: impl PgExecutor<'_>) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "with begun as (
             update revocation_epoch set epoch = revocation_new_epoch(), life = revocation_life()
              where life <> revocation_life() returning 1),
         noted as (insert into acl_change (kind) select 'revocation' from begun returning seq)
         insert into revocation (at) select seq from noted"
    );
    Ok(query.execute(db).await?.rows_affected() > 0)
}

/// Begins another life in any case, in the same way.
pub async fn update_epoch(db: impl PgExecutor<'_>) -> Result<(), DbError> {
    let query = sqlx::query!(
        "with begun as (update revocation_epoch set epoch = revocation_new_epoch() returning 1),
         noted as (insert into acl_change (kind) select 'revocation' from begun returning seq)
         insert into revocation (at) select seq from noted"
    );
    query.execute(db).await?;
    Ok(())
}

/// What the log of changes says about a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// What tells the row of that number from another one; nothing if there is none.
    pub mark: Option<Uuid>,
    /// Whether only newer rows are left.
    pub is_forgotten: bool,
}

/// Looks a number up in the log of changes.
pub async fn find_log_row(db: impl PgExecutor<'_>, seq: i64) -> Result<LogRow, DbError> {
    let query = sqlx::query_as!(
        LogRow,
        r#"select (select mark from acl_change where seq = $1) as mark,
                  $1 < (select min(seq) from acl_change) as "is_forgotten!""#,
        seq
    );
    Ok(query.fetch_one(db).await?)
}
