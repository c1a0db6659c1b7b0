//! Credentials and kept logins in memory: whose they are and what they are good for.
//!
//! *Invariant:* one that this release does not understand lets nobody in, and is in nobody else's way.

use std::collections::BTreeMap;
use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use super::super::credential_limits::CredentialLimits;
use super::stored_grant::Unusable;
use crate::db::credentials::CredentialState;
use crate::db::error::DbError;
use crate::db::refresh_tokens::RefreshTokenState;

/// A secret of a robot or a personal access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCredential {
    /// Its number.
    pub id: Uuid,
    /// Inner number of whoever logs in with it.
    pub pid: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was said to end.
    pub expires_at: Option<OffsetDateTime>,
    /// Whether it was made by somebody who had shown a second factor.
    pub second_factor: bool,
    limits: Option<Result<Arc<CredentialLimits>, Unusable>>,
}

impl StoredCredential {
    /// Understands a row, as far as that is possible.
    pub fn read(state: &CredentialState) -> Self {
        let limits = state.limits.as_ref().map(|stored| {
            let read = CredentialLimits::stored(stored).map(Arc::new);
            read.map_err(|error| Unusable::of(error, "credential"))
        });
        let CredentialState { id, pid, created_at, expires_at, second_factor, .. } = *state;
        Self { id, pid, created_at, expires_at, second_factor, limits }
    }

    /// What it is good for, where that is not everything.
    pub fn limits(&self) -> Result<Option<Arc<CredentialLimits>>, DbError> {
        self.limits.clone().transpose().map_err(|unusable| unusable.error())
    }
}

/// One token of a login that is kept.
#[derive(Clone, Debug, Eq)]
pub struct StoredLogin {
    /// The number of the login.
    pub family: Uuid,
    /// Inner number of the user whose login it is.
    pub pid: i64,
    /// For which registry.
    pub audience: Box<str>,
    /// What the client called itself.
    pub client_id: Box<str>,
    /// When it ends in any case.
    pub expires_at: OffsetDateTime,
    /// When its successor was given out.
    pub replaced_at: Option<OffsetDateTime>,
    /// What the token of its platform said, of a workload.
    pub claims: Option<Arc<BTreeMap<String, String>>>,
    /// Whether it was made with a second factor.
    pub second_factor: bool,
    /// When it was last used, as far as that was known when it was read: uses are no changes.
    pub last_used_at: OffsetDateTime,
}

/// When it was last used makes no other login of it.
impl PartialEq for StoredLogin {
    fn eq(&self, other: &Self) -> bool {
        let known = |login: &Self| (login.family, login.pid, login.expires_at, login.replaced_at);
        known(self) == known(other)
            && (&self.audience, &self.client_id) == (&other.audience, &other.client_id)
    }
}

impl From<RefreshTokenState> for StoredLogin {
    fn from(state: RefreshTokenState) -> Self {
        Self {
            family: state.family,
            pid: state.pid,
            audience: state.audience.into(),
            client_id: state.client_id.into(),
            expires_at: state.expires_at,
            replaced_at: state.replaced_at,
            claims: state
                .claims
                .map(|claims| serde_json::from_value(claims).unwrap_or_default())
                .map(Arc::new),
            second_factor: state.second_factor,
            last_used_at: state.last_used_at,
        }
    }
}
