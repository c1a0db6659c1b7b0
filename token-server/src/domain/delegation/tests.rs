//! What somebody may change, in single cases and in random sequences.

use proptest::prelude::*;
use shared::limits::TagPattern;
use shared::repository_name::RepositoryName;
use time::OffsetDateTime;

use super::super::grant::{Conditions, What};
use super::super::policy::Held;
use super::super::role::Role;
use super::*;

fn pattern(text: &str) -> RepositoryPattern {
    RepositoryPattern::parse(text).unwrap()
}

fn row(holder: i64, effect: Effect, what: What, text: &str) -> Grant {
    let conditions = Conditions::default();
    Grant { id: 0, holder, effect, what, pattern: pattern(text), tags: None, conditions }
}

fn give(role: Role, text: &str) -> Grant {
    row(1, Effect::Allow, What::Role(role), text)
}

fn deny(rights: &str, text: &str) -> Grant {
    row(1, Effect::Deny, What::Rights(RightSet::parse(rights).unwrap()), text)
}

fn now() -> Circumstances {
    Circumstances {
        now: OffsetDateTime::from_unix_timestamp(1000).unwrap(),
        address: None,
        second_factor: false,
    }
}

fn authority(grants: &[Grant], barriers: &[Barrier]) -> Authority {
    Authority::of(
        Rows { grants: grants.to_vec(), barriers: barriers.to_vec(), ..Rows::default() },
        Some("ann"),
        now(),
    )
}

fn barrier(text: &str, rights: &str) -> Barrier {
    Barrier::new(pattern(text), RightSet::parse(rights).unwrap()).unwrap()
}

fn added(own: &Authority, grant: &Grant) -> String {
    match own.demand_row(Touched { grant, is_added: true }) {
        Ok(()) => "yes".into(),
        Err(refusal) => refusal.to_string(),
    }
}

#[test]
fn administrators_give_what_they_hold_in_their_place_and_nothing_else() {
    let own =
        authority(&[give(Role::ADMIN, "a/**"), give(Role::OWNER, "b/**"), give(Role::OWNER, "c/x")], &[]);
    for (grant, answer) in [
        (give(Role::WRITER, "a/app"), "yes"),
        (give(Role::ADMIN, "a/**"), "yes"),
        (give(Role::ADMIN, "a/*-dev"), "yes"),
        (give(Role::OWNER, "b/**"), "yes"),
        (deny("push", "a/**"), "yes"),
        (give(Role::OWNER, "a/app"), "you do not hold repository-delete,break-glass,* on all of a/app"),
        (deny("tag-delete", "a/app"), "you do not hold repository-delete on all of a/app"),
        (give(Role::VIEWER, "**"), "you do not administer **"),
        (give(Role::VIEWER, "c/**"), "you do not administer c/**"),
        (give(Role::VIEWER, "${user}/**"), "you do not administer ${user}/**"),
        (give(Role::VIEWER, "{a,d}/**"), "you do not administer {a,d}/**"),
        (give(Role::VIEWER, "ab"), "you do not administer ab"),
    ] {
        assert!(added(&own, &grant).starts_with(answer), "{grant:?}: {}", added(&own, &grant));
    }
    let nobody = authority(&[give(Role::MAINTAINER, "a/**")], &[]);
    assert!(added(&nobody, &give(Role::VIEWER, "a")).starts_with("you do not administer"));
}

