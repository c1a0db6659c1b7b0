//! Logins against files that change, in a flood, and at once.

use std::fs;

use futures_util::future::join_all;
use ring::rand::SystemRandom;
use shared::clock::ManualClock;

use super::*;

const CHEAP: u32 = 4;

struct Door {
    clock: Arc<ManualClock>,
    htpasswd: Htpasswd,
    folder: tempfile::TempDir,
}

fn line(user: &str, password: &str, cost: u32) -> String {
    let parts = bcrypt::hash_with_result(password, cost).expect("a hash");
    format!("{user}:{}\n", parts.format_for_version(bcrypt::Version::TwoY))
}

impl Door {
    fn with(text: &str) -> Self {
        let (folder, clock) = (tempfile::tempdir().expect("a folder"), Arc::new(ManualClock::default()));
        let path = folder.path().join("htpasswd");
        fs::write(&path, text).expect("written");
        let settings = HtpasswdSettings { realm: "a test".into(), path };
        let htpasswd = Htpasswd::load(settings, clock.clone(), &SystemRandom::new()).expect("a file");
        Self { clock, htpasswd, folder }
    }

    async fn try_from(&self, user: &str, password: &str, source: &str) -> Result<(), LoginError> {
        let source = Some(source.parse().expect("an address"));
        self.htpasswd.check(user, &Secret::new(password), source).await
    }

    async fn knock(&self, user: &str, password: &str) -> Result<(), LoginError> {
        self.try_from(user, password, "192.0.2.1").await
    }

    fn runs(&self) -> u64 {
        self.htpasswd.gate.runs().get()
    }
}

#[tokio::test]
async fn a_right_password_is_hashed_once_however_often_it_comes() {
    let door = Door::with(&line("alice", "p:w", CHEAP));
    for _ in 0..50 {
        assert_eq!(door.knock("alice", "p:w").await, Ok(()));
    }
    assert_eq!(door.runs(), 1);
    door.clock.advance(REMEMBERED);
    assert_eq!(door.knock("alice", "p:w").await, Ok(()));
    assert_eq!(door.runs(), 2);
}

