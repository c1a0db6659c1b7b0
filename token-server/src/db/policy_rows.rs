//! What a file with the whole policy governs: who made it, a file or somebody by hand.
//!
//! *Invariant:* nothing here is made or removed; only whose it is changes.

use sqlx::PgExecutor;

use super::error::DbError;

/// Something with a name, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Whether a file made it.
    pub from_file: bool,
}

/// That somebody is in a team, and where that comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// The team.
    pub team: String,
    /// `user`, `team`, `robot` or `workload`.
    pub kind: String,
    /// Who is in it.
    pub name: String,
    /// Whether they say who else is.
    pub is_maintainer: bool,
    /// Whether a file made it so.
    pub from_file: bool,
}

/// All living teams.
pub async fn list_teams(db: impl PgExecutor<'_>) -> Result<Vec<Named>, DbError> {
    let query = sqlx::query_as!(
        Named,
        r#"select name, source = 'policy' as "from_file!" from principal where kind = 'team' and deleted_at is null"#
    );
    Ok(query.fetch_all(db).await?)
}

/// A workload, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadRow {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether a file made it.
    pub from_file: bool,
}

/// All living workloads.
pub async fn list_workloads(db: impl PgExecutor<'_>) -> Result<Vec<WorkloadRow>, DbError> {
    let query = sqlx::query_as!(
        WorkloadRow,
        r#"select p.name, w.description, p.source = 'policy' as "from_file!"
             from principal p join workload w on w.pid = p.pid
            where p.kind = 'workload' and p.deleted_at is null"#
    );
    Ok(query.fetch_all(db).await?)
}

/// Everybody who is in a team.
pub async fn list_members(db: impl PgExecutor<'_>) -> Result<Vec<MemberRow>, DbError> {
    let query = sqlx::query_as!(
        MemberRow,
        r#"select t.name as team, p.kind, p.name, m.is_maintainer, m.source = 'policy' as "from_file!"
             from team_member m join principal t on t.pid = m.team_pid join principal p on p.pid = m.member_pid"#
    );
    Ok(query.fetch_all(db).await?)
}

/// Names of the roles, namespaces (`n:NAME`) and barriers (`b:PATTERN`) that a file made.
pub async fn list_from_file(db: impl PgExecutor<'_>) -> Result<Vec<String>, DbError> {
    let query = sqlx::query_scalar!(
        r#"select 'r:' || name as "key!" from role where source = 'policy'
           union all select 'n:' || name from namespace where source = 'policy'
           union all select 'b:' || pattern from acl_barrier where source = 'policy'"#
    );
    Ok(query.fetch_all(db).await?)
}

/// Those of these principals that there are, by kind and name; other elements of the two lists belong together.
pub async fn list_existing(
    db: impl PgExecutor<'_>,
    kinds: &[String],
    names: &[String],
) -> Result<Vec<Named>, DbError> {
    let query = sqlx::query_as!(
        Named,
        r#"select p.kind || ':' || p.name as "name!", p.source = 'policy' as "from_file!"
             from unnest($1::text[], $2::text[]) w(kind, name)
             join principal p on p.kind = w.kind and p.name = w.name and p.deleted_at is null"#,
        kinds,
        names
    );
    Ok(query.fetch_all(db).await?)
}

/// Lets the file keep a team or a workload from now on.
pub async fn update_principal(db: impl PgExecutor<'_>, kind: &str, name: &str) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update principal set source = 'policy' where kind = $1 and name = $2 and deleted_at is null",
        kind,
        name
    );
    query.execute(db).await?;
    Ok(())
}

/// Lets the file keep a membership from now on.
pub async fn update_member(db: impl PgExecutor<'_>, team_pid: i64, member_pid: i64) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update team_member set source = 'policy' where team_pid = $1 and member_pid = $2",
        team_pid,
        member_pid
    );
    query.execute(db).await?;
    Ok(())
}

/// Lets the file keep a role from now on.
pub async fn update_role(db: impl PgExecutor<'_>, name: &str) -> Result<(), DbError> {
    sqlx::query!("update role set source = 'policy' where name = $1", name).execute(db).await?;
    Ok(())
}

/// Lets the file keep a namespace from now on.
pub async fn update_namespace(db: impl PgExecutor<'_>, name: &str) -> Result<(), DbError> {
    sqlx::query!("update namespace set source = 'policy' where name = $1", name).execute(db).await?;
    Ok(())
}

/// Lets the file keep a barrier from now on.
pub async fn update_barrier(db: impl PgExecutor<'_>, pattern: &str) -> Result<(), DbError> {
    sqlx::query!("update acl_barrier set source = 'policy' where pattern = $1", pattern).execute(db).await?;
    Ok(())
}
