//! Who a request comes from, once that is known.
//!
//! *Invariant:* what a caller begins belongs to this one way of telling callers apart: a session outlives a change of
//! the settings, but nobody inherits it by having the same name.

use std::sync::Arc;

use crate::auth::verifier::VerifiedToken;
use crate::domain::upload_session::UploadOwner;

/// Stands where a token names its issuer.
const PASSWORD_FILE: &str = "htpasswd user";

/// Who a request comes from.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Nobody in particular: the registry is open.
    Anybody,
    /// Whoever this token was issued to.
    Bearer(Arc<VerifiedToken>),
    /// A user whose password was right.
    User(Arc<str>),
}

impl Caller {
    /// Whose a session is that this caller begins.
    pub(super) fn owner(&self) -> UploadOwner {
        match self {
            Self::Anybody => UploadOwner::anonymous(),
            Self::Bearer(token) => UploadOwner { issuer: token.issuer.clone(), subject: token.identity() },
            Self::User(name) => UploadOwner { issuer: PASSWORD_FILE.to_owned(), subject: name.to_string() },
        }
    }
}
