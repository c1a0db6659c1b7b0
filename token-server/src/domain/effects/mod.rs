//! What a change of rights means for people: who holds more or less, where.
//!
//! Two situations are compared on names that stand for all others: those that clients asked for, and samples of the
//! patterns that play a part ([`samples`]). For each of them the one function that decides is asked twice
//! ([`difference`]), and what came out is put into as few words as say it ([`places`]). The same is asked for what
//! clients were given before ([`replay`]).
//!
//! It does not matter here what the change is: rows, barriers and who is in which team may all differ.
//!
//! *Invariant:* everything is a pure function of both situations, the names and the time. People who hold the same rows
//! are looked at once, and people whose rows are the same in both are not looked at.

mod anchored;

pub mod samples;

pub mod difference;

pub mod places;

pub mod replay;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use shared::repository_name::RepositoryName;
use shared::repository_pattern::{self, RepositoryPattern};
use time::OffsetDateTime;

use super::barrier::Barrier;
use super::grant::{Circumstances, Grant};
use super::grant_subject::spelled;
use super::namespace::{Namespace, first_component};
use super::policy::{Held, Rows};
use super::right::{Right, RightSet};
use super::robot_name::RobotName;
use crate::db::principals::WORKLOAD;
use anchored::Anchored;
use difference::Difference;
use places::{Landscape, Place};

/// So many times somebody is asked about on a repository, before and after. Whoever is left then is not looked at.
const MAX_LOOKS: usize = 500_000;

/// Rows of so many different networks and times are looked at in their own circumstances.
const MAX_CIRCUMSTANCES: usize = 8;

/// Somebody who holds rights: a user or a robot by name, a workload as `workload:NAME`, or nothing for clients without a
/// login.
pub type Person = Option<String>;

/// Somebody of this kind and name.
pub fn person(kind: &str, name: String) -> Person {
    Some(if kind == WORKLOAD { spelled(kind, &name) } else { name })
}

/// What `${user}` in a pattern stands for.
pub fn user_of(person: &Person) -> Option<&str> {
    person.as_deref().filter(|name| !is_robot(name) && !is_workload(name))
}

/// Whether it is the name of a robot.
pub fn is_robot(name: &str) -> bool {
    RobotName::parse(name).is_ok()
}

/// Whether a workload is meant; no name of anybody else has a colon.
pub fn is_workload(name: &str) -> bool {
    name.split_once(':').is_some_and(|(kind, _)| kind == WORKLOAD)
}

/// What is stored at one moment.
#[derive(Clone, Debug, Default)]
pub struct Situation {
    /// All rows of the holders that can matter for the names, at least.
    pub grants: Vec<Grant>,
    /// All barriers that can, at least.
    pub barriers: Vec<Barrier>,
    /// Where not everybody who may push may make repositories: all that can matter, at least.
    pub namespaces: Vec<Namespace>,
    /// Whose rows each person holds: their own, those of their teams and of everybody.
    pub holders: BTreeMap<Person, BTreeSet<i64>>,
}

/// Where to look.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Repositories that clients asked for.
    pub seen: BTreeSet<RepositoryName>,
    /// Patterns of rows and barriers that play a part, besides those that differ.
    pub patterns: Vec<RepositoryPattern>,
    /// Users for whom `${user}` in a pattern is looked at.
    pub users: BTreeSet<String>,
}

/// Whether something comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// It goes.
    Lose,
    /// It comes.
    Gain,
}

/// The same change for some people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalEffect {
    /// Whether it comes or goes.
    pub direction: Direction,
    /// What.
    pub rights: RightSet,
    /// Whether only for some tags.
    pub for_some_tags: bool,
    /// Where.
    pub places: Vec<Place>,
    /// For whom.
    pub people: BTreeSet<Person>,
}

/// What a change means for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// What comes and goes, for whom.
    pub personal: Vec<PersonalEffect>,
    /// How many people were not looked at, because there was too much to look at.
    pub not_looked_at: usize,
}

/// Two situations, ready to be compared.
pub struct Comparison<'a> {
    before: Side<'a>,
    after: Side<'a>,
    changed: Changed<'a>,
}

