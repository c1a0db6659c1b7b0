//! Workloads: a principal of kind `workload` with what it is for.
//!
//! *Invariant:* there is nothing here that could be a credential.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::error::DbError;

/// A workload as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadSummary {
    /// Inner number.
    pub pid: i64,
    /// Folded name.
    pub name: String,
    /// What it is for, in somebody's words.
    pub description: Option<String>,
    /// Since when its rights do not count.
    pub disabled_at: Option<OffsetDateTime>,
    /// Who made it; nothing on the command line of the server.
    pub created_by: Option<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// Gives a principal what makes it a workload.
pub async fn insert_workload(
    db: impl PgExecutor<'_>,
    pid: i64,
    description: Option<&str>,
    created_by: Option<i64>,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into workload (pid, description, created_by) values ($1, $2, $3)",
        pid,
        description,
        created_by
    );
    query.execute(db).await?;
    Ok(())
}

/// Living workloads behind a name, in the order of names, up to a number.
pub async fn list_workloads_behind(
    db: impl PgExecutor<'_>,
    name: &str,
    limit: i64,
) -> Result<Vec<WorkloadSummary>, DbError> {
    let query = sqlx::query_as!(
        WorkloadSummary,
        "select p.pid, p.name, w.description, p.disabled_at,
                  (select c.name from principal c where c.pid = w.created_by) as created_by, p.created_at
             from principal p join workload w on w.pid = p.pid
            where p.kind = 'workload' and p.deleted_at is null and p.name > $1
            order by p.name limit $2",
        name,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// The living workload of that name.
pub async fn find_workload(db: impl PgExecutor<'_>, name: &str) -> Result<Option<WorkloadSummary>, DbError> {
    let query = sqlx::query_as!(
        WorkloadSummary,
        "select p.pid, p.name, w.description, p.disabled_at,
                  (select c.name from principal c where c.pid = w.created_by) as created_by, p.created_at
             from principal p join workload w on w.pid = p.pid
            where p.kind = 'workload' and p.name = $1 and p.deleted_at is null",
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// Lets a workload be described otherwise, or not at all.
pub async fn update_description(
    db: impl PgExecutor<'_>,
    pid: i64,
    description: Option<&str>,
) -> Result<(), DbError> {
    sqlx::query!("update workload set description = $2 where pid = $1", pid, description).execute(db).await?;
    Ok(())
}

/// Forgets what a workload that is deleted was for.
pub async fn delete_workload(db: impl PgExecutor<'_>, pid: i64) -> Result<(), DbError> {
    sqlx::query!("delete from workload where pid = $1", pid).execute(db).await?;
    Ok(())
}
