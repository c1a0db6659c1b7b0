//! Everything that can hold a right: the rows of `principal`.
//!
//! *Invariant:* deleted principals are not found by name; their row stays because records refer to it.

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// `everyone`, fixed by the first migration.
pub const EVERYONE: i64 = 1;

/// `authenticated`, fixed by the first migration.
pub const AUTHENTICATED: i64 = 2;

/// The unique index on names.
pub const NAME_KEY: &str = "principal_name_key";

/// `kind` of a user.
pub const USER: &str = "user";

/// `kind` of a team.
pub const TEAM: &str = "team";

/// Number of the living principal of that kind and name.
pub async fn find_principal(db: impl PgExecutor<'_>, kind: &str, name: &str) -> Result<Option<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "select pid from principal where kind = $1 and name = $2 and deleted_at is null",
        kind,
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// The same, and it stays alive until the transaction ends, so that nothing is attached to what is being deleted.
pub async fn find_principal_held(
    db: impl PgExecutor<'_>,
    kind: &str,
    name: &str,
) -> Result<Option<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "select pid from principal where kind = $1 and name = $2 and deleted_at is null for share",
        kind,
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// Adds a principal and returns its number; a taken name is a conflict with [`NAME_KEY`].
pub async fn insert_principal(
    db: impl PgExecutor<'_>,
    kind: &str,
    name: &str,
    uid: Uuid,
    now: OffsetDateTime,
) -> Result<i64, DbError> {
    let query = sqlx::query_scalar!(
        "insert into principal (uid, kind, name, created_at) values ($1, $2, $3, $4) returning pid",
        uid,
        kind,
        name,
        now
    );
    Ok(query.fetch_one(db).await?)
}

/// Deletes the living principal of that kind and name, which frees the name; returns its number. Waits for
/// transactions that hold it by [`find_principal_held`].
pub async fn update_deleted(
    db: impl PgExecutor<'_>,
    kind: &str,
    name: &str,
    now: OffsetDateTime,
) -> Result<Option<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "update principal set deleted_at = $3
          where kind = $1 and name = $2 and deleted_at is null returning pid",
        kind,
        name,
        now
    );
    Ok(query.fetch_optional(db).await?)
}
