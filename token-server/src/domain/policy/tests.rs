//! The decision against what it promises, and against a second one that is written another way.

use proptest::prelude::*;
use shared::repository_pattern::{RepositoryPattern, anchors};
use shared::scope::Resource;
use time::OffsetDateTime;

use super::super::grant::{Conditions, What};
use super::super::role::Role;
use super::*;

fn row(effect: Effect, what: What, pattern: &str, tags: Option<&str>) -> Grant {
    Grant {
        id: 0,
        holder: 0,
        effect,
        what,
        pattern: RepositoryPattern::parse(pattern).unwrap(),
        tags: tags.map(|tags| TagPattern::parse(tags).unwrap()),
        conditions: Conditions::default(),
    }
}

fn give(role: Role, pattern: &str) -> Grant {
    row(Effect::Allow, What::Role(role), pattern, None)
}

fn deny(rights: &str, pattern: &str) -> Grant {
    row(Effect::Deny, What::Rights(RightSet::parse(rights).unwrap()), pattern, None)
}

fn now() -> Circumstances {
    Circumstances { now: OffsetDateTime::from_unix_timestamp(1000).unwrap(), address: None }
}

fn repository(name: &str) -> RepositoryName {
    name.parse().unwrap()
}

fn rows(grants: &[Grant]) -> Rows {
    Rows { grants: grants.to_vec(), barriers: Vec::new(), ..Rows::default() }
}

fn barrier(pattern: &str, rights: &str) -> Barrier {
    Barrier::new(RepositoryPattern::parse(pattern).unwrap(), RightSet::parse(rights).unwrap()).unwrap()
}

fn held(grants: &[Grant], name: &str) -> Held {
    Held::of(&rows(grants), &repository(name), Some("b"), now())
}

#[test]
fn grants_add_up() {
    let grants = [give(Role::VIEWER, "a/**"), give(Role::WRITER, "a/b"), give(Role::OWNER, "*/c")];
    for (name, actions) in
        [("a", "pull"), ("a/b", "pull,push"), ("a/c", "pull,push,delete,repository-delete,*"), ("b", "")]
    {
        assert_eq!(held(&grants, name).actions().to_string(), actions);
        assert!(held(&grants, name).limited_actions().is_empty(), "{name}");
    }
}

#[test]
fn any_denial_beats_every_grant() {
    let grants = [give(Role::OWNER, "**"), deny("push", "a/frozen/**")];
    assert_eq!(held(&grants, "a/frozen/x").actions().to_string(), "pull,delete,repository-delete");
    let grants =
        [give(Role::OWNER, "**"), row(Effect::Deny, What::Rights(RightSet::DELETE), "a", Some("v*"))];
    // What takes a tag along that may not go may not be deleted either.
    let protected = held(&grants, "a");
    assert_eq!(protected.actions().to_string(), "pull,push,delete");
    assert!(!protected.allows(Right::ManifestDelete, None) && protected.allows(Right::TagDelete, Some("x")));
    let grants = [give(Role::OWNER, "**"), deny("push", "a/frozen/**")];
    assert_eq!(held(&grants, "a").actions().to_string(), "pull,push,delete,repository-delete,*");
    let grants = [give(Role::WRITER, "a"), deny("*", "a")];
    assert_eq!(held(&grants, "a").actions(), ActionSet::EMPTY);
}

