//! The operations of a registry on its repositories; knows storage, not HTTP, and asks nobody for permission.
//!
//! *Invariant:* content is verified before it can be seen, and what an operation has answered `Ok` for survives loss
//! of power; every operation can die between any two of its writes and be repeated.
//!
//! Reading order: [`blobs`]; an upload session is named by [`upload_id`], kept by [`upload_session`], fed by
//! `upload_writer` and hashed with the help of `hash_states`, [`uploads`] are the operations on it; [`manifests`],
//! [`tags`] and [`catalog`] build on `links`, which reads and writes the small files that say what belongs where;
//! [`error`] is how all of them refuse.

use std::sync::Arc;

use ring::rand::SystemRandom;
use shared::clock::Clock;

use crate::storage::Storage;

pub mod blobs;

pub mod upload_id;

pub mod upload_session;

mod upload_writer;

mod hash_states;

pub mod uploads;

mod links;

pub mod manifests;

pub mod tags;

pub mod catalog;

pub mod error;

#[cfg(test)]
mod testing;

/// All repositories of a registry. Clones share one state.
#[derive(Clone)]
pub struct Repositories {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
}

impl Repositories {
    /// Works on what `storage` keeps; `clock` dates upload sessions and `random` names them.
    pub fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, random: SystemRandom) -> Self {
        Self { storage, clock, random }
    }

    /// What keeps the bytes, for readiness checks.
    pub fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }
}
