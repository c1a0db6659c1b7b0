//! Secrets that were found where they should not be.
//!
//! Whoever has a secret may end it, without a login: that is what a finder should do with it, and it gives nothing.
//!
//! *Invariant:* what is said about a text is whether it was a living secret and nothing of whose.

use shared::secret::Secret;

use super::super::audit::{self, Event, Origin, Outcome, Record};
use super::super::credential::Mac;
use super::super::error::TokenServerError;
use super::super::opaque_token::TokenKind;
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
    /// whether it was one. The record has `finder` for
    /// whoever reports them, which is empty for those who do not log in.
    pub async fn revoke_leaked(
        &self,
        found: &[FoundSecret],
        view: Option<View>,
        finder: &str,
        origin: &Origin,
    ) -> Result<Vec<bool>, TokenServerError> {
        let view = view.unwrap_or_else(|| View::Database(self.pool.clone()));
        let mut were_living = Vec::with_capacity(found.len());
        for found in found {
            let mac = TokenKind::ALL
                .into_iter()
                .find_map(|kind| self.secrets.mac(kind, &found.secret).map(|mac| (kind, mac)));
            were_living.push(match mac {
                None => false,
                // Most of what is reported was revoked long ago, which is seen without keeping others waiting.
                Some((_, mac)) if !is_there(&view, &mac).await? => false,
                Some((kind, mac)) => {
                    let place = found.place.as_deref();
                    self.revoke_one(kind, &mac, place, finder, origin).await?
                }
            });
        }
        Ok(were_living)
    }

    async fn revoke_one(
        &self,
        kind: TokenKind,
        mac: &[u8],
        place: Option<&str>,
        finder: &str,
        origin: &Origin,
    ) -> Result<bool, TokenServerError> {
        let mut tx = self.begin().await?;
        let revoked = match kind {
            TokenKind::Refresh => revoke_login(&mut tx, mac).await?,
            TokenKind::Robot | TokenKind::Personal => revoke_credential(&mut tx, mac).await?,
        };
        let Some(target) = revoked else { return Ok(false) };
        let record = Record {
            event: Event::LeakedSecretRevoked,
            actor: finder,
            actor_uid: None,
            target: &target,
            outcome: Outcome::Allowed(place),
        };
        audit::record(&mut *tx, &*self.clock, origin, record).await?;
        db::commit(tx).await?;
        tracing::warn!(owner = target, "a secret was reported as leaked and revoked");
        Ok(true)
    }
}

async fn is_there(view: &View, mac: &Mac) -> Result<bool, TokenServerError> {
    Ok(view.credential(mac).await?.is_some() || view.login(mac).await?.is_some())
}

async fn revoke_login(tx: &mut Transaction, mac: &[u8]) -> Result<Option<String>, TokenServerError> {
    let Some(row) = refresh_tokens::find_refresh_token(&mut **tx, mac).await? else { return Ok(None) };
    let Some(login) = refresh_tokens::find_login(&mut **tx, row.family).await? else { return Ok(None) };
    refresh_tokens::delete_login(&mut **tx, row.family).await?;
    Ok(Some(format!("{USER}:{} {} (login with {})", login.user, login.id, login.client_id)))
}

async fn revoke_credential(tx: &mut Transaction, mac: &[u8]) -> Result<Option<String>, TokenServerError> {
    let Some(state) = credentials::find_credential(&mut **tx, mac).await? else { return Ok(None) };
    let Some(row) = credentials::find_credential_summary(&mut **tx, state.id).await? else { return Ok(None) };
    credentials::delete_credential(&mut **tx, state.id).await?;
    let label = row.label.map_or_else(String::new, |label| format!(" ({label})"));
    Ok(Some(format!("{}:{} {}{label}", row.owner_kind, row.owner, row.id)))
}
