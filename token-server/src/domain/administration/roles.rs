//! Roles: make, list, change, remove.
//!
//! *Invariant:* a role that a grant names stays; a changed one changes what everybody has who holds it, so only those
//! who hold everything change one.

use super::super::error::TokenServerError;
use super::super::record::audit::{Change, Event};
use super::super::right::RightSet;
use super::super::role::Role;
use super::super::words::remark;
use super::Administration;
use super::expectation::Present;
use crate::db::roles::{self, RoleRow};
use crate::db::{self, Transaction};

const ROLE: &str = "role";

/// What becomes of a role; what is not said stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleChange {
    /// What it allows.
    pub rights: Option<RightSet>,
    /// What it is for; an empty text takes the description away.
    pub description: Option<String>,
}

impl Administration {
    /// Makes a role.
    pub async fn add_role(
        &self,
        name: &str,
        rights: RightSet,
        description: Option<&str>,
    ) -> Result<(), TokenServerError> {
        Role::check_new_name(name)?;
        remark::check(description)?;
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "making a role").await?;
        let row = RoleRow {
            name: name.to_owned(),
            rights: rights.to_string(),
            description: description.map(str::to_owned),
            created_at: self.clock.now(),
        };
        roles::insert_role(&mut *tx, &row).await.map_err(|error| {
            if error.is_conflict_with(roles::ROLE_KEY) {
                TokenServerError::AlreadyThere { kind: ROLE, name: name.to_owned() }
            } else {
                error.into()
            }
        })?;
        self.record(&mut tx, Event::RoleAdded, &format!("{name} {rights}"), description).await?;
        Ok(db::commit(tx).await?)
    }

    /// All roles that were made, by name.
    pub async fn list_roles(&self) -> Result<Vec<RoleRow>, TokenServerError> {
        self.demand_sight_of_all("listing all roles").await?;
        Ok(roles::list_roles(&self.pool).await?)
    }

    /// Lets a role allow something else; says for how many grants that is a change, or nothing if it was so already.
    pub async fn change_role(
        &self,
        name: &str,
        rights: RightSet,
        description: Option<&str>,
    ) -> Result<Option<i64>, TokenServerError> {
        let description = description.map(str::to_owned);
        self.adjust_role(name, &RoleChange { rights: Some(rights), description }).await
    }

    /// The same, where the rights may stay as well, and the description may go.
    pub async fn adjust_role(
        &self,
        name: &str,
        change: &RoleChange,
    ) -> Result<Option<i64>, TokenServerError> {
        remark::check(change.description.as_deref())?;
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "changing a role").await?;
        let before = held_role(&mut tx, name).await?;
        self.compare(Present::Role(&before))?;
        let description = change.description.as_ref().or(before.description.as_ref());
        let description = description.map(String::as_str).filter(|text| !text.is_empty());
        let rights = change.rights.map_or_else(|| before.rights.clone(), |rights| rights.to_string());
        if before.rights == rights && before.description.as_deref() == description {
            return Ok(None);
        }
        roles::update_role(&mut *tx, name, &rights, description).await?;
        let holding = roles::count_grants(&mut *tx, name).await?;
        let change = Change { before: &before.rights, after: &rights };
        self.record_change(&mut tx, Event::RoleChanged, name, change).await?;
        db::commit(tx).await?;
        Ok(Some(holding))
    }

    /// Removes a role that no grant names.
    pub async fn remove_role(&self, name: &str) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "removing a role").await?;
        let before = held_role(&mut tx, name).await?;
        self.compare(Present::Role(&before))?;
        let grants = roles::count_grants(&mut *tx, name).await?;
        if grants > 0 {
            return Err(TokenServerError::RoleInUse { name: name.to_owned(), grants });
        }
        roles::delete_role(&mut *tx, name).await?;
        self.record(&mut tx, Event::RoleRemoved, &format!("{name} {}", before.rights), None).await?;
        Ok(db::commit(tx).await?)
    }
}

/// A role that was made, which stays as it is until the transaction ends.
async fn held_role(tx: &mut Transaction, name: &str) -> Result<RoleRow, TokenServerError> {
    if Role::find_built_in(name).is_some() {
        return Err(TokenServerError::Contradiction(format!(
            "the role {name} is built in and stays as it is"
        )));
    }
    let missing = || TokenServerError::NotFound { kind: ROLE, name: name.to_owned() };
    if !Role::is_name(name) {
        return Err(missing());
    }
    roles::find_role_locked(&mut **tx, name).await?.ok_or_else(missing)
}
