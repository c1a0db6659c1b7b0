//! The authenticated party.
//!
//! *Invariant:* a [`User`], a [`Robot`] and a [`Workload`] are made only by a login that succeeded in this request.

use std::collections::BTreeMap;
use std::sync::Arc;

use shared::secret::Secret;
use uuid::Uuid;

use super::super::credential_limits::CredentialLimits;
use super::credential::Credential;
use super::elsewhere::Identity;
use crate::db::users::UserRow;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nobody in particular.
    Anonymous,
    /// A user who logged in.
    User(User),
    /// A robot that brought one of its secrets.
    Robot(Robot),
    /// A workload that brought a token of its platform, or did a while ago.
    Workload(Workload),
}

impl Subject {
    /// The name of the user, robot or workload, empty for nobody; what the claim `sub` says.
    pub fn name(&self) -> &str {
        match self {
            Self::Anonymous => "",
            Self::User(user) => &user.name,
            Self::Robot(robot) => &robot.name,
            Self::Workload(workload) => &workload.name,
        }
    }

    /// What `${user}` in a pattern stands for; machines have nothing of the kind.
    pub fn user_name(&self) -> Option<&str> {
        match self {
            Self::Anonymous | Self::Robot(_) | Self::Workload(_) => None,
            Self::User(user) => Some(&user.name),
        }
    }

    /// The stable id.
    pub fn uid(&self) -> Option<Uuid> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(user.uid),
            Self::Robot(robot) => Some(robot.uid),
            Self::Workload(workload) => Some(workload.uid),
        }
    }

    /// What was brought to log in, if that is not a password.
    pub fn credential(&self) -> Option<&Credential> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => user.proof.credential(),
            Self::Robot(robot) => Some(&robot.credential),
            Self::Workload(workload) => workload.session.as_ref(),
        }
    }

    /// What the credential is good for, where that is not all that the subject holds.
    pub fn limits(&self) -> Option<&Arc<CredentialLimits>> {
        self.credential()?.limits.as_ref()
    }

    /// Whether it is somebody who showed a second factor; machines have none.
    pub const fn has_second_factor(&self) -> bool {
        match self {
            Self::Anonymous | Self::Robot(_) | Self::Workload(_) => false,
            Self::User(user) => user.has_second_factor,
        }
    }

    /// The inner number.
    pub fn pid(&self) -> Option<i64> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(user.pid),
            Self::Robot(robot) => Some(robot.pid),
            Self::Workload(workload) => Some(workload.pid),
        }
    }
}

/// A robot that brought one of its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Robot {
    /// Inner number.
    pub pid: i64,
    /// Stable id.
    pub uid: Uuid,
    /// `OWNER/NAME`.
    pub name: String,
    /// The secret that it brought.
    pub credential: Credential,
}

/// A workload that brought a token of its platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Inner number.
    pub pid: i64,
    /// Stable id.
    pub uid: Uuid,
    /// Folded name.
    pub name: String,
    /// What the token said, as far as it was one text; patterns of rights may name it.
    pub claims: Arc<BTreeMap<String, String>>,
    /// The login that was kept, if the token itself was not brought.
    pub session: Option<Credential>,
}

/// A user who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Inner number.
    pub pid: i64,
    /// Stable id.
    pub uid: Uuid,
    /// Folded name.
    pub name: String,
    /// With what.
    pub proof: Proof,
    /// Whether they showed a second factor, now or when what they brought was made.
    pub has_second_factor: bool,
}

/// What a user logged in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The password; the stored hash at the time of the login.
    Password(Secret),
    /// A password that somebody else knows; who they are there.
    PasswordElsewhere(Identity),
    /// A personal access token.
    PersonalToken(Credential),
    /// A login that was kept.
    KeptLogin(Credential),
    /// A browser in which they are signed in; the number of the session.
    Session(Uuid),
    /// They said so in a browser.
    Allowed,
}

impl Proof {
    /// Whether the user is there themselves, and not something that was given a secret.
    pub const fn is_in_person(&self) -> bool {
        matches!(self, Self::Password(_) | Self::PasswordElsewhere(_) | Self::Session(_))
    }

    fn credential(&self) -> Option<&Credential> {
        match self {
            Self::Password(_) | Self::PasswordElsewhere(_) | Self::Session(_) | Self::Allowed => None,
            Self::PersonalToken(credential) | Self::KeptLogin(credential) => Some(credential),
        }
    }
}

impl User {
    /// Somebody whose password was right.
    pub(super) fn by_password(row: UserRow, hash: String) -> Self {
        let UserRow { pid, uid, name, .. } = row;
        Self { pid, uid, name, proof: Proof::Password(Secret::new(hash)), has_second_factor: false }
    }

    /// Somebody whose password was right elsewhere.
    pub(super) fn by_password_elsewhere(row: UserRow, identity: Identity) -> Self {
        let UserRow { pid, uid, name, .. } = row;
        Self { pid, uid, name, proof: Proof::PasswordElsewhere(identity), has_second_factor: false }
    }
}
