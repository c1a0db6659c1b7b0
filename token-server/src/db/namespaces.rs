//! Namespaces, and the grants that belong to them.
//!
//! *Invariant:* a grant that belongs to a namespace is added and removed with it only.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::error::DbError;

/// The unique constraint on names.
pub const NAMESPACE_KEY: &str = "namespace_key";

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceRow {
    /// Its number.
    pub id: i64,
    /// The first component of its repositories' names.
    pub name: String,
    /// `user` or `team`.
    pub owner_kind: String,
    /// Whose it is.
    pub owner_name: String,
    /// `private`, `internal` or `public`.
    pub visibility: String,
    /// `pushers`, `admins` or `nobody`.
    pub create_policy: String,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// A namespace to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewNamespace<'a> {
    /// The first component of its repositories' names.
    pub name: &'a str,
    /// Whose it is.
    pub owner_pid: i64,
    /// `private`, `internal` or `public`.
    pub visibility: &'a str,
    /// `pushers`, `admins` or `nobody`.
    pub create_policy: &'a str,
    /// Who makes it; nobody on the command line of the server.
    pub created_by: Option<i64>,
}

/// Who makes repositories in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePolicyRow {
    /// The namespace.
    pub name: String,
    /// `admins` or `nobody`.
    pub create_policy: String,
}

/// The namespace of that name.
pub async fn find_namespace(db: impl PgExecutor<'_>, name: &str) -> Result<Option<NamespaceRow>, DbError> {
    let query = sqlx::query_as!(
        NamespaceRow,
        "select n.id, n.name, p.kind as owner_kind, p.name as owner_name, n.visibility, n.create_policy, n.created_at
           from namespace n join principal p on p.pid = n.owner_pid
          where n.name = $1",
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// All, by name.
pub async fn list_namespaces(db: impl PgExecutor<'_>) -> Result<Vec<NamespaceRow>, DbError> {
    let query = sqlx::query_as!(
        NamespaceRow,
        "select n.id, n.name, p.kind as owner_kind, p.name as owner_name, n.visibility, n.create_policy, n.created_at
           from namespace n join principal p on p.pid = n.owner_pid
          order by n.name"
    );
    Ok(query.fetch_all(db).await?)
}

/// Those behind a name, in the order of names, up to a number.
pub async fn list_namespaces_behind(
    db: impl PgExecutor<'_>,
    name: &str,
    limit: i64,
) -> Result<Vec<NamespaceRow>, DbError> {
    let query = sqlx::query_as!(
        NamespaceRow,
        "select n.id, n.name, p.kind as owner_kind, p.name as owner_name, n.visibility, n.create_policy, n.created_at
           from namespace n join principal p on p.pid = n.owner_pid
          where n.name > $1 order by n.name limit $2",
        name,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// Names of those that belong to a user or a team, in order.
pub async fn list_names_of_owner(db: impl PgExecutor<'_>, owner_pid: i64) -> Result<Vec<String>, DbError> {
    let query =
        sqlx::query_scalar!("select name from namespace where owner_pid = $1 order by name", owner_pid);
    Ok(query.fetch_all(db).await?)
}

/// All in which not everybody who may push may make repositories.
pub async fn list_all_create_policies(db: impl PgExecutor<'_>) -> Result<Vec<CreatePolicyRow>, DbError> {
    let query = sqlx::query_as!(
        CreatePolicyRow,
        "select name, create_policy from namespace where create_policy <> 'pushers'"
    );
    Ok(query.fetch_all(db).await?)
}

/// Those of these names in which not everybody who may push may make repositories.
pub async fn list_create_policies(
    db: impl PgExecutor<'_>,
    names: &[String],
) -> Result<Vec<CreatePolicyRow>, DbError> {
    let query = sqlx::query_as!(
        CreatePolicyRow,
        "select name, create_policy from namespace where name = any($1) and create_policy <> 'pushers'",
        names
    );
    Ok(query.fetch_all(db).await?)
}

/// Adds one and returns its number; a taken name is a conflict with [`NAMESPACE_KEY`].
pub async fn insert_namespace(
    db: impl PgExecutor<'_>,
    namespace: &NewNamespace<'_>,
    now: OffsetDateTime,
) -> Result<i64, DbError> {
    let query = sqlx::query_scalar!(
        "insert into namespace (name, owner_pid, visibility, create_policy, created_by, created_at)
         values ($1, $2, $3, $4, $5, $6) returning id",
        namespace.name,
        namespace.owner_pid,
        namespace.visibility,
        namespace.create_policy,
        namespace.created_by,
        now
    );
    Ok(query.fetch_one(db).await?)
}

/// Changes everything but the name.
pub async fn update_namespace(
    db: impl PgExecutor<'_>,
    id: i64,
    namespace: &NewNamespace<'_>,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update namespace set owner_pid = $2, visibility = $3, create_policy = $4 where id = $1",
        id,
        namespace.owner_pid,
        namespace.visibility,
        namespace.create_policy
    );
    query.execute(db).await?;
    Ok(())
}

/// Removes one that has neither grants nor robots left.
pub async fn delete_namespace(db: impl PgExecutor<'_>, id: i64) -> Result<(), DbError> {
    sqlx::query!("delete from namespace where id = $1", id).execute(db).await?;
    Ok(())
}

/// Gives a role on all of a namespace to somebody; the row belongs to the namespace.
pub async fn insert_own_grant(
    db: impl PgExecutor<'_>,
    id: i64,
    subject_pid: i64,
    name: &str,
    role: &str,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into acl_grant (subject_pid, anchor, pattern, role, namespace_id, source, created_at)
         values ($1, 's:' || $2 || '/', $2 || '/**', $3, $4, 'namespace', $5)",
        subject_pid,
        name,
        role,
        id,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// Removes the grants that belong to a namespace.
pub async fn delete_own_grants(db: impl PgExecutor<'_>, id: i64) -> Result<u64, DbError> {
    let query = sqlx::query!("delete from acl_grant where namespace_id = $1", id);
    Ok(query.execute(db).await?.rows_affected())
}
