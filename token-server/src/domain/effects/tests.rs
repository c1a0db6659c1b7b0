//! Changes of every kind, and what they mean for people.

use ipnet::IpNet;
use shared::limits::TagPattern;

use super::super::grant::{Conditions, Effect, What};
use super::*;
use crate::db::principals::{AUTHENTICATED, EVERYONE};
use crate::db::token_uses::SummedUse;

const TEAM: i64 = 200;

fn grant(id: i64, holder: i64, words: &str, pattern: &str) -> Grant {
    let (effect, words) =
        words.strip_prefix('-').map_or((Effect::Allow, words), |words| (Effect::Deny, words));
    Grant {
        id,
        holder,
        effect,
        what: What::Rights(RightSet::parse(words).unwrap()),
        pattern: RepositoryPattern::parse(pattern).unwrap(),
        tags: None,
        conditions: Conditions::default(),
    }
}

fn barrier(words: &str, pattern: &str) -> Barrier {
    Barrier::new(RepositoryPattern::parse(pattern).unwrap(), RightSet::parse(words).unwrap()).unwrap()
}

/// Ann and ben are in the team, carol is not; ann is number 100, and so on.
fn situation(grants: &[Grant], barriers: &[Barrier], team: &[&str]) -> Situation {
    let holders = ["ann", "ben", "carol"].into_iter().zip(100..).map(|(name, pid)| {
        let own = BTreeSet::from([EVERYONE, AUTHENTICATED, pid]);
        let of_team = team.contains(&name).then_some(TEAM);
        (Some(name.to_owned()), own.into_iter().chain(of_team).collect())
    });
    Situation {
        grants: grants.to_vec(),
        barriers: barriers.to_vec(),
        namespaces: Vec::new(),
        holders: holders.chain([(None, BTreeSet::from([EVERYONE]))]).collect(),
    }
}

fn words(before: &Situation, after: &Situation, seen: &[&str]) -> Vec<String> {
    let patterns: Vec<_> = before.grants.iter().map(|grant| grant.pattern.clone()).collect();
    let users = ["ann", "ben", "carol"].map(str::to_owned).into();
    let names = Names { seen: seen.iter().map(|name| name.parse().unwrap()).collect(), patterns, users };
    let effects = Comparison::new(before, after).effects(&names, OffsetDateTime::UNIX_EPOCH);
    assert_eq!(effects.not_looked_at, 0);
    let said = effects.personal.into_iter().map(|effect| {
        let people: Vec<_> = effect.people.iter().map(|person| person.as_deref().unwrap_or("-")).collect();
        let places: Vec<_> = effect.places.iter().map(ToString::to_string).collect();
        let tags = if effect.for_some_tags { " for some tags" } else { "" };
        let (people, places) = (people.join(","), places.join(" and "));
        format!("{people} {:?} {}{tags} on {places}", effect.direction, effect.rights)
    });
    said.collect()
}

const BOTH: &[&str] = &["ann", "ben"];

#[test]
fn taking_a_right_away_is_felt_by_those_who_have_no_other() {
    let all = [grant(1, TEAM, "pull,push", "prod/**"), grant(2, 100, "pull,push", "prod/**")];
    let before = situation(&all, &[], BOTH);
    assert_eq!(words(&before, &situation(&all[1..], &[], BOTH), &[]), ["ben Lose push,pull on prod/**"]);
    assert_eq!(words(&before, &situation(&all[..1], &[], BOTH), &[]), Vec::<String>::new());
    assert_eq!(words(&before, &before, &["prod/app"]), Vec::<String>::new());
}

#[test]
fn what_another_right_still_gives_is_not_lost() {
    let all = [
        grant(1, TEAM, "pull,push", "**"),
        grant(2, EVERYONE, "pull", "public/**"),
        grant(3, 100, "pull,push", "prod/**"),
    ];
    let found =
        words(&situation(&all, &[], BOTH), &situation(&all[1..], &[], BOTH), &["public/tool", "prod/app"]);
    assert_eq!(
        found,
        [
            "ben Lose push on **",
            "ann Lose push on ** (not prod/**)",
            "ann Lose pull on ** (not prod/**, public/**)",
            "ben Lose pull on ** (not public/**)",
        ]
    );
}

#[test]
fn rights_for_everybody_are_for_clients_without_a_login_too() {
    let none = situation(&[], &[], BOTH);
    let after = situation(&[grant(1, EVERYONE, "pull", "public/**")], &[], BOTH);
    assert_eq!(words(&none, &after, &[]), ["-,ann,ben,carol Gain pull on public/**"]);
    let after = situation(&[grant(1, AUTHENTICATED, "pull", "people/${user}/**")], &[], BOTH);
    assert_eq!(words(&none, &after, &["people/ann/x"]), ["ann,ben,carol Gain pull on people/${user}/**"]);
}

