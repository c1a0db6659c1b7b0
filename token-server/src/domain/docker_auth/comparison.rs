//! Old and new answers side by side, for everybody, everywhere and every action.
//!
//! *Invariant:* every combination is asked of both; nothing is concluded from what rules or rows look like.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use shared::action::{Action, ActionSet};
use shared::repository_name::RepositoryName;
use shared::repository_set::RepositorySet;
use time::OffsetDateTime;

use super::config::Config;
use super::people::Person;
use super::rows::{PlannedRow, is_about, what_of};
use super::rule::Request;
use super::samples;
use crate::domain::grant::{Circumstances, Grant};
use crate::domain::policy::{self, Held, Rows};

/// The actions that registries ask for.
pub const ASKED: ActionSet = ActionSet::of(&[Action::Pull, Action::Push, Action::Delete, Action::All]);

/// Rows that are stored already.
#[derive(Clone, Debug, Default)]
pub struct StoredRights {
    /// What anybody has.
    pub everyone: Rows,
    /// What users have who have nothing of their own.
    pub authenticated: Rows,
    /// What these users have, groups included.
    pub users: BTreeMap<String, Rows>,
}

impl StoredRights {
    fn of(&self, person: &Person) -> &Rows {
        match &person.user {
            None => &self.everyone,
            Some(user) if person.is_known => self.users.get(user).unwrap_or(&self.authenticated),
            Some(_) => &self.authenticated,
        }
    }
}

/// How much is compared at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// As much as it takes, for a command.
    Unbounded,
    /// What can be done, and kept in memory, while somebody waits for the answer to a request.
    OfARequest,
}

/// Rules of a request.
const MAX_RULES: usize = 1_000;

/// Rules of a request that are looked at, question by question: some seconds of work.
const MAX_LOOKUPS: usize = 20_000_000;

/// A question takes some memory however few the rules are.
const MIN_LOOKUPS: usize = 40;

impl Effort {
    fn allows(self, questions: usize, rules: usize) -> Result<(), TooMuch> {
        let lookups = questions.saturating_mul(rules.max(MIN_LOOKUPS));
        let is_bounded = self == Self::OfARequest;
        if is_bounded && (rules > MAX_RULES || lookups > MAX_LOOKUPS) { Err(TooMuch) } else { Ok(()) }
    }
}

/// More than is compared while somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "so many people, repositories and rules are not compared while somebody waits; name fewer repositories, or use \
     `import docker-auth` on the command line"
)]
pub struct TooMuch;

/// One combination, and what docker_auth answers.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) person: usize,
    pub(super) service: usize,
    pub(super) address: Option<IpAddr>,
    pub(super) name: RepositoryName,
    pub(super) old: ActionSet,
    /// The rule that decides.
    pub(super) rule: Option<usize>,
    /// What anybody can do there without a login.
    pub(super) open: ActionSet,
}

/// All combinations.
pub(super) struct Cases<'a> {
    pub(super) people: Vec<&'a Person>,
    pub(super) services: &'a [String],
    pub(super) addresses: Vec<Option<IpAddr>>,
    pub(super) repositories: usize,
    /// Where the rules stand.
    pub(super) lines: Vec<usize>,
    pub(super) all: Vec<Case>,
}

/// Something that is answered otherwise than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Who asks.
    pub who: String,
    /// At which registry.
    pub service: String,
    /// From where, if that matters.
    pub address: Option<IpAddr>,
    /// For which repository.
    pub repository: RepositoryName,
    /// What docker_auth allows.
    pub old: ActionSet,
    /// What is allowed here.
    pub new: ActionSet,
    /// Where the rule stands that decides there.
    pub line: Option<usize>,
}

/// What becomes of the list of repositories for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// As before.
    Same,
    /// It was whole, and now shows what one may pull.
    Narrower,
    /// It was refused, and now shows what one may pull.
    Wider,
}

