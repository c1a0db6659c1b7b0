//! Revocations in memory: which tokens were taken back lately.
//!
//! *Invariant:* all of them up to the position of the snapshot that nothing has forgotten yet, or fewer that are about
//! more tokens; what is forgotten is older than anything that could be used.

use std::sync::Arc;
use std::time::Duration;

use shared::revocations::{Entry, NamePrefix};
use tokio::time::Instant;
use uuid::Uuid;

use crate::db::revocations::RevocationRow;

/// How long one is kept: the longest life of a token, the hour for which an upload outlives it, and a reserve for
/// clocks.
pub const KEPT: Duration = Duration::from_mins(130);

/// With more than this, the oldest become one that is about every token.
const MAX_STORED: usize = 20_000;

/// One of them.
#[derive(Clone, Debug)]
struct Stored {
    entry: Entry,
    forgotten_at: Instant,
}

/// All of them, in order, and the life of the database in which their numbers count.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    epoch: Uuid,
    stored: Vec<Arc<Stored>>,
}

/// When they are forgotten makes no other ones of them.
impl PartialEq for Revocations {
    fn eq(&self, other: &Self) -> bool {
        let entries = |all: &Self| all.stored.iter().map(|one| one.entry.clone()).collect::<Vec<_>>();
        self.epoch == other.epoch && entries(self) == entries(other)
    }
}

impl Eq for Revocations {}

impl Revocations {
    /// Nothing yet, in this life of the database.
    pub(super) fn new(epoch: Uuid) -> Self {
        Self { epoch, stored: Vec::new() }
    }

    /// The same with what came since, in this life of the database.
    pub(super) fn with(&self, epoch: Uuid, rows: Vec<RevocationRow>) -> Self {
        let now = Instant::now();
        let known = self.stored.iter().filter(|stored| stored.forgotten_at > now).cloned();
        let new = rows.into_iter().map(|row| Arc::new(read(row, now)));
        let mut stored: Vec<_> = known.chain(new).collect();
        if stored.len() > MAX_STORED {
            let newest = stored.split_off(stored.len() - MAX_STORED / 2);
            let at = stored.last().map_or(i64::MIN, |last| last.entry.at);
            let forgotten_at = stored.iter().map(|one| one.forgotten_at).max().unwrap_or(now);
            let entry = Entry { at, ..Entry::default() };
            stored = vec![Arc::new(Stored { entry, forgotten_at })];
            stored.extend(newest);
        }
        Self { epoch, stored }
    }

    /// The life of the database.
    pub fn epoch(&self) -> Uuid {
        self.epoch
    }

    /// Those behind a position, each with how long it is to be kept from now on.
    pub fn behind(&self, at: i64) -> impl Iterator<Item = Entry> {
        let now = Instant::now();
        let first = self.stored.partition_point(|stored| stored.entry.at <= at);
        self.stored[first..].iter().filter(move |stored| stored.forgotten_at > now).map(move |stored| {
            let left = stored.forgotten_at.duration_since(now).as_secs() + 1;
            Entry { keep: left, ..stored.entry.clone() }
        })
    }
}

/// A place that cannot be understood is taken for every place.
fn read(row: RevocationRow, now: Instant) -> Stored {
    let age = Duration::try_from_secs_f64(row.age_seconds).unwrap_or_default();
    let entry = Entry {
        at: row.at,
        keep: 0,
        subject: row.subject,
        credential: row.credential,
        key: row.key,
        repository: row.repository.and_then(|name| name.parse().ok()),
        below: row.below.and_then(|name| NamePrefix::parse(&name).ok()),
    };
    Stored { entry, forgotten_at: now + KEPT.saturating_sub(age) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(at: i64, age_seconds: f64, below: Option<&str>) -> RevocationRow {
        RevocationRow {
            at,
            age_seconds,
            subject: None,
            credential: None,
            key: None,
            repository: None,
            below: below.map(str::to_owned),
        }
    }

    #[test]
    fn what_came_behind_a_position_is_told_with_the_time_that_is_left() {
        let all = Revocations::new(Uuid::nil());
        let all = all.with(Uuid::nil(), vec![row(1, 0.0, None), row(4, 60.0, Some("a/"))]);
        let all = all.with(Uuid::nil(), vec![row(7, 2.0 * KEPT.as_secs_f64(), None)]);
        let behind = |at| all.behind(at).map(|entry| entry.at).collect::<Vec<_>>();
        assert_eq!((behind(0), behind(1), behind(4)), (vec![1, 4], vec![4], vec![]));
        let told: Vec<Entry> = all.behind(1).collect();
        assert!(told[0].keep > KEPT.as_secs() - 70 && told[0].keep <= KEPT.as_secs() - 59, "{told:?}");
    }

    #[test]
    fn too_many_become_fewer_that_are_about_more() {
        let all = Revocations::new(Uuid::nil());
        let rows = (1..).take(MAX_STORED + 1).map(|at| row(at, 0.0, Some("a/"))).collect();
        let told: Vec<Entry> = all.with(Uuid::nil(), rows).behind(0).collect();
        assert_eq!(told.len(), MAX_STORED / 2 + 1);
        let (first, rest) = told.split_first().unwrap();
        assert!(
            first.below.is_none() && rest.iter().all(|entry| entry.at > first.at && entry.below.is_some())
        );
    }

    #[test]
    fn a_place_that_means_nothing_is_everywhere() {
        let all = Revocations::new(Uuid::nil()).with(Uuid::nil(), vec![row(1, 0.0, Some("A B"))]);
        assert_eq!(all.behind(0).next().and_then(|entry| entry.below), None);
    }
}
