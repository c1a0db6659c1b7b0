//! Issuers whose tokens say who a workload is, and which of their tokens are which workload.
//!
//! *Invariant:* nothing here is secret; an issuer is known by what its tokens say in `iss`, and by nothing else.

use serde_json::Value;
use sqlx::PgExecutor;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::error::DbError;

/// An issuer.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustIssuerRow {
    /// Its number.
    pub id: Uuid,
    /// What it is called here.
    pub name: String,
    /// The claim `iss`.
    pub url: String,
    /// What the claim `aud` must hold.
    pub audience: String,
    /// Whose claims these are.
    pub platform: String,
    /// The public keys, where they are not fetched.
    pub key_set: Option<Value>,
    /// Who made it; nobody on the command line of the server.
    pub created_by: Option<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// An issuer to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewTrustIssuer<'a> {
    /// Its number.
    pub id: Uuid,
    /// What it is to be called.
    pub name: &'a str,
    /// The claim `iss`.
    pub url: &'a str,
    /// What the claim `aud` must hold.
    pub audience: &'a str,
    /// Whose claims these are.
    pub platform: &'a str,
    /// The public keys, where they are not to be fetched.
    pub key_set: Option<&'a Value>,
    /// Who makes it; nobody on the command line of the server.
    pub created_by: Option<i64>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustRuleRow {
    /// Inner number of the workload.
    pub pid: i64,
    /// Its stable id.
    pub uid: Uuid,
    /// Its name, which is that of the rule.
    pub name: String,
    /// What it is for, in somebody's words.
    pub description: Option<String>,
    /// Since when it does not count.
    pub disabled_at: Option<OffsetDateTime>,
    /// The name of the issuer.
    pub issuer: String,
    /// `[["claim", "value"], …]`.
    pub conditions: Value,
    /// Who made it; nobody on the command line of the server.
    pub created_by: Option<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// Stores an issuer.
pub async fn insert_issuer(
    db: impl PgExecutor<'_>,
    issuer: &NewTrustIssuer<'_>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into trust_issuer (id, name, url, audience, platform, key_set, created_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        issuer.id,
        issuer.name,
        issuer.url,
        issuer.audience,
        issuer.platform,
        issuer.key_set.map(Json) as Option<Json<&Value>>,
        issuer.created_by,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// All issuers, by name.
pub async fn list_issuers(db: impl PgExecutor<'_>) -> Result<Vec<TrustIssuerRow>, DbError> {
    let query = sqlx::query_as!(
        TrustIssuerRow,
        "select id, name, url, audience, platform, key_set,
                (select c.name from principal c where c.pid = created_by) as created_by, created_at
           from trust_issuer order by name"
    );
    Ok(query.fetch_all(db).await?)
}

/// The issuer of that name.
pub async fn find_issuer(db: impl PgExecutor<'_>, name: &str) -> Result<Option<TrustIssuerRow>, DbError> {
    let query = sqlx::query_as!(
        TrustIssuerRow,
        "select id, name, url, audience, platform, key_set,
                (select c.name from principal c where c.pid = created_by) as created_by, created_at
           from trust_issuer where name = $1",
        name
    );
    Ok(query.fetch_optional(db).await?)
}

/// The issuer whose tokens say that they are from there.
pub async fn find_issuer_by_url(
    db: impl PgExecutor<'_>,
    url: &str,
) -> Result<Option<TrustIssuerRow>, DbError> {
    let query = sqlx::query_as!(
        TrustIssuerRow,
        "select id, name, url, audience, platform, key_set,
                (select c.name from principal c where c.pid = created_by) as created_by, created_at
           from trust_issuer where url = $1",
        url
    );
    Ok(query.fetch_optional(db).await?)
}

/// Forgets an issuer and its attempts; there must be no rule left that names it.
pub async fn delete_issuer(db: impl PgExecutor<'_>, id: Uuid) -> Result<(), DbError> {
    sqlx::query!("delete from trust_issuer where id = $1", id).execute(db).await?;
    Ok(())
}

/// Says which tokens are a workload.
pub async fn insert_rule(
    db: impl PgExecutor<'_>,
    pid: i64,
    issuer: Uuid,
    conditions: &[(String, String)],
    created_by: Option<i64>,
    now: OffsetDateTime,
) -> Result<(), DbError> {
    let query = sqlx::query!(
        "insert into trust_rule (pid, issuer_id, conditions, created_by, created_at) values ($1, $2, $3, $4, $5)",
        pid,
        issuer,
        Json(conditions) as Json<&[(String, String)]>,
        created_by,
        now
    );
    query.execute(db).await?;
    Ok(())
}

/// Rules of living workloads, by name; of one issuer, or of all.
pub async fn list_rules(db: impl PgExecutor<'_>, issuer: Option<Uuid>) -> Result<Vec<TrustRuleRow>, DbError> {
    let query = sqlx::query_as!(
        TrustRuleRow,
        r#"select p.pid, p.uid, p.name, w.description, p.disabled_at, i.name as issuer, r.conditions,
                  (select c.name from principal c where c.pid = r.created_by) as created_by, r.created_at
             from trust_rule r
             join principal p on p.pid = r.pid
             join workload w on w.pid = r.pid
             join trust_issuer i on i.id = r.issuer_id
            where p.deleted_at is null and ($1::uuid is null or r.issuer_id = $1)
            order by p.name"#,
        issuer
    );
    Ok(query.fetch_all(db).await?)
}

/// Lets no token be a workload any more; says whether there was a rule.
pub async fn delete_rule(db: impl PgExecutor<'_>, pid: i64) -> Result<bool, DbError> {
    Ok(sqlx::query!("delete from trust_rule where pid = $1", pid).execute(db).await?.rows_affected() > 0)
}
