//! Everything the token server can refuse or fail at.
//!
//! *Invariant:* messages name no secret and do not tell an unknown user from a wrong password; what a stranger may
//! not learn is in the audit record only.

use shared::repository_pattern::InvalidPattern;

use super::barrier::NotASubtree;
use super::credential_limits::InvalidLimits;
use super::delegation::NotDelegated;
use super::docker_auth::comparison::TooMuch;
use super::docker_auth::config::InvalidConfig;
use super::grant::InvalidConditions;
use super::grant_subject::InvalidSubject;
use super::keys::signing::SigningError;
use super::keys::signing_import::InvalidKeyPair;
use super::login::device::NotYet;
use super::login::password::{HashingError, InvalidPassword};
use super::namespace::NotAComponent;
use super::policy_file::document::InvalidDocument;
use super::policy_file::reading::Problems;
use super::principal_name::InvalidName;
use super::question::InvalidQuestion;
use super::random::NoRandomness;
use super::right::UnknownRight;
use super::robot_name::InvalidRobotName;
use super::role::InvalidRole;
use super::team_member::InvalidMember;
use super::trust::conditions::InvalidConditions as InvalidTrust;
use super::trust::workloads::NoWorkload;
use super::words::counted::counted;
use super::words::moment::InvalidMoment;
use super::words::remark::InvalidRemark;
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
    /// The password is right, and there is a second factor, which a program cannot show.
    #[error(
        "you have a second factor, so your password is not enough here; use a personal access token, a login code or a \
         login that you allow in a browser"
    )]
    PasswordNotEnough,
    /// A code or a passkey that is not good, or was used already.
    #[error("that is not right, or was used already; try the next one")]
    WrongSecondFactor,
    /// Too many wrong codes of somebody came.
    #[error("too many wrong codes; try again in {}", counted(*seconds, "second", "seconds"))]
    TooManyCodes {
        /// How long to wait.
        seconds: u64,
    },
    /// The password is right, and an administrator was not yet asked who that is.
    #[error("your password is right, but an administrator has to let you in first")]
    NotLetInYet,
    /// Somebody else knows the password, and does not answer.
    #[error("the directory that knows your password does not answer")]
    DirectoryAway,
    /// A password that is not kept here.
    #[error("your password is kept in a directory; change it there")]
    PasswordElsewhere,
    /// Conditions that make no rule.
    #[error(transparent)]
    InvalidTrust(#[from] InvalidTrust),
    /// A token of a build platform or a cluster lets nobody in. Whoever has one has no secret of ours, so it is told why.
    #[error(transparent)]
    IdentityTokenRefused(Box<NoWorkload>),
    /// A program may not log in, or not yet.
    #[error("{}", .0.sentence())]
    DeviceNotYet(NotYet),
    /// Too many programs wait for somebody to allow them.
    #[error("too many programs wait to be allowed; try again in some minutes")]
    TooManyDevices,
    /// Too many wrong passwords of a user came from one place.
    #[error("too many wrong passwords from your address; try again in {}", counted(*seconds, "second", "seconds"))]
    TooManyTries {
        /// How long to wait.
        seconds: u64,
    },
    /// Somebody asks for more tokens than the settings allow.
    #[error("you have asked for too many tokens; try again in {}", counted(*seconds, "second", "seconds"))]
    TooManyTokenRequests {
        /// How long to wait.
        seconds: u64,
    },
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
    /// A role that cannot be made.
    #[error(transparent)]
    InvalidRole(#[from] InvalidRole),
    /// The name of a robot that cannot be.
    #[error(transparent)]
    InvalidRobotName(#[from] InvalidRobotName),
    /// A member that cannot be one.
    #[error(transparent)]
    InvalidMember(#[from] InvalidMember),
    /// A namespace that no repository could be in.
    #[error(transparent)]
    NotAComponent(#[from] NotAComponent),
    /// Names of users, teams and namespaces mean one party.
    #[error("the namespace {namespace} belongs to {owner}, so nobody else can have its name")]
    NamespaceTaken {
        /// Which.
        namespace: String,
        /// Whose it is, as people write it.
        owner: String,
    },
    /// A namespace would be without an owner.
    #[error(
        "{owner} owns the {}; give {} to somebody else first",
        if namespaces.len() == 1 { format!("namespace {}", namespaces[0]) } else { format!("namespaces {}", namespaces.join(", ")) },
        if namespaces.len() == 1 { "it" } else { "them" }
    )]
    OwnsNamespaces {
        /// Who.
        owner: String,
        /// Which; one at least.
        namespaces: Vec<String>,
    },
    /// A robot has as many secrets as it may have.
    #[error("{0} has two secrets already, which is what it takes to replace one; revoke one first")]
    TooManySecrets(String),
    /// A provider has as many secrets as it may have.
    #[error("{0} has two secrets for SCIM already, which is what it takes to replace one; revoke one first")]
    TooManyScimSecrets(String),
    /// Something that a provider said by SCIM cannot be done.
    #[error(transparent)]
    Scim(#[from] super::provisioning::ScimError),
    /// A user has as many personal access tokens as one may have.
    #[error("{0} has {most} personal access tokens already; revoke one first", most = super::login::credential::MAX_PERSONAL_TOKENS)]
    TooManyTokens(String),
    /// Somebody could act as a robot that holds more than they do.
    #[error("{robot} holds more than you do ({what}), so its secrets are made by those who hold that")]
    RobotHoldsMore {
        /// Which robot.
        robot: String,
        /// What you do not hold.
        what: String,
    },
    /// Nobody decides about their own request.
    #[error("nobody decides about their own request; ask somebody else who may")]
    OwnElevation,
    /// A request that is decided, or that nobody decided about for too long.
    #[error("the request {id} is {state}, so there is nothing to decide")]
    ElevationOver {
        /// Which.
        id: String,
        /// What became of it.
        state: String,
    },
    /// Somebody asked for too much at once.
    #[error("too many of your requests wait for an answer; take one back first")]
    TooManyRequests,
    /// Times or networks that make no sense.
    #[error(transparent)]
    InvalidConditions(#[from] InvalidConditions),
    /// What a credential is to be good for makes no sense.
    #[error(transparent)]
    InvalidLimits(#[from] InvalidLimits),
    /// A word that is no action.
    #[error(transparent)]
    UnknownRight(#[from] UnknownRight),
    /// A text that is no time.
    #[error(transparent)]
    InvalidMoment(#[from] InvalidMoment),
    /// A reason or a description that cannot be kept.
    #[error(transparent)]
    InvalidRemark(#[from] InvalidRemark),
    /// A policy file that cannot be read.
    #[error(transparent)]
    InvalidPolicy(#[from] InvalidDocument),
    /// A policy file that makes no sense.
    #[error(transparent)]
    PolicyProblems(#[from] Problems),
    /// A policy file about what does not exist.
    #[error("the policy names what does not exist: {0}")]
    PolicyNames(String),
    /// A policy that cannot be carried out; nothing of it was.
    #[error("the policy cannot be applied, because of `{step}`: {reason}; nothing was changed")]
    PolicyStep {
        /// What was to be done.
        step: String,
        /// Why it was not.
        reason: String,
    },
    /// Settings of another token server that cannot be read.
    #[error("the settings cannot be used: {0}")]
    InvalidImport(#[from] InvalidConfig),
    /// Settings of another token server that take too long to compare.
    #[error(transparent)]
    ImportTooLarge(#[from] TooMuch),
    /// Something that makes no sense together.
    #[error("{0}")]
    Contradiction(String),
    /// Whoever asks may not do that.
    #[error(transparent)]
    NotDelegated(#[from] NotDelegated),
    /// More than can be looked at while others wait.
    #[error(
        "you hold more rights than one request can look at; whoever runs the server can use the command line"
    )]
    TooManyRows,
    /// It is no longer what whoever changes it has seen.
    #[error("it was changed meanwhile; look at it again and decide anew")]
    ChangedMeanwhile,
    /// A role that grants name cannot be removed.
    #[error("the role {name} is in use: {} it", counted(*grants, "grant names", "grants name"))]
    RoleInUse {
        /// Which role.
        name: String,
        /// How many.
        grants: i64,
    },
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
    /// The same row with other conditions is there.
    #[error(
        "there is a grant {0} that counts at other times, from other networks or for other logins; remove it first"
    )]
    OtherConditions(String),
    /// Uses are not counted for so long.
    #[error(
        "uses are counted since {since}, so nothing can be said of {}; {}",
        counted(*asked, "day", "days"),
        if *possible > 0 { format!("ask for {possible} or fewer") } else { "wait for a day at least".into() }
    )]
    UsesNotKnown {
        /// Since when, as people write it.
        since: String,
        /// What was asked for.
        asked: u32,
        /// What can be said.
        possible: u32,
    },
    /// The stored signing key does not open.
    #[error(
        "the signing key {kid} in the database cannot be opened: it was sealed with another `secret`, or is damaged"
    )]
    SealedKey {
        /// Key id.
        kid: String,
    },
    /// What an app shares with this server does not open.
    #[error(
        "what is stored of an authenticator app cannot be opened: it was sealed with another `secret`, or is damaged"
    )]
    SealedFactor,
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
