//! Records of what clients can repeat at will.
//!
//! A push of many layers logs in many times, and a stranger can be refused as often as the line allows. So the same
//! thing from the same place adds one row a minute, a stranger's refusals count as the same whatever was asked for,
//! and all refusals together have a limit, so that nobody can fill the disk.
//!
//! *Invariant:* the first of its kind is always recorded before it is answered, up to the limit; beyond it the log
//! says so once a minute.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moka::ops::compute::{CompResult, Op};
use moka::sync::Cache;
use shared::clock::Clock;

use super::audit::{self, Origin, Outcome, Record};
use super::audit_backlog::AuditBacklog;
use crate::db::Pool;
use crate::db::error::DbError;

/// The same is recorded again after this time.
const REPEAT_AFTER: Duration = Duration::from_mins(1);

const MAX_REMEMBERED: u64 = 10_000;

/// Rows of refusals in a minute, of all clients together.
const MAX_REFUSALS_A_MINUTE: u32 = 600;

/// Rows of refusals in a minute from one place, so that one noisy client does not use up the others' share.
const MAX_REFUSALS_FROM_ONE_PLACE: u32 = 60;

/// What was recorded within the last minute.
#[derive(Debug)]
pub struct AuditRepeats {
    recent: Cache<String, i64>,
    refusals: Mutex<Minute>,
    refusals_by_place: Cache<String, Minute>,
    backlog: Arc<AuditBacklog>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    number: i64,
    rows: u32,
}

impl Default for AuditRepeats {
    fn default() -> Self {
        Self::with(Arc::default())
    }
}

impl AuditRepeats {
    /// Lets records wait there while the database is away.
    pub fn with(backlog: Arc<AuditBacklog>) -> Self {
        Self {
            recent: Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(REPEAT_AFTER).build(),
            refusals: Mutex::default(),
            refusals_by_place: Cache::builder()
                .max_capacity(MAX_REMEMBERED)
                .time_to_live(2 * REPEAT_AFTER)
                .build(),
            backlog,
        }
    }

    /// Writes the record unless its like was written within the last minute.
    pub async fn record(
        &self,
        db: &Pool,
        clock: &dyn Clock,
        origin: &Origin,
        record: Record<'_>,
    ) -> Result<(), DbError> {
        self.record_as(db, clock, origin, record, record.target).await
    }

    /// Like [`Self::record`], where what tells repeats apart is not the target but something that must not be kept.
    pub async fn record_as(
        &self,
        db: &Pool,
        clock: &dyn Clock,
        origin: &Origin,
        record: Record<'_>,
        named: &str,
    ) -> Result<(), DbError> {
        let now = clock.unix_now();
        let key = key(origin, &record, named);
        if !self.is_first(&key, now) {
            return Ok(());
        }
        let place = origin.address.as_deref().map(place).unwrap_or_default();
        if matches!(record.outcome, Outcome::Refused(_)) && !self.admit_refusal(&place, now) {
            return Ok(());
        }
        let written = self.write(db, clock, origin, record).await;
        if written.is_err() {
            self.recent.invalidate(&key);
        }
        written
    }

    /// With the database away, records wait: what they are about needs none.
    async fn write(
        &self,
        db: &Pool,
        clock: &dyn Clock,
        origin: &Origin,
        record: Record<'_>,
    ) -> Result<(), DbError> {
        if !self.backlog.is_in_use() {
            match audit::record(db, clock, origin, record).await {
                Err(DbError::Unavailable(_)) => {}
                outcome => return outcome,
            }
        }
        self.backlog.take(audit::waiting(clock, origin, &record)).await
    }

    /// Whether nobody has recorded this within the last minute; of many at once, one is the first.
    fn is_first(&self, key: &str, now: i64) -> bool {
        let entry = self.recent.entry_by_ref(key).and_compute_with(|known| match known {
            Some(known) if now < *known.value() => Op::Nop,
            _ => Op::Put(now.saturating_add(REPEAT_AFTER.as_secs().cast_signed())),
        });
        matches!(entry, CompResult::Inserted(_) | CompResult::ReplacedWith(_))
    }

