//! What a policy is about, one thing at a time.
//!
//! *Invariant:* two things with the same key are the same thing, however it is; and things sort in the order in which
//! they can be made: what is named comes before what names it, and namespaces before whatever can name their robots.

use std::fmt;

use shared::repository_pattern::RepositoryPattern;

use super::super::grant::Conditions;
use super::super::grant_spec::GrantSpec;
use super::super::namespace::NamespaceSpec;
use super::super::principal_name::PrincipalName;
use super::super::right::RightSet;
use super::super::team_member::TeamMember;

/// One thing, and how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A role.
    Role {
        /// Its name.
        name: String,
        /// What it allows.
        rights: RightSet,
        /// What it is for.
        description: Option<String>,
    },
    /// A team.
    Team(PrincipalName),
    /// A workload.
    Workload {
        /// Its name.
        name: PrincipalName,
        /// What it is for.
        description: Option<String>,
    },
    /// That somebody is in a team.
    Member {
        /// The team.
        team: PrincipalName,
        /// Who is in it.
        member: TeamMember,
        /// Whether they say who else is.
        is_maintainer: bool,
    },
    /// A namespace.
    Namespace {
        /// Its name.
        name: PrincipalName,
        /// How it is.
        spec: NamespaceSpec,
    },
    /// What is given or denied.
    Grant {
        /// To whom and what.
        spec: Box<GrantSpec>,
        /// When and from where.
        conditions: Conditions,
        /// Why.
        reason: Option<String>,
    },
    /// Where rights from above stop.
    Barrier {
        /// Around what.
        pattern: RepositoryPattern,
        /// Which.
        rights: RightSet,
        /// Why.
        reason: Option<String>,
    },
}

/// What makes a thing the same thing; sorts in the order of making.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    order: u8,
    name: String,
}

impl Thing {
    /// What makes it the same thing.
    pub fn key(&self) -> Key {
        let (order, name) = match self {
            Self::Role { name, .. } => (0, name.clone()),
            Self::Team(name) => (1, name.to_string()),
            Self::Workload { name, .. } => (2, name.to_string()),
            Self::Namespace { name, .. } => (3, name.to_string()),
            Self::Member { team, member, .. } => (4, format!("{team} {member}")),
            Self::Grant { spec, .. } => (5, spec.to_string()),
            Self::Barrier { pattern, .. } => (6, pattern.to_string()),
        };
        Key { order, name }
    }
}

/// As one line of a plan.
impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role { name, rights, description } => {
                write!(f, "role {name}: {rights}")?;
                remark(f, description.as_deref())
            }
            Self::Team(name) => write!(f, "team {name}"),
            Self::Workload { name, description } => {
                write!(f, "workload {name}")?;
                remark(f, description.as_deref())
            }
            Self::Member { team, member, is_maintainer } => {
                write!(f, "member of team {team}: {member}")?;
                remark(f, is_maintainer.then_some("maintainer"))
            }
            Self::Namespace { name, spec } => write!(f, "namespace {name}: {spec}"),
            Self::Grant { spec, conditions, reason } => {
                write!(f, "grant {spec}")?;
                let conditions = conditions.to_string();
                if !conditions.is_empty() {
                    write!(f, " {conditions}")?;
                }
                remark(f, reason.as_deref())
            }
            Self::Barrier { pattern, rights, reason } => {
                write!(f, "barrier {pattern}: {rights}")?;
                remark(f, reason.as_deref())
            }
        }
    }
}

fn remark(f: &mut fmt::Formatter<'_>, remark: Option<&str>) -> fmt::Result {
    remark.map_or(Ok(()), |remark| write!(f, " ({remark})"))
}
