//! Grants: who is given or denied what on which repositories.
//!
//! *Invariant:* [`list_applicable`] costs one index probe per anchor and subject, whatever else is in the table.

use ipnet::IpNet;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;
use super::principals::{AUTHENTICATED, EVERYONE};
use super::teams::MAX_DEPTH;

/// A row as a decision needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRow {
    /// Its number.
    pub id: i64,
    /// Inner number of who holds it.
    pub subject_pid: i64,
    /// `allow` or `deny`.
    pub effect: String,
    /// Which role; nothing if rights are listed.
    pub role: Option<String>,
    /// What that role allows, unless it is built in.
    pub role_rights: Option<String>,
    /// Which rights, with commas between them.
    pub rights: Option<String>,
    /// On which repositories.
    pub pattern: String,
    /// On which tags only.
    pub tags: Option<String>,
    /// Not before.
    pub not_before: Option<OffsetDateTime>,
    /// Not from then on.
    pub expires_at: Option<OffsetDateTime>,
    /// Only from there.
    pub networks: Option<Vec<IpNet>>,
    /// Only for whoever logged in with a second factor.
    pub second_factor: bool,
}

/// A row as a listing shows it.
#[derive(Clone, Debug)]
pub struct GrantSummary {
    /// `builtin`, `user`, `team`, `robot` or `workload`.
    pub subject_kind: String,
    /// Whose right.
    pub subject_name: String,
    /// What it says.
    pub row: GrantRow,
    /// Where it comes from: `manual`, `policy`, `namespace` or `elevation`.
    pub source: String,
    /// Why it was given, in somebody's words.
    pub reason: Option<String>,
    /// Who gave it; nothing on the command line of the server.
    pub created_by: Option<String>,
    /// When it was given.
    pub created_at: OffsetDateTime,
}

/// A row to be stored.
#[derive(Clone, Debug)]
pub struct NewGrant<'a> {
    /// Whose right.
    pub subject_pid: i64,
    /// The indexable part of the pattern.
    pub anchor: &'a str,
    /// On which repositories.
    pub pattern: &'a str,
    /// `allow` or `deny`.
    pub effect: &'a str,
    /// Which role.
    pub role: Option<&'a str>,
    /// Which rights.
    pub rights: Option<&'a str>,
    /// On which tags only.
    pub tags: Option<&'a str>,
    /// Not before.
    pub not_before: Option<OffsetDateTime>,
    /// Not from then on.
    pub expires_at: Option<OffsetDateTime>,
    /// Only from there; from anywhere if there are none.
    pub networks: &'a [IpNet],
    /// Only for whoever logged in with a second factor.
    pub second_factor: bool,
    /// Why.
    pub reason: Option<&'a str>,
    /// Who adds it; nobody on the command line of the server.
    pub created_by: Option<i64>,
    /// Where it comes from.
    pub source: Source,
}

/// Where a row comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// From somebody's hand.
    #[default]
    Manual,
    /// From a file with the whole policy.
    Policy,
    /// From a right that was asked for.
    Elevation(Uuid),
}

impl Source {
    /// The word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Policy => "policy",
            Self::Elevation(_) => "elevation",
        }
    }

    /// The number of the elevation.
    pub const fn elevation(self) -> Option<Uuid> {
        match self {
            Self::Manual | Self::Policy => None,
            Self::Elevation(id) => Some(id),
        }
    }
}

