//! Who is in a team, and who of them maintains it.
//!
//! A maintainer puts others in and takes them out, without holding everything: up to what [`Authority::demand_membership`]
//! lets through, and neither maintainers nor members that come from a policy file or a group elsewhere, which those change who put them there.
//!
//! *Invariant:* whoever may not change a team is told the same about what there is and what there is not.

use super::super::delegation::{Authority, Move, NotDelegated};
use super::super::error::TokenServerError;
use super::super::principal_name::PrincipalName;
use super::super::record::audit::{Change, Event};
use super::super::stored_rows;
use super::super::team_member::{Standing, TeamMember};
use super::expectation::Present;
use super::stored_policy::hold_member;
use super::{Administration, find_subject, hold_team, not_found};
use crate::db::grants::Source;
use crate::db::principals::{self, TEAM};
use crate::db::teams::{self, MemberRow};
use crate::db::{self, Transaction};

impl Administration {
    /// Adds somebody to a team, perhaps as a maintainer.
    pub async fn add_team_member(
        &self,
        team: &PrincipalName,
        member: &TeamMember,
        standing: Standing,
    ) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        self.insert_member(&mut tx, team, member, standing).await?;
        let remark = match standing {
            Standing::Member => member.to_string(),
            Standing::Maintainer => format!("{member}, maintainer"),
        };
        self.record(&mut tx, Event::TeamMemberAdded, team.as_str(), Some(&remark)).await?;
        Ok(db::commit(tx).await?)
    }

    /// Removes somebody from a team.
    pub async fn remove_team_member(
        &self,
        team: &PrincipalName,
        member: &TeamMember,
    ) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        self.delete_member(&mut tx, team, member).await?;
        self.record(&mut tx, Event::TeamMemberRemoved, team.as_str(), Some(&member.to_string())).await?;
        Ok(db::commit(tx).await?)
    }

    /// Makes a member a maintainer, or no longer; says whether that was a change.
    pub async fn change_team_member(
        &self,
        team: &PrincipalName,
        member: &TeamMember,
        standing: Standing,
    ) -> Result<bool, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "saying who maintains a team").await?;
        demand_capable(member, standing)?;
        let (team_pid, member_pid) = (hold_team(&mut *tx, team).await?, hold_member(&mut tx, member).await?);
        let found = find(&mut tx, (team, team_pid), (member, member_pid)).await?;
        self.compare(Present::Member(&found))?;
        let before = Standing::of(found.is_maintainer);
        if before == standing {
            return Ok(false);
        }
        teams::update_maintainer(&mut *tx, team_pid, member_pid, standing.is_maintainer()).await?;
        let said = |standing: Standing| format!("{member}, {}", standing.as_str());
        let change = Change { before: &said(before), after: &said(standing) };
        self.record_change(&mut tx, Event::TeamMemberChanged, team.as_str(), change).await?;
        db::commit(tx).await?;
        Ok(true)
    }

    /// All who are in a team directly, in the order in which they came to be.
    pub async fn list_team_members(&self, team: &PrincipalName) -> Result<Vec<MemberRow>, TokenServerError> {
        const EVERYBODY: usize = u32::MAX as usize;
        Ok(self.page_of_members(team, 0, EVERYBODY).await?.items)
    }

    /// One member of a team.
    pub async fn show_team_member(
        &self,
        team: &PrincipalName,
        member: &TeamMember,
    ) -> Result<MemberRow, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let is_seen = self.sight(&mut tx).await?.shows_team(team.as_str());
        let found = principals::find_principal(&mut *tx, TEAM, team.as_str()).await?;
        let team_pid = found.filter(|_| is_seen).ok_or_else(|| not_found(TEAM, team))?;
        let member_pid = find_subject(&mut tx, &member.subject()).await?;
        let member_pid = member_pid.ok_or_else(|| no_member(team, member))?;
        find(&mut tx, (team, team_pid), (member, member_pid)).await
    }

    /// Puts somebody into a team, if whoever acts may.
    pub(super) async fn insert_member(
        &self,
        tx: &mut Transaction,
        team: &PrincipalName,
        member: &TeamMember,
        standing: Standing,
    ) -> Result<(), TokenServerError> {
        let maintainer = self.demand_maintained(tx, team).await?;
        if standing.is_maintainer() && maintainer.is_some() {
            return Err(NotDelegated::NotEverything("making somebody a maintainer of a team").into());
        }
        demand_capable(member, standing)?;
        let (team_pid, member_pid) = (hold_team(&mut **tx, team).await?, hold_member(tx, member).await?);
        demand_nesting(tx, (team, team_pid), (member, member_pid)).await?;
        if let Some(own) = maintainer {
            self.demand_membership(tx, &own, team_pid, Move::In).await?;
        }
        let (is_maintainer, now) = (standing.is_maintainer(), self.clock.now());
        if !teams::insert_member(&mut **tx, team_pid, member_pid, is_maintainer, now).await? {
            let name = format!("{member} in team {team}");
            return Err(TokenServerError::AlreadyThere { kind: "member", name });
        }
        Ok(())
    }

    /// Takes somebody out of a team, if whoever acts may.
    pub(super) async fn delete_member(
        &self,
        tx: &mut Transaction,
        team: &PrincipalName,
        member: &TeamMember,
    ) -> Result<(), TokenServerError> {
        let maintainer = self.demand_maintained(tx, team).await?;
        let (team_pid, member_pid) = (hold_team(&mut **tx, team).await?, hold_member(tx, member).await?);
        let found = find(tx, (team, team_pid), (member, member_pid)).await?;
        if let Some(own) = maintainer {
            if found.is_maintainer {
                return Err(NotDelegated::NotEverything("taking a maintainer out of a team").into());
            }
            if found.source != Source::Manual.as_str() {
                let what = "taking somebody out of a team who is in it by a policy file or a group elsewhere";
                return Err(NotDelegated::NotEverything(what).into());
            }
            self.demand_membership(tx, &own, team_pid, Move::Out).await?;
        }
        teams::delete_member(&mut **tx, team_pid, member_pid).await?;
        Ok(())
    }

    /// Lets through who may do anything with a team, and who maintains it; of the latter, says what they can do.
    async fn demand_maintained(
        &self,
        tx: &mut Transaction,
        team: &PrincipalName,
    ) -> Result<Option<Authority>, TokenServerError> {
        let Some(own) = self.authority(tx).await? else { return Ok(None) };
        let Err(refusal) = own.demand_everything("changing who is in a team that you do not maintain") else {
            return Ok(None);
        };
        let team_pid = principals::find_principal(&mut **tx, TEAM, team.as_str()).await?;
        let (Some(team_pid), Some(pid)) = (team_pid, self.actor.pid()) else { return Err(refusal.into()) };
        let found = teams::find_member(&mut **tx, team_pid, pid).await?;
        if found.is_some_and(|found| found.is_maintainer) { Ok(Some(own)) } else { Err(refusal.into()) }
    }

    /// Lets through a maintainer to whom nothing is lacking that comes and goes with being in the team.
    async fn demand_membership(
        &self,
        tx: &mut Transaction,
        own: &Authority,
        team_pid: i64,
        direction: Move,
    ) -> Result<(), TokenServerError> {
        let joined = stored_rows::all_held(tx, Some(team_pid)).await?;
        Ok(own.demand_membership(&joined.grants, direction, self.clock.now())?)
    }
}

