#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! The vocabulary modules have no I/O: names, actions, scopes, claims, challenge, key set and error body are
//! values with one parser and one printer each, so that a token issued by one server means the same to the other.
//! The module [`server`] (feature `server`) is the process shell that both binaries wear.
//!
//! *Invariant:* whatever reaches the wire is ordered; no hash map is used in this crate.
//!
//! Reading order: names and actions, what a client asks for (scope), what a token carries (access, limits over globs, a repository set over repository patterns, claims) and what takes it back (revocations), how a
//! registry asks for a token (challenge) or a password (basic), how signatures are checked (key set), how refusals
//! look (error body).

pub mod repository_name;

pub mod action;

pub mod scope;

pub mod access;

pub mod glob;

pub mod repository_pattern;

pub mod repository_set;

pub mod limits;

pub mod revocations;

pub mod claims;

pub mod challenge;

pub mod basic;

pub mod key_set;

pub mod error_body;

pub mod secret;

pub mod clock;

#[cfg(feature = "server")]
pub mod server;
