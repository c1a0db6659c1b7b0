//! Where the rows of a decision come from: memory, or the database itself.
//!
//! *Invariant:* both give the same rows, and the same function decides on them.

use std::sync::Arc;

use shared::repository_name::RepositoryName;
use shared::repository_pattern;

use super::error::TokenServerError;
use super::grantors::Managers;
use super::policy::Rows;
use super::snapshot::follower::Follower;
use super::stored_rows::{self, MAX_ROWS};
use crate::db::Pool;

/// One of the two.
#[derive(Clone)]
pub enum RowSource {
    /// Every decision asks the database.
    Database(Pool),
    /// Decisions are made from memory, and ask the database only if memory is not what it says.
    Snapshot(Arc<Follower>, Pool),
}

impl RowSource {
    fn pool(&self) -> &Pool {
        match self {
            Self::Database(pool) | Self::Snapshot(_, pool) => pool,
        }
    }

    /// The database knew a moment ago who somebody with a login is, so it can be asked what they may as well, if the
    /// snapshot may be old. Clients without a login are the ones that are served while it is away.
    async fn snapshot(&self, pid: Option<i64>) -> Option<Arc<super::snapshot::Snapshot>> {
        match self {
            Self::Database(_) => None,
            Self::Snapshot(follower, _) if pid.is_some() => follower.current_snapshot().await,
            Self::Snapshot(follower, _) => follower.snapshot().await,
        }
    }

    /// What a subject, or without one everybody, has on these repositories.
    pub async fn near(&self, pid: Option<i64>, names: &[&RepositoryName]) -> Result<Rows, TokenServerError> {
        match self.snapshot(pid).await {
            Some(snapshot) => Ok(snapshot.near(pid, names)?),
            None => stored_rows::near(self.pool(), pid, names).await,
        }
    }

    /// Who manages rights about a repository, or without one everywhere, if that is in memory; it may be a little old.
    pub fn managers(&self, name: Option<&RepositoryName>) -> Option<Managers> {
        let Self::Snapshot(follower, _) = self else { return None };
        follower.latest().managers(&repository_pattern::anchors(name))
    }

    /// All that a subject has anywhere, unless there is more than anything could be said of.
    pub async fn all(&self, pid: Option<i64>) -> Result<Option<Rows>, TokenServerError> {
        match self.snapshot(pid).await {
            Some(snapshot) => Ok(snapshot.all(pid, MAX_ROWS)?),
            None => stored_rows::all(self.pool(), pid).await,
        }
    }
}
