//! Grants: add, list, remove.
//!
//! *Invariant:* what is stored was parsed first, so that every stored pattern means something.

use super::super::audit::Event;
use super::super::error::TokenServerError;
use super::super::grant_subject::GrantSubject;
use super::super::pattern::RepositoryPattern;
use super::super::role::Role;
use super::{Administration, hold_team, hold_user};
use crate::db::grants::{self, GrantSummary, NewGrant};
use crate::db::{self, Executor, principals};

/// A right as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantSpec {
    /// Whose.
    pub subject: GrantSubject,
    /// In which role.
    pub role: Role,
    /// On which repositories.
    pub pattern: RepositoryPattern,
}

impl std::fmt::Display for GrantSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.subject, self.role, self.pattern)
    }
}

impl Administration {
    /// Gives a right.
    pub async fn add_grant(&self, grant: &GrantSpec) -> Result<(), TokenServerError> {
        let (anchor, pattern) = (grant.pattern.anchor(), grant.pattern.to_string());
        let mut tx = db::begin(&self.pool).await?;
        let row = NewGrant {
            subject_pid: hold_subject(&mut *tx, &grant.subject).await?,
            anchor: &anchor,
            pattern: &pattern,
            role: grant.role.as_str(),
        };
        if !grants::insert_grant(&mut *tx, &row, self.clock.now()).await? {
            return Err(TokenServerError::AlreadyThere { kind: "grant", name: grant.to_string() });
        }
        self.record(&mut tx, Event::GrantAdded, &grant.to_string(), None).await?;
        Ok(db::commit(tx).await?)
    }

    /// All rights, by subject.
    pub async fn list_grants(&self) -> Result<Vec<GrantSummary>, TokenServerError> {
        Ok(grants::list_grants(&self.pool).await?)
    }

    /// Takes a right away. Tokens that carry it live on for at most their lifetime.
    pub async fn remove_grant(&self, grant: &GrantSpec) -> Result<(), TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let subject_pid = hold_subject(&mut *tx, &grant.subject).await?;
        let pattern = grant.pattern.to_string();
        if !grants::delete_grant(&mut *tx, subject_pid, &pattern, grant.role.as_str()).await? {
            return Err(TokenServerError::NotFound { kind: "grant", name: grant.to_string() });
        }
        self.record(&mut tx, Event::GrantRemoved, &grant.to_string(), None).await?;
        Ok(db::commit(tx).await?)
    }
}

async fn hold_subject(db: impl Executor<'_>, subject: &GrantSubject) -> Result<i64, TokenServerError> {
    match subject {
        GrantSubject::Everyone => Ok(principals::EVERYONE),
        GrantSubject::Authenticated => Ok(principals::AUTHENTICATED),
        GrantSubject::User(name) => hold_user(db, name).await,
        GrantSubject::Team(name) => hold_team(db, name).await,
    }
}