/// The rows at these anchors that apply to a user (with teams, and the teams those are in, `authenticated`,
/// `everyone`), or without one, to `everyone`.
pub async fn list_applicable(
    db: impl PgExecutor<'_>,
    user_pid: Option<i64>,
    anchors: &[String],
) -> Result<Vec<GrantRow>, DbError> {
    // `offset 0` keeps the planner from joining: it would rather read every row of a popular anchor than probe the
    // index once per subject, which is several times slower where it matters.
    let query = sqlx::query_as!(
        GrantRow,
        r#"with recursive member(pid, depth) as (
               select $2::bigint, 0 where $2::bigint is not null
               union
               select m.team_pid, member.depth + 1
                 from member join team_member m on m.member_pid = member.pid
                where member.depth < $5)
           select g.id as "id!", g.subject_pid as "subject_pid!", g.effect as "effect!", g.role,
                  (select r.rights from role r where r.name = g.role) as role_rights, g.rights,
                  g.pattern as "pattern!", g.tags, g.not_before, g.expires_at, g.networks,
                  g.second_factor as "second_factor!"
             from unnest($1::text[]) a(anchor)
            cross join (select distinct pid from member
                        union all select $4 where $2 is not null
                        union all select $3) s
            cross join lateral (
                select g.id, g.subject_pid, g.effect, g.role, g.rights, g.pattern, g.tags, g.not_before,
                       g.expires_at, g.networks, g.second_factor
                  from acl_grant g where g.anchor = a.anchor and g.subject_pid = s.pid offset 0) g"#,
        anchors,
        user_pid,
        EVERYONE,
        AUTHENTICATED,
        MAX_DEPTH
    );
    Ok(query.fetch_all(db).await?)
}