#[test]
fn one_gives_no_longer_and_from_no_further_than_one_holds() {
    let at = |second| OffsetDateTime::from_unix_timestamp(second).unwrap();
    let limited = |expires_at, network: Option<&str>, tags: Option<&str>, role| Grant {
        conditions: Conditions {
            not_before: None,
            expires_at,
            networks: network.map(|text| text.parse().unwrap()).into_iter().collect(),
            second_factor: false,
        },
        tags: tags.map(|tags| TagPattern::parse(tags).unwrap()),
        ..give(role, "a/**")
    };
    let until = authority(&[limited(Some(at(2000)), None, None, Role::ADMIN)], &[]);
    assert_ne!(added(&until, &give(Role::VIEWER, "a")), "yes");
    assert_ne!(added(&until, &limited(Some(at(2001)), None, None, Role::VIEWER)), "yes");
    assert_eq!(added(&until, &limited(Some(at(2000)), None, None, Role::VIEWER)), "yes");
    assert_eq!(until.demand_row(Touched { grant: &give(Role::VIEWER, "a"), is_added: false }), Ok(()));
    // Ended rights are none.
    let ended = authority(&[limited(Some(at(1000)), None, None, Role::ADMIN)], &[]);
    assert_ne!(added(&ended, &limited(Some(at(900)), None, None, Role::VIEWER)), "yes");
    let near = Rows { grants: vec![limited(None, Some("10.0.0.0/8"), None, Role::ADMIN)], ..Rows::default() };
    let here = Circumstances { address: Some("10.1.2.3".parse().unwrap()), ..now() };
    let near = Authority::of(near, Some("ann"), here);
    assert_ne!(added(&near, &give(Role::VIEWER, "a")), "yes");
    assert_ne!(added(&near, &limited(None, Some("10.0.0.0/7"), None, Role::VIEWER)), "yes");
    assert_eq!(added(&near, &limited(None, Some("10.1.0.0/16"), None, Role::VIEWER)), "yes");
    let manage = row(1, Effect::Allow, What::Rights(RightSet::of(&[Right::GrantManage])), "a/**");
    let tagged = authority(&[manage, limited(None, None, Some("pr-*"), Role::WRITER)], &[]);
    assert_eq!(added(&tagged, &limited(None, None, Some("pr-*"), Role::WRITER)), "yes");
    assert_ne!(added(&tagged, &limited(None, None, Some("v*"), Role::WRITER)), "yes");
    assert_ne!(added(&tagged, &give(Role::WRITER, "a")), "yes");
}

#[test]
fn what_stands_outside_of_ones_place_binds_and_what_stands_inside_does_not() {
    let above = authority(&[give(Role::ADMIN, "a/**"), deny("push", "**")], &[]);
    assert!(added(&above, &give(Role::WRITER, "a")).starts_with("you do not hold push on all of a"));
    assert_eq!(added(&above, &give(Role::VIEWER, "a")), "yes");
    let inside = authority(&[give(Role::ADMIN, "a/**"), deny("push", "a/frozen/**")], &[]);
    assert_eq!(added(&inside, &give(Role::WRITER, "a/**")), "yes");
    let denial = deny("push", "a/frozen/**");
    assert_eq!(inside.demand_row(Touched { grant: &denial, is_added: false }), Ok(()));
    // Nobody from above brings it in, but those who put the barrier up may give it below.
    let stopped = [barrier("a/prod/**", "push,administer")];
    assert_eq!(
        added(&authority(&[give(Role::OWNER, "a/**")], &stopped), &give(Role::WRITER, "a/prod/x")),
        "yes"
    );
    // What is about administering binds those whose place is no larger, whoever put it there.
    for (place, expected) in [("**", false), ("a/**", true)] {
        let own = authority(&[give(Role::OWNER, "**"), deny("administer", place)], &[]);
        assert_eq!(own.is_everything(), expected, "{place}");
    }
    let glob = [give(Role::OWNER, "*/prod/**")];
    let foreign = authority(&glob, &stopped);
    assert!(added(&foreign, &give(Role::WRITER, "a/prod/x")).starts_with("you do not administer"));
}

#[test]
fn what_one_could_not_take_away_oneself_binds() {
    // The denial and the barrier name more than an administrator holds.
    let own = authority(&[give(Role::ADMIN, "a/**"), deny("push,repository-delete", "a/frozen/**")], &[]);
    assert!(added(&own, &give(Role::WRITER, "a/frozen/x")).starts_with("you do not hold"));
    assert_eq!(added(&own, &give(Role::WRITER, "a/x")), "yes");
    let stopped = authority(&[give(Role::ADMIN, "a/**")], &[barrier("a/prod/**", "*")]);
    assert!(added(&stopped, &give(Role::WRITER, "a/prod/x")).starts_with("you do not hold"));
    assert_ne!(stopped.demand_barrier(&barrier("a/prod/**", "*")), Ok(()));
    // One that cannot be taken away keeps from taking away another.
    let chain = [give(Role::ADMIN, "a/**"), deny("push", "**"), deny("push,delete", "a/x")];
    let own = authority(&chain[..1], &[]);
    assert_eq!(
        added(&own, &row(1, Effect::Allow, What::Rights(RightSet::of(&[Right::TagDelete])), "a/x")),
        "yes"
    );
    let own = authority(&chain, &[]);
    assert_ne!(
        added(&own, &row(1, Effect::Allow, What::Rights(RightSet::of(&[Right::TagDelete])), "a/x")),
        "yes"
    );
    // Somebody is suspended.
    let suspended = authority(&[give(Role::ADMIN, "a/**"), deny("*", "a/**")], &[]);
    assert!(added(&suspended, &give(Role::VIEWER, "a/x")).starts_with("you do not administer"));
}

