//! Passwords that were right a moment ago, so that a push of twenty layers does not cost sixty slow hashes.
//!
//! An entry is a MAC, under a key that dies with the process, over account, stored hash and password. A changed
//! password changes the stored hash and misses at once; the caller reads the account each time.
//!
//! *Invariant:* the cache never says yes to a password that was not checked against exactly this stored hash, and
//! holds a bounded number of entries of 32 bytes from which no password can be told.

use std::time::Duration;

use moka::sync::Cache;
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::SecureRandom;

use crate::clock::Clock;
use crate::secret::Secret;

/// More accounts than this within one lifetime are checked again.
const MAX_ENTRIES: u64 = 10_000;

/// Remembers verified passwords.
#[derive(Debug)]
pub struct VerifiedPasswords {
    key: hmac::Key,
    /// MAC → the second at which it ends.
    entries: Cache<[u8; 32], i64>,
    lifetime: Duration,
}

impl VerifiedPasswords {
    /// Remembers for `lifetime`; zero means not at all. Fails where the system gives no random numbers.
    pub fn new(lifetime: Duration, random: &dyn SecureRandom) -> Result<Self, Unspecified> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, random)?;
        let entries = Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(lifetime).build();
        Ok(Self { key, entries, lifetime })
    }

    /// Whether this password was verified for this account and stored hash.
    pub fn contains(&self, account: &[u8], hash: &str, password: &Secret, clock: &dyn Clock) -> bool {
        !self.lifetime.is_zero()
            && self.entries.get(&self.mac(account, hash, password)).is_some_and(|end| clock.unix_now() < end)
    }

    /// Remembers that it was.
    pub fn insert(&self, account: &[u8], hash: &str, password: &Secret, clock: &dyn Clock) {
        if !self.lifetime.is_zero() {
            let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
            let end = clock.unix_now().saturating_add(lifetime);
            self.entries.insert(self.mac(account, hash, password), end);
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries.invalidate_all();
    }

    fn mac(&self, account: &[u8], hash: &str, password: &Secret) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        // Lengths keep the parts apart.
        for part in [account, hash.as_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.update(password.expose().as_bytes());
        context.sign().as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn only_the_same_account_hash_and_password_hit_and_only_for_a_while() {
        let clock = ManualClock::default();
        let cache = VerifiedPasswords::new(Duration::from_mins(1), &SystemRandom::new()).expect("random");
        cache.insert(b"alice", "hash", &Secret::new("password"), &clock);
        assert!(cache.contains(b"alice", "hash", &Secret::new("password"), &clock));
        assert!(!cache.contains(b"bob", "hash", &Secret::new("password"), &clock));
        assert!(!cache.contains(b"alice", "other", &Secret::new("password"), &clock));
        assert!(!cache.contains(b"alice", "hash", &Secret::new("passwore"), &clock));
        assert!(!cache.contains(b"alice", "hashp", &Secret::new("assword"), &clock));
        assert!(!cache.contains(b"aliceh", "ash", &Secret::new("password"), &clock));
        clock.advance(Duration::from_mins(1));
        assert!(!cache.contains(b"alice", "hash", &Secret::new("password"), &clock));
    }

    #[test]
    fn what_was_cleared_is_checked_again() {
        let clock = ManualClock::default();
        let cache = VerifiedPasswords::new(Duration::from_mins(1), &SystemRandom::new()).expect("random");
        cache.insert(b"alice", "hash", &Secret::new("password"), &clock);
        cache.clear();
        assert!(!cache.contains(b"alice", "hash", &Secret::new("password"), &clock));
    }

    #[test]
    fn no_lifetime_means_no_memory() {
        let clock = ManualClock::default();
        let cache = VerifiedPasswords::new(Duration::ZERO, &SystemRandom::new()).expect("random");
        cache.insert(b"", "hash", &Secret::new("password"), &clock);
        assert!(!cache.contains(b"", "hash", &Secret::new("password"), &clock));
    }
}
