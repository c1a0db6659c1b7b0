//! What administrators do: users, teams, roles, grants, barriers, namespaces, robots, workloads, what all of these log in
//! with, rights for a while, whole policies and signing keys; reading what there is and what was done; and asking what a change would mean.
//!
//! *Invariant:* each change, the check that whoever makes it may do so, and its record are one transaction, which the
//! record ends, and one after the other; a change that changes nothing is an answer ("already there", "not there") and
//! leaves no record.

pub mod users;

pub mod identities;

pub mod second_factors;

pub mod mapped_teams;

pub mod scim_users;

pub mod scim_groups;

pub mod scim_secrets;

pub mod teams;

pub mod members;

pub mod roles;

pub mod grants;

pub mod barriers;

pub mod namespaces;

pub mod robots;

pub mod credentials;

pub mod robot_secrets;

pub mod personal_tokens;

pub mod leaks;

pub mod workloads;

pub mod trust;

pub mod machines;

pub mod elevations;

pub mod policy;

mod policy_effects;

mod stored_policy;

pub mod import;

pub mod keys;

pub mod records;

pub mod uses;

pub mod expectation;

mod sight;

pub mod pages;

mod page_ends;

pub mod what_if;

use std::sync::Arc;

use ring::rand::SystemRandom;
use shared::clock::Clock;
use time::OffsetDateTime;

use super::actor::Actor;
use super::delegation::{Authority, NotDelegated};
use super::error::TokenServerError;
use super::explanation::{self, Capable, Explanation};
use super::grant::Circumstances;
use super::grant_subject::{GrantSubject, Known};
use super::keys::key_policy::KeyPolicy;
use super::keys::key_store::KeyTools;
use super::keys::master_secret::MasterSecret;
use super::login::credential::{CredentialPolicy, Secrets};
use super::login::password::PasswordHasher;
use super::login::subject::Subject;
use super::principal_name::PrincipalName;
use super::question::Question;
use super::record::audit::{self, Change, Event, Origin, Outcome, Record};
use super::record::audit_repeats::AuditRepeats;
use super::robot_name::RobotName;
use super::second_factor::requirement::Requirement;
use super::signon::provider::Providers;
use super::stored_rows;
use crate::db::principals::{self, ROBOT, TEAM, USER, WORKLOAD};
use crate::db::roles::RoleRow;
use crate::db::{self, Executor, Pool, Transaction, roles as role_rows};
use expectation::Expectation;

/// What an administrator works with.
pub struct Parts {
    /// Where everything is.
    pub pool: Pool,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// For ids and secrets.
    pub random: SystemRandom,
    /// For passwords.
    pub hasher: Arc<PasswordHasher>,
    /// For what is refused again and again.
    pub repeats: Arc<AuditRepeats>,
    /// For secrets of robots, personal access tokens and kept logins.
    pub secrets: Arc<Secrets>,
    /// How long these are good for.
    pub policy: CredentialPolicy,
    /// For signing keys.
    pub master: MasterSecret,
    /// What the settings say about those.
    pub key_policy: Arc<KeyPolicy>,
    /// Whether a new user gets a namespace.
    pub personal_namespaces: bool,
    /// From where people come, and which of their groups are which teams.
    pub providers: Providers,
    /// Who has to show a second factor first.
    pub second_factor: Requirement,
}

/// The tools of an administrator.
#[derive(Clone)]
pub struct Administration {
    pool: Pool,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
    hasher: Arc<PasswordHasher>,
    repeats: Arc<AuditRepeats>,
    secrets: Arc<Secrets>,
    policy: CredentialPolicy,
    master: MasterSecret,
    key_policy: Arc<KeyPolicy>,
    personal_namespaces: bool,
    providers: Providers,
    second_factor: Requirement,
    actor: Actor,
    expectation: Option<Expectation>,
}

