//! What a token comes to say, for every kind of registry.

use std::sync::Arc;

use proptest::prelude::*;
use shared::limits::{TagPattern, TagSet};
use shared::repository_pattern::RepositoryPattern;
use time::OffsetDateTime;

use super::super::credential_limits::CredentialLimits;
use super::super::grant::{Conditions, Effect, Grant, What};
use super::super::login::subject::User;
use super::super::right::{Right, RightSet};
use super::super::role::Role;
use super::*;
use crate::db::limit_words::LimitWords;
use crate::db::principals::EVERYONE;

fn grant(pattern: &str, role: Role) -> Grant {
    Grant {
        id: 0,
        holder: 0,
        effect: Effect::Allow,
        what: What::Role(role),
        pattern: RepositoryPattern::parse(pattern).unwrap(),
        tags: None,
        conditions: Conditions::default(),
    }
}

fn tagged(pattern: &str, role: Role, tags: &str) -> Grant {
    Grant { tags: Some(TagPattern::parse(tags).unwrap()), ..grant(pattern, role) }
}

fn asker(verifier: Verifier) -> Asker<'static> {
    let now = OffsetDateTime::from_unix_timestamp(1_000_000).unwrap();
    Asker {
        user: Some("alice"),
        circumstances: Circumstances { now, address: None, second_factor: false },
        verifier,
    }
}

fn rows(grants: &[Grant]) -> Relevant {
    let near = Rows { grants: grants.to_vec(), barriers: Vec::new(), ..Rows::default() };
    Relevant { all: Some(near.clone()), near }
}

fn decide_for_ours(requested: &ScopeList, grants: &[Grant]) -> Decision {
    decide(requested, &rows(grants), asker(Verifier::Portcullis))
}

fn printed(scopes: &[Scope]) -> String {
    scopes.iter().cloned().collect::<ScopeList>().to_string()
}

fn decide_text(requested: &str, grants: &[Grant]) -> (String, String) {
    let decision = decide_for_ours(&ScopeList::parse([requested]), grants);
    (printed(&decision.granted), printed(&decision.refused))
}

fn frame(verifier: Verifier) -> TokenFrame<'static> {
    TokenFrame {
        issuer: "i",
        audience: AudienceRef { name: "s", verifier, algorithm: None, lifetime: None },
        now: 1_000_000,
        lifetime: Duration::from_mins(5),
        decided: Some(shared::revocations::Position { epoch: Uuid::max(), at: i64::MAX }),
        id: Uuid::nil(),
    }
}

fn alice() -> Subject {
    Subject::User(User {
        pid: 100,
        uid: Uuid::from_u128(7),
        name: "alice".into(),
        proof: super::super::login::subject::Proof::Password(shared::secret::Secret::default()),
        has_second_factor: false,
    })
}

#[test]
fn the_token_carries_what_was_asked_and_is_held() {
    for (requested, role, granted, refused) in [
        ("repository:a:pull", Role::OWNER, "repository:a:pull", ""),
        ("repository:a:pull,push", Role::VIEWER, "repository:a:pull", "repository:a:push"),
        ("repository:a:*", Role::VIEWER, "repository:a:pull", "repository:a:push,delete,repository-delete,*"),
        ("repository:a:*", Role::MAINTAINER, "repository:a:pull,push,delete", ""),
        ("repository:a:*", Role::OWNER, "repository:a:pull,push,delete,repository-delete,*", ""),
        ("repository:a:repository-delete", Role::OWNER, "repository:a:repository-delete", ""),
        ("repository:a:repository-delete", Role::MAINTAINER, "", "repository:a:repository-delete"),
        (
            "repository:a:repository-delete,*",
            Role::MAINTAINER,
            "repository:a:pull,push,delete",
            "repository:a:repository-delete,*",
        ),
        ("repository:b:pull", Role::OWNER, "", "repository:b:pull"),
        ("registry:catalog:*", Role::OWNER, "registry:catalog:*", ""),
    ] {
        let outcome = decide_text(requested, &[grant("a/**", role.clone())]);
        assert_eq!(outcome, (granted.to_owned(), refused.to_owned()), "{requested} {role}");
    }
    let catalog = decide_text("registry:catalog:*", &[grant("**", Role::OWNER)]);
    assert_eq!(catalog, ("registry:catalog:*".to_owned(), String::new()));
}

