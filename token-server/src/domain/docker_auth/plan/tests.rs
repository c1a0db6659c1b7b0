//! Plans of whole files: which rows they come to, and that nobody gets more than before.

use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::domain::grant::Effect;
use crate::domain::grant_subject::GrantSubject;

const SERVICES: &str = "registry.example.com";

/// A hash of the word `secret`.
const HASH: &str = "$2y$04$C6UzMDM.H6dfI/f/IKcEe.7uBJBHvyRBtuPIBCBAABwxFqgZfqvSe";

fn plan_with(rules: &str, users: &str, stored: &Stored) -> Plan {
    let text = format!("users:\n{}acl:\n{rules}", users.replace("HASH", HASH));
    let config = Config::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Plan::make(&config, stored, wish(&own(&[SERVICES]))).unwrap()
}

fn own(services: &[&str]) -> OwnSettings {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    OwnSettings {
        services: texts(services),
        issuer: "x".into(),
        token_paths: texts(&["/auth", "/auth/token"]),
    }
}

fn wish(own: &OwnSettings) -> Wish<'_> {
    let now = datetime!(2027-01-01 00:00 UTC);
    Wish { own, repositories: None, effort: Effort::Unbounded, now }
}

const USERS: &str = "  admin: {password: HASH}\n  alice: {password: HASH, labels: {team: [red, blue]}}\n  bob: {password: HASH}\n";

const OPEN: &str = "  \"\": {}\n";

fn plan(rules: &str) -> Plan {
    plan_with(rules, &format!("{USERS}{OPEN}"), &Stored::default())
}

fn rows(plan: &Plan) -> Vec<String> {
    let row = |row: &PlannedRow| {
        let networks: Vec<_> = row.networks.iter().map(ToString::to_string).collect();
        format!("{} {}", row.spec, networks.join(",")).trim_end().to_owned()
    };
    plan.rows.iter().map(row).collect()
}

#[test]
fn lists_without_conflicts_become_rows_one_by_one() {
    for (rules, expected) in [
        (
            "- {match: {account: admin}, actions: [\"*\"]}\n- {match: {account: alice, name: \"team/*\"}, actions: [push, pull]}\n- {match: {name: \"public/*\"}, actions: [pull]}\n",
            &["user:admin owner **", "user:alice writer team/*", "everyone viewer public/*"][..],
        ),
        (
            "- {match: {account: \"/.+/\", name: \"${account}/*\"}, actions: [\"*\"]}\n- {match: {account: \"/.+/\"}, actions: [pull]}\n",
            &["authenticated owner ${user}/*", "authenticated viewer **"],
        ),
        (
            "- {match: {account: \"a*\", name: \"a/*\"}, actions: [pull, delete]}\n- {match: {ip: 10.0.0.0/8}, actions: [pull]}\n- {match: {ip: 192.0.2.1}, actions: [pull]}\n",
            &[
                "user:admin delete,list,pull a/*",
                "user:alice delete,list,pull a/*",
                "everyone viewer ** 10.0.0.0/8,192.0.2.1/32",
            ],
        ),
        (
            "- {match: {name: \"${labels:team}/*\"}, actions: [pull, push, delete]}\n- {match: {labels: {team: red}}, actions: [pull]}\n",
            &["user:alice maintainer blue/*", "user:alice maintainer red/*", "user:alice viewer **"],
        ),
        (
            "- {match: {account: \"/^(.)lice$/\", name: \"/^${account:1}-(one|two)/\"}, actions: [pull]}\n",
            &["user:alice viewer a-one*/**", "user:alice viewer a-two*/**"],
        ),
        (
            "- {match: {account: \"\", name: \"hello*\"}, actions: [pull]}\n- {match: {account: \"/.+/\"}, actions: [\"*\"]}\n",
            &["everyone viewer hello*", "authenticated owner **"],
        ),
        (
            "- {match: {account: admin}, actions: [\"*\"]}\n- {match: {}, actions: []}\n",
            &["user:admin owner **"],
        ),
    ] {
        let plan = plan(rules);
        assert_eq!(rows(&plan), expected, "{rules}");
        assert!(plan.differences.is_empty(), "{rules}: {:#?}", plan.differences);
        assert_eq!(
            plan.remainder.iter().filter(|remark| !remark.sentence.contains("catalog")).count(),
            0,
            "{rules}: {:#?}",
            plan.remainder
        );
        assert!(plan.extent.combinations > 200, "{:?}", plan.extent);
    }
}

