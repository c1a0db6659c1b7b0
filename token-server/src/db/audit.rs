//! The audit record, and the anchor behind which it begins.
//!
//! The database numbers and chains rows by itself; see the migration that made the chain. It makes them wait for one
//! another from the insertion until the end of the transaction.
//!
//! *Invariant:* rows are added at the end and removed from the beginning, and never changed.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// One thing worth remembering.
#[derive(Clone, Debug)]
pub struct AuditRow<'a> {
    /// What happened.
    pub event: &'a str,
    /// Who did it.
    pub actor: &'a str,
    /// Stable id of the actor.
    pub actor_uid: Option<Uuid>,
    /// On whom or what.
    pub target: &'a str,
    /// `allowed` or `refused`.
    pub outcome: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
    /// From which address.
    pub address: Option<&'a str>,
    /// With which program.
    pub agent: Option<&'a str>,
    /// What was in effect before.
    pub before: Option<&'a str>,
    /// What is in effect since.
    pub after: Option<&'a str>,
}

/// One thing that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the chain.
    pub id: i64,
    /// When it happened.
    pub at: OffsetDateTime,
    /// What happened.
    pub event: String,
    /// Who did it.
    pub actor: String,
    /// Stable id of the actor.
    pub actor_uid: Option<Uuid>,
    /// On whom or what.
    pub target: String,
    /// `allowed` or `refused`.
    pub outcome: String,
    /// Why.
    pub reason: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// With which program.
    pub agent: Option<String>,
    /// What was in effect before.
    pub before: Option<String>,
    /// What is in effect since.
    pub after: Option<String>,
    /// Hash of the row before and of all this.
    pub hash: Vec<u8>,
}

/// The last row that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorRow {
    /// Its place in the chain.
    pub id: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

/// From when to when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// From this moment on.
    pub since: Option<OffsetDateTime>,
    /// Before this moment.
    pub until: Option<OffsetDateTime>,
}

/// Which rows are of interest; without any part, all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Those of a time.
    pub period: Period,
    /// Those of one event.
    pub event: Option<String>,
    /// Those of one actor.
    pub actor: Option<String>,
    /// Those whose target has this in it.
    pub target: Option<String>,
    /// Those that ended so.
    pub outcome: Option<String>,
    /// Those that are about one user or robot: what they did, and what was done to them.
    pub about: Option<About>,
}

/// Whom rows are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The stable id.
    pub uid: Uuid,
    /// The name as records have it in the target.
    pub name: String,
    /// The name with the kind before it, as records have it in front of the number of a credential.
    pub spelled: String,
}

/// Adds a row; others wait for the end of the transaction.
pub async fn insert_event(
    db: impl PgExecutor<'_>,
    row: &AuditRow<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into audit_event
             (at, event, actor, actor_uid, target, outcome, reason, address, agent, before, after)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        now,
        row.event,
        row.actor,
        row.actor_uid,
        row.target,
        row.outcome,
        row.reason,
        row.address,
        row.agent,
        row.before,
        row.after
    );
    query.execute(db).await?;
    Ok(())
}

