//! How many tokens somebody may ask for in a minute, where the settings say so.
//!
//! *Invariant:* a minute's worth may come at once, and never more than that and what has been saved up; memory is
//! bounded.

use std::time::Duration;

use moka::ops::compute::Op;
use moka::sync::Cache;
use shared::clock::Clock;

use super::super::record::audit::Origin;
use super::subject::Subject;

const MINUTE_MILLISECONDS: i64 = 60_000;

/// More of those who ask than this push one another out.
const MAX_ENTRIES: u64 = 100_000;

/// Counts requests, if there is a limit.
#[derive(Debug)]
pub struct RequestLimit {
    /// Milliseconds that each request takes of the minute; nothing without a limit.
    each: Option<i64>,
    /// Until when the time is used up, in milliseconds since 1970.
    used_until: Cache<String, i64>,
}

impl RequestLimit {
    /// So many requests in a minute; none for no limit.
    pub fn new(per_minute: u32) -> Self {
        let each = (per_minute > 0).then(|| (MINUTE_MILLISECONDS / i64::from(per_minute)).max(1));
        let used_until =
            Cache::builder().max_capacity(MAX_ENTRIES).time_to_idle(Duration::from_mins(2)).build();
        Self { each, used_until }
    }

    /// Takes one request of whoever asks; if there was one too many, how long to wait.
    pub fn take(&self, subject: &Subject, origin: &Origin, clock: &dyn Clock) -> Result<(), Duration> {
        let Some(each) = self.each else { return Ok(()) };
        let who = match subject.uid() {
            Some(uid) => uid.to_string(),
            None => origin.address.clone().unwrap_or_default(),
        };
        let now = i64::try_from(clock.now().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
        let mut over = 0;
        self.used_until.entry(who).and_compute_with(|known| {
            let until = known.map_or(now, moka::Entry::into_value).max(now).saturating_add(each);
            over = until.saturating_sub(now.saturating_add(MINUTE_MILLISECONDS));
            if over > 0 { Op::Nop } else { Op::Put(until) }
        });
        match u64::try_from(over) {
            Ok(over) if over > 0 => Err(Duration::from_secs(over.div_ceil(1_000))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::clock::ManualClock;

    use super::*;

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_one_after_the_other() {
        let (limit, clock) = (RequestLimit::new(60), ManualClock::default());
        let origin = Origin { address: Some("192.0.2.1".into()), agent: None };
        let take = |origin: &Origin| limit.take(&Subject::Anonymous, origin, &clock);
        assert!((0..60).all(|_| take(&origin).is_ok()));
        // The clock goes on by itself, too.
        let more = (0..60).filter(|_| take(&origin).is_ok()).count();
        assert!(more < 30 && take(&origin).is_err_and(|wait| wait == Duration::from_secs(1)), "{more}");
        assert_eq!(take(&Origin::default()), Ok(()), "another one is another one");
        clock.advance(Duration::from_secs(2));
        assert!(take(&origin).is_ok() && take(&origin).is_ok());
        assert!((0..1_000).all(|_| RequestLimit::new(0).take(&Subject::Anonymous, &origin, &clock).is_ok()));
    }
}
