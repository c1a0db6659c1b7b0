//! Who has tried too often: wrong passwords are counted by user and by where they come from, before they are checked.
//!
//! The same wrong password again is no further guess: it is answered without another check, so a script with an old
//! password, or a client that asks in two ways, counts once. A password that was right from that place within a day is
//! let through whatever others try there, and elsewhere a user is not affected at all. Secrets of robots, personal
//! access tokens and kept logins cannot be guessed and do not come here.
//!
//! *Invariant:* memory is bounded whatever is tried, no password can be told from it, and of many guesses at once no
//! more are let through than of as many in a row.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use moka::ops::compute::{CompResult, Op};
use moka::sync::Cache;
use ring::rand::SystemRandom;
use shared::clock::Clock;
use shared::secret::Secret;
use shared::server::passwords::verified::VerifiedPasswords;

use super::random::NoRandomness;

/// So many wrong passwords of a user are borne from one place; then each one makes the next wait longer.
const FREE_TRIES: u32 = 10;

/// The same of all users together.
const FREE_TRIES_OF_A_PLACE: u32 = 300;

/// The longest wait.
const MAX_WAIT: Duration = Duration::from_mins(5);

/// Without another wrong one for this long, all is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);

/// For so long the same wrong password is not checked again.
const WRONG_FOR: Duration = Duration::from_mins(1);

/// For so long a password that was right is let through from the same place.
const RIGHT_FOR: Duration = Duration::from_hours(24);

/// More users and places than this push one another out.
const MAX_ENTRIES: u64 = 100_000;

/// What becomes of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knock {
    /// It is to be checked.
    Check,
    /// It is known to be wrong.
    Wrong,
    /// It has to wait for so long.
    Wait(Duration),
}

/// One try: somebody, from somewhere, with a password.
#[derive(Clone, Copy, Debug)]
pub struct Try<'a> {
    /// The name that was typed, folded.
    pub user: &'a str,
    /// What the password is checked against; nothing for nobody.
    pub hash: &'a str,
    /// What was typed.
    pub password: &'a Secret,
    /// From where.
    pub address: Option<IpAddr>,
}

impl Try<'_> {
    fn place(&self) -> String {
        match self.address {
            // Whoever has one address of a network has all of them.
            Some(IpAddr::V6(address)) => {
                Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).to_string()
            }
            Some(IpAddr::V4(address)) => address.to_string(),
            None => String::new(),
        }
    }

    /// The user at the place.
    fn account(&self) -> String {
        format!("{} {}", self.place(), self.user)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    wrong: u32,
    /// The second from which on the next one may come.
    next: i64,
    /// The second in which all is forgotten.
    forgotten: i64,
}

impl Tries {
    fn at(self, now: i64) -> Self {
        if self.forgotten > now { self } else { Self::default() }
    }

    fn wait(self, now: i64) -> Option<Duration> {
        u64::try_from(self.next - now).ok().filter(|left| *left > 0).map(Duration::from_secs)
    }

    fn one_more(self, free: u32, now: i64) -> Self {
        let wrong = self.wrong.saturating_add(1);
        let wait = match wrong.checked_sub(free) {
            None | Some(0) => 0,
            Some(beyond) => 1_u64.checked_shl(beyond - 1).unwrap_or(u64::MAX).min(MAX_WAIT.as_secs()),
        };
        Self {
            wrong,
            next: now.saturating_add_unsigned(wait),
            forgotten: now.saturating_add_unsigned(FORGOTTEN_AFTER.as_secs()),
        }
    }
}

/// Counts wrong passwords.
#[derive(Debug)]
pub struct Door {
    tries: Cache<String, Tries>,
    /// What was counted a moment ago, and what was found to be wrong.
    counted: VerifiedPasswords,
    wrong: VerifiedPasswords,
    right: VerifiedPasswords,
}

impl Door {
    /// Nobody has tried anything.
    pub fn new(random: &SystemRandom) -> Result<Self, NoRandomness> {
        let memory = |lifetime| VerifiedPasswords::new(lifetime, random).map_err(|_| NoRandomness);
        Ok(Self {
            tries: Cache::builder().max_capacity(MAX_ENTRIES).time_to_idle(FORGOTTEN_AFTER).build(),
            counted: memory(WRONG_FOR)?,
            wrong: memory(WRONG_FOR)?,
            right: memory(RIGHT_FOR)?,
        })
    }

