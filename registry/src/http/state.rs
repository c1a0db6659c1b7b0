//! What handlers share.
//!
//! *Invariant:* everything here is fixed at start; what changes while serving lies behind the storage or the keys.

use std::sync::Arc;
use std::time::Duration;

use shared::clock::Clock;
use shared::server::metrics::Outcomes;
use shared::server::metrics::http::HttpMetrics;
use url::Url;

pub(crate) use super::body::LargeBodies;
pub(crate) use super::location::Locations;
pub(crate) use super::upload_state::StateKey;
use crate::auth::htpasswd::Htpasswd;
use crate::auth::refresh::KeyRefresher;
use crate::auth::revocations::Revocations;
use crate::auth::verifier::Verifier;
use crate::domain::Repositories;
use crate::settings::Realm;
use shared::server::outgoing;

/// The state of a running registry.
pub(crate) struct RegistryState {
    pub(crate) repositories: Repositories,
    pub(crate) auth: Auth,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) locations: Locations,
    pub(crate) state_key: StateKey,
    pub(crate) stall_timeout: Duration,
    pub(crate) large_bodies: LargeBodies,
    pub(crate) delete_enabled: bool,
    /// Operations that write are refused.
    pub(crate) read_only: bool,
    pub(crate) catalog_max_entries: usize,
    pub(crate) tags_max_entries: usize,
    /// What requests are counted in, if anybody wants to know.
    pub(crate) metrics: Option<HttpMetrics>,
}

/// How callers are told apart.
pub(crate) enum Auth {
    /// They are not.
    Open,
    /// By bearer token.
    Token(Box<TokenAuth>),
    /// By user name and password.
    Htpasswd(Arc<Htpasswd>),
}

/// What is needed to ask for, check and forward tokens.
pub(crate) struct TokenAuth {
    pub(crate) verifier: Verifier,
    /// One for each source of keys.
    pub(crate) refreshers: Vec<Arc<KeyRefresher>>,
    /// How all of them fared.
    pub(crate) refreshes: Outcomes,
    pub(crate) realm: Realm,
    pub(crate) forward: Option<Forward>,
    /// Which tokens were taken back, where the token server tells it.
    pub(crate) revocations: Option<Arc<Revocations>>,
    /// How checks of tokens ended.
    pub(crate) verifications: Outcomes,
}

impl TokenAuth {
    /// Called when a token cannot be checked with the keys at hand. Returns whether they changed.
    pub(super) async fn refresh_for_unknown_key(&self) -> bool {
        let mut changed = false;
        for refresher in &self.refreshers {
            changed |= refresher.refresh_for_unknown_key().await;
        }
        changed
    }
}

/// Where token requests are forwarded.
pub(crate) struct Forward {
    pub(super) endpoint: Url,
    pub(super) client: reqwest::Client,
}

/// Passwords are hashed on the other side, and a queue may stand before that.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(30);

impl Forward {
    pub(crate) fn new(endpoint: Url) -> Result<Self, reqwest::Error> {
        let client = outgoing::client(FORWARD_TIMEOUT)?;
        Ok(Self { endpoint, client })
    }
}
