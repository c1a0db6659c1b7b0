//! Grants and denials: add, list, remove.
//!
//! *Invariant:* what is stored was parsed first, so that every stored pattern means something.

use shared::limits::TagPattern;
use shared::repository_pattern::RepositoryPattern;

use super::super::audit::Event;
use super::super::error::TokenServerError;
use super::super::grant::{Conditions, Effect, What};
use super::super::grant_subject::GrantSubject;
use super::super::role::Role;
use super::{Administration, hold_team, hold_user};
use crate::db::grants::{self, GrantSummary, Inserted, NewGrant};
use crate::db::{self, Executor, principals};

/// A row as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantSpec {
    /// Who is given or denied something.
    pub subject: GrantSubject,
    /// Which of both.
    pub effect: Effect,
    /// What.
    pub what: What,
    /// On which repositories.
    pub pattern: RepositoryPattern,
    /// On which tags only.
    pub tags: Option<TagPattern>,
}

impl std::fmt::Display for GrantSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let denies = if self.effect == Effect::Deny { "deny " } else { "" };
        write!(f, "{} {denies}{} {}", self.subject, self.what, self.pattern)?;
        self.tags.as_ref().map_or(Ok(()), |tags| write!(f, ":{tags}"))
    }
}

impl Administration {
    /// Gives or denies a right; returns the number of the row.
    pub async fn add_grant(
        &self,
        grant: &GrantSpec,
        conditions: &Conditions,
        reason: Option<&str>,
    ) -> Result<i64, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let subject_pid = hold_subject(&mut *tx, &grant.subject).await?;
        let row = StoredSpec::new(grant);
        let row = row.of(subject_pid, conditions, reason);
        let id = match grants::insert_grant(&mut tx, &row, self.clock.now()).await? {
            Inserted::New(id) => id,
            Inserted::Same => {
                return Err(TokenServerError::AlreadyThere { kind: "grant", name: grant.to_string() });
            }
            Inserted::OtherConditions => return Err(TokenServerError::OtherConditions(grant.to_string())),
        };
        let said: Vec<String> = [conditions.to_string(), reason.unwrap_or_default().to_owned()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        let remark = (!said.is_empty()).then(|| said.join("; "));
        self.record(&mut tx, Event::GrantAdded, &grant.to_string(), remark.as_deref()).await?;
        db::commit(tx).await?;
        Ok(id)
    }

    /// All rows, by subject.
    pub async fn list_grants(&self) -> Result<Vec<GrantSummary>, TokenServerError> {
        Ok(grants::list_grants(&self.pool).await?)
    }

    /// Takes a row away. Tokens that carry what it gave live on for at most their lifetime.
    pub async fn remove_grant(&self, grant: &GrantSpec) -> Result<(), TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let subject_pid = hold_subject(&mut *tx, &grant.subject).await?;
        let row = StoredSpec::new(grant);
        let removed =
            grants::delete_grant(&mut *tx, &row.of(subject_pid, &Conditions::default(), None)).await?;
        removed.ok_or_else(|| TokenServerError::NotFound { kind: "grant", name: grant.to_string() })?;
        self.record(&mut tx, Event::GrantRemoved, &grant.to_string(), None).await?;
        Ok(db::commit(tx).await?)
    }
}

/// The texts of a row, for as long as a statement needs them.
pub(super) struct StoredSpec {
    anchor: String,
    pattern: String,
    effect: Effect,
    role: Option<Role>,
    rights: Option<String>,
    tags: Option<TagPattern>,
}

impl StoredSpec {
    pub(super) fn new(grant: &GrantSpec) -> Self {
        let (role, rights) = match grant.what {
            What::Role(role) => (Some(role), None),
            What::Rights(rights) => (None, Some(rights.to_string())),
        };
        Self {
            anchor: grant.pattern.anchor(),
            pattern: grant.pattern.to_string(),
            effect: grant.effect,
            role,
            rights,
            tags: grant.tags.clone(),
        }
    }

    pub(super) fn of<'a>(
        &'a self,
        subject_pid: i64,
        conditions: &'a Conditions,
        reason: Option<&'a str>,
    ) -> NewGrant<'a> {
        NewGrant {
            subject_pid,
            anchor: &self.anchor,
            pattern: &self.pattern,
            effect: self.effect.as_str(),
            role: self.role.map(Role::as_str),
            rights: self.rights.as_deref(),
            tags: self.tags.as_ref().map(TagPattern::as_str),
            not_before: conditions.not_before,
            expires_at: conditions.expires_at,
            networks: &conditions.networks,
            reason,
        }
    }
}

pub(super) async fn hold_subject(
    db: impl Executor<'_>,
    subject: &GrantSubject,
) -> Result<i64, TokenServerError> {
    match subject {
        GrantSubject::Everyone => Ok(principals::EVERYONE),
        GrantSubject::Authenticated => Ok(principals::AUTHENTICATED),
        GrantSubject::User(name) => hold_user(db, name).await,
        GrantSubject::Team(name) => hold_team(db, name).await,
    }
}
