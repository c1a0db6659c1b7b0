//! Who is in a team, as people write it: `alice`, `user:alice`, `team:core`, `robot:platform/ci`,
//! `workload:nightly`.
//!
//! *Invariant:* every spelling means one member, and every member prints in one way.

use std::fmt;

use super::grant_subject::GrantSubject;
use super::principal_name::{InvalidName, PrincipalName};
use super::robot_name::{InvalidRobotName, RobotName};
use crate::db::principals;

/// Who can be in a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TeamMember {
    /// One user.
    User(PrincipalName),
    /// Everybody in another team.
    Team(PrincipalName),
    /// One robot.
    Robot(RobotName),
    /// One workload.
    Workload(PrincipalName),
}

/// How somebody is in a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Like others.
    Member,
    /// As one of those who say who else is in it.
    Maintainer,
}

impl Standing {
    /// A maintainer, or a member like others.
    pub const fn of(is_maintainer: bool) -> Self {
        if is_maintainer { Self::Maintainer } else { Self::Member }
    }

    /// Whether they say who else is in the team.
    pub fn is_maintainer(self) -> bool {
        self == Self::Maintainer
    }

    /// In a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Maintainer => "maintainer",
        }
    }
}

/// Why a text is not a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMember {
    /// Not the name of a user, a team or a workload.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Not the name of a robot.
    #[error(transparent)]
    Robot(#[from] InvalidRobotName),
}

impl TeamMember {
    /// Parses `NAME`, `user:NAME`, `team:NAME`, `robot:OWNER/NAME` or `workload:NAME`.
    pub fn parse(text: &str) -> Result<Self, InvalidMember> {
        match text.split_once(':') {
            Some((principals::ROBOT, name)) => Ok(Self::Robot(RobotName::parse(name)?)),
            Some((principals::WORKLOAD, name)) => Ok(Self::Workload(PrincipalName::parse(name)?)),
            Some((principals::TEAM, name)) => Ok(Self::Team(PrincipalName::parse(name)?)),
            Some((principals::USER, name)) => Ok(Self::User(PrincipalName::parse(name)?)),
            _ => Ok(Self::User(PrincipalName::parse(text)?)),
        }
    }
}

impl TeamMember {
    /// Who that is as a subject of rights.
    pub fn subject(&self) -> GrantSubject {
        match self {
            Self::User(name) => GrantSubject::User(name.clone()),
            Self::Team(name) => GrantSubject::Team(name.clone()),
            Self::Robot(name) => GrantSubject::Robot(name.clone()),
            Self::Workload(name) => GrantSubject::Workload(name.clone()),
        }
    }

    /// Whether they can maintain the team: those can who act themselves, now or one day.
    pub const fn can_maintain(&self) -> bool {
        !matches!(self, Self::Team(_))
    }
}

impl fmt::Display for TeamMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => name.fmt(f),
            Self::Team(name) => write!(f, "{}:{name}", principals::TEAM),
            Self::Robot(name) => write!(f, "{}:{name}", principals::ROBOT),
            Self::Workload(name) => write!(f, "{}:{name}", principals::WORKLOAD),
        }
    }
}
