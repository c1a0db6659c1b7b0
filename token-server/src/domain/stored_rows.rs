//! The rows of the database that a decision needs.
//!
//! *Invariant:* a number of queries that does not depend on what is stored, and no row that cannot be understood is
//! passed over. What comes from several queries is of one moment: a barrier that replaces a grant is never missed between
//! the two.

use std::collections::{BTreeMap, BTreeSet};

use shared::repository_name::RepositoryName;
use shared::repository_pattern;

use super::barrier::Barrier;
use super::error::TokenServerError;
use super::grant::Grant;
use super::namespace::{Namespace, first_component};
use super::policy::Rows;
use crate::db::barriers::{self, BarrierRow};
use crate::db::error::DbError;
use crate::db::grants::{self, GrantRow};
use crate::db::namespaces;
use crate::db::principals::{AUTHENTICATED, EVERYONE};
use crate::db::teams::{self, Membership};
use crate::db::{self, Executor, Pool, Transaction};

/// Of a subject with more rows than this, or with more barriers about, the list of repositories is not made.
pub const MAX_ROWS: usize = 1_000;

/// What a subject, or without one everybody, has on these repositories.
pub async fn near(
    pool: &Pool,
    pid: Option<i64>,
    names: &[&RepositoryName],
) -> Result<Rows, TokenServerError> {
    let anchors = repository_pattern::anchors(names.iter().copied());
    let mut view = db::begin_view(pool).await?;
    let found = grants::list_applicable(&mut *view, pid, &anchors).await?;
    let mut rows = around(&mut view, found, &anchors).await?;
    rows.grants.retain(|row| names.iter().any(|name| row.pattern.can_match(name)));
    Ok(rows)
}

/// What anybody has at a repository.
pub async fn of_everybody(pool: &Pool, name: &RepositoryName) -> Result<Rows, TokenServerError> {
    let anchors = repository_pattern::anchors([name]);
    let mut view = db::begin_view(pool).await?;
    let found = grants::list_at(&mut *view, &anchors).await?;
    around(&mut view, found, &anchors).await
}

/// These grants, and what keeps some of them out at these anchors.
async fn around(
    view: &mut Transaction,
    found: Vec<GrantRow>,
    anchors: &[String],
) -> Result<Rows, TokenServerError> {
    let about = barriers::list_barriers_at(&mut **view, anchors).await?;
    Ok(Rows { namespaces: namespaces_at(&mut **view, anchors).await?, ..read(found, &about)? })
}

/// The namespaces at these anchors in which not everybody who may push may make repositories.
pub async fn namespaces_at(
    db: impl Executor<'_>,
    anchors: &[String],
) -> Result<Vec<Namespace>, TokenServerError> {
    let names: Vec<String> = namespace_names(anchors).map(str::to_owned).collect();
    let found = namespaces::list_create_policies(db, &names).await?;
    Ok(found.into_iter().map(Namespace::read).collect::<Result<_, _>>()?)
}

/// The names of the namespaces that these anchors are in, each once.
pub fn namespace_names(anchors: &[String]) -> impl Iterator<Item = &str> {
    let names: BTreeSet<&str> = anchors.iter().map(|anchor| first_component(&anchor[2..])).collect();
    names.into_iter().filter(|name| !name.is_empty())
}

/// All that a subject has anywhere, unless there is more than anything could be said of.
pub async fn all(pool: &Pool, pid: Option<i64>) -> Result<Option<Rows>, TokenServerError> {
    let one_more = i64::try_from(MAX_ROWS + 1).unwrap_or(i64::MAX);
    let mut view = db::begin_view(pool).await?;
    let found = grants::list_all_applicable(&mut *view, pid, one_more).await?;
    let about = barriers::list_barriers(&mut *view, one_more).await?;
    if found.len() > MAX_ROWS || about.len() > MAX_ROWS {
        return Ok(None);
    }
    Ok(Some(read(found, &about)?))
}

/// Most rows of somebody who changes rights; whoever holds more does so on the command line.
const MAX_HELD: i64 = 100_000;

/// All that somebody has anywhere, as it stays until the transaction ends.
pub async fn all_held(tx: &mut Transaction, pid: Option<i64>) -> Result<Rows, TokenServerError> {
    let found = grants::list_all_applicable(&mut **tx, pid, MAX_HELD + 1).await?;
    let about = barriers::list_barriers(&mut **tx, MAX_HELD + 1).await?;
    if is_more(found.len(), MAX_HELD) || is_more(about.len(), MAX_HELD) {
        return Err(TokenServerError::TooManyRows);
    }
    Ok(read(found, &about)?)
}

fn is_more(count: usize, most: i64) -> bool {
    i64::try_from(count).is_ok_and(|count| count > most)
}

/// All that a subject has anywhere, however much that is; for commands.
pub async fn whole(pool: &Pool, pid: Option<i64>) -> Result<Rows, TokenServerError> {
    let mut view = db::begin_view(pool).await?;
    let found = grants::list_all_applicable(&mut *view, pid, i64::MAX).await?;
    Ok(read(found, &barriers::list_barriers(&mut *view, i64::MAX).await?)?)
}

/// The same of each of several users, by their numbers; for commands.
pub async fn whole_of_each(pool: &Pool, pids: &[i64]) -> Result<BTreeMap<i64, Rows>, TokenServerError> {
    let mut view = db::begin_view(pool).await?;
    let mut holders: BTreeMap<i64, BTreeSet<i64>> =
        pids.iter().map(|pid| (*pid, BTreeSet::from([EVERYONE, AUTHENTICATED, *pid]))).collect();
    for Membership { member_pid, team_pid } in teams::list_teams_of_each(&mut *view, pids).await? {
        holders.entry(member_pid).or_default().insert(team_pid);
    }
    let all: BTreeSet<i64> = holders.values().flatten().copied().collect();
    let found = grants::list_held(&mut *view, &all.into_iter().collect::<Vec<_>>()).await?;
    let mut around = read(found, &barriers::list_barriers(&mut *view, i64::MAX).await?)?;
    let mut held: BTreeMap<i64, Vec<Grant>> = BTreeMap::new();
    for row in std::mem::take(&mut around.grants) {
        held.entry(row.holder).or_default().push(row);
    }
    let rows_of = |holders: BTreeSet<i64>| Rows {
        grants: holders.iter().filter_map(|holder| held.get(holder)).flatten().cloned().collect(),
        ..around.clone()
    };
    Ok(holders.into_iter().map(|(pid, holders)| (pid, rows_of(holders))).collect())
}

fn read(grants: Vec<GrantRow>, barriers: &[BarrierRow]) -> Result<Rows, DbError> {
    Ok(Rows {
        grants: grants.into_iter().map(Grant::read).collect::<Result<_, _>>()?,
        barriers: barriers.iter().map(Barrier::read).collect::<Result<_, _>>()?,
        ..Rows::default()
    })
}
