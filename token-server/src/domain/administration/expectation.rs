//! What somebody who changes something believes it to be, from when they looked at it.
//!
//! *Invariant:* it is compared in the transaction of the change, behind the check that they may make it.

use std::fmt;
use std::sync::Arc;

use super::super::error::TokenServerError;
use super::super::principal_name::PrincipalName;
use super::Administration;
use crate::db::barriers::BarrierRow;
use crate::db::grants::GrantSummary;
use crate::db::namespaces::NamespaceRow;
use crate::db::robots::RobotSummary;
use crate::db::roles::RoleRow;
use crate::db::teams::{MemberRow, TeamSummary};
use crate::db::users::UserSummary;
use crate::db::workloads::WorkloadSummary;
use crate::db::{Transaction, teams, users};

/// Something as it is before it is changed.
#[derive(Clone, Copy, Debug)]
pub enum Present<'a> {
    /// A user.
    User(&'a UserSummary),
    /// A team.
    Team(&'a TeamSummary),
    /// A member of a team.
    Member(&'a MemberRow),
    /// A role that was made.
    Role(&'a RoleRow),
    /// A right.
    Grant(&'a GrantSummary),
    /// A barrier.
    Barrier(&'a BarrierRow),
    /// A namespace.
    Namespace(&'a NamespaceRow),
    /// A robot.
    Robot(&'a RobotSummary),
    /// A workload.
    Workload(&'a WorkloadSummary),
}

/// Says whether it is as it was believed to be.
#[derive(Clone)]
pub struct Expectation(Arc<dyn Fn(Present<'_>) -> bool + Send + Sync>);

impl Expectation {
    /// From a comparison.
    pub fn new(is_met: impl Fn(Present<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_met))
    }
}

impl fmt::Debug for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expectation")
    }
}

impl Administration {
    /// The same tools, which change nothing that is not as expected.
    #[must_use]
    pub fn expecting(&self, expectation: Option<Expectation>) -> Self {
        Self { expectation, ..self.clone() }
    }

    /// Compares what is about to be changed with what was expected.
    pub(super) fn compare(&self, present: Present<'_>) -> Result<(), TokenServerError> {
        match &self.expectation {
            Some(Expectation(is_met)) if !is_met(present) => Err(TokenServerError::ChangedMeanwhile),
            Some(_) | None => Ok(()),
        }
    }

    /// Compares a user, if there is such a user and something was expected.
    pub(super) async fn compare_user(
        &self,
        tx: &mut Transaction,
        name: &PrincipalName,
    ) -> Result<(), TokenServerError> {
        if self.expectation.is_none() {
            return Ok(());
        }
        let found = users::find_user_summary(&mut **tx, name.as_str()).await?;
        found.map_or(Ok(()), |found| self.compare(Present::User(&found)))
    }

    /// Compares a team, if there is such a team and something was expected.
    pub(super) async fn compare_team(
        &self,
        tx: &mut Transaction,
        name: &PrincipalName,
    ) -> Result<(), TokenServerError> {
        if self.expectation.is_none() {
            return Ok(());
        }
        let found = teams::find_team_summary(&mut **tx, name.as_str()).await?;
        found.map_or(Ok(()), |found| self.compare(Present::Team(&found)))
    }
}