    /// Counts a try as wrong, unless it turns out to be right, and says whether it may be checked.
    pub fn knock(&self, knocking: &Try<'_>, clock: &dyn Clock) -> Knock {
        let Try { hash, password, .. } = *knocking;
        let account = knocking.account();
        if self.right.contains(account.as_bytes(), hash, password, clock) {
            return Knock::Check;
        }
        if self.wrong.contains(account.as_bytes(), hash, password, clock) {
            return Knock::Wrong;
        }
        // Whoever sends it many times at once has one guess, whose checks are bounded by their queue.
        if self.counted.contains(account.as_bytes(), hash, password, clock) {
            return Knock::Check;
        }
        for (key, free) in [(knocking.place(), FREE_TRIES_OF_A_PLACE), (account.clone(), FREE_TRIES)] {
            if let Err(wait) = self.count(&key, free, clock.unix_now()) {
                return Knock::Wait(wait);
            }
        }
        self.counted.insert(account.as_bytes(), hash, password, clock);
        Knock::Check
    }

    /// Counts one more in one step, unless it has to wait.
    fn count(&self, key: &str, free: u32, now: i64) -> Result<(), Duration> {
        let mut wait = None;
        let outcome = self.tries.entry_by_ref(key).and_compute_with(|known| {
            let tries = known.map(moka::Entry::into_value).unwrap_or_default().at(now);
            wait = tries.wait(now);
            if wait.is_some() { Op::Nop } else { Op::Put(tries.one_more(free, now)) }
        });
        debug_assert!(!matches!(outcome, CompResult::Removed(_)), "nothing is removed here");
        wait.map_or(Ok(()), Err)
    }

    /// It was right: nothing of the user is held against that place, and it was none of the wrong ones of all.
    pub fn was_right(&self, tried: &Try<'_>, clock: &dyn Clock) {
        let account = tried.account();
        self.right.insert(account.as_bytes(), tried.hash, tried.password, clock);
        self.tries.invalidate(&account);
        self.tries.entry_by_ref(&tried.place()).and_compute_with(|known| match known {
            Some(known) => {
                let of_all = known.into_value();
                Op::Put(Tries { wrong: of_all.wrong.saturating_sub(1), next: 0, ..of_all })
            }
            None => Op::Nop,
        });
    }

