//! Logins that are kept: refresh tokens, by their keyed MAC. The tokens of one login are a family.
//!
//! *Invariant:* the token itself is never given to the database.

use std::collections::BTreeMap;

use futures_util::{Stream, TryStreamExt as _};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::credentials::CredentialUse;
use super::error::DbError;

/// A refresh token as servers keep it in memory.
#[derive(Clone, Debug)]
pub struct RefreshTokenState {
    /// Keyed MAC, 32 bytes.
    pub mac: Vec<u8>,
    /// The number of the login.
    pub family: Uuid,
    /// Inner number of the user whose login it is.
    pub pid: i64,
    /// For which registry.
    pub audience: String,
    /// What the client called itself.
    pub client_id: String,
    /// When the login was last used, within the precision with which that is recorded.
    pub last_used_at: OffsetDateTime,
    /// When it ends in any case.
    pub expires_at: OffsetDateTime,
    /// When its successor was given out.
    pub replaced_at: Option<OffsetDateTime>,
    /// What the token of its platform said, of a workload.
    pub claims: Option<Value>,
    /// Whether the login was made with a second factor.
    pub second_factor: bool,
}

/// A login as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSummary {
    /// Its number, which is no secret.
    pub id: Uuid,
    /// Whose it is.
    pub user: String,
    /// For which registry.
    pub audience: String,
    /// What the client called itself.
    pub client_id: String,
    /// What the client's program called itself.
    pub agent: Option<String>,
    /// Where the client was.
    pub made_from: Option<String>,
    /// When somebody logged in.
    pub created_at: OffsetDateTime,
    /// When it was last used, within some minutes.
    pub last_used_at: OffsetDateTime,
    /// From where that was.
    pub last_used_from: Option<String>,
    /// When it ends in any case.
    pub expires_at: OffsetDateTime,
}

/// A refresh token to be stored.
#[derive(Clone, Debug)]
pub struct NewRefreshToken<'a> {
    /// Keyed MAC of the token, 32 bytes.
    pub mac: &'a [u8],
    /// The number of the login.
    pub family: Uuid,
    /// Whose login it is.
    pub pid: i64,
    /// For which registry.
    pub audience: &'a str,
    /// What the client called itself.
    pub client_id: &'a str,
    /// What the client's program called itself.
    pub agent: Option<&'a str>,
    /// Where it was.
    pub made_from: Option<&'a str>,
    /// When it ends in any case.
    pub expires_at: OffsetDateTime,
    /// Whether the login is made with a second factor.
    pub second_factor: bool,
}

/// The token with that MAC.
pub async fn find_refresh_token(
    db: impl PgExecutor<'_>,
    mac: &[u8],
) -> Result<Option<RefreshTokenState>, DbError> {
    let query = sqlx::query_as!(
        RefreshTokenState,
        "select mac, family, pid, audience, client_id, last_used_at, expires_at, replaced_at, claims,
                second_factor
           from refresh_token where mac = $1",
        mac
    );
    Ok(query.fetch_optional(db).await?)
}

/// All of them, one after the other.
pub fn visit_refresh_tokens(db: &mut PgConnection) -> impl Stream<Item = Result<RefreshTokenState, DbError>> {
    let query = sqlx::query_as!(
        RefreshTokenState,
        "select mac, family, pid, audience, client_id, last_used_at, expires_at, replaced_at, claims, second_factor
           from refresh_token"
    );
    query.fetch(db).map_err(DbError::from)
}

/// The tokens of these logins.
pub async fn list_states(
    db: impl PgExecutor<'_>,
    families: &[Uuid],
) -> Result<Vec<RefreshTokenState>, DbError> {
    let query = sqlx::query_as!(
        RefreshTokenState,
        "select mac, family, pid, audience, client_id, last_used_at, expires_at, replaced_at, claims,
                second_factor
           from refresh_token where family = any($1)",
        families
    );
    Ok(query.fetch_all(db).await?)
}

/// When a login was last used, by whichever server.
pub async fn find_last_used(
    db: impl PgExecutor<'_>,
    family: Uuid,
) -> Result<Option<OffsetDateTime>, DbError> {
    let query = sqlx::query_scalar!("select max(last_used_at) from refresh_token where family = $1", family);
    Ok(query.fetch_one(db).await?)
}

