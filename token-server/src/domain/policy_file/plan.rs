//! What a file would change.
//!
//! *Invariant:* a plan is nothing but the difference of what the file says and what is stored; carried out, it leaves
//! none.

use std::collections::BTreeMap;
use std::fmt;

use super::super::principal_name::PrincipalName;
use super::super::robot_name::RobotName;
use super::super::words::counted::counted;
use super::reading::Things;
use super::thing::{Key, Thing};

/// What is stored of one key: from the file, by hand, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// How the file had it when it was applied, or somebody has changed it since.
    pub from_file: Option<Thing>,
    /// How somebody made it by hand.
    pub by_hand: Option<Thing>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something new.
    Add(Thing),
    /// Something that was made by hand and stays as it is, but is kept by the file from now on.
    Adopt(Thing),
    /// Something that becomes another.
    Change {
        /// As it is.
        before: Thing,
        /// Whether it was made by hand.
        by_hand: bool,
        /// As it becomes.
        after: Thing,
    },
    /// Something that the file no longer says.
    Remove(Thing),
}

/// A robot that goes with its namespace, although no file speaks of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoneRobot {
    /// Which.
    pub name: RobotName,
    /// How many secrets that are still good go with it.
    pub secrets: i64,
}

/// All changes, in the order in which they can be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to do.
    pub steps: Vec<Step>,
    /// What goes with the namespaces that are removed; the comparison does not know of it.
    pub gone_robots: Vec<GoneRobot>,
    /// What was made by hand and the file does not speak of.
    pub by_hand: Vec<Thing>,
}

impl Plan {
    /// Compares what the file says with what is stored.
    pub fn new(wanted: &Things, stored: &BTreeMap<Key, Stored>) -> Self {
        let mut plan = Self::default();
        for (key, Stored { from_file, by_hand }) in stored.iter().rev() {
            if !wanted.contains_key(key) {
                plan.steps.extend(from_file.clone().map(Step::Remove));
                plan.by_hand.extend(by_hand.clone());
            }
        }
        plan.by_hand.reverse();
        for (key, thing) in wanted {
            let found = stored.get(key).cloned().unwrap_or_default();
            plan.steps.extend(match (found.from_file, found.by_hand) {
                (Some(before), _) if before == *thing => None,
                (Some(before), _) => Some(Step::Change { before, by_hand: false, after: thing.clone() }),
                (None, Some(before)) if before == *thing => Some(Step::Adopt(before)),
                (None, Some(before)) => Some(Step::Change { before, by_hand: true, after: thing.clone() }),
                (None, None) => Some(Step::Add(thing.clone())),
            });
        }
        plan.steps.sort_by_key(Step::turn);
        plan
    }

    /// The namespaces that are removed.
    pub fn removed_namespaces(&self) -> impl Iterator<Item = &PrincipalName> {
        self.steps.iter().filter_map(|step| match step {
            Step::Remove(Thing::Namespace { name, .. }) => Some(name),
            _ => None,
        })
    }

    /// Takes out what is as the file says already, and says how much that was.
    pub fn take_adopted(&mut self) -> usize {
        let all = self.steps.len();
        self.steps.retain(|step| !matches!(step, Step::Adopt(_)));
        all - self.steps.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Step {
    /// When its turn is. What is removed goes first and the other way round, but a team only when no namespace is left
    /// to it, before anything new can need its name, and a role when nothing names it any more.
    const fn turn(&self) -> u8 {
        match self {
            Self::Remove(Thing::Team(_)) => 3,
            Self::Remove(Thing::Role { .. }) => 5,
            Self::Remove(_) => 0,
            Self::Add(thing) | Self::Adopt(thing) | Self::Change { after: thing, .. } => {
                match (self, thing) {
                    (_, Thing::Role { .. } | Thing::Team(_)) => 1,
                    (Self::Adopt(_) | Self::Change { .. }, Thing::Namespace { .. }) => 2,
                    _ => 4,
                }
            }
        }
    }
}

/// As one line: `+` what comes, `-` what goes, `~` what changes, `=` what is only kept by the file from now on.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(thing) => write!(f, "+ {thing}"),
            Self::Adopt(thing) => write!(f, "= {thing}"),
            Self::Change { before, after, .. } => write!(f, "~ {before} → {after}"),
            Self::Remove(thing) => write!(f, "- {thing}"),
        }
    }
}

