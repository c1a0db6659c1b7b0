//! Groups of which an identity provider tells by SCIM, and who is in them.
//!
//! *Invariant:* every query names the provider; members are users that the same provider made and has not removed.

use serde_json::Value;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;
use super::scim_users::Sought;

/// The unique index on the name.
pub const NAME_KEY: &str = "scim_group_name_key";

/// The unique index on the identifier of the provider.
pub const EXTERNAL_ID_KEY: &str = "scim_group_external_id_key";

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimGroupRow {
    /// Its number.
    pub id: Uuid,
    /// What it is called.
    pub display_name: String,
    /// Which number it has at the provider.
    pub external_id: Option<String>,
    /// How often it was changed.
    pub version: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    pub changed_at: OffsetDateTime,
}

/// One group.
pub async fn find_group(
    db: impl PgExecutor<'_>,
    provider: &str,
    id: Uuid,
) -> Result<Option<ScimGroupRow>, DbError> {
    let query = sqlx::query_as!(
        ScimGroupRow,
        "select id, display_name, external_id, version, created_at, changed_at from scim_group
          where provider = $1 and id = $2",
        provider,
        id
    );
    Ok(query.fetch_optional(db).await?)
}

/// A page of those that are sought, in the order in which they came.
pub async fn list_groups(
    db: impl PgExecutor<'_>,
    provider: &str,
    sought: &Sought,
    (offset, limit): (i64, i64),
) -> Result<Vec<ScimGroupRow>, DbError> {
    let Sought { id, name, external_id, member, path, values } = sought;
    let query = sqlx::query_as!(
        ScimGroupRow,
        "select id, display_name, external_id, version, created_at, changed_at from scim_group g
          where provider = $1 and ($2::uuid is null or id = $2) and ($3::text is null or name_folded = $3)
            and ($4::text is null or external_id = $4)
            and ($5::uuid is null or exists (select from scim_group_member m where m.group_id = g.id and m.user_id = $5))
            and ($6::text is null or jsonb_path_exists(search, $6::text::jsonpath, $7, true))
          order by id offset $8 limit $9",
        provider,
        *id as Option<Uuid>,
        name.as_deref() as Option<&str>,
        external_id.as_deref() as Option<&str>,
        *member as Option<Uuid>,
        path.as_deref() as Option<&str>,
        values,
        offset,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// How many are sought.
pub async fn count_groups(db: impl PgExecutor<'_>, provider: &str, sought: &Sought) -> Result<i64, DbError> {
    let Sought { id, name, external_id, member, path, values } = sought;
    let query = sqlx::query_scalar!(
        r#"select count(*) as "count!" from scim_group g
          where provider = $1 and ($2::uuid is null or id = $2) and ($3::text is null or name_folded = $3)
            and ($4::text is null or external_id = $4)
            and ($5::uuid is null or exists (select from scim_group_member m where m.group_id = g.id and m.user_id = $5))
            and ($6::text is null or jsonb_path_exists(search, $6::text::jsonpath, $7, true))"#,
        provider,
        *id as Option<Uuid>,
        name.as_deref() as Option<&str>,
        external_id.as_deref() as Option<&str>,
        *member as Option<Uuid>,
        path.as_deref() as Option<&str>,
        values
    );
    Ok(query.fetch_one(db).await?)
}

/// A group as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct StoredGroup<'a> {
    /// Its number.
    pub id: Uuid,
    /// Who told of it.
    pub provider: &'a str,
    /// What it is called.
    pub display_name: &'a str,
    /// Which number it has there.
    pub external_id: Option<&'a str>,
    /// What can be searched.
    pub search: &'a Value,
}

/// Stores a group, in the place of the one of that number.
pub async fn put_group(
    db: impl PgExecutor<'_>,
    group: &StoredGroup<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into scim_group as g (id, provider, display_name, name_folded, external_id, search, created_at, changed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $7)
         on conflict (id) do update
            set display_name = excluded.display_name, name_folded = excluded.name_folded,
                external_id = excluded.external_id, search = excluded.search, version = g.version + 1,
                changed_at = excluded.changed_at",
        group.id,
        group.provider,
        group.display_name,
        group.display_name.to_lowercase(),
        group.external_id,
        group.search,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// Removes a group with who is in it.
pub async fn delete_group(db: impl PgExecutor<'_>, provider: &str, id: Uuid) -> Result<(), DbError> {
    sqlx::query!("delete from scim_group where provider = $1 and id = $2", provider, id).execute(db).await?;
    Ok(())
}

/// Somebody in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// The group.
    pub group_id: Uuid,
    /// The user.
    pub user_id: Uuid,
    /// Inner number of the user.
    pub pid: i64,
    /// How the provider calls them.
    pub user_name: String,
}

/// Who is in these groups, up to a number.
pub async fn list_members(
    db: impl PgExecutor<'_>,
    groups: &[Uuid],
    limit: i64,
) -> Result<Vec<MemberRow>, DbError> {
    let query = sqlx::query_as!(
        MemberRow,
        "select m.group_id, m.user_id, u.pid, u.user_name from scim_group_member m join scim_user u on u.id = m.user_id
          where m.group_id = any($1) order by m.group_id, m.user_id limit $2",
        groups,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// Of these numbers, those of users that the provider made and has not removed.
pub async fn list_known(
    db: impl PgExecutor<'_>,
    provider: &str,
    users: &[Uuid],
) -> Result<Vec<Uuid>, DbError> {
    let query = sqlx::query_scalar!(
        "select id from scim_user where provider = $1 and id = any($2) and deleted_at is null",
        provider,
        users
    );
    Ok(query.fetch_all(db).await?)
}

/// Puts users into a group; says which were not in it, by their inner numbers.
pub async fn insert_members(
    db: impl PgExecutor<'_>,
    group: Uuid,
    users: &[Uuid],
) -> Result<Vec<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "with added as (
             insert into scim_group_member (group_id, user_id) select $1, one from unnest($2::uuid[]) one
             on conflict do nothing returning user_id)
         select u.pid from added join scim_user u on u.id = added.user_id",
        group,
        users
    );
    Ok(query.fetch_all(db).await?)
}

