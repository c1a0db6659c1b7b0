//! Secrets that were found where they should not be.
//!
//! Whoever has a secret may end it, without a login: that is what a finder should do with it, and it gives nothing.
//!
//! *Invariant:* what is said about a text is whether it was a living secret and nothing of whose.

use shared::secret::Secret;

use super::super::error::TokenServerError;
use super::super::login::credential::Mac;
use super::super::login::opaque_token::TokenKind;
use super::super::record::audit::{self, Event, Origin, Outcome, Record};
use super::super::row_source::View;
use super::Administration;
use crate::db::principals::USER;
use crate::db::{self, Transaction, credentials, refresh_tokens};

/// A secret that somebody found.
#[derive(Clone, Debug)]
pub struct FoundSecret {
    /// The text.
    pub secret: Secret,
    /// Where it was found, in the finder's words.
    pub place: Option<String>,
}

impl Administration {
    /// Revokes those that are living secrets of any kind, as seen in a view or without one in the database; says of each
    /// whether it was one. All of them are revoked, or with an error none. The record has `finder` for whoever reports
    /// them, which is empty for those who do not log in.
    pub async fn revoke_leaked(
        &self,
        found: &[FoundSecret],
        view: Option<View>,
        finder: &str,
        origin: &Origin,
    ) -> Result<Vec<bool>, TokenServerError> {
        let view = view.unwrap_or_else(|| View::Database(self.pool.clone()));
        let mut macs = Vec::with_capacity(found.len());
        for found in found {
            let mac = TokenKind::ALL
                .into_iter()
                .find_map(|kind| self.secrets.mac(kind, &found.secret).map(|mac| (kind, mac)));
            macs.push(match mac {
                // Most of what is reported was revoked long ago, which is seen without keeping others waiting.
                Some((kind, mac)) if kind != TokenKind::Scim && !is_there(&view, &mac).await? => None,
                mac => mac,
            });
        }
        if macs.iter().all(Option::is_none) {
            return Ok(vec![false; found.len()]);
        }
        let mut tx = self.begin().await?;
        let mut were_living = Vec::with_capacity(found.len());
        for (found, mac) in found.iter().zip(&macs) {
            let revoked = match mac {
                None => None,
                Some((TokenKind::Refresh, mac)) => self.revoke_login(&mut tx, mac).await?,
                Some((TokenKind::Scim, mac)) => self.revoke_leaked_scim_secret(&mut tx, mac).await?,
                Some((TokenKind::Robot | TokenKind::Personal, mac)) => {
                    self.revoke_credential(&mut tx, mac).await?
                }
            };
            were_living.push(revoked.is_some());
            let Some(target) = revoked else { continue };
            let record = Record {
                event: Event::LeakedSecretRevoked,
                actor: finder,
                actor_uid: None,
                target: &target,
                outcome: Outcome::Allowed(found.place.as_deref()),
            };
            audit::record(&mut *tx, &*self.clock, origin, record).await?;
            tracing::warn!(owner = target, "a secret was reported as leaked and is revoked");
        }
        db::commit(tx).await?;
        Ok(were_living)
    }

    async fn revoke_login(
        &self,
        tx: &mut Transaction,
        mac: &Mac,
    ) -> Result<Option<String>, TokenServerError> {
        let Some(row) = refresh_tokens::find_refresh_token(&mut **tx, mac).await? else { return Ok(None) };
        let Some(login) = refresh_tokens::find_login(&mut **tx, row.family).await? else { return Ok(None) };
        if row.expires_at <= self.clock.now() {
            return Ok(None);
        }
        refresh_tokens::delete_login(&mut **tx, row.family).await?;
        Ok(Some(format!("{USER}:{} {} (login with {})", login.user, login.id, login.client_id)))
    }

    async fn revoke_credential(
        &self,
        tx: &mut Transaction,
        mac: &Mac,
    ) -> Result<Option<String>, TokenServerError> {
        let Some(state) = credentials::find_credential(&mut **tx, mac).await? else { return Ok(None) };
        let Some(row) = credentials::find_credential_summary(&mut **tx, state.id).await? else {
            return Ok(None);
        };
        let kind = if row.owner_kind == USER { TokenKind::Personal } else { TokenKind::Robot };
        let end = self.policy.end(kind, row.created_at, row.expires_at);
        if end.is_some_and(|end| end <= self.clock.now()) {
            return Ok(None);
        }
        credentials::delete_credential(&mut **tx, state.id).await?;
        let label = row.label.map_or_else(String::new, |label| format!(" ({label})"));
        Ok(Some(format!("{}:{} {}{label}", row.owner_kind, row.owner, row.id)))
    }
}

async fn is_there(view: &View, mac: &Mac) -> Result<bool, TokenServerError> {
    Ok(view.credential(mac).await?.is_some() || view.login(mac).await?.is_some())
}
