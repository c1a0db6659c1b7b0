//! Teams: add, list, remove.
//!
//! *Invariant:* a removed team leaves no membership and no right behind, so that a new team of the same name begins
//! with nothing.

use super::super::error::TokenServerError;
use super::super::principal_name::PrincipalName;
use super::super::random;
use super::super::record::audit::Event;
use super::super::words::counted::counted;
use super::{Administration, name_taken, not_found};
use crate::db::teams::TeamSummary;
use crate::db::{self, Transaction, grants, namespaces, principals, teams};

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
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "adding a team").await?;
        self.leave_namespace(&mut tx, name).await?;
        principals::insert_principal(&mut *tx, principals::TEAM, name.as_str(), uid, self.clock.now())
            .await
            .map_err(name_taken(name))?;
        self.record(&mut tx, Event::TeamAdded, name.as_str(), None).await?;
        Ok(db::commit(tx).await?)
    }

    /// All teams, by name.
    pub async fn list_teams(&self) -> Result<Vec<TeamSummary>, TokenServerError> {
        self.demand_sight_of_all("listing all teams").await?;
        Ok(teams::list_teams(&self.pool).await?)
    }

    /// Removes a team with its memberships and rights.
    pub async fn remove_team(&self, name: &PrincipalName) -> Result<RemovedTeam, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "removing a team").await?;
        self.compare_team(&mut tx, name).await?;
        let removed = self.delete_team(&mut tx, name).await?;
        let remark = format!(
            "{}, {}",
            counted(removed.members, "member", "members"),
            counted(removed.grants, "grant", "grants")
        );
        self.record(&mut tx, Event::TeamRemoved, name.as_str(), Some(&remark)).await?;
        db::commit(tx).await?;
        Ok(removed)
    }

    /// Deletes a team with whatever belongs to it.
    pub(super) async fn delete_team(
        &self,
        tx: &mut Transaction,
        name: &PrincipalName,
    ) -> Result<RemovedTeam, TokenServerError> {
        // First of all, so that nothing is attached to the team any more.
        let pid = principals::update_deleted(&mut **tx, principals::TEAM, name.as_str(), self.clock.now());
        let pid = pid.await?.ok_or_else(|| not_found(principals::TEAM, name))?;
        let names = namespaces::list_names_of_owner(&mut **tx, pid).await?;
        if !names.is_empty() {
            let owner = format!("team {name}");
            return Err(TokenServerError::OwnsNamespaces { owner, namespaces: names });
        }
        let members = teams::delete_members(&mut **tx, pid).await?;
        let grants = grants::delete_grants_of(&mut **tx, pid).await?;
        Ok(RemovedTeam { members, grants })
    }
}
