//! Users whom an identity provider made by SCIM, and what it says of them.
//!
//! *Invariant:* every query names the provider, so that none sees or touches what another one made; a user of ours is
//! made by one provider at most.

use serde_json::Value;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// The unique index on the name.
pub const NAME_KEY: &str = "scim_user_name_key";

/// The unique index on the identifier of the provider.
pub const EXTERNAL_ID_KEY: &str = "scim_user_external_id_key";

/// The unique index on who somebody is.
pub const SUBJECT_KEY: &str = "scim_user_subject_key";

/// The unique index on the user.
pub const PID_KEY: &str = "scim_user_pid_key";

/// Somebody a provider made.
#[derive(Clone, Debug, PartialEq)]
pub struct ScimUserRow {
    /// Its number there and here.
    pub id: Uuid,
    /// By what the provider says who it is when they sign in.
    pub subject: Option<String>,
    /// Inner number of the user.
    pub pid: i64,
    /// Name of the user.
    pub user: String,
    /// Since when the user may not log in.
    pub disabled_at: Option<OffsetDateTime>,
    /// How the provider calls them.
    pub user_name: String,
    /// Which number they have there.
    pub external_id: Option<String>,
    /// What else it says.
    pub said: Value,
    /// What it says about whether they may log in.
    pub is_active: bool,
    /// How often it was changed.
    pub version: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    pub changed_at: OffsetDateTime,
}

/// Which are looked for; what is not there does not matter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sought {
    /// The one of this number.
    pub id: Option<Uuid>,
    /// The one of this name, in lower case.
    pub name: Option<String>,
    /// The one whom the provider calls so.
    pub external_id: Option<String>,
    /// Groups in which this user is.
    pub member: Option<Uuid>,
    /// What must be true of what can be searched, as a path of Postgres,
    pub path: Option<String>,
    /// with these values in it.
    pub values: Value,
}

/// Reads users; the condition says which.
macro_rules! users {
    ($condition:literal, $($arguments:tt)*) => {
        sqlx::query_as!(
            ScimUserRow,
            r#"select u.id, u.subject, u.pid, p.name as "user", p.disabled_at, u.user_name, u.external_id, u.said, u.is_active,
                      u.version, u.created_at, u.changed_at
                 from scim_user u join principal p on p.pid = u.pid and p.deleted_at is null
                where u.provider = $1 and "#
                + $condition,
            $($arguments)*
        )
    };
}

/// One user; held, where it is to be changed.
pub async fn find_user(
    db: impl PgExecutor<'_>,
    provider: &str,
    id: Uuid,
) -> Result<Option<ScimUserRow>, DbError> {
    Ok(users!("u.id = $2 and u.deleted_at is null", provider, id).fetch_optional(db).await?)
}

/// Somebody whom the provider removed and who is this one there.
pub async fn find_removed(
    db: impl PgExecutor<'_>,
    provider: &str,
    subject: &str,
) -> Result<Option<ScimUserRow>, DbError> {
    Ok(users!("u.subject = $2 and u.deleted_at is not null", provider, subject).fetch_optional(db).await?)
}

/// Whether a provider has removed somebody.
pub async fn is_removed(db: impl PgExecutor<'_>, issuer: &str, subject: &str) -> Result<bool, DbError> {
    let query = sqlx::query_scalar!(
        r#"select exists(select from scim_user where issuer = $1 and subject = $2 and deleted_at is not null) as "is!""#,
        issuer,
        subject
    );
    Ok(query.fetch_one(db).await?)
}

