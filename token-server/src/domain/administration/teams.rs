//! Teams: add, list, remove, and their members.
//!
//! *Invariant:* a removed team leaves no membership and no right behind, so that a new team of the same name begins
//! with nothing.

use time::OffsetDateTime;

use super::super::audit::Event;
use super::super::error::TokenServerError;
use super::super::principal_name::{InvalidName, PrincipalName};
use super::super::random;
use super::{Administration, hold_team, hold_user, name_taken, not_found};
use crate::db::teams::TeamSummary;
use crate::db::{self, Transaction, grants, principals, teams};

/// What went with a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovedTeam {
    /// Memberships.
    pub members: u64,
    /// Rights.
    pub grants: u64,
}

/// Who can be in a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TeamMember {
    /// One user.
    User(PrincipalName),
    /// Everybody in another team.
    Team(PrincipalName),
}

impl TeamMember {
    /// Parses `NAME`, `user:NAME` or `team:NAME`.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        match text.split_once(':') {
            Some((principals::TEAM, name)) => Ok(Self::Team(PrincipalName::parse(name)?)),
            Some((principals::USER, name)) => Ok(Self::User(PrincipalName::parse(name)?)),
            _ => Ok(Self::User(PrincipalName::parse(text)?)),
        }
    }
}

impl std::fmt::Display for TeamMember {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(name) => name.fmt(f),
            Self::Team(name) => write!(f, "{}:{name}", principals::TEAM),
        }
    }
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

    /// Adds a user or a team to a team.
    pub async fn add_team_member(
        &self,
        team: &PrincipalName,
        member: &TeamMember,
    ) -> Result<(), TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        insert_member(&mut tx, team, member, self.clock.now()).await?;
        self.record(&mut tx, Event::TeamMemberAdded, team.as_str(), Some(&member.to_string())).await?;
        Ok(db::commit(tx).await?)
    }

    /// Removes a user or a team from a team.
    pub async fn remove_team_member(
        &self,
        team: &PrincipalName,
        member: &TeamMember,
    ) -> Result<(), TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        delete_member(&mut tx, team, member).await?;
        self.record(&mut tx, Event::TeamMemberRemoved, team.as_str(), Some(&member.to_string())).await?;
        Ok(db::commit(tx).await?)
    }
}

/// Puts somebody into a team.
pub(super) async fn insert_member(
    tx: &mut Transaction,
    team: &PrincipalName,
    member: &TeamMember,
    now: OffsetDateTime,
) -> Result<(), TokenServerError> {
    let team_pid = hold_team(&mut **tx, team).await?;
    let member_pid = hold_member(tx, member).await?;
    if let TeamMember::Team(inner) = member {
        let nesting = teams::find_nesting(tx, team_pid, member_pid).await?;
        let (team, member) = (team.to_string(), inner.to_string());
        if nesting.is_cycle {
            return Err(TokenServerError::TeamCycle { team, member });
        }
        if nesting.depth > teams::MAX_DEPTH {
            return Err(TokenServerError::TeamsTooDeep { team, member });
        }
    }
    if !teams::insert_member(&mut **tx, team_pid, member_pid, now).await? {
        let name = format!("{member} in team {team}");
        return Err(TokenServerError::AlreadyThere { kind: "member", name });
    }
    Ok(())
}

/// Takes somebody out of a team.
pub(super) async fn delete_member(
    tx: &mut Transaction,
    team: &PrincipalName,
    member: &TeamMember,
) -> Result<(), TokenServerError> {
    let team_pid = hold_team(&mut **tx, team).await?;
    let member_pid = hold_member(tx, member).await?;
    if !teams::delete_member(&mut **tx, team_pid, member_pid).await? {
        let name = format!("{member} in team {team}");
        return Err(TokenServerError::NotFound { kind: "member", name });
    }
    Ok(())
}

pub(super) async fn hold_member(tx: &mut Transaction, member: &TeamMember) -> Result<i64, TokenServerError> {
    match member {
        TeamMember::User(name) => hold_user(&mut **tx, name).await,
        TeamMember::Team(name) => hold_team(&mut **tx, name).await,
    }
}
