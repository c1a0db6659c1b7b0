//! Users: add, list, set a password, disable, enable.
//!
//! *Invariant:* a user whose password was set has no login left that was made with the old one; one who was disabled has
//! no login left at all, nor a personal access token.

use super::super::error::TokenServerError;
use super::super::login::opaque_token::TokenKind;
use super::super::login::password::NewPassword;
use super::super::principal_name::PrincipalName;
use super::super::random;
use super::super::record::audit::{self, Change, Event};
use super::super::words::counted::counted;
use super::{Administration, find_user, name_taken};
use crate::db::users::UserSummary;
use crate::db::{self, Transaction, browser_sessions, credentials, principals, refresh_tokens, users};

/// The state of a user who can log in, as records have it.
const ACTIVE: &str = "active";

/// What became of a user who is to log in no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disabled {
    /// Whether they could log in before.
    pub is_change: bool,
    /// How many personal access tokens were revoked.
    pub tokens: u64,
    /// Robots of which they made secrets that are good still: the user may have kept them.
    pub knows_secrets_of: Vec<String>,
}

const SETTING_A_PASSWORD: &str = "setting the password of somebody else";

impl Administration {
    /// Hashes only for those who may make the change, and while no connection waits for it.
    async fn hash_for_change(
        &self,
        what: &'static str,
        password: &NewPassword,
    ) -> Result<String, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, what).await?;
        drop(tx);
        Ok(self.hasher.hash(password).await?)
    }

    /// Adds a user without any right; without a password, one who logs in elsewhere.
    pub async fn add_user(
        &self,
        name: &PrincipalName,
        password: Option<&NewPassword>,
    ) -> Result<(), TokenServerError> {
        let hash = match password {
            Some(password) => Some(self.hash_for_change("adding a user", password).await?),
            None => None,
        };
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "adding a user").await?;
        self.insert_user_with_namespace(&mut tx, name, hash.as_deref()).await?;
        self.record(&mut tx, Event::UserAdded, name.as_str(), None).await?;
        Ok(db::commit(tx).await?)
    }

    /// The same in a change of which it is a part, with the namespace that the settings may give.
    pub(super) async fn insert_user_with_namespace(
        &self,
        tx: &mut Transaction,
        name: &PrincipalName,
        hash: Option<&str>,
    ) -> Result<i64, TokenServerError> {
        let pid = self.insert_user(tx, name, hash).await?;
        if let Some(spec) = self.make_personal_namespace(tx, name, pid).await? {
            self.record_namespace(tx, name, &spec).await?;
        }
        Ok(pid)
    }

    /// The user alone.
    pub(super) async fn insert_user(
        &self,
        tx: &mut Transaction,
        name: &PrincipalName,
        hash: Option<&str>,
    ) -> Result<i64, TokenServerError> {
        self.leave_namespace(tx, name).await?;
        let (uid, now) = (random::dated_id(&self.random, &*self.clock)?, self.clock.now());
        let pid = principals::insert_principal(&mut **tx, principals::USER, name.as_str(), uid, now)
            .await
            .map_err(name_taken(name))?;
        users::insert_account(&mut **tx, pid, hash, now).await?;
        Ok(pid)
    }

    /// All users, by name.
    pub async fn list_users(&self) -> Result<Vec<UserSummary>, TokenServerError> {
        self.demand_sight_of_all("listing all users").await?;
        Ok(users::list_users(&self.pool).await?)
    }

    /// Sets another password and ends all logins made with the old one; says how many personal access tokens stay.
    pub async fn set_password(
        &self,
        name: &PrincipalName,
        password: &NewPassword,
    ) -> Result<usize, TokenServerError> {
        let hash = self.hash_for_change(SETTING_A_PASSWORD, password).await?;
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, SETTING_A_PASSWORD).await?;
        self.compare_user(&mut tx, name).await?;
        let pid = find_user(&mut *tx, name).await?;
        let now = self.clock.now();
        let before = users::update_password(&mut *tx, pid, &hash, now).await?;
        refresh_tokens::delete_refresh_tokens_of(&mut *tx, pid).await?;
        browser_sessions::delete_sessions_of(&mut *tx, pid).await?;
        let of = |at| format!("set {}", audit::moment(at));
        let change = Change { before: &of(before), after: &of(now) };
        let tokens = self.living_credentials(&mut tx, TokenKind::Personal, pid).await?.len();
        self.record_change(&mut tx, Event::UserPasswordSet, name.as_str(), change).await?;
        db::commit(tx).await?;
        Ok(tokens)
    }

    /// Ends everything that lets a user in, in a change of which it is a part.
    pub(super) async fn apply_disabled(
        &self,
        tx: &mut Transaction,
        pid: i64,
        name: &PrincipalName,
    ) -> Result<Disabled, TokenServerError> {
        let before = users::update_disabled(&mut **tx, pid, Some(self.clock.now())).await?;
        let knows_secrets_of = credentials::list_robots_with_secrets_by(&mut **tx, pid).await?;
        let mut disabled = Disabled { is_change: before.is_some(), tokens: 0, knows_secrets_of };
        if disabled.is_change {
            refresh_tokens::delete_refresh_tokens_of(&mut **tx, pid).await?;
            browser_sessions::delete_sessions_of(&mut **tx, pid).await?;
            disabled.tokens = credentials::delete_credentials_of(&mut **tx, &[pid]).await?;
            let tokens = counted(disabled.tokens, "personal access token", "personal access tokens");
            let revoked = if disabled.tokens > 0 { format!(", {tokens} revoked") } else { String::new() };
            let change = Change { before: ACTIVE, after: &format!("disabled{revoked}") };
            self.record_change(tx, Event::UserDisabled, name.as_str(), change).await?;
        }
        Ok(disabled)
    }

    /// Lets a user in again, in a change of which it is a part; says whether that was a change.
    pub(super) async fn apply_enabled(
        &self,
        tx: &mut Transaction,
        pid: i64,
        name: &PrincipalName,
    ) -> Result<bool, TokenServerError> {
        let before = users::update_disabled(&mut **tx, pid, None).await?;
        if let Some(before) = &before {
            let since = before.disabled_at.map(|at| format!(" since {}", audit::moment(at)));
            let before = format!("disabled{}", since.unwrap_or_default());
            let change = Change { before: &before, after: ACTIVE };
            self.record_change(tx, Event::UserEnabled, name.as_str(), change).await?;
        }
        Ok(before.is_some())
    }

    /// Refuses logins from now on, ends those that last, and revokes the personal access tokens.
    pub async fn disable_user(&self, name: &PrincipalName) -> Result<Disabled, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "disabling a user").await?;
        self.compare_user(&mut tx, name).await?;
        let pid = find_user(&mut *tx, name).await?;
        let disabled = self.apply_disabled(&mut tx, pid, name).await?;
        db::commit(tx).await?;
        Ok(disabled)
    }

    /// Allows logins again; says whether that was a change.
    pub async fn enable_user(&self, name: &PrincipalName) -> Result<bool, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "enabling a user").await?;
        self.compare_user(&mut tx, name).await?;
        let pid = find_user(&mut *tx, name).await?;
        let is_change = self.apply_enabled(&mut tx, pid, name).await?;
        db::commit(tx).await?;
        Ok(is_change)
    }
}