#[test]
fn a_refusal_shortens_the_life_and_travels_to_our_own_registry_only() {
    let decision =
        decide_for_ours(&ScopeList::parse(["repository:a:pull,push"]), &[grant("a", Role::VIEWER)]);
    let (claims, lifetime) = super::claims(&decision, &alice(), &frame(Verifier::Portcullis));
    assert_eq!(lifetime, REFUSED_LIFETIME);
    assert_eq!((claims.nbf, claims.iat, claims.exp), (Some(999_990), Some(1_000_000), 1_000_060));
    let ours = claims.portcullis.unwrap();
    assert_eq!(ours.uid, Some(Uuid::from_u128(7)));
    assert_eq!(ours.refused[0].reason, RefusalReason::NoGrant);
    let (foreign, _) = super::claims(&decision, &alice(), &frame(Verifier::Distribution2));
    assert_eq!(foreign.portcullis, None);
    let (nobody, _) = super::claims(&decision, &Subject::Anonymous, &frame(Verifier::Portcullis));
    assert_eq!(nobody.sub, "");
    assert_eq!(nobody.portcullis.unwrap().refused[0].reason, RefusalReason::Anonymous);
}

#[test]
fn a_request_that_would_not_fit_a_header_gets_less() {
    let long = |number: usize| format!("repository:{}{number}:pull,push", "a/".repeat(60));
    let scopes: Vec<String> = (10..74).map(long).collect();
    let requested = ScopeList::parse(scopes.iter().map(String::as_str));
    for (role, refused) in [(Role::WRITER, false), (Role::VIEWER, true)] {
        let decision = decide_for_ours(&requested, &[grant("**", role)]);
        assert!(!decision.withheld.is_empty());
        assert_eq!(!decision.refused.is_empty(), refused);
        let (claims, _) = super::claims(&decision, &alice(), &frame(Verifier::Portcullis));
        let json = serde_json::to_string(&claims).unwrap();
        assert!(json.len() < 3_900, "{}", json.len());
        // Whoever asks again for what found no room must not be told that it is refused.
        let said = claims.portcullis.unwrap().refused;
        assert!(said.iter().all(|refusal| refusal.reason == RefusalReason::NoGrant), "{said:?}");
    }
}

proptest! {
    #[test]
    fn granted_and_refused_are_parts_of_the_request(bits in 1u8..32, role in 0usize..8, name in "a|b") {
        let actions: ActionSet =
            Action::ALL.into_iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, a)| a).collect();
        let scope = Scope { actions, ..Scope::repository(name.parse().unwrap(), &[]) };
        let requested: ScopeList = [scope.clone()].into_iter().collect();
        let grants = [grant("a", Role::BUILT_IN[role].clone())];
        let decision = decide_for_ours(&requested, &grants);
        let held = Held::of(&rows(&grants).near, &name.parse().unwrap(), None, asker(Verifier::Portcullis).circumstances).actions();
        for granted in &decision.granted {
            prop_assert!(granted.actions.difference(held).is_empty());
            prop_assert!(granted.actions.difference(expand(&scope)).is_empty());
        }
        for refused in &decision.refused {
            prop_assert!(refused.actions.intersection(held).is_empty());
            prop_assert!(refused.actions.difference(expand(&scope)).is_empty());
        }
    }
}