/// Addresses that belong to nobody.
const ELSEWHERE: [&str; 4] = ["203.0.113.9", "198.51.100.9", "192.0.2.9", "2001:db8:ffff:9::9"];

impl<'a> Cases<'a> {
    /// Puts everything together; without `names`, those that the rules tell apart are taken.
    pub(super) fn new(
        config: &Config,
        people: Vec<&'a Person>,
        services: &'a [String],
        names: Option<&BTreeSet<RepositoryName>>,
        effort: Effort,
    ) -> Result<Self, TooMuch> {
        let rules = config.rules.len();
        effort.allows(0, rules)?;
        let addresses = addresses(config.rules.iter().filter_map(|rule| rule.network));
        let service = services.first().map_or("", String::as_str);
        let own = |person: &Person| samples::of_account(config, &person.account, &person.labels, service);
        // Names of some others as well, so that one's own place is seen to be closed to others.
        let others: BTreeSet<_> = people.iter().take(MAX_OTHERS).flat_map(|person| own(person)).collect();
        let common: BTreeSet<_> = others.into_iter().chain(samples::for_all(config, service)).collect();
        let each = services.len() * addresses.len();
        let of_all = names.map_or(common.len(), BTreeSet::len);
        effort.allows(people.len() * each * of_all, rules)?;
        let nobody = Person::nobody(config);
        let mut open: BTreeMap<(RepositoryName, usize, Option<IpAddr>), ActionSet> = BTreeMap::new();
        let mut repositories = BTreeSet::new();
        let mut all = Vec::new();
        for (position, person) in people.iter().enumerate() {
            let of_person: BTreeSet<RepositoryName> = match names {
                Some(names) => names.clone(),
                None => common.iter().cloned().chain(own(person)).collect(),
            };
            effort.allows(all.len() + each * of_person.len(), rules)?;
            for (number, service) in services.iter().enumerate() {
                for address in &addresses {
                    for name in &of_person {
                        let request = person.request("repository", name.as_str(), service);
                        let answer = config.decide(&Request { address: *address, ..request }, ASKED);
                        let open = *open.entry((name.clone(), number, *address)).or_insert_with(|| {
                            let nobody = nobody.request("repository", name.as_str(), service);
                            config.decide(&Request { address: *address, ..nobody }, ASKED).granted
                        });
                        let (old, rule) = (answer.granted, answer.rule);
                        let (name, address) = (name.clone(), *address);
                        all.push(Case { person: position, service: number, address, name, old, rule, open });
                    }
                }
            }
            repositories.extend(of_person);
        }
        let lines = config.rules.iter().map(|rule| rule.line).collect();
        Ok(Self { people, services, addresses, repositories: repositories.len(), lines, all })
    }

    /// How many questions that is: each action on each repository, and the list of repositories.
    pub(super) fn combinations(&self) -> usize {
        let lists = self.people.len() * self.services.len() * self.addresses.len();
        self.all.len() * ASKED.iter().count() + lists
    }

    /// What is answered here, case by case.
    pub(super) fn answers(
        &self,
        stored: &StoredRights,
        rows: &[PlannedRow],
        now: OffsetDateTime,
    ) -> Vec<ActionSet> {
        let of_people: Vec<Rows> = self.people.iter().map(|person| rows_of(person, stored, rows)).collect();
        let answer = |case: &Case| {
            let user = self.people[case.person].user.as_deref();
            let circumstances = Circumstances { now, address: case.address, second_factor: false };
            Held::of(&of_people[case.person], &case.name, user, circumstances).actions().intersection(ASKED)
        };
        self.all.iter().map(answer).collect()
    }

