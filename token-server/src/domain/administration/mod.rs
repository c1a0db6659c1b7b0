//! What administrators do: users, teams, grants, barriers, and reading what was done.
//!
//! *Invariant:* each change and its record are one transaction, which the record ends; a change that changes nothing is
//! an answer ("already there", "not there") and leaves no record.

pub mod users;

pub mod teams;

pub mod grants;

pub mod barriers;

pub mod import;

pub mod records;

use std::sync::Arc;

use ring::rand::SystemRandom;
use shared::clock::Clock;
use time::OffsetDateTime;

use super::audit::{self, COMMAND_LINE, Change, Event, Origin, Outcome, Record};
use super::error::TokenServerError;
use super::explanation::{self, Capable, Explanation};
use super::grant::Circumstances;
use super::grant_subject::GrantSubject;
use super::password::PasswordHasher;
use super::principal_name::PrincipalName;
use super::question::Question;
use crate::db::principals::{self, TEAM, USER};
use crate::db::{Executor, Pool, Transaction};

/// The tools of an administrator.
pub struct Administration {
    pool: Pool,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
    hasher: PasswordHasher,
}

impl Administration {
    /// For one command at a time.
    pub fn new(pool: Pool, clock: Arc<dyn Clock>, random: SystemRandom) -> Result<Self, TokenServerError> {
        let hasher = PasswordHasher::new(1, 0, random.clone())?;
        Ok(Self { pool, clock, random, hasher })
    }

    /// The time by the clock of this server.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Whether a subject may do something, and why.
    pub async fn explain(
        &self,
        subject: &GrantSubject,
        question: &Question,
        circumstances: Circumstances,
    ) -> Result<Explanation, TokenServerError> {
        explanation::explain(&self.pool, subject, question, circumstances).await
    }

    /// Who may do something.
    pub async fn who_can(
        &self,
        question: &Question,
        circumstances: Circumstances,
    ) -> Result<Vec<Capable>, TokenServerError> {
        explanation::who_can(&self.pool, question, circumstances).await
    }

    /// Records a change in the transaction that makes it.
    async fn record(
        &self,
        tx: &mut Transaction,
        event: Event,
        target: &str,
        remark: Option<&str>,
    ) -> Result<(), TokenServerError> {
        let record =
            Record { event, actor: COMMAND_LINE, actor_uid: None, target, outcome: Outcome::Allowed(remark) };
        Ok(audit::record(&mut **tx, &*self.clock, &Origin::default(), record).await?)
    }

    /// The same, with what was in effect before and what is since.
    async fn record_change(
        &self,
        tx: &mut Transaction,
        event: Event,
        target: &str,
        change: Change<'_>,
    ) -> Result<(), TokenServerError> {
        let record =
            Record { event, actor: COMMAND_LINE, actor_uid: None, target, outcome: Outcome::Allowed(None) };
        let origin = Origin::default();
        Ok(audit::record_change(&mut **tx, &*self.clock, &origin, record, Some(change)).await?)
    }
}

async fn find_user(db: impl Executor<'_>, name: &PrincipalName) -> Result<i64, TokenServerError> {
    principals::find_principal(db, USER, name.as_str()).await?.ok_or_else(|| not_found(USER, name))
}

/// A user to whom something is attached in the same transaction.
async fn hold_user(db: impl Executor<'_>, name: &PrincipalName) -> Result<i64, TokenServerError> {
    principals::find_principal_held(db, USER, name.as_str()).await?.ok_or_else(|| not_found(USER, name))
}

/// A team to which something is attached in the same transaction.
async fn hold_team(db: impl Executor<'_>, name: &PrincipalName) -> Result<i64, TokenServerError> {
    principals::find_principal_held(db, TEAM, name.as_str()).await?.ok_or_else(|| not_found(TEAM, name))
}

fn not_found(kind: &'static str, name: &PrincipalName) -> TokenServerError {
    TokenServerError::NotFound { kind, name: name.to_string() }
}

/// Users, teams and builtin groups share one list of names.
fn name_taken(name: &PrincipalName) -> impl FnOnce(crate::db::error::DbError) -> TokenServerError {
    let name = name.to_string();
    move |error| {
        if error.is_conflict_with(principals::NAME_KEY) {
            TokenServerError::AlreadyThere { kind: "user or team named", name }
        } else {
            error.into()
        }
    }
}