/// A situation by anchors.
struct Side<'a> {
    situation: &'a Situation,
    grants: BTreeMap<String, Vec<&'a Grant>>,
    barriers: BTreeMap<String, Vec<&'a Barrier>>,
    by_id: BTreeMap<i64, &'a Grant>,
}

/// What one situation has and the other does not, for anybody.
#[derive(Default)]
struct Changed<'a> {
    /// Rows that are in one of them only, or that somebody holds in one of them only.
    grants: Vec<&'a Grant>,
    /// Those of these rows, of barriers and of namespaces.
    patterns: Vec<RepositoryPattern>,
    /// Those of barriers and of namespaces.
    keepers: Vec<RepositoryPattern>,
}

impl<'a> Side<'a> {
    fn new(situation: &'a Situation) -> Self {
        let (mut grants, mut barriers) = (BTreeMap::new(), BTreeMap::new());
        for grant in &situation.grants {
            grants.entry(grant.pattern.anchor()).or_insert_with(Vec::new).push(grant);
        }
        for barrier in &situation.barriers {
            barriers.entry(barrier.pattern.anchor()).or_insert_with(Vec::new).push(barrier);
        }
        let by_id = situation.grants.iter().map(|grant| (grant.id, grant)).collect();
        Self { situation, grants, barriers, by_id }
    }

    /// What these holders have on a repository.
    fn rows(&self, name: &RepositoryName, holders: &BTreeSet<i64>) -> Rows {
        let anchors = repository_pattern::anchors([name]);
        let grants = anchors.iter().filter_map(|anchor| self.grants.get(anchor)).flatten();
        let barriers = anchors.iter().filter_map(|anchor| self.barriers.get(anchor)).flatten();
        Rows {
            grants: grants.filter(|grant| holders.contains(&grant.holder)).copied().cloned().collect(),
            barriers: barriers.copied().cloned().collect(),
            namespaces: self.namespaces_of(name).cloned().collect(),
            limits: None,
        }
    }

    fn namespaces_of(&self, name: &RepositoryName) -> impl Iterator<Item = &'a Namespace> {
        let first = first_component(name.as_str()).to_owned();
        self.situation.namespaces.iter().filter(move |namespace| namespace.name == first)
    }

    fn holders(&self, person: &Person) -> BTreeSet<i64> {
        self.situation.holders.get(person).cloned().unwrap_or_default()
    }

    /// Whether the same row is there.
    fn has(&self, grant: &Grant) -> bool {
        self.by_id.get(&grant.id).is_some_and(|found| *found == grant)
    }
}

impl<'a> Comparison<'a> {
    /// Finds out what differs.
    pub fn new(before: &'a Situation, after: &'a Situation) -> Self {
        let (before, after) = (Side::new(before), Side::new(after));
        let mut changed = Changed::default();
        let moved: BTreeSet<i64> = people(&before, &after)
            .flat_map(|person| {
                let (before, after) = (before.holders(person), after.holders(person));
                before.symmetric_difference(&after).copied().collect::<Vec<_>>()
            })
            .collect();
        for (one, other) in [(&before, &after), (&after, &before)] {
            let is_changed = |grant: &&Grant| moved.contains(&grant.holder) || !other.has(grant);
            changed.grants.extend(one.situation.grants.iter().filter(is_changed));
            let barriers = one.situation.barriers.iter();
            let barriers = barriers.filter(|barrier| !other.situation.barriers.contains(barrier));
            changed.keepers.extend(barriers.map(|barrier| barrier.pattern.clone()));
            let namespaces = one.situation.namespaces.iter();
            let namespaces = namespaces.filter(|namespace| !other.situation.namespaces.contains(namespace));
            let whole =
                |namespace: &Namespace| RepositoryPattern::parse(&format!("{}/**", namespace.name)).ok();
            changed.keepers.extend(namespaces.filter_map(whole));
        }
        changed.patterns.clone_from(&changed.keepers);
        changed.patterns.extend(changed.grants.iter().map(|grant| grant.pattern.clone()));
        changed.patterns.sort_unstable();
        changed.patterns.dedup();
        Self { before, after, changed }
    }

