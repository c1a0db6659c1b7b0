//! Browsers in which somebody is signed in.
//!
//! *Invariant:* of what a browser shows only a MAC is stored; a session of somebody who is disabled or gone is none.

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// A session, as it is looked up.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Its number.
    pub id: Uuid,
    /// Inner number of the user.
    pub pid: i64,
    /// Stable id of the user.
    pub uid: Uuid,
    /// Name of the user.
    pub user: String,
    /// Who says who they are, where that was not a password.
    pub issuer: Option<String>,
    /// What never changes there.
    pub subject: Option<String>,
    /// What the provider wants to see at the end, sealed.
    pub id_token: Option<Vec<u8>>,
    /// What the browser called itself.
    pub agent: Option<String>,
    /// From where it came.
    pub made_from: Option<String>,
    /// Since when there is this session.
    pub created_at: OffsetDateTime,
    /// When it was last used, within some minutes.
    pub last_used_at: OffsetDateTime,
    /// When it ends in any case.
    pub ends_at: OffsetDateTime,
    /// When the user last proved in it who they are.
    pub proven_at: Option<OffsetDateTime>,
    /// When the user last showed a second factor in it.
    pub second_factor_at: Option<OffsetDateTime>,
}

/// A session that is to be.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// Its number.
    pub id: Uuid,
    /// The MAC of what the browser will show.
    pub mac: &'a [u8; 32],
    /// Inner number of the user.
    pub pid: i64,
    /// Who says who they are, and what never changes there.
    pub identity: Option<(&'a str, &'a str)>,
    /// What the provider calls its own session.
    pub provider_session: Option<&'a str>,
    /// What the provider wants to see at the end, sealed.
    pub id_token: Option<&'a [u8]>,
    /// What the browser called itself.
    pub agent: Option<&'a str>,
    /// From where it came.
    pub made_from: Option<&'a str>,
    /// When it ends in any case.
    pub ends_at: OffsetDateTime,
    /// Whether the user has shown a second factor.
    pub second_factor: bool,
}

/// Reads sessions; the condition says which.
macro_rules! sessions {
    ($condition:literal, $($arguments:tt)*) => {
        sqlx::query_as!(
            SessionRow,
            r#"select s.id, s.pid, p.uid, p.name as "user", s.issuer, s.subject, s.id_token, s.agent, s.made_from,
                      s.created_at, s.last_used_at, s.ends_at, s.proven_at, s.second_factor_at
                 from browser_session s
                 join principal p on p.pid = s.pid and p.deleted_at is null and p.disabled_at is null
                "# + $condition,
            $($arguments)*
        )
    };
}

/// The session of that MAC, used since a moment, if its end has not come.
pub async fn find_session(
    db: impl PgExecutor<'_>,
    mac: &[u8; 32],
    used_since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<Option<SessionRow>, DbError> {
    let query = sessions!(
        "where s.mac = $1 and s.last_used_at > $2 and s.ends_at > $3",
        mac.as_slice(),
        used_since,
        now
    );
    Ok(query.fetch_optional(db).await?)
}

/// Sessions of a user that were used since a moment, the one that was used last first.
pub async fn list_sessions(
    db: impl PgExecutor<'_>,
    pid: i64,
    used_since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<Vec<SessionRow>, DbError> {
    let query = sessions!(
        "where s.pid = $1 and s.last_used_at > $2 and s.ends_at > $3 order by s.last_used_at desc, s.id",
        pid,
        used_since,
        now
    );
    Ok(query.fetch_all(db).await?)
}

/// Begins a session.
pub async fn insert_session(
    db: impl PgExecutor<'_>,
    session: &NewSession<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let (issuer, subject) = session.identity.unzip();
    let query = sqlx::query!(
        "insert into browser_session (id, mac, pid, issuer, subject, provider_session, id_token, agent, made_from,
                                      created_at, last_used_at, ends_at, proven_at, second_factor_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $10, case when $12 then $10::timestamptz end)",
        session.id,
        session.mac.as_slice(),
        session.pid,
        issuer,
        subject,
        session.provider_session,
        session.id_token,
        session.agent,
        session.made_from,
        now,
        session.ends_at,
        session.second_factor
    );
    query.execute(db).await?;
    Ok(())
}

/// Lets a session be shown by something else from now on, because the user proved anew who they are, with a second
/// factor or without; says whether there was one.
pub async fn update_proven(
    db: impl PgExecutor<'_>,
    (old, new): (&[u8; 32], &[u8; 32]),
    second_factor: bool,
    now: OffsetDateTime,
) -> Result<bool, DbError> {
    let query = sqlx::query!(
        "update browser_session
            set mac = $2, proven_at = $4, second_factor_at = case when $3 then $4 else second_factor_at end
          where mac = $1",
        old.as_slice(),
        new.as_slice(),
        second_factor,
        now
    );
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Ends sessions of a user beyond a number, those first that were used least recently.
pub async fn delete_beyond(db: impl PgExecutor<'_>, pid: i64, most: i64) -> Result<(), DbError> {
    let query = sqlx::query!(
        "delete from browser_session where id in (
             select id from browser_session where pid = $1 order by last_used_at desc offset $2)",
        pid,
        most
    );
    query.execute(db).await?;
    Ok(())
}

/// Remembers that a session was used.
pub async fn update_used(db: impl PgExecutor<'_>, id: Uuid, now: OffsetDateTime) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update browser_session set last_used_at = greatest(last_used_at, $2) where id = $1",
        id,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// Ends a session of a user; says whether there was one.
pub async fn delete_session(db: impl PgExecutor<'_>, pid: i64, id: Uuid) -> Result<bool, DbError> {
    let query = sqlx::query!("delete from browser_session where pid = $1 and id = $2", pid, id);
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Ends all sessions of a user, and those that were about to begin; says how many that were.
pub async fn delete_sessions_of(db: impl PgExecutor<'_>, pid: i64) -> Result<u64, DbError> {
    let query = sqlx::query!(
        "with pending as (delete from pending_sign_in where pid = $1) delete from browser_session where pid = $1",
        pid
    );
    Ok(query.execute(db).await?.rows_affected())
}

/// Ends the sessions that began with an identity, or the one of them that the provider names; returns whose they were.
pub async fn delete_sessions_from(
    db: impl PgExecutor<'_>,
    issuer: &str,
    subject: Option<&str>,
    provider_session: Option<&str>,
) -> Result<Vec<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "delete from browser_session
          where issuer = $1 and ($2::text is null or subject = $2) and ($3::text is null or provider_session = $3)
      returning pid",
        issuer,
        subject as Option<&str>,
        provider_session as Option<&str>
    );
    Ok(query.fetch_all(db).await?)
}

/// Forgets sessions that have ended.
pub async fn delete_ended(
    db: impl PgExecutor<'_>,
    used_since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "delete from browser_session where ends_at <= $2 or last_used_at <= $1",
        used_since,
        now
    );
    query.execute(db).await?;
    Ok(())
}
