//! What is found by the keyed MAC of a secret, and changes by a number that is no secret.
//!
//! *Invariant:* what was removed by its number is found by none of its MACs.

use std::sync::Arc;

use uuid::Uuid;

use super::super::login::credential::Mac;
use super::shards::Shards;
use crate::db::error::DbError;

/// Some of them share a number: the tokens that one login had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ByMac<V> {
    values: Shards<Mac, V>,
    macs: Shards<Uuid, Arc<[Mac]>>,
}

impl<V> Default for ByMac<V> {
    fn default() -> Self {
        Self { values: Shards::default(), macs: Shards::default() }
    }
}

impl<V: Clone> ByMac<V> {
    pub(super) fn get(&self, mac: &Mac) -> Option<&V> {
        self.values.get(mac)
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Takes one in beside others with its number. In one order, so that equal contents are equal.
    pub(super) fn add(&mut self, id: Uuid, mac: Mac, value: V) {
        let known = self.macs.entry(id).or_default();
        let mut macs = known.to_vec();
        if let Err(place) = macs.binary_search(&mac) {
            macs.insert(place, mac);
            *known = macs.into();
        }
        self.values.entry(mac).insert_entry(value);
    }

    /// Removes all with this number.
    pub(super) fn remove(&mut self, id: Uuid) {
        for mac in self.macs.remove(&id).iter().flat_map(|macs| macs.iter()) {
            self.values.remove(mac);
        }
    }
}

/// The stored bytes as what they must be.
pub(super) fn mac(table: &'static str, id: Uuid, bytes: &[u8]) -> Result<Mac, DbError> {
    Mac::try_from(bytes).map_err(|_| DbError::Inconsistent { table, column: "mac", value: id.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_takes_all_of_its_secrets_along_and_no_others() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut table = ByMac::default();
        for (id, mac, value) in [(one, [2; 32], "a"), (one, [1; 32], "b"), (two, [3; 32], "c")] {
            table.add(id, mac, value);
        }
        let before = table.clone();
        table.add(one, [2; 32], "a");
        assert_eq!(table, before);
        table.remove(one);
        assert_eq!((table.get(&[1; 32]), table.get(&[2; 32]), table.get(&[3; 32])), (None, None, Some(&"c")));
        assert_eq!(table.len(), 1);
    }
}