    /// What it means for everybody.
    pub fn effects(&self, names: &Names, now: OffsetDateTime) -> Effects {
        let circumstances = self.circumstances(now);
        let mut patterns: Vec<RepositoryPattern> = names.patterns.clone();
        patterns.extend(self.changed.patterns.iter().cloned());
        patterns.sort_unstable();
        patterns.dedup();
        // Each right by itself first: who loses two of them need not lose both in the same places.
        let mut found: BTreeMap<(Direction, bool, Right, Vec<Place>), BTreeSet<Person>> = BTreeMap::new();
        let changed = Anchored::new(self.changed.patterns.iter().map(|pattern| (pattern, ())));
        let rows = Anchored::new(self.changed.grants.iter().map(|grant| (&grant.pattern, grant.holder)));
        let keepers = Anchored::new(self.changed.keepers.iter().map(|pattern| (pattern, ())));
        let look_around = |user: Option<&str>| {
            let all = names_for(user, names, &patterns, &changed);
            (Landscape::new(&patterns, &all, user), Concerned::by(&rows, &keepers, &all, user))
        };
        // Where no pattern is another one for each user, the same names tell the difference for everybody.
        let has_own_names = patterns.iter().any(RepositoryPattern::is_per_subject);
        let common = look_around(None);
        let (mut looks, mut not_looked_at) = (0, 0);
        for class in self.classes() {
            let own_names = class.user.as_deref().filter(|_| has_own_names);
            let is_unknown = own_names.is_some_and(|user| !names.users.contains(user));
            if is_unknown || looks > MAX_LOOKS {
                not_looked_at += class.people.len();
                continue;
            }
            let own = own_names.map(|user| look_around(Some(user)));
            let (landscape, concerned) = own.as_ref().unwrap_or(&common);
            let all = concerned.of(&class);
            looks += all.len();
            for ((direction, for_some_tags, right), covered) in self.differences(&class, all, &circumstances)
            {
                let places = landscape.describe(&covered);
                let people = found.entry((direction, for_some_tags, right, places)).or_default();
                people.extend(class.people.iter().cloned());
            }
        }
        let mut effects: BTreeMap<(Direction, bool, Vec<Place>, BTreeSet<Person>), RightSet> =
            BTreeMap::new();
        for ((direction, for_some_tags, right, places), people) in found {
            let rights = effects.entry((direction, for_some_tags, places, people)).or_default();
            *rights = rights.union(RightSet::of(&[right]));
        }
        let effects = effects.into_iter().map(|((direction, for_some_tags, places, people), rights)| {
            PersonalEffect { direction, rights, for_some_tags, places, people }
        });
        let mut effects: Vec<PersonalEffect> = effects.collect();
        effects.sort_by_key(|effect| (effect.direction, Reverse(effect.people.len())));
        Effects { personal: effects, not_looked_at }
    }

    /// Now, and the places, times and logins of rows that differ: what does not count at the moment means something too.
    fn circumstances(&self, now: OffsetDateTime) -> Vec<Circumstances> {
        let mut all = vec![Circumstances { now, address: None, second_factor: false }];
        for grant in &self.changed.grants {
            let begins = grant.conditions.not_before.filter(|begin| *begin > now).unwrap_or(now);
            let networks = grant.conditions.networks.iter().map(|network| Some(network.addr()));
            for address in networks.chain(grant.conditions.networks.is_empty().then_some(None)) {
                let second_factor = grant.conditions.second_factor;
                let found = Circumstances { now: begins, address, second_factor };
                if all.len() < MAX_CIRCUMSTANCES && !all.contains(&found) {
                    all.push(found);
                }
            }
        }
        all
    }

