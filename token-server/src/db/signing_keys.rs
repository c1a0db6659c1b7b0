//! Signing keys, sealed, and what is left of retired ones.
//!
//! Keys for all registries and keys for those that ask for an algorithm are in two tables, so that servers of the
//! release before do not meet the latter; here they are one list.
//!
//! *Invariant:* between [`lock_signing_keys`] and the end of the transaction no other server adds, changes or removes a
//! key. A retired key has no private half.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::SIGNING_KEY_LOCK;
use super::error::DbError;

/// A key as it is stored.
#[derive(Clone, Debug)]
pub struct SigningKeyRow {
    /// Key id.
    pub kid: String,
    /// `ES256`, `RS256` or `EdDSA`.
    pub algorithm: String,
    /// `generated` or `imported`.
    pub origin: String,
    /// `all` or `algorithm`.
    pub signs_for: String,
    /// The private half, sealed.
    pub sealed_private_key: Vec<u8>,
    /// The certificate for the public half, DER.
    pub certificate: Vec<u8>,
    /// From when on it may sign.
    pub signs_since: OffsetDateTime,
    /// From when on it is retired, if that is known.
    pub retires_at: Option<OffsetDateTime>,
}

/// A key that is no more.
#[derive(Clone, Debug)]
pub struct RetiredKeyRow {
    /// Key id.
    pub kid: String,
    /// `ES256`, `RS256` or `EdDSA`.
    pub algorithm: String,
    /// `generated` or `imported`.
    pub origin: String,
    /// `all` or `algorithm`.
    pub signs_for: String,
    /// The certificate for the public half, DER.
    pub certificate: Vec<u8>,
    /// From when on it signed, or would have.
    pub signs_since: OffsetDateTime,
    /// Since when it is retired.
    pub retired_at: OffsetDateTime,
}

/// What tells a list of keys from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTimes {
    /// Key id.
    pub kid: String,
    /// From when on it may sign.
    pub signs_since: OffsetDateTime,
    /// From when on it is retired, if that is known.
    pub retires_at: Option<OffsetDateTime>,
}

/// Waits until no other server is changing keys; held until the transaction ends.
pub async fn lock_signing_keys(db: impl PgExecutor<'_>) -> Result<(), DbError> {
    sqlx::query!("select pg_advisory_xact_lock($1)", SIGNING_KEY_LOCK).execute(db).await?;
    Ok(())
}

/// All keys that are not put away, the one that may sign last first.
pub async fn list_signing_keys(db: impl PgExecutor<'_>) -> Result<Vec<SigningKeyRow>, DbError> {
    let query = sqlx::query_as!(
        SigningKeyRow,
        r#"select kid as "kid!", algorithm as "algorithm!", origin as "origin!", signs_for as "signs_for!",
                  sealed_private_key as "sealed_private_key!", certificate as "certificate!",
                  signs_since as "signs_since!", retires_at
             from (select kid, algorithm, origin, 'all' as signs_for, sealed_private_key, certificate, signs_since,
                          retires_at
                     from signing_key
                   union all
                   select kid, algorithm, origin, 'algorithm', sealed_private_key, certificate, signs_since, retires_at
                     from algorithm_key) as either
            order by signs_since desc, kid"#
    );
    Ok(query.fetch_all(db).await?)
}

/// Their ids and times, in the same order.
pub async fn list_key_times(db: impl PgExecutor<'_>) -> Result<Vec<KeyTimes>, DbError> {
    let query = sqlx::query_as!(
        KeyTimes,
        r#"select kid as "kid!", signs_since as "signs_since!", retires_at
             from (select kid, signs_since, retires_at from signing_key
                   union all
                   select kid, signs_since, retires_at from algorithm_key) as either
            order by signs_since desc, kid"#
    );
    Ok(query.fetch_all(db).await?)
}

/// What is left of keys that were put away, in the order of the others.
pub async fn list_retired_keys(db: impl PgExecutor<'_>) -> Result<Vec<RetiredKeyRow>, DbError> {
    let query = sqlx::query_as!(
        RetiredKeyRow,
        "select kid, algorithm, origin, signs_for, certificate, signs_since, retired_at
           from retired_key order by signs_since desc, kid"
    );
    Ok(query.fetch_all(db).await?)
}

/// Stores a key for all registries; the caller knows that it is not there.
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

/// Stores a key for those that ask for its algorithm; the caller knows that it is not there.
pub async fn insert_algorithm_key(
    db: impl PgExecutor<'_>,
    key: &SigningKeyRow,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into algorithm_key (kid, algorithm, origin, sealed_private_key, certificate, signs_since, created_at)
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

/// Says when a key retires, or that it does not.
pub async fn update_retirement(
    db: impl PgExecutor<'_>,
    kid: &str,
    retires_at: Option<OffsetDateTime>,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "with other as (update algorithm_key set retires_at = $2 where kid = $1)
         update signing_key set retires_at = $2 where kid = $1",
        kid,
        retires_at
    );
    query.execute(db).await?;
    Ok(())
}

/// Puts a key away, without its private half; says whether it was there.
pub async fn retire_key(
    db: impl PgExecutor<'_>,
    kid: &str,
    retired_at: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "with gone as (
             delete from signing_key where kid = $1
             returning kid, algorithm, origin, 'all' as signs_for, certificate, signs_since, created_at
         ), gone_too as (
             delete from algorithm_key where kid = $1
             returning kid, algorithm, origin, 'algorithm' as signs_for, certificate, signs_since, created_at
         )
         insert into retired_key
             (kid, algorithm, origin, signs_for, certificate, signs_since, created_at, retired_at)
         select kid, algorithm, origin, signs_for, certificate, signs_since, created_at, $2::timestamptz from gone
         union all
         select kid, algorithm, origin, signs_for, certificate, signs_since, created_at, $2 from gone_too
         on conflict (kid) do update set retired_at = excluded.retired_at",
        kid,
        retired_at
    );
    Ok(query.execute(db).await?.rows_affected() > 0)
}

/// Forgets what is left of a key, because it comes back.
pub async fn delete_retired_key(db: impl PgExecutor<'_>, kid: &str) -> Result<(), DbError> {
    sqlx::query!("delete from retired_key where kid = $1", kid).execute(db).await?;
    Ok(())
}
