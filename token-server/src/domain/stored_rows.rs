//! The rows of the database that a decision needs.
//!
//! *Invariant:* a number of queries that does not depend on what is stored, and no row that cannot be understood is
//! passed over.

use shared::repository_pattern;
use shared::scope::Resource;

use super::barrier::Barrier;
use super::error::TokenServerError;
use super::grant::Grant;
use super::policy::Rows;
use crate::db::Pool;
use crate::db::barriers::{self, BarrierRow};
use crate::db::error::DbError;
use crate::db::grants::{self, GrantRow};

/// Of a subject with more rows than this, or with more barriers about, the list of repositories is not made.
const MAX_ROWS: i64 = 1_000;

/// What a subject, or without one everybody, has on these resources.
pub async fn near(
    pool: &Pool,
    pid: Option<i64>,
    resources: impl IntoIterator<Item = &Resource>,
) -> Result<Rows, TokenServerError> {
    let anchors = repository_pattern::anchors(resources);
    let found = grants::list_applicable(pool, pid, &anchors).await?;
    Ok(read(found, &barriers::list_barriers_at(pool, &anchors).await?)?)
}

/// What anybody has on these resources.
pub async fn of_everybody(
    pool: &Pool,
    resources: impl IntoIterator<Item = &Resource>,
) -> Result<Rows, TokenServerError> {
    let anchors = repository_pattern::anchors(resources);
    let found = grants::list_at(pool, &anchors).await?;
    Ok(read(found, &barriers::list_barriers_at(pool, &anchors).await?)?)
}

/// All that a subject has anywhere, unless there is more than anything could be said of.
pub async fn all(pool: &Pool, pid: Option<i64>) -> Result<Option<Rows>, TokenServerError> {
    let found = grants::list_all_applicable(pool, pid, MAX_ROWS + 1).await?;
    let about = barriers::list_barriers(pool, MAX_ROWS + 1).await?;
    let is_more = |count: usize| i64::try_from(count).is_ok_and(|count| count > MAX_ROWS);
    if is_more(found.len()) || is_more(about.len()) {
        return Ok(None);
    }
    Ok(Some(read(found, &about)?))
}

/// All that a subject has anywhere, however much that is; for commands.
pub async fn whole(pool: &Pool, pid: Option<i64>) -> Result<Rows, TokenServerError> {
    let found = grants::list_all_applicable(pool, pid, i64::MAX).await?;
    Ok(read(found, &barriers::list_barriers(pool, i64::MAX).await?)?)
}

fn read(grants: Vec<GrantRow>, barriers: &[BarrierRow]) -> Result<Rows, DbError> {
    Ok(Rows {
        grants: grants.into_iter().map(Grant::read).collect::<Result<_, _>>()?,
        barriers: barriers.iter().map(Barrier::read).collect::<Result<_, _>>()?,
    })
}