    /// Everybody for whom something can differ, together with those who hold the same.
    fn classes(&self) -> Vec<Class> {
        let relevant: BTreeSet<i64> = [&self.before, &self.after]
            .into_iter()
            .flat_map(|side| side.situation.grants.iter().map(|grant| grant.holder))
            .collect();
        let own: BTreeSet<i64> = [&self.before, &self.after]
            .into_iter()
            .flat_map(|side| &side.situation.grants)
            .filter(|grant| grant.pattern.is_per_subject())
            .map(|grant| grant.holder)
            .collect();
        let mut classes: BTreeMap<_, Class> = BTreeMap::new();
        for person in people(&self.before, &self.after) {
            let [before, after] = [&self.before, &self.after]
                .map(|side| side.holders(person).intersection(&relevant).copied().collect::<BTreeSet<i64>>());
            let holds = |grant: &&Grant| before.contains(&grant.holder) || after.contains(&grant.holder);
            if before == after && self.changed.keepers.is_empty() && !self.changed.grants.iter().any(holds) {
                continue;
            }
            let is_own = !own.is_disjoint(&before) || !own.is_disjoint(&after);
            let user = user_of(person).filter(|_| is_own).map(str::to_owned);
            let class = classes
                .entry((before.clone(), after.clone(), user.clone()))
                .or_insert_with(|| Class { people: Vec::new(), user, before, after });
            class.people.push(person.clone());
        }
        classes.into_values().collect()
    }

    fn differences(
        &self,
        class: &Class,
        names: BTreeSet<&RepositoryName>,
        circumstances: &[Circumstances],
    ) -> BTreeMap<(Direction, bool, Right), BTreeSet<RepositoryName>> {
        let mut found: BTreeMap<_, BTreeSet<RepositoryName>> = BTreeMap::new();
        for name in names {
            let before = self.before.rows(name, &class.before);
            let after = self.after.rows(name, &class.after);
            let difference = circumstances.iter().fold(Difference::default(), |found, circumstances| {
                let held = |rows| Held::of(rows, name, class.user.as_deref(), *circumstances);
                found.or(Difference::between(&held(&before), &held(&after)))
            });
            let Difference { lost, gained, narrowed, widened } = difference;
            for (direction, for_some_tags, rights) in [
                (Direction::Lose, false, lost),
                (Direction::Lose, true, narrowed),
                (Direction::Gain, false, gained),
                (Direction::Gain, true, widened),
            ] {
                for right in rights.iter() {
                    found.entry((direction, for_some_tags, right)).or_default().insert(name.clone());
                }
            }
        }
        found
    }
}

/// Names that can tell a difference for a user, or for all for whom the name does not matter, and no others.
fn names_for(
    user: Option<&str>,
    names: &Names,
    patterns: &[RepositoryPattern],
    changed: &Anchored<'_, ()>,
) -> BTreeSet<RepositoryName> {
    let samples = patterns.iter().flat_map(|pattern| samples::samples(pattern, user));
    let seen = names.seen.iter().cloned();
    samples.chain(seen).filter(|name| changed.about(name, user).next().is_some()).collect()
}

/// On which names something differs.
#[derive(Default)]
struct Concerned {
    /// For whom rows of a holder count.
    holders: BTreeMap<i64, BTreeSet<RepositoryName>>,
    /// For everybody who holds something there.
    everybody: BTreeSet<RepositoryName>,
}

impl Concerned {
    /// Whose rows differ, and what keeps rights out otherwise, on these names for a user.
    fn by(
        rows: &Anchored<'_, i64>,
        keepers: &Anchored<'_, ()>,
        names: &BTreeSet<RepositoryName>,
        user: Option<&str>,
    ) -> Self {
        let mut concerned = Self::default();
        for name in names {
            for holder in rows.about(name, user) {
                concerned.holders.entry(*holder).or_default().insert(name.clone());
            }
            if keepers.about(name, user).next().is_some() {
                concerned.everybody.insert(name.clone());
            }
        }
        concerned
    }

    fn of(&self, class: &Class) -> BTreeSet<&RepositoryName> {
        let own = class.before.union(&class.after).filter_map(|holder| self.holders.get(holder));
        own.flatten().chain(&self.everybody).collect()
    }
}

/// People who hold the same.
struct Class {
    people: Vec<Person>,
    /// Their name, if anything depends on it.
    user: Option<String>,
    before: BTreeSet<i64>,
    after: BTreeSet<i64>,
}

/// Everybody in either situation.
fn people<'a>(before: &Side<'a>, after: &Side<'a>) -> impl Iterator<Item = &'a Person> + use<'a> {
    let people: BTreeSet<_> = before.situation.holders.keys().chain(after.situation.holders.keys()).collect();
    people.into_iter()
}

#[cfg(test)]
mod tests;
