//! How wrong passwords are counted, by a clock that stands still, for two servers on one database.
//!
//! *Invariant:* tries are counted before they are checked, and the servers count as one.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use harness::database::Database;
use ring::rand::SystemRandom;
use shared::clock::Clock;
use shared::secret::Secret;
use time::OffsetDateTime;
use token_server::db;
use token_server::domain::login::door::{
    Door, FORGOTTEN_AFTER, FREE_TRIES, FREE_TRIES_OF_A_PLACE, Knock, Place, Try,
};

/// A clock that stands still unless it is moved.
#[derive(Debug, Default)]
struct StoppedClock(AtomicI64);

impl StoppedClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs().cast_signed(), Ordering::SeqCst);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(self.0.load(Ordering::SeqCst))
    }
}

/// Two servers on one database; tries go to one and the other in turn.
struct Street {
    doors: [Door; 2],
    clock: StoppedClock,
    tries: AtomicUsize,
    // After what is connected to it.
    _database: Database,
}

impl Street {
    async fn new() -> anyhow::Result<Self> {
        let database = Database::create().await?;
        let pool = db::connect(&Secret::new(database.url()), 8)?;
        let random = SystemRandom::new();
        let doors = [Door::new(pool.clone(), &random)?, Door::new(pool, &random)?];
        let (clock, tries) = (StoppedClock::default(), AtomicUsize::default());
        Ok(Self { doors, clock, tries, _database: database })
    }

    /// Tries a password, which is wrong unless it is `right`.
    async fn knock_at(
        &self,
        door: usize,
        user: &str,
        password: &str,
        address: &str,
    ) -> anyhow::Result<Knock> {
        let (password, place) = (Secret::new(password), Place::At(Some(address.parse()?)));
        let knocking = Try { user, hash: "hash", password: &password, place };
        let door = &self.doors[door % self.doors.len()];
        let knock = door.knock(&knocking, &self.clock).await?;
        if knock == Knock::Check {
            if password.expose() == "right" {
                door.was_right(&knocking, &self.clock).await?;
            } else {
                door.was_wrong(&knocking, &self.clock);
            }
        }
        Ok(knock)
    }

    /// The same at the first server.
    async fn knock(&self, user: &str, password: &str, address: &str) -> anyhow::Result<Knock> {
        self.knock_at(0, user, password, address).await
    }

    /// How many of so many wrong passwords that were not tried before are checked, at both servers in turn.
    async fn guess(&self, user: &str, times: i32, address: &str) -> anyhow::Result<i32> {
        let mut checked = 0;
        for _ in 0..times {
            let number = self.tries.fetch_add(1, Ordering::SeqCst);
            let knock = self.knock_at(number, user, &format!("guess {number}"), address).await?;
            checked += i32::from(knock == Knock::Check);
        }
        Ok(checked)
    }
}

const HERE: &str = "192.0.2.1";

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn guesses_wait_longer_and_longer_and_only_there() -> anyhow::Result<()> {
    let street = Street::new().await?;
    assert_eq!(street.guess("alice", FREE_TRIES + 5, HERE).await?, FREE_TRIES + 1);
    assert_eq!(street.knock("alice", "another", HERE).await?, Knock::Wait(SECOND));
    street.clock.advance(SECOND);
    assert_eq!(street.knock("alice", "another", HERE).await?, Knock::Check);
    assert_eq!(street.knock("alice", "and another", HERE).await?, Knock::Wait(2 * SECOND));
    assert_eq!(street.knock("alice", "and another", "192.0.2.2").await?, Knock::Check);
    assert_eq!(street.knock("bob", "and another", HERE).await?, Knock::Check);
    // However often, it is minutes and not hours.
    for _ in 0..40 {
        street.guess("alice", 1, HERE).await?;
        street.clock.advance(300 * SECOND);
    }
    street.guess("alice", 1, HERE).await?;
    assert_eq!(street.knock("alice", "the last", HERE).await?, Knock::Wait(300 * SECOND));
    street.clock.advance(FORGOTTEN_AFTER);
    assert_eq!(street.guess("alice", FREE_TRIES, HERE).await?, FREE_TRIES);
    Ok(())
}

#[tokio::test]
async fn the_same_wrong_password_again_is_one_guess_and_no_check() -> anyhow::Result<()> {
    let street = Street::new().await?;
    assert_eq!(street.knock("alice", "old", HERE).await?, Knock::Check);
    for _ in 0..100 {
        assert_eq!(street.knock("alice", "old", HERE).await?, Knock::Wrong);
    }
    assert_eq!(street.guess("alice", FREE_TRIES - 1, HERE).await?, FREE_TRIES - 1);
    street.clock.advance(60 * SECOND);
    assert_eq!(street.knock("alice", "old", HERE).await?, Knock::Check);
    Ok(())
}

#[tokio::test]
async fn who_was_right_there_within_a_day_is_not_kept_out_by_others_and_helps_them_nothing()
-> anyhow::Result<()> {
    let street = Street::new().await?;
    assert_eq!(street.knock("alice", "right", HERE).await?, Knock::Check);
    assert_eq!(street.guess("alice", 100, HERE).await?, FREE_TRIES + 1);
    assert_eq!(street.knock("alice", "right", HERE).await?, Knock::Check);
    assert_eq!(street.guess("alice", 100, HERE).await?, 0);
    street.clock.advance(Duration::from_hours(23));
    street.guess("alice", 100, HERE).await?;
    assert_eq!(street.knock("alice", "right", HERE).await?, Knock::Check);
    Ok(())
}

#[tokio::test]
async fn one_place_does_not_try_a_few_passwords_of_everybody() -> anyhow::Result<()> {
    let street = Street::new().await?;
    let mut checked = 0;
    for user in 0..FREE_TRIES_OF_A_PLACE + 20 {
        checked += street.guess(&format!("u{user}"), 1, HERE).await?;
    }
    assert_eq!(checked, FREE_TRIES_OF_A_PLACE + 1);
    assert_eq!(street.guess("u1", 1, "2001:db8::1").await?, 1);
    Ok(())
}

#[tokio::test]
async fn many_who_are_right_are_never_kept_waiting() -> anyhow::Result<()> {
    let street = Street::new().await?;
    for user in 0..FREE_TRIES_OF_A_PLACE + 20 {
        assert_eq!(street.knock(&format!("u{user}"), "right", HERE).await?, Knock::Check);
    }
    Ok(())
}

#[tokio::test]
async fn neighbours_in_one_network_of_version_six_are_one() -> anyhow::Result<()> {
    let street = Street::new().await?;
    street.guess("alice", FREE_TRIES + 1, "2001:db8::1").await?;
    assert_eq!(street.knock("alice", "x", "2001:db8::2").await?, Knock::Wait(SECOND));
    assert_eq!(street.knock("alice", "x", "2001:db8:0:1::1").await?, Knock::Check);
    Ok(())
}

#[tokio::test]
async fn many_guesses_at_once_are_as_many_guesses() -> anyhow::Result<()> {
    let street = Street::new().await?;
    let made = (0..10).map(|_| street.guess("alice", 5, HERE));
    let checked: i32 = futures_util::future::try_join_all(made).await?.into_iter().sum();
    assert_eq!(checked, FREE_TRIES + 1);
    Ok(())
}
