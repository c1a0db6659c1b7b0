//! Records that wait for the database to come back.
//!
//! They are written to a file as well, if there is one, so that a server which ends meanwhile has them when it starts
//! again; one that ends in the middle of handing them over writes some twice.
//!
//! *Invariant:* nothing that was taken in is lost while the server runs; when there is no room, what is to be recorded
//! is refused.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::server::causes;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::audit::{self, AuditRow};
use crate::db::error::DbError;
use crate::db::{self, Pool};

/// So many wait; at the rate at which refusals are recorded that is more than two hours.
const MAX_WAITING: usize = 100_000;

/// So many are written in one statement.
const ROWS_AT_ONCE: usize = 500;

/// How often it is tried to hand them over.
const INTERVAL: Duration = Duration::from_secs(1);

/// A record as it waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingRecord {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    event: String,
    actor: String,
    actor_uid: Option<Uuid>,
    target: String,
    outcome: String,
    reason: Option<String>,
    address: Option<String>,
    agent: Option<String>,
}

impl WaitingRecord {
    /// What would have been written at that moment.
    pub fn of(row: &AuditRow<'_>, at: OffsetDateTime) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            at,
            event: row.event.to_owned(),
            actor: row.actor.to_owned(),
            actor_uid: row.actor_uid,
            target: row.target.to_owned(),
            outcome: row.outcome.to_owned(),
            reason: owned(row.reason),
            address: owned(row.address),
            agent: owned(row.agent),
        }
    }

    fn row(&self) -> AuditRow<'_> {
        AuditRow {
            event: &self.event,
            actor: &self.actor,
            actor_uid: self.actor_uid,
            target: &self.target,
            outcome: &self.outcome,
            reason: self.reason.as_deref(),
            address: self.address.as_deref(),
            agent: self.agent.as_deref(),
            before: None,
            after: None,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<WaitingRecord>,
    file: Option<File>,
}

#[derive(Debug, Default)]
struct Backlog {
    /// Whether the database was seen to be away, and not yet to be back; changed with the state, and read without
    /// waiting for the disk.
    is_away: AtomicBool,
    state: Mutex<State>,
}

impl Backlog {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, record: WaitingRecord) -> Result<(), DbError> {
        let mut state = self.state();
        state.take(record)?;
        if !self.is_away.swap(true, Ordering::Relaxed) {
            tracing::warn!("the database does not answer; audit records wait for it");
        }
        Ok(())
    }
}

/// Keeps records until the database takes them.
#[derive(Debug, Default)]
pub struct AuditBacklog(Arc<Backlog>);

/// The file for what waits cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the file {} for audit records that wait for the database cannot be used", path.display())]
pub struct BacklogError {
    path: PathBuf,
    source: io::Error,
}

