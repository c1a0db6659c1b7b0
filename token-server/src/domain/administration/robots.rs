//! Robots: make, list, disable, enable, remove.
//!
//! *Invariant:* a robot belongs to a namespace or a user and goes with it; it holds what it was given, and nothing
//! because of whose it is.

use super::super::audit::{Change, Event};
use super::super::error::TokenServerError;
use super::super::namespace;
use super::super::principal_name::PrincipalName;
use super::super::random;
use super::super::right::Right;
use super::super::robot_name::RobotName;
use super::{Administration, find_robot};
use crate::db::principals::{self, ROBOT, USER};
use crate::db::robots::{self, RobotOwner, RobotSummary};
use crate::db::{self, Transaction, namespaces, users};

impl Administration {
    /// Makes a robot without any right and without a secret.
    pub async fn add_robot(
        &self,
        name: &RobotName,
        description: Option<&str>,
    ) -> Result<(), TokenServerError> {
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
        let owner = owner.map(PrincipalName::as_str);
        Ok(robots::list_robots(&self.pool, owner, self.clock.now()).await?)
    }

    /// Refuses logins of a robot from now on, or allows them again; says whether that was a change.
    pub async fn set_robot_disabled(
        &self,
        name: &RobotName,
        is_disabled: bool,
    ) -> Result<bool, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_owner(&mut tx, name).await?;
        let pid = find_robot(&mut *tx, name).await?;
        let at = is_disabled.then(|| self.clock.now());
        let is_change = users::update_disabled(&mut *tx, pid, at).await?.is_some();
        if is_change {
            let (event, before, after) = if is_disabled {
                (Event::RobotDisabled, "active", "disabled")
            } else {
                (Event::RobotEnabled, "disabled", "active")
            };
            self.record_change(&mut tx, event, name.as_str(), Change { before, after }).await?;
        }
        db::commit(tx).await?;
        Ok(is_change)
    }

    /// Removes a robot with its secrets, memberships and rights; says how many rights that were.
    pub async fn remove_robot(&self, name: &RobotName) -> Result<u64, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_owner(&mut tx, name).await?;
        let pid = find_robot(&mut *tx, name).await?;
        let grants = self.delete_robot(&mut tx, pid).await?;
        self.record(&mut tx, Event::RobotRemoved, name.as_str(), Some(&format!("{grants} grants"))).await?;
        db::commit(tx).await?;
        Ok(grants)
    }

    /// Lets through who manages the robots of this one's owner, and says who that is.
    pub(super) async fn demand_owner(
        &self,
        tx: &mut Transaction,
        name: &RobotName,
    ) -> Result<RobotOwner, TokenServerError> {
        let owner = name.owner();
        let user = principals::find_principal_held(&mut **tx, USER, owner.as_str()).await?;
        let is_own = user.is_some() && user == self.actor.pid();
        let found = namespaces::find_namespace(&mut **tx, owner.as_str()).await?;
        // Whoever may not is told the same about what there is and what there is not.
        match namespace::all_of(owner) {
            _ if is_own => {}
            Ok(all) => self.demand(tx, |own| own.demand(Right::RobotManage, &all)).await?,
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