impl Administration {
    /// For whoever runs the server, until it is said on whose behalf it acts.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            pool,
            clock,
            random,
            hasher,
            repeats,
            secrets,
            policy,
            master,
            key_policy,
            personal_namespaces,
            providers,
            second_factor,
        } = parts;
        let (actor, expectation) = (Actor::Operator, None);
        Self {
            pool,
            clock,
            random,
            hasher,
            repeats,
            secrets,
            policy,
            master,
            key_policy,
            personal_namespaces,
            providers,
            second_factor,
            actor,
            expectation,
        }
    }

    /// The same tools in somebody's hands.
    #[must_use]
    pub fn on_behalf_of(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// What signing keys are handled with.
    fn key_tools(&self) -> KeyTools {
        let (secret, random, policy) = (self.master.clone(), self.random.clone(), self.key_policy.clone());
        KeyTools { secret, random, policy }
    }

    /// Begins a change. Changes come one after the other, so that what was checked is so when the change is made.
    async fn begin(&self) -> Result<Transaction, TokenServerError> {
        Ok(db::begin_change(&self.pool).await?)
    }

    /// Lets through whoever may do this.
    async fn demand(
        &self,
        tx: &mut Transaction,
        check: impl FnOnce(&Authority) -> Result<(), NotDelegated>,
    ) -> Result<(), TokenServerError> {
        allow(self.authority(tx).await?.as_ref(), check)
    }

    /// Records that whoever acts was refused a change. It takes a connection, so the change must have been given up: many
    /// who are refused at once would otherwise hold all connections and wait for one more.
    pub async fn record_refusal(&self, error: &TokenServerError) -> Result<(), TokenServerError> {
        use TokenServerError as E;
        let Actor::Subject { subject, origin } = &self.actor else { return Ok(()) };
        if !matches!(error, E::NotDelegated(_) | E::RobotHoldsMore { .. } | E::OwnElevation) {
            return Ok(());
        }
        let sentence = error.to_string();
        let reason = match error {
            E::NotDelegated(NotDelegated::SecondFactorFirst) => "no_second_factor",
            _ => "no_grant",
        };
        let record = Record {
            event: Event::ChangeRefused,
            actor: subject.name(),
            actor_uid: subject.uid(),
            target: &sentence,
            outcome: Outcome::Refused(reason),
        };
        Ok(self.repeats.record(&self.pool, &*self.clock, origin, record).await?)
    }

    /// What whoever acts can do about rights; nothing for those who need not be asked.
    async fn authority(&self, tx: &mut Transaction) -> Result<Option<Authority>, TokenServerError> {
        let Actor::Subject { subject, origin } = &self.actor else { return Ok(None) };
        let rows = stored_rows::all_held(tx, subject.pid()).await?;
        let authority = Authority::of(rows, subject.user_name(), self.circumstances_of(subject, origin));
        if self.second_factor.is_missing(subject, &authority) {
            return Err(NotDelegated::SecondFactorFirst.into());
        }
        Ok(Some(authority))
    }

    /// Lets through who holds everything everywhere.
    async fn demand_everything(
        &self,
        tx: &mut Transaction,
        what: &'static str,
    ) -> Result<(), TokenServerError> {
        self.demand(tx, |authority| authority.demand_everything(what)).await
    }

    /// Lets through who holds everything everywhere for good, before something costly is done for them; what changes
    /// something asks again when it does.
    pub async fn demand_administrator(&self, what: &'static str) -> Result<(), TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        self.demand_everything(&mut tx, what).await
    }

    /// What is known of a request of somebody from there.
    fn circumstances_of(&self, subject: &Subject, origin: &Origin) -> Circumstances {
        let (address, second_factor) = (origin.ip(), subject.has_second_factor());
        Circumstances { now: self.clock.now(), address, second_factor }
    }

    /// Lets through who sees everything, for lists that are not cut to what somebody may see.
    async fn demand_sight_of_all(&self, what: &'static str) -> Result<(), TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let sight = self.sight(&mut tx).await?;
        if sight.is_everything() {
            Ok(())
        } else {
            Err(sight.refused(NotDelegated::NotEverything(what)).into())
        }
    }

    /// The time by the clock of this server.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Whether a subject may do something, and why. Users ask about themselves, and about others where they administer
    /// the place.
    pub async fn explain(
        &self,
        subject: &GrantSubject,
        question: &Question,
        circumstances: Circumstances,
    ) -> Result<Explanation, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let sight = self.sight(&mut tx).await?;
        if !sight.is_own(subject) {
            sight.demand_within("explaining the rights of others", &question.place())?;
        }
        drop(tx);
        explanation::explain(&self.pool, subject, question, circumstances).await
    }

    /// Who may do something. Users ask where they administer the place.
    pub async fn who_can(
        &self,
        question: &Question,
        circumstances: Circumstances,
    ) -> Result<Vec<Capable>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        self.sight(&mut tx).await?.demand_within("asking who may do something", &question.place())?;
        drop(tx);
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
        let record = self.as_done(event, target, remark);
        Ok(audit::record(&mut **tx, &*self.clock, &self.actor.origin(), record).await?)
    }

    /// The same of many changes at once, in this order.
    async fn record_all(
        &self,
        tx: &mut Transaction,
        changes: &[(Event, String, Option<String>)],
    ) -> Result<(), TokenServerError> {
        let records =
            changes.iter().map(|(event, target, remark)| self.as_done(*event, target, remark.as_deref()));
        let records: Vec<Record<'_>> = records.collect();
        Ok(audit::record_all(&mut **tx, &*self.clock, &self.actor.origin(), &records).await?)
    }

    /// The same, with what was in effect before and what is since.
    async fn record_change(
        &self,
        tx: &mut Transaction,
        event: Event,
        target: &str,
        change: Change<'_>,
    ) -> Result<(), TokenServerError> {
        let record = self.as_done(event, target, None);
        Ok(audit::record_change(&mut **tx, &*self.clock, &self.actor.origin(), record, Some(change)).await?)
    }

    fn as_done<'a>(&'a self, event: Event, target: &'a str, remark: Option<&'a str>) -> Record<'a> {
        let (actor, actor_uid) = (self.actor.name(), self.actor.uid());
        Record { event, actor, actor_uid, target, outcome: Outcome::Allowed(remark) }
    }
}