#[test]
fn what_stays_for_good_is_for_those_who_hold_it_for_good() {
    let for_a_while = Conditions {
        expires_at: Some(OffsetDateTime::from_unix_timestamp(2000).unwrap()),
        ..Conditions::default()
    };
    let near = Conditions { networks: vec!["10.0.0.0/8".parse().unwrap()], ..Conditions::default() };
    let here = Circumstances { address: Some("10.1.2.3".parse().unwrap()), ..now() };
    let frozen = barrier("prod/**", "push");
    for conditions in [for_a_while.clone(), near] {
        let grant = Grant { conditions: conditions.clone(), ..give(Role::OWNER, "**") };
        let denial = deny("push", "prod/**");
        let rows = Rows { grants: vec![grant], ..Rows::default() };
        let own = Authority::of(rows, Some("ann"), here);
        assert!(own.is_everything() && own.demand_everything("adding a user").is_err());
        assert_ne!(own.demand_barrier(&frozen), Ok(()));
        assert_ne!(own.demand_row(Touched { grant: &denial, is_added: false }), Ok(()));
        assert_eq!(own.demand_row(Touched { grant: &give(Role::WRITER, "a"), is_added: false }), Ok(()));
        assert_eq!(own.demand(Right::BreakGlass, &pattern("prod/**")), Ok(()));
        // Nothing renews itself.
        let later = OffsetDateTime::from_unix_timestamp(2001).unwrap();
        let next = Conditions { expires_at: Some(later), ..Conditions::default() };
        assert_ne!(own.demand_for(Right::BreakGlass, &pattern("prod/**"), &next), Ok(()));
    }
    // Rights for some tags take no barrier away that stands for all of them.
    let manage = row(1, Effect::Allow, What::Rights(RightSet::of(&[Right::GrantManage])), "a/**");
    let tags = Grant { tags: Some(TagPattern::parse("pr-*").unwrap()), ..give(Role::WRITER, "a/**") };
    assert_ne!(authority(&[manage, tags], &[]).demand_barrier(&barrier("a/**", "tag-update")), Ok(()));
}

#[test]
fn only_who_holds_everything_changes_what_has_no_place() {
    for (grants, expected) in [
        (vec![give(Role::OWNER, "**")], true),
        (vec![give(Role::ADMIN, "**")], false),
        (vec![give(Role::OWNER, "a/**")], false),
        (vec![], false),
    ] {
        assert_eq!(authority(&grants, &[]).is_everything(), expected, "{grants:?}");
    }
    let refusal = authority(&[], &[]).demand_everything("adding a user").unwrap_err();
    assert_eq!(refusal.to_string(), "adding a user takes `*` on `**`, without an end and from everywhere");
}

/// Somebody's rights, and those of somebody else.
#[derive(Clone, Debug)]
struct World {
    grants: Vec<Grant>,
    barriers: Vec<Barrier>,
}

const NAMES: [&str; 6] = ["a", "a/b", "a/b/c", "a/d", "b", "b/a"];

impl World {
    fn rows(&self, holder: i64) -> Rows {
        // 0 is everybody.
        let grants = self.grants.iter().filter(|row| row.holder == holder || row.holder == 0);
        Rows { grants: grants.cloned().collect(), barriers: self.barriers.clone(), ..Rows::default() }
    }

    fn held(&self, holder: i64, name: &str) -> Held {
        let user = if holder == 1 { "ann" } else { "ben" };
        Held::of(&self.rows(holder), &name.parse::<RepositoryName>().unwrap(), Some(user), now())
    }

    fn change(&mut self, change: &Change) {
        let own = Authority::of(self.rows(1), Some("ann"), now());
        match change {
            Change::Add(grant) => {
                if own.demand_row(Touched { grant, is_added: true }).is_ok() {
                    self.grants.push(grant.clone());
                }
            }
            Change::Remove(index) if !self.grants.is_empty() => {
                let index = index % self.grants.len();
                if own.demand_row(Touched { grant: &self.grants[index], is_added: false }).is_ok() {
                    self.grants.remove(index);
                }
            }
            Change::Stop(barrier) => {
                if own.demand_barrier(barrier).is_ok() {
                    self.barriers.push(barrier.clone());
                }
            }
            Change::Open(index) if !self.barriers.is_empty() => {
                let index = index % self.barriers.len();
                if own.demand_barrier(&self.barriers[index]).is_ok() {
                    self.barriers.remove(index);
                }
            }
            Change::Remove(_) | Change::Open(_) => {}
        }
    }
}

