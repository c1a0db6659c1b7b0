//! What users do about themselves.
//!
//! *Invariant:* a changed password ends every login that was made with the old one.

use std::sync::Arc;

use shared::clock::Clock;
use shared::secret::Secret;

use super::super::error::TokenServerError;
use super::super::record::audit::{self, Event, Origin, Outcome, Record};
use super::authenticate::Authenticator;
use super::by_password::Entrance;
use super::password::{NewPassword, PasswordHasher};
use super::subject::Proof;
use crate::db::{self, Pool, browser_sessions, refresh_tokens, users};

/// Changes accounts.
pub struct Accounts {
    pool: Pool,
    clock: Arc<dyn Clock>,
    hasher: Arc<PasswordHasher>,
    authenticator: Arc<Authenticator>,
}

impl Accounts {
    /// Puts the parts together.
    pub fn new(
        pool: Pool,
        clock: Arc<dyn Clock>,
        hasher: Arc<PasswordHasher>,
        authenticator: Arc<Authenticator>,
    ) -> Self {
        Self { pool, clock, hasher, authenticator }
    }

    /// Sets another password for the user who proves to know the current one, and returns the user's name.
    pub async fn change_password(
        &self,
        user: &str,
        current: &Secret,
        new: Secret,
        entrance: Entrance,
        origin: &Origin,
    ) -> Result<String, TokenServerError> {
        // The proof first: a stranger does not learn what a good password is.
        let known = self.authenticator.authenticate_password(user, current, entrance, origin).await?;
        let user = known.user;
        let old = match &user.proof {
            Proof::Password(old) => old,
            Proof::PasswordElsewhere(_) => return Err(TokenServerError::PasswordElsewhere),
            _ => return Err(TokenServerError::WrongCredentials),
        };
        let hash = self.hasher.hash(&NewPassword::parse(new)?).await?;
        let mut tx = db::begin_change(&self.pool).await?;
        let now = self.clock.now();
        if !users::update_own_password(&mut *tx, user.pid, old.expose(), &hash, now).await? {
            // Somebody else set another password meanwhile.
            return Err(TokenServerError::WrongCredentials);
        }
        refresh_tokens::delete_refresh_tokens_of(&mut *tx, user.pid).await?;
        browser_sessions::delete_sessions_of(&mut *tx, user.pid).await?;
        let record = Record {
            event: Event::PasswordChanged,
            actor: &user.name,
            actor_uid: Some(user.uid),
            target: &user.name,
            outcome: Outcome::Allowed(None),
        };
        audit::record(&mut *tx, &*self.clock, origin, record).await?;
        db::commit(tx).await?;
        Ok(user.name)
    }
}
