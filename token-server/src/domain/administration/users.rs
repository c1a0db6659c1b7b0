//! Users: add, list, set a password, disable, enable.
//!
//! *Invariant:* a user whose password was set or who was disabled has no login left that was made before.

use super::super::audit::Event;
use super::super::error::TokenServerError;
use super::super::password::NewPassword;
use super::super::principal_name::PrincipalName;
use super::super::random;
use super::{Administration, find_user, name_taken};
use crate::db::users::UserSummary;
use crate::db::{self, principals, refresh_tokens, users};

impl Administration {
    /// Adds a user without any right.
    pub async fn add_user(
        &self,
        name: &PrincipalName,
        password: &NewPassword,
    ) -> Result<(), TokenServerError> {
        // Hashed before the transaction: no connection waits for it.
        let hash = self.hasher.hash(password).await?;
        let uid = random::dated_id(&self.random, &*self.clock)?;
        let now = self.clock.now();
        let mut tx = db::begin(&self.pool).await?;
        let pid = principals::insert_principal(&mut *tx, principals::USER, name.as_str(), uid, now)
            .await
            .map_err(name_taken(name))?;
        users::insert_account(&mut *tx, pid, &hash, now).await?;
        self.record(&mut tx, Event::UserAdded, name.as_str(), None).await?;
        Ok(db::commit(tx).await?)
    }

    /// All users, by name.
    pub async fn list_users(&self) -> Result<Vec<UserSummary>, TokenServerError> {
        Ok(users::list_users(&self.pool).await?)
    }

    /// Sets another password and ends all logins made with the old one.
    pub async fn set_password(
        &self,
        name: &PrincipalName,
        password: &NewPassword,
    ) -> Result<(), TokenServerError> {
        let pid = find_user(&self.pool, name).await?;
        let hash = self.hasher.hash(password).await?;
        let mut tx = db::begin(&self.pool).await?;
        users::update_password(&mut *tx, pid, &hash, self.clock.now()).await?;
        refresh_tokens::delete_refresh_tokens_of(&mut *tx, pid).await?;
        self.record(&mut tx, Event::UserPasswordSet, name.as_str(), None).await?;
        Ok(db::commit(tx).await?)
    }

    /// Refuses logins from now on and ends those that last; says whether that was a change.
    pub async fn disable_user(&self, name: &PrincipalName) -> Result<bool, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let pid = find_user(&mut *tx, name).await?;
        let changed = users::update_disabled(&mut *tx, pid, Some(self.clock.now())).await?;
        if changed {
            refresh_tokens::delete_refresh_tokens_of(&mut *tx, pid).await?;
            self.record(&mut tx, Event::UserDisabled, name.as_str(), None).await?;
        }
        db::commit(tx).await?;
        Ok(changed)
    }

    /// Allows logins again; says whether that was a change.
    pub async fn enable_user(&self, name: &PrincipalName) -> Result<bool, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let pid = find_user(&mut *tx, name).await?;
        let changed = users::update_disabled(&mut *tx, pid, None).await?;
        if changed {
            self.record(&mut tx, Event::UserEnabled, name.as_str(), None).await?;
        }
        db::commit(tx).await?;
        Ok(changed)
    }
}
