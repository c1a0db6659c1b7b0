//! Users: a principal of kind `user` with its account.
//!
//! *Invariant:* a [`UserRow`] is read fresh for every login, so that a disabled user or a changed password counts at
//! once on every replica.

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// What a login needs to know.
#[derive(Clone, Debug)]
pub struct UserRow {
    /// Inner number.
    pub pid: i64,
    /// Stable id.
    pub uid: Uuid,
    /// Folded name.
    pub name: String,
    /// PHC string; nothing for somebody who logs in elsewhere.
    pub password_hash: Option<String>,
    /// Whether logins are refused.
    pub disabled: bool,
    /// Whether the password alone is not enough.
    pub has_second_factor: bool,
}

/// What a listing shows.
#[derive(Clone, Debug)]
pub struct UserSummary {
    /// Folded name.
    pub name: String,
    /// Since when logins are refused.
    pub disabled_at: Option<OffsetDateTime>,
    /// When the user was added.
    pub created_at: OffsetDateTime,
    /// Names of the user's teams, in order.
    pub teams: Vec<String>,
}

/// What a change of a user's state replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateBefore {
    /// Since when logins were refused.
    pub disabled_at: Option<OffsetDateTime>,
}

/// The living user of that name.
pub async fn find_user(db: impl PgExecutor<'_>, name: &str) -> Result<Option<UserRow>, DbError> {
    let query = sqlx::query_as!(
        UserRow,
        r#"select p.pid, p.uid, p.name, u.password_hash, p.disabled_at is not null as "disabled!",
                  exists(select 1 from authenticator_app a where a.pid = p.pid and a.confirmed_at is not null)
                  or exists(select 1 from passkey k where k.pid = p.pid) as "has_second_factor!"
             from principal p join user_account u on u.pid = p.pid
            where p.name = $1 and p.kind = 'user' and p.deleted_at is null"#,
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// All living users, by name.
pub async fn list_users(db: impl PgExecutor<'_>) -> Result<Vec<UserSummary>, DbError> {
    let query = sqlx::query_as!(
        UserSummary,
        r#"select p.name, p.disabled_at, p.created_at,
                  array(select t.name from team_member m join principal t on t.pid = m.team_pid
                         where m.member_pid = p.pid order by t.name) as "teams!"
             from principal p
            where p.kind = 'user' and p.deleted_at is null
            order by p.name"#
    );
    Ok(query.fetch_all(db).await?)
}

/// The living user of that name, as a listing shows it.
pub async fn find_user_summary(db: impl PgExecutor<'_>, name: &str) -> Result<Option<UserSummary>, DbError> {
    let query = sqlx::query_as!(
        UserSummary,
        r#"select p.name, p.disabled_at, p.created_at,
                  array(select t.name from team_member m join principal t on t.pid = m.team_pid
                         where m.member_pid = p.pid order by t.name) as "teams!"
             from principal p
            where p.kind = 'user' and p.name = $1 and p.deleted_at is null"#,
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// Living users by name, behind one, up to a number.
pub async fn list_users_behind(
    db: impl PgExecutor<'_>,
    name: &str,
    limit: i64,
) -> Result<Vec<UserSummary>, DbError> {
    let query = sqlx::query_as!(
        UserSummary,
        r#"select p.name, p.disabled_at, p.created_at,
                  array(select t.name from team_member m join principal t on t.pid = m.team_pid
                         where m.member_pid = p.pid order by t.name) as "teams!"
             from principal p
            where p.kind = 'user' and p.name > $1 and p.deleted_at is null
            order by p.name limit $2"#,
        name,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// The highest cost of a bcrypt hash, while somebody has one.
pub async fn find_slowest_bcrypt(db: impl PgExecutor<'_>) -> Result<Option<u32>, DbError> {
    let query = sqlx::query_scalar!(
        "select max(substring(password_hash, 5, 2)) from user_account where password_hash like '$2%'"
    );
    Ok(query.fetch_one(db).await?.and_then(|cost| cost.parse().ok()))
}

/// Gives a principal its account, perhaps without a password.
pub async fn insert_account(
    db: impl PgExecutor<'_>,
    pid: i64,
    password_hash: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into user_account (pid, password_hash, password_changed_at) values ($1, $2, $3)",
        pid,
        password_hash,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// Sets another password; returns when the one before was set.
pub async fn update_password(
    db: impl PgExecutor<'_>,
    pid: i64,
    password_hash: &str,
    now: OffsetDateTime,
) -> Result<OffsetDateTime, DbError> {
    let query = sqlx::query_scalar!(
        "update user_account a set password_hash = $2, password_changed_at = $3
           from (select pid, password_changed_at from user_account where pid = $1 for no key update) before
          where a.pid = before.pid returning before.password_changed_at",
        pid,
        password_hash,
        now
    );
    Ok(query.fetch_one(db).await?)
}

/// Sets another password if the stored hash is still the one the current password was checked against; says whether
/// it was.
pub async fn update_own_password(
    db: impl PgExecutor<'_>,
    pid: i64,
    old_hash: &str,
    new_hash: &str,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "update user_account set password_hash = $3, password_changed_at = $4
          where pid = $1 and password_hash = $2",
        pid,
        old_hash,
        new_hash,
        now
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Replaces the hash of a password that stays the same; does nothing if it was changed meanwhile.
pub async fn update_rehashed(
    db: impl PgExecutor<'_>,
    pid: i64,
    old_hash: &str,
    new_hash: &str,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update user_account set password_hash = $3 where pid = $1 and password_hash = $2",
        pid,
        old_hash,
        new_hash
    );
    query.execute(db).await?;
    Ok(())
}

/// Refuses (`Some`) or allows (`None`) logins; if that was a change, returns how it was before.
pub async fn update_disabled(
    db: impl PgExecutor<'_>,
    pid: i64,
    disabled_at: Option<OffsetDateTime>,
) -> Result<Option<StateBefore>, DbError> {
    let query = sqlx::query_as!(
        StateBefore,
        "update principal p set disabled_at = $2
           from (select pid, disabled_at from principal where pid = $1 for no key update) before
          where p.pid = before.pid and (before.disabled_at is null) <> ($2::timestamptz is null)
      returning before.disabled_at",
        pid,
        disabled_at
    );
    Ok(query.fetch_optional(db).await?)
}