/// A page of those who are sought, in the order in which they came.
pub async fn list_users(
    db: impl PgExecutor<'_>,
    provider: &str,
    sought: &Sought,
    (offset, limit): (i64, i64),
) -> Result<Vec<ScimUserRow>, DbError> {
    let Sought { id, name, external_id, path, values, .. } = sought;
    let query = users!(
        "u.deleted_at is null and ($2::uuid is null or u.id = $2) and ($3::text is null or u.name_folded = $3)
           and ($4::text is null or u.external_id = $4)
           and ($5::text is null or jsonb_path_exists(
                   u.search || jsonb_build_object('active', p.disabled_at is null), $5::text::jsonpath, $6, true))
         order by u.id offset $7 limit $8",
        provider,
        *id as Option<Uuid>,
        name.as_deref() as Option<&str>,
        external_id.as_deref() as Option<&str>,
        path.as_deref() as Option<&str>,
        values,
        offset,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// How many are sought.
pub async fn count_users(db: impl PgExecutor<'_>, provider: &str, sought: &Sought) -> Result<i64, DbError> {
    let Sought { id, name, external_id, path, values, .. } = sought;
    let query = sqlx::query_scalar!(
        r#"select count(*) as "count!" from scim_user u join principal p on p.pid = u.pid and p.deleted_at is null
            where u.provider = $1 and u.deleted_at is null and ($2::uuid is null or u.id = $2)
              and ($3::text is null or u.name_folded = $3) and ($4::text is null or u.external_id = $4)
              and ($5::text is null or jsonb_path_exists(
                      u.search || jsonb_build_object('active', p.disabled_at is null), $5::text::jsonpath, $6, true))"#,
        provider,
        *id as Option<Uuid>,
        name.as_deref() as Option<&str>,
        external_id.as_deref() as Option<&str>,
        path.as_deref() as Option<&str>,
        values
    );
    Ok(query.fetch_one(db).await?)
}

/// Somebody as they are stored.
#[derive(Clone, Copy, Debug)]
pub struct StoredUser<'a> {
    /// Its number.
    pub id: Uuid,
    /// Who made them.
    pub provider: &'a str,
    /// Who says who they are.
    pub issuer: &'a str,
    /// By what.
    pub subject: Option<&'a str>,
    /// Inner number of the user.
    pub pid: i64,
    /// How the provider calls them.
    pub user_name: &'a str,
    /// Which number they have there.
    pub external_id: Option<&'a str>,
    /// What else it says.
    pub said: &'a Value,
    /// What can be searched.
    pub search: &'a Value,
    /// Whether they may log in.
    pub is_active: bool,
}

/// Stores somebody, in the place of who was there under that number and perhaps removed.
pub async fn put_user(
    db: impl PgExecutor<'_>,
    user: &StoredUser<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into scim_user as u (id, provider, issuer, subject, pid, user_name, name_folded, external_id, said, search,
                                is_active, created_at, changed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)
         on conflict (id) do update
            set subject = excluded.subject, user_name = excluded.user_name, name_folded = excluded.name_folded,
                external_id = excluded.external_id, said = excluded.said, search = excluded.search,
                is_active = excluded.is_active, version = u.version + 1, changed_at = excluded.changed_at, deleted_at = null",
        user.id,
        user.provider,
        user.issuer,
        user.subject,
        user.pid,
        user.user_name,
        user.user_name.to_lowercase(),
        user.external_id,
        user.said,
        user.search,
        user.is_active,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// Notes that the provider has removed somebody; they are in none of its groups.
pub async fn update_removed(db: impl PgExecutor<'_>, id: Uuid, now: OffsetDateTime) -> Result<(), DbError> {
    let query = sqlx::query!(
        "with left_groups as (delete from scim_group_member where user_id = $1)
         update scim_user set deleted_at = $2, changed_at = $2, is_active = false, version = version + 1 where id = $1",
        id,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// In which group somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOfUser {
    /// The user.
    pub user_id: Uuid,
    /// The group.
    pub group_id: Uuid,
    /// What it is called.
    pub display_name: String,
}

/// The groups of these users, by name.
pub async fn list_groups_of(db: impl PgExecutor<'_>, users: &[Uuid]) -> Result<Vec<GroupOfUser>, DbError> {
    let query = sqlx::query_as!(
        GroupOfUser,
        "select m.user_id, m.group_id, g.display_name from scim_group_member m join scim_group g on g.id = m.group_id
          where m.user_id = any($1) order by g.display_name, g.id",
        users
    );
    Ok(query.fetch_all(db).await?)
}

/// Remembers since when somebody is disabled because the provider said so.
pub async fn update_disabled(db: impl PgExecutor<'_>, id: Uuid) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update scim_user u set disabled_at = p.disabled_at from principal p where p.pid = u.pid and u.id = $1",
        id
    );
    query.execute(db).await?;
    Ok(())
}

/// Whether somebody is disabled because the provider said so, and for no other reason.
pub async fn is_disabled_by_provider(db: impl PgExecutor<'_>, id: Uuid) -> Result<bool, DbError> {
    let query = sqlx::query_scalar!(
        r#"select exists(select from scim_user u join principal p on p.pid = u.pid
                          where u.id = $1 and p.disabled_at = u.disabled_at) as "is!""#,
        id
    );
    Ok(query.fetch_one(db).await?)
}