/// The logins of a user, the one that was used last first.
pub async fn list_logins(db: impl PgExecutor<'_>, pid: i64) -> Result<Vec<LoginSummary>, DbError> {
    let query = sqlx::query_as!(
        LoginSummary,
        r#"select r.family as id, p.name as user, r.audience, r.client_id, r.agent, r.made_from, r.created_at,
                  r.last_used_at, r.last_used_from, r.expires_at
             from refresh_token r join principal p on p.pid = r.pid
            where r.pid = $1 and r.replaced_at is null
            order by r.last_used_at desc, r.family desc"#,
        pid
    );
    Ok(query.fetch_all(db).await?)
}

/// One login by its number.
pub async fn find_login(db: impl PgExecutor<'_>, family: Uuid) -> Result<Option<LoginSummary>, DbError> {
    let query = sqlx::query_as!(
        LoginSummary,
        r#"select r.family as id, p.name as user, r.audience, r.client_id, r.agent, r.made_from, r.created_at,
                  r.last_used_at, r.last_used_from, r.expires_at
             from refresh_token r join principal p on p.pid = r.pid
            where r.family = $1
            order by r.replaced_at is null desc limit 1"#,
        family
    );
    Ok(query.fetch_optional(db).await?)
}

/// Stores the first token of a login, unless its user was disabled or has another password than the one the login was
/// made with; says whether it did. The rows it looks at cannot change until the transaction ends, so a change of
/// password that ends all logins does not miss one that is being made. `password_hash` is the stored hash that the login
/// was checked against.
pub async fn insert_refresh_token(
    db: impl PgExecutor<'_>,
    token: &NewRefreshToken<'_>,
    password_hash: &str,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "insert into refresh_token (mac, family, pid, audience, client_id, agent, made_from, created_at, last_used_at,
                                    last_used_from, expires_at, second_factor)
         select $1, $2, p.pid, $5, $6, $7, $8, $9, $9, $8, $10, $11
           from principal p join user_account u on u.pid = p.pid
          where p.pid = $3 and p.disabled_at is null and p.deleted_at is null and u.password_hash = $4
            for share of p, u",
        token.mac,
        token.family,
        token.pid,
        password_hash,
        token.audience,
        token.client_id,
        token.agent,
        token.made_from,
        now,
        token.expires_at,
        token.second_factor
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// The same for somebody who said so in a browser, unless they were disabled.
pub async fn insert_allowed_login(
    db: impl PgExecutor<'_>,
    token: &NewRefreshToken<'_>,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "insert into refresh_token (mac, family, pid, audience, client_id, agent, made_from, created_at, last_used_at,
                                    last_used_from, expires_at, second_factor)
         select $1, $2, p.pid, $4, $5, $6, $7, $8, $8, $7, $9, $10
           from principal p
          where p.pid = $3 and p.disabled_at is null and p.deleted_at is null
            for share of p",
        token.mac,
        token.family,
        token.pid,
        token.audience,
        token.client_id,
        token.agent,
        token.made_from,
        now,
        token.expires_at,
        token.second_factor
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// The same for somebody whose password is known elsewhere, unless they were disabled, are not that identity any more, or
/// were not there any more when that was last looked at.
pub async fn insert_login_elsewhere(
    db: impl PgExecutor<'_>,
    token: &NewRefreshToken<'_>,
    (issuer, subject): (&str, &str),
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "insert into refresh_token (mac, family, pid, audience, client_id, agent, made_from, created_at, last_used_at,
                                    last_used_from, expires_at, second_factor)
         select $1, $2, p.pid, $6, $7, $8, $9, $10, $10, $9, $11, $12
           from principal p join identity i on i.pid = p.pid
          where p.pid = $3 and p.disabled_at is null and p.deleted_at is null
            and i.issuer = $4 and i.subject = $5 and i.groups_at is not null
            for share of p, i",
        token.mac,
        token.family,
        token.pid,
        issuer,
        subject,
        token.audience,
        token.client_id,
        token.agent,
        token.made_from,
        now,
        token.expires_at,
        token.second_factor
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// The same for a workload, unless it was disabled or its rule is gone; `claims` are what the token of its platform said.
pub async fn insert_workload_login(
    db: impl PgExecutor<'_>,
    token: &NewRefreshToken<'_>,
    claims: &BTreeMap<String, String>,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "insert into refresh_token (mac, family, pid, audience, client_id, agent, made_from, created_at, last_used_at,
                                    last_used_from, expires_at, claims)
         select $1, $2, p.pid, $4, $5, $6, $7, $8, $8, $7, $9, $10
           from principal p join trust_rule r on r.pid = p.pid
          where p.pid = $3 and p.disabled_at is null and p.deleted_at is null
            for share of p, r",
        token.mac,
        token.family,
        token.pid,
        token.audience,
        token.client_id,
        token.agent,
        token.made_from,
        now,
        token.expires_at,
        Json(claims) as Json<&BTreeMap<String, String>>
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Forgets logins that have ended, up to a number of tokens; says how many.
pub async fn delete_ended(db: impl PgExecutor<'_>, at_once: i64) -> Result<u64, DbError> {
    let query = sqlx::query!(
        "delete from refresh_token
          where mac in (select mac from refresh_token where expires_at < clock_timestamp() - interval '1 hour'
                         order by expires_at limit $1 for update skip locked)",
        at_once
    );
    Ok(query.execute(db).await?.rows_affected())
}

