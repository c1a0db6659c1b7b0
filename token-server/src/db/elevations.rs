//! Rights that somebody asked for, for a while.
//!
//! *Invariant:* a row is decided once; the grant that comes of it names it.

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// A request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElevationRow {
    /// Its number.
    pub id: Uuid,
    /// Inner number of who asked.
    pub pid: i64,
    /// Name of the user who asked.
    pub user: String,
    /// On which repositories.
    pub pattern: String,
    /// Which role; nothing if rights are listed.
    pub role: Option<String>,
    /// Which rights, with commas between them.
    pub rights: Option<String>,
    /// On which tags only.
    pub tags: Option<String>,
    /// For how long, from when it is approved.
    pub lasts_seconds: i32,
    /// Why.
    pub reason: String,
    /// Whether it was taken in an emergency, without asking.
    pub is_break_glass: bool,
    /// When.
    pub requested_at: OffsetDateTime,
    /// `requested`, `approved`, `denied` or `ended`.
    pub state: String,
    /// Name of who decided; nothing on the command line of the server.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<OffsetDateTime>,
    /// What they said.
    pub decision_reason: Option<String>,
    /// When it ends.
    pub ends_at: Option<OffsetDateTime>,
}

/// A request to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewElevation<'a> {
    /// Its number.
    pub id: Uuid,
    /// Who asks.
    pub pid: i64,
    /// On which repositories.
    pub pattern: &'a str,
    /// Which role.
    pub role: Option<&'a str>,
    /// Which rights.
    pub rights: Option<&'a str>,
    /// On which tags only.
    pub tags: Option<&'a str>,
    /// For how long.
    pub lasts_seconds: i32,
    /// Why.
    pub reason: &'a str,
    /// Whether it is taken in an emergency.
    pub is_break_glass: bool,
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// `approved`, `denied` or `ended`.
    pub state: &'a str,
    /// Who decides; nobody on the command line of the server.
    pub decided_by: Option<i64>,
    /// What they say.
    pub reason: Option<&'a str>,
    /// When it ends.
    pub ends_at: Option<OffsetDateTime>,
}

/// The requests that are open or last, or all that are remembered, before one; newest first, up to a number. Numbers
/// begin with the time.
pub async fn list_elevations_before(
    db: impl PgExecutor<'_>,
    id: Option<Uuid>,
    with_past: bool,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<ElevationRow>, DbError> {
    let query = sqlx::query_as!(
        ElevationRow,
        r#"select e.id, e.pid, p.name as user, e.pattern, e.role, e.rights, e.tags, e.lasts_seconds, e.reason,
                  e.is_break_glass, e.requested_at, e.state, e.decided_at,
                  (select d.name from principal d where d.pid = e.decided_by) as decided_by, e.decision_reason,
                  e.ends_at
             from elevation e join principal p on p.pid = e.pid
            where ($1::uuid is null or e.id < $1)
              and ($2 or e.state = 'requested' or (e.state = 'approved' and e.ends_at > $3))
            order by e.id desc limit $4"#,
        id,
        with_past,
        now,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// One request.
pub async fn find_elevation(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<ElevationRow>, DbError> {
    let query = sqlx::query_as!(
        ElevationRow,
        r#"select e.id, e.pid, p.name as user, e.pattern, e.role, e.rights, e.tags, e.lasts_seconds, e.reason,
                  e.is_break_glass, e.requested_at, e.state, e.decided_at,
                  (select d.name from principal d where d.pid = e.decided_by) as decided_by, e.decision_reason,
                  e.ends_at
             from elevation e join principal p on p.pid = e.pid
            where e.id = $1"#,
        id
    );
    Ok(query.fetch_optional(db).await?)
}

/// How many requests of somebody nobody has decided about.
pub async fn count_open(db: impl PgExecutor<'_>, pid: i64) -> Result<i64, DbError> {
    let query = sqlx::query_scalar!(
        r#"select count(*) as "count!" from elevation where pid = $1 and state = 'requested'"#,
        pid
    );
    Ok(query.fetch_one(db).await?)
}

/// Stores a request.
pub async fn insert_elevation(
    db: impl PgExecutor<'_>,
    elevation: &NewElevation<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into elevation (id, pid, pattern, role, rights, tags, lasts_seconds, reason, is_break_glass,
                                requested_at, state)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'requested')",
        elevation.id,
        elevation.pid,
        elevation.pattern,
        elevation.role,
        elevation.rights,
        elevation.tags,
        elevation.lasts_seconds,
        elevation.reason,
        elevation.is_break_glass,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// Writes down what became of a request.
pub async fn update_decision(
    db: impl PgExecutor<'_>,
    id: Uuid,
    decision: &Decision<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update elevation
            set state = $2, decided_by = $3, decided_at = $4, decision_reason = $5, ends_at = coalesce($6, ends_at)
          where id = $1",
        id,
        decision.state,
        decision.decided_by,
        now,
        decision.reason,
        decision.ends_at
    );
    query.execute(db).await?;
    Ok(())
}

/// Lets what lasts end now, and takes the grant away that came of it.
pub async fn delete_grant_of(db: impl PgExecutor<'_>, id: Uuid) -> Result<u64, DbError> {
    let query = sqlx::query!("delete from acl_grant where elevation_id = $1", id);
    Ok(query.execute(db).await?.rows_affected())
}
