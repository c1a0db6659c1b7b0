#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! Layers call downwards only: `main` → [`cli`] → [`app`] → `http` → `auth` and [`domain`] → [`storage`]; [`oci`]
//! holds values that all of them may use. `health_checks` is what [`app`] has watched beside the requests.
//!
//! *Invariant:* there is no database and no token-signing key in this process. Passwords are looked at only where
//! `auth: htpasswd` was chosen; none is kept.

pub mod cli;

pub mod app;

pub mod settings;

pub mod http;

mod auth;

pub mod domain;

mod health_checks;

pub mod storage;

pub mod oci;
