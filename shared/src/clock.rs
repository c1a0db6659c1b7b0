//! The time, as a parameter.
//!
//! *Invariant:* nothing but [`SystemClock`] reads the wall clock, so that every expiry can be tested in one line.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// Something that knows the time.
pub trait Clock: Send + Sync {
    /// The current time in UTC.
    fn now(&self) -> OffsetDateTime;

    /// The current time in whole seconds since 1970, as tokens carry it.
    fn unix_now(&self) -> i64 {
        self.now().unix_timestamp()
    }
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that may read the wall clock")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// A clock moved by a test. It goes on evenly from where the clock of the machine was, whatever is done to that.
#[derive(Debug)]
pub struct ManualClock {
    start: OffsetDateTime,
    started: Instant,
    ahead_seconds: AtomicI64,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self { start: SystemClock.now(), started: Instant::now(), ahead_seconds: AtomicI64::new(0) }
    }
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let seconds = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        self.ahead_seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        let ahead = time::Duration::seconds(self.ahead_seconds.load(Ordering::SeqCst));
        self.start + self.started.elapsed() + ahead
    }
}
