//! Where logins and decisions look: memory, or the database itself.
//!
//! *Invariant:* both say the same, and the same functions decide on it. One request looks at one state of things, so
//! that what it may do is what its credential was good for at that moment.

use std::sync::Arc;

use shared::repository_name::RepositoryName;
use shared::repository_pattern;
use shared::revocations::Position;
use uuid::Uuid;

use super::error::TokenServerError;
use super::grantors::Managers;
use super::login::credential::Mac;
use super::policy::Rows;
use super::snapshot::Snapshot;
use super::snapshot::credentials::{StoredCredential, StoredLogin};
use super::snapshot::follower::Follower;
use super::snapshot::people::{Kind, Person};
use super::stored_rows::{self, MAX_ROWS};
use crate::db::principals::PrincipalState;
use crate::db::{Pool, changes, credentials, principals, refresh_tokens, revocations};

/// One of the two.
#[derive(Clone)]
pub enum RowSource {
    /// Every decision asks the database.
    Database(Pool),
    /// Decisions are made from memory, and ask the database only if memory is not what it says.
    Snapshot(Arc<Follower>, Pool),
}

/// How things are at one moment, for one request.
#[derive(Clone)]
pub enum View {
    /// The database says, each time it is asked.
    Database(Pool),
    /// What was in memory.
    Snapshot(Arc<Snapshot>),
}

/// Whose something is that was brought to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Inner number.
    pub pid: i64,
    /// Stable id.
    pub uid: Uuid,
    /// As people write it.
    pub name: String,
    /// A user or a robot.
    pub kind: Kind,
    /// Whether they may log in at all.
    pub may_log_in: bool,
}

impl RowSource {
    /// How things are now; with the database away, as they were when it was last seen, for as long as the settings say.
    pub async fn view(&self) -> View {
        match self {
            Self::Database(pool) => View::Database(pool.clone()),
            Self::Snapshot(follower, pool) => match follower.snapshot().await {
                Some(snapshot) => View::Snapshot(snapshot),
                None => View::Database(pool.clone()),
            },
        }
    }

    /// Whether logins and decisions go on without the database, which is away.
    pub async fn is_independent(&self) -> bool {
        match self {
            Self::Database(_) => false,
            Self::Snapshot(follower, _) => follower.is_usable().await,
        }
    }

    /// Who manages rights about a repository, or without one everywhere, if that is in memory; it may be a little old.
    pub fn managers(&self, name: Option<&RepositoryName>) -> Option<Managers> {
        let Self::Snapshot(follower, _) = self else { return None };
        follower.latest().managers(&repository_pattern::anchors(name))
    }
}

impl View {
    /// Where in which life of the database what is said next is looked up, or a little before that.
    pub async fn decided(&self) -> Result<Position, TokenServerError> {
        match self {
            Self::Snapshot(snapshot) => Ok(snapshot.decided()),
            Self::Database(pool) => {
                let at = changes::find_last(pool).await?;
                Ok(Position { epoch: revocations::find_epoch(pool).await?, at })
            }
        }
    }

    /// What a subject, or without one everybody, has on these repositories.
    pub async fn near(&self, pid: Option<i64>, names: &[&RepositoryName]) -> Result<Rows, TokenServerError> {
        match self {
            Self::Snapshot(snapshot) => Ok(snapshot.near(pid, names)?),
            Self::Database(pool) => stored_rows::near(pool, pid, names).await,
        }
    }

    /// All that a subject has anywhere, unless there is more than anything could be said of.
    pub async fn all(&self, pid: Option<i64>) -> Result<Option<Rows>, TokenServerError> {
        match self {
            Self::Snapshot(snapshot) => Ok(snapshot.all(pid, MAX_ROWS)?),
            Self::Database(pool) => stored_rows::all(pool, pid).await,
        }
    }

    /// The credential with this MAC, of somebody who is alive.
    pub async fn credential(&self, mac: &Mac) -> Result<Option<(StoredCredential, Owner)>, TokenServerError> {
        let found = match self {
            Self::Snapshot(snapshot) => snapshot.credential(mac).cloned(),
            Self::Database(pool) => {
                credentials::find_credential(pool, mac).await?.as_ref().map(StoredCredential::read)
            }
        };
        let Some(found) = found else { return Ok(None) };
        Ok(self.owner(found.pid).await?.map(|owner| (found, owner)))
    }

    /// The token of a kept login with this MAC, of somebody who is alive.
    pub async fn login(&self, mac: &Mac) -> Result<Option<(StoredLogin, Owner)>, TokenServerError> {
        let found = match self {
            Self::Snapshot(snapshot) => snapshot.login(mac).cloned(),
            Self::Database(pool) => {
                refresh_tokens::find_refresh_token(pool, mac).await?.map(StoredLogin::from)
            }
        };
        let Some(found) = found else { return Ok(None) };
        Ok(self.owner(found.pid).await?.map(|owner| (found, owner)))
    }

    async fn owner(&self, pid: i64) -> Result<Option<Owner>, TokenServerError> {
        let as_owner = |person: &Person, may_log_in| Owner {
            pid,
            uid: person.uid,
            name: person.name.to_string(),
            kind: person.kind,
            may_log_in,
        };
        let pool = match self {
            Self::Snapshot(snapshot) => {
                return Ok(snapshot.person(pid).map(|(person, may_log_in)| as_owner(person, may_log_in)));
            }
            Self::Database(pool) => pool,
        };
        let Some(person) = find_person(pool, pid).await? else { return Ok(None) };
        let is_owner_active = match person.owner {
            None => true,
            Some(owner) => find_person(pool, owner).await?.is_some_and(|owner| !owner.is_disabled),
        };
        Ok(Some(as_owner(&person, !person.is_disabled && is_owner_active)))
    }
}

async fn find_person(pool: &Pool, pid: i64) -> Result<Option<Person>, TokenServerError> {
    let found: Option<PrincipalState> = principals::list_states(pool, &[pid]).await?.pop();
    Ok(found.map(Person::from))
}
