//! Identity providers that make users show a secret.
//!
//! *Invariant:* the secret is looked up by its keyed MAC each time, so a revoked one is refused at once; whoever shows
//! wrong ones waits like whoever types wrong passwords, and keeps nobody out who shows a good one.

use std::time::Duration;

use shared::secret::Secret;
use uuid::Uuid;

use super::super::error::TokenServerError;
use super::super::record::audit::{Event, Origin, Outcome, Record};
use super::authenticate::Authenticator;
use super::door::{Knock, Place, Try};
use super::opaque_token::TokenKind;
use crate::db::scim_secrets::{self, ScimSecretRow};

/// The moment of the last use is written at most this often.
const USE_IS_WRITTEN: Duration = Duration::from_mins(1);

/// What stands in the place of a name where wrong secrets are counted; no name has such a letter.
const NAME: &str = "scim:";

/// A provider that has shown its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderLogin {
    /// The number of the secret.
    pub secret: Uuid,
    /// The name of the provider.
    pub provider: String,
}

impl Authenticator {
    /// Lets in an identity provider.
    pub async fn let_provider_in(
        &self,
        secret: &Secret,
        origin: &Origin,
    ) -> Result<ProviderLogin, TokenServerError> {
        let parts = &self.0;
        let now = parts.clock.now();
        let found = match parts.secrets.mac(TokenKind::Scim, secret) {
            Some(mac) => scim_secrets::find_secret(&parts.pool, &mac).await?,
            None => None,
        };
        let reason = match found {
            Some(row) if row.expires_at.is_none_or(|end| end > now) => {
                if row.last_used_at.is_none_or(|at| now - at >= USE_IS_WRITTEN) {
                    scim_secrets::update_used(&parts.pool, row.id, now).await?;
                }
                let ScimSecretRow { id, provider, .. } = row;
                return Ok(ProviderLogin { secret: id, provider });
            }
            Some(_) => "expired_scim_secret",
            None => "unknown_scim_secret",
        };
        let tried = Try { user: NAME, hash: "", password: secret, place: Place::At(origin.ip()) };
        let wait = match parts.door.knock(&tried, &*parts.clock).await? {
            Knock::Check => {
                parts.door.was_wrong(&tried, &*parts.clock);
                None
            }
            Knock::Wrong => None,
            Knock::Wait(wait) => Some(wait),
        };
        let reason = if wait.is_some() { "too_many_tries" } else { reason };
        let outcome = Outcome::Refused(reason);
        let record = Record { event: Event::Login, actor: "", actor_uid: None, target: NAME, outcome };
        parts.repeats.record(&parts.pool, &*parts.clock, origin, record).await?;
        Err(match wait {
            Some(wait) => TokenServerError::TooManyTries { seconds: wait.as_secs() },
            None => TokenServerError::WrongCredentials,
        })
    }
}