/// How somebody is in a team.
async fn find(
    tx: &mut Transaction,
    (team, team_pid): (&PrincipalName, i64),
    (member, member_pid): (&TeamMember, i64),
) -> Result<MemberRow, TokenServerError> {
    let found = teams::find_member(&mut **tx, team_pid, member_pid).await?;
    found.ok_or_else(|| no_member(team, member))
}

fn no_member(team: &PrincipalName, member: &TeamMember) -> TokenServerError {
    TokenServerError::NotFound { kind: "member", name: format!("{member} in team {team}") }
}

/// Refuses a maintainer who could not act.
fn demand_capable(member: &TeamMember, standing: Standing) -> Result<(), TokenServerError> {
    if standing.is_maintainer() && !member.can_maintain() {
        let sentence = format!("{member} cannot maintain a team; its members can, one by one");
        return Err(TokenServerError::Contradiction(sentence));
    }
    Ok(())
}

/// Refuses a member that would put a team into itself, or too deep.
pub(super) async fn demand_nesting(
    tx: &mut Transaction,
    (team, team_pid): (&PrincipalName, i64),
    (member, member_pid): (&TeamMember, i64),
) -> Result<(), TokenServerError> {
    let TeamMember::Team(inner) = member else { return Ok(()) };
    let nesting = teams::find_nesting(tx, team_pid, member_pid).await?;
    let (team, member) = (team.to_string(), inner.to_string());
    if nesting.is_cycle {
        return Err(TokenServerError::TeamCycle { team, member });
    }
    if nesting.depth > teams::MAX_DEPTH {
        return Err(TokenServerError::TeamsTooDeep { team, member });
    }
    Ok(())
}