impl AuditBacklog {
    /// Takes over what waits in this file, and keeps there what comes.
    pub fn open(path: Option<&Path>) -> Result<Self, BacklogError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let open = || {
            let options = File::options().read(true).append(true).create(true).mode(0o600).clone();
            let mut file = options.open(path)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            // A server that died in the middle of a line had not answered yet.
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            file.set_len(whole as u64)?;
            let lines = bytes[..whole].split(|byte| *byte == b'\n');
            let waiting: VecDeque<WaitingRecord> =
                lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
            Ok(State { waiting, file: Some(file) })
        };
        let state = open().map_err(|source| BacklogError { path: path.to_owned(), source })?;
        let is_away = AtomicBool::new(!state.waiting.is_empty());
        Ok(Self(Arc::new(Backlog { is_away, state: Mutex::new(state) })))
    }

    /// Whether records go here without asking the database first, because it was away a moment ago.
    pub fn is_in_use(&self) -> bool {
        self.0.is_away.load(Ordering::Relaxed)
    }

    /// Takes a record in.
    pub async fn take(&self, record: WaitingRecord) -> Result<(), DbError> {
        let backlog = self.0.clone();
        let taken = tokio::task::spawn_blocking(move || backlog.take(record));
        taken.await.unwrap_or_else(|_| Err(DbError::timed_out()))
    }

    /// Hands everything over; what could not be goes on waiting.
    pub async fn write(&self, pool: &Pool) -> Result<usize, DbError> {
        let mut written = 0;
        loop {
            let rows: Vec<WaitingRecord> =
                self.0.state().waiting.iter().take(ROWS_AT_ONCE).cloned().collect();
            if rows.is_empty() {
                db::ping(pool).await?;
            } else {
                let times: Vec<OffsetDateTime> = rows.iter().map(|row| row.at).collect();
                let as_rows: Vec<AuditRow<'_>> = rows.iter().map(WaitingRecord::row).collect();
                audit::insert_events(pool, &as_rows, &times).await?;
            }
            let mut state = self.0.state();
            // Others only add behind them.
            state.waiting.drain(..rows.len());
            written += rows.len();
            if state.waiting.is_empty() {
                self.0.is_away.store(false, Ordering::Relaxed);
                if let Some(file) = &state.file
                    && let Err(error) = file.set_len(0)
                {
                    let error = causes::sentence(&error);
                    tracing::warn!(
                        error,
                        "audit records that were written stay in the file for those that wait"
                    );
                }
                return Ok(written);
            }
        }
    }

    /// Hands over what waits, again and again.
    pub async fn keep_writing(self: Arc<Self>, pool: Pool) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if !self.is_in_use() {
                continue;
            }
            match self.write(&pool).await {
                Ok(records) => {
                    tracing::info!(records, "audit records that waited for the database are written");
                }
                Err(DbError::Unavailable(_)) => {}
                Err(error) => {
                    let error = causes::sentence(&error);
                    tracing::error!(error, "audit records that wait cannot be written");
                }
            }
        }
    }
}

impl State {
    fn take(&mut self, record: WaitingRecord) -> Result<(), DbError> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(DbError::timed_out());
        }
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_vec(&record).unwrap_or_default();
            line.push(b'\n');
            let before = file.metadata().map(|file| file.len());
            if let Err(error) = file.write_all(&line).and_then(|()| file.sync_data()) {
                // Half a line would spoil the next one.
                let _ = before.and_then(|before| file.set_len(before));
                let error = causes::sentence(&error);
                tracing::error!(error, "an audit record waits in memory only");
            }
        }
        self.waiting.push_back(record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: usize) -> WaitingRecord {
        let target = number.to_string();
        let row = AuditRow {
            event: "login",
            actor: "alice",
            actor_uid: Some(Uuid::from_u128(7)),
            target: &target,
            outcome: "allowed",
            reason: None,
            address: Some("192.0.2.1"),
            agent: None,
            before: None,
            after: None,
        };
        WaitingRecord::of(&row, OffsetDateTime::UNIX_EPOCH)
    }

    #[tokio::test]
    async fn what_waits_is_there_after_a_restart_and_half_a_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("waiting");
        let backlog = AuditBacklog::open(Some(&path)).unwrap();
        assert!(!backlog.is_in_use());
        for number in 0..3 {
            backlog.take(record(number)).await.unwrap();
        }
        drop(backlog);
        File::options().append(true).open(&path).unwrap().write_all(b"{\"at\":\"20").unwrap();
        let backlog = AuditBacklog::open(Some(&path)).unwrap();
        assert!(backlog.is_in_use());
        // And what comes next does not stand behind it.
        backlog.take(record(3)).await.unwrap();
        drop(backlog);
        let backlog = AuditBacklog::open(Some(&path)).unwrap();
        let waiting: Vec<_> = backlog.0.state().waiting.iter().cloned().collect();
        assert_eq!(waiting, [record(0), record(1), record(2), record(3)]);
    }

    #[test]
    fn when_there_is_no_room_it_is_refused_and_not_lost() {
        let mut state = State::default();
        for number in 0..MAX_WAITING {
            state.take(record(number)).unwrap();
        }
        assert!(state.take(record(0)).is_err());
        assert_eq!(state.waiting.len(), MAX_WAITING);
    }
}
