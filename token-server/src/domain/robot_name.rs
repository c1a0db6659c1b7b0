//! Names of robots: `OWNER/NAME`, where the owner is a namespace or a user.
//!
//! *Invariant:* no user and no team has a name with a slash, so that a robot is one by its name.

use std::fmt;

use super::principal_name::{InvalidName, PrincipalName};

/// A well-formed name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RobotName {
    owner: PrincipalName,
    full: Box<str>,
}

/// Why a text is not the name of a robot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRobotName {
    /// There is no slash.
    #[error("write a robot as OWNER/NAME, where OWNER is a namespace or a user")]
    Form,
    /// A part breaks the grammar.
    #[error(transparent)]
    Part(#[from] InvalidName),
}

impl RobotName {
    /// Folds and checks a name.
    pub fn parse(text: &str) -> Result<Self, InvalidRobotName> {
        let (owner, name) = text.split_once('/').ok_or(InvalidRobotName::Form)?;
        let (owner, name) = (PrincipalName::parse(owner)?, PrincipalName::parse(name)?);
        let full = format!("{owner}/{name}").into();
        Ok(Self { owner, full })
    }

    /// The namespace or user it belongs to.
    pub fn owner(&self) -> &PrincipalName {
        &self.owner
    }

    /// The folded name.
    pub fn as_str(&self) -> &str {
        &self.full
    }
}

impl fmt::Display for RobotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_robot_is_named_after_its_owner() {
        let name = RobotName::parse("Platform/CI").unwrap();
        assert_eq!((name.as_str(), name.owner().as_str()), ("platform/ci", "platform"));
        for text in ["ci", "/ci", "platform/", "a/b/c", "a b/c", ""] {
            assert!(RobotName::parse(text).is_err(), "{text}");
        }
    }
}
