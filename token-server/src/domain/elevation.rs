//! A request for rights for a while, as it is stored.
//!
//! *Invariant:* what is stored was parsed first, so that every request means something when it is decided about.

use std::time::Duration;

use shared::limits::TagPattern;
use shared::repository_pattern::RepositoryPattern;

use super::error::TokenServerError;
use super::grant::Effect;
use super::grant_spec::{GrantSpec, NamedWhat};
use super::grant_subject::GrantSubject;
use super::principal_name::PrincipalName;
use super::right::RightSet;
use super::words::counted::counted;
use super::words::plain_text::is_plain;
use crate::db::elevations::ElevationRow;
use crate::db::error::DbError;

/// A request that nobody decided about for so long cannot be approved any more.
pub const PATIENCE: time::Duration = time::Duration::days(7);

/// Longest reason in characters.
const MAX_REASON_CHARACTERS: usize = 200;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody decided yet.
    Requested,
    /// It was given.
    Approved,
    /// It was not given.
    Denied,
    /// It was taken back, or ended before its time.
    Ended,
}

impl State {
    /// The word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Ended => "ended",
        }
    }
}

/// Checks how long something is to last and why; returns seconds.
pub fn check(length: Duration, longest: Duration, reason: &str) -> Result<i32, TokenServerError> {
    let seconds = i32::try_from(length.as_secs()).ok().filter(|seconds| (60..).contains(seconds));
    let Some(seconds) = seconds.filter(|_| length <= longest) else {
        let days = longest.as_secs() / 86_400;
        let sentence =
            format!("rights for a while last between a minute and {}", counted(days, "day", "days"));
        return Err(TokenServerError::Contradiction(sentence));
    };
    let characters = reason.chars().count();
    if reason.trim().is_empty() || characters > MAX_REASON_CHARACTERS || !reason.chars().all(is_plain) {
        let sentence = format!("say why, in 1 to {MAX_REASON_CHARACTERS} characters on one line");
        return Err(TokenServerError::Contradiction(sentence));
    }
    Ok(seconds)
}

/// How long it is to last.
pub fn length(row: &ElevationRow) -> time::Duration {
    time::Duration::seconds(row.lasts_seconds.into())
}

/// Where it is about.
pub fn pattern(row: &ElevationRow) -> Result<RepositoryPattern, DbError> {
    RepositoryPattern::parse(&row.pattern).map_err(|_| wrong("pattern", &row.pattern))
}

/// What was asked for, as people write it.
pub fn spec(row: &ElevationRow) -> Result<GrantSpec, DbError> {
    let what = match (&row.role, &row.rights) {
        (Some(role), _) => NamedWhat::Role(role.clone()),
        (None, Some(rights)) => {
            NamedWhat::Rights(RightSet::parse(rights).map_err(|_| wrong("rights", rights))?)
        }
        (None, None) => return Err(wrong("role", "")),
    };
    let tags = row.tags.as_deref().map(|tags| TagPattern::parse(tags).map_err(|_| wrong("tags", tags)));
    Ok(GrantSpec {
        subject: GrantSubject::User(PrincipalName::parse(&row.user).map_err(|_| wrong("pid", &row.user))?),
        effect: Effect::Allow,
        what,
        pattern: pattern(row)?,
        tags: tags.transpose()?,
    })
}

fn wrong(column: &'static str, value: &str) -> DbError {
    DbError::Inconsistent { table: "elevation", column, value: value.to_owned() }
}