#[test]
fn barriers_and_members_are_changes_like_any_other() {
    let all = [grant(1, TEAM, "pull,push", "**"), grant(2, 101, "pull,push", "prod/web")];
    let before = situation(&all, &[], BOTH);
    let behind = situation(&all, &[barrier("push", "prod/**")], BOTH);
    assert_eq!(
        words(&before, &behind, &["prod/app", "prod/web"]),
        ["ann Lose push on prod/**", "ben Lose push on prod/** (not prod/web)"]
    );
    assert_eq!(words(&behind, &before, &[])[0], "ann Gain push on prod/**");
    let alone = situation(&all, &[], &["ann"]);
    assert_eq!(words(&before, &alone, &[]), ["ben Lose push,pull on ** (not prod/web)"]);
    let more = situation(&all, &[], &["ann", "ben", "carol"]);
    assert_eq!(words(&before, &more, &[]), ["carol Gain push,pull on **"]);
}

#[test]
fn what_counts_elsewhere_or_later_or_for_some_tags_means_something() {
    let none = situation(&[], &[], BOTH);
    let mut limited = grant(1, 100, "pull", "a");
    limited.conditions.networks = vec!["192.0.2.0/24".parse::<IpNet>().unwrap()];
    limited.conditions.not_before = Some(OffsetDateTime::UNIX_EPOCH + time::Duration::DAY);
    assert_eq!(words(&none, &situation(&[limited], &[], BOTH), &[]), ["ann Gain pull on a"]);
    let all = [grant(1, 100, "pull,push", "a")];
    let mut denied = grant(2, TEAM, "-tag-update", "a");
    denied.tags = Some(TagPattern::parse("v*").unwrap());
    let after = situation(&[all[0].clone(), denied], &[], BOTH);
    assert_eq!(words(&situation(&all, &[], BOTH), &after, &[]), ["ann Lose tag-update for some tags on a"]);
}

#[test]
fn requests_that_would_be_refused_are_counted() {
    let used = |subject: &str, repository: &str, actions: &str, uses: i64| SummedUse {
        subject: subject.into(),
        repository: repository.into(),
        actions: actions.into(),
        uses,
        last_address: Some("192.0.2.1".into()),
    };
    let given = [
        used("ann", "prod/app", "pull,push", 12),
        used("ann", "prod/app", "push", 5),
        used("ann", "other", "pull", 100),
        used("ben", "prod/app", "delete", 7),
        used("ben", "prod/gone", "pull", 1),
        used("ben", "", "", 2),
        used("dave", "prod/app", "pull", 1000),
    ];
    let all = [grant(1, TEAM, "pull,push", "prod/**"), grant(2, EVERYONE, "pull", "**")];
    let (before, after) = (situation(&all, &[], BOTH), situation(&all[1..], &[], BOTH));
    let names = BTreeSet::from(["prod/app".parse().unwrap(), "other".parse().unwrap()]);
    let replay = Comparison::new(&before, &after).replay(&given, &names, OffsetDateTime::UNIX_EPOCH);
    assert_eq!((replay.requests, replay.refused, replay.unknown), (127, 17, 3));
    let said: Vec<_> = replay
        .refusals
        .iter()
        .map(|refused| {
            format!("{:?} {} {} {}", refused.person, refused.actions, refused.repository, refused.requests)
        })
        .collect();
    assert_eq!(said, [r#"Some("ann") push prod/app 17"#]);
}

#[test]
fn own_places_that_a_change_is_not_about_keep_nobody_from_being_looked_at() {
    let personal = grant(1, AUTHENTICATED, "push", "${user}/**");
    let before = situation(std::slice::from_ref(&personal), &[], &["ann"]);
    let after = situation(&[personal, grant(2, TEAM, "pull", "prod/**")], &[], &["ann"]);
    let patterns = vec![RepositoryPattern::parse("prod/**").unwrap()];
    let names = Names { patterns, ..Names::default() };
    let effects = Comparison::new(&before, &after).effects(&names, OffsetDateTime::UNIX_EPOCH);
    assert_eq!(effects.not_looked_at, 0);
    let [effect] = &effects.personal[..] else { panic!("{effects:?}") };
    assert_eq!(effect.people, BTreeSet::from([Some("ann".to_owned())]));
    // Those whose own places it is about and that are not known are counted.
    let after = situation(&[grant(3, AUTHENTICATED, "pull", "own/${user}")], &[], &[]);
    let before = situation(&[], &[], &[]);
    let names = Names { users: BTreeSet::from(["ben".to_owned()]), ..Names::default() };
    let effects = Comparison::new(&before, &after).effects(&names, OffsetDateTime::UNIX_EPOCH);
    assert_eq!(effects.not_looked_at, 2);
    assert_eq!(effects.personal[0].people, BTreeSet::from([Some("ben".to_owned())]));
}