#[test]
fn a_role_that_is_less_than_an_action_limits_it() {
    for (role, actions, limited, limits) in [
        (Role::SIGNER, "pull,push", "push", r#"{"name":"a","actions":["push"],"attach":true}"#),
        (
            Role::PUBLISHER,
            "pull,push",
            "push",
            r#"{"name":"a","actions":["push"],"create":{"in":["*"]},"new":true,"digests":true,"attach":true}"#,
        ),
    ] {
        let held = held(&[give(role, "a")], "a");
        assert_eq!(held.actions().to_string(), actions);
        assert_eq!(held.limited_actions().to_string(), limited);
        let told = held.limits(&"a".parse().unwrap(), held.actions()).unwrap();
        assert_eq!(serde_json::to_string(&told).unwrap(), limits);
        assert_eq!(held.limits(&"a".parse().unwrap(), ActionSet::of(&[Action::Pull])), None);
    }
}

#[test]
fn tags_of_rows_add_up_and_denied_ones_are_taken_out() {
    let allow = |role, tags| row(Effect::Allow, What::Role(role), "a", Some(tags));
    let mut grants = vec![allow(Role::WRITER, "pr-*"), allow(Role::PUBLISHER, "v*")];
    let told = |grants: &[Grant]| {
        let held = held(grants, "a");
        held.limits(&"a".parse().unwrap(), held.actions())
            .map(|limits| serde_json::to_string(&limits).unwrap())
    };
    let expected = r#"{"name":"a","actions":["push"],"create":{"in":["pr-*","v*"]},"update":{"in":["pr-*"]},"new":true,"digests":true}"#;
    assert_eq!(told(&grants).as_deref(), Some(expected));
    grants.push(row(Effect::Deny, What::Rights(RightSet::PUSH), "**", Some("v0.*")));
    let expected = r#"{"name":"a","actions":["push"],"create":{"in":["pr-*","v*"],"not":["v0.*"]},"update":{"in":["pr-*"],"not":["v0.*"]},"new":true,"digests":true}"#;
    assert_eq!(told(&grants).as_deref(), Some(expected));
    assert!(held(&grants, "a").allows(Right::TagCreate, Some("v1")));
    assert!(!held(&grants, "a").allows(Right::TagCreate, Some("v0.1")));
    assert!(!held(&grants, "a").allows(Right::TagUpdate, Some("v1")));
    // A grant without tags is for all of them; what is denied stays denied.
    grants.push(give(Role::WRITER, "a"));
    let expected = r#"{"name":"a","actions":["push"],"create":{"in":["*"],"not":["v0.*"]},"update":{"in":["*"],"not":["v0.*"]},"new":true,"digests":true,"attach":true}"#;
    assert_eq!(told(&grants).as_deref(), Some(expected));
    grants.push(row(Effect::Deny, What::Rights(RightSet::PUSH), "a", Some("*")));
    assert!(!held(&grants, "a").allows(Right::TagCreate, None));
}

#[test]
fn one_sees_what_one_may_pull_and_nothing_else() {
    let grants = [
        give(Role::VIEWER, "a/**"),
        give(Role::WRITER, "people/${user}/**"),
        row(Effect::Allow, What::Rights(RightSet::of(&[Right::TagCreate])), "c", None),
        deny("pull,push", "a/secret/**"),
        deny("push", "a/b"),
    ];
    let seen = visible(&rows(&grants), Some("b"), now()).unwrap();
    assert_eq!(
        serde_json::to_string(&seen).unwrap(),
        r#"[{"in":["a/**","people/b/**"],"not":["a/secret/**"]}]"#
    );
    for name in ["a", "a/b", "a/secret/x", "c", "people/b/x", "people/a/x"] {
        let pulls = held(&grants, name).allows(Right::Pull, None);
        assert_eq!(seen[0].contains(&name.parse().unwrap()), pulls, "{name}");
    }
    assert!(visible(&rows(&[]), None, now()).unwrap().is_empty());
    assert!(visible(&rows(&[give(Role::VIEWER, "**")]), None, now()).unwrap()[0].is_everything());
}

#[test]
fn a_barrier_stops_what_comes_from_above() {
    let grants = [give(Role::OWNER, "**"), give(Role::WRITER, "prod/app"), give(Role::VIEWER, "*/app")];
    let mut guarded = rows(&grants);
    guarded.barriers = vec![barrier("prod/**", "push,delete"), barrier("prod/secret/**", "pull")];
    let actions = |name: &str| Held::of(&guarded, &repository(name), None, now()).actions().to_string();
    assert_eq!(actions("other"), "pull,push,delete,repository-delete,*");
    assert_eq!(actions("prod"), "pull");
    assert_eq!(actions("prod/app"), "pull,push");
    assert_eq!(actions("prod/secret/x"), "", "barriers add up");
    let seen = visible(&guarded, None, now()).unwrap();
    for (name, expected) in [("prod/app", true), ("other", true), ("prod/secret", false)] {
        let name = name.parse().unwrap();
        assert_eq!(seen.iter().any(|set| set.contains(&name)), expected, "{name}");
    }
    // What stands below it shows again what it hides.
    guarded.grants.push(give(Role::VIEWER, "prod/secret/x"));
    let seen = visible(&guarded, None, now()).unwrap();
    for (name, expected) in [("prod/secret/x", true), ("prod/secret/y", false), ("other", true)] {
        let name = name.parse().unwrap();
        assert_eq!(seen.iter().any(|set| set.contains(&name)), expected, "{name}");
    }
    assert!(Barrier::new(RepositoryPattern::parse("a/*").unwrap(), RightSet::PUSH).is_err());
}

#[test]
fn a_row_that_does_not_count_now_changes_nothing() {
    let mut grant = give(Role::VIEWER, "a");
    grant.conditions.expires_at = Some(now().now);
    assert_eq!(held(&[grant], "a"), Held::default());
}

/// The question asked of each row by itself, in the words of the manual.
fn naive(grants: &[Grant], barriers: &[Barrier], name: &str, right: Right, tag: &str) -> bool {
    let about = |grant: &&Grant| {
        let pattern = grant.pattern.to_string().replace("${user}", "b");
        covers(&pattern.split('/').collect::<Vec<_>>(), &name.split('/').collect::<Vec<_>>())
    };
    let says = |grant: &Grant| match (&grant.tags, right) {
        (None, _) => grant.what.rights().contains(right),
        (Some(pattern), Right::TagCreate | Right::TagUpdate | Right::TagDelete) => {
            grant.what.rights().contains(right)
                && pattern.as_str().trim_end_matches('*').len() <= tag.len()
                && tag.starts_with(pattern.as_str().trim_end_matches('*'))
        }
        (Some(_), Right::List | Right::Pull | Right::PushDigest | Right::RepositoryCreate) => {
            grant.effect == Effect::Allow && grant.what.rights().contains(right)
        }
        (Some(_), _) => false,
    };
    let parts = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
    let around = |barrier: &&Barrier| {
        let folder = barrier.pattern.to_string().trim_end_matches("/**").to_owned();
        barrier.rights.contains(right) && parts(name).starts_with(&parts(&folder))
    };
    let comes_in = |row: &&&Grant| {
        let written = row.pattern.to_string();
        let literal: Vec<_> =
            parts(&written).into_iter().take_while(|part| !part.contains(['*', '$'])).collect();
        barriers
            .iter()
            .filter(around)
            .all(|barrier| literal.starts_with(&parts(barrier.pattern.to_string().trim_end_matches("/**"))))
    };
    let rows: Vec<&Grant> = grants.iter().filter(about).collect();
    let along = |row: &&Grant| {
        row.effect == Effect::Deny
            && match right {
                Right::List => row.tags.is_none() && row.what.rights().contains(Right::Pull),
                Right::ManifestDelete => row.what.rights().contains(Right::TagDelete),
                Right::RepositoryDelete => {
                    row.what.rights().contains(Right::TagDelete)
                        || (row.tags.is_none() && row.what.rights().contains(Right::ManifestDelete))
                }
                _ => false,
            }
    };
    if rows.iter().copied().any(|row| along(&row)) {
        return false;
    }
    rows.iter().filter(comes_in).any(|row| row.effect == Effect::Allow && says(row))
        && !rows.iter().any(|row| row.effect == Effect::Deny && says(row))
}

/// Components against components, as the manual explains them.
fn covers(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        ([], []) | (["**"], _) => true,
        ([one, rest @ ..], [first, others @ ..]) => (*one == "*" || one == first) && covers(rest, others),
        _ => false,
    }
}

