//! Keeping the snapshot as the database is.
//!
//! One task reads the position at the end of the log and catches up: when the database says that there is something
//! new, every two seconds in any case, and before every decision. A decision waits for a look at the log that began
//! after it was asked for; all that wait share one look, so there are never more than one at a time.
//!
//! *Invariant:* while the database answers in time, nothing is decided from a snapshot that lacks a change which was
//! committed before the decision was asked for; and never from one that is known to lack something.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use shared::server::causes;

use super::Snapshot;
use crate::db::dialer::Dialer;
use crate::db::error::DbError;
use crate::db::{Connection, changes};

/// How often the log is looked at if nobody asks and nothing is heard.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// A database that has not told its position after this time is away.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// The same of one that was away at the last look: everybody who waits knows what to expect.
const LOOK_AGAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// Catching up may take this long; then everything is read anew.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// Reading everything may take this long; a database that has stopped in the middle would hold it up for ever.
const LOAD_TIMEOUT: Duration = Duration::from_mins(5);

/// A decision waits this long: for the look that is going on, for its own, and a little for its turn.
const PATIENCE: Duration = Duration::from_secs(3);

/// Time between two tries to hear of changes.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// What became of a look at the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The snapshot is what the database says.
    Current,
    /// The database answers, and the snapshot is not what it says.
    Behind,
    /// The database does not answer.
    Away,
}

impl Outcome {
    /// What is so after another look: what was seen to be missing is not there because the database has gone away.
    fn then(self, looked: Self) -> Self {
        if (self, looked) == (Self::Behind, Self::Away) { Self::Behind } else { looked }
    }
}

#[derive(Debug)]
struct State {
    snapshot: Arc<Snapshot>,
    outcome: Outcome,
    /// All who asked before the look began: the number of the last of them.
    served: u64,
    /// When the snapshot was last what the database said.
    confirmed: Instant,
}

/// Holds the newest snapshot.
pub struct Follower {
    dialer: Dialer,
    max_age: Duration,
    state: watch::Sender<State>,
    asked: AtomicU64,
    wake: Notify,
}

impl Follower {
    /// Reads everything. With the database away, a snapshot decides until it is this old.
    pub async fn load(dialer: Dialer, max_age: Duration) -> Result<Self, DbError> {
        let snapshot = load(&dialer).await?;
        let state = State { snapshot, outcome: Outcome::Current, served: 0, confirmed: Instant::now() };
        let state = watch::Sender::new(state);
        Ok(Self { dialer, max_age, state, asked: AtomicU64::new(0), wake: Notify::new() })
    }

