//! Refresh tokens, by their keyed MAC.
//!
//! *Invariant:* the token itself is never given to the database.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::error::DbError;
use super::users::UserRow;

/// A living user's refresh token.
#[derive(Clone, Debug)]
pub struct RefreshTokenRow {
    /// Whose login it is.
    pub user: UserRow,
    /// For which registry.
    pub audience: String,
    /// When it was last used, within the precision with which that is recorded.
    pub last_used_at: OffsetDateTime,
    /// When it ends in any case.
    pub expires_at: OffsetDateTime,
}

/// A refresh token to be stored.
#[derive(Clone, Debug)]
pub struct NewRefreshToken<'a> {
    /// Keyed MAC of the token, 32 bytes.
    pub mac: &'a [u8],
    /// Whose login it is.
    pub pid: i64,
    /// The stored hash that the login was checked against.
    pub password_hash: &'a str,
    /// For which registry.
    pub audience: &'a str,
    /// What the client called itself.
    pub client_id: &'a str,
    /// When it ends in any case.
    pub expires_at: OffsetDateTime,
}

/// The token with that MAC and its user.
pub async fn find_refresh_token(
    db: impl PgExecutor<'_>,
    mac: &[u8],
) -> Result<Option<RefreshTokenRow>, DbError> {
    let query = sqlx::query!(
        r#"select p.pid, p.uid, p.name, u.password_hash, p.disabled_at is not null as "disabled!",
                  r.audience, r.last_used_at, r.expires_at
             from refresh_token r
             join principal p on p.pid = r.pid and p.deleted_at is null
             join user_account u on u.pid = p.pid
            where r.mac = $1"#,
        mac
    );
    Ok(query.fetch_optional(db).await?.map(|row| RefreshTokenRow {
        user: UserRow {
            pid: row.pid,
            uid: row.uid,
            name: row.name,
            password_hash: row.password_hash,
            disabled: row.disabled,
        },
        audience: row.audience,
        last_used_at: row.last_used_at,
        expires_at: row.expires_at,
    }))
}

/// Stores a token, unless its user was disabled or has another password than the one the login was made with; says
/// whether it did. The rows it looks at cannot change until the transaction ends, so a change of password that ends
/// all logins does not miss one that is being made.
pub async fn insert_refresh_token(
    db: impl PgExecutor<'_>,
    token: &NewRefreshToken<'_>,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "insert into refresh_token (mac, pid, audience, client_id, created_at, last_used_at, expires_at)
         select $1, p.pid, $4, $5, $6, $6, $7
           from principal p join user_account u on u.pid = p.pid
          where p.pid = $2 and p.disabled_at is null and p.deleted_at is null and u.password_hash = $3
            for share of p, u",
        token.mac,
        token.pid,
        token.password_hash,
        token.audience,
        token.client_id,
        now,
        token.expires_at
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Records a use.
pub async fn update_last_used(
    db: impl PgExecutor<'_>,
    mac: &[u8],
    now: OffsetDateTime,
) -> Result<(), DbError> {
    sqlx::query!("update refresh_token set last_used_at = $2 where mac = $1", mac, now).execute(db).await?;
    Ok(())
}

/// Removes all tokens of a user and says how many there were.
pub async fn delete_refresh_tokens_of(db: impl PgExecutor<'_>, pid: i64) -> Result<u64, DbError> {
    let query = sqlx::query!("delete from refresh_token where pid = $1", pid);
    Ok(query.execute(db).await?.rows_affected())
}

/// Removes all but the `keep` most recently used tokens of a user for one registry.
pub async fn delete_beyond(
    db: impl PgExecutor<'_>,
    pid: i64,
    audience: &str,
    keep: i64,
) -> Result<u64, DbError> {
    let query = sqlx::query!(
        "delete from refresh_token
          where mac in (select mac from refresh_token where pid = $1 and audience = $2
                         order by last_used_at desc, created_at desc offset $3)",
        pid,
        audience,
        keep
    );
    Ok(query.execute(db).await?.rows_affected())
}

/// Removes a user's tokens that were last used before that time.
pub async fn delete_idle(
    db: impl PgExecutor<'_>,
    pid: i64,
    used_before: OffsetDateTime,
) -> Result<u64, DbError> {
    let query =
        sqlx::query!("delete from refresh_token where pid = $1 and last_used_at < $2", pid, used_before);
    Ok(query.execute(db).await?.rows_affected())
}
