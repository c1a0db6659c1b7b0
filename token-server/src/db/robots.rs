//! Robots and their secrets, by the keyed MAC of these.
//!
//! *Invariant:* a secret itself is never given to the database.

use serde_json::Value;
use sqlx::PgExecutor;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;
use super::limit_words::LimitWords;

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

/// A secret as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSummary {
    /// Its number, which is no secret.
    pub id: Uuid,
    /// `OWNER/NAME` of the robot.
    pub robot: String,
    /// What it is called.
    pub label: Option<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last used, within some minutes.
    pub last_used_at: Option<OffsetDateTime>,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// What it is good for, of what the robot holds; nothing if that is everything.
    pub limits: Option<Value>,
}

/// What a login with a secret needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRow {
    /// Its number.
    pub id: Uuid,
    /// Inner number of the robot.
    pub pid: i64,
    /// Stable id of the robot.
    pub uid: Uuid,
    /// `OWNER/NAME`.
    pub name: String,
    /// Whether the robot, or the user it belongs to, may not log in.
    pub disabled: bool,
    /// When it was last used, within some minutes.
    pub last_used_at: Option<OffsetDateTime>,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// What it is good for, of what the robot holds; nothing if that is everything.
    pub limits: Option<Value>,
}

/// A secret to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewSecret<'a> {
    /// Its number.
    pub id: Uuid,
    /// Keyed MAC, 32 bytes.
    pub mac: &'a [u8],
    /// The robot.
    pub pid: i64,
    /// What it is called.
    pub label: Option<&'a str>,
    /// Who makes it; nobody on the command line of the server.
    pub created_by: Option<i64>,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// What it is good for, of what the robot holds; nothing if that is everything.
    pub limits: Option<&'a LimitWords>,
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
                  (select count(*) from robot_secret s
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
                  (select count(*) from robot_secret s
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
                  (select count(*) from robot_secret s
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
                  (select count(*) from robot_secret s
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

/// Stores a secret.
pub async fn insert_secret(
    db: impl PgExecutor<'_>,
    secret: &NewSecret<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into robot_secret (id, mac, pid, label, created_by, created_at, expires_at, limits)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        secret.id,
        secret.mac,
        secret.pid,
        secret.label,
        secret.created_by,
        now,
        secret.expires_at,
        secret.limits.map(Json) as Option<Json<&LimitWords>>
    );
    query.execute(db).await?;
    Ok(())
}

/// The secret with that MAC, of a living robot.
pub async fn find_secret(db: impl PgExecutor<'_>, mac: &[u8]) -> Result<Option<SecretRow>, DbError> {
    let query = sqlx::query_as!(
        SecretRow,
        r#"select s.id, p.pid, p.uid, p.name, s.last_used_at, s.expires_at, s.limits,
                  (p.disabled_at is not null or u.disabled_at is not null or u.deleted_at is not null) as "disabled!"
             from robot_secret s
             join principal p on p.pid = s.pid and p.deleted_at is null
             join robot r on r.pid = p.pid
             left join namespace n on n.id = r.namespace_id
             -- A namespace with the name of its owner is that user's own, and so are its robots.
             left join principal u on u.pid = coalesce(r.user_pid, n.owner_pid) and (n.id is null or n.name = u.name)
            where s.mac = $1"#,
        mac
    );
    Ok(query.fetch_optional(db).await?)
}

/// The secrets of a robot, oldest first.
pub async fn list_secrets(db: impl PgExecutor<'_>, pid: i64) -> Result<Vec<SecretSummary>, DbError> {
    let query = sqlx::query_as!(
        SecretSummary,
        r#"select s.id, p.name as robot, s.label, s.created_at, s.last_used_at, s.expires_at,
                s.limits
           from robot_secret s join principal p on p.pid = s.pid
          where s.pid = $1 order by s.created_at, s.id"#,
        pid
    );
    Ok(query.fetch_all(db).await?)
}

/// One secret by its number.
pub async fn find_secret_summary(
    db: impl PgExecutor<'_>,
    id: Uuid,
) -> Result<Option<SecretSummary>, DbError> {
    let query = sqlx::query_as!(
        SecretSummary,
        r#"select s.id, p.name as robot, s.label, s.created_at, s.last_used_at, s.expires_at,
                s.limits
           from robot_secret s join principal p on p.pid = s.pid
          where s.id = $1"#,
        id
    );
    Ok(query.fetch_optional(db).await?)
}

/// Whether a user can have a secret of a robot: because the robot is theirs, or they made it or one of its secrets.
pub async fn is_in_hands_of(db: impl PgExecutor<'_>, robot: i64, user: i64) -> Result<bool, DbError> {
    let query = sqlx::query_scalar!(
        r#"select exists(select 1 from robot where pid = $1 and (created_by = $2 or user_pid = $2))
               or exists(select 1 from robot_secret where pid = $1 and created_by = $2) as "is!""#,
        robot,
        user
    );
    Ok(query.fetch_one(db).await?)
}

/// Records a use.
pub async fn update_secret_used(
    db: impl PgExecutor<'_>,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    sqlx::query!("update robot_secret set last_used_at = $2 where id = $1", id, now).execute(db).await?;
    Ok(())
}

/// Removes a secret.
pub async fn delete_secret(db: impl PgExecutor<'_>, id: Uuid) -> Result<(), DbError> {
    sqlx::query!("delete from robot_secret where id = $1", id).execute(db).await?;
    Ok(())
}

/// Removes all secrets of robots and says how many there were.
pub async fn delete_secrets_of(db: impl PgExecutor<'_>, pids: &[i64]) -> Result<u64, DbError> {
    let query = sqlx::query!("delete from robot_secret where pid = any($1)", pids);
    Ok(query.execute(db).await?.rows_affected())
}

/// Removes the secrets of a robot that have ended.
pub async fn delete_ended_secrets(
    db: impl PgExecutor<'_>,
    pid: i64,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    sqlx::query!("delete from robot_secret where pid = $1 and expires_at <= $2", pid, now)
        .execute(db)
        .await?;
    Ok(())
}
