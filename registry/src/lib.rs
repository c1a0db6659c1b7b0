#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! Layers call downwards only: `main` → [`cli`] → [`app`] → `http` → `auth` and [`domain`] → [`storage`]; [`oci`]
//! holds values that all of them may use.
//!
//! *Invariant:* there is no database, no token-signing key and no user's password in this process.

pub mod cli;

pub mod app;

pub mod settings;

pub mod http;

mod auth;

mod outgoing;

pub mod domain;

mod health_checks;

pub mod storage;

pub mod oci;