/// A generator that needs no state but a number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())].clone()
    }
}

#[test]
fn another_way_of_deciding_agrees_on_a_million_cases() {
    let patterns = ["a", "b", "a/b", "a/**", "**", "a/*", "*/b", "a/b/**", "${user}/**", "a/${user}"];
    let patterns = patterns.map(|text| RepositoryPattern::parse(text).unwrap());
    let tags = [None, None, Some("v*"), Some("pr-*"), Some("v1"), Some("*")];
    let tags = tags.map(|text| text.map(|text| TagPattern::parse(text).unwrap()));
    let names = ["a", "b", "a/b", "a/c", "a/b/c", "c/b"];
    let resources = names.map(repository);
    // All is more than the sum of rows, see the test of the catalogue.
    let rights: Vec<Right> = Right::ALL.into_iter().filter(|right| *right != Right::All).collect();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut cases, mut allowed) = (0_u32, 0_u32);
    while cases < 1_000_000 {
        let rows: Vec<Grant> = (0..dice.roll(5))
            .map(|_| {
                let what = if dice.roll(2) == 0 {
                    What::Role(dice.pick(&Role::BUILT_IN))
                } else {
                    let rights = rights.iter().copied().filter(|_| dice.roll(3) == 0);
                    What::Rights(rights.fold(RightSet::EMPTY, |set, right| set.union(RightSet::of(&[right]))))
                };
                Grant {
                    id: 0,
                    holder: 0,
                    effect: if dice.roll(3) == 0 { Effect::Deny } else { Effect::Allow },
                    what,
                    pattern: patterns[dice.roll(patterns.len())].clone(),
                    tags: tags[dice.roll(tags.len())].clone(),
                    conditions: Conditions::default(),
                }
            })
            .collect();
        let place = dice.roll(names.len());
        let fences = ["a/**", "a/b/**", "b/**"];
        let barriers = (0..dice.roll(3)).map(|_| {
            let rights = rights.iter().copied().filter(|_| dice.roll(3) == 0);
            let rights = rights.fold(RightSet::EMPTY, |set, right| set.union(RightSet::of(&[right])));
            Barrier::new(RepositoryPattern::parse(dice.pick(&fences)).unwrap(), rights).unwrap()
        });
        let barriers: Vec<Barrier> = barriers.collect();
        let decided = Rows { grants: rows.clone(), barriers: barriers.clone(), ..Rows::default() };
        let held = Held::of(&decided, &resources[place], Some("b"), now());
        for right in &rights {
            for tag in ["v1", "v2", "pr-1", "x"] {
                let expected = naive(&rows, &barriers, names[place], *right, tag);
                assert_eq!(
                    held.allows(*right, Some(tag)),
                    expected,
                    "{right} {tag} {} {rows:?}",
                    names[place]
                );
                cases += 1;
                allowed += u32::from(expected);
            }
        }
    }
    assert!((50_000..950_000).contains(&allowed), "both answers are common: {allowed}");
}

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let pattern = "(a|b|\\*|\\*\\*)(/(a|b|\\*|a\\*))?(/\\*\\*)?";
    let pattern = pattern.prop_filter_map("not a pattern", |text| RepositoryPattern::parse(&text).ok());
    let tags =
        prop_oneof![3 => Just(None), 1 => Just(Some("v*")), 1 => Just(Some("[pv]*")), 1 => Just(Some("*"))];
    let grant =
        (pattern, 0usize..8, tags, prop::bool::weighted(0.3)).prop_map(|(pattern, role, tags, denies)| {
            let effect = if denies { Effect::Deny } else { Effect::Allow };
            Grant { pattern, ..row(effect, What::Role(Role::BUILT_IN[role].clone()), "a", tags) }
        });
    proptest::collection::vec(grant, 0..6)
}

