//! A big map in many small ones, of which a changed copy shares all that did not change.
//!
//! A change copies one shard, a few hundred entries, and not a million; what others are reading stays as it is.
//!
//! *Invariant:* whether two maps are equal depends on their entries only, not on how they came to hold them.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, Hash};
use std::sync::Arc;

use foldhash::fast::{FixedState, RandomState};

/// With a million grants, a shard has about three hundred anchors.
const SHARDS: usize = 1024;

/// A map whose clones are cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shards<K: Eq + Hash, V>(Vec<Arc<HashMap<K, V, RandomState>>>);

impl<K: Eq + Hash, V> Default for Shards<K, V> {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Arc::default()).collect())
    }
}

fn shard(key: &(impl Hash + ?Sized)) -> usize {
    // Not the hash of the maps themselves, in which keys that share a shard would collide.
    let hash = FixedState::default().hash_one(key);
    usize::try_from(hash % SHARDS as u64).unwrap_or_default()
}

impl<K: Eq + Hash + Clone, V: Clone> Shards<K, V> {
    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0[shard(key)].get(key)
    }

    pub(super) fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        Arc::make_mut(&mut self.0[shard(key)]).get_mut(key)
    }

    pub(super) fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        Arc::make_mut(&mut self.0[shard(&key)]).entry(key)
    }

    pub(super) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        Arc::make_mut(&mut self.0[shard(key)]).remove(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().flat_map(|shard| shard.iter())
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.len()).sum()
    }

    /// The same keys with what becomes of their values, shard by shard, so that little is there twice.
    pub(super) fn map<W>(self, convert: impl Fn(V) -> W) -> Shards<K, W> {
        let shards = self.0.into_iter().map(|shard| {
            let shard = Arc::unwrap_or_clone(shard).into_iter();
            Arc::new(shard.map(|(key, value)| (key, convert(value))).collect())
        });
        Shards(shards.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_copy_shares_what_did_not_change() {
        let mut one = Shards::default();
        for key in 0..10_000 {
            one.entry(key).or_insert(key);
        }
        let mut two = one.clone();
        *two.get_mut(&7).unwrap() = 0;
        assert_eq!((one.get(&7), two.get(&7)), (Some(&7), Some(&0)));
        let copied = one.0.iter().zip(&two.0).filter(|(one, two)| !Arc::ptr_eq(one, two));
        assert_eq!(copied.count(), 1);
        assert_ne!(one, two);
        two.entry(7).insert_entry(7);
        assert_eq!(one, two);
        assert_eq!(two.remove(&7), Some(7));
        assert_eq!((one.len(), two.len()), (10_000, 9_999));
    }
}