#[tokio::test]
async fn twenty_requests_at_once_with_a_right_password_all_get_in() {
    let door = Door::with(&line("alice", "password", CHEAP));
    let all = join_all((0..20).map(|_| door.knock("alice", "password"))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    let at_once = u64::try_from(HashingGate::default_concurrency()).expect("few");
    assert!(door.runs() <= at_once, "{} hashes; {at_once} run at once", door.runs());
}

#[tokio::test]
async fn unknown_users_and_useless_lines_cost_one_check_and_say_no() {
    let door = Door::with(&format!("{}bob:{{SHA}}x\n", line("alice", "password", CHEAP)));
    for (number, user) in (1..).zip(["alice", "mallory", "bob", "Alice", "alice "]) {
        assert_eq!(door.knock(user, "wrong").await, Err(LoginError::Wrong), "{user}");
        assert_eq!(door.runs(), number, "{user}");
    }
}

#[tokio::test]
async fn what_is_empty_or_endless_is_not_hashed() {
    let door = Door::with(&line("alice", "", CHEAP));
    let long = "x".repeat(MAX_PASSWORD_BYTES + 1);
    for (user, password) in [("alice", ""), ("", "password"), ("", ""), ("alice", long.as_str())] {
        assert_eq!(door.knock(user, password).await, Err(LoginError::Wrong));
    }
    assert_eq!(door.runs(), 0);
}

#[tokio::test]
async fn passwords_count_to_their_seventy_second_byte_as_the_format_has_it() {
    let long = "x".repeat(72);
    let door = Door::with(&line("alice", &long, CHEAP));
    assert_eq!(door.knock("alice", &long).await, Ok(()));
    assert_eq!(door.knock("alice", &format!("{long}more")).await, Ok(()));
    assert_eq!(door.knock("alice", &"x".repeat(71)).await, Err(LoginError::Wrong));
    assert_eq!(door.knock("alice", "nul\0").await, Err(LoginError::Wrong));
}

#[tokio::test]
async fn a_tenth_wrong_password_is_the_last_one_that_is_hashed() {
    let door = Door::with(&line("alice", "password", CHEAP));
    let guesses: Vec<_> = (0..50).map(|number| format!("guess {number}")).collect();
    for outcome in join_all(guesses.iter().map(|guess| door.knock("alice", guess))).await {
        assert!(matches!(outcome, Err(LoginError::Wrong | LoginError::TooManyFailures { .. })));
    }
    // Those that were running when the tenth failed are the only ones above ten.
    let at_once = u64::try_from(HashingGate::default_concurrency()).expect("few");
    assert!(door.runs() < 10 + at_once, "{} hashes", door.runs());
    let before = door.runs();
    let Err(LoginError::TooManyFailures { wait }) = door.knock("alice", "password").await else {
        panic!("the right guess after many wrong ones has to wait as well");
    };
    assert!(wait <= Duration::from_mins(1));
    assert_eq!(door.runs(), before);
    assert_eq!(door.try_from("alice", "password", "198.51.100.7").await, Ok(()), "she is elsewhere");
    assert_eq!(door.knock("alice", "password").await, Ok(()), "what was right a moment ago is not a guess");
    door.clock.advance(wait);
    assert_eq!(door.knock("alice", "other").await, Err(LoginError::Wrong));
}

#[tokio::test]
async fn more_logins_than_are_queued_are_turned_away() {
    let door = Door::with(&line("alice", "password", CHEAP));
    // Work that waits for the test, so that no place is given back too early.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(held));
    let running = (0..HashingGate::default_concurrency()).map(|_| {
        let held = held.clone();
        door.htpasswd.gate.run(move |_| held.lock().expect("no panic").recv().is_err())
    });
    let mut running = Box::pin(join_all(running));
    assert!(futures_util::poll!(&mut running).is_pending());
    let users: Vec<_> = (0..HashingGate::DEFAULT_QUEUE + 5).map(|number| format!("user-{number}")).collect();
    let mut logins = Box::pin(join_all(users.iter().map(|user| door.knock(user, "wrong"))));
    assert!(futures_util::poll!(&mut logins).is_pending());
    drop(release);
    assert!(running.await.into_iter().all(|outcome| outcome == Ok(true)));
    let all = logins.await;
    assert_eq!(all.iter().filter(|outcome| **outcome == Err(LoginError::Busy)).count(), 5);
    assert_eq!(door.knock("alice", "password").await, Ok(()));
}

#[tokio::test]
async fn a_changed_file_counts_without_a_restart_and_a_broken_one_does_not() {
    let door = Door::with(&(line("alice", "password", CHEAP) + &line("bob", "password", CHEAP)));
    let path = door.folder.path().join("htpasswd");
    let mut known = Known { stamp: door.htpasswd.seen, refused: None };
    door.htpasswd.look_again(&mut known).await;
    assert_eq!(door.knock("alice", "password").await, Ok(()));
    assert_eq!(door.knock("bob", "password").await, Ok(()));
    assert_eq!(door.runs(), 2, "a file that did not change takes nothing away");
    for broken in ["no colon", "\0"] {
        fs::write(&path, broken).expect("written");
        door.htpasswd.look_again(&mut known).await;
        assert_eq!(door.knock("alice", "password").await, Ok(()), "{broken:?}");
        assert!(known.refused.is_some());
    }
    fs::remove_file(&path).expect("removed");
    door.htpasswd.look_again(&mut known).await;
    assert_eq!(door.knock("alice", "password").await, Ok(()));
    fs::write(&path, line("bob", "password", CHEAP) + &line("carol", "new", CHEAP)).expect("written");
    door.htpasswd.look_again(&mut known).await;
    assert_eq!(door.knock("alice", "password").await, Err(LoginError::Wrong), "she was removed");
    assert_eq!(door.knock("carol", "new").await, Ok(()));
    let before = door.runs();
    assert_eq!(door.knock("bob", "password").await, Ok(()));
    assert_eq!(door.runs(), before + 1, "nothing is remembered of the file before");
}

#[test]
fn the_work_of_a_wrong_password_is_that_of_the_highest_cost() {
    let work = |costs: Range<u32>| costs.map(|cost| 1 << cost).sum::<u32>();
    for (own, highest) in [(4, 4), (4, 9), (8, 9)] {
        assert_eq!((1 << own) + work(remaining_costs(Some(own), highest)), 1 << highest);
        assert_eq!(work(remaining_costs(None, highest)), 1 << highest);
    }
}

#[test]
fn a_file_that_is_missing_says_how_to_make_one() {
    let settings = HtpasswdSettings { realm: "a test".into(), path: "/nonexistent/htpasswd".into() };
    let outcome = Htpasswd::load(settings, Arc::new(ManualClock::default()), &SystemRandom::new());
    let text = outcome.err().expect("an error").to_string();
    assert!(text.contains("/nonexistent/htpasswd") && text.contains("htpasswd -Bbn"), "{text}");
}
