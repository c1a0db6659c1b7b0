//! Secrets that their owners log in with, by the keyed MAC: of robots, and personal access tokens of users.
//!
//! *Invariant:* a secret itself is never given to the database.

use futures_util::{Stream, TryStreamExt as _};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;
use super::limit_words::LimitWords;

/// A credential as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialSummary {
    /// Its number, which is no secret.
    pub id: Uuid,
    /// Kind of whoever logs in with it: `user` or `robot`.
    pub owner_kind: String,
    /// The name of whoever logs in with it.
    pub owner: String,
    /// What it is called.
    pub label: Option<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Who made it; nobody on the command line of the server.
    pub created_by: Option<String>,
    /// Whether whoever made it can log in no more.
    pub is_maker_gone: bool,
    /// When it was last used, within some minutes.
    pub last_used_at: Option<OffsetDateTime>,
    /// From where that was.
    pub last_used_from: Option<String>,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// What it is good for, of what its owner holds; nothing if that is everything.
    pub limits: Option<Value>,
}

/// A credential as servers keep it in memory.
#[derive(Clone, Debug)]
pub struct CredentialState {
    /// Its number.
    pub id: Uuid,
    /// Keyed MAC, 32 bytes.
    pub mac: Vec<u8>,
    /// Inner number of whoever logs in with it.
    pub pid: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// What it is good for, of what its owner holds; nothing if that is everything.
    pub limits: Option<Value>,
    /// Whether it was made by somebody who had shown a second factor.
    pub second_factor: bool,
}

/// A credential to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewCredential<'a> {
    /// Its number.
    pub id: Uuid,
    /// Keyed MAC, 32 bytes.
    pub mac: &'a [u8],
    /// Whoever logs in with it.
    pub pid: i64,
    /// What it is called.
    pub label: Option<&'a str>,
    /// Who makes it; nobody on the command line of the server.
    pub created_by: Option<i64>,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// What it is good for, of what its owner holds; nothing if that is everything.
    pub limits: Option<&'a LimitWords>,
    /// Whether it is made by somebody who has shown a second factor.
    pub second_factor: bool,
}

/// When and from where a credential was last used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialUse {
    /// The number of the credential.
    pub id: Uuid,
    /// When.
    pub at: OffsetDateTime,
    /// From which address, where that is known.
    pub from: Option<String>,
}

/// Stores a credential.
pub async fn insert_credential(
    db: impl PgExecutor<'_>,
    credential: &NewCredential<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into credential (id, mac, pid, label, created_by, created_at, expires_at, limits, second_factor)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        credential.id,
        credential.mac,
        credential.pid,
        credential.label,
        credential.created_by,
        now,
        credential.expires_at,
        credential.limits.map(Json) as Option<Json<&LimitWords>>,
        credential.second_factor
    );
    query.execute(db).await?;
    Ok(())
}

/// The credential with that MAC.
pub async fn find_credential(
    db: impl PgExecutor<'_>,
    mac: &[u8],
) -> Result<Option<CredentialState>, DbError> {
    let query = sqlx::query_as!(
        CredentialState,
        "select id, mac, pid, created_at, expires_at, limits, second_factor from credential where mac = $1",
        mac
    );
    Ok(query.fetch_optional(db).await?)
}

/// All of them, one after the other.
pub fn visit_credentials(db: &mut PgConnection) -> impl Stream<Item = Result<CredentialState, DbError>> {
    let query = sqlx::query_as!(
        CredentialState,
        "select id, mac, pid, created_at, expires_at, limits, second_factor from credential"
    );
    query.fetch(db).map_err(DbError::from)
}

