//! Roles that administrators made.
//!
//! *Invariant:* a role that a grant names is not removed.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::error::DbError;

/// The key of the table.
pub const ROLE_KEY: &str = "role_key";

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRow {
    /// Its name.
    pub name: String,
    /// What it allows, with commas between the words.
    pub rights: String,
    /// What it is for, in somebody's words.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// The role of that name, which stays as it is until the transaction ends.
pub async fn find_role_held(db: impl PgExecutor<'_>, name: &str) -> Result<Option<RoleRow>, DbError> {
    let query = sqlx::query_as!(
        RoleRow,
        "select name, rights, description, created_at from role where name = $1 for share",
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// The same, to be changed.
pub async fn find_role_locked(db: impl PgExecutor<'_>, name: &str) -> Result<Option<RoleRow>, DbError> {
    let query = sqlx::query_as!(
        RoleRow,
        "select name, rights, description, created_at from role where name = $1 for update",
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// All, by name.
pub async fn list_roles(db: impl PgExecutor<'_>) -> Result<Vec<RoleRow>, DbError> {
    let query =
        sqlx::query_as!(RoleRow, "select name, rights, description, created_at from role order by name");
    Ok(query.fetch_all(db).await?)
}

/// The role of that name.
pub async fn find_role(db: impl PgExecutor<'_>, name: &str) -> Result<Option<RoleRow>, DbError> {
    let query = sqlx::query_as!(
        RoleRow,
        "select name, rights, description, created_at from role where name = $1",
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// Roles by name, behind one, up to a number; all, or those among these.
pub async fn list_roles_behind(
    db: impl PgExecutor<'_>,
    name: &str,
    among: Option<&[String]>,
    limit: i64,
) -> Result<Vec<RoleRow>, DbError> {
    let query = sqlx::query_as!(
        RoleRow,
        "select name, rights, description, created_at from role
          where name > $1 and ($2::text[] is null or name = any($2)) order by name limit $3",
        name,
        among as Option<&[String]>,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// Adds one; a taken name is a conflict with [`ROLE_KEY`].
pub async fn insert_role(db: impl PgExecutor<'_>, role: &RoleRow) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into role (name, rights, description, created_at) values ($1, $2, $3, $4)",
        role.name,
        role.rights,
        role.description,
        role.created_at
    );
    query.execute(db).await?;
    Ok(())
}

/// Lets one allow something else.
pub async fn update_role(
    db: impl PgExecutor<'_>,
    name: &str,
    rights: &str,
    description: Option<&str>,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update role set rights = $2, description = $3 where name = $1",
        name,
        rights,
        description
    );
    query.execute(db).await?;
    Ok(())
}

/// Removes one.
pub async fn delete_role(db: impl PgExecutor<'_>, name: &str) -> Result<(), DbError> {
    sqlx::query!("delete from role where name = $1", name).execute(db).await?;
    Ok(())
}

/// How many grants name a role.
pub async fn count_grants(db: impl PgExecutor<'_>, name: &str) -> Result<i64, DbError> {
    let query = sqlx::query_scalar!(r#"select count(*) as "count!" from acl_grant where role = $1"#, name);
    Ok(query.fetch_one(db).await?)
}
