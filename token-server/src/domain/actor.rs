//! On whose behalf something is changed.
//!
//! *Invariant:* only commands on the server itself act without rights of their own.

use uuid::Uuid;

use super::login::credential::Credential;
use super::login::subject::{Robot, Subject};
use super::record::audit::{COMMAND_LINE, Origin};

/// Who changes something.
#[derive(Clone, Debug)]
pub enum Actor {
    /// Whoever may run commands on the server. They have the settings and the database, so they may do everything.
    Operator,
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
            Self::Subject { subject, .. } => subject.name(),
        }
    }

    /// The stable id in records.
    pub fn uid(&self) -> Option<Uuid> {
        match self {
            Self::Operator => None,
            Self::Subject { subject, .. } => subject.uid(),
        }
    }

    /// The inner number, for what remembers who made it.
    pub fn pid(&self) -> Option<i64> {
        match self {
            Self::Operator => None,
            Self::Subject { subject, .. } => subject.pid(),
        }
    }

    /// What was brought to log in, if that is not a password.
    pub fn credential(&self) -> Option<&Credential> {
        match self {
            Self::Operator => None,
            Self::Subject { subject, .. } => subject.credential(),
        }
    }

    /// The robot, if one acts.
    pub fn robot(&self) -> Option<&Robot> {
        match self {
            Self::Subject { subject: Subject::Robot(robot), .. } => Some(robot),
            Self::Operator | Self::Subject { .. } => None,
        }
    }

    /// Where the request came from.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Operator => Origin::default(),
            Self::Subject { origin, .. } => origin.clone(),
        }
    }
}