/// Those of these numbers that there are.
pub async fn list_states(db: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<Vec<CredentialState>, DbError> {
    let query = sqlx::query_as!(
        CredentialState,
        "select id, mac, pid, created_at, expires_at, limits, second_factor from credential where id = any($1)",
        ids
    );
    Ok(query.fetch_all(db).await?)
}

/// What somebody logs in with, oldest first.
pub async fn list_credentials(db: impl PgExecutor<'_>, pid: i64) -> Result<Vec<CredentialSummary>, DbError> {
    let query = sqlx::query_as!(
        CredentialSummary,
        r#"select c.id, p.kind as owner_kind, p.name as owner, c.label, c.created_at,
                  (select m.name from principal m where m.pid = c.created_by) as created_by,
                  exists(select 1 from principal m where m.pid = c.created_by
                            and (m.disabled_at is not null or m.deleted_at is not null)) as "is_maker_gone!",
                  c.last_used_at, c.last_used_from, c.expires_at, c.limits
             from credential c
             join principal p on p.pid = c.pid
            where c.pid = $1 order by c.created_at, c.id"#,
        pid
    );
    Ok(query.fetch_all(db).await?)
}

/// One credential by its number.
pub async fn find_credential_summary(
    db: impl PgExecutor<'_>,
    id: Uuid,
) -> Result<Option<CredentialSummary>, DbError> {
    let query = sqlx::query_as!(
        CredentialSummary,
        r#"select c.id, p.kind as owner_kind, p.name as owner, c.label, c.created_at,
                  (select m.name from principal m where m.pid = c.created_by) as created_by,
                  exists(select 1 from principal m where m.pid = c.created_by
                            and (m.disabled_at is not null or m.deleted_at is not null)) as "is_maker_gone!",
                  c.last_used_at, c.last_used_from, c.expires_at, c.limits
             from credential c
             join principal p on p.pid = c.pid
            where c.id = $1"#,
        id
    );
    Ok(query.fetch_optional(db).await?)
}

/// How many secrets of robots somebody made who is to log in no more, and which robots these are.
pub async fn list_robots_with_secrets_by(
    db: impl PgExecutor<'_>,
    maker: i64,
) -> Result<Vec<String>, DbError> {
    let query = sqlx::query_scalar!(
        "select distinct p.name from credential c join principal p on p.pid = c.pid
          where c.created_by = $1 and p.kind = 'robot' and p.deleted_at is null order by p.name",
        maker
    );
    Ok(query.fetch_all(db).await?)
}

/// Records uses, each credential once; what is gone meanwhile, or going, is passed over.
pub async fn update_used(db: impl PgExecutor<'_>, uses: &[CredentialUse]) -> Result<(), DbError> {
    let ids: Vec<Uuid> = uses.iter().map(|used| used.id).collect();
    let times: Vec<OffsetDateTime> = uses.iter().map(|used| used.at).collect();
    let places: Vec<Option<String>> = uses.iter().map(|used| used.from.clone()).collect();
    let query = sqlx::query!(
        "update credential c set last_used_at = u.at, last_used_from = u.place
           from unnest($1::uuid[], $2::timestamptz[], $3::text[]) u(id, at, place),
                -- Whoever waits for nobody is in no circle of those who wait.
                (select id from credential where id = any($1) for no key update skip locked) free
          where c.id = u.id and c.id = free.id and (c.last_used_at is null or c.last_used_at < u.at)",
        &ids,
        &times,
        &places as &[Option<String>]
    );
    query.execute(db).await?;
    Ok(())
}

/// Removes a credential; says whether it was there.
pub async fn delete_credential(db: impl PgExecutor<'_>, id: Uuid) -> Result<bool, DbError> {
    let query = sqlx::query!("delete from credential where id = $1", id);
    Ok(query.execute(db).await?.rows_affected() == 1)
}

/// Removes all that these log in with and says how many there were.
pub async fn delete_credentials_of(db: impl PgExecutor<'_>, pids: &[i64]) -> Result<u64, DbError> {
    let query = sqlx::query!("delete from credential where pid = any($1)", pids);
    Ok(query.execute(db).await?.rows_affected())
}

/// Removes what somebody logged in with and has ended.
pub async fn delete_ended(db: impl PgExecutor<'_>, pid: i64, now: OffsetDateTime) -> Result<(), DbError> {
    sqlx::query!("delete from credential where pid = $1 and expires_at <= $2", pid, now).execute(db).await?;
    Ok(())
}
