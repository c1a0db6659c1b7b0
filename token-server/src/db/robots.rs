//! Robots: a principal of kind `robot` with its owner.
//!
//! *Invariant:* a robot belongs to a namespace or a user, never to both.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::error::DbError;

/// A robot as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RobotSummary {
    /// Inner number.
    pub pid: i64,
    /// Inner number of the user it belongs to; nothing for a robot of a namespace.
    pub user_pid: Option<i64>,
    /// `OWNER/NAME`.
    pub name: String,
    /// What it is for, in somebody's words.
    pub description: Option<String>,
    /// Since when logins are refused.
    pub disabled_at: Option<OffsetDateTime>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// How many secrets are good at this moment.
    pub secrets: i64,
}

/// Whose a robot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RobotOwner {
    /// A namespace, by its number.
    Namespace(i64),
    /// A user, by the inner number.
    User(i64),
}

/// Gives a principal what makes it a robot.
pub async fn insert_robot(
    db: impl PgExecutor<'_>,
    pid: i64,
    owner: RobotOwner,
    description: Option<&str>,
    created_by: Option<i64>,
) -> Result<(), DbError> {
    let (namespace, user) = match owner {
        RobotOwner::Namespace(id) => (Some(id), None),
        RobotOwner::User(pid) => (None, Some(pid)),
    };
    let query = sqlx::query!(
        "insert into robot (pid, namespace_id, user_pid, description, created_by) values ($1, $2, $3, $4, $5)",
        pid,
        namespace,
        user,
        description,
        created_by
    );
    query.execute(db).await?;
    Ok(())
}

/// All living robots of an owner, or of all owners, by name.
pub async fn list_robots(
    db: impl PgExecutor<'_>,
    owner: Option<&str>,
    now: OffsetDateTime,
) -> Result<Vec<RobotSummary>, DbError> {
    let query = sqlx::query_as!(
        RobotSummary,
        r#"select p.pid, r.user_pid, p.name, r.description, p.disabled_at, p.created_at,
                  (select count(*) from credential s
                    where s.pid = p.pid and (s.expires_at is null or s.expires_at > $2)) as "secrets!"
             from principal p join robot r on r.pid = p.pid
            where p.kind = 'robot' and p.deleted_at is null and ($1::text is null or starts_with(p.name, $1 || '/'))
            order by p.name"#,
        owner,
        now
    );
    Ok(query.fetch_all(db).await?)
}

/// The living robots of these namespaces, in the order of the namespaces.
pub async fn list_robots_of_namespaces(
    db: impl PgExecutor<'_>,
    namespaces: &[String],
    now: OffsetDateTime,
) -> Result<Vec<RobotSummary>, DbError> {
    let query = sqlx::query_as!(
        RobotSummary,
        r#"select p.pid, r.user_pid, p.name, r.description, p.disabled_at, p.created_at,
                  (select count(*) from credential s
                    where s.pid = p.pid and (s.expires_at is null or s.expires_at > $2)) as "secrets!"
             from unnest($1::text[]) with ordinality w(name, place)
             join namespace n on n.name = w.name
             join robot r on r.namespace_id = n.id
             join principal p on p.pid = r.pid and p.deleted_at is null
            order by w.place, p.name"#,
        namespaces,
        now
    );
    Ok(query.fetch_all(db).await?)
}

/// Living robots behind a name, in the order of names, up to a number; of an owner, or of all owners.
pub async fn list_robots_behind(
    db: impl PgExecutor<'_>,
    name: &str,
    owner: Option<&str>,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<RobotSummary>, DbError> {
    let query = sqlx::query_as!(
        RobotSummary,
        r#"select p.pid, r.user_pid, p.name, r.description, p.disabled_at, p.created_at,
                  (select count(*) from credential s
                    where s.pid = p.pid and (s.expires_at is null or s.expires_at > $3)) as "secrets!"
             from principal p join robot r on r.pid = p.pid
            where p.kind = 'robot' and p.deleted_at is null and p.name > $1
              and ($2::text is null or starts_with(p.name, $2 || '/'))
            order by p.name limit $4"#,
        name,
        owner,
        now,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// The living robot of that name.
pub async fn find_robot_summary(
    db: impl PgExecutor<'_>,
    name: &str,
    now: OffsetDateTime,
) -> Result<Option<RobotSummary>, DbError> {
    let query = sqlx::query_as!(
        RobotSummary,
        r#"select p.pid, r.user_pid, p.name, r.description, p.disabled_at, p.created_at,
                  (select count(*) from credential s
                    where s.pid = p.pid and (s.expires_at is null or s.expires_at > $2)) as "secrets!"
             from principal p join robot r on r.pid = p.pid
            where p.kind = 'robot' and p.name = $1 and p.deleted_at is null"#,
        name,
        now
    );
    Ok(query.fetch_optional(db).await?)
}

/// Lets a robot be described otherwise, or not at all.
pub async fn update_description(
    db: impl PgExecutor<'_>,
    pid: i64,
    description: Option<&str>,
) -> Result<(), DbError> {
    sqlx::query!("update robot set description = $2 where pid = $1", pid, description).execute(db).await?;
    Ok(())
}

/// Inner numbers of the living robots of a namespace.
pub async fn list_pids_of_namespace(db: impl PgExecutor<'_>, id: i64) -> Result<Vec<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "select r.pid from robot r join principal p on p.pid = r.pid where r.namespace_id = $1 and p.deleted_at is null",
        id
    );
    Ok(query.fetch_all(db).await?)
}

/// Takes robots, which are deleted, away from their namespace, so that it can go.
pub async fn delete_robots_of_namespace(db: impl PgExecutor<'_>, id: i64) -> Result<(), DbError> {
    sqlx::query!("delete from robot where namespace_id = $1", id).execute(db).await?;
    Ok(())
}

/// Whether a user can have a secret of a robot: because the robot is theirs, or they made it or one of its secrets.
pub async fn is_in_hands_of(db: impl PgExecutor<'_>, robot: i64, user: i64) -> Result<bool, DbError> {
    let query = sqlx::query_scalar!(
        r#"select exists(select 1 from robot where pid = $1 and (created_by = $2 or user_pid = $2))
               or exists(select 1 from credential where pid = $1 and created_by = $2) as "is!""#,
        robot,
        user
    );
    Ok(query.fetch_one(db).await?)
}

/// Inner numbers of the living robots of these namespaces.
pub async fn list_pids_of_namespaces(
    db: impl PgExecutor<'_>,
    namespaces: &[String],
) -> Result<Vec<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "select r.pid from robot r
           join namespace n on n.id = r.namespace_id
           join principal p on p.pid = r.pid and p.deleted_at is null
          where n.name = any($1)",
        namespaces
    );
    Ok(query.fetch_all(db).await?)
}