/// Marks all tokens of a login as replaced that were not yet.
pub async fn update_replaced(
    db: impl PgExecutor<'_>,
    family: Uuid,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update refresh_token set replaced_at = $2 where family = $1 and replaced_at is null",
        family,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// Stores the successor of a token that was just marked as replaced.
pub async fn insert_successor(
    db: impl PgExecutor<'_>,
    old: &[u8],
    new: &[u8],
    now: OffsetDateTime,
    from: Option<&str>,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into refresh_token (mac, family, pid, audience, client_id, agent, made_from, created_at, last_used_at,
                                    last_used_from, expires_at, second_factor)
         select $2, family, pid, audience, client_id, agent, made_from, created_at, $3, $4, expires_at, second_factor
           from refresh_token where mac = $1",
        old,
        new,
        now,
        from
    );
    query.execute(db).await?;
    Ok(())
}

/// Removes all but the `keep` tokens of a login that were replaced last.
pub async fn delete_replaced_beyond(db: impl PgExecutor<'_>, family: Uuid, keep: i64) -> Result<(), DbError> {
    let query = sqlx::query!(
        "delete from refresh_token
          where mac in (select mac from refresh_token where family = $1 and replaced_at is not null
                         order by replaced_at desc offset $2)",
        family,
        keep
    );
    query.execute(db).await?;
    Ok(())
}

/// Records uses of logins, each once; what is gone meanwhile, or going, is passed over.
pub async fn update_used(db: impl PgExecutor<'_>, uses: &[CredentialUse]) -> Result<(), DbError> {
    let ids: Vec<Uuid> = uses.iter().map(|used| used.id).collect();
    let times: Vec<OffsetDateTime> = uses.iter().map(|used| used.at).collect();
    let places: Vec<Option<String>> = uses.iter().map(|used| used.from.clone()).collect();
    let query = sqlx::query!(
        "update refresh_token r set last_used_at = u.at, last_used_from = u.place
           from unnest($1::uuid[], $2::timestamptz[], $3::text[]) u(id, at, place),
                -- Whoever waits for nobody is in no circle of those who wait.
                (select mac from refresh_token where family = any($1) for no key update skip locked) free
          where r.family = u.id and r.mac = free.mac and r.last_used_at < u.at",
        &ids,
        &times,
        &places as &[Option<String>]
    );
    query.execute(db).await?;
    Ok(())
}

/// Ends a login; says whether there was one.
pub async fn delete_login(db: impl PgExecutor<'_>, family: Uuid) -> Result<bool, DbError> {
    let query = sqlx::query!("delete from refresh_token where family = $1", family);
    Ok(query.execute(db).await?.rows_affected() > 0)
}

/// Ends all logins of a user and says how many tokens that took.
pub async fn delete_refresh_tokens_of(db: impl PgExecutor<'_>, pid: i64) -> Result<u64, DbError> {
    let query = sqlx::query!("delete from refresh_token where pid = $1", pid);
    Ok(query.execute(db).await?.rows_affected())
}

/// Ends all but the `keep` most recently used logins of a user for one registry.
pub async fn delete_beyond(
    db: impl PgExecutor<'_>,
    pid: i64,
    audience: &str,
    keep: i64,
) -> Result<u64, DbError> {
    let query = sqlx::query!(
        "delete from refresh_token
          where pid = $1 and family in (select family from refresh_token where pid = $1 and audience = $2
                                         group by family
                                         order by max(last_used_at) desc, max(created_at) desc offset $3)",
        pid,
        audience,
        keep
    );
    Ok(query.execute(db).await?.rows_affected())
}

/// Ends a user's logins that were last used before that time.
pub async fn delete_idle(
    db: impl PgExecutor<'_>,
    pid: i64,
    used_before: OffsetDateTime,
) -> Result<u64, DbError> {
    let query =
        sqlx::query!("delete from refresh_token where pid = $1 and last_used_at < $2", pid, used_before);
    Ok(query.execute(db).await?.rows_affected())
}
