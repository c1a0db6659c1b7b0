//! How the entries get here: the token server is asked again and again, and holds its answer back until there is news.
//!
//! *Invariant:* the secret goes to the configured URL and nowhere else, and into no log. An answer that is refused
//! changes nothing; only one that is taken counts against going stale. What is known never goes back: not to an older
//! epoch, and within an epoch not to an older position.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use shared::revocations::{Known, MAX_ANSWER_BYTES, MAX_CURSOR_BYTES, News, Question};
use shared::server::causes;
use shared::server::metrics::Gauge;
use url::Url;

use super::set::RevocationSet;
use super::{Revocations, WhenStale};
use crate::auth::refresh::KeyRefresher;
use shared::server::outgoing;

/// How long the token server may hold an answer back.
const WAIT: Duration = Duration::from_secs(5);

/// A question that hangs is cut off after this.
const CUT_OFF: Duration = Duration::from_secs(10);

/// How soon a failed question is repeated; doubles up to the last.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// After news, so that what comes in the meantime comes together. It is longer where there are so many entries that it
/// takes a while to put them in order.
const PAUSE_AFTER_NEWS: Duration = Duration::from_millis(100);
const PAUSE_FOR_WORK: u32 = 10;

/// Between questions to a server that has no news and does not wait.
const HASTE: Duration = Duration::from_secs(1);

/// How often somebody looks whether the feed is stale.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Where revocations come from.
#[derive(Clone, Debug)]
pub(crate) struct FeedSettings {
    pub(crate) url: Url,
    /// `Bearer` and the secret; marked as sensitive.
    pub(crate) authorization: HeaderValue,
    pub(crate) when_stale: WhenStale,
    /// At least one.
    pub(crate) max_entries: usize,
}

/// How it stands, in numbers; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct FeedGauges {
    pub(crate) age_seconds: Gauge,
    pub(crate) is_stale: Gauge,
    pub(crate) entries: Gauge,
}

/// Why there is nothing new to be known.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error("{}", causes::sentence(.0))]
    Fetch(reqwest::Error),
    #[error("it answers {0}: `auth.token.revocations.secret` is not what the token server was told")]
    WrongSecret(StatusCode),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("its answer is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    #[error("its answer cannot be read: line {line}, column {column}")]
    Unreadable { line: usize, column: usize },
    #[error("its first answer for this life of its database does not hold everything that is in force")]
    NotComplete,
    #[error(
        "its answer is from an older life of its database than the one before; if that is meant, start this registry again"
    )]
    OlderEpoch,
    #[error("its answer is older than the one before, in the same life of its database")]
    WentBack,
}

/// Asks, for as long as it is polled.
pub(crate) struct Follower {
    settings: FeedSettings,
    client: reqwest::Client,
    revocations: Arc<Revocations>,
    /// Whose keys are loaded again when one was revoked.
    refreshers: Vec<Arc<KeyRefresher>>,
    gauges: FeedGauges,
}

/// Where the follower is.
struct Progress {
    set: RevocationSet,
    known: Option<Known>,
}

impl Follower {
    pub(crate) fn new(
        settings: FeedSettings,
        revocations: Arc<Revocations>,
        refreshers: Vec<Arc<KeyRefresher>>,
        gauges: FeedGauges,
    ) -> Result<Self, reqwest::Error> {
        let client = outgoing::client(CUT_OFF)?;
        gauges.is_stale.set(1);
        Ok(Self { settings, client, revocations, refreshers, gauges })
    }

    /// Follows the feed, and tells when it goes stale and when it is back.
    pub(crate) async fn run(self) {
        futures_util::future::join(self.follow(), self.watch()).await;
    }

