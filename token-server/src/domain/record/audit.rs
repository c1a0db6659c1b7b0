//! Remembering what happened: who, to what, how it came out, and from where.
//!
//! What clients can repeat at will, such as logins and refusals, goes through [`super::audit_repeats`].
//!
//! *Invariant:* a record never holds a secret, and texts from strangers are cut to a fixed length and printable. In a
//! transaction, recording is the last statement that takes a lock: records wait for one another until the end of the
//! transaction, and whoever took another lock behind that one could wait in a circle.

use std::net::IpAddr;

use shared::clock::Clock;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::super::words::plain_text::is_plain;
use super::audit_backlog::WaitingRecord;
pub use super::event::Event;
use crate::db::Executor;
use crate::db::audit::{self, AuditRow};
use crate::db::error::DbError;

/// Longest text from strangers that is kept.
const MAX_TEXT_CHARACTERS: usize = 200;

/// Longest text about what somebody known did: with it, a row and its conditions are told whole.
const MAX_KNOWN_CHARACTERS: usize = 1_000;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// As wanted; with a remark.
    Allowed(Option<&'a str>),
    /// Not, and why.
    Refused(&'a str),
}

impl<'a> Outcome<'a> {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed(_) => "allowed",
            Self::Refused(_) => "refused",
        }
    }

    const fn remark(self) -> Option<&'a str> {
        match self {
            Self::Allowed(remark) => remark,
            Self::Refused(reason) => Some(reason),
        }
    }
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Address of the client.
    pub address: Option<String>,
    /// What the client's program calls itself.
    pub agent: Option<String>,
}

impl Origin {
    /// The address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.as_deref().and_then(|address| address.parse().ok())
    }
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What happened.
    pub event: Event,
    /// A user name, `cli`, `system`, or empty.
    pub actor: &'a str,
    /// Stable id of the actor.
    pub actor_uid: Option<Uuid>,
    /// On whom or what.
    pub target: &'a str,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

/// What was in effect before something was changed, and what is since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Before.
    pub before: &'a str,
    /// Since.
    pub after: &'a str,
}

/// The actor of commands on the server itself.
pub const COMMAND_LINE: &str = "cli";

/// The actor of what the server does by itself.
pub const SYSTEM: &str = "system";

/// Writes a record.
pub async fn record(
    db: impl Executor<'_>,
    clock: &dyn Clock,
    origin: &Origin,
    record: Record<'_>,
) -> Result<(), DbError> {
    record_change(db, clock, origin, record, None).await
}

/// Writes a record that says what was changed into what, where that is known.
pub async fn record_change(
    db: impl Executor<'_>,
    clock: &dyn Clock,
    origin: &Origin,
    record: Record<'_>,
    change: Option<Change<'_>>,
) -> Result<(), DbError> {
    let (texts, agent) = (Texts::of(&record), origin.agent.as_deref().map(printable));
    audit::insert_event(db, &texts.row(&record, origin, agent.as_deref(), change), clock.now()).await
}

/// Writes what was done by one request, in this order, as fast as that goes: others who record something wait meanwhile.
pub async fn record_all(
    db: impl Executor<'_>,
    clock: &dyn Clock,
    origin: &Origin,
    records: &[Record<'_>],
) -> Result<(), DbError> {
    let agent = origin.agent.as_deref().map(printable);
    let texts: Vec<Texts> = records.iter().map(Texts::of).collect();
    let rows = records.iter().zip(&texts);
    let rows: Vec<AuditRow<'_>> =
        rows.map(|(record, texts)| texts.row(record, origin, agent.as_deref(), None)).collect();
    audit::insert_events(db, &rows, &vec![clock.now(); rows.len()]).await
}

/// A record as it waits for the database to come back.
pub(super) fn waiting(clock: &dyn Clock, origin: &Origin, record: &Record<'_>) -> WaitingRecord {
    let (texts, agent) = (Texts::of(record), origin.agent.as_deref().map(printable));
    WaitingRecord::of(&texts.row(record, origin, agent.as_deref(), None), clock.now())
}

/// What of a record may come from strangers, as it is kept.
struct Texts {
    target: String,
    reason: Option<String>,
}

impl Texts {
    fn of(record: &Record<'_>) -> Self {
        let limit = if record.actor.is_empty() { MAX_TEXT_CHARACTERS } else { MAX_KNOWN_CHARACTERS };
        let reason = record.outcome.remark();
        Self { target: cut(record.target, limit), reason: reason.map(|reason| cut(reason, limit)) }
    }

    fn row<'a>(
        &'a self,
        record: &Record<'a>,
        origin: &'a Origin,
        agent: Option<&'a str>,
        change: Option<Change<'a>>,
    ) -> AuditRow<'a> {
        AuditRow {
            event: record.event.as_str(),
            actor: record.actor,
            actor_uid: record.actor_uid,
            target: &self.target,
            outcome: record.outcome.as_str(),
            reason: self.reason.as_deref(),
            address: origin.address.as_deref(),
            agent,
            before: change.map(|change| change.before),
            after: change.map(|change| change.after),
        }
    }
}

/// A time as records have it.
pub fn moment(at: OffsetDateTime) -> String {
    let whole = at.replace_nanosecond(0).unwrap_or(at);
    whole.format(&Rfc3339).expect("times of the database are within the years that RFC 3339 can write")
}

/// As much of a text as records keep, without what cannot be printed.
pub fn printable(text: &str) -> String {
    cut(text, MAX_TEXT_CHARACTERS)
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().filter(|character| is_plain(*character)).take(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_listed_once_and_in_order() {
        assert!(Event::ALL.iter().enumerate().all(|(index, event)| *event as usize == index));
        assert_eq!(Event::ALL.len(), Event::AuditPruned as usize + 1);
    }

    #[test]
    fn the_manual_lists_every_event() {
        let manual = include_str!("../../../README.md");
        let rows = manual.lines().skip_while(|line| *line != "| event | when |").skip(2);
        let rows = rows.take_while(|line| line.starts_with('|'));
        let words = rows.filter_map(|row| row.split('|').nth(1)).flat_map(|cell| cell.split(", "));
        let words: Vec<_> = words.map(|word| word.trim().trim_matches('`')).collect();
        assert_eq!(words, Event::WORDS);
    }

    #[test]
    fn texts_from_outside_are_cut_and_printable() {
        assert_eq!(printable("a\0b\nc\u{202e}"), "abc");
        assert_eq!(printable(&"ä".repeat(300)).chars().count(), MAX_TEXT_CHARACTERS);
    }
}
