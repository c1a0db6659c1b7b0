//! Secrets with which identity providers make users: make, list, revoke.
//!
//! *Invariant:* a secret is shown once, is good for what one provider may do by SCIM and nothing else, and is made by
//! whoever runs the server.

use shared::secret::Secret;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::error::TokenServerError;
use super::super::login::credential::{MAX_SCIM_SECRETS, Mac};
use super::super::login::opaque_token::TokenKind;
use super::super::random;
use super::super::record::audit::Event;
use super::super::words::remark;
use super::Administration;
use crate::db::scim_secrets::{self, ScimSecretRow};
use crate::db::{self, Transaction};

const SECRET: &str = "secret";

impl Administration {
    /// Makes a secret for a provider for which the settings allow SCIM, which has at most [`MAX_SCIM_SECRETS`] at once.
    pub async fn add_scim_secret(
        &self,
        provider: &str,
        label: Option<String>,
        expires_at: Option<OffsetDateTime>,
    ) -> Result<(ScimSecretRow, Secret), TokenServerError> {
        remark::check(label.as_deref())?;
        let found = self.providers.get(provider).ok_or_else(|| TokenServerError::NotFound {
            kind: "identity provider",
            name: provider.to_owned(),
        })?;
        if found.scim.is_none() {
            let sentence = format!("`signon.providers.{provider}.scim` is not set, so it makes no users");
            return Err(TokenServerError::Contradiction(sentence));
        }
        let now = self.clock.now();
        if expires_at.is_some_and(|end| end <= now) {
            let sentence = "the secret would have ended before it is made".to_owned();
            return Err(TokenServerError::Contradiction(sentence));
        }
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "making a secret for SCIM").await?;
        scim_secrets::delete_ended(&mut *tx, provider, now).await?;
        if scim_secrets::list_secrets(&mut *tx, Some(provider)).await?.len() >= MAX_SCIM_SECRETS {
            return Err(TokenServerError::TooManyScimSecrets(provider.to_owned()));
        }
        let (secret, mac) = self.secrets.generate(TokenKind::Scim, &self.random)?;
        let row = ScimSecretRow {
            id: random::dated_id(&self.random, &*self.clock)?,
            provider: provider.to_owned(),
            label,
            created_at: now,
            expires_at,
            last_used_at: None,
        };
        scim_secrets::insert_secret(&mut *tx, &row, &mac).await?;
        let target = format!("{provider} {}", row.id);
        self.record(&mut tx, Event::ScimSecretAdded, &target, row.label.as_deref()).await?;
        db::commit(tx).await?;
        Ok((row, secret))
    }

    /// The secrets of all providers or of one, oldest first.
    pub async fn list_scim_secrets(
        &self,
        provider: Option<&str>,
    ) -> Result<Vec<ScimSecretRow>, TokenServerError> {
        self.demand_sight_of_all("listing secrets for SCIM").await?;
        Ok(scim_secrets::list_secrets(&self.pool, provider).await?)
    }

    /// Revokes a secret by its number; says whose it was.
    pub async fn revoke_scim_secret(&self, id: Uuid) -> Result<String, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "revoking a secret for SCIM").await?;
        let provider = scim_secrets::delete_secret(&mut *tx, id).await?;
        let provider =
            provider.ok_or_else(|| TokenServerError::NotFound { kind: SECRET, name: id.to_string() })?;
        self.record(&mut tx, Event::ScimSecretRevoked, &format!("{provider} {id}"), None).await?;
        db::commit(tx).await?;
        Ok(provider)
    }

    /// Revokes one that was found where it should not be; says whose it was, where it was good.
    pub(super) async fn revoke_leaked_scim_secret(
        &self,
        tx: &mut Transaction,
        mac: &Mac,
    ) -> Result<Option<String>, TokenServerError> {
        let Some(row) = scim_secrets::find_secret(&mut **tx, mac).await? else { return Ok(None) };
        if row.expires_at.is_some_and(|end| end <= self.clock.now()) {
            return Ok(None);
        }
        scim_secrets::delete_secret(&mut **tx, row.id).await?;
        Ok(Some(format!("scim:{} {}", row.provider, row.id)))
    }
}