#[derive(Clone, Debug)]
enum Change {
    Add(Grant),
    Remove(usize),
    Stop(Barrier),
    Open(usize),
}

fn any_rights() -> impl Strategy<Value = RightSet> {
    let some = any::<u16>().prop_map(|bits| {
        let some = Right::ALL.into_iter().filter(|right| bits & (1 << *right as u16) != 0);
        some.filter(|right| *right != Right::All)
            .fold(RightSet::of(&[Right::Pull]), |set, right| set.union(RightSet::of(&[right])))
    });
    prop_oneof![1 => some, 3 => prop::sample::select(Role::BUILT_IN[2..].to_vec()).prop_map(|role| role.rights())]
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let places =
        prop::sample::select(vec!["**", "a/**", "a/b/**", "a", "a/b", "a/*", "b/**", "*/b", "${user}/**"]);
    let tags = prop_oneof![4 => Just(None), 1 => Just(Some("v*"))];
    (0i64..3, any_rights(), places, tags, prop::bool::weighted(0.25)).prop_map(
        |(holder, rights, place, tags, denies)| Grant {
            tags: tags.map(|tags| TagPattern::parse(tags).unwrap()),
            ..row(holder, if denies { Effect::Deny } else { Effect::Allow }, What::Rights(rights), place)
        },
    )
}

fn any_barrier() -> impl Strategy<Value = Barrier> {
    let places = prop::sample::select(vec!["a/**", "a/b/**", "b/**"]);
    (places, any_rights()).prop_map(|(place, rights)| Barrier::new(pattern(place), rights).unwrap())
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => any_grant().prop_map(Change::Add),
        2 => (0usize..16).prop_map(Change::Remove),
        1 => any_barrier().prop_map(Change::Stop),
        1 => (0usize..16).prop_map(Change::Open),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_sequence_of_changes_reaches_beyond_ones_place_or_ones_rights(
        grants in prop::collection::vec(any_grant(), 1..6),
        barriers in prop::collection::vec(any_barrier(), 0..2),
        changes in prop::collection::vec(any_change(), 1..12),
    ) {
        let before = World { grants, barriers };
        let mut after = before.clone();
        for change in &changes {
            after.change(change);
        }
        let own = before.rows(1);
        for name in NAMES {
            let repository: RepositoryName = name.parse().unwrap();
            let given = |right| own.grants.iter().any(|row| {
                row.effect == Effect::Allow
                    && row.rights().contains(right)
                    && row.pattern.matches(&repository, Some("ann"))
            });
            // What names a right that is held nowhere can never be taken away.
            let held_anywhere = own.grants.iter().filter(|row| row.effect == Effect::Allow);
            let held_anywhere = held_anywhere.fold(RightSet::EMPTY, |set, row| set.union(row.rights()));
            let is_stopped = |right| own.grants.iter().any(|row| {
                let rights = row.rights().union(row.rights().takes_along());
                row.effect == Effect::Deny
                    && row.tags.is_none()
                    && rights.contains(right)
                    && !rights.difference(held_anywhere).is_empty()
                    && row.pattern.matches(&repository, Some("ann"))
            });
            for right in Right::ALL.into_iter().filter(|right| *right != Right::All) {
                if given(right) && given(Right::GrantManage) && !is_stopped(right) {
                    continue;
                }
                for holder in [1, 2] {
                    for tag in [None, Some("v1"), Some("x")] {
                        prop_assert_eq!(
                            before.held(holder, name).allows(right, tag),
                            after.held(holder, name).allows(right, tag),
                            "{} {:?} of {} on {}: {:?}", right, tag, holder, name, after
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn what_needs_a_second_factor_is_handed_on_so_unless_one_owns_the_place() {
    let strict = |role| Grant {
        conditions: Conditions { second_factor: true, ..Conditions::default() },
        ..give(role, "a/**")
    };
    let of = |role, second_factor| {
        let rows = Rows { grants: vec![strict(role)], ..Rows::default() };
        Authority::of(rows, Some("ann"), Circumstances { second_factor, ..now() })
    };
    assert_ne!(added(&of(Role::ADMIN, false), &strict(Role::VIEWER)), "yes", "it does not count");
    assert_eq!(added(&of(Role::ADMIN, true), &strict(Role::VIEWER)), "yes");
    assert_ne!(added(&of(Role::ADMIN, true), &give(Role::VIEWER, "a")), "yes");
    assert_eq!(added(&of(Role::OWNER, true), &give(Role::VIEWER, "a")), "yes");
    assert_ne!(added(&of(Role::OWNER, false), &give(Role::VIEWER, "a")), "yes");
}