#[test]
fn an_earlier_rule_that_says_less_becomes_a_denial() {
    for (rules, expected) in [
        (
            "- {match: {account: bob, name: \"prod/*\"}, actions: [pull]}\n- {match: {account: bob}, actions: [pull, push]}\n",
            &["user:bob viewer prod/*", "user:bob writer **", "user:bob deny push prod/*"][..],
        ),
        (
            "- {match: {account: bob, name: \"secret/*\"}, actions: []}\n- {match: {account: \"/.+/\"}, actions: [\"*\"]}\n",
            &["authenticated owner **", "user:bob deny * secret/*"],
        ),
        (
            "- {match: {name: \"locked/*\"}, actions: [pull]}\n- {match: {account: \"/.+/\"}, actions: [pull, push, delete]}\n",
            &[
                "everyone viewer locked/*",
                "authenticated maintainer **",
                "everyone deny push,delete locked/*",
            ],
        ),
        (
            "- {match: {account: bob, name: \"ab/*\"}, actions: [\"*\"]}\n- {match: {account: bob}, actions: []}\n- {match: {account: \"/.+/\"}, actions: [pull]}\n",
            &[
                "user:bob owner ab/*",
                "authenticated viewer **",
                "user:bob deny pull {[-.0-9_b-z],a[-.0-9_ac-z],ab?}*/**",
                "user:bob deny pull a/**",
                "user:bob deny pull ab",
                "user:bob deny pull ab/*/*/**",
            ],
        ),
    ] {
        let plan = plan(rules);
        assert_eq!(rows(&plan), expected, "{rules}");
        assert!(plan.differences.is_empty(), "{rules}: {:#?}", plan.differences);
    }
}

#[test]
fn an_order_that_rows_cannot_say_is_a_difference_and_never_more_than_before() {
    // Bob may do everything in what is for development, nothing elsewhere, and others may read everything.
    let plan = plan(
        "- {match: {account: bob, name: \"*-dev\"}, actions: [\"*\"]}\n- {match: {account: bob}, actions: []}\n- {match: {account: \"/.+/\"}, actions: [pull]}\n",
    );
    assert!(!plan.differences.is_empty());
    for difference in &plan.differences {
        assert!(difference.new.difference(difference.old).is_empty(), "{difference:?}");
        assert_eq!(difference.who, "bob");
    }
    assert!(plan.remainder.iter().any(|remark| remark.sentence.contains("order")), "{:?}", plan.remainder);
}

#[test]
fn what_is_not_understood_is_left_and_said() {
    for (rules, part) in [
        ("- {match: {team: infra}, actions: [pull]}\n", "does not know the condition `team`"),
        ("- {match: {account: alice, name: \"/^app[0-9]+$/\"}, actions: [pull]}\n", "regular expressions"),
        ("- {match: {account: alice, name: \"${name}\"}, actions: [pull]}\n", "about itself"),
        (
            "- {match: {account: \"/${name}/\"}, actions: [pull]}\n- {match: {account: alice}, actions: [pull]}",
            "",
        ),
    ] {
        let plan = plan(rules);
        assert!(
            plan.remainder.iter().any(|remark| remark.sentence.contains(part)) || part.is_empty(),
            "{rules}: {:#?}",
            plan.remainder
        );
        assert!(plan.remainder.iter().all(|remark| remark.line != Some(0)), "{:?}", plan.remainder);
    }
}

#[test]
fn a_rule_for_one_registry_of_several_is_left() {
    let text = format!(
        "users: {{a: {{password: {HASH}}}}}\nacl:\n- {{match: {{account: a, service: one}}, actions: [pull]}}\n"
    );
    let config = Config::parse(&text).unwrap();
    let plan = Plan::make(&config, &Stored::default(), wish(&own(&["one", "two"]))).unwrap();
    assert!(
        plan.rows.is_empty()
            && plan.remainder.iter().any(|remark| remark.sentence.contains("some registries"))
    );
    let plan = Plan::make(&config, &Stored::default(), wish(&own(&["one"]))).unwrap();
    assert_eq!(rows(&plan), ["user:a viewer **"]);
    assert!(plan.differences.is_empty());
}

