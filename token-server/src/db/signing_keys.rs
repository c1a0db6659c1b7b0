//! Signing keys, sealed.
//!
//! *Invariant:* between [`lock_signing_keys`] and the end of the transaction no other server adds or removes a key.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::SIGNING_KEY_LOCK;
use super::error::DbError;

/// The primary key of the table.
pub const KEY_KEY: &str = "signing_key_pkey";

/// A key as it is stored.
#[derive(Clone, Debug)]
pub struct SigningKeyRow {
    /// Key id.
    pub kid: String,
    /// `ES256` or `RS256`.
    pub algorithm: String,
    /// `generated` or `imported`.
    pub origin: String,
    /// The private half, sealed.
    pub sealed_private_key: Vec<u8>,
    /// The certificate for the public half, DER.
    pub certificate: Vec<u8>,
    /// From when on it may sign.
    pub signs_since: OffsetDateTime,
}

/// Waits until no other server is adding or removing a key; held until the transaction ends.
pub async fn lock_signing_keys(db: impl PgExecutor<'_>) -> Result<(), DbError> {
    sqlx::query!("select pg_advisory_xact_lock($1)", SIGNING_KEY_LOCK).execute(db).await?;
    Ok(())
}

/// All keys, the one that may sign last first.
pub async fn list_signing_keys(db: impl PgExecutor<'_>) -> Result<Vec<SigningKeyRow>, DbError> {
    let query = sqlx::query_as!(
        SigningKeyRow,
        "select kid, algorithm, origin, sealed_private_key, certificate, signs_since
           from signing_key order by signs_since desc, kid"
    );
    Ok(query.fetch_all(db).await?)
}

/// Their ids and times, in the same order.
pub async fn list_key_ids(db: impl PgExecutor<'_>) -> Result<Vec<(String, OffsetDateTime)>, DbError> {
    let query = sqlx::query!("select kid, signs_since from signing_key order by signs_since desc, kid");
    Ok(query.fetch_all(db).await?.into_iter().map(|row| (row.kid, row.signs_since)).collect())
}

/// Removes a key; says whether it was there.
pub async fn delete_signing_key(db: impl PgExecutor<'_>, kid: &str) -> Result<bool, DbError> {
    let query = sqlx::query!("delete from signing_key where kid = $1", kid);
    Ok(query.execute(db).await?.rows_affected() > 0)
}

/// Stores a key; one that is there already is a conflict with [`KEY_KEY`].
pub async fn insert_signing_key(
    db: impl PgExecutor<'_>,
    key: &SigningKeyRow,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into signing_key (kid, algorithm, origin, sealed_private_key, certificate, signs_since, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        key.kid,
        key.algorithm,
        key.origin,
        key.sealed_private_key,
        key.certificate,
        key.signs_since,
        now
    );
    query.execute(db).await?;
    Ok(())
}
