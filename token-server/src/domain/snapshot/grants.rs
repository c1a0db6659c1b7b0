//! Grants in memory, by where they stand and by who holds them.
//!
//! *Invariant:* rows at an anchor are ordered by holder and number, and the anchors of a holder are exactly those at
//! which the holder has a row.

use std::sync::Arc;

use super::shards::Shards;
use super::stored_grant::StoredGrant;

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grants {
    at: Shards<Arc<str>, Arc<[StoredGrant]>>,
    held: Shards<i64, Arc<[Arc<str>]>>,
}

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
        let mut anchors = self.anchors_of(holder).to_vec();
        if let Err(position) = anchors.binary_search(&anchor) {
            anchors.insert(position, anchor);
            self.held.entry(holder).insert_entry(anchors.into());
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
        let held = held.map(|mut anchors| {
            anchors.sort_unstable();
            Arc::<[Arc<str>]>::from(anchors)
        });
        Grants { at, held }
    }
}
