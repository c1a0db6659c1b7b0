//! Passwords that others know.
//!
//! *Invariant:* others are asked only about names that have no password here.

use futures_util::future::BoxFuture;
use shared::secret::Secret;

use super::super::error::TokenServerError;
use crate::db::users::UserRow;

/// Who somebody is elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who says so.
    pub issuer: String,
    /// What never changes there.
    pub subject: String,
}

/// What others say to a name and a password.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It is the password of somebody who is this user.
    User(UserRow, Identity),
    /// It is right, and whose it is, is nobody here yet.
    Pending,
    /// It lets nobody in; the word in the record.
    Refused(&'static str),
    /// They do not answer, or some of them do not.
    Away {
        /// Whether one of them did, and said that it is wrong.
        was_tried: bool,
    },
}

/// Somebody who knows passwords of others.
pub trait PasswordsElsewhere: Send + Sync {
    /// Asks about a name and a password.
    fn ask<'a>(
        &'a self,
        user: &'a str,
        password: &'a Secret,
    ) -> BoxFuture<'a, Result<Verdict, TokenServerError>>;

    /// Who a user is there, each with a text that is another one as soon as what was right before may not be any more.
    fn known(&self, pid: i64) -> BoxFuture<'_, Result<Vec<(Identity, String)>, TokenServerError>>;
}
