//! The entries in force, as answers add to them and time takes away from them.
//!
//! *Invariant:* there are never more of them than the settings allow: the oldest make room by becoming one that is
//! about every token, the floor. An entry is forgotten when its time is over, by the clock that only goes forward;
//! until then, whatever becomes of it is about no fewer tokens.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use shared::repository_name::RepositoryName;
use shared::revocations::{Entry, NamePrefix};
use uuid::Uuid;

use super::index::Index;

/// No token lives as long, nor does an upload on its behalf.
const MAX_KEEP: Duration = Duration::from_hours(24);

/// Everything an entry says but for its times.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Conditions {
    pub(super) subject: Option<Uuid>,
    pub(super) credential: Option<Uuid>,
    pub(super) key: Option<Box<str>>,
    pub(super) repository: Option<RepositoryName>,
    pub(super) below: Option<NamePrefix>,
}

/// When an entry was made, and how long it is kept.
#[derive(Clone, Copy, Debug)]
struct Kept {
    at: i64,
    until: Instant,
}

impl Kept {
    /// One that does what both do.
    fn with(self, other: Self) -> Self {
        Self { at: self.at.max(other.at), until: self.until.max(other.until) }
    }
}

/// The entries in force.
#[derive(Debug)]
pub(super) struct RevocationSet {
    max_entries: usize,
    entries: HashMap<Conditions, Kept>,
    floor: Option<Kept>,
}

/// What an answer meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Whether anything is in force that was not, or the reverse.
    pub(super) is_any: bool,
    /// Whether keys were revoked that had not been.
    pub(super) of_keys: bool,
    /// Whether the floor was raised.
    pub(super) of_floor: bool,
}

impl RevocationSet {
    /// Nothing; `max_entries` is at least one.
    pub(super) fn new(max_entries: usize) -> Self {
        Self { max_entries, entries: HashMap::new(), floor: None }
    }

    /// How many there are, without the floor.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes what an answer says: everything in force, or what is new.
    pub(super) fn take(&mut self, news: Vec<Entry>, is_complete: bool, now: Instant) -> Change {
        let floor_before = self.floor_at();
        let replaced = is_complete.then(|| {
            self.floor = None;
            std::mem::take(&mut self.entries)
        });
        let mut change = Change::default();
        for entry in news {
            let Entry { at, keep, subject, credential, key, repository, below } = entry;
            let key = key.map(String::into_boxed_str);
            let conditions = Conditions { subject, credential, key, repository, below };
            let kept = Kept { at, until: now + MAX_KEEP.min(Duration::from_secs(keep)) };
            let known = self.entries.get(&conditions).copied();
            let was_known = replaced.as_ref().map_or(known, |replaced| replaced.get(&conditions).copied());
            if was_known.is_none_or(|was| was.at < at) {
                change.is_any = true;
                change.of_keys |= conditions.key.is_some();
            }
            self.entries.insert(conditions, known.map_or(kept, |known| known.with(kept)));
        }
        change.is_any |= self.forget(now);
        self.make_room();
        change.of_floor = self.floor_at() > floor_before;
        let is_same = |replaced: &HashMap<Conditions, Kept>| {
            let at = |conditions| self.entries.get(conditions).map(|kept| kept.at);
            replaced.len() == self.entries.len()
                && replaced.iter().all(|(conditions, kept)| at(conditions) == Some(kept.at))
        };
        change.is_any |=
            self.floor_at() != floor_before || replaced.is_some_and(|replaced| !is_same(&replaced));
        change
    }

    fn floor_at(&self) -> Option<i64> {
        self.floor.map(|floor| floor.at)
    }

    /// The same in the form that is asked.
    pub(super) fn index(&self) -> Index {
        let mut index = Index::new(self.floor_at());
        for (conditions, kept) in &self.entries {
            index.add(conditions, kept.at);
        }
        index
    }

    /// Forgets what was kept long enough.
    fn forget(&mut self, now: Instant) -> bool {
        let before = (self.entries.len(), self.floor.is_some());
        self.entries.retain(|_, kept| kept.until > now);
        self.floor = self.floor.filter(|floor| floor.until > now);
        before != (self.entries.len(), self.floor.is_some())
    }

    /// Leaves some room, so that not every further entry raises the floor.
    fn make_room(&mut self) {
        if self.entries.len() <= self.max_entries {
            return;
        }
        let stay = self.max_entries - self.max_entries / 8;
        let mut positions: Vec<i64> = self.entries.values().map(|kept| kept.at).collect();
        let last_to_go = positions.len() - stay - 1;
        let (_, &mut limit, _) = positions.select_nth_unstable(last_to_go);
        let mut floor = self.floor;
        self.entries.retain(|_, kept| {
            let stays = kept.at > limit;
            if !stays {
                floor = Some(floor.map_or(*kept, |floor| floor.with(*kept)));
            }
            stays
        });
        self.floor = floor;
    }
}
