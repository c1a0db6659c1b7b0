//! The closed list of things worth remembering.
//!
//! What clients can repeat at will, such as logins and refusals, goes through [`super::audit_repeats`].
//!
//! *Invariant:* a record never holds a secret, and texts from strangers are cut to a fixed length and printable.

use shared::clock::Clock;
use uuid::Uuid;

use crate::db::Executor;
use crate::db::audit::{self, AuditRow};
use crate::db::error::DbError;

/// Longest text from outside that is kept.
const MAX_TEXT_CHARACTERS: usize = 200;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Credentials were checked.
    Login,
    /// Rights were asked for and not held.
    ScopesRefused,
    /// A login that lasts was given out.
    RefreshTokenIssued,
    /// Users changed their own password.
    PasswordChanged,
    /// The following were done by an administrator.
    UserAdded,
    /// …
    UserPasswordSet,
    /// …
    UserDisabled,
    /// …
    UserEnabled,
    /// …
    TeamAdded,
    /// …
    TeamRemoved,
    /// …
    TeamMemberAdded,
    /// …
    TeamMemberRemoved,
    /// …
    GrantAdded,
    /// …
    GrantRemoved,
    /// …
    BarrierAdded,
    /// …
    BarrierRemoved,
}

impl Event {
    /// The word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::ScopesRefused => "scopes_refused",
            Self::RefreshTokenIssued => "refresh_token_issued",
            Self::PasswordChanged => "password_changed",
            Self::UserAdded => "user_added",
            Self::UserPasswordSet => "user_password_set",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::TeamAdded => "team_added",
            Self::TeamRemoved => "team_removed",
            Self::TeamMemberAdded => "team_member_added",
            Self::TeamMemberRemoved => "team_member_removed",
            Self::GrantAdded => "grant_added",
            Self::GrantRemoved => "grant_removed",
            Self::BarrierAdded => "barrier_added",
            Self::BarrierRemoved => "barrier_removed",
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// As wanted; with a remark.
    Allowed(Option<&'a str>),
    /// Not, and why.
    Refused(&'a str),
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Address of the client.
    pub address: Option<String>,
    /// What the client's program calls itself.
    pub agent: Option<String>,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What happened.
    pub event: Event,
    /// A user name, `cli`, or empty.
    pub actor: &'a str,
    /// Stable id of the actor.
    pub actor_uid: Option<Uuid>,
    /// On whom or what.
    pub target: &'a str,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

/// The actor of commands on the server itself.
pub const COMMAND_LINE: &str = "cli";

/// Writes a record.
pub async fn record(
    db: impl Executor<'_>,
    clock: &dyn Clock,
    origin: &Origin,
    record: Record<'_>,
) -> Result<(), DbError> {
    let (outcome, reason) = match record.outcome {
        Outcome::Allowed(remark) => ("allowed", remark),
        Outcome::Refused(reason) => ("refused", Some(reason)),
    };
    let agent = origin.agent.as_deref().map(printable);
    let target = printable(record.target);
    let reason = reason.map(printable);
    let row = AuditRow {
        event: record.event.as_str(),
        actor: record.actor,
        actor_uid: record.actor_uid,
        target: &target,
        outcome,
        reason: reason.as_deref(),
        address: origin.address.as_deref(),
        agent: agent.as_deref(),
    };
    audit::insert_event(db, &row, clock.now()).await
}

pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_TEXT_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_outside_are_cut_and_printable() {
        assert_eq!(printable("a\0b\nc"), "abc");
        assert_eq!(printable(&"ä".repeat(300)).chars().count(), MAX_TEXT_CHARACTERS);
    }
}
