//! Entries and tokens against each other, one by one and many at a time.

use std::time::Instant;

use proptest::prelude::*;
use shared::claims::PortcullisClaim;
use shared::repository_name::RepositoryName;
use shared::revocations::{Entry, NamePrefix, Position};

use super::set::{Change, RevocationSet};
use super::*;

const fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn name(text: &str) -> RepositoryName {
    text.parse().expect("a name")
}

fn prefix(text: &str) -> NamePrefix {
    NamePrefix::parse(text).expect("a place")
}

/// An entry about everything, to be narrowed.
fn entry(at: i64) -> Entry {
    Entry { at, keep: 100, ..Entry::default() }
}

/// The rule as it is written, which the index must come to as well.
fn is_about(entry: &Entry, facts: &Facts<'_>) -> bool {
    let subject = entry.subject.is_none() || entry.subject == facts.subject;
    let may_be_any = facts.decided.is_none() && facts.credential.is_none();
    let credential = entry.credential.is_none() || entry.credential == facts.credential || may_be_any;
    let key = entry.key.is_none() || entry.key.as_deref() == facts.key;
    let is_placed = entry.repository.is_some() || entry.below.is_some();
    let place = match facts.about {
        About::Nothing => !is_placed,
        About::Lists => true,
        About::Repository(name) => {
            entry.repository.as_ref().is_none_or(|repository| repository == name)
                && entry.below.as_ref().is_none_or(|below| below.covers(name))
        }
    };
    subject && credential && key && place
}

fn refused_by_rule(entries: &[Entry], facts: &Facts<'_>) -> bool {
    let before = |entry: &Entry| facts.decided.is_none_or(|decided| decided < entry.at);
    entries.iter().any(|entry| before(entry) && is_about(entry, facts))
}

fn index_of(entries: Vec<Entry>) -> Index {
    let mut set = RevocationSet::new(1000);
    set.take(entries, true, Instant::now());
    set.index()
}

