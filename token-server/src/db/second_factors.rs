//! Apps that show codes, recovery codes, and browsers in which a second factor is still to be shown.
//!
//! *Invariant:* which code was accepted last is decided by one statement, so that of several servers one accepts it.

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// An app of somebody.
#[derive(Clone, Debug)]
pub struct AppRow {
    /// What the app and this server share, sealed.
    pub secret: Vec<u8>,
    /// Since when it counts.
    pub confirmed_at: Option<OffsetDateTime>,
}

/// Somebody whose password was right.
#[derive(Clone, Debug)]
pub struct PendingRow {
    /// Inner number.
    pub pid: i64,
    /// Stable id.
    pub uid: Uuid,
    /// Name.
    pub user: String,
}

/// Remembers an app that is still to be confirmed, in the place of another one that was not; says whether it did, because
/// one that counts stays.
pub async fn insert_app(
    db: impl PgExecutor<'_>,
    pid: i64,
    secret: &[u8],
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "insert into authenticator_app as a (pid, secret, created_at) values ($1, $2, $3)
             on conflict (pid) do update set secret = $2, created_at = $3, last_step = 0 where a.confirmed_at is null",
        pid,
        secret,
        now
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// The app of somebody.
pub async fn find_app(db: impl PgExecutor<'_>, pid: i64) -> Result<Option<AppRow>, DbError> {
    let query =
        sqlx::query_as!(AppRow, "select secret, confirmed_at from authenticator_app where pid = $1", pid);
    Ok(query.fetch_optional(db).await?)
}

/// Lets an app count with the code that it showed; says whether it did not before.
pub async fn update_confirmed(
    db: impl PgExecutor<'_>,
    pid: i64,
    secret: &[u8],
    step: i64,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "update authenticator_app set confirmed_at = $4, last_step = $3
          where pid = $1 and secret = $2 and confirmed_at is null",
        pid,
        secret,
        step,
        now
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Accepts the code of a step; says whether no code of it or of a later one was accepted before.
pub async fn update_accepted(db: impl PgExecutor<'_>, pid: i64, step: i64) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "update authenticator_app set last_step = $2 where pid = $1 and confirmed_at is not null and last_step < $2",
        pid,
        step
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Takes the app of somebody away; says whether there was one that counted.
pub async fn delete_app(db: impl PgExecutor<'_>, pid: i64) -> Result<bool, DbError> {
    let query = sqlx::query_scalar!(
        r#"delete from authenticator_app where pid = $1 returning confirmed_at is not null as "counted!""#,
        pid
    );
    Ok(query.fetch_optional(db).await? == Some(true))
}

/// Gives somebody recovery codes, in the place of those they had.
pub async fn replace_recovery_codes(
    db: impl PgExecutor<'_>,
    pid: i64,
    macs: &[Vec<u8>],
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "with gone as (delete from recovery_code where pid = $1)
         insert into recovery_code (mac, pid, created_at) select mac, $1, $3 from unnest($2::bytea[]) codes(mac)",
        pid,
        macs,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// Uses a recovery code of somebody up; says whether it was one.
pub async fn delete_recovery_code(db: impl PgExecutor<'_>, pid: i64, mac: &[u8]) -> Result<bool, DbError> {
    let query = sqlx::query!("delete from recovery_code where pid = $1 and mac = $2", pid, mac);
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Takes all recovery codes of somebody away.
pub async fn delete_recovery_codes(db: impl PgExecutor<'_>, pid: i64) -> Result<(), DbError> {
    sqlx::query!("delete from recovery_code where pid = $1", pid).execute(db).await?;
    Ok(())
}

/// How many recovery codes somebody has left.
pub async fn count_recovery_codes(db: impl PgExecutor<'_>, pid: i64) -> Result<i64, DbError> {
    let query = sqlx::query_scalar!(r#"select count(*) as "count!" from recovery_code where pid = $1"#, pid);
    Ok(query.fetch_one(db).await?)
}

/// Remembers that in a browser a password was right.
pub async fn insert_pending(
    db: impl PgExecutor<'_>,
    mac: &[u8; 32],
    pid: i64,
    ends_at: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into pending_sign_in (mac, pid, ends_at) values ($1, $2, $3)",
        mac.as_slice(),
        pid,
        ends_at
    );
    query.execute(db).await?;
    Ok(())
}

/// Whose password was right in the browser of that MAC.
pub async fn find_pending(
    db: impl PgExecutor<'_>,
    mac: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<PendingRow>, DbError> {
    let query = sqlx::query_as!(
        PendingRow,
        r#"select p.pid, p.uid, p.name as "user" from pending_sign_in s
             join principal p on p.pid = s.pid and p.deleted_at is null and p.disabled_at is null
            where s.mac = $1 and s.ends_at > $2"#,
        mac.as_slice(),
        now
    );
    Ok(query.fetch_optional(db).await?)
}

/// Ends that; says whether it was so still, so that one sign-in comes of it.
pub async fn delete_pending(db: impl PgExecutor<'_>, mac: &[u8; 32]) -> Result<bool, DbError> {
    let query = sqlx::query!("delete from pending_sign_in where mac = $1", mac.as_slice());
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Forgets what has ended, up to a number of rows each; says how many there were of the more frequent kind.
pub async fn delete_ended(db: impl PgExecutor<'_>, limit: i64) -> Result<u64, DbError> {
    let query = sqlx::query!(
        "with pending as (
             delete from pending_sign_in where mac in (
                 select mac from pending_sign_in where ends_at < now() - interval '1 hour' limit $1))
         delete from passkey_challenge where (mac, errand) in (
             select mac, errand from passkey_challenge where ends_at < now() - interval '1 hour' limit $1)",
        limit
    );
    Ok(query.execute(db).await?.rows_affected())
}