#[test]
fn users_are_taken_by_their_folded_names_or_not_at_all() {
    let users = "  Alice: {password: HASH}\n  alice: {password: HASH}\n  everyone: {password: HASH}\n  a@b: {password: HASH}\n  open: {}\n  md5: {password: \"$apr1$x$y\"}\n  here: {}\n  crew: {password: HASH}\n";
    let stored =
        Stored { users: ["here".to_owned()].into(), teams: ["crew".to_owned()].into(), ..Stored::default() };
    let plan = plan_with("- {match: {}, actions: []}\n", users, &stored);
    let outcomes: Vec<_> = plan
        .users
        .iter()
        .map(|user| match &user.outcome {
            UserOutcome::New(name, _) => format!("new {name}"),
            UserOutcome::AlreadyThere(name) => format!("here {name}"),
            UserOutcome::Refused(why) => why.clone(),
        })
        .collect();
    for (outcome, part) in outcomes.iter().zip([
        "new alice",
        "same user as Alice",
        "reserved",
        "letters, digits",
        "any",
        "no bcrypt",
        "here here",
        "team named crew",
    ]) {
        assert!(outcome.contains(part), "{part}: {outcome}");
    }
    assert_eq!(plan.remainder.len(), 6, "{:#?}", plan.remainder);
}

fn rule() -> impl Strategy<Value = String> {
    let account = prop_oneof![
        Just(""),
        Just("account: admin, "),
        Just("account: bob, "),
        Just("account: \"/.+/\", "),
        Just("account: \"\", "),
        Just("account: \"a*\", ")
    ];
    let name = prop_oneof![
        Just(""),
        Just("name: \"a/*\", "),
        Just("name: \"a/b\", "),
        Just("name: \"${account}/*\", "),
        Just("name: \"/^a/\", "),
        Just("name: \"*\", ")
    ];
    let network = prop_oneof![4 => Just(""), 1 => Just("ip: 10.0.0.0/8, ")];
    let actions = prop_oneof![
        Just("[]"),
        Just("[\"*\"]"),
        Just("[pull]"),
        Just("[pull, push]"),
        Just("[pull, push, delete]"),
        Just("[push]")
    ];
    (account, name, network, actions).prop_map(|(account, name, network, actions)| {
        format!("- {{match: {{{account}{name}{network}}}, actions: {actions}}}\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn nobody_gets_more_than_before(rules in proptest::collection::vec(rule(), 1..6)) {
        let plan = plan(&rules.concat());
        for difference in &plan.differences {
            let more = difference.new.difference(difference.old);
            if !more.is_empty() {
                // Anybody has that without a login.
                let open = plan.rows.iter().any(|row| {
                    row.spec.subject == GrantSubject::Everyone && row.spec.effect == Effect::Allow
                        && row.spec.pattern.matches(&difference.repository, None)
                });
                prop_assert!(open, "{:?}", difference);
            }
        }
    }
}

#[test]
fn a_request_compares_so_much_and_no_more() {
    let compared = |people: usize, rules: usize, effort| {
        let user = |number| format!("  u{number}: {{password: {HASH}}}\n");
        let rule =
            |number| format!("- {{match: {{account: u{number}, name: \"p{number}/*\"}}, actions: [pull]}}\n");
        let users = (0..people).map(user).collect::<Vec<_>>().concat();
        let rules = (0..rules).map(rule).collect::<Vec<_>>().concat();
        let config = Config::parse(&format!("users:\n{users}acl:\n{rules}")).unwrap();
        let own = own(&[SERVICES]);
        Plan::make(&config, &Stored::default(), Wish { effort, ..wish(&own) }).map(|plan| plan.rows.len())
    };
    assert_eq!(compared(3, 3, Effort::OfARequest), Ok(3));
    assert_eq!(compared(1, 1_001, Effort::OfARequest), Err(TooMuch));
    assert_eq!(compared(300, 300, Effort::OfARequest), Err(TooMuch));
    assert_eq!(compared(5, 5, Effort::Unbounded), Ok(5));
}
