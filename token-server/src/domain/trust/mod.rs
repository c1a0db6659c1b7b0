//! Workloads: who a build job or a pod is, by a token that its own platform has signed.
//!
//! Reading order: whose claims mean what ([`platform`]), what a token says ([`claims`]), which tokens are a workload
//! ([`conditions`]), the public keys of issuers ([`issuer_keys`], of what a [`publisher`] says), what is checked of a token ([`identity_token`]), and
//! the login itself ([`workloads`]).
//!
//! *Invariant:* a token is worth something only to the audience that its issuer is trusted for, only as the workload
//! whose conditions are all true, and only while it is seen in one network.
//!
//! Spec: OpenID Connect Core §2 and §3.1.3.7, as far as it is about tokens without a browser.

pub mod platform;

pub mod claims;

pub mod conditions;

pub mod publisher;

pub mod issuer_keys;

pub mod identity_token;

pub mod workloads;
