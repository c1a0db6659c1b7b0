//! The decision against what it promises, and against a second one that is written [another way](another_way).

use proptest::prelude::*;
use shared::repository_pattern::{RepositoryPattern, anchors};
use time::OffsetDateTime;

use super::super::grant::{Conditions, What};
use super::super::namespace::CreatePolicy;
use super::super::role::Role;
use super::*;

mod another_way;

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
    Circumstances {
        now: OffsetDateTime::from_unix_timestamp(1000).unwrap(),
        address: None,
        second_factor: false,
    }
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

fn barriers() -> impl Strategy<Value = Vec<Barrier>> {
    let rights = proptest::sample::subsequence(Right::ALL.to_vec(), 0..4);
    let barrier = ("[ab](/[ab])?", rights).prop_map(|(folder, rights)| {
        Barrier::new(RepositoryPattern::parse(&format!("{folder}/**")).unwrap(), RightSet::of(&rights))
            .unwrap()
    });
    proptest::collection::vec(barrier, 0..4)
}

fn namespaces() -> impl Strategy<Value = Vec<Namespace>> {
    let namespace = |name: &'static str| {
        let create = prop::option::of(prop::sample::select(&CreatePolicy::ALL[..]));
        create.prop_map(move |create| create.map(|create| Namespace { name: name.to_owned(), create }))
    };
    (namespace("a"), namespace("b")).prop_map(|both| <[_; 2]>::from(both).into_iter().flatten().collect())
}

/// Grants, barriers and namespaces together.
fn situation() -> impl Strategy<Value = Rows> {
    (grants(), barriers(), namespaces()).prop_map(|(grants, barriers, namespaces)| Rows {
        grants,
        barriers,
        namespaces,
        limits: None,
    })
}

fn limits() -> impl Strategy<Value = CredentialLimits> {
    let pattern = prop::sample::select(vec!["a/**", "a", "b/*", "**", "a/b", "*/a"]);
    let repositories = proptest::collection::vec(pattern, 0..3);
    let rights = prop::option::of(proptest::sample::subsequence(Right::ALL.to_vec(), 0..Right::ALL.len()));
    let tags = prop::sample::select(vec![None, None, Some("v*"), Some("v1"), Some("p?")]);
    (repositories, rights, tags).prop_map(|(repositories, rights, tags)| CredentialLimits {
        repositories: repositories.into_iter().map(|text| RepositoryPattern::parse(text).unwrap()).collect(),
        rights: rights.map(|rights| RightSet::of(&rights)),
        tags: tags.map(|tags| TagPattern::parse(tags).unwrap()),
        networks: Vec::new(),
    })
}

/// Everything that can be asked about a resource.
fn answers(held: &Held) -> Vec<bool> {
    let attachment = format!("sha256-{}.sig", "0".repeat(64));
    let tags = [Some("v1"), Some("p1"), Some("x"), Some(&*attachment), None];
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
    fn another_barrier_never_adds_a_right(before in situation(), more in barriers(), name in name()) {
        let after = Rows { barriers: [before.barriers.clone(), more].concat(), ..before.clone() };
        let decide = |rows: &Rows| Held::of(rows, &name, Some("b"), now());
        for (before, after) in answers(&decide(&before)).into_iter().zip(answers(&decide(&after))) {
            prop_assert!(after <= before);
        }
        prop_assert!(decide(&after).actions().difference(decide(&before).actions()).is_empty());
    }

    #[test]
    fn a_limited_credential_never_adds_a_right(rows in situation(), limits in limits(), name in name()) {
        let limited = Rows { limits: Some(Arc::new(limits.clone())), ..rows.clone() };
        let decide = |rows: &Rows| Held::of(rows, &name, Some("b"), now());
        let (before, after) = (decide(&rows), decide(&limited));
        for (before, after) in answers(&before).into_iter().zip(answers(&after)) {
            prop_assert!(after <= before);
        }
        prop_assert!(after.actions().difference(before.actions()).is_empty());
        let everyones = Rows {
            grants: rows.grants.iter().filter(|row| row.holder == EVERYONE || row.effect == Effect::Deny).cloned().collect(),
            ..rows.clone()
        };
        prop_assert!(limits.covers(&name) || answers(&after) == answers(&decide(&everyones)));
        let most = limits.rights.unwrap_or(RightSet::EVERYTHING).union(decide(&everyones).rights());
        prop_assert!(after.rights().difference(most).is_empty());
        let seen = visible(&limited, Some("b"), now()).expect("there are few patterns");
        // What two globs have in common cannot be said, and is not shown.
        prop_assert!(!seen.iter().any(|set| set.contains(&name)) || after.allows(Right::List, None));
        let is_plain = |pattern: &RepositoryPattern| pattern.is_exact() || pattern.is_subtree();
        let said = limits.repositories.iter().chain(rows.grants.iter().map(|row| &row.pattern));
        if said.into_iter().all(is_plain) {
            prop_assert_eq!(seen.iter().any(|set| set.contains(&name)), after.allows(Right::List, None));
        }
    }

    #[test]
    fn a_namespace_where_fewer_make_repositories_never_adds_a_right(rows in situation(), name in name()) {
        let others: Vec<Namespace> = rows.namespaces.iter().filter(|one| one.name != "a").cloned().collect();
        let with = |create: Option<CreatePolicy>| {
            let namespace = create.map(|create| Namespace { name: "a".into(), create });
            let namespaces = others.iter().cloned().chain(namespace).collect();
            answers(&Held::of(&Rows { namespaces, ..rows.clone() }, &name, Some("b"), now()))
        };
        let from_most_to_least = [None].into_iter().chain(CreatePolicy::ALL.map(Some)).map(with);
        let all: Vec<Vec<bool>> = from_most_to_least.collect();
        for pair in all.windows(2) {
            prop_assert!(pair[0].iter().zip(&pair[1]).all(|(before, after)| after <= before));
        }
        prop_assert_eq!(&all[0], &all[1], "where all who push may, a namespace says nothing");
    }

    #[test]
    fn the_order_of_barriers_and_namespaces_does_not_matter(
        rows in situation(),
        name in name(),
        turn in 0usize..4,
    ) {
        let mut turned = rows.clone();
        turned.barriers.extend(rows.barriers.clone());
        turned.barriers.reverse();
        turned.barriers.rotate_left(turn.min(rows.barriers.len()));
        turned.namespaces.reverse();
        let decide = |rows: &Rows| Held::of(rows, &name, Some("b"), now());
        prop_assert_eq!(decide(&turned), decide(&rows));
    }

    #[test]
    fn what_is_listed_is_what_one_may_see(rows in situation(), name in name()) {
        let seen = visible(&rows, Some("b"), now()).expect("there are few patterns");
        let is_listed = seen.iter().any(|set| set.contains(&name));
        prop_assert_eq!(is_listed, Held::of(&rows, &name, Some("b"), now()).allows(Right::List, None));
    }

    #[test]
    fn rows_on_other_anchors_say_nothing(grants in grants(), name in name()) {
        let anchors = anchors([&name]);
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
