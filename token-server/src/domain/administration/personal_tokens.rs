//! Personal access tokens and kept logins of users: make, list, revoke.
//!
//! Users do this about themselves, those who hold `*` on `**` list and revoke what others have. Only the user makes a
//! token, logged in with the password or in a browser, because whoever has it acts as that user.
//!
//! *Invariant:* what somebody may not see is for them as if it were not there; and no token is made with another.

use uuid::Uuid;

use super::super::actor::Actor;
use super::super::delegation::NotDelegated;
use super::super::error::TokenServerError;
use super::super::login::credential::MAX_PERSONAL_TOKENS;
use super::super::login::opaque_token::TokenKind;
use super::super::principal_name::PrincipalName;
use super::super::record::audit::Event;
use super::credentials::{For, MadeCredential, WantedCredential};
use super::{Administration, find_user, hold_user, not_found};
use crate::db::credentials::{self, CredentialSummary};
use crate::db::principals::USER;
use crate::db::refresh_tokens::{self, LoginSummary};
use crate::db::{self, Transaction};

/// What a token is called in sentences.
const TOKEN: &str = "personal access token";

impl Administration {
    /// Makes a token for a user, who has at most [`MAX_PERSONAL_TOKENS`] at once, each with a name of its own.
    pub async fn add_personal_token(
        &self,
        name: &PrincipalName,
        wanted: &WantedCredential,
    ) -> Result<MadeCredential, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_own(&mut tx, name).await?;
        if matches!(self.actor, Actor::Subject { .. }) && !self.actor.is_in_person(name) {
            return Err(NotDelegated::PasswordLogin("a personal access token").into());
        }
        let sensible = self.sensible(TokenKind::Personal, wanted)?;
        let label = sensible.label.filter(|label| !label.trim().is_empty()).ok_or_else(|| {
            TokenServerError::Contradiction("say what the token is to be called, such as laptop".to_owned())
        })?;
        let pid = hold_user(&mut *tx, name).await?;
        let living = self.living_credentials(&mut tx, TokenKind::Personal, pid).await?;
        if living.iter().any(|row| row.label.as_deref() == Some(label)) {
            return Err(TokenServerError::AlreadyThere { kind: TOKEN, name: label.to_owned() });
        }
        if living.len() >= MAX_PERSONAL_TOKENS {
            return Err(TokenServerError::TooManyTokens(name.to_string()));
        }
        let target = format!("user:{name}");
        let owner = For { pid, name: &target, event: Event::PersonalTokenAdded };
        let made = self.store_credential(&mut tx, owner, &sensible).await?;
        db::commit(tx).await?;
        Ok(made)
    }

    /// The tokens of a user, oldest first.
    pub async fn list_personal_tokens(
        &self,
        name: &PrincipalName,
    ) -> Result<Vec<CredentialSummary>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        self.demand_own(&mut tx, name).await?;
        let pid = find_user(&mut *tx, name).await?;
        self.credentials_of(&mut tx, TokenKind::Personal, pid).await
    }

    /// Revokes a token by its number, if it is one of this user where one is named; says whose it was.
    pub async fn revoke_personal_token(
        &self,
        id: Uuid,
        of: Option<&PrincipalName>,
    ) -> Result<String, TokenServerError> {
        let missing = || TokenServerError::NotFound { kind: TOKEN, name: id.to_string() };
        let mut tx = self.begin().await?;
        let found = credentials::find_credential_summary(&mut *tx, id).await?;
        let found = found.filter(|found| found.owner_kind == USER).ok_or_else(missing)?;
        self.demand_own_of(&mut tx, &found.owner, of, missing).await?;
        credentials::delete_credential(&mut *tx, id).await?;
        let target = format!("user:{} {id}", found.owner);
        self.record(&mut tx, Event::PersonalTokenRevoked, &target, found.label.as_deref()).await?;
        db::commit(tx).await?;
        Ok(found.owner)
    }

    /// The logins of a user that are kept, the one that was used last first.
    pub async fn list_logins(&self, name: &PrincipalName) -> Result<Vec<LoginSummary>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        self.demand_own(&mut tx, name).await?;
        let pid = find_user(&mut *tx, name).await?;
        Ok(refresh_tokens::list_logins(&mut *tx, pid).await?)
    }

    /// Ends a kept login by its number, if it is one of this user where one is named; says whose it was.
    pub async fn end_login(&self, id: Uuid, of: Option<&PrincipalName>) -> Result<String, TokenServerError> {
        let missing = || TokenServerError::NotFound { kind: "login", name: id.to_string() };
        let mut tx = self.begin().await?;
        let found = refresh_tokens::find_login(&mut *tx, id).await?.ok_or_else(missing)?;
        self.demand_own_of(&mut tx, &found.user, of, missing).await?;
        refresh_tokens::delete_login(&mut *tx, id).await?;
        let target = format!("user:{} {id}", found.user);
        self.record(&mut tx, Event::LoginEnded, &target, Some(&found.client_id)).await?;
        db::commit(tx).await?;
        Ok(found.user)
    }

    /// Ends all kept logins of a user; says how many there were.
    pub async fn end_logins(&self, name: &PrincipalName) -> Result<usize, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_own(&mut tx, name).await?;
        let pid = find_user(&mut *tx, name).await?;
        let found = refresh_tokens::list_logins(&mut *tx, pid).await?;
        refresh_tokens::delete_refresh_tokens_of(&mut *tx, pid).await?;
        for login in &found {
            let target = format!("user:{name} {}", login.id);
            self.record(&mut tx, Event::LoginEnded, &target, Some(&login.client_id)).await?;
        }
        db::commit(tx).await?;
        Ok(found.len())
    }

    /// Lets through the user themselves and who holds everything; for others there is no such user.
    async fn demand_own(&self, tx: &mut Transaction, name: &PrincipalName) -> Result<(), TokenServerError> {
        let Actor::Subject { subject, .. } = &self.actor else { return Ok(()) };
        if subject.user_name() == Some(name.as_str()) {
            return Ok(());
        }
        match self.demand_everything(tx, "looking after what others log in with").await {
            Err(TokenServerError::NotDelegated(_)) => Err(not_found(USER, name)),
            outcome => outcome,
        }
    }

    /// The same about something that was found by its number: numbers of what others have are like those of nothing.
    async fn demand_own_of(
        &self,
        tx: &mut Transaction,
        owner: &str,
        of: Option<&PrincipalName>,
        missing: impl Fn() -> TokenServerError,
    ) -> Result<(), TokenServerError> {
        let owner = PrincipalName::parse(owner)?;
        if of.is_some_and(|of| *of != owner) {
            return Err(missing());
        }
        match self.demand_own(tx, &owner).await {
            Err(TokenServerError::NotFound { .. }) => Err(missing()),
            outcome => outcome,
        }
    }
}
