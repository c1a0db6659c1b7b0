//! Passwords that were right a moment ago, so that a push of twenty layers does not cost sixty slow hashes.
//!
//! An entry is a MAC, under a key that dies with the process, over user, stored hash and password. A changed
//! password changes the stored hash and misses at once; the caller reads the user's row each time.
//!
//! *Invariant:* the cache never says yes to a password that was not checked against exactly this stored hash, and
//! holds a bounded number of entries of 32 bytes from which no password can be told.

use std::time::Duration;

use moka::sync::Cache;
use ring::hmac;
use ring::rand::SystemRandom;
use shared::clock::Clock;
use shared::secret::Secret;
use uuid::Uuid;

use super::random::{self, NoRandomness};

/// More users than this within one lifetime are checked again.
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
    /// Remembers for `lifetime`; zero means not at all.
    pub fn new(lifetime: Duration, random: &SystemRandom) -> Result<Self, NoRandomness> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random::bytes::<32>(random)?);
        let entries = Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(lifetime).build();
        Ok(Self { key, entries, lifetime })
    }

    /// Whether this password was verified for this user and stored hash.
    pub fn contains(&self, uid: Uuid, hash: &str, password: &Secret, clock: &dyn Clock) -> bool {
        !self.lifetime.is_zero()
            && self.entries.get(&self.mac(uid, hash, password)).is_some_and(|end| clock.unix_now() < end)
    }

    /// Remembers that it was.
    pub fn insert(&self, uid: Uuid, hash: &str, password: &Secret, clock: &dyn Clock) {
        if !self.lifetime.is_zero() {
            let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
            let end = clock.unix_now().saturating_add(lifetime);
            self.entries.insert(self.mac(uid, hash, password), end);
        }
    }

    fn mac(&self, uid: Uuid, hash: &str, password: &Secret) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(uid.as_bytes());
        // Its length keeps hash and password apart.
        context.update(&(hash.len() as u64).to_be_bytes());
        context.update(hash.as_bytes());
        context.update(password.expose().as_bytes());
        context.sign().as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use shared::clock::ManualClock;

    use super::*;

    #[test]
    fn only_the_same_user_hash_and_password_hit_and_only_for_a_while() {
        let clock = ManualClock::default();
        let cache = VerifiedPasswords::new(Duration::from_mins(1), &SystemRandom::new()).unwrap();
        let (alice, bob) = (Uuid::from_u128(1), Uuid::from_u128(2));
        cache.insert(alice, "hash", &Secret::new("password"), &clock);
        assert!(cache.contains(alice, "hash", &Secret::new("password"), &clock));
        assert!(!cache.contains(bob, "hash", &Secret::new("password"), &clock));
        assert!(!cache.contains(alice, "other", &Secret::new("password"), &clock));
        assert!(!cache.contains(alice, "hash", &Secret::new("passwore"), &clock));
        assert!(!cache.contains(alice, "hashp", &Secret::new("assword"), &clock));
        clock.advance(Duration::from_mins(1));
        assert!(!cache.contains(alice, "hash", &Secret::new("password"), &clock));
    }

    #[test]
    fn no_lifetime_means_no_memory() {
        let clock = ManualClock::default();
        let cache = VerifiedPasswords::new(Duration::ZERO, &SystemRandom::new()).unwrap();
        cache.insert(Uuid::nil(), "hash", &Secret::new("password"), &clock);
        assert!(!cache.contains(Uuid::nil(), "hash", &Secret::new("password"), &clock));
    }
}
