//! On whose behalf something is changed.
//!
//! *Invariant:* only commands on the server, the server itself and identity providers act without rights of their own; the
//! last through the functions for SCIM alone, which touch nothing but what the same provider made.

use uuid::Uuid;

use super::login::credential::Credential;
use super::login::subject::{Robot, Subject};
use super::principal_name::PrincipalName;
use super::record::audit::{COMMAND_LINE, Origin, SYSTEM};

/// Who changes something.
#[derive(Clone, Debug)]
pub enum Actor {
    /// Whoever may run commands on the server. They have the settings and the database, so they may do everything.
    Operator,
    /// The server itself, which does what its settings say, such as what an identity provider says of somebody.
    Server,
    /// An identity provider that says by SCIM who is there.
    Provider {
        /// `scim:` and its name in the settings.
        name: String,
        /// From where.
        origin: Origin,
    },
    /// Somebody who logged in, and where the request came from.
    Subject {
        /// Who.
        subject: Subject,
        /// From where.
        origin: Origin,
    },
}

impl Actor {
    /// The name in records.
    pub fn name(&self) -> &str {
        match self {
            Self::Operator => COMMAND_LINE,
            Self::Server => SYSTEM,
            Self::Provider { name, .. } => name,
            Self::Subject { subject, .. } => subject.name(),
        }
    }

    /// The stable id in records.
    pub fn uid(&self) -> Option<Uuid> {
        match self {
            Self::Operator | Self::Server | Self::Provider { .. } => None,
            Self::Subject { subject, .. } => subject.uid(),
        }
    }

    /// The inner number, for what remembers who made it.
    pub fn pid(&self) -> Option<i64> {
        match self {
            Self::Operator | Self::Server | Self::Provider { .. } => None,
            Self::Subject { subject, .. } => subject.pid(),
        }
    }

    /// What was brought to log in, if that is not a password.
    pub fn credential(&self) -> Option<&Credential> {
        match self {
            Self::Operator | Self::Server | Self::Provider { .. } => None,
            Self::Subject { subject, .. } => subject.credential(),
        }
    }

    /// Whether it is somebody who showed a second factor.
    pub fn has_second_factor(&self) -> bool {
        matches!(self, Self::Subject { subject, .. } if subject.has_second_factor())
    }

    /// Whether it is this user.
    pub fn is_user(&self, name: &PrincipalName) -> bool {
        matches!(self, Self::Subject { subject: Subject::User(user), .. } if user.name == name.as_str())
    }

    /// Whether it is this user, and there themselves.
    pub fn is_in_person(&self, name: &PrincipalName) -> bool {
        matches!(self, Self::Subject { subject: Subject::User(user), .. }
                 if user.name == name.as_str() && user.proof.is_in_person())
    }

    /// The robot, if one acts.
    pub fn robot(&self) -> Option<&Robot> {
        match self {
            Self::Subject { subject: Subject::Robot(robot), .. } => Some(robot),
            Self::Operator | Self::Server | Self::Provider { .. } | Self::Subject { .. } => None,
        }
    }

    /// Where the request came from.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Operator | Self::Server => Origin::default(),
            Self::Provider { origin, .. } | Self::Subject { origin, .. } => origin.clone(),
        }
    }
}
