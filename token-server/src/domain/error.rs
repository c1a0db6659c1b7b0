//! Everything the token server can refuse or fail at.
//!
//! *Invariant:* messages name no secret and do not tell an unknown user from a wrong password; what a stranger may
//! not learn is in the audit record only.

use shared::repository_pattern::InvalidPattern;

use super::barrier::NotASubtree;
use super::grant_subject::InvalidSubject;
use super::password::{HashingError, InvalidPassword};
use super::principal_name::InvalidName;
use super::question::InvalidQuestion;
use super::random::NoRandomness;
use super::signing::SigningError;
use super::signing_import::InvalidKeyPair;
use crate::db::error::DbError;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum TokenServerError {
    /// Nobody said who they are, and nothing was asked for that everyone has.
    #[error("log in with a user name and a password")]
    CredentialsRequired,
    /// Unknown user, wrong password or disabled user, without telling which.
    #[error("wrong user name or password")]
    WrongCredentials,
    /// Unknown, expired or revoked refresh token, or one for another registry.
    #[error("this login has expired or was revoked; log in again")]
    RefreshTokenRefused,
    /// Credentials that are malformed, of an unknown kind, or contradict one another.
    #[error("{0}")]
    UnusableCredentials(&'static str),
    /// No registry of that name is served.
    #[error("this token server does not serve a registry named {service:?}")]
    UnknownAudience {
        /// What was asked for.
        service: String,
    },
    /// There are several registries, and none was named.
    #[error("name the registry with the parameter `service`")]
    AudienceRequired,
    /// A password that cannot be chosen.
    #[error(transparent)]
    InvalidPassword(#[from] InvalidPassword),
    /// A name that cannot be given.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// A pattern that cannot be granted.
    #[error(transparent)]
    InvalidPattern(#[from] InvalidPattern),
    /// A subject that cannot hold a right.
    #[error(transparent)]
    InvalidSubject(#[from] InvalidSubject),
    /// A pattern that no barrier can stand around.
    #[error(transparent)]
    NotASubtree(#[from] NotASubtree),
    /// A question that cannot be asked.
    #[error(transparent)]
    InvalidQuestion(#[from] InvalidQuestion),
    /// Something that was named does not exist.
    #[error("there is no {kind} {name}")]
    NotFound {
        /// `user`, `team`, `grant`, …
        kind: &'static str,
        /// Which one.
        name: String,
    },
    /// Something that was to be made is there already.
    #[error("there is already a {kind} {name}")]
    AlreadyThere {
        /// `user`, `team`, `grant`, …
        kind: &'static str,
        /// Which one.
        name: String,
    },
    /// A team would be a member of itself.
    #[error("team {member} cannot be in team {team}, because team {team} is in team {member}")]
    TeamCycle {
        /// The outer one.
        team: String,
        /// The inner one.
        member: String,
    },
    /// A chain of teams would be too long.
    #[error(
        "team {member} cannot be in team {team}: teams can be nested {} deep",
        crate::db::teams::MAX_DEPTH
    )]
    TeamsTooDeep {
        /// The outer one.
        team: String,
        /// The inner one.
        member: String,
    },
    /// The same row with other times or networks is there.
    #[error("there is a grant {0} that counts at other times or from other networks; remove it first")]
    OtherConditions(String),
    /// The stored signing key does not open.
    #[error(
        "the signing key {kid} in the database cannot be opened: it was sealed with another `secret`, or is damaged"
    )]
    SealedKey {
        /// Key id.
        kid: String,
    },
    /// A password was not hashed.
    #[error(transparent)]
    Hashing(HashingError),
    /// A key pair that is not taken.
    #[error(transparent)]
    InvalidKeyPair(#[from] InvalidKeyPair),
    /// A token was not signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The system's randomness failed.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<HashingError> for TokenServerError {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::NoRandomness(error) => Self::NoRandomness(error),
            error => Self::Hashing(error),
        }
    }
}
