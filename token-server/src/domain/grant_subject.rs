//! Who a grant is for, as people write it: `user:alice`, `team:platform`, `robot:platform/ci`, `workload:nightly`,
//! `everyone`, `authenticated`.
//!
//! *Invariant:* every spelling means one subject, and every subject has one spelling.

use std::fmt;

use super::principal_name::{InvalidName, PrincipalName};
use super::robot_name::{InvalidRobotName, RobotName};
use crate::db::principals::{AUTHENTICATED, EVERYONE, ROBOT, TEAM, USER, WORKLOAD};

/// Somebody who can hold a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantSubject {
    /// All clients, with or without a login.
    Everyone,
    /// All users who are logged in.
    Authenticated,
    /// One user.
    User(PrincipalName),
    /// The members of one team.
    Team(PrincipalName),
    /// One robot.
    Robot(RobotName),
    /// One workload.
    Workload(PrincipalName),
}

/// Why a text is not a subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubject {
    /// Not one of the six forms.
    #[error(
        "write a subject as user:NAME, team:NAME, robot:OWNER/NAME, workload:NAME, everyone or authenticated"
    )]
    Form,
    /// The name is not one of a robot.
    #[error(transparent)]
    Robot(#[from] InvalidRobotName),
    /// The name is not one.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

impl GrantSubject {
    /// Parses a spelling.
    pub fn parse(text: &str) -> Result<Self, InvalidSubject> {
        match text.split_once(':') {
            None if text == "everyone" => Ok(Self::Everyone),
            None if text == "authenticated" => Ok(Self::Authenticated),
            Some((USER, name)) => Ok(Self::User(PrincipalName::parse(name)?)),
            Some((TEAM, name)) => Ok(Self::Team(PrincipalName::parse(name)?)),
            Some((ROBOT, name)) => Ok(Self::Robot(RobotName::parse(name)?)),
            Some((WORKLOAD, name)) => Ok(Self::Workload(PrincipalName::parse(name)?)),
            _ => Err(InvalidSubject::Form),
        }
    }
}

/// How the database knows a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// It is there from the beginning, with this number and this name.
    BuiltIn(i64, &'static str),
    /// It was made, with this kind and this name.
    Made(&'static str, &'a str),
}

impl GrantSubject {
    /// How the database knows it.
    pub fn known(&self) -> Known<'_> {
        match self {
            Self::Everyone => Known::BuiltIn(EVERYONE, "everyone"),
            Self::Authenticated => Known::BuiltIn(AUTHENTICATED, "authenticated"),
            Self::User(name) => Known::Made(USER, name.as_str()),
            Self::Team(name) => Known::Made(TEAM, name.as_str()),
            Self::Robot(name) => Known::Made(ROBOT, name.as_str()),
            Self::Workload(name) => Known::Made(WORKLOAD, name.as_str()),
        }
    }
}

/// Writes a subject as people do, from its kind and its name in the database.
pub fn spelled(kind: &str, name: &str) -> String {
    if matches!(kind, USER | TEAM | ROBOT | WORKLOAD) { format!("{kind}:{name}") } else { name.to_owned() }
}

impl fmt::Display for GrantSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Known::BuiltIn(_, name) => f.write_str(name),
            Known::Made(kind, name) => write!(f, "{kind}:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_and_subjects_belong_together() {
        for text in [
            "everyone",
            "authenticated",
            "user:alice",
            "team:a.b-c_d",
            "robot:platform/ci",
            "workload:nightly",
        ] {
            assert_eq!(GrantSubject::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(GrantSubject::parse("user:Alice").unwrap().to_string(), "user:alice");
        for text in
            ["", "alice", "user:", "robot:x", "workload:a/b", "everyone:x", "user:a:b", "Everyone", "user: a"]
        {
            assert!(GrantSubject::parse(text).is_err(), "{text}");
        }
    }
}