#[test]
fn what_means_less_than_it_says_is_told_to_ours_and_withheld_from_others() {
    let grants = [grant("a", Role::VIEWER), tagged("a", Role::WRITER, "pr-*"), grant("b", Role::PUBLISHER)];
    let requested = ScopeList::parse(["repository:a:pull,push repository:b:pull,push,delete"]);
    let ours = decide_for_ours(&requested, &grants);
    assert_eq!(printed(&ours.granted), "repository:a:pull,push repository:b:pull,push");
    assert_eq!(ours.limits.len(), 2);
    assert!(ours.limits[0].create.contains("pr-1") && !ours.limits[0].create.contains("v1"));
    assert!(ours.limits[1].create.contains("v1") && ours.limits[1].update.is_empty());
    assert!(ours.withheld.is_empty());
    // Outside of our own claim there is only what any registry may allow.
    let (claims, _) = super::claims(&ours, &alice(), &frame(Verifier::Portcullis));
    let plain: Vec<String> = claims.access.iter().map(Scope::to_string).collect();
    assert_eq!(plain, ["repository:a:pull", "repository:b:pull"]);
    let more: Vec<String> = claims
        .portcullis
        .iter()
        .flat_map(PortcullisClaim::more_access)
        .map(|scope| scope.to_string())
        .collect();
    assert_eq!(more, ["repository:a:push", "repository:b:push"]);
    for verifier in [Verifier::Distribution2, Verifier::Distribution3] {
        let theirs = decide(&requested, &rows(&grants), asker(verifier));
        assert_eq!(printed(&theirs.granted), "repository:a:pull repository:b:pull");
        assert!(theirs.limits.is_empty());
        let withheld: Vec<_> = theirs.withheld.iter().map(|(scope, why)| (scope.to_string(), *why)).collect();
        let expected = |text: &str| (text.to_owned(), Withheld::Unenforceable);
        assert_eq!(withheld, [expected("repository:a:push"), expected("repository:b:push")]);
    }
}

