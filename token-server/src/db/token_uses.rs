//! What tokens were issued for, and on which rows of `acl_grant` they rested: the tables `token_use`, `grant_use` and
//! `token_use_start`.
//!
//! *Invariant:* uses are only added up, so several servers count into the same rows; everything from the start on is
//! there, but for what a server that died had not written yet.

use sqlx::PgExecutor;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::audit::Period;
use super::error::DbError;

/// What a subject was given on a repository within an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUseRow {
    /// User name; empty for clients without a login.
    pub subject: String,
    /// Stable id of the subject.
    pub subject_uid: Option<Uuid>,
    /// Repository; empty for all that are not kept apart.
    pub repository: String,
    /// Actions with commas between them.
    pub actions: String,
    /// When the hour began.
    pub hour: OffsetDateTime,
    /// How many tokens.
    pub uses: i64,
    /// When the last one was issued.
    pub last_at: OffsetDateTime,
    /// To which address.
    pub last_address: Option<String>,
}

/// How often a row of `acl_grant` gave something on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantUseRow {
    /// Which row.
    pub grant_id: i64,
    /// Which day, in UTC.
    pub day: Date,
    /// How many scopes of tokens rested on it.
    pub uses: i64,
}

/// Which rows are of interest; without any part, all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUseFilter {
    /// Those of hours that began in a time.
    pub period: Period,
    /// Those of one subject.
    pub subject: Option<String>,
    /// Those whose repository has this in its name.
    pub repository: Option<String>,
}

/// Where in the order of rows one stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUsePlace {
    /// When the hour began.
    pub hour: OffsetDateTime,
    /// User name; empty for clients without a login.
    pub subject: String,
    /// Repository; empty for all that are not kept apart.
    pub repository: String,
    /// Actions with commas between them.
    pub actions: String,
}

impl TokenUseRow {
    /// Where it stands.
    pub fn place(&self) -> TokenUsePlace {
        TokenUsePlace {
            hour: self.hour,
            subject: self.subject.clone(),
            repository: self.repository.clone(),
            actions: self.actions.clone(),
        }
    }
}

/// Adds to what is there. Both lists must be in order, so that servers do not wait for one another in a circle.
pub async fn add_uses(
    db: impl PgExecutor<'_>,
    tokens: &[TokenUseRow],
    grants: &[GrantUseRow],
) -> Result<(), DbError> {
    let text = |of: fn(&TokenUseRow) -> &String| tokens.iter().map(of).cloned().collect::<Vec<_>>();
    let time = |of: fn(&TokenUseRow) -> OffsetDateTime| tokens.iter().map(of).collect::<Vec<_>>();
    let uids: Vec<Option<Uuid>> = tokens.iter().map(|row| row.subject_uid).collect();
    let addresses: Vec<Option<String>> = tokens.iter().map(|row| row.last_address.clone()).collect();
    let query = sqlx::query!(
        r#"with tokens as (
               insert into token_use (subject, repository, actions, hour, subject_uid, uses, last_at, last_address)
               select subject, repository, actions, hour, subject_uid, uses, last_at, last_address
                 from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::uuid[], $6::bigint[],
                             $7::timestamptz[], $8::text[]) with ordinality
                   as t(subject, repository, actions, hour, subject_uid, uses, last_at, last_address, place)
                order by place
               on conflict on constraint token_use_key do update
                  set uses = token_use.uses + excluded.uses,
                      subject_uid = excluded.subject_uid,
                      last_address = case when excluded.last_at < token_use.last_at then token_use.last_address
                                          else excluded.last_address end,
                      last_at = greatest(token_use.last_at, excluded.last_at))
           insert into grant_use (grant_id, day, uses)
           select grant_id, day, uses
             from unnest($9::bigint[], $10::date[], $11::bigint[]) with ordinality as g(grant_id, day, uses, place)
            order by place
           on conflict on constraint grant_use_key do update set uses = grant_use.uses + excluded.uses"#,
        &text(|row| &row.subject),
        &text(|row| &row.repository),
        &text(|row| &row.actions),
        &time(|row| row.hour),
        &uids as &[Option<Uuid>],
        &tokens.iter().map(|row| row.uses).collect::<Vec<_>>(),
        &time(|row| row.last_at),
        &addresses as &[Option<String>],
        &grants.iter().map(|row| row.grant_id).collect::<Vec<_>>(),
        &grants.iter().map(|row| row.day).collect::<Vec<_>>(),
        &grants.iter().map(|row| row.uses).collect::<Vec<_>>()
    );
    query.execute(db).await?;
    Ok(())
}

