//! Second factors of people: what somebody shows besides a password, on the pages.
//!
//! Reading order: an app that shows codes ([`authenticator_app`], drawn as [`qr_code`]), codes for who has lost
//! everything ([`recovery_code`]), keys of devices ([`passkey`], with [`authenticator_data`] and [`cose_key`]), all of
//! them for one person ([`factors`], with [`passkeys`]), and who needs one ([`requirement`]).
//!
//! *Invariant:* a code, and an answer of a device, is accepted once, also by several servers at once; what is stored of
//! a secret is sealed or a MAC.
//!
//! Spec: RFC 6238 (codes); Web Authentication Level 2 (keys of devices).

pub mod authenticator_app;

pub mod qr_code;

pub mod recovery_code;

pub mod cose_key;

pub mod authenticator_data;

pub mod passkey;

pub mod factors;

pub mod passkeys;

pub mod requirement;
