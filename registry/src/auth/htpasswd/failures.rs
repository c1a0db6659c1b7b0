//! Who has tried too often: failed logins are counted by user and by where they come from.
//!
//! A user is never locked out from everywhere, because the count belongs to one source. Where everybody comes through
//! one proxy that is not trusted, they share a source.
//!
//! *Invariant:* memory is bounded whatever names are tried, and a login that succeeds is never counted.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use moka::sync::Cache;
use ring::digest;
use shared::clock::Clock;

/// So many failures are borne within [`WINDOW`].
const MAX_FAILURES: u32 = 10;

/// Counted from the first failure.
const WINDOW: Duration = Duration::from_mins(1);

/// More combinations than this within a window push one another out.
const MAX_ENTRIES: u64 = 10_000;

/// A user at a source; the name is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attempt([u8; 32]);

impl Attempt {
    pub(super) fn new(user: &str, source: Option<IpAddr>) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        match source {
            Some(IpAddr::V4(address)) => context.update(&address.octets()),
            // Whoever has one address of a network has all of them.
            Some(IpAddr::V6(address)) => context.update(&network(address)),
            None => context.update(b"-"),
        }
        context.update(b"/");
        context.update(user.as_bytes());
        Self(context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

fn network(address: Ipv6Addr) -> [u8; 8] {
    let mut network = [0; 8];
    network.copy_from_slice(&address.octets()[..8]);
    network
}

#[derive(Clone, Copy, Debug)]
struct Window {
    failures: u32,
    ends: i64,
}

/// Counts failed logins.
#[derive(Debug)]
pub(super) struct Failures(Cache<Attempt, Window>);

impl Failures {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(WINDOW).build())
    }

    /// How long to wait before the next try; nothing if it may come at once.
    pub(super) fn wait(&self, attempt: Attempt, clock: &dyn Clock) -> Option<Duration> {
        let window = self.0.get(&attempt).filter(|window| window.failures >= MAX_FAILURES)?;
        let left = window.ends.saturating_sub(clock.unix_now());
        u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_secs)
    }

    /// Counts a failure.
    pub(super) fn note(&self, attempt: Attempt, clock: &dyn Clock) {
        let now = clock.unix_now();
        let fresh = Window { failures: 1, ends: now.saturating_add_unsigned(WINDOW.as_secs()) };
        self.0.entry(attempt).and_upsert_with(|entry| {
            let open = entry.map(moka::Entry::into_value).filter(|window| window.ends > now);
            open.map_or(fresh, |window| Window { failures: window.failures.saturating_add(1), ..window })
        });
    }
}

#[cfg(test)]
mod tests {
    use shared::clock::ManualClock;

    use super::*;

    fn at(user: &str, source: &str) -> Attempt {
        Attempt::new(user, Some(source.parse().expect("an address")))
    }

    #[test]
    fn the_tenth_failure_closes_the_door_for_a_minute() {
        let (failures, clock) = (Failures::new(), ManualClock::default());
        let attempt = at("alice", "192.0.2.1");
        for _ in 0..MAX_FAILURES {
            assert_eq!(failures.wait(attempt, &clock), None);
            failures.note(attempt, &clock);
        }
        assert!(failures.wait(attempt, &clock).is_some_and(|wait| wait <= WINDOW));
        clock.advance(WINDOW);
        assert_eq!(failures.wait(attempt, &clock), None);
        failures.note(attempt, &clock);
        assert_eq!(failures.wait(attempt, &clock), None, "counting begins again");
    }

    #[test]
    fn others_and_elsewhere_are_not_affected() {
        let (failures, clock) = (Failures::new(), ManualClock::default());
        for _ in 0..MAX_FAILURES {
            failures.note(at("alice", "2001:db8:1:2::1"), &clock);
        }
        assert!(failures.wait(at("alice", "2001:db8:1:2:ffff::9"), &clock).is_some(), "the same network");
        for attempt in [
            at("bob", "2001:db8:1:2::1"),
            at("alice", "2001:db8:1:3::1"),
            at("alice", "192.0.2.1"),
            Attempt::new("alice", None),
        ] {
            assert_eq!(failures.wait(attempt, &clock), None);
        }
    }
}
