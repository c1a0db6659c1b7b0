//! Telling registries which tokens were taken back.
//!
//! *Invariant:* an answer says everything up to its position. Whoever knows of a change that the database does not have
//! any more has seen an earlier life of it, which was put back from a backup; then another one begins, in which no token
//! of before counts.

use std::sync::Arc;
use std::time::Duration;

use ring::hmac;
use ring::rand::SystemRandom;
use shared::revocations::{Entry, Known, News, Position, Question};
use shared::secret::Secret;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::error::TokenServerError;
use super::random::NoRandomness;
use super::snapshot::Snapshot;
use super::snapshot::follower::Follower;
use crate::db::error::DbError;
use crate::db::{self, Pool, revocations};

/// A question waits no longer, whatever it says.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// Shorter secrets can be guessed.
pub const MIN_SECRET_BYTES: usize = 32;

/// What registries are told, and who they are.
pub struct RevocationFeed {
    follower: Arc<Follower>,
    pool: Pool,
    /// The secret under a key of this process, so that comparing takes the same time whatever was brought.
    secret: (hmac::Key, hmac::Tag),
}

/// What the database has of what a registry knows.
enum History {
    /// Just that.
    Same,
    /// Nothing as old as that.
    Forgotten,
    /// Something else.
    Other,
}

impl RevocationFeed {
    /// Tells what is in memory to whoever has the secret.
    pub fn new(
        follower: Arc<Follower>,
        pool: Pool,
        secret: &Secret,
        random: &SystemRandom,
    ) -> Result<Self, NoRandomness> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, random).map_err(|_| NoRandomness)?;
        let tag = hmac::sign(&key, secret.expose().as_bytes());
        Ok(Self { follower, pool, secret: (key, tag) })
    }

    /// Whether this is what registries bring.
    pub fn admits(&self, secret: &str) -> bool {
        let (key, tag) = &self.secret;
        hmac::verify(key, secret.as_bytes(), tag.as_ref()).is_ok()
    }

    /// Answers as soon as there is something new, or when the wait is over.
    pub async fn answer(&self, question: &Question) -> Result<News, TokenServerError> {
        let deadline = Instant::now() + Duration::from_secs(question.wait_seconds).min(MAX_WAIT);
        let snapshot = self.current().await?;
        let Some(known) = &question.known else { return Ok(complete(&snapshot)) };
        if known.position.epoch != snapshot.revocations().epoch() {
            return Ok(complete(&snapshot));
        }
        match self.history(known, &snapshot).await? {
            History::Same => {}
            History::Forgotten => return Ok(complete(&snapshot)),
            History::Other => {
                let snapshot = self.begin_another_life(known).await?;
                return Ok(complete(&snapshot));
            }
        }
        let at = known.position.at;
        loop {
            let latest = self.follower.latest();
            let has_news = latest.revocations().epoch() != known.position.epoch
                || latest.revocations().behind(at).next().is_some();
            if has_news || Instant::now() >= deadline {
                return self.news(known).await;
            }
            // The snapshot that was looked at, or a newer one, until there is another one.
            let _ = timeout_at(deadline, self.follower.wait_for_other(latest.position())).await;
        }
    }

    /// What there is behind a position that is known to be in the log.
    async fn news(&self, known: &Known) -> Result<News, TokenServerError> {
        let snapshot = self.current().await?;
        let epoch = snapshot.revocations().epoch();
        let Position { at, .. } = known.position;
        if epoch != known.position.epoch {
            return Ok(complete(&snapshot));
        }
        // Another server told of it, and this one is not there yet.
        if snapshot.position().seq < at {
            return Err(DbError::timed_out().into());
        }
        Ok(told(&snapshot, at, false))
    }

    /// A snapshot that decisions are made from as well: nobody is told of what the next token does not rest on.
    async fn current(&self) -> Result<Arc<Snapshot>, TokenServerError> {
        Ok(self.follower.snapshot().await.ok_or_else(DbError::timed_out)?)
    }

    async fn history(&self, known: &Known, snapshot: &Snapshot) -> Result<History, TokenServerError> {
        let (at, position) = (known.position.at, snapshot.position());
        if at == position.seq && known.cursor == position.mark.to_string() {
            return Ok(History::Same);
        }
        match revocations::find_log_row(&self.pool, at).await {
            Ok(row) if row.is_forgotten => Ok(History::Forgotten),
            Ok(row) if row.mark.is_some_and(|mark| mark.to_string() == known.cursor) => Ok(History::Same),
            Ok(_) => Ok(History::Other),
            // While it is away it is not put back either.
            Err(DbError::Unavailable(_)) => Ok(History::Same),
            Err(error) => Err(error.into()),
        }
    }

    async fn begin_another_life(&self, known: &Known) -> Result<Arc<Snapshot>, TokenServerError> {
        let mut tx = db::begin_change(&self.pool).await?;
        // Another server may have been first.
        if revocations::find_epoch(&mut *tx).await? == known.position.epoch {
            revocations::update_epoch(&mut *tx).await?;
            db::commit(tx).await?;
            tracing::warn!(
                position = known.position.at,
                "the database does not have what a registry was told, as if a backup had been put back; tokens from \
                 before do not count any more"
            );
        }
        self.current().await
    }
}

fn complete(snapshot: &Snapshot) -> News {
    told(snapshot, i64::MIN, true)
}

fn told(snapshot: &Snapshot, behind: i64, complete: bool) -> News {
    let entries: Vec<Entry> = snapshot.revocations().behind(behind).collect();
    let position = snapshot.position();
    let (epoch, cursor): (Uuid, String) = (snapshot.revocations().epoch(), position.mark.to_string());
    News { epoch, at: position.seq, cursor, complete, entries }
}
