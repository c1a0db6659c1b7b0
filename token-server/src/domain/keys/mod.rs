//! The keys that sign tokens, and what keeps them secret.
//!
//! Reading order: the secret of the deployment ([`master_secret`]) and what is sealed with it ([`sealing`]), one key
//! ([`signing`], [`signing_import`], [`key_names`]), all of them ([`key_ring`]) as they are stored ([`key_store`]), and
//! how they come and go ([`key_policy`], [`key_life`], [`key_rotation`]).
//!
//! *Invariant:* a private key is in memory or sealed, and nowhere else.

pub mod master_secret;

pub mod sealing;

pub mod key_names;

pub mod signing;

pub mod signing_import;

pub mod key_policy;

pub mod key_ring;

pub mod key_store;

pub mod key_life;

pub mod key_rotation;