/// The rows of a user as in [`list_applicable`], at whatever anchor, up to a number.
pub async fn list_all_applicable(
    db: impl PgExecutor<'_>,
    user_pid: Option<i64>,
    limit: i64,
) -> Result<Vec<GrantRow>, DbError> {
    let query = sqlx::query_as!(
        GrantRow,
        r#"with recursive member(pid, depth) as (
               select $1::bigint, 0 where $1::bigint is not null
               union
               select m.team_pid, member.depth + 1
                 from member join team_member m on m.member_pid = member.pid
                where member.depth < $4)
           select g.id as "id!", g.subject_pid as "subject_pid!", g.effect as "effect!", g.role,
                  (select r.rights from role r where r.name = g.role) as role_rights, g.rights,
                  g.pattern as "pattern!", g.tags, g.not_before, g.expires_at, g.networks,
                  g.second_factor as "second_factor!"
             from (select distinct pid from member
                   union all select $3 where $1 is not null
                   union all select $2) s
            cross join lateral (
                select g.id, g.subject_pid, g.effect, g.role, g.rights, g.pattern, g.tags, g.not_before,
                       g.expires_at, g.networks, g.second_factor
                  from acl_grant g where g.subject_pid = s.pid offset 0) g
            limit $5"#,
        user_pid,
        EVERYONE,
        AUTHENTICATED,
        MAX_DEPTH,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// Every row that one of these principals holds, with its holder.
pub async fn list_held(db: impl PgExecutor<'_>, holders: &[i64]) -> Result<Vec<GrantRow>, DbError> {
    let query = sqlx::query_as!(
        GrantRow,
        r#"select g.id as "id!", g.subject_pid as "subject_pid!", g.effect as "effect!", g.role,
                  (select r.rights from role r where r.name = g.role) as role_rights, g.rights,
                  g.pattern as "pattern!", g.tags, g.not_before, g.expires_at, g.networks,
                  g.second_factor as "second_factor!"
             from acl_grant g
            where g.subject_pid = any($1)"#,
        holders
    );
    Ok(query.fetch_all(db).await?)
}

/// Every row at these anchors, whoever holds it, with its holder.
pub async fn list_at(db: impl PgExecutor<'_>, anchors: &[String]) -> Result<Vec<GrantRow>, DbError> {
    let query = sqlx::query_as!(
        GrantRow,
        r#"select g.id as "id!", g.subject_pid as "subject_pid!", g.effect as "effect!", g.role,
                  (select r.rights from role r where r.name = g.role) as role_rights, g.rights,
                  g.pattern as "pattern!", g.tags, g.not_before, g.expires_at, g.networks,
                  g.second_factor as "second_factor!"
             from acl_grant g
            where g.anchor = any($1)"#,
        anchors
    );
    Ok(query.fetch_all(db).await?)
}

/// The rows at these anchors that one of these principals holds.
pub async fn list_held_at(
    db: impl PgExecutor<'_>,
    anchors: &[String],
    holders: &[i64],
) -> Result<Vec<GrantRow>, DbError> {
    // `offset 0` keeps the planner from probing the index once for each anchor and holder, of which both can be many.
    let query = sqlx::query_as!(
        GrantRow,
        r#"select id as "id!", subject_pid as "subject_pid!", effect as "effect!", role,
                  (select r.rights from role r where r.name = g.role) as role_rights, rights,
                  pattern as "pattern!", tags, not_before, expires_at, networks, second_factor as "second_factor!"
             from (select id, subject_pid, effect, role, rights, pattern, tags, not_before, expires_at, networks,
                          second_factor
                     from acl_grant where anchor = any($1) offset 0) g
            where subject_pid = any($2)"#,
        anchors,
        holders
    );
    Ok(query.fetch_all(db).await?)
}

/// Patterns of the rows that one of these principals holds and that stand below one of these folders, whose paths end
/// with a slash or are empty; up to a number for each folder.
pub async fn list_patterns_below(
    db: impl PgExecutor<'_>,
    folders: &[String],
    holders: &[i64],
    limit: i64,
) -> Result<Vec<String>, DbError> {
    let query = sqlx::query_scalar!(
        // No name has a character behind the tilde, so whatever begins with a folder stands before it with one.
        "select distinct below.pattern from unnest($1::text[]) f(folder)
           cross join lateral (
               select distinct pattern from acl_grant
                -- Not a column, so that rows are not looked for once for each of many holders.
                where (subject_pid + 0) = any($2)
                  and ((anchor >= 's:' || f.folder and anchor < 's:' || f.folder || chr(127))
                       or (anchor >= 'r:' || f.folder and anchor < 'r:' || f.folder || chr(127)))
                order by pattern limit $3) below",
        folders,
        holders,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// All rows, by subject and pattern.
pub async fn list_grants(db: impl PgExecutor<'_>) -> Result<Vec<GrantSummary>, DbError> {
    let query = sqlx::query!(
        r#"select p.kind as "kind!", p.name as "name!", g.id as "id!", g.subject_pid as "subject_pid!",
                  g.effect as "effect!", g.role, (select r.rights from role r where r.name = g.role) as role_rights,
                  g.rights, g.pattern as "pattern!", g.tags, g.not_before, g.expires_at, g.networks,
                  g.second_factor as "second_factor!", g.source as "source!", g.reason, g.created_at as "created_at!",
                  (select c.name from principal c where c.pid = g.created_by) as created_by
             from acl_grant g join principal p on p.pid = g.subject_pid
            order by p.kind, p.name, g.pattern, g.effect, g.role, g.rights, g.tags"#
    );
    let rows = query.fetch_all(db).await?.into_iter().map(|found| GrantSummary {
        subject_kind: found.kind,
        subject_name: found.name,
        source: found.source,
        reason: found.reason,
        created_by: found.created_by,
        created_at: found.created_at,
        row: GrantRow {
            id: found.id,
            subject_pid: found.subject_pid,
            effect: found.effect,
            role: found.role,
            role_rights: found.role_rights,
            rights: found.rights,
            pattern: found.pattern,
            tags: found.tags,
            not_before: found.not_before,
            expires_at: found.expires_at,
            networks: found.networks,
            second_factor: found.second_factor,
        },
    });
    Ok(rows.collect())
}

/// What becomes of a row that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It has this number.
    New(i64),
    /// It is there already.
    Same,
    /// A row that says the same is there, and counts on other conditions.
    OtherConditions,
}

/// Stores a row, in the place of one that says the same and has ended.
pub async fn insert_grant(
    db: &mut PgConnection,
    grant: &NewGrant<'_>,
    now: OffsetDateTime,
) -> Result<Inserted, DbError> {
    let networks = (!grant.networks.is_empty()).then_some(grant.networks);
    let twin = sqlx::query!(
        r#"select id, expires_at <= $7 as has_ended,
                  (not_before is not distinct from $8 and expires_at is not distinct from $9
                   and networks is not distinct from ($10::inet[])::cidr[] and second_factor = $13) as "is_same!"
             from acl_grant
            where subject_pid = $1 and pattern = $2 and effect = $3 and coalesce(role, rights) = coalesce($4, $5)
              and coalesce(tags, '') = coalesce($6, '') and source = $11
              and elevation_id is not distinct from $12 for update"#,
        grant.subject_pid,
        grant.pattern,
        grant.effect,
        grant.role,
        grant.rights,
        grant.tags,
        now,
        grant.not_before,
        grant.expires_at,
        networks as Option<&[IpNet]>,
        grant.source.as_str(),
        grant.source.elevation(),
        grant.second_factor
    );
    if let Some(twin) = twin.fetch_optional(&mut *db).await? {
        match (twin.has_ended, twin.is_same) {
            (Some(true), _) => {
                sqlx::query!("delete from acl_grant where id = $1", twin.id).execute(&mut *db).await?;
            }
            (_, true) => return Ok(Inserted::Same),
            (_, false) => return Ok(Inserted::OtherConditions),
        }
    }
    let query = sqlx::query_scalar!(
        "insert into acl_grant (subject_pid, anchor, pattern, effect, role, rights, tags, not_before, expires_at,
                                networks, reason, created_at, created_by, source, elevation_id, second_factor)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) on conflict do nothing returning id",
        grant.subject_pid,
        grant.anchor,
        grant.pattern,
        grant.effect,
        grant.role,
        grant.rights,
        grant.tags,
        grant.not_before,
        grant.expires_at,
        networks as Option<&[IpNet]>,
        grant.reason,
        now,
        grant.created_by,
        grant.source.as_str(),
        grant.source.elevation(),
        grant.second_factor
    );
    // Somebody else may have added it at the same time.
    Ok(query.fetch_optional(&mut *db).await?.map_or(Inserted::Same, Inserted::New))
}