fn name() -> impl Strategy<Value = RepositoryName> {
    "[ab]{1,2}(/[ab]{1,2}){0,2}".prop_map(|name| name.parse().unwrap())
}

/// Everything that can be asked about a resource.
fn answers(held: &Held) -> Vec<bool> {
    let tags = [Some("v1"), Some("p1"), Some("x"), None];
    Right::ALL.iter().flat_map(|right| tags.map(|tag| held.allows(*right, tag))).collect()
}

proptest! {
    #[test]
    fn more_grants_never_remove_and_more_denials_never_add(grants in grants(), more in grants(), name in name()) {
        let decide = |grants: &[Grant]| Held::of(&rows(grants), &name, None, now());
        let with = |effect| {
            let more = more.iter().filter(|row| row.effect == effect).cloned().collect();
            decide(&[grants.clone(), more].concat())
        };
        let (before, given, denied) = (decide(&grants), with(Effect::Allow), with(Effect::Deny));
        for ((before, given), denied) in answers(&before).into_iter().zip(answers(&given)).zip(answers(&denied)) {
            prop_assert!(before <= given);
            prop_assert!(denied <= before);
        }
        prop_assert!(before.actions().difference(given.actions()).is_empty());
        prop_assert!(denied.actions().difference(before.actions()).is_empty());
    }

    #[test]
    fn order_and_repetition_do_not_matter(grants in grants(), name in name(), turn in 0usize..6) {
        let expected = Held::of(&rows(&grants), &name, None, now());
        let mut turned = [grants.clone(), grants].concat();
        turned.reverse();
        let turn = turn.min(turned.len());
        turned.rotate_left(turn);
        prop_assert_eq!(Held::of(&rows(&turned), &name, None, now()), expected);
    }

    #[test]
    fn rows_on_other_anchors_say_nothing(grants in grants(), name in name()) {
        let anchors = anchors([&Resource::Repository(name.clone())]);
        let near: Vec<Grant> =
            grants.iter().filter(|grant| anchors.contains(&grant.pattern.anchor())).cloned().collect();
        prop_assert_eq!(Held::of(&rows(&near), &name, None, now()), Held::of(&rows(&grants), &name, None, now()));
    }

    #[test]
    fn everything_is_said_by_actions_and_limits_together(grants in grants(), tag in "(v|p|x)[12]") {
        let held = Held::of(&rows(&grants), &repository("a"), None, now());
        let name = "a".parse().unwrap();
        let limits = held.limits(&name, held.actions());
        let may = |set: fn(&Limits) -> &TagSet, action: Action| {
            held.actions().contains(action) && limits.as_ref().is_none_or(|limits| set(limits).contains(&tag))
        };
        prop_assert_eq!(may(|limits| &limits.create, Action::Push), held.allows(Right::TagCreate, Some(&tag)));
        prop_assert_eq!(may(|limits| &limits.update, Action::Push), held.allows(Right::TagUpdate, Some(&tag)));
        prop_assert_eq!(may(|limits| &limits.delete, Action::Delete), held.allows(Right::TagDelete, Some(&tag)));
        prop_assert!(!held.actions().contains(Action::All) || limits.is_none());
    }
}
