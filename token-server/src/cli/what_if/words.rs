//! What a change would mean, for people.
//!
//! *Invariant:* for people each effect is one sentence on one line, losses first; lists of names end somewhere.

use std::collections::BTreeSet;

use super::super::listings::time;

use crate::domain::administration::what_if::WhatIf;
use crate::domain::effects::places::Place;
use crate::domain::effects::replay::{Refused, Replay};
use crate::domain::effects::{Direction, Person, PersonalEffect, is_robot, is_workload};
use crate::domain::words::counted::counted;
use crate::http::api::uses::ANONYMOUS;

/// So many names are printed.
const MAX_NAMES: usize = 10;

/// So many effects are printed.
const MAX_LINES: usize = 20;

/// More that differ only in their exceptions are put together.
const MAX_ALIKE: usize = 3;

/// All of it in sentences.
pub(in crate::cli) fn sentences(found: &WhatIf, days: u32) -> String {
    let mut lines = effects(&found.effects.personal);
    if lines.is_empty() && found.effects.not_looked_at == 0 {
        lines.push("nobody gains or loses anything".into());
    }
    let more = lines.len().saturating_sub(MAX_LINES);
    if more > 0 {
        lines.truncate(MAX_LINES);
        lines.push(format!("and {more} more; with --output json all are listed"));
    }
    if found.effects.not_looked_at > 0 {
        let people = counted(found.effects.not_looked_at, "person", "people");
        lines.push(format!("{people} not looked at: the change is about too many names at once"));
    }
    let since = found.known_since.map(|since| format!(" (they are counted since {})", time(since)));
    lines.push(requests(&found.replay, days) + &since.unwrap_or_default());
    lines.extend(found.unknown.iter().map(|pattern| {
        format!("no repository was found that {pattern} is about, so what it means there is not known")
    }));
    lines.join("\n") + "\n"
}

/// One sentence for each, or for several that differ only in what is not meant.
fn effects(effects: &[PersonalEffect]) -> Vec<String> {
    let mut groups: Vec<Vec<&PersonalEffect>> = Vec::new();
    for effect in effects {
        match groups.iter_mut().find(|group| is_alike(group[0], effect)) {
            Some(group) => group.push(effect),
            None => groups.push(vec![effect]),
        }
    }
    let sentences = groups.iter().flat_map(|group| {
        if group.len() <= MAX_ALIKE {
            let places =
                |effect: &PersonalEffect| effect.places.iter().map(Place::to_string).collect::<Vec<_>>();
            return group
                .iter()
                .map(|effect| sentence(effect, &effect.people, &places(effect), ""))
                .collect();
        }
        let first = group[0];
        let people = group.iter().flat_map(|effect| effect.people.iter().cloned()).collect();
        let places: Vec<String> = first.places.iter().map(|place| place.pattern.clone()).collect();
        let less = match first.direction {
            Direction::Lose => ", less what some of them keep by other rights",
            Direction::Gain => ", less what some of them have already",
        };
        vec![sentence(first, &people, &places, less)]
    });
    sentences.collect()
}

/// Whether two effects differ only in who is meant and in which parts of a pattern are not.
fn is_alike(one: &PersonalEffect, other: &PersonalEffect) -> bool {
    let patterns = |effect: &PersonalEffect| -> Vec<(String, bool)> {
        effect.places.iter().map(|place| (place.pattern.clone(), place.in_part)).collect()
    };
    let what = |effect: &PersonalEffect| (effect.direction, effect.rights, effect.for_some_tags);
    what(one) == what(other) && patterns(one) == patterns(other)
}

