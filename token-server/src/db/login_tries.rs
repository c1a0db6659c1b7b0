//! How many wrong passwords came lately, for all servers together.
//!
//! *Invariant:* a try is counted and let through in one statement, so that of many at once no more come through than of
//! as many in a row.

use std::time::Duration;

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::error::DbError;

/// What is borne, and what follows.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// So many cost nothing; each further one makes the next wait twice as long.
    pub free: i32,
    /// The longest wait.
    pub longest_wait: Duration,
    /// Without another one for this long, all is forgotten.
    pub forgotten_after: Duration,
}

/// Counts one more, unless it has to wait; says until when.
pub async fn count(
    db: impl PgExecutor<'_> + Copy,
    key: &[u8],
    bounds: Bounds,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, DbError> {
    let counted = sqlx::query_scalar!(
        r#"insert into login_try as t (key, wrong, next_at, forgotten_at)
           values ($1, 1, to_timestamp(0), $2::timestamptz + make_interval(secs => $5))
               on conflict (key) do update
              set wrong = case when t.forgotten_at > $2::timestamptz then t.wrong + 1 else 1 end,
                  -- Not the time of this one, because others that came at the same time can have an earlier one.
                  next_at = case when t.forgotten_at > $2::timestamptz and t.wrong >= $3
                                 then $2::timestamptz + make_interval(secs => least(power(2, least(t.wrong - $3, 30)), $4))
                                 else to_timestamp(0) end,
                  forgotten_at = $2::timestamptz + make_interval(secs => $5)
            where t.next_at <= $2::timestamptz or t.forgotten_at <= $2::timestamptz
           returning wrong"#,
        key,
        now,
        bounds.free,
        bounds.longest_wait.as_secs_f64(),
        bounds.forgotten_after.as_secs_f64()
    );
    if counted.fetch_optional(db).await?.is_some() {
        return Ok(None);
    }
    let until = sqlx::query_scalar!("select next_at from login_try where key = $1", key);
    // It was forgotten meanwhile if it is not there, and may come.
    Ok(until.fetch_optional(db).await?.filter(|until| *until > now))
}

/// Forgets those of a user at a place, and takes one from those of all users there: it was none of them.
pub async fn delete_counted(
    db: impl PgExecutor<'_> + Copy,
    account: &[u8],
    place: &[u8],
) -> Result<(), DbError> {
    sqlx::query!("delete from login_try where key = $1", account).execute(db).await?;
    let query = sqlx::query!(
        "update login_try set wrong = wrong - 1, next_at = to_timestamp(0) where key = $1 and wrong > 0",
        place
    );
    query.execute(db).await?;
    Ok(())
}

/// Takes one from each of these: it was not tried after all.
pub async fn take_back(db: impl PgExecutor<'_>, keys: &[Vec<u8>]) -> Result<(), DbError> {
    let query = sqlx::query!(
        "update login_try set wrong = wrong - 1, next_at = to_timestamp(0) where key = any($1) and wrong > 0",
        keys
    );
    query.execute(db).await?;
    Ok(())
}

/// Removes what is forgotten by the clock of the database, up to a number of rows; says how many.
pub async fn delete_forgotten(db: impl PgExecutor<'_>, at_once: i64) -> Result<u64, DbError> {
    let query = sqlx::query!(
        "delete from login_try
          where key in (select key from login_try where forgotten_at < now() limit $1 for update skip locked)",
        at_once
    );
    Ok(query.execute(db).await?.rows_affected())
}
