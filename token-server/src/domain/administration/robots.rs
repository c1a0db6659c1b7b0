//! Robots: make, list, change, disable, enable, remove.
//!
//! *Invariant:* a robot belongs to a namespace or a user and goes with it; it holds what it was given, and nothing
//! because of whose it is.

use shared::repository_pattern::RepositoryPattern;

use super::super::delegation::Authority;
use super::super::error::TokenServerError;
use super::super::grant::Conditions;
use super::super::namespace;
use super::super::principal_name::PrincipalName;
use super::super::random;
use super::super::record::audit::Event;
use super::super::right::Right;
use super::super::robot_name::RobotName;
use super::super::words::counted::counted;
use super::super::words::remark;
use super::Administration;
use super::expectation::Present;
use super::machines::{Machine, MachineChange};
use super::pages::{Page, page_of_shown};
use crate::db::namespaces::NamespaceRow;
use crate::db::principals::{self, ROBOT, USER};
use crate::db::robots::{self, RobotOwner, RobotSummary};
use crate::db::{self, Transaction, namespaces};

impl Administration {
    /// Makes a robot without any right and without a secret.
    pub async fn add_robot(
        &self,
        name: &RobotName,
        description: Option<&str>,
    ) -> Result<(), TokenServerError> {
        remark::check(description)?;
        let uid = random::dated_id(&self.random, &*self.clock)?;
        let mut tx = self.begin().await?;
        let owner = self.demand_owner(&mut tx, name).await?;
        let now = self.clock.now();
        let pid = principals::insert_principal(&mut *tx, ROBOT, name.as_str(), uid, now).await;
        let pid = pid.map_err(|error| {
            if error.is_conflict_with(principals::NAME_KEY) {
                TokenServerError::AlreadyThere { kind: ROBOT, name: name.to_string() }
            } else {
                error.into()
            }
        })?;
        robots::insert_robot(&mut *tx, pid, owner, description, self.actor.pid()).await?;
        self.record(&mut tx, Event::RobotAdded, name.as_str(), description).await?;
        Ok(db::commit(tx).await?)
    }

    /// The robots of a namespace or a user, or all of them, by name.
    pub async fn list_robots(
        &self,
        owner: Option<&PrincipalName>,
    ) -> Result<Vec<RobotSummary>, TokenServerError> {
        self.demand_sight_of_all("listing all robots").await?;
        let owner = owner.map(PrincipalName::as_str);
        Ok(robots::list_robots(&self.pool, owner, self.clock.now()).await?)
    }

    /// Robots by name, behind one; of one owner, or of all.
    pub async fn page_of_robots(
        &self,
        owner: Option<&PrincipalName>,
        behind: &str,
        limit: usize,
    ) -> Result<Page<RobotSummary, String>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let sight = self.sight(&mut tx).await?;
        let (owner, now) = (owner.map(PrincipalName::as_str), self.clock.now());
        let read = async |behind: &String, at_most| {
            robots::list_robots_behind(&mut *tx, behind, owner, now, at_most).await
        };
        let is_shown = |row: &RobotSummary| sight.shows_robot(row);
        page_of_shown(behind.to_owned(), limit, read, |row| row.name.clone(), is_shown).await
    }

    /// One robot.
    pub async fn show_robot(&self, name: &RobotName) -> Result<RobotSummary, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let sight = self.sight(&mut tx).await?;
        match robots::find_robot_summary(&mut *tx, name.as_str(), self.clock.now()).await? {
            Some(row) if sight.shows_robot(&row)? => Ok(row),
            Some(_) | None => Err(missing(name)),
        }
    }

    /// Refuses logins of a robot from now on, or allows them again; says whether that was a change.
    pub async fn set_robot_disabled(
        &self,
        name: &RobotName,
        is_disabled: bool,
    ) -> Result<bool, TokenServerError> {
        self.change_robot(name, &MachineChange::disabled(is_disabled)).await
    }

    /// Changes a robot; says whether it was otherwise before.
    pub async fn change_robot(
        &self,
        name: &RobotName,
        change: &MachineChange,
    ) -> Result<bool, TokenServerError> {
        remark::check(change.description.as_deref())?;
        let mut tx = self.begin().await?;
        let found = self.managed_robot(&mut tx, name).await?;
        let is_changed = self.change_machine(&mut tx, Machine::Robot(&found), change).await?;
        db::commit(tx).await?;
        Ok(is_changed)
    }

    /// Removes a robot with its secrets, memberships and rights; says how many rights that were.
    pub async fn remove_robot(&self, name: &RobotName) -> Result<u64, TokenServerError> {
        let mut tx = self.begin().await?;
        let found = self.managed_robot(&mut tx, name).await?;
        let grants = self.delete_robot(&mut tx, found.pid).await?;
        self.record(&mut tx, Event::RobotRemoved, name.as_str(), Some(&counted(grants, "grant", "grants")))
            .await?;
        db::commit(tx).await?;
        Ok(grants)
    }

    /// The robot of that name, for whoever manages it, if it is as expected.
    async fn managed_robot(
        &self,
        tx: &mut Transaction,
        name: &RobotName,
    ) -> Result<RobotSummary, TokenServerError> {
        self.demand_owner(tx, name).await?;
        let found = robots::find_robot_summary(&mut **tx, name.as_str(), self.clock.now()).await?;
        let found = found.ok_or_else(|| missing(name))?;
        self.compare(Present::Robot(&found))?;
        Ok(found)
    }

    /// Lets through who manages the robots of this one's owner, and says who that is.
    pub(super) async fn demand_owner(
        &self,
        tx: &mut Transaction,
        name: &RobotName,
    ) -> Result<RobotOwner, TokenServerError> {
        self.demand_owner_while(tx, name, None).await
    }

    /// The same, for as long as something is going to count where that is given.
    pub(super) async fn demand_owner_while(
        &self,
        tx: &mut Transaction,
        name: &RobotName,
        conditions: Option<&Conditions>,
    ) -> Result<RobotOwner, TokenServerError> {
        let manages = |own: &Authority, place: &RepositoryPattern| match conditions {
            Some(conditions) => own.demand_for(Right::RobotManage, place, conditions),
            None => own.demand(Right::RobotManage, place),
        };
        let owner = name.owner();
        let user = principals::find_principal_held(&mut **tx, USER, owner.as_str()).await?;
        let found = namespaces::find_namespace(&mut **tx, owner.as_str()).await?;
        // A namespace can have been given away by the user whose name it has.
        let is_whose_name_it_has =
            |row: &NamespaceRow| row.owner_kind == USER && row.owner_name == owner.as_str();
        let is_own =
            user.is_some() && user == self.actor.pid() && found.as_ref().is_none_or(is_whose_name_it_has);
        // Whoever may not is told the same about what there is and what there is not.
        match namespace::all_of(owner) {
            _ if is_own => {}
            Ok(all) => self.demand(tx, |own| manages(own, &all)).await?,
            Err(_) => self.demand_everything(tx, "making robots of somebody else").await?,
        }
        match (found, user) {
            (Some(namespace), _) => Ok(RobotOwner::Namespace(namespace.id)),
            (None, Some(pid)) => Ok(RobotOwner::User(pid)),
            (None, None) => {
                Err(TokenServerError::NotFound { kind: "namespace or user", name: owner.to_string() })
            }
        }
    }
}

fn missing(name: &RobotName) -> TokenServerError {
    TokenServerError::NotFound { kind: ROBOT, name: name.to_string() }
}
