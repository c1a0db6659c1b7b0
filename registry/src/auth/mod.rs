//! What this registry trusts, and nothing more: keys, an issuer, an audience.
//!
//! Reading order: [`error`] (what can be wrong with a token), [`trusted_keys`] (whose signatures count),
//! [`certificates`], [`verifier`] (from bearer text to a verified token), [`refresh`] (how the keys stay fresh, with
//! the help of `remembered_keys`), [`revocations`] (which tokens were taken back all the same). [`htpasswd`] stands
//! apart: users and passwords in a file, for who has no token server.

pub(crate) mod error;

pub(crate) mod trusted_keys;

pub(crate) mod certificates;

pub(crate) mod verifier;

pub(crate) mod refresh;

mod remembered_keys;

pub(crate) mod revocations;

pub(crate) mod htpasswd;