#[test]
fn a_limited_credential_gives_less_and_says_why() {
    let mut elsewhere = grant("other/**", Role::MAINTAINER);
    elsewhere.conditions.expires_at = OffsetDateTime::from_unix_timestamp(1_000_020).ok();
    let grants = [grant("a", Role::MAINTAINER), grant("a/b", Role::MAINTAINER), elsewhere];
    let limited = |words: LimitWords| {
        let mut rows = rows(&grants);
        let limits = CredentialLimits::read(&words).unwrap().map(Arc::new);
        rows.near.limits.clone_from(&limits);
        rows.all.as_mut().unwrap().limits = limits;
        rows
    };
    let pulling = limited(LimitWords {
        repositories: vec!["a".into(), "a/b".into()],
        actions: Some("list,pull".into()),
        ..LimitWords::default()
    });
    let requested = ScopeList::parse(["repository:a:pull,push repository:other/x:pull registry:catalog:*"]);
    let decision = decide(&requested, &pulling, asker(Verifier::Portcullis));
    assert_eq!(printed(&decision.granted), "repository:a:pull registry:catalog:*");
    assert_eq!(printed(&decision.refused), "repository:other/x:pull", "as for whoever holds nothing");
    let withheld: Vec<_> = decision.withheld.iter().map(|(scope, why)| (scope.to_string(), *why)).collect();
    assert_eq!(withheld, [("repository:a:push".to_owned(), Withheld::LimitedCredential)]);
    let seen = serde_json::to_string(&decision.catalogue).unwrap();
    assert_eq!(seen, r#"[{"in":["a","a/b"]}]"#);
    // Nor does the life of the token tell what the robot has elsewhere.
    assert_eq!(decision.changes_at, None);
    let (claims, _) = super::claims(&decision, &alice(), &frame(Verifier::Portcullis));
    let reasons: Vec<_> = claims.portcullis.unwrap().refused.iter().map(|refusal| refusal.reason).collect();
    assert_eq!(reasons, [RefusalReason::NoGrant, RefusalReason::LimitedCredential]);

    // What everybody may ends for it as for everybody.
    let mut open = pulling.clone();
    let mut everybodys = grants[2].clone();
    everybodys.holder = EVERYONE;
    open.near.grants.push(everybodys);
    let decision = decide(&ScopeList::parse(["repository:other/x:pull"]), &open, asker(Verifier::Portcullis));
    assert_eq!(printed(&decision.granted), "repository:other/x:pull");
    assert_eq!(decision.changes_at, OffsetDateTime::from_unix_timestamp(1_000_020).ok());

    let tagged = limited(LimitWords { tags: Some("pr-*".into()), ..LimitWords::default() });
    let requested = ScopeList::parse(["repository:a:pull,push,delete"]);
    let ours = decide(&requested, &tagged, asker(Verifier::Portcullis));
    assert_eq!(printed(&ours.granted), "repository:a:pull,push,delete");
    assert_eq!(ours.limits[0].create.to_string(), "pr-*");
    let theirs = decide(&requested, &tagged, asker(Verifier::Distribution3));
    assert_eq!(printed(&theirs.granted), "repository:a:pull");
    assert_eq!(theirs.withheld[0].1, Withheld::Unenforceable);
}

proptest! {
    #[test]
    fn a_registry_that_knows_no_limits_gets_what_has_none(
        rows in proptest::collection::vec((0usize..8, 0usize..4, 0u8..4), 0..5),
    ) {
        let tags = [None, None, Some("v*"), Some("*")].map(|tags| tags.map(|tags| TagPattern::parse(tags).unwrap()));
        let grants: Vec<Grant> = rows
            .into_iter()
            .map(|(role, tag, effect)| Grant {
                effect: if effect == 0 { Effect::Deny } else { Effect::Allow },
                tags: tags[tag].clone(),
                ..grant("a/**", Role::BUILT_IN[role].clone())
            })
            .collect();
        let requested = ScopeList::parse(["repository:a:pull,push,delete,repository-delete,* registry:catalog:*"]);
        let [ours, second, third] = Verifier::ALL.map(|verifier| decide(&requested, &self::rows(&grants), asker(verifier)));
        prop_assert_eq!(&second, &third);
        prop_assert!(third.limits.is_empty() && third.catalogue.is_none());
        // Every registry may take what it gets at its word.
        let held = Held::of(&self::rows(&grants).near, &"a".parse().unwrap(), Some("alice"), asker(Verifier::Portcullis).circumstances);
        for scope in third.granted.iter().filter(|scope| scope.resource != Resource::Catalog) {
            let rights = scope.actions.iter().map(|action| match action {
                Action::Push => RightSet::PUSH,
                other => RightSet::behind(other),
            });
            let rights = rights.fold(RightSet::EMPTY, RightSet::union);
            for right in rights.iter() {
                prop_assert!(held.allows(right, None));
                prop_assert!(held.tags(right).is_none_or(TagSet::is_everything));
            }
        }
        let granted = |decision: &Decision| printed(&decision.granted);
        prop_assert_eq!(ours.limits.is_empty() && ours.catalogue.is_none(), granted(&ours) == granted(&third));
        let (claims, _) = super::claims(&third, &alice(), &frame(Verifier::Distribution3));
        prop_assert_eq!(claims.portcullis, None);
        prop_assert_eq!(claims.access.iter().cloned().collect::<ScopeList>().to_string(), granted(&third));
    }
}

#[test]
fn too_many_patterns_of_tags_take_the_action_away() {
    let many_rows =
        |count: usize| (0..count).map(|number| tagged("a", Role::WRITER, &format!("v{number}.*")));
    let requested = ScopeList::parse(["repository:a:pull,push"]);
    let few: Vec<_> = many_rows(MAX_TAG_PATTERNS).collect();
    assert_eq!(printed(&decide_for_ours(&requested, &few).granted), "repository:a:pull,push");
    let many: Vec<_> = many_rows(MAX_TAG_PATTERNS + 1).collect();
    let decision = decide_for_ours(&requested, &many);
    assert_eq!(printed(&decision.granted), "repository:a:pull");
    assert_eq!(decision.withheld[0].1, Withheld::TooManyPatterns);
    let (claims, _) = super::claims(&decision, &alice(), &frame(Verifier::Portcullis));
    assert_eq!(claims.portcullis.unwrap().refused[0].reason, RefusalReason::Other);
}

#[test]
fn the_list_of_repositories_shows_what_may_be_pulled() {
    let requested = ScopeList::parse(["registry:catalog:*"]);
    let catalogue = |grants: &[Grant], verifier| {
        let decision = decide(&requested, &rows(grants), asker(verifier));
        let seen = decision.catalogue.map(|seen| serde_json::to_string(&seen).unwrap());
        (printed(&decision.granted), seen, decision.withheld.first().map(|(_, why)| *why))
    };
    let whole = || ("registry:catalog:*".to_owned(), None, None);
    for (grants, ours, theirs) in [
        (vec![grant("**", Role::OWNER)], whole(), whole()),
        (vec![grant("**", Role::VIEWER)], whole(), whole()),
        (
            vec![grant("a/**", Role::VIEWER), grant("b", Role::WRITER)],
            ("registry:catalog:*".to_owned(), Some(r#"[{"in":["b","a/**"]}]"#.to_owned()), None),
            (String::new(), None, Some(Withheld::Unenforceable)),
        ),
        (Vec::new(), (String::new(), None, None), (String::new(), None, None)),
    ] {
        assert_eq!(catalogue(&grants, Verifier::Portcullis), ours);
        assert_eq!(catalogue(&grants, Verifier::Distribution3), theirs);
    }
    // What is owned and denied is not shown, also to those who own everything else.
    let denied = Grant { effect: Effect::Deny, ..grant("hr/**", Role::VIEWER) };
    let (granted, seen, _) = catalogue(&[grant("**", Role::OWNER), denied], Verifier::Portcullis);
    assert_eq!(granted, "registry:catalog:*");
    assert_eq!(seen.as_deref(), Some(r#"[{"in":["**"],"not":["hr/**"]}]"#));
    let many: Vec<_> = (0..=64).map(|number| grant(&format!("r{number}"), Role::VIEWER)).collect();
    let too_many = (String::new(), None, Some(Withheld::TooManyPatterns));
    assert_eq!(catalogue(&many, Verifier::Portcullis), too_many);
    let unsaid = Relevant::default();
    let decision = decide(&requested, &unsaid, asker(Verifier::Portcullis));
    assert_eq!(decision.withheld[0].1, Withheld::TooManyPatterns);
}

#[test]
fn a_token_does_not_outlive_what_it_rests_on() {
    let at = |second| Some(OffsetDateTime::from_unix_timestamp(second).unwrap());
    let with = |not_before, expires_at| Grant {
        conditions: Conditions { not_before, expires_at, networks: Vec::new(), second_factor: false },
        ..grant("a", Role::WRITER)
    };
    let requested = ScopeList::parse(["repository:a:pull"]);
    for (grants, seconds) in [
        (vec![with(None, at(1_000_040))], 40),
        (vec![with(None, at(1_009_999))], 300),
        (vec![with(None, at(999_999)), grant("a", Role::VIEWER)], 300),
        // What is denied from then on must not be allowed for longer.
        (vec![grant("a", Role::VIEWER), Grant { effect: Effect::Deny, ..with(at(1_000_007), None) }], 7),
        (
            vec![
                grant("a", Role::VIEWER),
                Grant { pattern: "b".to_owned().try_into().unwrap(), ..with(None, at(1_000_005)) },
            ],
            300,
        ),
    ] {
        let decision = decide_for_ours(&requested, &grants);
        let (claims, lifetime) = super::claims(&decision, &alice(), &frame(Verifier::Portcullis));
        assert_eq!((lifetime.as_secs(), claims.exp), (seconds, 1_000_000 + i64::try_from(seconds).unwrap()));
    }
}

#[test]
fn a_decision_says_which_rows_it_rests_on() {
    let row = |id: i64, pattern: &str, role: Role| Grant { id, ..grant(pattern, role) };
    let denied = Grant {
        effect: Effect::Deny,
        what: What::Rights(RightSet::of(&[Right::Pull])),
        ..row(4, "secret", Role::VIEWER)
    };
    let grants = [row(1, "**", Role::VIEWER), row(2, "a", Role::WRITER), row(3, "b", Role::OWNER), denied];
    for (requested, expected) in [
        ("repository:a:pull", &[1, 2][..]),
        ("repository:a:push", &[2]),
        ("repository:a:pull,delete", &[1, 2]),
        ("repository:a:pull repository:b:delete repository:c:pull", &[1, 2, 3, 1]),
        ("repository:secret:pull", &[]),
        ("registry:catalog:*", &[]),
    ] {
        let decision = decide_for_ours(&ScopeList::parse([requested]), &grants);
        assert_eq!(decision.rests_on, expected, "{requested}");
    }
}