fn sentence(effect: &PersonalEffect, people: &BTreeSet<Person>, places: &[String], less: &str) -> String {
    let names: Vec<String> = people.iter().flatten().cloned().collect();
    let robots = names.iter().filter(|name| is_robot(name)).count();
    let workloads = names.iter().filter(|name| is_workload(name)).count();
    let has_anonymous = people.contains(&None);
    let parts = [
        has_anonymous.then(|| "clients without a login".to_owned()),
        some_of(names.len() - robots - workloads, "person", "people"),
        some_of(robots, "robot", "robots"),
        some_of(workloads, "workload", "workloads"),
    ];
    let who = parts.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    let is_one = !has_anonymous && names.len() == 1;
    let verb = match (effect.direction, is_one) {
        (Direction::Lose, true) => "loses",
        (Direction::Lose, false) => "lose",
        (Direction::Gain, true) => "gains",
        (Direction::Gain, false) => "gain",
    };
    let tags = if effect.for_some_tags { " for some tags" } else { "" };
    let names = if names.is_empty() { String::new() } else { format!(": {}", some(&names)) };
    format!("{who} {verb} {}{tags} on {}{less}{names}", effect.rights, some(places))
}

fn some_of(count: usize, one: &str, many: &str) -> Option<String> {
    (count > 0).then(|| counted(count, one, many))
}

fn requests(replay: &Replay, days: u32) -> String {
    let Replay { requests, refused, unknown, refusals } = replay;
    let days = counted(days, "day", "days");
    if *requests == 0 {
        return format!("no requests of theirs are known in {days}");
    }
    let examples: Vec<String> = refusals.iter().map(refusal).collect();
    let refused = match refused {
        0 => "none would have been refused".to_owned(),
        some_of_them => format!("{some_of_them} would have been refused: {}", some(&examples)),
    };
    let unknown = if *unknown > 0 { format!("; of {unknown} it is not known") } else { String::new() };
    format!("of {} in {days}, {refused}{unknown}", counted(*requests, "request", "requests"))
}

fn refusal(refused: &Refused) -> String {
    let Refused { person, actions, repository, requests } = refused;
    format!("{} {actions} {repository} ({requests})", called(person))
}

fn called(person: &Person) -> &str {
    person.as_deref().unwrap_or(ANONYMOUS)
}

fn some(names: &[String]) -> String {
    let shown = names.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::right::RightSet;

    fn effect(
        direction: Direction,
        pattern: &str,
        except: &[&str],
        people: &[Option<&str>],
    ) -> PersonalEffect {
        PersonalEffect {
            direction,
            rights: RightSet::parse("push").unwrap(),
            for_some_tags: false,
            places: vec![Place {
                pattern: pattern.into(),
                except: except.iter().map(|text| (*text).to_owned()).collect(),
                in_part: false,
            }],
            people: people.iter().map(|name| name.map(str::to_owned)).collect(),
        }
    }

    #[test]
    fn what_differs_in_exceptions_only_is_put_together_where_there_is_much_of_it() {
        use Direction::{Gain, Lose};
        let mut found = vec![
            effect(Lose, "prod/**", &[], &[Some("ann"), Some("ben"), Some("carol")]),
            effect(Lose, "prod/**", &["prod/a"], &[Some("dave")]),
            effect(Gain, "a", &[], &[None, Some("ann"), Some("ci/push"), Some("ci/pull")]),
            effect(Gain, "b", &[], &[Some("workload:nightly")]),
        ];
        let words = effects(&found);
        assert_eq!(
            words,
            [
                "3 people lose push on prod/**: ann, ben, carol",
                "1 person loses push on prod/** (not prod/a): dave",
                "clients without a login and 1 person and 2 robots gain push on a: ann, ci/pull, ci/push",
                "1 workload gains push on b: workload:nightly",
            ]
        );
        for name in ["eve", "fred"] {
            found.push(effect(Lose, "prod/**", &[name], &[Some(name)]));
        }
        let words = effects(&found);
        let expected = "6 people lose push on prod/**, less what some of them keep by other rights: ann, ben, carol, \
                        dave, eve, fred";
        assert_eq!(words[0], expected);
    }
}