/// A token of alice's, decided at 10 with credential 2 and key `k`.
fn facts(about: About<'_>) -> Facts<'_> {
    Facts { decided: Some(10), subject: Some(id(1)), credential: Some(id(2)), key: Some("k"), about }
}

#[test]
fn a_token_is_refused_if_everything_an_entry_names_is_true_of_it() {
    let app = name("team/app");
    let alice = || Entry { subject: Some(id(1)), ..entry(11) };
    for (what, entry, expected) in [
        ("everybody", entry(11), true),
        ("everybody, before it was decided", entry(10), false),
        ("alice", alice(), true),
        ("alice, before", Entry { at: 10, ..alice() }, false),
        ("another", Entry { subject: Some(id(9)), ..entry(11) }, false),
        ("the credential", Entry { credential: Some(id(2)), ..entry(11) }, true),
        ("another credential", Entry { credential: Some(id(9)), ..entry(11) }, false),
        ("alice with another credential", Entry { credential: Some(id(9)), ..alice() }, false),
        (
            "another with the credential",
            Entry { subject: Some(id(9)), credential: Some(id(2)), ..entry(11) },
            false,
        ),
        ("the key", Entry { key: Some("k".into()), ..entry(11) }, true),
        ("another key", Entry { key: Some("K".into()), ..entry(11) }, false),
        ("the repository", Entry { repository: Some(app.clone()), ..entry(11) }, true),
        ("another repository", Entry { repository: Some(name("team/app2")), ..entry(11) }, false),
        ("a repository above", Entry { repository: Some(name("team")), ..entry(11) }, false),
        ("the folder", Entry { below: Some(prefix("team/")), ..entry(11) }, true),
        ("the root", Entry { below: Some(prefix("")), ..entry(11) }, true),
        ("the repository as a folder", Entry { below: Some(prefix("team/app/")), ..entry(11) }, false),
        ("another folder", Entry { below: Some(prefix("tea/")), ..entry(11) }, false),
        ("alice there", Entry { below: Some(prefix("team/")), ..alice() }, true),
        ("alice elsewhere", Entry { below: Some(prefix("other/")), ..alice() }, false),
        ("another there", Entry { subject: Some(id(9)), below: Some(prefix("team/")), ..entry(11) }, false),
        (
            "both places",
            Entry { repository: Some(app.clone()), below: Some(prefix("team/")), ..entry(11) },
            true,
        ),
        (
            "places that exclude each other",
            Entry { repository: Some(app.clone()), below: Some(prefix("x/")), ..entry(11) },
            false,
        ),
    ] {
        let token = facts(About::Repository(&app));
        assert_eq!(index_of(vec![entry.clone()]).refuses(&token), expected, "{what}");
        assert_eq!(refused_by_rule(&[entry], &token), expected, "{what}, by the rule");
    }
}

#[test]
fn an_entry_for_a_place_is_about_lists_and_not_about_requests_without_a_place() {
    let entries = [
        Entry { repository: Some(name("a/b")), ..entry(11) },
        Entry { below: Some(prefix("a/")), ..entry(11) },
        Entry { below: Some(prefix("")), ..entry(11) },
        Entry { repository: Some(name("a/b")), below: Some(prefix("c/")), ..entry(11) },
    ];
    for entry in entries {
        let index = index_of(vec![entry.clone()]);
        assert!(index.refuses(&facts(About::Lists)), "{entry:?}");
        assert!(!index.refuses(&facts(About::Nothing)), "{entry:?}");
        assert!(!index.refuses(&Facts { decided: Some(11), ..facts(About::Lists) }), "{entry:?}");
    }
}

#[test]
fn a_token_that_does_not_say_when_was_decided_before_everything_and_with_any_credential() {
    let silent = Facts { decided: None, credential: None, ..facts(About::Nothing) };
    assert!(!index_of(vec![]).refuses(&silent));
    let credential = |number| Entry { credential: Some(id(number)), ..entry(i64::MIN) };
    for (entry, expected) in [
        (entry(i64::MIN), true),
        (credential(9), true),
        (Entry { subject: Some(id(1)), ..credential(9) }, true),
        (Entry { subject: Some(id(9)), ..credential(9) }, false),
        (Entry { subject: Some(id(9)), ..entry(0) }, false),
        (Entry { key: Some("other".into()), ..entry(0) }, false),
    ] {
        assert_eq!(index_of(vec![entry.clone()]).refuses(&silent), expected, "{entry:?}");
    }
    let anonymous = Facts { decided: Some(10), credential: None, ..silent };
    assert!(
        !index_of(vec![Entry { at: 11, ..credential(9) }]).refuses(&anonymous),
        "it says that it has none"
    );
}

#[test]
fn an_entry_is_forgotten_when_its_time_is_over() {
    let begin = Instant::now();
    let after = |seconds| begin + Duration::from_secs(seconds);
    let mut set = RevocationSet::new(10);
    let token = facts(About::Nothing);
    let alice = Entry { subject: Some(id(1)), ..entry(11) };
    set.take(vec![alice.clone(), Entry { keep: 5, key: Some("x".into()), ..entry(11) }], true, begin);
    assert_eq!(set.take(vec![], false, after(4)), Change::default());
    assert_eq!(set.len(), 2);
    assert!(set.take(vec![], false, after(5)).is_any);
    assert_eq!(set.len(), 1);
    // The same again, sooner over, does not make the first shorter; later over makes it longer.
    set.take(vec![Entry { keep: 1, ..alice.clone() }], false, after(5));
    set.take(vec![], false, after(99));
    assert!(set.index().refuses(&token));
    set.take(vec![Entry { at: 3, ..alice }], false, after(99));
    set.take(vec![], false, after(198));
    assert!(set.index().refuses(&token), "with the position of the first");
    set.take(vec![], false, after(199));
    assert_eq!(set.len(), 0);
    set.take(vec![Entry { keep: u64::MAX, ..entry(11) }], false, after(199));
    set.take(vec![], false, after(199 + 86_400));
    assert_eq!(set.len(), 0, "nothing is kept for ever");
}

#[test]
fn a_complete_answer_replaces_what_was_there() {
    let now = Instant::now();
    let of = |number: u128, at| Entry { subject: Some(id(number)), ..entry(at) };
    let key = Entry { key: Some("k".into()), ..entry(11) };
    let mut set = RevocationSet::new(2);
    let any = Change { is_any: true, ..Change::default() };
    let keys = Change { is_any: true, of_keys: true, ..Change::default() };
    assert_eq!(set.take(vec![of(1, 11), key.clone()], true, now), keys);
    assert_eq!(set.take(vec![key.clone(), of(1, 11)], true, now), Change::default(), "the same");
    assert_eq!(set.take(vec![key.clone()], true, now), any);
    assert!(!set.index().refuses(&Facts { key: None, ..facts(About::Nothing) }), "the first is gone");
    assert_eq!(set.take(vec![Entry { at: 12, ..key.clone() }], false, now), keys);
    assert_eq!(set.take(vec![key], false, now), Change::default(), "an older one adds nothing");
    let raised = set.take(vec![of(1, 1), of(2, 2), of(3, 3)], true, now);
    assert_eq!(raised, Change { is_any: true, of_floor: true, of_keys: false });
    assert_eq!(set.take(vec![], true, now), any);
    assert!(!set.index().refuses(&Facts { decided: Some(-1), ..facts(About::Nothing) }), "nor is the floor");
}

#[test]
fn the_oldest_make_room_and_what_was_decided_before_them_is_refused() {
    let now = Instant::now();
    let mut set = RevocationSet::new(16);
    let of = |number: u32| Entry { subject: Some(id(number.into())), ..entry(number.into()) };
    assert!(!set.take((1..=16).map(of).collect(), false, now).of_floor);
    assert_eq!(set.len(), 16);
    let stranger = |decided| Facts { decided, subject: Some(id(99)), ..facts(About::Nothing) };
    assert!(!set.index().refuses(&stranger(Some(0))));
    assert!(set.take(vec![of(17)], false, now).of_floor);
    assert_eq!(set.len(), 14, "an eighth is left free");
    let index = set.index();
    assert!(index.refuses(&stranger(Some(2))) && index.refuses(&stranger(None)), "decided before the third");
    assert!(!index.refuses(&stranger(Some(3))), "decided at the floor");
    assert!(index.refuses(&Facts { decided: Some(16), subject: Some(id(17)), ..facts(About::Nothing) }));
    assert!(!set.take(vec![of(18), of(19)], false, now).of_floor);
    // The floor is kept as long as what it was made of.
    set.take(vec![], false, now + Duration::from_secs(99));
    assert!(set.index().refuses(&stranger(Some(2))));
    set.take(vec![], false, now + Duration::from_secs(100));
    assert!(!set.index().refuses(&stranger(Some(2))) && set.len() == 0);
}

#[test]
fn entries_of_one_position_make_room_together() {
    let mut set = RevocationSet::new(1);
    let of = |number: u128| Entry { subject: Some(id(number)), ..entry(7) };
    set.take(vec![of(1), of(2), of(3)], true, Instant::now());
    assert_eq!(set.len(), 0);
    assert!(set.index().refuses(&Facts { decided: Some(6), ..facts(About::Nothing) }));
    assert!(!set.index().refuses(&Facts { decided: Some(7), ..facts(About::Nothing) }));
}

const OLD: Uuid = id(5 << 80);
const NOW: Uuid = id(6 << 80);
const NEW: Uuid = id(7 << 80);
const ISSUED: i64 = 1_000;

fn token(epoch: Uuid, at: i64) -> VerifiedToken {
    let decided = Some(Position { epoch, at });
    VerifiedToken::for_test(
        PortcullisClaim { uid: Some(id(1)), decided, ..PortcullisClaim::default() },
        "k",
        ISSUED,
    )
}

/// In a word, what becomes of a token of this age.
fn outcome(revocations: &Revocations, token: &VerifiedToken, age: i64, now: Instant) -> &'static str {
    match revocations.check(token, About::Nothing, ISSUED + age, now) {
        Ok(()) => "counts",
        Err(TokenError::NotYoung) => "not young",
        Err(error) => error.outcome(),
    }
}

