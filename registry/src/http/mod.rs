//! The protocol on the wire: parse, call the domain, render; nothing else.
//!
//! Reading order: [`routes`] (every operation and its path), `access` (who may, found out by `bearer_access` or
//! `basic_access`, and a `caller` from then on), then a file for each kind of resource; `error` is the only place where
//! a failure becomes a status.
//!
//! *Invariant:* a handler has no repository name but the one its `access::Authorized` holds.

pub mod routes;

pub(crate) mod state;

pub(crate) mod access;

pub(crate) mod caller;

pub(crate) mod upload_access;

pub(crate) mod search_access;

mod basic_access;

mod bearer_access;

mod refusal;

pub(crate) mod error;

mod base;

mod blobs;

mod uploads;

mod manifests;

mod referrers;

mod tags;

mod catalog;

mod search;

mod repositories;

mod token_forward;

mod body;

mod conditional;

mod headers;

mod location;

mod negotiation;

mod pagination;

mod parameters;

mod range;

mod upload_state;

mod warnings;