/// The newest rows, newest first.
pub async fn list_latest_uses(
    db: impl PgExecutor<'_>,
    filter: &TokenUseFilter,
    limit: i64,
) -> Result<Vec<TokenUseRow>, DbError> {
    let query = sqlx::query_as!(
        TokenUseRow,
        "select subject, subject_uid, repository, actions, hour, uses, last_at, last_address
           from token_use
          where ($1::timestamptz is null or hour >= $1) and ($2::timestamptz is null or hour < $2)
            and ($3::text is null or subject = $3) and ($4::text is null or strpos(repository, $4) > 0)
          order by hour desc, subject desc, repository desc, actions desc limit $5",
        filter.period.since,
        filter.period.until,
        filter.subject,
        filter.repository,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// Rows before one in the same order, or the newest, up to a number.
pub async fn list_uses_before(
    db: impl PgExecutor<'_>,
    filter: &TokenUseFilter,
    place: Option<&TokenUsePlace>,
    limit: i64,
) -> Result<Vec<TokenUseRow>, DbError> {
    let query = sqlx::query_as!(
        TokenUseRow,
        "select subject, subject_uid, repository, actions, hour, uses, last_at, last_address
           from token_use
          where ($1::timestamptz is null or hour >= $1) and ($2::timestamptz is null or hour < $2)
            and ($3::text is null or subject = $3) and ($4::text is null or strpos(repository, $4) > 0)
            and ($5::timestamptz is null
                 or (hour <= $5 and (hour, subject, repository, actions) < ($5, $6::text, $7::text, $8::text)))
          order by hour desc, subject desc, repository desc, actions desc limit $9",
        filter.period.since,
        filter.period.until,
        filter.subject,
        filter.repository,
        place.map(|place| place.hour),
        place.map(|place| place.subject.as_str()),
        place.map(|place| place.repository.as_str()),
        place.map(|place| place.actions.as_str()),
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// What a subject was given on a repository within a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummedUse {
    /// User name; empty for clients without a login.
    pub subject: String,
    /// Repository; empty for all that are not kept apart.
    pub repository: String,
    /// Actions with commas between them.
    pub actions: String,
    /// How many tokens.
    pub uses: i64,
    /// The address of the last one.
    pub last_address: Option<String>,
}

/// What was given since the hour that begins there, up to a number of rows, the most used first.
pub async fn list_summed_uses(
    db: impl PgExecutor<'_>,
    since: OffsetDateTime,
    limit: i64,
) -> Result<Vec<SummedUse>, DbError> {
    let query = sqlx::query_as!(
        SummedUse,
        r#"select subject, repository, actions, sum(uses)::bigint as "uses!",
                  (array_agg(last_address order by last_at desc))[1] as last_address
             from token_use where hour >= $1
            group by subject, repository, actions
            order by 4 desc, 1, 2, 3 limit $2"#,
        since,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// The same of these subjects only.
pub async fn list_summed_uses_of(
    db: impl PgExecutor<'_>,
    subjects: &[String],
    since: OffsetDateTime,
    limit: i64,
) -> Result<Vec<SummedUse>, DbError> {
    let query = sqlx::query_as!(
        SummedUse,
        r#"select subject, repository, actions, sum(uses)::bigint as "uses!",
                  (array_agg(last_address order by last_at desc))[1] as last_address
             from token_use where hour >= $1 and subject = any($2)
            group by subject, repository, actions
            order by 4 desc, 1, 2, 3 limit $3"#,
        since,
        subjects,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// Repositories that anybody was given something on since the hour that begins there, in one of these folders, whose
/// paths end with a slash or are empty; up to a number, the most used first.
pub async fn list_used_repositories(
    db: impl PgExecutor<'_>,
    folders: &[String],
    since: OffsetDateTime,
    limit: i64,
) -> Result<Vec<String>, DbError> {
    let query = sqlx::query_scalar!(
        "select repository from token_use
          where hour >= $1 and repository <> ''
            and exists (select 1 from unnest($2::text[]) f(folder) where starts_with(repository || '/', f.folder))
          group by repository order by sum(uses) desc, repository limit $3",
        since,
        folders,
        limit
    );
    Ok(query.fetch_all(db).await?)
}

/// What is known of the uses of a row of `acl_grant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantUseSummary {
    /// Which row.
    pub grant_id: i64,
    /// The last day on which it gave something.
    pub last_day: Date,
    /// How often it did since a day.
    pub uses: i64,
}

/// All rows that ever gave something, with how often they did since a day.
pub async fn list_grant_uses(db: impl PgExecutor<'_>, since: Date) -> Result<Vec<GrantUseSummary>, DbError> {
    let query = sqlx::query_as!(
        GrantUseSummary,
        r#"select grant_id, max(day) as "last_day!",
                  coalesce(sum(uses) filter (where day >= $1), 0)::bigint as "uses!"
             from grant_use group by grant_id order by grant_id"#,
        since
    );
    Ok(query.fetch_all(db).await?)
}

/// Since when everything is there.
pub async fn find_start(db: impl PgExecutor<'_>) -> Result<Option<OffsetDateTime>, DbError> {
    Ok(sqlx::query_scalar!("select max(since) from token_use_start").fetch_one(db).await?)
}

/// Says that from this moment on everything is there, if what was there before began earlier.
pub async fn update_start(db: impl PgExecutor<'_>, since: OffsetDateTime) -> Result<(), DbError> {
    sqlx::query!("update token_use_start set since = $1 where since < $1", since).execute(db).await?;
    Ok(())
}

/// Removes up to `limit` rows of hours that began before this moment; says how many there were.
pub async fn delete_token_uses(
    db: impl PgExecutor<'_>,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64, DbError> {
    let query = sqlx::query!(
        "delete from token_use where ctid in (select ctid from token_use where hour < $1 limit $2)",
        before,
        limit
    );
    Ok(query.execute(db).await?.rows_affected())
}

/// Removes up to `limit` counts of days before this one, or of rows that are gone; says how many there were.
pub async fn delete_grant_uses(db: impl PgExecutor<'_>, before: Date, limit: i64) -> Result<u64, DbError> {
    let query = sqlx::query!(
        "delete from grant_use
          where ctid in (select u.ctid from grant_use u left join acl_grant g on g.id = u.grant_id
                          where u.day < $1 or g.id is null limit $2)",
        before,
        limit
    );
    Ok(query.execute(db).await?.rows_affected())
}
