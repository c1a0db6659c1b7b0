//! Everything that can hold a right: the rows of `principal`.
//!
//! *Invariant:* deleted principals are not found by name; their row stays because records refer to it.

use futures_util::{Stream, TryStreamExt as _};
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// `everyone`, fixed by the first migration.
pub const EVERYONE: i64 = 1;

/// `authenticated`, fixed by the first migration.
pub const AUTHENTICATED: i64 = 2;

/// The unique index on names.
pub const NAME_KEY: &str = "principal_name_key";

/// `kind` of a user.
pub const USER: &str = "user";

/// `kind` of a robot.
pub const ROBOT: &str = "robot";

/// `kind` of a workload.
pub const WORKLOAD: &str = "workload";

/// `kind` of a team.
pub const TEAM: &str = "team";

/// A principal by its number.
#[derive(Clone, Debug)]
pub struct PrincipalRow {
    /// Inner number.
    pub pid: i64,
    /// `builtin`, `user`, `team`, `robot` or `workload`.
    pub kind: String,
    /// Folded name.
    pub name: String,
}

/// What matters of a principal for its rights.
#[derive(Clone, Copy, Debug)]
pub struct PrincipalSummary {
    /// Inner number.
    pub pid: i64,
    /// Whether logins are refused.
    pub is_disabled: bool,
}

/// The living principal of that kind and name.
pub async fn find_summary(
    db: impl PgExecutor<'_>,
    kind: &str,
    name: &str,
) -> Result<Option<PrincipalSummary>, DbError> {
    let query = sqlx::query_as!(
        PrincipalSummary,
        r#"select pid, disabled_at is not null as "is_disabled!" from principal
            where kind = $1 and name = $2 and deleted_at is null"#,
        kind,
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// Those of these numbers that there are.
pub async fn list_names(db: impl PgExecutor<'_>, pids: &[i64]) -> Result<Vec<PrincipalRow>, DbError> {
    let query =
        sqlx::query_as!(PrincipalRow, "select pid, kind, name from principal where pid = any($1)", pids);
    Ok(query.fetch_all(db).await?)
}

/// Those of these names of a kind that are alive.
pub async fn list_named(
    db: impl PgExecutor<'_>,
    kind: &str,
    names: &[String],
) -> Result<Vec<PrincipalRow>, DbError> {
    let query = sqlx::query_as!(
        PrincipalRow,
        "select pid, kind, name from principal where kind = $1 and name = any($2) and deleted_at is null",
        kind,
        names
    );
    Ok(query.fetch_all(db).await?)
}

/// A living principal as servers keep it in memory.
#[derive(Clone, Debug)]
pub struct PrincipalState {
    /// Inner number.
    pub pid: i64,
    /// Stable id.
    pub uid: Uuid,
    /// `builtin`, `user`, `team`, `robot` or `workload`.
    pub kind: String,
    /// Folded name.
    pub name: String,
    /// Whether logins are refused.
    pub is_disabled: bool,
    /// The teams it is itself a member of, in order.
    pub teams: Vec<i64>,
    /// Inner number of the user with whom a robot goes quiet.
    pub owner: Option<i64>,
}

/// All the living, one after the other.
pub fn visit_principals(db: &mut PgConnection) -> impl Stream<Item = Result<PrincipalState, DbError>> {
    let query = sqlx::query_as!(
        PrincipalState,
        r#"select p.pid, p.uid, p.kind, p.name, p.disabled_at is not null as "is_disabled!",
                  coalesce(m.teams, '{}') as "teams!", coalesce(r.user_pid, o.pid) as "owner?"
             from principal p
             left join (select member_pid, array_agg(team_pid order by team_pid) as teams
                          from team_member group by member_pid) m on m.member_pid = p.pid
             left join robot r on r.pid = p.pid
             left join namespace n on n.id = r.namespace_id
             -- A namespace with the name of its owner is that user's own, and so are its robots.
             left join principal o on o.pid = n.owner_pid and o.name = n.name
            where p.deleted_at is null"#
    );
    query.fetch(db).map_err(DbError::from)
}

/// Those of these numbers that are alive.
pub async fn list_states(db: impl PgExecutor<'_>, pids: &[i64]) -> Result<Vec<PrincipalState>, DbError> {
    let query = sqlx::query_as!(
        PrincipalState,
        r#"select p.pid, p.uid, p.kind, p.name, p.disabled_at is not null as "is_disabled!",
                  array(select m.team_pid from team_member m
                         where m.member_pid = p.pid order by m.team_pid) as "teams!",
                  coalesce(r.user_pid, o.pid) as "owner?"
             from principal p
             left join robot r on r.pid = p.pid
             left join namespace n on n.id = r.namespace_id
             left join principal o on o.pid = n.owner_pid and o.name = n.name
            where p.pid = any($1) and p.deleted_at is null"#,
        pids
    );
    Ok(query.fetch_all(db).await?)
}

/// Number of the living principal of that kind and name.
pub async fn find_principal(db: impl PgExecutor<'_>, kind: &str, name: &str) -> Result<Option<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "select pid from principal where kind = $1 and name = $2 and deleted_at is null",
        kind,
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// The same, and it stays alive until the transaction ends, so that nothing is attached to what is being deleted.
pub async fn find_principal_held(
    db: impl PgExecutor<'_>,
    kind: &str,
    name: &str,
) -> Result<Option<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "select pid from principal where kind = $1 and name = $2 and deleted_at is null for share",
        kind,
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// Adds a principal and returns its number; a taken name is a conflict with [`NAME_KEY`].
pub async fn insert_principal(
    db: impl PgExecutor<'_>,
    kind: &str,
    name: &str,
    uid: Uuid,
    now: OffsetDateTime,
) -> Result<i64, DbError> {
    let query = sqlx::query_scalar!(
        "insert into principal (uid, kind, name, created_at) values ($1, $2, $3, $4) returning pid",
        uid,
        kind,
        name,
        now
    );
    Ok(query.fetch_one(db).await?)
}

/// Deletes a principal, which frees its name.
pub async fn update_deleted_by_pid(
    db: impl PgExecutor<'_>,
    pid: i64,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query =
        sqlx::query!("update principal set deleted_at = $2 where pid = $1 and deleted_at is null", pid, now);
    query.execute(db).await?;
    Ok(())
}

/// Deletes the living principal of that kind and name, which frees the name; returns its number. Waits for
/// transactions that hold it by [`find_principal_held`].
pub async fn update_deleted(
    db: impl PgExecutor<'_>,
    kind: &str,
    name: &str,
    now: OffsetDateTime,
) -> Result<Option<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "update principal set deleted_at = $3
          where kind = $1 and name = $2 and deleted_at is null returning pid",
        kind,
        name,
        now
    );
    Ok(query.fetch_optional(db).await?)
}
