//! Whom somebody can ask for a right that was refused.
//!
//! *Invariant:* who is named may give the right at this moment, by the function that decides. Whoever has nothing at a
//! place is told the same of every place, whether there is something or not.

use std::fmt;

use shared::action::ActionSet;
use shared::repository_name::RepositoryName;
use shared::repository_pattern::RepositoryPattern;

use super::grant::{Circumstances, Grant};
use super::policy::{Held, Rows};
use super::right::{Right, RightSet};
use crate::db::principals::{AUTHENTICATED, EVERYONE, TEAM};

/// More people than this are not named.
const MAX_NAMED: usize = 3;

/// Somebody with rows that let others be given rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// The inner number.
    pub pid: i64,
    /// What they are.
    pub kind: ManagerKind,
    /// Folded name.
    pub name: String,
}

/// Who can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ManagerKind {
    /// A team.
    Team,
    /// A user.
    User,
}

impl Manager {
    /// What `${user}` in a pattern stands for, if it is a user.
    fn user(&self) -> Option<&str> {
        (self.kind == ManagerKind::User).then_some(&self.name)
    }
}

/// As people write it.
impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ManagerKind::Team => write!(f, "{TEAM}:{}", self.name),
            ManagerKind::User => f.write_str(&self.name),
        }
    }
}

/// Who manages rights about a repository, and the rows that say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managers {
    /// Users and teams.
    pub people: Vec<Manager>,
    /// Their rows at this place, those of everybody, and the barriers there.
    pub rows: Rows,
}

/// The names of those who may give all of this, the nearest first. `is_seen` says whether whoever asks has something at
/// the place.
pub fn grantors(
    managers: &Managers,
    name: &RepositoryName,
    refused: ActionSet,
    is_seen: bool,
    circumstances: Circumstances,
) -> Vec<String> {
    let everywhere = RepositoryPattern::all();
    let may_be_told = |row: &&Grant| is_seen || row.pattern == everywhere;
    let can_give = |manager: &&Manager| {
        let own = |row: &&Grant| [EVERYONE, AUTHENTICATED, manager.pid].contains(&row.holder);
        let grants = managers.rows.grants.iter().filter(own).filter(may_be_told).cloned().collect();
        let barriers = if is_seen { managers.rows.barriers.clone() } else { Vec::new() };
        let rows = Rows { grants, barriers, ..Rows::default() };
        let held = Held::of(&rows, name, manager.user(), circumstances).rights();
        let is_any_held = |rights: RightSet| !held.intersection(rights).is_empty();
        held.contains(Right::GrantManage)
            && refused.iter().all(|action| is_any_held(RightSet::behind(action)))
    };
    let distance = |manager: &&Manager| {
        let own = managers.rows.grants.iter().filter(|row| row.holder == manager.pid).filter(may_be_told);
        let managing = own.filter(|row| row.rights().contains(Right::GrantManage));
        std::cmp::Reverse(managing.map(|row| row.pattern.anchor().len()).max())
    };
    let mut found: Vec<&Manager> = managers.people.iter().filter(can_give).collect();
    found.sort_by_cached_key(|manager| (distance(manager), manager.kind, manager.name.clone()));
    found.into_iter().take(MAX_NAMED).map(Manager::to_string).collect()
}

#[cfg(test)]
mod tests {
    use shared::action::Action;
    use time::OffsetDateTime;

    use super::super::barrier::Barrier;
    use super::super::grant::{Conditions, Effect, What};
    use super::super::role::Role;
    use super::*;

    fn row(holder: i64, effect: Effect, role: Role, pattern: &str) -> Grant {
        Grant {
            id: holder,
            holder,
            effect,
            what: What::Role(role),
            pattern: RepositoryPattern::parse(pattern).unwrap(),
            tags: None,
            conditions: Conditions::default(),
        }
    }

    fn managers(grants: Vec<Grant>) -> Managers {
        let user = |pid, name: &str| Manager { pid, kind: ManagerKind::User, name: name.into() };
        let team = |pid, name: &str| Manager { pid, kind: ManagerKind::Team, name: name.into() };
        let people = vec![user(11, "ann"), user(12, "ben"), team(13, "platform"), user(14, "root")];
        Managers { people, rows: Rows { grants, ..Rows::default() } }
    }

    fn asked(managers: &Managers, actions: &[Action], is_seen: bool) -> Vec<String> {
        let name = "platform/app".parse().unwrap();
        let circumstances =
            Circumstances { now: OffsetDateTime::UNIX_EPOCH, address: None, second_factor: false };
        grantors(managers, &name, ActionSet::of(actions), is_seen, circumstances)
    }

    #[test]
    fn the_nearest_who_hold_it_are_named() {
        let managers = managers(vec![
            row(14, Effect::Allow, Role::OWNER, "**"),
            row(11, Effect::Allow, Role::ADMIN, "platform/**"),
            row(13, Effect::Allow, Role::ADMIN, "platform/**"),
            row(12, Effect::Allow, Role::WRITER, "platform/app"),
        ]);
        assert_eq!(asked(&managers, &[Action::Push], true), ["team:platform", "ann", "root"]);
        assert_eq!(asked(&managers, &[Action::RepositoryDelete], true), ["root"]);
    }

    #[test]
    fn whoever_sees_nothing_is_told_the_same_everywhere() {
        let mut managers = managers(vec![
            row(14, Effect::Allow, Role::OWNER, "**"),
            row(11, Effect::Allow, Role::ADMIN, "platform/**"),
        ]);
        let barrier = Barrier::new(RepositoryPattern::parse("platform/**").unwrap(), RightSet::EVERYTHING);
        managers.rows.barriers.push(barrier.unwrap());
        assert_eq!(asked(&managers, &[Action::Push], true), ["ann"]);
        assert_eq!(asked(&managers, &[Action::Push], false), ["root"]);
    }

    #[test]
    fn whoever_was_denied_it_is_not_named() {
        let managers = managers(vec![
            row(11, Effect::Allow, Role::ADMIN, "platform/**"),
            row(EVERYONE, Effect::Deny, Role::WRITER, "platform/app"),
        ]);
        assert_eq!(asked(&managers, &[Action::Push], true), Vec::<String>::new());
    }
}
