//! HTTP: parse, call the domain, render; nothing is decided here.
//!
//! Reading order: which addresses there are ([`routes`]), how a request is read ([`parameters`], [`body`],
//! [`credentials`]), what each address does ([`token`] with [`token_exchange`] and [`device`], [`key_set`], [`revocations`], [`account`], [`api`], [`scim`]), how refusals look ([`error`],
//! [`problem`]), and who waits for whom ([`turns`]).
//!
//! *Invariant:* every answer that is not a success is JSON, and queries and credentials are never logged.

pub mod routes;

pub mod parameters;

pub mod body;

pub mod credentials;

pub mod token;

pub mod token_exchange;

pub mod device;

pub mod key_set;

pub mod revocations;

pub mod account;

pub mod api;

pub mod scim;

pub mod error;

pub mod problem;

pub mod turns;

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::USER_AGENT;
use shared::server::client_address::Client;
use tokio::sync::Semaphore;
use turns::Turns;
use url::Url;

use crate::domain::administration::Administration;
use crate::domain::docker_auth::plan::OwnSettings;
use crate::domain::keys::key_ring::SigningKeys;
use crate::domain::login::account::Accounts;
use crate::domain::login::authenticate::Authenticator;
use crate::domain::record::audit::Origin;
use crate::domain::revocation_feed::RevocationFeed;
use crate::domain::signon::provider::Providers;
use crate::domain::token_issuer::TokenIssuer;

/// How many requests at a time read the whole audit record, each with a connection to the database.
pub const WHOLE_READS: usize = 2;

/// How many requests at a time try changes out, or look at all rights as files have them: one, and one that waits its
/// turn at changing, each with a connection to the database.
pub const TRIALS: usize = 2;

/// What handlers work with.
#[derive(Clone)]
pub struct Services {
    /// Issues tokens.
    pub issuer: Arc<TokenIssuer>,
    /// Changes accounts.
    pub accounts: Arc<Accounts>,
    /// Checks who calls.
    pub authenticator: Arc<Authenticator>,
    /// What administrators do, to be put into the hands of whoever calls.
    pub administration: Administration,
    /// The keys whose public halves are sent.
    pub keys: Arc<SigningKeys>,
    /// What registries are told, if there is a secret by which they are known.
    pub revocations: Option<Arc<RevocationFeed>>,
    /// The description of the API.
    pub documents: api::document::Documents,
    /// Turns at reading the whole audit record.
    pub whole_reads: Arc<Semaphore>,
    /// Turns at changing something.
    pub changes: Arc<Turns>,
    /// What an import is compared with.
    pub own_settings: Arc<OwnSettings>,
    /// Turns at trying changes out.
    pub trials: Arc<Semaphore>,
    /// Identity providers, of which some make users.
    pub providers: Providers,
    /// Where browsers reach the pages, if there are any.
    pub pages_url: Option<Url>,
    /// How long a body may take to arrive; zero for ever.
    pub body_timeout: std::time::Duration,
}

/// Where a request came from, for the record.
pub(crate) fn origin(request: &HttpRequest) -> Origin {
    let agent = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    Origin {
        address: Client::of(request).address.map(|address| address.to_string()),
        agent: agent.map(str::to_owned),
    }
}
