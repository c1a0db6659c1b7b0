//! Who users are elsewhere: at identity providers and in directories.
//!
//! *Invariant:* an issuer and a subject are one user at most; nothing else links anybody to a user.

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// The primary key.
pub const IDENTITY_KEY: &str = "identity_key";

/// A user by who they are elsewhere.
#[derive(Clone, Debug)]
pub struct IdentityRow {
    /// Its number.
    pub id: Uuid,
    /// Who says so.
    pub issuer: String,
    /// What never changes there.
    pub subject: String,
    /// Inner number of the user.
    pub pid: i64,
    /// Name of the user.
    pub user: String,
    /// Under which name the provider stands in the settings.
    pub provider: String,
    /// How they are called there.
    pub name: String,
    /// Which groups they were in when that was said last.
    pub groups: Vec<String>,
    /// When that was.
    pub groups_at: Option<OffsetDateTime>,
    /// What the provider gave to ask about them later, sealed.
    pub refresh: Option<Vec<u8>>,
    /// Since when they are that user.
    pub created_at: OffsetDateTime,
    /// When they last came from there.
    pub last_login_at: Option<OffsetDateTime>,
}

/// An identity that is to be somebody.
#[derive(Clone, Copy, Debug)]
pub struct NewIdentity<'a> {
    /// Who says so.
    pub issuer: &'a str,
    /// What never changes there.
    pub subject: &'a str,
    /// Inner number of the user.
    pub pid: i64,
    /// Under which name the provider stands in the settings.
    pub provider: &'a str,
    /// How they are called there.
    pub name: &'a str,
}

/// What a provider said of somebody who is known.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// How they are called there.
    pub name: &'a str,
    /// Which groups they are in, if it said anything about groups.
    pub groups: Option<&'a [String]>,
    /// What it gave to ask about them later, sealed; nothing leaves what is there.
    pub refresh: Option<&'a [u8]>,
}

/// Reads identities; the condition says which.
macro_rules! identities {
    ($condition:literal $(, $($arguments:tt)*)?) => {
        sqlx::query_as!(
            IdentityRow,
            r#"select i.id, i.issuer, i.subject, i.pid, p.name as "user", i.provider, i.name, i.groups, i.groups_at, i.refresh,
                      i.created_at, i.last_login_at
                 from identity i join principal p on p.pid = i.pid and p.deleted_at is null
                "# + $condition
            $(, $($arguments)*)?
        )
    };
}

/// The identity, if it is somebody's who is alive.
pub async fn find_identity(
    db: impl PgExecutor<'_>,
    issuer: &str,
    subject: &str,
) -> Result<Option<IdentityRow>, DbError> {
    let query = identities!("where i.issuer = $1 and i.subject = $2", issuer, subject);
    Ok(query.fetch_optional(db).await?)
}

