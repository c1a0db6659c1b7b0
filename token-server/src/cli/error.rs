//! How a command that did not do its work ends.
//!
//! *Invariant:* 0 and 1 are answers, never failures; the codes of failures say who can help: 2 whoever typed the
//! command, 3 nobody needs to; 4 it was refused or failed, and the sentence says why.

use std::io::ErrorKind;

use shared::server::causes;
use shared::server::settings::SettingsError;

use crate::app::StartError;
use crate::domain::error::TokenServerError;

/// The exit code for wrong usage, as is customary.
pub const USAGE: u8 = 2;

/// The exit code for a no: to a question that was asked, or by who was asked.
const NO: u8 = 1;

/// The exit code for what was refused or failed.
const FAILED: u8 = 4;

/// The exit code of programs that stop because nobody reads what they print: 128 and the number of SIGPIPE.
const UNREAD: u8 = 141;

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// It would have to ask, and cannot.
    #[error("{0}")]
    CannotAsk(&'static str),
    /// It asked, and the answer was no.
    #[error("nothing was done")]
    Declined,
    /// An argument makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The domain refused or failed.
    #[error("{}", causes::sentence(.0))]
    Domain(#[from] TokenServerError),
    /// The server did not start.
    #[error("{}", causes::sentence(.0))]
    Start(#[from] StartError),
    /// A file that was named does not hold what it should.
    #[error("{0}")]
    File(String),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl CliError {
    /// Whether nobody reads the answer any more, as with `… | head`: no reason to complain.
    pub fn is_unread(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == ErrorKind::BrokenPipe,
            _ => false,
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            _ if self.is_unread() => UNREAD,
            Self::CannotAsk(_) | Self::Usage(_) | Self::File(_) => USAGE,
            Self::Domain(error) | Self::Start(StartError::Domain(error)) => domain_code(error),
            Self::Declined => NO,
            Self::Settings(_) | Self::Start(_) | Self::Io(_) => FAILED,
        }
    }
}

fn domain_code(error: &TokenServerError) -> u8 {
    use TokenServerError as E;
    match error {
        E::NotFound { .. } | E::AlreadyThere { .. } => 3,
        E::InvalidPassword(_)
        | E::InvalidName(_)
        | E::InvalidPattern(_)
        | E::InvalidSubject(_)
        | E::InvalidQuestion(_)
        | E::InvalidRole(_)
        | E::UnknownRight(_)
        | E::InvalidMoment(_)
        | E::InvalidConditions(_)
        | E::InvalidLimits(_)
        | E::InvalidTrust(_)
        | E::InvalidRemark(_)
        | E::Contradiction(_)
        | E::InvalidPolicy(_)
        | E::PolicyProblems(_)
        | E::PolicyNames(_)
        | E::InvalidRobotName(_)
        | E::InvalidMember(_)
        | E::NotAComponent(_)
        | E::NotASubtree(_)
        | E::InvalidKeyPair(_) => USAGE,
        _ => FAILED,
    }
}

impl From<crate::db::error::DbError> for CliError {
    fn from(error: crate::db::error::DbError) -> Self {
        Self::Domain(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::login::password::InvalidPassword;

    #[test]
    fn codes_say_who_can_help() {
        let not_found = || TokenServerError::NotFound { kind: "user", name: "x".into() };
        assert_eq!(CliError::Domain(not_found()).exit_code(), 3);
        assert_eq!(CliError::Start(StartError::Domain(not_found())).exit_code(), 3);
        assert_eq!(CliError::Domain(InvalidPassword::TooShort.into()).exit_code(), 2);
        assert_eq!(CliError::Start(StartError::NotMigrated(1)).exit_code(), 4);
        assert_eq!(CliError::Declined.exit_code(), 1);
        assert_eq!(CliError::CannotAsk("x").exit_code(), 2);
        assert_eq!(CliError::File("x".into()).exit_code(), 2);
        assert_eq!(CliError::Domain(not_found()).to_string(), "there is no user x");
    }
}
