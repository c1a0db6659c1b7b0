//! Grants: who holds which role on which repositories.
//!
//! *Invariant:* [`list_applicable`] costs one index probe per anchor and subject, whatever else is in the table.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::error::DbError;
use super::principals::{AUTHENTICATED, EVERYONE};

/// A grant as the decision needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRow {
    /// On which repositories.
    pub pattern: String,
    /// Which role.
    pub role: String,
}

/// A grant as a listing shows it.
#[derive(Clone, Debug)]
pub struct GrantSummary {
    /// `builtin`, `user` or `team`.
    pub subject_kind: String,
    /// Whose right.
    pub subject_name: String,
    /// Which role.
    pub role: String,
    /// On which repositories.
    pub pattern: String,
    /// When it was given.
    pub created_at: OffsetDateTime,
}

/// A grant to be stored.
#[derive(Clone, Debug)]
pub struct NewGrant<'a> {
    /// Whose right.
    pub subject_pid: i64,
    /// The indexable part of the pattern.
    pub anchor: &'a str,
    /// On which repositories.
    pub pattern: &'a str,
    /// Which role.
    pub role: &'a str,
}

/// The grants at these anchors that apply to a user (with teams, `authenticated`, `everyone`), or without one, to
/// `everyone`.
pub async fn list_applicable(
    db: impl PgExecutor<'_>,
    user_pid: Option<i64>,
    anchors: &[String],
) -> Result<Vec<GrantRow>, DbError> {
    // `offset 0` keeps the planner from joining: it would rather read every row of a popular anchor than probe the
    // index once per subject, which is several times slower where it matters.
    let query = sqlx::query_as!(
        GrantRow,
        r#"select g.pattern as "pattern!", g.role as "role!"
             from unnest($1::text[]) a(anchor)
            cross join (select team_pid as pid from team_member where member_pid = $2
                        union all select $2 where $2 is not null
                        union all select $4 where $2 is not null
                        union all select $3) s
            cross join lateral (select g.pattern, g.role from acl_grant g
                                 where g.anchor = a.anchor and g.subject_pid = s.pid offset 0) g"#,
        anchors,
        user_pid,
        EVERYONE,
        AUTHENTICATED
    );
    Ok(query.fetch_all(db).await?)
}

/// All grants, by subject and pattern.
pub async fn list_grants(db: impl PgExecutor<'_>) -> Result<Vec<GrantSummary>, DbError> {
    let query = sqlx::query_as!(
        GrantSummary,
        "select p.kind as subject_kind, p.name as subject_name, g.role, g.pattern, g.created_at
           from acl_grant g join principal p on p.pid = g.subject_pid
          order by p.kind, p.name, g.pattern, g.role"
    );
    Ok(query.fetch_all(db).await?)
}

/// Stores a grant; says whether it is new.
pub async fn insert_grant(
    db: impl PgExecutor<'_>,
    grant: &NewGrant<'_>,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "insert into acl_grant (subject_pid, anchor, pattern, role, created_at) values ($1, $2, $3, $4, $5)
         on conflict on constraint acl_grant_key do nothing",
        grant.subject_pid,
        grant.anchor,
        grant.pattern,
        grant.role,
        now
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Removes a grant; says whether there was one.
pub async fn delete_grant(
    db: impl PgExecutor<'_>,
    subject_pid: i64,
    pattern: &str,
    role: &str,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "delete from acl_grant where subject_pid = $1 and pattern = $2 and role = $3",
        subject_pid,
        pattern,
        role
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Removes all grants of a subject and says how many there were.
pub async fn delete_grants_of(db: impl PgExecutor<'_>, subject_pid: i64) -> Result<u64, DbError> {
    let query = sqlx::query!("delete from acl_grant where subject_pid = $1", subject_pid);
    Ok(query.execute(db).await?.rows_affected())
}
