//! Counting what tokens are issued for, without a write for each.
//!
//! Counts are kept in memory and added to the tables every few seconds and when the server stops. A server that dies
//! loses the last of them; with the database away they wait here, as many as there is room for.
//!
//! *Invariant:* no request waits for a count. Memory, and the rows that one subject makes within an hour, are bounded
//! whatever clients ask for: what has no room of its own is counted without its repository, and what has no room at
//! all is said in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::clock::Clock;
use shared::scope::Resource;
use shared::server::causes;
use time::{Date, OffsetDateTime};
use tokio::sync::Notify;
use uuid::Uuid;

use super::super::issue::Decision;
use super::super::login::subject::Subject;
use super::audit::Origin;
use crate::db::error::DbError;
use crate::db::token_uses::{self as rows, GrantUseRow, TokenUseRow};
use crate::db::{self, Pool};

/// How often counts are written.
const INTERVAL: Duration = Duration::from_secs(5);

/// Rows of either table that one statement writes.
const ROWS_AT_ONCE: usize = 5_000;

/// Rows that one statement removes, so that none takes long.
const REMOVED_AT_ONCE: i64 = 10_000;

/// Repositories, with what was granted there, of one subject in an hour. Names can be made up.
const MAX_ROWS_OF_A_SUBJECT: usize = 1_000;

/// The same of all subjects.
const MAX_ROWS_OF_AN_HOUR: usize = 100_000;

/// Rows of either table that wait to be written.
const MAX_WAITING: usize = 100_000;

/// Counts what tokens are issued for.
#[derive(Debug, Default)]
pub struct TokenUses {
    counts: Mutex<Counts>,
    stop: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    apart: Apart,
    waiting: Waiting,
    /// Uses that are not counted, since that was last said.
    lost: u64,
}

/// Which rows the subjects have in this hour.
#[derive(Debug, Default)]
struct Apart {
    hour: Option<OffsetDateTime>,
    rows: BTreeMap<String, BTreeSet<(String, String)>>,
    count: usize,
}

impl Apart {
    /// Whether this is to have a row of its own.
    fn admit(&mut self, hour: OffsetDateTime, subject: &str, row: (&str, &str)) -> bool {
        if self.hour != Some(hour) {
            *self = Self { hour: Some(hour), ..Self::default() };
        }
        let own = self.rows.entry(subject.to_owned()).or_default();
        let row = (row.0.to_owned(), row.1.to_owned());
        if own.contains(&row) {
            return true;
        }
        if own.len() >= MAX_ROWS_OF_A_SUBJECT || self.count >= MAX_ROWS_OF_AN_HOUR {
            return false;
        }
        self.count += 1;
        own.insert(row)
    }
}

/// What is not written yet, in the order of the tables' keys.
#[derive(Debug, Default)]
struct Waiting {
    tokens: BTreeMap<TokenKey, Tally>,
    grants: BTreeMap<(i64, Date), i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TokenKey {
    subject: String,
    repository: String,
    actions: String,
    hour: OffsetDateTime,
}

#[derive(Clone, Debug)]
struct Tally {
    uid: Option<Uuid>,
    uses: i64,
    last_at: OffsetDateTime,
    last_address: Option<String>,
}

impl Waiting {
    /// Adds up; says whether there was room.
    fn add_token(&mut self, key: TokenKey, tally: Tally) -> bool {
        if let Some(known) = self.tokens.get_mut(&key) {
            let uses = known.uses.saturating_add(tally.uses);
            if tally.last_at >= known.last_at {
                *known = tally;
            }
            known.uses = uses;
            return true;
        }
        let has_room = self.tokens.len() < MAX_WAITING;
        if has_room {
            self.tokens.insert(key, tally);
        }
        has_room
    }

    /// The same.
    fn add_grant(&mut self, key: (i64, Date), uses: i64) -> bool {
        if let Some(known) = self.grants.get_mut(&key) {
            *known = known.saturating_add(uses);
            return true;
        }
        let has_room = self.grants.len() < MAX_WAITING;
        if has_room {
            self.grants.insert(key, uses);
        }
        has_room
    }

    /// Takes the first rows out.
    fn take(&mut self) -> Self {
        Self { tokens: first(&mut self.tokens), grants: first(&mut self.grants) }
    }

    fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.grants.is_empty()
    }
}

