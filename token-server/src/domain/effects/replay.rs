//! What clients were given before, asked for again: how much of it would be refused.
//!
//! *Invariant:* what would be refused in either situation is no effect of the change. What cannot be looked at is counted
//! and said.

use std::collections::{BTreeMap, BTreeSet};

use shared::action::ActionSet;
use shared::repository_name::RepositoryName;
use time::OffsetDateTime;

use super::super::grant::Circumstances;
use super::super::policy::Held;
use super::anchored::Anchored;
use super::{Comparison, Person, user_of};
use crate::db::token_uses::SummedUse;

/// What became of the requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// How many there were.
    pub requests: i64,
    /// How many of them would lack something.
    pub refused: i64,
    /// How many the change can matter for and that are not known in full.
    pub unknown: i64,
    /// Those that would lack something, the most frequent first.
    pub refusals: Vec<Refused>,
}

/// Requests for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whose.
    pub person: Person,
    /// What they would lack.
    pub actions: ActionSet,
    /// Where.
    pub repository: RepositoryName,
    /// How many.
    pub requests: i64,
}

impl Comparison<'_> {
    /// Asks again for what these people were given; for repositories among `names`, for which all rows are known.
    pub fn replay(
        &self,
        given: &[SummedUse],
        names: &BTreeSet<RepositoryName>,
        now: OffsetDateTime,
    ) -> Replay {
        let mut replay = Replay::default();
        let mut refusals: BTreeMap<(Person, RepositoryName, ActionSet), i64> = BTreeMap::new();
        let changed = Anchored::new(self.changed.patterns.iter().map(|pattern| (pattern, ())));
        for used in given {
            let person = (!used.subject.is_empty()).then(|| used.subject.clone());
            if !self.before.situation.holders.contains_key(&person) {
                continue;
            }
            replay.requests += used.uses;
            let Ok(repository) = RepositoryName::parse(&used.repository) else {
                replay.unknown += used.uses;
                continue;
            };
            if changed.about(&repository, user_of(&person)).next().is_none() {
                continue;
            }
            if !names.contains(&repository) {
                replay.unknown += used.uses;
                continue;
            }
            let actions = self.lost_actions(&person, &repository, used, now);
            if !actions.is_empty() {
                replay.refused += used.uses;
                // The same may have been asked for together with other things.
                *refusals.entry((person, repository, actions)).or_default() += used.uses;
            }
        }
        let refusals = refusals.into_iter().map(|((person, repository, actions), requests)| Refused {
            person,
            actions,
            repository,
            requests,
        });
        replay.refusals = refusals.collect();
        replay.refusals.sort_by_key(|refused| std::cmp::Reverse(refused.requests));
        replay
    }

    fn lost_actions(
        &self,
        person: &Person,
        repository: &RepositoryName,
        used: &SummedUse,
        now: OffsetDateTime,
    ) -> ActionSet {
        let address = used.last_address.as_deref().and_then(|address| address.parse().ok());
        let lost = |second_factor| {
            let circumstances = Circumstances { now, address, second_factor };
            let [before, after] = [&self.before, &self.after].map(|side| {
                let rows = side.rows(repository, &side.holders(person));
                Held::of(&rows, repository, user_of(person), circumstances).actions()
            });
            ActionSet::parse_known(&used.actions).intersection(before).difference(after)
        };
        // Which kind of login it was is not counted.
        lost(false).union(lost(true))
    }
}
