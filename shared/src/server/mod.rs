//! The process shell both binaries wear: how they are configured, listen, log, tell their health and stop.
//!
//! Nothing here knows what a registry or a token server does. A server hands over its routes and its readiness
//! checks, and [`run`](listener::Listener::run) does the rest, so that both behave alike under the same operator.
//!
//! Reading order: [`settings`], [`telemetry`], [`listener`] with [`sockets`] and [`tls`], then what happens around each
//! request ([`client_address`], [`request_log`], [`response_headers`], [`fallback`]), [`health`], [`shutdown`],
//! [`descriptors`], [`causes`]; [`jwt_crypto`] joins the token library to the one crypto library, [`signed_token`]
//! reads tokens of others, [`outgoing`] asks others, and [`passwords`] bounds what slow hashes cost.

pub mod settings;

pub mod telemetry;

pub mod listener;

pub mod sockets;

pub mod tls;

pub mod client_address;

pub mod request_log;

pub mod access_log;
pub mod response_headers;

mod answer_body;

pub mod metrics;

pub mod debug;

pub mod fallback;

pub mod health;

pub mod shutdown;

pub mod descriptors;

pub mod causes;

pub mod jwt_crypto;

pub mod signed_token;

pub mod passwords;

pub mod outgoing;
