//! Tokens of trusted issuers that were in order and no workload, and those that were used.
//!
//! *Invariant:* of a token that was used only a hash is kept, and the same token is one row whichever server saw it.

use serde_json::Value;
use sqlx::PgExecutor;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// A token that was in order and no workload.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustAttemptRow {
    /// Its number.
    pub id: Uuid,
    /// The name of the issuer.
    pub issuer: String,
    /// Whose claims these are.
    pub platform: String,
    /// What it said.
    pub claims: Value,
    /// Why it was no workload.
    pub reason: String,
    /// From where it came last.
    pub address: Option<String>,
    /// How often it came.
    pub tries: i32,
    /// When it came first.
    pub first_at: OffsetDateTime,
    /// When it came last.
    pub last_at: OffsetDateTime,
}

/// One to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewTrustAttempt<'a> {
    /// Its number, if none of the same identity is there.
    pub id: Uuid,
    /// The issuer.
    pub issuer: Uuid,
    /// A hash of what tells it from others.
    pub identity: &'a [u8],
    /// What it said.
    pub claims: &'a Value,
    /// Why it was no workload.
    pub reason: &'a str,
    /// From where it came.
    pub address: Option<&'a str>,
}

/// Keeps an attempt, or counts it if one of the same identity is there, unless there are `most` of the issuer; says under
/// which number it is kept.
pub async fn insert_attempt(
    db: impl PgExecutor<'_>,
    attempt: &NewTrustAttempt<'_>,
    most: i64,
    now: OffsetDateTime,
) -> Result<Option<Uuid>, DbError> {
    let query = sqlx::query_scalar!(
        "insert into trust_attempt as a (id, issuer_id, identity, claims, reason, address, first_at, last_at)
         select $1, $2, $3, $4, $5, $6, $7, $7
          where exists (select 1 from trust_attempt where issuer_id = $2 and identity = $3)
             or (select count(*) from trust_attempt where issuer_id = $2) < $8
             on conflict (issuer_id, identity) do update
            set claims = excluded.claims, reason = excluded.reason, address = excluded.address,
                tries = least(a.tries::bigint + 1, 1000000)::integer, last_at = excluded.last_at
         returning id",
        attempt.id,
        attempt.issuer,
        attempt.identity,
        Json(attempt.claims) as Json<&Value>,
        attempt.reason,
        attempt.address,
        now,
        most
    );
    Ok(query.fetch_optional(db).await?)
}

/// All attempts, the last first.
pub async fn list_attempts(db: impl PgExecutor<'_>) -> Result<Vec<TrustAttemptRow>, DbError> {
    let query = sqlx::query_as!(
        TrustAttemptRow,
        "select a.id, i.name as issuer, i.platform, a.claims, a.reason, a.address, a.tries, a.first_at, a.last_at
           from trust_attempt a join trust_issuer i on i.id = a.issuer_id
          order by a.last_at desc, a.id"
    );
    Ok(query.fetch_all(db).await?)
}

/// One attempt by its number.
pub async fn find_attempt(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<TrustAttemptRow>, DbError> {
    let query = sqlx::query_as!(
        TrustAttemptRow,
        "select a.id, i.name as issuer, i.platform, a.claims, a.reason, a.address, a.tries, a.first_at, a.last_at
           from trust_attempt a join trust_issuer i on i.id = a.issuer_id
          where a.id = $1",
        id
    );
    Ok(query.fetch_optional(db).await?)
}

/// Forgets an attempt; says whether it was there.
pub async fn delete_attempt(db: impl PgExecutor<'_>, id: Uuid) -> Result<bool, DbError> {
    let query = sqlx::query!("delete from trust_attempt where id = $1", id);
    Ok(query.execute(db).await?.rows_affected() > 0)
}

/// Forgets those that did not come again since, up to a number of them; says how many.
pub async fn delete_older_attempts(
    db: impl PgExecutor<'_>,
    kept_seconds: f64,
    at_once: i64,
) -> Result<u64, DbError> {
    let query = sqlx::query!(
        "delete from trust_attempt
          where id in (select id from trust_attempt
                        where last_at < clock_timestamp() - make_interval(secs => $1)
                        order by last_at limit $2)",
        kept_seconds,
        at_once
    );
    Ok(query.execute(db).await?.rows_affected())
}

/// The first use of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// From where.
    pub network: String,
    /// As which workload.
    pub pid: i64,
    /// When.
    pub first_at: OffsetDateTime,
}

/// A use of a token.
#[derive(Clone, Copy, Debug)]
pub struct Redemption<'a> {
    /// A hash of the issuer and of what tells the token from others.
    pub token: &'a [u8],
    /// From where.
    pub network: &'a str,
    /// As which workload.
    pub pid: i64,
    /// When it is of no use to anybody any more.
    pub ends_at: OffsetDateTime,
}

/// Notes a use, and says what is known of the first one.
pub async fn redeem(
    db: impl PgExecutor<'_>,
    redemption: &Redemption<'_>,
    now: OffsetDateTime,
) -> Result<Redeemed, DbError> {
    // What stands there already is touched, so that it is given back in the same statement.
    let query = sqlx::query_as!(
        Redeemed,
        "insert into trust_redeemed as r (token, network, pid, first_at, ends_at) values ($1, $2, $3, $4, $5)
             on conflict (token) do update set ends_at = r.ends_at
         returning network, pid, first_at",
        redemption.token,
        redemption.network,
        redemption.pid,
        now,
        redemption.ends_at
    );
    Ok(query.fetch_one(db).await?)
}

/// The first use of a token, if there was one.
pub async fn find_redeemed(db: impl PgExecutor<'_>, token: &[u8]) -> Result<Option<Redeemed>, DbError> {
    let query = sqlx::query_as!(
        Redeemed,
        "select network, pid, first_at from trust_redeemed where token = $1",
        token
    );
    Ok(query.fetch_optional(db).await?)
}

/// Forgets tokens that are of no use any more, up to a number of them; says how many.
pub async fn delete_useless(db: impl PgExecutor<'_>, at_once: i64) -> Result<u64, DbError> {
    let query = sqlx::query!(
        "delete from trust_redeemed
          where token in (select token from trust_redeemed where ends_at < clock_timestamp() - interval '1 hour'
                           order by ends_at limit $1 for update skip locked)",
        at_once
    );
    Ok(query.execute(db).await?.rows_affected())
}