fn first<K: Ord + Clone, V>(waiting: &mut BTreeMap<K, V>) -> BTreeMap<K, V> {
    let rest = match waiting.keys().nth(ROWS_AT_ONCE).cloned() {
        Some(next) => waiting.split_off(&next),
        None => BTreeMap::new(),
    };
    mem::replace(waiting, rest)
}

impl TokenUses {
    /// Counts what a token was issued for.
    pub fn note(&self, clock: &dyn Clock, subject: &Subject, decision: &Decision, origin: &Origin) {
        let now = clock.now();
        let Some(hour) = start_of_hour(now) else { return };
        let mut counts = self.counts();
        let Counts { apart, waiting, lost } = &mut *counts;
        let mut count = |has_room: bool| *lost += u64::from(!has_room);
        for scope in &decision.granted {
            let Resource::Repository(repository) = &scope.resource else { continue };
            let (repository, actions) = (repository.as_str(), scope.actions.to_string());
            let is_apart = apart.admit(hour, subject.name(), (repository, &actions));
            let (repository, actions) =
                if is_apart { (repository.to_owned(), actions) } else { Default::default() };
            let key = TokenKey { subject: subject.name().to_owned(), repository, actions, hour };
            let last_address = origin.address.clone();
            count(waiting.add_token(key, Tally { uid: subject.uid(), uses: 1, last_at: now, last_address }));
        }
        for grant in &decision.rests_on {
            count(waiting.add_grant((*grant, now.date()), 1));
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes everything that waits. What could not be written goes on waiting.
    pub async fn write(&self, pool: &Pool) -> Result<(), DbError> {
        loop {
            let taken = self.counts().waiting.take();
            if taken.is_empty() {
                return Ok(());
            }
            // What is counted while this is written waits for the next time, or this would go on for ever.
            let is_last = taken.tokens.len() < ROWS_AT_ONCE && taken.grants.len() < ROWS_AT_ONCE;
            if let Err(error) = rows::add_uses(pool, &token_rows(&taken), &grant_rows(&taken)).await {
                self.put_back(taken);
                return Err(error);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn put_back(&self, taken: Waiting) {
        let Counts { waiting, lost, .. } = &mut *self.counts();
        for (key, tally) in taken.tokens {
            let uses = tally.uses.unsigned_abs();
            if !waiting.add_token(key, tally) {
                *lost = lost.saturating_add(uses);
            }
        }
        for (key, uses) in taken.grants {
            if !waiting.add_grant(key, uses) {
                *lost = lost.saturating_add(uses.unsigned_abs());
            }
        }
    }

    /// Writes every few seconds until it is told to stop, and then once more.
    pub async fn keep_writing(&self, pool: &Pool) {
        let mut is_failing = false;
        loop {
            let is_stopping = tokio::time::timeout(INTERVAL, self.stop.notified()).await.is_ok();
            let outcome = self.write(pool).await;
            match &outcome {
                Err(error) if !is_failing || is_stopping => {
                    let error = causes::sentence(error);
                    tracing::warn!(error, "uses of tokens could not be written; they wait");
                }
                Ok(()) if is_failing => tracing::info!("uses of tokens are written again"),
                Ok(()) | Err(_) => {}
            }
            is_failing = outcome.is_err();
            let lost = mem::take(&mut self.counts().lost);
            if lost > 0 {
                tracing::warn!(lost, "uses of tokens were not counted: too many different ones are waiting");
            }
            if is_stopping {
                return;
            }
        }
    }

    /// Ends [`Self::keep_writing`].
    pub fn stop(&self) {
        self.stop.notify_one();
    }
}

fn start_of_hour(at: OffsetDateTime) -> Option<OffsetDateTime> {
    at.replace_time(time::Time::from_hms(at.hour(), 0, 0).ok()?).into()
}

fn token_rows(waiting: &Waiting) -> Vec<TokenUseRow> {
    let rows = waiting.tokens.iter().map(|(key, tally)| TokenUseRow {
        subject: key.subject.clone(),
        subject_uid: tally.uid,
        repository: key.repository.clone(),
        actions: key.actions.clone(),
        hour: key.hour,
        uses: tally.uses,
        last_at: tally.last_at,
        last_address: tally.last_address.clone(),
    });
    rows.collect()
}

fn grant_rows(waiting: &Waiting) -> Vec<GrantUseRow> {
    let rows = waiting.grants.iter().map(|((grant_id, day), uses)| GrantUseRow {
        grant_id: *grant_id,
        day: *day,
        uses: *uses,
    });
    rows.collect()
}

/// Removes what was counted before this moment; says how many rows of `token_use` that were.
pub async fn prune(pool: &Pool, before: OffsetDateTime) -> Result<u64, DbError> {
    let mut tx = db::begin(pool).await?;
    let mut removed = 0;
    // First, so that nobody takes what is being removed for something that never was.
    rows::update_start(&mut *tx, before).await?;
    loop {
        match rows::delete_token_uses(&mut *tx, before, REMOVED_AT_ONCE).await? {
            0 => break,
            some => removed += some,
        }
    }
    while rows::delete_grant_uses(&mut *tx, before.date(), REMOVED_AT_ONCE).await? > 0 {}
    db::commit(tx).await?;
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use shared::clock::ManualClock;
    use shared::scope::ScopeList;

    use super::*;

    fn decision(scopes: &str, rests_on: &[i64]) -> Decision {
        Decision {
            granted: ScopeList::parse([scopes]).iter().cloned().collect(),
            rests_on: rests_on.to_vec(),
            ..Decision::default()
        }
    }

    fn noted(uses: &TokenUses) -> Vec<(String, String, i64)> {
        let rows = token_rows(&uses.counts().waiting);
        rows.into_iter().map(|row| (row.repository, row.actions, row.uses)).collect()
    }

    #[test]
    fn the_same_is_added_up_and_the_list_of_repositories_is_no_use_of_one() {
        let (uses, clock) = (TokenUses::default(), ManualClock::default());
        let said = decision("repository:a:pull repository:b:pull,push registry:catalog:*", &[7, 7, 8]);
        for _ in 0..3 {
            uses.note(&clock, &Subject::Anonymous, &said, &Origin::default());
        }
        let row = |repository: &str, actions: &str| (repository.to_owned(), actions.to_owned(), 3);
        assert_eq!(noted(&uses), [row("a", "pull"), row("b", "pull,push")]);
        let grants = grant_rows(&uses.counts().waiting);
        assert_eq!(grants.iter().map(|row| (row.grant_id, row.uses)).collect::<Vec<_>>(), [(7, 6), (8, 3)]);
    }

    #[test]
    fn names_without_end_make_rows_that_end() {
        let (uses, clock) = (TokenUses::default(), ManualClock::default());
        let names = 2 * MAX_ROWS_OF_A_SUBJECT;
        for number in 0..names {
            let said = decision(&format!("repository:r{number}:pull"), &[]);
            uses.note(&clock, &Subject::Anonymous, &said, &Origin::default());
        }
        let rows = noted(&uses);
        assert_eq!(rows.len(), MAX_ROWS_OF_A_SUBJECT + 1);
        let rest = i64::try_from(names - MAX_ROWS_OF_A_SUBJECT).unwrap();
        assert_eq!(rows[0], (String::new(), String::new(), rest));
        clock.advance(Duration::from_hours(1));
        uses.note(&clock, &Subject::Anonymous, &decision("repository:new:pull", &[]), &Origin::default());
        assert!(noted(&uses).contains(&("new".into(), "pull".into(), 1)), "another hour has room again");
    }

    #[test]
    fn what_was_taken_and_not_written_is_not_lost() {
        let (uses, clock) = (TokenUses::default(), ManualClock::default());
        let note = |name: &str| {
            let said = decision(&format!("repository:{name}:pull"), &[1]);
            uses.note(&clock, &Subject::Anonymous, &said, &Origin::default());
        };
        note("a");
        let taken = uses.counts().waiting.take();
        note("a");
        note("b");
        uses.put_back(taken);
        assert_eq!(noted(&uses), [("a".into(), "pull".into(), 2), ("b".into(), "pull".into(), 1)]);
        assert_eq!(uses.counts().waiting.grants.values().copied().collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_batch_is_bounded_and_leaves_the_rest() {
        let mut waiting: BTreeMap<usize, bool> = (0..ROWS_AT_ONCE + 3).map(|number| (number, true)).collect();
        assert_eq!(first(&mut waiting).len(), ROWS_AT_ONCE);
        assert_eq!(waiting.len(), 3);
        assert_eq!(first(&mut waiting).len(), 3);
        assert!(waiting.is_empty());
    }
}
