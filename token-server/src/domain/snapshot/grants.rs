//! Grants in memory, by where they stand and by who holds them.
//!
//! *Invariant:* rows at an anchor are ordered by holder and number, and the anchors of a holder are exactly those at
//! which the holder has a row, each once and in no order.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::shards::Shards;
use super::stored_grant::StoredGrant;

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Grants {
    at: Shards<Arc<str>, Arc<[StoredGrant]>>,
    held: Shards<i64, Arc<[Arc<str>]>>,
}

impl PartialEq for Grants {
    fn eq(&self, other: &Self) -> bool {
        let same = |one: &[Arc<str>], two: &[Arc<str>]| {
            one.iter().collect::<BTreeSet<_>>() == two.iter().collect::<BTreeSet<_>>()
        };
        self.at == other.at
            && self.held.len() == other.held.len()
            && self.held.iter().all(|(holder, anchors)| same(anchors, other.anchors_of(*holder)))
    }
}

impl Eq for Grants {}

fn key(row: &StoredGrant) -> (i64, i64) {
    (row.holder, row.id)
}

impl Grants {
    /// Everything that stands at an anchor, with the anchor.
    pub(super) fn at<'a>(&'a self, anchor: &'a str) -> &'a [StoredGrant] {
        self.at.get(anchor).map_or(&[], |rows| rows)
    }

    /// The anchors at which somebody has rows.
    pub(super) fn anchors_of(&self, holder: i64) -> &[Arc<str>] {
        self.held.get(&holder).map_or(&[], |anchors| anchors)
    }

    pub(super) fn anchors(&self) -> usize {
        self.at.len()
    }

    pub(super) fn len(&self) -> usize {
        self.at.iter().map(|(_, rows)| rows.len()).sum()
    }

    /// Removes a row, if it is there.
    pub(super) fn remove(&mut self, anchor: &str, id: i64) {
        let rows = self.at(anchor);
        let Some(position) = rows.iter().position(|row| row.id == id) else { return };
        let holder = rows[position].holder;
        let left: Arc<[StoredGrant]> = rows.iter().filter(|row| row.id != id).cloned().collect();
        let holds_more = left.iter().any(|row| row.holder == holder);
        if left.is_empty() {
            self.at.remove(anchor);
        } else if let Some(rows) = self.at.get_mut(anchor) {
            *rows = left;
        }
        if !holds_more {
            let anchors = self.anchors_of(holder).iter().filter(|held| ***held != *anchor).cloned();
            let anchors: Arc<[Arc<str>]> = anchors.collect();
            if anchors.is_empty() {
                self.held.remove(&holder);
            } else {
                self.held.entry(holder).insert_entry(anchors);
            }
        }
    }

    /// Adds a row that is not there.
    pub(super) fn insert(&mut self, anchor: &str, row: StoredGrant) {
        let holder = row.holder;
        let mut rows = self.at(anchor).to_vec();
        rows.insert(rows.partition_point(|other| key(other) < key(&row)), row);
        let anchor: Arc<str> = anchor.into();
        self.at.entry(anchor.clone()).insert_entry(rows.into());
        let held = self.anchors_of(holder);
        if !held.contains(&anchor) {
            let more = held.iter().cloned().chain([anchor]).collect();
            self.held.entry(holder).insert_entry(more);
        }
    }
}

/// Takes rows in whatever order they come.
#[derive(Debug, Default)]
pub(super) struct Gathering(Shards<Arc<str>, Vec<StoredGrant>>);

impl Gathering {
    pub(super) fn add(&mut self, anchor: &str, row: StoredGrant) {
        match self.0.get_mut(anchor) {
            Some(rows) => rows.push(row),
            // Most anchors have one row.
            None => {
                self.0.entry(anchor.into()).insert_entry(vec![row]);
            }
        }
    }

    pub(super) fn finish(self) -> Grants {
        let at = self.0.map(|mut rows| {
            rows.sort_unstable_by_key(key);
            Arc::<[StoredGrant]>::from(rows)
        });
        let mut held: Shards<i64, Vec<Arc<str>>> = Shards::default();
        for (anchor, rows) in at.iter() {
            for same in rows.chunk_by(|one, two| one.holder == two.holder) {
                held.entry(same[0].holder).or_default().push(anchor.clone());
            }
        }
        Grants { at, held: held.map(Arc::<[Arc<str>]>::from) }
    }
}
