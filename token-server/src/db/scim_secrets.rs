//! What identity providers show that they are the ones, by the keyed MAC.
//!
//! *Invariant:* a secret itself is never given to the database.

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// A secret as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimSecretRow {
    /// Its number, which is no secret.
    pub id: Uuid,
    /// Whose it is, as the settings name it.
    pub provider: String,
    /// What it is called.
    pub label: Option<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was last used, within a minute.
    pub last_used_at: Option<OffsetDateTime>,
}

/// Reads secrets; the condition says which.
macro_rules! secrets {
    ($condition:literal $(, $($arguments:tt)*)?) => {
        sqlx::query_as!(
            ScimSecretRow,
            "select id, provider, label, created_at, expires_at, last_used_at from scim_secret " + $condition
            $(, $($arguments)*)?
        )
    };
}

/// The secret with that MAC.
pub async fn find_secret(db: impl PgExecutor<'_>, mac: &[u8]) -> Result<Option<ScimSecretRow>, DbError> {
    Ok(secrets!("where mac = $1", mac).fetch_optional(db).await?)
}

/// All of them, or those of one provider, oldest first.
pub async fn list_secrets(
    db: impl PgExecutor<'_>,
    provider: Option<&str>,
) -> Result<Vec<ScimSecretRow>, DbError> {
    let query = secrets!(
        "where $1::text is null or provider = $1 order by provider, created_at, id",
        provider as Option<&str>
    );
    Ok(query.fetch_all(db).await?)
}

/// Stores one.
pub async fn insert_secret(db: impl PgExecutor<'_>, row: &ScimSecretRow, mac: &[u8]) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into scim_secret (id, mac, provider, label, created_at, expires_at) values ($1, $2, $3, $4, $5, $6)",
        row.id,
        mac,
        row.provider,
        row.label,
        row.created_at,
        row.expires_at
    );
    query.execute(db).await?;
    Ok(())
}

/// Notes that one was used.
pub async fn update_used(db: impl PgExecutor<'_>, id: Uuid, now: OffsetDateTime) -> Result<(), DbError> {
    sqlx::query!("update scim_secret set last_used_at = $2 where id = $1", id, now).execute(db).await?;
    Ok(())
}

/// Removes one; says whose it was.
pub async fn delete_secret(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<String>, DbError> {
    let query = sqlx::query_scalar!("delete from scim_secret where id = $1 returning provider", id);
    Ok(query.fetch_optional(db).await?)
}

/// Removes those of a provider that have ended.
pub async fn delete_ended(
    db: impl PgExecutor<'_>,
    provider: &str,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query =
        sqlx::query!("delete from scim_secret where provider = $1 and expires_at <= $2", provider, now);
    query.execute(db).await?;
    Ok(())
}
