//! A set of very many digests.
//!
//! *Invariant:* 32 bytes an element and a little more, so that the millions of a large registry fit into memory. All are
//! canonical: bytes are stored under sha256 only.

use std::collections::BTreeSet;

use crate::oci::digest::Digest;

/// The bytes of a SHA-256 hash.
pub(super) type Hash = [u8; 32];

/// Canonical digests, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Digests(BTreeSet<Hash>);

impl Digests {
    /// Adds one; whether it was not in yet.
    pub(super) fn insert(&mut self, hash: Hash) -> bool {
        self.0.insert(hash)
    }

    /// Adds one if it is known.
    pub(super) fn insert_known(&mut self, hash: Option<Hash>) {
        self.0.extend(hash);
    }

    pub(super) fn contains(&self, hash: &Hash) -> bool {
        self.0.contains(hash)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn hashes(&self) -> impl Iterator<Item = Hash> {
        self.0.iter().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Digest> {
        self.hashes().map(Digest::from_sha256_bytes)
    }
}