    fn admit_refusal(&self, place: &str, now: i64) -> bool {
        let here = self
            .refusals_by_place
            .entry_by_ref(place)
            .and_upsert_with(|known| known.map(moka::Entry::into_value).unwrap_or_default().counting(now));
        if here.into_value().rows > MAX_REFUSALS_FROM_ONE_PLACE {
            return false;
        }
        let mut all = self.refusals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *all = all.counting(now);
        if all.rows == MAX_REFUSALS_A_MINUTE + 1 {
            tracing::warn!(
                limit = MAX_REFUSALS_A_MINUTE,
                "too many refusals; the rest of this minute is not recorded"
            );
        }
        all.rows <= MAX_REFUSALS_A_MINUTE
    }
}

impl Minute {
    /// One more row, in the minute of `now`.
    fn counting(self, now: i64) -> Self {
        let number = now.div_euclid(60);
        let rows = if self.number == number { self.rows } else { 0 };
        Self { number, rows: rows.saturating_add(1) }
    }
}

fn key(origin: &Origin, record: &Record<'_>, named: &str) -> String {
    let place = origin.address.as_deref().map(place).unwrap_or_default();
    let outcome = match record.outcome {
        Outcome::Allowed(remark) => remark.unwrap_or_default(),
        Outcome::Refused(reason) => reason,
    };
    // Whoever is not logged in can make up repositories without end.
    let made_up = record.actor.is_empty() && record.event == audit::Event::ScopesRefused;
    let target = if made_up { String::new() } else { audit::printable(named) };
    format!("{}\n{outcome}\n{}\n{place}\n{target}", record.event.as_str(), record.actor)
}

/// A customer line has a whole /64 of version 6 to choose from.
fn place(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(address)) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(prefix).to_string()
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::audit::Event;
    use super::*;

    fn refused<'a>(event: Event, actor: &'a str, target: &'a str) -> Record<'a> {
        Record { event, actor, actor_uid: None, target, outcome: Outcome::Refused("why") }
    }

    fn from(address: &str) -> Origin {
        Origin { address: Some(address.into()), agent: None }
    }

    #[test]
    fn a_stranger_is_one_whatever_is_asked_for_and_a_user_is_not() {
        let here = from("192.0.2.1");
        let stranger = |target| key(&here, &refused(Event::ScopesRefused, "", target), target);
        assert_eq!(stranger("a"), stranger("b"));
        let user = |target| key(&here, &refused(Event::ScopesRefused, "alice", target), target);
        assert_ne!(user("a"), user("b"));
        let login = |target| key(&here, &refused(Event::Login, "", ""), target);
        assert_ne!(login("alice"), login("bob"));
    }

    #[test]
    fn neighbours_in_one_network_of_version_six_are_one() {
        let record = refused(Event::Login, "", "alice");
        assert_eq!(key(&from("2001:db8::1"), &record, "alice"), key(&from("2001:db8::2"), &record, "alice"));
        assert_ne!(
            key(&from("2001:db8:0:1::1"), &record, "alice"),
            key(&from("2001:db8::1"), &record, "alice")
        );
        assert_ne!(key(&from("192.0.2.1"), &record, "alice"), key(&from("192.0.2.2"), &record, "alice"));
    }

    #[test]
    fn all_refusals_together_have_a_limit_in_each_minute() {
        let repeats = AuditRepeats::default();
        let place = |number: u32| number.to_string();
        let admitted =
            (0..2 * MAX_REFUSALS_A_MINUTE).filter(|number| repeats.admit_refusal(&place(*number), 0));
        assert_eq!(admitted.count(), MAX_REFUSALS_A_MINUTE as usize);
        assert!(repeats.admit_refusal("elsewhere", 60));
    }

    #[test]
    fn one_place_does_not_use_up_the_share_of_others() {
        let repeats = AuditRepeats::default();
        let admitted = (0..1000).filter(|_| repeats.admit_refusal("here", 0)).count();
        assert_eq!(admitted, MAX_REFUSALS_FROM_ONE_PLACE as usize);
        assert!(repeats.admit_refusal("elsewhere", 0));
        assert!(repeats.admit_refusal("here", 60));
    }
}
