//! Principals in memory: who is alive, and which teams somebody is in.
//!
//! *Invariant:* a team's members are members of the teams it is in, through at most as many as the database allows.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use uuid::Uuid;

use super::super::grantors::{Manager, ManagerKind};
use super::shards::Shards;
use crate::db::principals::{AUTHENTICATED, EVERYONE, PrincipalState, ROBOT, TEAM, USER, WORKLOAD};
use crate::db::teams::MAX_DEPTH;

/// What somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A user.
    User,
    /// A robot.
    Robot,
    /// A workload.
    Workload,
    /// A team.
    Team,
    /// Everybody, or somebody of a kind that makes no difference here.
    Other,
}

/// One principal that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Stable id.
    pub uid: Uuid,
    /// Folded name.
    pub name: Box<str>,
    /// What it is.
    pub kind: Kind,
    /// Whether logins are refused.
    pub is_disabled: bool,
    teams: Box<[i64]>,
    /// Whoever a robot goes quiet with.
    pub owner: Option<i64>,
}

impl From<PrincipalState> for Person {
    fn from(state: PrincipalState) -> Self {
        let kind = match state.kind.as_str() {
            USER => Kind::User,
            ROBOT => Kind::Robot,
            WORKLOAD => Kind::Workload,
            TEAM => Kind::Team,
            _ => Kind::Other,
        };
        Self {
            uid: state.uid,
            name: state.name.into(),
            kind,
            is_disabled: state.is_disabled,
            teams: state.teams.into(),
            owner: state.owner,
        }
    }
}

impl Person {
    /// As somebody who can be asked: robots and workloads are not.
    pub(super) fn as_manager(&self, pid: i64) -> Option<Manager> {
        let kind = match self.kind {
            Kind::User => ManagerKind::User,
            Kind::Team => ManagerKind::Team,
            Kind::Robot | Kind::Workload | Kind::Other => return None,
        };
        Some(Manager { pid, kind, name: self.name.to_string() })
    }
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct People {
    all: Shards<i64, Person>,
    /// The teams that teams are in. They are looked up for each team of whoever asks, and most teams are in none.
    nested: Arc<HashMap<i64, Box<[i64]>, RandomState>>,
}

impl People {
    pub(super) fn get(&self, pid: i64) -> Option<&Person> {
        self.all.get(&pid)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &Person)> {
        self.all.iter().map(|(pid, person)| (*pid, person))
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Takes somebody in, in the place of what was known before.
    pub(super) fn put(&mut self, state: PrincipalState) {
        let pid = state.pid;
        let person = Person::from(state);
        self.nest(pid, if person.kind == Kind::Team { &person.teams } else { &[] });
        self.all.entry(pid).insert_entry(person);
    }

    pub(super) fn remove(&mut self, pid: i64) {
        self.all.remove(&pid);
        self.nest(pid, &[]);
    }

    /// Whether somebody may log in: not who is disabled, nor a robot whose owner is disabled or gone.
    pub(super) fn may_log_in(&self, person: &Person) -> bool {
        let is_active = |pid| self.get(pid).is_some_and(|owner| !owner.is_disabled);
        !person.is_disabled && person.owner.is_none_or(is_active)
    }

    fn nest(&mut self, pid: i64, teams: &[i64]) {
        let known = self.nested.get(&pid).map_or(&[][..], |known| known);
        if known == teams {
            return;
        }
        let nested = Arc::make_mut(&mut self.nested);
        if teams.is_empty() {
            nested.remove(&pid);
        } else {
            nested.insert(pid, teams.into());
        }
    }

    /// Whose rows count for somebody, in order; nothing if that is nobody who may log in.
    pub(super) fn subjects(&self, pid: Option<i64>) -> Option<Vec<i64>> {
        let Some(pid) = pid else { return Some(vec![EVERYONE]) };
        let person = self.get(pid).filter(|person| !person.is_disabled)?;
        let mut subjects = Vec::with_capacity(person.teams.len() + 3);
        subjects.extend([EVERYONE, AUTHENTICATED, pid]);
        subjects.extend(&person.teams);
        let mut level = person.teams.to_vec();
        for _ in 1..MAX_DEPTH {
            level = level.iter().filter_map(|team| self.nested.get(team)).flatten().copied().collect();
            if level.is_empty() {
                break;
            }
            level.sort_unstable();
            level.dedup();
            subjects.extend(&level);
        }
        subjects.sort_unstable();
        subjects.dedup();
        Some(subjects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(pid: i64, kind: &str, teams: &[i64]) -> PrincipalState {
        PrincipalState {
            pid,
            uid: Uuid::nil(),
            kind: kind.into(),
            name: format!("p{pid}"),
            is_disabled: false,
            teams: teams.into(),
            owner: None,
        }
    }

    #[test]
    fn teams_reach_as_far_as_in_the_database() {
        let mut people = People::default();
        people.put(state(100, USER, &[201, 210]));
        for team in 201..210 {
            people.put(state(team, TEAM, &[team + 1]));
        }
        people.put(state(210, TEAM, &[]));
        // Five teams in a chain, and one that is a member of nothing.
        assert_eq!(people.subjects(Some(100)), Some(vec![1, 2, 100, 201, 202, 203, 204, 205, 210]));
        assert_eq!(people.subjects(None), Some(vec![1]));
        people.put(state(202, TEAM, &[]));
        assert_eq!(people.subjects(Some(100)), Some(vec![1, 2, 100, 201, 202, 210]));
    }

    #[test]
    fn whoever_is_gone_or_disabled_holds_nothing() {
        let mut people = People::default();
        people.put(state(100, USER, &[]));
        people.put(PrincipalState { is_disabled: true, ..state(101, USER, &[]) });
        assert!(people.subjects(Some(100)).is_some());
        assert_eq!(people.subjects(Some(101)), None);
        assert_eq!(people.subjects(Some(102)), None);
        people.remove(100);
        assert_eq!(people.subjects(Some(100)), None);
    }

    #[test]
    fn a_robot_goes_quiet_with_its_owner() {
        let mut people = People::default();
        people.put(state(100, USER, &[]));
        people.put(PrincipalState { owner: Some(100), ..state(101, ROBOT, &[]) });
        people.put(state(102, ROBOT, &[]));
        let may = |people: &People, pid| people.may_log_in(people.get(pid).unwrap());
        assert!(may(&people, 101) && may(&people, 102));
        people.put(PrincipalState { is_disabled: true, ..state(100, USER, &[]) });
        assert!(!may(&people, 101) && may(&people, 102));
        people.remove(100);
        assert!(!may(&people, 101));
    }

    #[test]
    fn what_was_undone_leaves_no_trace() {
        let mut people = People::default();
        people.put(state(201, TEAM, &[]));
        let before = people.clone();
        people.put(state(202, TEAM, &[201]));
        people.put(state(201, TEAM, &[203]));
        people.remove(202);
        people.put(state(201, TEAM, &[]));
        assert_eq!(people, before);
    }
}