/// As a line below what removes it.
impl fmt::Display for GoneRobot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, secrets } = self;
        write!(f, "- robot {name} with {} (goes with its namespace)", counted(*secrets, "secret", "secrets"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::super::reading::read;
    use super::*;

    fn things(grants: &str) -> Things {
        let file = format!("version: 1\nteams: {{a: []}}\ngrants: [{grants}]\n");
        read(&Document::parse(&file).unwrap()).unwrap()
    }

    fn plan(wanted: &Things, file: &Things, hand: &Things) -> String {
        let mut stored: BTreeMap<Key, Stored> = BTreeMap::new();
        for (key, thing) in file {
            stored.entry(key.clone()).or_default().from_file = Some(thing.clone());
        }
        for (key, thing) in hand {
            stored.entry(key.clone()).or_default().by_hand = Some(thing.clone());
        }
        let plan = Plan::new(wanted, &stored);
        let steps: Vec<_> = plan.steps.iter().map(ToString::to_string).collect();
        let by_hand: Vec<_> = plan.by_hand.iter().map(|thing| format!("? {thing}")).collect();
        [steps, by_hand].concat().join("\n")
    }

    #[test]
    fn each_step_can_be_made_when_its_turn_comes() {
        let read = |file: &str| read(&Document::parse(file).unwrap()).unwrap();
        let before = read(
            r"
version: 1
roles: {r: {actions: [pull]}}
teams: {a: [robot:mn/r, team:b], b: [], d: [user:ann]}
namespaces: {mn: {owner: team:a}, kept: {owner: team:b}}
grants: [{subject: robot:mn/r, role: r, pattern: 'x'}]
",
        );
        let after = read(
            r"
version: 1
teams: {a: [], c: []}
namespaces: {kept: {owner: team:c}, d: {owner: team:a}}
",
        );
        let expected = "\
            - grant robot:mn/r r x\n\
            - member of team d: ann\n\
            - member of team a: team:b\n\
            - member of team a: robot:mn/r\n\
            - namespace mn: team:a, private, new repositories by pushers\n\
            + team c\n\
            ~ namespace kept: team:b, private, new repositories by pushers → namespace kept: team:c, private, new \
            repositories by pushers\n\
            - team d\n\
            - team b\n\
            + namespace d: team:a, private, new repositories by pushers\n\
            - role r: pull";
        assert_eq!(plan(&after, &before, &Things::new()), expected);
    }

    #[test]
    fn a_plan_is_the_difference() {
        let one = "{subject: everyone, role: viewer, pattern: a}";
        let other = "{subject: everyone, role: viewer, pattern: a, reason: why}";
        let nothing = Things::new();
        for (wanted, file, hand, expected) in [
            (things(one), nothing.clone(), nothing.clone(), "+ team a\n+ grant everyone viewer a"),
            (things(one), things(one), nothing.clone(), ""),
            (things(one), nothing.clone(), things(one), "= team a\n= grant everyone viewer a"),
            (
                things(one),
                things(other),
                nothing.clone(),
                "~ grant everyone viewer a (why) → grant everyone viewer a",
            ),
            (nothing.clone(), things(one), nothing.clone(), "- grant everyone viewer a\n- team a"),
            (nothing.clone(), nothing.clone(), things(one), "? team a\n? grant everyone viewer a"),
            (
                nothing.clone(),
                things(one),
                things(one),
                "- grant everyone viewer a\n- team a\n? team a\n? grant everyone viewer a",
            ),
        ] {
            assert_eq!(plan(&wanted, &file, &hand), expected);
        }
    }
}