    /// The snapshot to decide from, which may be old while the database is away; nothing if the database has to be
    /// asked itself.
    pub async fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let mine = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut state = self.state.subscribe();
        self.wake.notify_one();
        let state = timeout(PATIENCE, state.wait_for(|state| state.served >= mine)).await.ok()?.ok()?;
        let is_good = match state.outcome {
            Outcome::Current => true,
            Outcome::Behind => false,
            Outcome::Away => state.confirmed.elapsed() <= self.max_age,
        };
        is_good.then(|| state.snapshot.clone())
    }

    /// Whether decisions can be made at this moment without the database.
    pub async fn is_usable(&self) -> bool {
        self.snapshot().await.is_some()
    }

    /// Waits until the newest snapshot is not at this position any more.
    pub async fn wait_for_other(&self, position: changes::Position) {
        let mut state = self.state.subscribe();
        // It ends with the server.
        let _ = state.wait_for(|state| state.snapshot.position() != position).await;
    }

    /// The newest snapshot, however old.
    pub fn latest(&self) -> Arc<Snapshot> {
        self.state.borrow().snapshot.clone()
    }

    /// Keeps it up to date until it is dropped.
    pub async fn follow(self: Arc<Self>) {
        futures_util::future::join(self.hear(), self.look()).await;
    }

    /// Looks at the log whenever the database says that something is new.
    async fn hear(&self) {
        loop {
            if let Ok(mut notices) = self.dialer.listen(changes::CHANNEL).await {
                // Something may have been said before.
                self.wake.notify_one();
                while notices.wait().await.is_ok() {
                    self.wake.notify_one();
                }
            }
            sleep(LISTEN_AGAIN).await;
        }
    }

    async fn look(&self) {
        let (mut connection, mut reading) = (None, Reading::default());
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(POLL_INTERVAL) => {}
                read = reading.done() => {
                    if let Some(snapshot) = read {
                        self.state.send_modify(|state| state.snapshot = snapshot);
                    }
                }
            }
            let served = self.asked.load(Ordering::SeqCst);
            let outcome = match self.look_once(&mut connection, reading.is_going_on()).await {
                Looked::Current(newer) => {
                    self.note(Outcome::Current, newer, served);
                    continue;
                }
                Looked::Lost => {
                    reading.begin(&self.dialer);
                    Outcome::Behind
                }
                Looked::Behind => Outcome::Behind,
                Looked::Away => Outcome::Away,
            };
            self.note(outcome, None, served);
        }
    }

    async fn look_once(&self, connection: &mut Option<Connection>, is_reading: bool) -> Looked {
        let latest = self.latest();
        let was_away = self.state.borrow().outcome == Outcome::Away;
        let patience = if was_away { LOOK_AGAIN_TIMEOUT } else { LOOK_TIMEOUT };
        let position = match timeout(patience, self.position(connection)).await {
            Ok(Ok(position)) => position,
            Ok(Err(DbError::Unavailable(_))) | Err(_) => return Looked::Away,
            Ok(Err(error)) => {
                tracing::error!(error = causes::sentence(&error), "the log of changes cannot be read");
                return Looked::Behind;
            }
        };
        if position == latest.position() {
            return Looked::Current(None);
        }
        if is_reading {
            return Looked::Behind;
        }
        // A connection that is given up in the middle is of no use any more.
        let Some(mut own) = connection.take() else { return Looked::Lost };
        match timeout(CATCH_UP_TIMEOUT, latest.next(&mut own)).await {
            Ok(Ok(Some(next))) => {
                *connection = Some(own);
                Looked::Current(Some(Arc::new(next)))
            }
            Ok(Ok(None)) => {
                *connection = Some(own);
                Looked::Lost
            }
            // There is something new, and it could not be read.
            Ok(Err(DbError::Unavailable(_))) => Looked::Behind,
            Ok(Err(_)) | Err(_) => Looked::Lost,
        }
    }

    /// The end of the log, by a connection that is made anew if it has broken since the last time.
    async fn position(&self, connection: &mut Option<Connection>) -> Result<changes::Position, DbError> {
        if let Some(mut known) = connection.take() {
            match changes::find_position(&mut known).await {
                Err(DbError::Unavailable(_)) => {}
                outcome => {
                    *connection = Some(known);
                    return outcome;
                }
            }
        }
        let mut new = self.dialer.dial().await?;
        let position = changes::find_position(&mut new).await?;
        *connection = Some(new);
        Ok(position)
    }

    fn note(&self, looked: Outcome, newer: Option<Arc<Snapshot>>, served: u64) {
        let (mut before, mut outcome, mut age) = (looked, looked, Duration::ZERO);
        self.state.send_modify(|state| {
            (before, age) = (state.outcome, state.confirmed.elapsed());
            outcome = state.outcome.then(looked);
            state.outcome = outcome;
            state.served = served;
            if let Some(newer) = newer {
                state.snapshot = newer;
            }
            if outcome == Outcome::Current {
                state.confirmed = Instant::now();
            }
        });
        if before == outcome {
            return;
        }
        let (position, age) = (self.latest().position().seq, humantime::format_duration(age).to_string());
        match outcome {
            Outcome::Current => tracing::info!(position, age, "rights in memory are what the database says"),
            Outcome::Behind => {
                tracing::warn!(position, age, "rights in memory are behind; the database is asked itself");
            }
            Outcome::Away => {
                tracing::warn!(
                    position,
                    age,
                    "the database does not answer; rights are decided as they were"
                );
            }
        }
    }
}

/// What a look at the log found.
enum Looked {
    /// The snapshot, or this newer one, is what the database says.
    Current(Option<Arc<Snapshot>>),
    /// The log does not lead on from the snapshot.
    Lost,
    /// The database has something newer, which is being read or cannot be.
    Behind,
    /// The database does not answer.
    Away,
}

/// Everything being read anew, beside the looks at the log.
#[derive(Default)]
struct Reading {
    task: Option<JoinHandle<Result<Arc<Snapshot>, DbError>>>,
    /// When it last failed.
    failed: Option<Instant>,
}

impl Reading {
    fn is_going_on(&self) -> bool {
        self.task.is_some()
    }

    /// Begins, unless it failed a moment ago: every request would make it fail again.
    fn begin(&mut self, dialer: &Dialer) {
        if self.failed.is_none_or(|failed| failed.elapsed() >= POLL_INTERVAL) {
            let dialer = dialer.clone();
            self.task = Some(tokio::spawn(async move { load(&dialer).await }));
        }
    }

    /// Waits for the end of it; for ever, if it has not begun.
    async fn done(&mut self) -> Option<Arc<Snapshot>> {
        let Some(task) = &mut self.task else { return std::future::pending().await };
        let outcome = task.await;
        self.task = None;
        self.failed = (!matches!(outcome, Ok(Ok(_)))).then(Instant::now);
        match outcome {
            Ok(Ok(snapshot)) => Some(snapshot),
            Ok(Err(error)) => {
                tracing::error!(error = causes::sentence(&error), "rights cannot be read into memory");
                None
            }
            // It was aborted with the server.
            Err(_) => None,
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn load(dialer: &Dialer) -> Result<Arc<Snapshot>, DbError> {
    let began = Instant::now();
    let mut connection = dialer.dial().await?;
    let late = |_| DbError::timed_out();
    let snapshot = timeout(LOAD_TIMEOUT, Snapshot::load(&mut connection)).await.map_err(late)??;
    let size = snapshot.size();
    tracing::info!(
        position = snapshot.position().seq,
        principals = size.principals,
        grants = size.grants,
        duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "rights were read into memory"
    );
    Ok(Arc::new(snapshot))
}
