//! Tokens that were taken back, as our token server tells it.
//!
//! Reading order: `set` (the entries in force, bounded), `index` (the same, to be asked with every request),
//! [`follower`] (how they get here). Here is what requests ask: they read what the follower published last, and wait
//! for nobody.
//!
//! *Invariant:* positions of the log are compared, never clocks. What is not known for certain is held against a token:
//! one that does not say when it was decided was decided before everything, and one that says it was decided after
//! everything that is known here counts only as far as one does while the feed is silent.

pub(crate) mod follower;

mod index;

mod set;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use uuid::Uuid;

use self::index::{Facts, Index};
use super::error::TokenError;
use super::verifier::VerifiedToken;

pub(crate) use self::index::About;

/// The feed is stale after this time without an answer: one question may hang until it is cut off, and the next still
/// has time to be answered. It follows from how the follower asks, so it is no setting.
const STALE_AFTER: Duration = Duration::from_secs(15);

/// Tokens younger than this still count while a feed is stale that degrades.
const YOUNG_SECONDS: i64 = 60;

/// What counts while nobody knows what was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenStale {
    /// Young tokens; clients with others fetch new ones, which they get only if nothing was taken from them.
    Degrade,
    /// Every token, as without a feed.
    Open,
    /// No token.
    Strict,
}

/// What was revoked, up to the last answer of the token server.
#[derive(Debug)]
pub(crate) struct Revocations {
    when_stale: WhenStale,
    begun: Instant,
    /// Milliseconds from the beginning to the last answer that was taken, plus one; 0 without any.
    heard: AtomicU64,
    published: ArcSwapOption<Published>,
}

#[derive(Debug)]
struct Published {
    epoch: Uuid,
    index: Index,
}

impl Revocations {
    /// Nothing is known yet.
    pub(crate) fn new(when_stale: WhenStale, now: Instant) -> Self {
        let (heard, published) = (AtomicU64::new(0), ArcSwapOption::empty());
        Self { when_stale, begun: now, heard, published }
    }

    /// Whether a token counts for what it is brought for.
    pub(crate) fn check(
        &self,
        token: &VerifiedToken,
        about: About<'_>,
        unix_now: i64,
        now: Instant,
    ) -> Result<(), TokenError> {
        let claim = token.portcullis.as_ref();
        let decided = claim.and_then(|claim| claim.decided);
        let published = self.published.load();
        let mut is_known = !self.is_stale(now);
        if let Some(Published { epoch, index }) = published.as_deref() {
            let facts = Facts {
                decided: decided.map(|position| position.at),
                subject: token.uid,
                credential: claim.and_then(|claim| claim.credential),
                key: token.key_id.as_deref(),
                about,
            };
            if index.is_of_retired_key(&facts) {
                return Err(TokenError::Revoked);
            }
            match decided.map_or(std::cmp::Ordering::Equal, |position| position.epoch.cmp(epoch)) {
                std::cmp::Ordering::Less => return Err(TokenError::Revoked),
                std::cmp::Ordering::Equal if index.refuses(&facts) => return Err(TokenError::Revoked),
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Greater => is_known = false,
            }
        }
        if is_known {
            return Ok(());
        }
        let is_young = token.issued.is_some_and(|issued| unix_now.saturating_sub(issued) < YOUNG_SECONDS);
        match self.when_stale {
            WhenStale::Open => Ok(()),
            WhenStale::Degrade if is_young => Ok(()),
            WhenStale::Degrade => Err(TokenError::NotYoung),
            WhenStale::Strict => Err(TokenError::RevocationsUnknown),
        }
    }

    /// Whether the feed was silent for too long, or from the beginning.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        self.heard.load(Ordering::Acquire) == 0 || self.age(now) > STALE_AFTER
    }

    /// Whether nobody is let in because of that.
    pub(crate) fn keeps_everybody_out(&self, now: Instant) -> bool {
        self.when_stale == WhenStale::Strict && self.is_stale(now)
    }

    /// The time since the last answer, or since the beginning.
    fn age(&self, now: Instant) -> Duration {
        let heard = self.heard.load(Ordering::Acquire).saturating_sub(1);
        now.saturating_duration_since(self.begun).saturating_sub(Duration::from_millis(heard))
    }

    /// Everything in force from now on.
    fn publish(&self, epoch: Uuid, index: Index) {
        self.published.store(Some(Arc::new(Published { epoch, index })));
    }

    /// An answer came. It is told after what was in it is published, so that nobody trusts what is not there.
    fn hear(&self, now: Instant) {
        let since = now.saturating_duration_since(self.begun).as_millis();
        self.heard.store(u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1), Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
