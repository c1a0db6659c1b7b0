//! All signing keys of a server: one signs, all are published.
//!
//! A key that was added signs a little later than it is published, so that servers which share a database have all
//! published it before the first of them signs with it. Old keys stay: tokens they signed are still about, and a key
//! that verifies does no harm while its private half is sealed.
//!
//! *Invariant:* the ring is never empty, and is exchanged as a whole.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ring::rand::SystemRandom;
use shared::key_set::KeySet;
use shared::server::causes;
use time::OffsetDateTime;

use super::error::TokenServerError;
use super::key_store;
use super::master_secret::MasterSecret;
use super::signing::SigningKey;
use crate::db::Pool;

/// How long after it was added a key begins to sign. Several times `LOOK_INTERVAL`.
pub const PUBLISHED_BEFORE: Duration = Duration::from_secs(30);

/// How often a running server looks for other keys.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// A key and since when it may sign.
#[derive(Debug)]
pub struct DatedKey {
    /// The key.
    pub key: SigningKey,
    /// Since when.
    pub signs_since: OffsetDateTime,
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is published, and signs from its time on.
    Waiting,
    /// It signs.
    Signing,
    /// It is published, for tokens that it signed.
    Verifying,
}

impl KeyState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Signing => "signing",
            Self::Verifying => "verifying",
        }
    }
}

/// The keys at one moment, the one that may sign last first.
#[derive(Debug)]
pub struct KeyRing {
    newest: DatedKey,
    others: Vec<DatedKey>,
}

impl KeyRing {
    /// Puts keys together; nothing if there are none.
    pub fn new(mut keys: Vec<DatedKey>) -> Option<Self> {
        keys.sort_by(|one, two| {
            two.signs_since.cmp(&one.signs_since).then_with(|| one.key.kid().cmp(two.key.kid()))
        });
        let mut keys = keys.into_iter();
        Some(Self { newest: keys.next()?, others: keys.collect() })
    }

    /// All keys, the newest first.
    pub fn keys(&self) -> impl Iterator<Item = &DatedKey> {
        std::iter::once(&self.newest).chain(&self.others)
    }

    /// The newest whose time has come; the oldest if the clock is behind.
    pub fn signing_key(&self, now: OffsetDateTime) -> &SigningKey {
        let come = self.keys().find(|dated| dated.signs_since <= now);
        &come.or(self.others.last()).unwrap_or(&self.newest).key
    }

    /// What one of the keys does.
    pub fn state_of(&self, dated: &DatedKey, now: OffsetDateTime) -> KeyState {
        if dated.key.kid() == self.signing_key(now).kid() {
            KeyState::Signing
        } else if dated.signs_since > now {
            KeyState::Waiting
        } else {
            KeyState::Verifying
        }
    }

    /// What is published.
    pub fn key_set(&self) -> KeySet {
        KeySet { keys: self.keys().flat_map(|dated| dated.key.jwks()).collect() }
    }

    /// Certificates for verifiers that take a bundle.
    pub fn certificates_pem(&self) -> String {
        self.keys().map(|dated| dated.key.certificate_pem()).collect()
    }

    /// Ids and times: what tells one ring from another.
    fn content(&self) -> Vec<(&str, OffsetDateTime)> {
        self.keys().map(|dated| (dated.key.kid(), dated.signs_since)).collect()
    }
}

/// The ring of a running server.
#[derive(Debug)]
pub struct SigningKeys(ArcSwap<KeyRing>);

impl SigningKeys {
    /// Begins with these.
    pub fn new(ring: KeyRing) -> Self {
        Self(ArcSwap::from_pointee(ring))
    }

    /// The keys of this moment.
    pub fn current(&self) -> Arc<KeyRing> {
        self.0.load_full()
    }

    /// Takes over what other servers and commands stored, until it is dropped.
    pub async fn keep_following(self: Arc<Self>, pool: Pool, secret: MasterSecret, random: SystemRandom) {
        let mut is_failing = false;
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            match self.follow(&pool, &secret, &random).await {
                Ok(()) => is_failing = false,
                Err(error) if !is_failing => {
                    is_failing = true;
                    let error = causes::sentence(&error);
                    tracing::warn!(
                        error,
                        "the signing keys could not be read again; those known stay in force"
                    );
                }
                Err(_) => {}
            }
        }
    }

    async fn follow(
        &self,
        pool: &Pool,
        secret: &MasterSecret,
        random: &SystemRandom,
    ) -> Result<(), TokenServerError> {
        let stored = key_store::list_contents(pool).await?;
        let known = self.current();
        if stored.iter().map(|(kid, since)| (kid.as_str(), *since)).eq(known.content()) {
            return Ok(());
        }
        // Without any, the old ones still sign what a restart would have to sign with new ones.
        let Some(ring) = key_store::load_keys(pool, secret, random).await? else { return Ok(()) };
        tracing::info!(key.id = ring.newest.key.kid(), keys = ring.others.len() + 1, "signing keys changed");
        self.0.store(Arc::new(ring));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::super::signing::PlainKey;
    use super::*;

    fn dated(signs_since: OffsetDateTime) -> DatedKey {
        let random = SystemRandom::new();
        let plain = PlainKey::generate(&random, signs_since).unwrap();
        DatedKey { key: SigningKey::new(plain, &random).unwrap(), signs_since }
    }

    #[test]
    fn the_newest_key_whose_time_has_come_signs_and_all_are_published() {
        let (early, late) = (datetime!(2027-01-01 00:00 UTC), datetime!(2027-01-02 00:00 UTC));
        let (old, new) = (dated(early), dated(late));
        let (old_kid, new_kid) = (old.key.kid().to_owned(), new.key.kid().to_owned());
        let ring = KeyRing::new(vec![old, new]).unwrap();
        for (now, expected) in [
            (early - Duration::from_secs(1), &old_kid),
            (early, &old_kid),
            (late - Duration::from_secs(1), &old_kid),
            (late, &new_kid),
        ] {
            assert_eq!(ring.signing_key(now).kid(), expected, "{now}");
        }
        let states = |now| ring.keys().map(|dated| ring.state_of(dated, now)).collect::<Vec<_>>();
        assert_eq!(states(early), [KeyState::Waiting, KeyState::Signing]);
        assert_eq!(states(late), [KeyState::Signing, KeyState::Verifying]);
        let published: Vec<_> = ring.key_set().keys.into_iter().filter_map(|key| key.kid).collect();
        assert_eq!(published, [new_kid, old_kid]);
        assert_eq!(ring.certificates_pem().matches("BEGIN CERTIFICATE").count(), 2);
        assert!(KeyRing::new(Vec::new()).is_none());
    }
}
