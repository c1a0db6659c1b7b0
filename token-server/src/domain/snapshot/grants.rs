//! Grants in memory, by where they stand and by who holds them.
//!
//! *Invariant:* rows at an anchor are ordered by holder and number, and the anchors of a holder are exactly those at
//! which the holder has a row, each once and in no order.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::shards::Shards;
use super::stored_grant::StoredGrant;

/// With more rows than this at an anchor, holders are looked for; otherwise each row is looked at.
const FEW: usize = 32;

/// The rows at an anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Few(Arc<[StoredGrant]>),
    Many(Arc<Crowd>),
}

/// Rows and, in the same order, their holders: next to each other they are found in a quarter of the memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Crowd {
    holders: Box<[i64]>,
    rows: Box<[StoredGrant]>,
}

impl From<Vec<StoredGrant>> for Place {
    fn from(rows: Vec<StoredGrant>) -> Self {
        if rows.len() <= FEW {
            return Self::Few(rows.into());
        }
        let holders = rows.iter().map(|row| row.holder).collect();
        Self::Many(Arc::new(Crowd { holders, rows: rows.into() }))
    }
}

impl Place {
    fn rows(&self) -> &[StoredGrant] {
        match self {
            Self::Few(rows) => rows,
            Self::Many(crowd) => &crowd.rows,
        }
    }

    /// The rows of these subjects, which are in order.
    pub(super) fn held_by<'a>(&'a self, subjects: &'a [i64]) -> impl Iterator<Item = &'a StoredGrant> {
        let (each, crowd) = match self {
            Self::Few(rows) => (&**rows, None),
            Self::Many(crowd) => (&[][..], Some(crowd)),
        };
        let each = each.iter().filter(|row| subjects.binary_search(&row.holder).is_ok());
        let found = crowd.into_iter().flat_map(|crowd| {
            subjects.iter().flat_map(|subject| {
                let start = crowd.holders.partition_point(|holder| holder < subject);
                crowd.rows[start..].iter().take_while(|row| row.holder == *subject)
            })
        });
        each.chain(found)
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Grants {
    at: Shards<Arc<str>, Place>,
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
    /// Everything that stands at an anchor.
    pub(super) fn at(&self, anchor: &str) -> &[StoredGrant] {
        self.at.get(anchor).map_or(&[], Place::rows)
    }

    /// What stands at an anchor.
    pub(super) fn place(&self, anchor: &str) -> Option<&Place> {
        self.at.get(anchor)
    }

    /// What somebody of these has at an anchor; they are in order.
    pub(super) fn held_by<'a>(
        &'a self,
        subjects: &'a [i64],
        anchor: &str,
    ) -> impl Iterator<Item = &'a StoredGrant> + use<'a> {
        self.place(anchor).into_iter().flat_map(|place| place.held_by(subjects))
    }

    /// The anchors at which somebody has rows.
    pub(super) fn anchors_of(&self, holder: i64) -> &[Arc<str>] {
        self.held.get(&holder).map_or(&[], |anchors| anchors)
    }

    pub(super) fn anchors(&self) -> usize {
        self.at.len()
    }

    pub(super) fn len(&self) -> usize {
        self.at.iter().map(|(_, place)| place.rows().len()).sum()
    }

    /// Removes a row, if it is there.
    pub(super) fn remove(&mut self, anchor: &str, id: i64) {
        let rows = self.at(anchor);
        let Some(position) = rows.iter().position(|row| row.id == id) else { return };
        let holder = rows[position].holder;
        let left: Vec<StoredGrant> = rows.iter().filter(|row| row.id != id).cloned().collect();
        let holds_more = left.iter().any(|row| row.holder == holder);
        if left.is_empty() {
            self.at.remove(anchor);
        } else if let Some(place) = self.at.get_mut(anchor) {
            *place = left.into();
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
            Place::from(rows)
        });
        let mut held: Shards<i64, Vec<Arc<str>>> = Shards::default();
        for (anchor, place) in at.iter() {
            for same in place.rows().chunk_by(|one, two| one.holder == two.holder) {
                held.entry(same[0].holder).or_default().push(anchor.clone());
            }
        }
        Grants { at, held: held.map(Arc::<[Arc<str>]>::from) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(rows: &[(i64, i64)]) -> Grants {
        let mut gathering = Gathering::default();
        for (id, holder) in rows {
            gathering.add("s:a/", StoredGrant::viewer(*id, *holder));
        }
        gathering.finish()
    }

    #[test]
    fn rows_are_found_by_holder_however_many_there_are() {
        for count in [1, 5, 32, 33, 500] {
            // Several rows of some, and holders between those who ask.
            let rows: Vec<(i64, i64)> = (0..count).map(|id| (id, 10 + id * 7 % 40)).collect();
            let mut grants = gathered(&rows);
            let subjects = [1, 10, 13, 17, 31, 49, 90];
            let found = |grants: &Grants| -> Vec<i64> {
                let mut ids: Vec<i64> = grants.held_by(&subjects, "s:a/").map(|row| row.id).collect();
                ids.sort_unstable();
                ids
            };
            let expected = |rows: &[(i64, i64)]| -> Vec<i64> {
                rows.iter().filter(|row| subjects.contains(&row.1)).map(|row| row.0).collect()
            };
            assert_eq!(found(&grants), expected(&rows), "{count}");
            grants.remove("s:a/", 0);
            grants.insert("s:a/", StoredGrant::viewer(count, 31));
            let changed = [&rows[1..], &[(count, 31)]].concat();
            assert_eq!(found(&grants), expected(&changed), "{count}");
            assert_eq!(grants, gathered(&changed), "{count}");
        }
    }
}