/// Adds rows with their times in this order, in one statement: while they are added, everybody else who adds one waits.
pub async fn insert_events<'a>(
    db: impl PgExecutor<'_>,
    rows: &'a [AuditRow<'a>],
    times: &[OffsetDateTime],
) -> Result<(), DbError> {
    let texts = |of: fn(&'a AuditRow<'a>) -> Option<&'a str>| rows.iter().map(of).collect::<Vec<_>>();
    let uids: Vec<Option<Uuid>> = rows.iter().map(|row| row.actor_uid).collect();
    let query = sqlx::query!(
        "insert into audit_event
             (at, event, actor, actor_uid, target, outcome, reason, address, agent, before, after)
         select r.at, r.event, r.actor, r.actor_uid, r.target, r.outcome, r.reason, r.address, r.agent, r.before, r.after
           from unnest($1::timestamptz[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[],
                       $8::text[], $9::text[], $10::text[], $11::text[])
                with ordinality
                r(at, event, actor, actor_uid, target, outcome, reason, address, agent, before, after, place)
          order by r.place",
        times,
        &texts(|row| Some(row.event)) as &[Option<&str>],
        &texts(|row| Some(row.actor)) as &[Option<&str>],
        &uids as &[Option<Uuid>],
        &texts(|row| Some(row.target)) as &[Option<&str>],
        &texts(|row| Some(row.outcome)) as &[Option<&str>],
        &texts(|row| row.reason) as &[Option<&str>],
        &texts(|row| row.address) as &[Option<&str>],
        &texts(|row| row.agent) as &[Option<&str>],
        &texts(|row| row.before) as &[Option<&str>],
        &texts(|row| row.after) as &[Option<&str>],
    );
    query.execute(db).await?;
    Ok(())
}

/// The newest rows, newest first.
pub async fn list_latest_events(
    db: impl PgExecutor<'_>,
    filter: &EventFilter,
    limit: i64,
) -> Result<Vec<EventRow>, DbError> {
    let query = sqlx::query_as!(
        EventRow,
        "select id, at, event, actor, actor_uid, target, outcome, reason, address, agent, before, after, hash
           from audit_event
          where ($1::timestamptz is null or at >= $1) and ($2::timestamptz is null or at < $2)
            and ($3::text is null or event = $3) and ($4::text is null or actor = $4)
            and ($5::text is null or strpos(target, $5) > 0) and ($6::text is null or outcome = $6)
          order by id desc limit $7",
        filter.period.since,
        filter.period.until,
        filter.event,
        filter.actor,
        filter.target,
        filter.outcome,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// Of so many rows before one, the newest that are of interest, newest first, up to a number.
pub async fn list_events_before(
    db: impl PgExecutor<'_>,
    filter: &EventFilter,
    before: i64,
    looked_at: i64,
    limit: i64,
) -> Result<Vec<EventRow>, DbError> {
    let query = sqlx::query_as!(
        EventRow,
        "select id, at, event, actor, actor_uid, target, outcome, reason, address, agent, before, after, hash
           from audit_event
          where id < $7 and id >= $7 - $8::bigint
            and ($1::timestamptz is null or at >= $1) and ($2::timestamptz is null or at < $2)
            and ($3::text is null or event = $3) and ($4::text is null or actor = $4)
            and ($5::text is null or strpos(target, $5) > 0) and ($6::text is null or outcome = $6)
            and ($10::uuid is null or actor_uid = $10 or starts_with(target, $12 || ' ')
                 -- Other things can have the same name.
                 or target = $11 and (event in ('login', 'password_changed') or starts_with(event, 'user_')
                                      or starts_with(event, 'robot_')))
          order by id desc limit $9",
        filter.period.since,
        filter.period.until,
        filter.event,
        filter.actor,
        filter.target,
        filter.outcome,
        before,
        looked_at,
        limit,
        filter.about.as_ref().map(|about| about.uid),
        filter.about.as_ref().map(|about| about.name.as_str()),
        filter.about.as_ref().map(|about| about.spelled.as_str())
    );
    Ok(query.fetch_all(db).await?)
}

/// The number of the oldest row and of the newest one.
pub async fn find_ends(db: impl PgExecutor<'_>) -> Result<Option<(i64, i64)>, DbError> {
    let query = sqlx::query!("select min(id) as oldest, max(id) as newest from audit_event");
    let found = query.fetch_one(db).await?;
    Ok(found.oldest.zip(found.newest))
}

/// The rows behind one, in order.
pub async fn list_events_behind(
    db: impl PgExecutor<'_>,
    id: i64,
    period: Period,
    limit: i64,
) -> Result<Vec<EventRow>, DbError> {
    let query = sqlx::query_as!(
        EventRow,
        "select id, at, event, actor, actor_uid, target, outcome, reason, address, agent, before, after, hash
           from audit_event
          where id > $1 and ($2::timestamptz is null or at >= $2) and ($3::timestamptz is null or at < $3)
          order by id limit $4",
        id,
        period.since,
        period.until,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// Where the record begins.
pub async fn find_anchor(db: impl PgExecutor<'_>) -> Result<Option<AnchorRow>, DbError> {
    let query = sqlx::query_as!(AnchorRow, "select id, hash from audit_anchor");
    Ok(query.fetch_optional(db).await?)
}

/// Keeps others from removing rows until the transaction ends.
pub async fn hold_anchor(db: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!("select id from audit_anchor for update").fetch_optional(db).await?;
    Ok(())
}

/// Of the first rows behind one, `limit` at most, the last of those that are older and have no younger one before them.
pub async fn find_last_older(
    db: impl PgExecutor<'_>,
    id: i64,
    before: OffsetDateTime,
    limit: i64,
) -> Result<Option<i64>, DbError> {
    let query = sqlx::query_scalar!(
        "select max(id)
           from (select id, bool_and(at < $2) over (order by id) as is_older
                   from (select id, at from audit_event where id > $1 order by id limit $3) first) numbered
          where is_older",
        id,
        before,
        limit
    );
    Ok(query.fetch_one(db).await?)
}

/// Lets the record begin behind this row, which the database demands before it lets go of rows.
pub async fn update_anchor(db: impl PgExecutor<'_>, id: i64) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update audit_anchor set id = e.id, hash = e.hash from audit_event e where e.id = $1",
        id
    );
    query.execute(db).await?;
    Ok(())
}

/// Removes the rows behind one up to another; says how many there were.
pub async fn delete_events(db: impl PgExecutor<'_>, id: i64, last: i64) -> Result<u64, DbError> {
    let query = sqlx::query!("delete from audit_event where id > $1 and id <= $2", id, last);
    Ok(query.execute(db).await?.rows_affected())
}