    /// Where the answers differ.
    pub(super) fn differences(&self, config: &Config, answers: &[ActionSet]) -> Vec<Difference> {
        let has_addresses = self.addresses.len() > 1;
        let differing = self.all.iter().zip(answers).filter(|(case, new)| case.old != **new);
        differing
            .map(|(case, new)| Difference {
                who: self.people[case.person].title().to_owned(),
                service: self.services[case.service].clone(),
                address: case.address.filter(|_| has_addresses),
                repository: case.name.clone(),
                old: case.old,
                new: *new,
                line: case.rule.map(|rule| config.rules[rule].line),
            })
            .collect()
    }

    /// What becomes of the list of repositories, person by person; with the line of the rule that gave it.
    pub(super) fn listings(
        &self,
        config: &Config,
        stored: &StoredRights,
        rows: &[PlannedRow],
        now: OffsetDateTime,
    ) -> Vec<(String, Listing, Option<usize>)> {
        let mut found = Vec::new();
        for person in &self.people {
            let held = rows_of(person, stored, rows);
            for service in self.services {
                for address in &self.addresses {
                    let request = person.request("registry", "catalog", service);
                    let request = Request { address: *address, ..request };
                    let old = config.decide(&request, ActionSet::of(&[Action::All]));
                    let line = old.rule.map(|rule| config.rules[rule].line);
                    let seen = policy::visible(
                        &held,
                        person.user.as_deref(),
                        Circumstances { now, address: *address, second_factor: false },
                    );
                    let listing = listing(!old.granted.is_empty(), seen.as_deref());
                    found.push((person.title().to_owned(), listing, line));
                }
            }
        }
        found.dedup();
        found
    }
}

/// How a list that was whole or refused compares to what is seen now.
pub(super) fn listing(was_whole: bool, seen: Option<&[RepositorySet]>) -> Listing {
    let is_whole = seen.is_some_and(|sets| sets.iter().any(RepositorySet::is_everything));
    let is_empty = seen.is_none_or(<[RepositorySet]>::is_empty);
    match (was_whole, is_whole, is_empty) {
        (true, true, _) | (false, _, true) => Listing::Same,
        (true, false, _) => Listing::Narrower,
        (false, _, false) => Listing::Wider,
    }
}

/// Of so many people the names that are told apart for them are asked about by everybody.
const MAX_OTHERS: usize = 4;

fn rows_of(person: &Person, stored: &StoredRights, rows: &[PlannedRow]) -> Rows {
    let mut held = stored.of(person).clone();
    let planned = rows.iter().filter(|row| is_about(&row.spec.subject, person));
    held.grants.extend(planned.map(as_grant));
    held
}

/// A planned row as a decision reads it; numbers are for stored ones.
fn as_grant(row: &PlannedRow) -> Grant {
    Grant {
        id: 0,
        holder: 0,
        effect: row.spec.effect,
        what: what_of(row),
        pattern: row.spec.pattern.clone(),
        tags: None,
        conditions: crate::domain::grant::Conditions { networks: row.networks.clone(), ..Default::default() },
    }
}

/// Whether a planned row is about a case.
pub(super) fn is_about_case(row: &PlannedRow, case: &Case, person: &Person) -> bool {
    is_about(&row.spec.subject, person)
        && row.spec.pattern.matches(&case.name, person.user.as_deref())
        && (row.networks.is_empty()
            || case
                .address
                .is_some_and(|address| row.networks.iter().any(|network| network.contains(&address))))
}

/// One address in each network, and some in none.
fn addresses(networks: impl Iterator<Item = IpNet>) -> Vec<Option<IpAddr>> {
    let networks: BTreeSet<IpNet> = networks.collect();
    if networks.is_empty() {
        return vec![None];
    }
    let inside = networks.iter().map(|network| network.hosts().next().unwrap_or_else(|| network.addr()));
    let elsewhere = ELSEWHERE.iter().filter_map(|text| text.parse::<IpAddr>().ok());
    let outside = elsewhere.filter(|address| networks.iter().all(|network| !network.contains(address)));
    let addresses: BTreeSet<IpAddr> = inside.chain(outside).collect();
    addresses.into_iter().map(Some).collect()
}