    /// It was wrong.
    pub fn was_wrong(&self, tried: &Try<'_>, clock: &dyn Clock) {
        self.wrong.insert(tried.account().as_bytes(), tried.hash, tried.password, clock);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

    use time::OffsetDateTime;

    use super::*;

    /// A clock that stands still unless it is moved.
    #[derive(Debug, Default)]
    struct StoppedClock(AtomicI64);

    impl StoppedClock {
        fn advance(&self, by: Duration) {
            self.0.fetch_add(i64::try_from(by.as_secs()).unwrap(), Ordering::SeqCst);
        }
    }

    impl Clock for StoppedClock {
        fn now(&self) -> OffsetDateTime {
            OffsetDateTime::from_unix_timestamp(self.0.load(Ordering::SeqCst)).unwrap()
        }
    }

    struct Street {
        door: Door,
        clock: StoppedClock,
        guesses: AtomicU32,
    }

    impl Street {
        fn new() -> Self {
            let door = Door::new(&SystemRandom::new()).unwrap();
            Self { door, clock: StoppedClock::default(), guesses: AtomicU32::default() }
        }

        /// Tries a password, which is wrong unless it is `right`.
        fn knock(&self, user: &str, password: &str, address: &str) -> Knock {
            let password = Secret::new(password);
            let address = Some(address.parse().unwrap());
            let knocking = Try { user, hash: "hash", password: &password, address };
            let knock = self.door.knock(&knocking, &self.clock);
            if knock == Knock::Check {
                if password.expose() == "right" {
                    self.door.was_right(&knocking, &self.clock);
                } else {
                    self.door.was_wrong(&knocking, &self.clock);
                }
            }
            knock
        }

        /// Wrong passwords that were not tried before.
        fn guess(&self, user: &str, times: u32, address: &str) -> Vec<Knock> {
            let guess = || format!("guess {}", self.guesses.fetch_add(1, Ordering::SeqCst));
            (0..times).map(|_| self.knock(user, &guess(), address)).collect()
        }
    }

    const HERE: &str = "192.0.2.1";

    #[test]
    fn guesses_wait_longer_and_longer_and_only_there() {
        let street = Street::new();
        let made = street.guess("alice", FREE_TRIES + 2, HERE);
        assert!(made[..=FREE_TRIES as usize].iter().all(|knock| *knock == Knock::Check), "{made:?}");
        assert_eq!(made.last(), Some(&Knock::Wait(Duration::from_secs(1))));
        street.clock.advance(Duration::from_secs(1));
        assert_eq!(street.knock("alice", "another", HERE), Knock::Check);
        assert_eq!(street.knock("alice", "and another", HERE), Knock::Wait(Duration::from_secs(2)));
        assert_eq!(street.knock("alice", "and another", "192.0.2.2"), Knock::Check);
        assert_eq!(street.knock("bob", "and another", HERE), Knock::Check);
        street.clock.advance(FORGOTTEN_AFTER);
        assert_eq!(street.guess("alice", FREE_TRIES, HERE), [Knock::Check; FREE_TRIES as usize]);
    }

    #[test]
    fn the_same_wrong_password_again_is_one_guess_and_no_check() {
        let street = Street::new();
        assert_eq!(street.knock("alice", "old", HERE), Knock::Check);
        for _ in 0..100 {
            assert_eq!(street.knock("alice", "old", HERE), Knock::Wrong);
        }
        assert_eq!(street.guess("alice", FREE_TRIES - 1, HERE), [Knock::Check; FREE_TRIES as usize - 1]);
        street.clock.advance(WRONG_FOR);
        assert_eq!(street.knock("alice", "old", HERE), Knock::Check);
    }

    #[test]
    fn who_was_right_there_within_a_day_is_not_kept_out_by_others() {
        let street = Street::new();
        assert_eq!(street.knock("alice", "right", HERE), Knock::Check);
        let made = street.guess("alice", 100, HERE);
        assert!(matches!(made.last(), Some(Knock::Wait(_))));
        street.clock.advance(Duration::from_hours(23));
        street.guess("alice", 100, HERE);
        assert_eq!(street.knock("alice", "right", HERE), Knock::Check);
        // And whoever is right begins anew.
        assert_eq!(street.guess("alice", FREE_TRIES, HERE), [Knock::Check; FREE_TRIES as usize]);
    }

    #[test]
    fn one_place_does_not_try_a_few_passwords_of_everybody() {
        let street = Street::new();
        let users = FREE_TRIES_OF_A_PLACE + 10;
        let made: Vec<_> = (0..users).map(|user| street.knock(&format!("u{user}"), "spring", HERE)).collect();
        assert!(matches!(made.last(), Some(Knock::Wait(_))));
        assert_eq!(street.knock("alice", "spring", "2001:db8::1"), Knock::Check);
    }

    #[test]
    fn many_who_are_right_are_never_kept_waiting() {
        let street = Street::new();
        let mut made =
            (0..2 * FREE_TRIES_OF_A_PLACE).map(|user| street.knock(&format!("u{user}"), "right", HERE));
        assert!(made.all(|knock| knock == Knock::Check));
    }

    #[test]
    fn neighbours_in_one_network_of_version_six_are_one() {
        let street = Street::new();
        street.guess("alice", FREE_TRIES + 1, "2001:db8::1");
        assert!(matches!(street.knock("alice", "x", "2001:db8::2"), Knock::Wait(_)));
        assert_eq!(street.knock("alice", "x", "2001:db8:0:1::1"), Knock::Check);
    }

    #[test]
    fn many_guesses_at_once_are_as_many_guesses() {
        let street = Street::new();
        let checked = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    let made = street.guess("alice", 10, HERE);
                    let count = made.iter().filter(|knock| **knock == Knock::Check).count();
                    checked.fetch_add(u32::try_from(count).unwrap(), Ordering::SeqCst);
                });
            }
        });
        assert_eq!(checked.into_inner(), FREE_TRIES + 1);
    }
}
