//! Single sign-on: users who prove elsewhere who they are.
//!
//! Reading order: where from ([`provider`]), what is said of somebody there ([`profile`], [`strength`]), how a browser is sent there
//! and comes back ([`code_flow`], with what the provider publishes in [`metadata`] and what goes along in [`flow`]), in
//! which browsers somebody is signed in ([`sessions`]), how the provider ends that ([`back_channel`]), whose passwords a
//! directory knows ([`directory`]) and what becomes of them ([`directory_logins`]), and how groups are kept up to date
//! ([`freshness`]). Who becomes which user is decided in
//! [`super::administration::identities`], because that changes users and teams.
//!
//! *Invariant:* an issuer and a subject link somebody to a user, never a name or an address of mail: those can be
//! chosen, change, and be somebody else's tomorrow.
//!
//! Spec: OpenID Connect Core 1.0; RFC 9700 (best current practice for OAuth 2.0).

pub mod provider;

pub mod profile;

pub mod metadata;

pub mod flow;

pub mod strength;

pub mod code_flow;

pub mod sessions;

pub mod back_channel;

pub mod directory;

pub mod directory_logins;

pub mod freshness;