#[test]
fn a_token_from_an_older_life_of_the_database_is_refused_and_one_from_a_newer_is_not_trusted_blindly() {
    let begin = Instant::now();
    for (when_stale, young, old) in [
        (WhenStale::Degrade, "counts", "not young"),
        (WhenStale::Open, "counts", "counts"),
        (WhenStale::Strict, "feed_stale", "feed_stale"),
    ] {
        let revocations = Revocations::new(when_stale, begin);
        revocations.publish(NOW, index_of(vec![Entry { subject: Some(id(1)), ..entry(11) }]));
        revocations.hear(begin);
        let ask = |epoch, at, age| outcome(&revocations, &token(epoch, at), age, begin);
        assert_eq!(ask(OLD, 1_000, 0), "revoked");
        assert_eq!(ask(NOW, 10, 0), "revoked");
        assert_eq!(ask(NOW, 11, 299), "counts");
        assert_eq!(ask(NEW, 0, 59), young, "{when_stale:?}");
        assert_eq!(ask(NEW, 0, 60), old, "{when_stale:?}");
    }
}

#[test]
fn a_silent_feed_degrades_opens_or_shuts_and_what_is_known_stays_revoked() {
    let begin = Instant::now();
    let after = |milliseconds| begin + Duration::from_millis(milliseconds);
    for (when_stale, young, old) in [
        (WhenStale::Degrade, "counts", "not young"),
        (WhenStale::Open, "counts", "counts"),
        (WhenStale::Strict, "feed_stale", "feed_stale"),
    ] {
        let revocations = Revocations::new(when_stale, begin);
        let ask = |at, age, now| outcome(&revocations, &token(NOW, at), age, now);
        assert_eq!(ask(11, 59, begin), young, "{when_stale:?}, before the first answer");
        assert_eq!(ask(11, 60, begin), old, "{when_stale:?}, before the first answer");
        assert_eq!(revocations.keeps_everybody_out(begin), when_stale == WhenStale::Strict);
        revocations.publish(NOW, index_of(vec![Entry { subject: Some(id(1)), ..entry(11) }]));
        revocations.hear(after(2_000));
        for moment in [2_000, 17_000] {
            assert_eq!(ask(11, 299, after(moment)), "counts");
            assert!(!revocations.keeps_everybody_out(after(moment)));
        }
        assert_eq!(ask(11, 59, after(17_001)), young, "{when_stale:?}");
        assert_eq!(ask(11, 60, after(17_001)), old, "{when_stale:?}");
        assert_eq!(ask(10, 0, after(17_001)), "revoked", "{when_stale:?}");
        revocations.hear(after(20_000));
        assert_eq!(ask(11, 299, after(20_000)), "counts");
    }
}