/// Takes users out of a group; says which were in it, by their inner numbers.
pub async fn delete_members(
    db: impl PgExecutor<'_>,
    group: Uuid,
    users: &[Uuid],
) -> Result<Vec<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "with gone as (delete from scim_group_member where group_id = $1 and user_id = any($2) returning user_id)
         select u.pid from gone join scim_user u on u.id = gone.user_id",
        group,
        users
    );
    Ok(query.fetch_all(db).await?)
}

/// Takes everybody out of a group but these; says who was in it, by their inner numbers.
pub async fn delete_members_but(
    db: impl PgExecutor<'_>,
    group: Uuid,
    users: &[Uuid],
) -> Result<Vec<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "with gone as (delete from scim_group_member where group_id = $1 and user_id <> all($2) returning user_id)
         select u.pid from gone join scim_user u on u.id = gone.user_id",
        group,
        users
    );
    Ok(query.fetch_all(db).await?)
}

/// How many are in a group.
pub async fn count_members(db: impl PgExecutor<'_>, group: Uuid) -> Result<i64, DbError> {
    let query = sqlx::query_scalar!(
        r#"select count(*) as "count!" from scim_group_member where group_id = $1"#,
        group
    );
    Ok(query.fetch_one(db).await?)
}

/// Lets what was said at sign-ons before say nothing about groups of these names any more; says of whom it did, by their
/// inner numbers.
pub async fn forget_at_identities(
    db: impl PgExecutor<'_>,
    provider: &str,
    names: &[String],
) -> Result<Vec<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "update identity set groups = (select coalesce(array_agg(one), '{}') from unnest(groups) one where one <> all($2))
          where provider = $1 and groups && $2 returning pid",
        provider,
        names
    );
    Ok(query.fetch_all(db).await?)
}

/// In which group somebody is, with its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belonging {
    /// Inner number of the user.
    pub pid: i64,
    /// Which provider says so.
    pub provider: String,
    /// The name of the group.
    pub name: String,
    /// When it was said; nothing where it counts until something else is said.
    pub said_at: Option<OffsetDateTime>,
}

/// Which of these groups some users are in: by what providers tell by SCIM, and by what was said at sign-on, but for
/// groups of which these providers tell by SCIM.
pub async fn list_belongings(
    db: impl PgExecutor<'_>,
    pids: &[i64],
    names: &[String],
    providers: &[String],
) -> Result<Vec<Belonging>, DbError> {
    let query = sqlx::query_as!(
        Belonging,
        r#"select u.pid as "pid!", g.provider as "provider!", n.name as "name!", null::timestamptz as said_at
             from scim_user u
             join scim_group_member m on m.user_id = u.id
             join scim_group g on g.id = m.group_id
             join unnest($2::text[]) n(name) on n.name in (g.display_name, g.external_id)
            where u.pid = any($1) and u.deleted_at is null
            union all
           select i.pid, i.provider, n.name, i.groups_at
             from identity i
             join unnest($2::text[]) n(name) on n.name = any(i.groups)
            where i.pid = any($1) and i.groups_at is not null
              and not (i.provider = any($3) and exists (
                  select from scim_group g where g.provider = i.provider and n.name in (g.display_name, g.external_id)))"#,
        pids,
        names,
        providers
    );
    Ok(query.fetch_all(db).await?)
}
