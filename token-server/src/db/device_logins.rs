//! Logins of programs that people allow in a browser, and codes that take the place of a password once.
//!
//! *Invariant:* what programs ask with, and what people type, is stored as a MAC only; what was answered is gone.

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// A program that waits.
#[derive(Clone, Debug)]
pub struct DeviceLoginRow {
    /// Its number.
    pub id: Uuid,
    /// For which registry.
    pub audience: String,
    /// What it calls itself.
    pub client_id: String,
    /// What its program calls itself.
    pub agent: Option<String>,
    /// From where it asks.
    pub made_from: Option<String>,
    /// `waiting`, `allowed` or `refused`.
    pub state: String,
    /// Inner number of who said so.
    pub pid: Option<i64>,
    /// Whether who said so had shown a second factor.
    pub second_factor: bool,
    /// When it asked last.
    pub asked_at: Option<OffsetDateTime>,
    /// Until when it can be said.
    pub ends_at: OffsetDateTime,
}

/// Whose code was used.
#[derive(Clone, Debug)]
pub struct CodeOwner {
    /// Inner number.
    pub pid: i64,
    /// Stable id.
    pub uid: Uuid,
    /// Name.
    pub name: String,
    /// Whether the code was made by somebody who had shown a second factor.
    pub second_factor: bool,
}

/// A program that is to wait.
#[derive(Clone, Copy, Debug)]
pub struct NewDeviceLogin<'a> {
    /// Its number.
    pub id: Uuid,
    /// MAC of what it asks with.
    pub device_mac: &'a [u8; 32],
    /// MAC of what the person types.
    pub user_mac: &'a [u8; 32],
    /// For which registry.
    pub audience: &'a str,
    /// What it calls itself.
    pub client_id: &'a str,
    /// What its program calls itself.
    pub agent: Option<&'a str>,
    /// From where it asks.
    pub made_from: Option<&'a str>,
    /// Until when it can be said.
    pub ends_at: OffsetDateTime,
}

/// Reads programs that wait; the condition says which.
macro_rules! device_logins {
    ($condition:literal, $($arguments:tt)*) => {
        sqlx::query_as!(
            DeviceLoginRow,
            r#"select id, audience, client_id, agent, made_from, state, pid, second_factor, asked_at, ends_at
                 from device_login
                "# + $condition,
            $($arguments)*
        )
    };
}

/// Lets a program wait, unless as many do as may, of all and of those at its address; says whether it does.
pub async fn insert_device_login(
    db: impl PgExecutor<'_>,
    login: &NewDeviceLogin<'_>,
    (most, most_there): (i64, i64),
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "insert into device_login (id, device_mac, user_mac, audience, client_id, agent, made_from, created_at, ends_at)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9
           from (select count(*) as all_of_them, count(*) filter (where made_from is not distinct from $7) as there
                   from device_login where ends_at > $8) waiting
          where waiting.all_of_them < $10 and waiting.there < $11",
        login.id,
        login.device_mac.as_slice(),
        login.user_mac.as_slice(),
        login.audience,
        login.client_id,
        login.agent,
        login.made_from,
        now,
        login.ends_at,
        most,
        most_there
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// The program that asks with this.
pub async fn find_by_device(
    db: impl PgExecutor<'_>,
    mac: &[u8; 32],
) -> Result<Option<DeviceLoginRow>, DbError> {
    Ok(device_logins!("where device_mac = $1", mac.as_slice()).fetch_optional(db).await?)
}

/// The program that waits and is meant by what somebody typed.
pub async fn find_by_user(
    db: impl PgExecutor<'_>,
    mac: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<DeviceLoginRow>, DbError> {
    let query =
        device_logins!("where user_mac = $1 and state = 'waiting' and ends_at > $2", mac.as_slice(), now);
    Ok(query.fetch_optional(db).await?)
}

/// Remembers that a program asked.
pub async fn update_asked(db: impl PgExecutor<'_>, id: Uuid, now: OffsetDateTime) -> Result<(), DbError> {
    sqlx::query!("update device_login set asked_at = $2 where id = $1", id, now).execute(db).await?;
    Ok(())
}

/// Allows a program that waits, or refuses it; says whether it still waited.
pub async fn update_decided(
    db: impl PgExecutor<'_>,
    id: Uuid,
    pid: i64,
    is_allowed: bool,
    second_factor: bool,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "update device_login set state = case when $3 then 'allowed' else 'refused' end, pid = $2,
                                 second_factor = $5
          where id = $1 and state = 'waiting' and ends_at > $4",
        id,
        pid,
        is_allowed,
        now,
        second_factor
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Takes a program away that got its answer; says whether it was there, so that one answer is given once.
pub async fn delete_device_login(db: impl PgExecutor<'_>, id: Uuid) -> Result<bool, DbError> {
    let query = sqlx::query!("delete from device_login where id = $1", id);
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Gives somebody, who has shown a second factor or not, a code in the place of the one they had.
pub async fn insert_login_code(
    db: impl PgExecutor<'_>,
    mac: &[u8; 32],
    (pid, second_factor): (i64, bool),
    ends_at: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "with gone as (delete from login_code where pid = $2)
         insert into login_code (mac, pid, created_at, ends_at, second_factor) values ($1, $2, $3, $4, $5)",
        mac.as_slice(),
        pid,
        now,
        ends_at,
        second_factor
    );
    query.execute(db).await?;
    Ok(())
}

/// Uses a code of somebody up, who can log in; returns who that is. A client that asks again from the same address since
/// a moment gets the same answer.
pub async fn use_login_code(
    db: impl PgExecutor<'_>,
    mac: &[u8; 32],
    name: &str,
    from: Option<&str>,
    again_since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<Option<CodeOwner>, DbError> {
    let query = sqlx::query_as!(
        CodeOwner,
        "update login_code c set used_at = coalesce(c.used_at, $3), used_from = coalesce(c.used_from, $2)
           from principal p
          where c.mac = $1 and c.ends_at > $3 and p.pid = c.pid and p.disabled_at is null and p.deleted_at is null
            and p.name = $5 and (c.used_at is null or c.used_at > $4 and c.used_from is not distinct from $2)
      returning p.pid, p.uid, p.name, c.second_factor",
        mac.as_slice(),
        from,
        now,
        again_since,
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// Forgets what has ended, up to a number of rows each; says how many there were of the more frequent kind.
pub async fn delete_ended(db: impl PgExecutor<'_>, limit: i64) -> Result<u64, DbError> {
    let query = sqlx::query!(
        "with codes as (
             delete from login_code where mac in (
                 select mac from login_code where ends_at < now() - interval '1 hour' limit $1))
         delete from device_login where id in (
             select id from device_login where ends_at < now() - interval '1 hour' limit $1)",
        limit
    );
    Ok(query.execute(db).await?.rows_affected())
}
