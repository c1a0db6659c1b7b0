//! Signing keys, sealed.
//!
//! *Invariant:* between [`lock_signing_keys`] and the end of the transaction no other server creates a key.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::SIGNING_KEY_LOCK;
use super::error::DbError;

/// A key as it is stored.
#[derive(Clone, Debug)]
pub struct SigningKeyRow {
    /// Key id.
    pub kid: String,
    /// The private half, sealed.
    pub sealed_private_key: Vec<u8>,
    /// The certificate for the public half, DER.
    pub certificate: Vec<u8>,
}

/// Waits until no other server is creating a key; held until the transaction ends.
pub async fn lock_signing_keys(db: impl PgExecutor<'_>) -> Result<(), DbError> {
    sqlx::query!("select pg_advisory_xact_lock($1)", SIGNING_KEY_LOCK).execute(db).await?;
    Ok(())
}

/// The key that signs: the newest one.
pub async fn find_signing_key(db: impl PgExecutor<'_>) -> Result<Option<SigningKeyRow>, DbError> {
    let query = sqlx::query_as!(
        SigningKeyRow,
        "select kid, sealed_private_key, certificate from signing_key order by created_at desc, kid limit 1"
    );
    Ok(query.fetch_optional(db).await?)
}

/// Stores a key for ES256.
pub async fn insert_signing_key(
    db: impl PgExecutor<'_>,
    key: &SigningKeyRow,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into signing_key (kid, algorithm, sealed_private_key, certificate, created_at)
         values ($1, 'ES256', $2, $3, $4)",
        key.kid,
        key.sealed_private_key,
        key.certificate,
        now
    );
    query.execute(db).await?;
    Ok(())
}
