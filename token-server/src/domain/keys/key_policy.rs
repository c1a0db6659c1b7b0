//! What the settings say about the keys that sign tokens.
//!
//! *Invariant:* how long a superseded key stays published is more than any token lives, with everything that a registry
//! still honours of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::audience::Audiences;
use super::key_ring::DatedKey;
use super::signing::{KeyAlgorithm, SignsFor};

/// How long whoever fetched the public keys may go without fetching them again.
pub const KEY_SET_MAX_AGE: Duration = Duration::from_mins(5);

/// How long after it was added a key begins to sign at the earliest: several times what servers that share a database
/// take to publish it.
pub const PUBLISHED_BEFORE: Duration = Duration::from_secs(30);

/// How long a key is published before it signs when nothing hurries: a cache may be as old as it is allowed to be when a
/// registry asks it, and the registry as slow to ask again.
pub const PUBLISHED_LONG_BEFORE: Duration =
    Duration::from_secs(2 * KEY_SET_MAX_AGE.as_secs() + PUBLISHED_BEFORE.as_secs());

/// A token lives for an hour at most, and what was begun with it may go on for another; clocks differ.
pub const MIN_VERIFICATION: Duration = Duration::from_hours(3);

/// Keys of which one signs at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Those for all registries.
    ForAll,
    /// Those with this algorithm, for registries that ask for it.
    With(KeyAlgorithm),
}

impl KeyKind {
    /// Whether a key is one of them.
    pub fn fits(self, dated: &DatedKey) -> bool {
        match self {
            Self::ForAll => dated.signs_for == SignsFor::All,
            Self::With(algorithm) => dated.key.algorithm() == algorithm,
        }
    }
}

/// The settings about keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    /// After what time a key is replaced, if at all.
    pub rotation: Option<Duration>,
    /// How long a key stays published after another one took its place.
    pub verification: Duration,
    asked: BTreeMap<KeyAlgorithm, String>,
}

impl KeyPolicy {
    /// Puts them together with what registries ask for.
    pub fn new(rotation: Option<Duration>, verification: Duration, audiences: &Audiences) -> Self {
        let mut asked = BTreeMap::new();
        for audience in audiences.iter() {
            if let Some(algorithm) = audience.algorithm {
                asked.entry(algorithm).or_insert_with(|| audience.name.to_owned());
            }
        }
        Self { rotation, verification, asked }
    }

    /// Algorithms that are asked for, each with the first registry that does so.
    pub fn asked(&self) -> impl Iterator<Item = (KeyAlgorithm, &str)> {
        self.asked.iter().map(|(algorithm, name)| (*algorithm, name.as_str()))
    }

    /// Every kind of which a key signs.
    pub fn kinds(&self) -> impl Iterator<Item = KeyKind> {
        std::iter::once(KeyKind::ForAll).chain(self.asked.keys().copied().map(KeyKind::With))
    }
}
