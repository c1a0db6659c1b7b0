//! Who has tried too often: wrong passwords are counted by user and by where they come from, before they are checked.
//!
//! The same wrong password again is no further guess: it is answered without another check, so a script with an old
//! password, or a client that asks in two ways, counts once. A password that was right from that place within a day is
//! let through whatever others try there, and elsewhere a user is not affected at all. Secrets of robots, personal
//! access tokens and kept logins cannot be guessed and do not come here.
//!
//! All servers on one database count together.
//!
//! *Invariant:* of many guesses at once no more are let through than of as many in a row; memory is bounded whatever is
//! tried, and no password can be told from it.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use moka::future::Cache;
use ring::rand::SystemRandom;
use ring::{digest, hmac};
use shared::clock::Clock;
use shared::secret::Secret;
use shared::server::causes;
use shared::server::passwords::verified::VerifiedPasswords;

use time::OffsetDateTime;

use super::super::random::NoRandomness;
use crate::db::Pool;
use crate::db::error::DbError;
use crate::db::login_tries::{self, Bounds};

/// So many wrong passwords of a user are borne from one place; then each one makes the next wait longer, from a second
/// on.
pub const FREE_TRIES: i32 = 10;

/// The same of all users together.
pub const FREE_TRIES_OF_A_PLACE: i32 = 300;

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// Without another wrong one for this long, all is forgotten.
pub const FORGOTTEN_AFTER: Duration = Duration::from_mins(15);

/// For so long the same wrong password is not checked again.
const WRONG_FOR: Duration = Duration::from_mins(1);

/// More tries than this within a minute push one another out, and count again.
const MAX_ENTRIES: u64 = 100_000;

/// For so long a password that was right is let through from the same place.
const RIGHT_FOR: Duration = Duration::from_hours(24);

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

/// Why one is not to be checked.
#[derive(Debug)]
enum Refused {
    Wait(Duration),
    Failed(DbError),
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
    pub place: Place,
}

/// From where somebody tries, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This address, if it is known.
    At(Option<IpAddr>),
    /// All places together, for what only those can try who have shown something else of the user already: a stranger
    /// locks nobody out by it.
    Anywhere,
}

impl Try<'_> {
    /// Where it comes from, as it is counted.
    fn place(&self) -> Vec<u8> {
        let place = match self.place {
            Place::Anywhere => format!("anywhere {}", self.user),
            // Whoever has one address of a network has all of them.
            Place::At(Some(IpAddr::V6(address))) => {
                Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).to_string()
            }
            Place::At(Some(IpAddr::V4(address))) => address.to_string(),
            Place::At(None) => String::new(),
        };
        hashed(&place)
    }

    /// The user there.
    fn account(&self) -> Vec<u8> {
        [self.place(), hashed(self.user)].concat()
    }
}

/// Of a name that was typed, which can be a password, no more is kept.
fn hashed(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

/// Counts wrong passwords.
#[derive(Debug)]
pub struct Door {
    pool: Pool,
    /// Of what was counted a moment ago there is a MAC under this key.
    key: hmac::Key,
    counted: Cache<[u8; 32], ()>,
    /// What was found to be wrong or right.
    wrong: VerifiedPasswords,
    right: VerifiedPasswords,
}

impl Door {
    /// Counts in this database, together with the other servers.
    pub fn new(pool: Pool, random: &SystemRandom) -> Result<Self, NoRandomness> {
        let memory = |lifetime| VerifiedPasswords::new(lifetime, random).map_err(|_| NoRandomness);
        let key = hmac::Key::generate(hmac::HMAC_SHA256, random).map_err(|_| NoRandomness)?;
        let counted = Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(WRONG_FOR).build();
        Ok(Self { pool, key, counted, wrong: memory(WRONG_FOR)?, right: memory(RIGHT_FOR)? })
    }

    /// Counts a try as wrong, unless it turns out to be right, and says whether it may be checked.
    pub async fn knock(&self, knocking: &Try<'_>, clock: &dyn Clock) -> Result<Knock, DbError> {
        let Try { hash, password, .. } = *knocking;
        let account = knocking.account();
        if self.right.contains(&account, hash, password, clock) {
            return Ok(Knock::Check);
        }
        if self.wrong.contains(&account, hash, password, clock) {
            return Ok(Knock::Wrong);
        }
        // Whoever sends it many times at once has one guess, and what is said of the first is said of all.
        let mac = self.mac(knocking, &account);
        let counting = self.counted.try_get_with(mac, self.count(knocking, &account, clock.now()));
        match counting.await {
            Ok(()) => Ok(Knock::Check),
            Err(refused) => match &*refused {
                Refused::Wait(wait) => Ok(Knock::Wait(*wait)),
                Refused::Failed(error) => {
                    tracing::warn!(error = causes::sentence(error), "a wrong password cannot be counted");
                    Err(DbError::timed_out())
                }
            },
        }
    }

    async fn count(&self, knocking: &Try<'_>, account: &[u8], now: OffsetDateTime) -> Result<(), Refused> {
        // The user first: what has to wait for that is held against nobody else who is there.
        for (key, free) in [(account, FREE_TRIES), (&*knocking.place(), FREE_TRIES_OF_A_PLACE)] {
            let bounds = Bounds { free, longest_wait: LONGEST_WAIT, forgotten_after: FORGOTTEN_AFTER };
            let until = login_tries::count(&self.pool, key, bounds, now).await.map_err(Refused::Failed)?;
            if let Some(until) = until {
                let seconds = (until - now).whole_milliseconds().unsigned_abs().div_ceil(1_000).max(1);
                return Err(Refused::Wait(Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))));
            }
        }
        Ok(())
    }

    fn mac(&self, tried: &Try<'_>, account: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        // The account has one length; the length of the hash keeps the other two apart.
        context.update(account);
        context.update(&(tried.hash.len() as u64).to_be_bytes());
        context.update(tried.hash.as_bytes());
        context.update(tried.password.expose().as_bytes());
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// It was right: nothing of the user is held against that place, and it was none of the wrong ones of all.
    pub async fn was_right(&self, tried: &Try<'_>, clock: &dyn Clock) -> Result<(), DbError> {
        let account = tried.account();
        // What is let through is not counted either, and of the same many times at once one was.
        if self.right.contains(&account, tried.hash, tried.password, clock) {
            return Ok(());
        }
        self.right.insert(&account, tried.hash, tried.password, clock);
        login_tries::delete_counted(&self.pool, &account, &tried.place()).await
    }

    /// It was not checked after all, so it was no guess.
    pub async fn was_not_checked(&self, tried: &Try<'_>) -> Result<(), DbError> {
        let account = tried.account();
        self.counted.invalidate(&self.mac(tried, &account)).await;
        login_tries::take_back(&self.pool, &[account, tried.place()]).await
    }

    /// It was wrong.
    pub fn was_wrong(&self, tried: &Try<'_>, clock: &dyn Clock) {
        self.wrong.insert(&tried.account(), tried.hash, tried.password, clock);
    }
}
