//! Teams: add, list, remove, and their members.
//!
//! *Invariant:* a removed team leaves no membership and no right behind, so that a new team of the same name begins
//! with nothing.

use super::super::audit::Event;
use super::super::error::TokenServerError;
use super::super::principal_name::PrincipalName;
use super::super::random;
use super::{Administration, hold_team, hold_user, name_taken, not_found};
use crate::db::teams::TeamSummary;
use crate::db::{self, grants, principals, teams};

/// What went with a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovedTeam {
    /// Memberships.
    pub members: u64,
    /// Rights.
    pub grants: u64,
}

impl Administration {
    /// Adds a team without members.
    pub async fn add_team(&self, name: &PrincipalName) -> Result<(), TokenServerError> {
        let uid = random::dated_id(&self.random, &*self.clock)?;
        let mut tx = db::begin(&self.pool).await?;
        principals::insert_principal(&mut *tx, principals::TEAM, name.as_str(), uid, self.clock.now())
            .await
            .map_err(name_taken(name))?;
        self.record(&mut tx, Event::TeamAdded, name.as_str(), None).await?;
        Ok(db::commit(tx).await?)
    }

    /// All teams, by name.
    pub async fn list_teams(&self) -> Result<Vec<TeamSummary>, TokenServerError> {
        Ok(teams::list_teams(&self.pool).await?)
    }

    /// Removes a team with its memberships and rights.
    pub async fn remove_team(&self, name: &PrincipalName) -> Result<RemovedTeam, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        // First of all, so that nothing is attached to the team any more.
        let pid = principals::update_deleted(&mut *tx, principals::TEAM, name.as_str(), self.clock.now());
        let pid = pid.await?.ok_or_else(|| not_found(principals::TEAM, name))?;
        let members = teams::delete_members(&mut *tx, pid).await?;
        let grants = grants::delete_grants_of(&mut *tx, pid).await?;
        let remark = format!("{members} members, {grants} grants");
        self.record(&mut tx, Event::TeamRemoved, name.as_str(), Some(&remark)).await?;
        db::commit(tx).await?;
        Ok(RemovedTeam { members, grants })
    }

    /// Adds a user to a team.
    pub async fn add_team_member(
        &self,
        team: &PrincipalName,
        user: &PrincipalName,
    ) -> Result<(), TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let team_pid = hold_team(&mut *tx, team).await?;
        let user_pid = hold_user(&mut *tx, user).await?;
        if !teams::insert_member(&mut *tx, team_pid, user_pid, self.clock.now()).await? {
            let name = format!("{user} in team {team}");
            return Err(TokenServerError::AlreadyThere { kind: "member", name });
        }
        self.record(&mut tx, Event::TeamMemberAdded, team.as_str(), Some(user.as_str())).await?;
        Ok(db::commit(tx).await?)
    }

    /// Removes a user from a team.
    pub async fn remove_team_member(
        &self,
        team: &PrincipalName,
        user: &PrincipalName,
    ) -> Result<(), TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let team_pid = hold_team(&mut *tx, team).await?;
        let user_pid = hold_user(&mut *tx, user).await?;
        if !teams::delete_member(&mut *tx, team_pid, user_pid).await? {
            let name = format!("{user} in team {team}");
            return Err(TokenServerError::NotFound { kind: "member", name });
        }
        self.record(&mut tx, Event::TeamMemberRemoved, team.as_str(), Some(user.as_str())).await?;
        Ok(db::commit(tx).await?)
    }
}