    async fn follow(&self) {
        let mut progress = Progress { set: RevocationSet::new(self.settings.max_entries), known: None };
        let mut retry = FIRST_RETRY;
        let mut told = String::new();
        let mut is_hasty = false;
        loop {
            let asked = Instant::now();
            let pause = match self.ask_once(&mut progress).await {
                Ok(Some(work)) => {
                    (retry, is_hasty) = (FIRST_RETRY, false);
                    told.clear();
                    PAUSE_AFTER_NEWS.max(work * PAUSE_FOR_WORK).min(HASTE)
                }
                Ok(None) => {
                    retry = FIRST_RETRY;
                    told.clear();
                    let left = HASTE.saturating_sub(asked.elapsed());
                    // Once is no haste: the first answer of all comes at once.
                    let was_hasty = std::mem::replace(&mut is_hasty, !left.is_zero());
                    if was_hasty && is_hasty { left } else { Duration::ZERO }
                }
                Err(error) => {
                    let sentence = error.to_string();
                    // Every few seconds the same would be no news to anybody.
                    if told != sentence {
                        tracing::warn!(
                            error = sentence,
                            "the feed of revocations is not followed at the moment"
                        );
                        told = sentence;
                    }
                    let pause = retry;
                    retry = (retry * 2).min(LAST_RETRY);
                    pause
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Returns how long it took to put the news in order, if there was any.
    async fn ask_once(&self, progress: &mut Progress) -> Result<Option<Duration>, FeedError> {
        let question = Question { known: progress.known.clone(), wait_seconds: WAIT.as_secs() };
        let news = self.ask(&question).await?;
        let begin = Instant::now();
        let is_any = self.take(news, progress, begin)?;
        Ok(is_any.then(|| begin.elapsed()))
    }

    async fn ask(&self, question: &Question) -> Result<News, FeedError> {
        let mut url = self.settings.url.clone();
        url.query_pairs_mut().extend_pairs(question.parameters());
        let failed = |error: reqwest::Error| FeedError::Fetch(error.without_url());
        let request = self.client.get(url).header(AUTHORIZATION, self.settings.authorization.clone());
        let mut response = request.send().await.map_err(failed)?;
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(FeedError::WrongSecret(status));
            }
            status => return Err(FeedError::Status(status)),
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if answer.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(FeedError::TooLarge);
            }
            answer.extend_from_slice(&chunk);
        }
        // What stands there is not repeated: it can be anything.
        let unreadable = |line, column| FeedError::Unreadable { line, column };
        let news: News =
            serde_json::from_slice(&answer).map_err(|error| unreadable(error.line(), error.column()))?;
        if news.cursor.len() > MAX_CURSOR_BYTES { Err(unreadable(1, 1)) } else { Ok(news) }
    }

    /// Returns whether there was news.
    fn take(&self, news: News, progress: &mut Progress, now: Instant) -> Result<bool, FeedError> {
        let before = progress.known.as_ref().map(|known| known.position);
        let is_same_epoch = before.is_some_and(|before| before.epoch == news.epoch);
        if before.is_some_and(|before| before.epoch > news.epoch) {
            return Err(FeedError::OlderEpoch);
        }
        if is_same_epoch && before.is_some_and(|before| before.at > news.at) {
            return Err(FeedError::WentBack);
        }
        if !is_same_epoch && !news.complete {
            return Err(FeedError::NotComplete);
        }
        let known = news.known();
        if !is_same_epoch {
            // Positions of two epochs cannot be compared, not even to find out what is new.
            progress.set = RevocationSet::new(self.settings.max_entries);
        }
        let change = progress.set.take(news.entries, news.complete, now);
        if change.is_any || !is_same_epoch {
            self.revocations.publish(known.position.epoch, progress.set.index());
            self.gauges.entries.set(i64::try_from(progress.set.len()).unwrap_or(i64::MAX));
        }
        progress.known = Some(known);
        self.revocations.hear(now);
        if change.of_floor {
            tracing::warn!(
                limit = self.settings.max_entries,
                "there are more revocations than `auth.token.revocations.maxentries`; every token from before the oldest of them is refused"
            );
        }
        if change.of_keys {
            self.refreshers.iter().for_each(|refresher| refresher.refresh_soon());
        }
        Ok(change.is_any)
    }

    async fn watch(&self) {
        let mut told = None;
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            let now = Instant::now();
            let (age, is_stale) = (self.revocations.age(now).as_secs(), self.revocations.is_stale(now));
            self.gauges.age_seconds.set(i64::try_from(age).unwrap_or(i64::MAX));
            self.gauges.is_stale.set(i64::from(is_stale));
            if told.replace(is_stale) == Some(is_stale) {
                continue;
            }
            if is_stale {
                let effect = match self.settings.when_stale {
                    WhenStale::Degrade => "only tokens younger than a minute count",
                    WhenStale::Open => "tokens count as if nothing had been revoked since",
                    WhenStale::Strict => "no token counts",
                };
                tracing::warn!(silent_seconds = age, effect, "the feed of revocations is stale");
            } else {
                tracing::info!("the feed of revocations is followed");
            }
        }
    }
}