/// Lets through whoever may do this; those without an [`Authority`] need not be asked.
fn allow(
    own: Option<&Authority>,
    check: impl FnOnce(&Authority) -> Result<(), NotDelegated>,
) -> Result<(), TokenServerError> {
    Ok(own.map_or(Ok(()), check)?)
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

/// A workload to which something is attached in the same transaction.
async fn hold_workload(db: impl Executor<'_>, name: &PrincipalName) -> Result<i64, TokenServerError> {
    let found = principals::find_principal_held(db, WORKLOAD, name.as_str()).await?;
    found.ok_or_else(|| not_found(WORKLOAD, name))
}

async fn find_robot(db: impl Executor<'_>, name: &RobotName) -> Result<i64, TokenServerError> {
    let found = principals::find_principal(db, ROBOT, name.as_str()).await?;
    found.ok_or_else(|| TokenServerError::NotFound { kind: ROBOT, name: name.to_string() })
}

/// A robot to which something is attached in the same transaction.
async fn hold_robot(db: impl Executor<'_>, name: &RobotName) -> Result<i64, TokenServerError> {
    let found = principals::find_principal_held(db, ROBOT, name.as_str()).await?;
    found.ok_or_else(|| TokenServerError::NotFound { kind: ROBOT, name: name.to_string() })
}

/// The number of a subject, if there is such a subject.
async fn find_subject(tx: &mut Transaction, subject: &GrantSubject) -> Result<Option<i64>, TokenServerError> {
    match subject.known() {
        Known::BuiltIn(pid, _) => Ok(Some(pid)),
        Known::Made(kind, name) => Ok(principals::find_principal(&mut **tx, kind, name).await?),
    }
}

/// Whoever is named as a holder or an owner.
async fn hold_subject(tx: &mut Transaction, subject: &GrantSubject) -> Result<i64, TokenServerError> {
    match subject.known() {
        Known::BuiltIn(pid, _) => Ok(pid),
        Known::Made(kind, name) => {
            let found = principals::find_principal_held(&mut **tx, kind, name).await?;
            found.ok_or_else(|| TokenServerError::NotFound { kind, name: name.to_owned() })
        }
    }
}

/// A role that is about to be changed or removed.
async fn hold_role_to_change(tx: &mut Transaction, name: &str) -> Result<RoleRow, TokenServerError> {
    let found = role_rows::find_role_locked(&mut **tx, name).await?;
    found.ok_or_else(|| TokenServerError::NotFound { kind: "role", name: name.to_owned() })
}

fn not_found(kind: &'static str, name: &PrincipalName) -> TokenServerError {
    TokenServerError::NotFound { kind, name: name.to_string() }
}

/// Users, teams, workloads and builtin groups share one list of names.
fn name_taken(name: &PrincipalName) -> impl FnOnce(crate::db::error::DbError) -> TokenServerError {
    let name = name.to_string();
    move |error| {
        if error.is_conflict_with(principals::NAME_KEY) {
            TokenServerError::AlreadyThere { kind: "user, team or workload named", name }
        } else {
            error.into()
        }
    }
}