/// Lets the row that somebody made by hand come from elsewhere.
pub async fn update_source(
    db: impl PgExecutor<'_>,
    grant: &NewGrant<'_>,
    source: Source,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update acl_grant set source = $6
          where subject_pid = $1 and pattern = $2 and effect = $3 and coalesce(role, rights) = $4
            and coalesce(tags, '') = coalesce($5, '') and source = 'manual'",
        grant.subject_pid,
        grant.pattern,
        grant.effect,
        grant.role.or(grant.rights),
        grant.tags,
        source.as_str()
    );
    query.execute(db).await?;
    Ok(())
}

/// Removes the row that says the same, whenever and from wherever it counts; returns its number.
pub async fn delete_grant(db: impl PgExecutor<'_>, grant: &NewGrant<'_>) -> Result<Option<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "delete from acl_grant
          where subject_pid = $1 and pattern = $2 and effect = $3 and coalesce(role, rights) = coalesce($4, $5)
            and coalesce(tags, '') = coalesce($6, '') and source = $7
            and elevation_id is not distinct from $8 returning id",
        grant.subject_pid,
        grant.pattern,
        grant.effect,
        grant.role,
        grant.rights,
        grant.tags,
        grant.source.as_str(),
        grant.source.elevation()
    );
    Ok(query.fetch_optional(db).await?)
}

/// Where a row that says the same comes from, if it was not made by hand.
pub async fn find_other_source(
    db: impl PgExecutor<'_>,
    grant: &NewGrant<'_>,
) -> Result<Option<String>, DbError> {
    let query = sqlx::query_scalar!(
        "select source from acl_grant
          where subject_pid = $1 and pattern = $2 and effect = $3 and coalesce(role, rights) = coalesce($4, $5)
            and coalesce(tags, '') = coalesce($6, '') and source <> 'manual' order by id limit 1",
        grant.subject_pid,
        grant.pattern,
        grant.effect,
        grant.role,
        grant.rights,
        grant.tags
    );
    Ok(query.fetch_optional(db).await?)
}

/// Removes all rows of a subject and says how many there were.
pub async fn delete_grants_of(db: impl PgExecutor<'_>, subject_pid: i64) -> Result<u64, DbError> {
    let query = sqlx::query!("delete from acl_grant where subject_pid = $1", subject_pid);
    Ok(query.execute(db).await?.rows_affected())
}