fn some_entry() -> impl Strategy<Value = Entry> {
    let id = || proptest::option::weighted(0.4, (1_u128..4).prop_map(id));
    let key = proptest::option::weighted(0.3, prop_oneof!["k", "l"]);
    let repository = proptest::option::weighted(0.3, prop_oneof!["a", "b", "a/b", "a/b/c", "ab"]);
    let below = proptest::option::weighted(0.3, prop_oneof!["", "a/", "b/", "a/b/"]);
    (0_i64..6, id(), id(), key, repository, below).prop_map(
        |(at, subject, credential, key, repository, below)| Entry {
            at,
            keep: 100,
            subject,
            credential,
            key,
            repository: repository.map(|text| name(&text)),
            below: below.map(|text| prefix(&text)),
        },
    )
}

proptest! {
    #[test]
    fn the_index_says_what_the_rule_says_of_every_entry(
        batches in proptest::collection::vec((proptest::bool::weighted(0.2), proptest::collection::vec(some_entry(), 0..6)), 1..4),
        decided in proptest::option::weighted(0.8, 0_i64..6),
        subject in proptest::option::weighted(0.8, 1_u128..4),
        credential in proptest::option::weighted(0.8, 1_u128..4),
        key in proptest::option::weighted(0.9, prop_oneof!["k", "l", "m"]),
        about in prop_oneof!["", "/", "a", "b", "ab", "a/b", "a/c", "a/b/c", "a/b/c/d"],
    ) {
        let mut set = RevocationSet::new(1000);
        let mut plain: Vec<Entry> = Vec::new();
        for (is_complete, entries) in batches {
            if is_complete {
                plain.clear();
            }
            plain.extend(entries.iter().cloned());
            set.take(entries, is_complete, Instant::now());
        }
        let repository = RepositoryName::parse(&about);
        let about = match &repository {
            Ok(repository) => About::Repository(repository),
            Err(_) if about.is_empty() => About::Nothing,
            Err(_) => About::Lists,
        };
        let facts =
            Facts { decided, subject: subject.map(id), credential: credential.map(id), key: key.as_deref(), about };
        prop_assert_eq!(set.index().refuses(&facts), refused_by_rule(&plain, &facts));
    }

    #[test]
    fn a_bound_never_lets_in_what_was_refused(
        max_entries in 1_usize..10,
        batches in proptest::collection::vec(proptest::collection::vec(some_entry(), 0..8), 1..5),
        decided in proptest::option::weighted(0.8, 0_i64..6),
        subject in 1_u128..4,
    ) {
        let mut set = RevocationSet::new(max_entries);
        for batch in &batches {
            set.take(batch.clone(), false, Instant::now());
            prop_assert!(set.len() <= max_entries);
        }
        let plain: Vec<Entry> = batches.concat();
        let app = name("a/b");
        for about in [About::Nothing, About::Lists, About::Repository(&app)] {
            let facts = Facts { decided, subject: Some(id(subject)), ..facts(about) };
            prop_assert!(set.index().refuses(&facts) || !refused_by_rule(&plain, &facts));
        }
    }
}