/// The identity of that number, if it is somebody's who is alive.
pub async fn find_identity_by_id(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<IdentityRow>, DbError> {
    let query = identities!("where i.id = $1", id);
    Ok(query.fetch_optional(db).await?)
}

/// All identities, by user; or those of one.
pub async fn list_identities(db: impl PgExecutor<'_>, pid: Option<i64>) -> Result<Vec<IdentityRow>, DbError> {
    let query = identities!(
        "where $1::bigint is null or i.pid = $1 order by p.name, i.issuer, i.subject",
        pid as Option<i64>
    );
    Ok(query.fetch_all(db).await?)
}

/// Identities of a provider whose groups were told before a moment, the oldest first, up to a number.
pub async fn list_outdated(
    db: impl PgExecutor<'_>,
    provider: &str,
    before: OffsetDateTime,
    limit: i64,
) -> Result<Vec<IdentityRow>, DbError> {
    let query = identities!(
        "where i.provider = $1 and i.groups_at < $2 and i.groups <> '{}' order by i.groups_at limit $3",
        provider,
        before,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// Which identities of a provider are to be asked about.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    /// The provider.
    pub provider: &'a str,
    /// Their groups were told before this.
    pub told_before: OffsetDateTime,
    /// Nobody has asked since this.
    pub asked_before: OffsetDateTime,
    /// Whether the provider is asked with what it gave, so that it must be there.
    pub needs_refresh: bool,
}

/// Claims identities that are to be asked about, up to a number: no other server asks about them for a while.
pub async fn claim_due(
    db: impl PgExecutor<'_>,
    due: &Due<'_>,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<IdentityRow>, DbError> {
    let query = sqlx::query_as!(
        IdentityRow,
        r#"with due as (
               select issuer, subject from identity
                where provider = $1 and (groups_at is null or groups_at < $2)
                  and (asked_at is null or asked_at < $3) and (refresh is not null or not $4)
                order by asked_at nulls first limit $6 for update skip locked),
           claimed as (
               update identity i set asked_at = $5 from due
                where i.issuer = due.issuer and i.subject = due.subject returning i.*)
           select c.id, c.issuer, c.subject, c.pid, p.name as "user", c.provider, c.name, c.groups, c.groups_at, c.refresh,
                  c.created_at, c.last_login_at
             from claimed c join principal p on p.pid = c.pid and p.deleted_at is null"#,
        due.provider,
        due.told_before,
        due.asked_before,
        due.needs_refresh,
        now,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// Makes an identity somebody; a conflict with [`IDENTITY_KEY`] if it is somebody already.
pub async fn insert_identity(
    db: impl PgExecutor<'_>,
    identity: &NewIdentity<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let NewIdentity { issuer, subject, pid, provider, name } = *identity;
    let query = sqlx::query!(
        "insert into identity (issuer, subject, pid, provider, name, created_at) values ($1, $2, $3, $4, $5, $6)",
        issuer,
        subject,
        pid,
        provider,
        name,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// Keeps what a provider said of somebody who just came from there, or was asked about.
pub async fn update_said(
    db: impl PgExecutor<'_>,
    (issuer, subject): (&str, &str),
    said: &Said<'_>,
    has_come: bool,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update identity
            set name = $3, groups = coalesce($4, groups), refresh = coalesce($5, refresh),
                groups_at = case when $4::text[] is null then groups_at else $7 end,
                last_login_at = case when $6 then $7 else last_login_at end
          where issuer = $1 and subject = $2",
        issuer,
        subject,
        said.name,
        said.groups as Option<&[String]>,
        said.refresh,
        has_come,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// Forgets what the provider gave to ask about somebody later: it does not answer to it any more.
pub async fn delete_refresh(db: impl PgExecutor<'_>, issuer: &str, subject: &str) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update identity set refresh = null where issuer = $1 and subject = $2",
        issuer,
        subject
    );
    query.execute(db).await?;
    Ok(())
}

/// Forgets the groups of somebody of whom the provider has said nothing for too long.
pub async fn delete_groups(db: impl PgExecutor<'_>, issuer: &str, subject: &str) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update identity set groups = '{}', groups_at = null where issuer = $1 and subject = $2",
        issuer,
        subject
    );
    query.execute(db).await?;
    Ok(())
}

/// Makes an identity nobody; says whether it was somebody.
pub async fn delete_identity(db: impl PgExecutor<'_>, issuer: &str, subject: &str) -> Result<bool, DbError> {
    let query = sqlx::query!("delete from identity where issuer = $1 and subject = $2", issuer, subject);
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Whether a user has no password, and one identity only.
pub async fn is_last_way_in(db: impl PgExecutor<'_>, pid: i64) -> Result<bool, DbError> {
    let query = sqlx::query_scalar!(
        r#"select password_hash is null and (select count(*) from identity where pid = $1) = 1 as "is_last!"
             from user_account where pid = $1"#,
        pid
    );
    Ok(query.fetch_optional(db).await?.unwrap_or_default())
}

/// Calls a user by another name for people, unless it is the same; says whether that was a change.
pub async fn update_display_name(
    db: impl PgExecutor<'_>,
    pid: i64,
    display_name: &str,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "update user_account set display_name = $2 where pid = $1 and display_name is distinct from $2",
        pid,
        display_name
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// How people call a user.
pub async fn find_display_name(db: impl PgExecutor<'_>, pid: i64) -> Result<Option<String>, DbError> {
    let query = sqlx::query_scalar!("select display_name from user_account where pid = $1", pid);
    Ok(query.fetch_optional(db).await?.flatten())
}

/// Somebody who proved who they are elsewhere and is nobody here.
#[derive(Clone, Debug)]
pub struct PendingRow {
    /// Its number.
    pub id: Uuid,
    /// Who says so.
    pub issuer: String,
    /// What never changes there.
    pub subject: String,
    /// Under which name the provider stands in the settings.
    pub provider: String,
    /// How they are called there.
    pub name: String,
    /// How people call them.
    pub display_name: Option<String>,
    /// Why they were not let in.
    pub reason: String,
    /// How often they have tried.
    pub tries: i32,
    /// When they tried first.
    pub first_at: OffsetDateTime,
    /// When they tried last.
    pub last_at: OffsetDateTime,
}

/// Keeps somebody who is nobody, with the others up to a number; says under which number.
pub async fn insert_pending(db: impl PgExecutor<'_>, row: &PendingRow, most: i64) -> Result<Uuid, DbError> {
    let query = sqlx::query_scalar!(
        r#"with crowded as (
               delete from pending_identity where id in (
                   select id from pending_identity order by last_at desc offset $9))
           insert into pending_identity as p (id, issuer, subject, provider, name, display_name, reason, first_at, last_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
           on conflict (issuer, subject) do update
              set name = excluded.name, display_name = excluded.display_name, reason = excluded.reason,
                  tries = least(p.tries, 1000000) + 1, last_at = excluded.last_at
           returning id"#,
        row.id,
        row.issuer,
        row.subject,
        row.provider,
        row.name,
        row.display_name,
        row.reason,
        row.last_at,
        most
    );
    Ok(query.fetch_one(db).await?)
}

/// Those who are nobody, the last first.
pub async fn list_pending(db: impl PgExecutor<'_>) -> Result<Vec<PendingRow>, DbError> {
    let query = sqlx::query_as!(
        PendingRow,
        "select id, issuer, subject, provider, name, display_name, reason, tries, first_at, last_at
           from pending_identity order by last_at desc, id"
    );
    Ok(query.fetch_all(db).await?)
}

/// One of them, who is to be somebody now: it is taken off the list.
pub async fn delete_pending(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<PendingRow>, DbError> {
    let query = sqlx::query_as!(
        PendingRow,
        "delete from pending_identity where id = $1
      returning id, issuer, subject, provider, name, display_name, reason, tries, first_at, last_at",
        id
    );
    Ok(query.fetch_optional(db).await?)
}

/// Takes somebody off the list who is somebody now.
pub async fn delete_pending_of(db: impl PgExecutor<'_>, issuer: &str, subject: &str) -> Result<(), DbError> {
    let query =
        sqlx::query!("delete from pending_identity where issuer = $1 and subject = $2", issuer, subject);
    query.execute(db).await?;
    Ok(())
}
