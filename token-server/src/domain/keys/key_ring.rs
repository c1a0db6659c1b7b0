//! All signing keys of a server: one of each kind signs, all that are not retired are published.
//!
//! Times decide what a key does: it is staged until it signs, active until a newer one of its kind signs, then only
//! published for what it has signed, and retired from a time on. Nothing has to run for that, and servers which share a
//! database have published a key before the first of them signs with it.
//!
//! *Invariant:* there is a key for all registries in the ring, one of them always signs, and whatever signs is published.
//! The ring is exchanged as a whole.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use shared::key_set::KeySet;
use shared::server::causes;
use time::OffsetDateTime;

use super::super::error::TokenServerError;
use super::key_policy::{KeyKind, KeyPolicy};
use super::key_store::{self, KeyTools};
use super::signing::{KeyAlgorithm, SigningKey, SignsFor};
use crate::db::Pool;
use crate::db::signing_keys::KeyTimes;

/// How often a running server looks for other keys.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A key and its times.
#[derive(Debug)]
pub struct DatedKey {
    /// The key.
    pub key: SigningKey,
    /// For which registries.
    pub signs_for: SignsFor,
    /// Since when it may sign.
    pub signs_since: OffsetDateTime,
    /// From when on it is retired, if that is known.
    pub retires_at: Option<OffsetDateTime>,
}

impl DatedKey {
    fn has_come(&self, now: OffsetDateTime) -> bool {
        self.signs_since <= now
    }

    fn is_over(&self, now: OffsetDateTime) -> bool {
        self.retires_at.is_some_and(|retires_at| retires_at <= now)
    }

    /// Whether it may sign at this moment.
    pub fn can_sign(&self, now: OffsetDateTime) -> bool {
        self.has_come(now) && !self.is_over(now)
    }
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is published, and signs from its time on.
    Staged,
    /// It signs.
    Active,
    /// It is published, for tokens that it signed.
    VerifyOnly,
    /// It is not published, and its private half is gone or about to go.
    Retired,
}

impl KeyState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Active => "active",
            Self::VerifyOnly => "verify-only",
            Self::Retired => "retired",
        }
    }
}

/// When a key signs no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Superseded {
    /// As the settings are, it signs for nobody.
    NoKind,
    /// Nothing is there to take its place.
    Never,
    /// Others have taken its place by then.
    At(OffsetDateTime),
}

/// The keys at one moment, the one that may sign last first.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<DatedKey>,
    /// The oldest key for all, which signs while the clock is behind.
    oldest: usize,
}

impl KeyRing {
    /// Puts keys together; nothing if none of them is for all registries.
    pub fn new(mut keys: Vec<DatedKey>) -> Option<Self> {
        keys.sort_by(|one, two| {
            two.signs_since.cmp(&one.signs_since).then_with(|| one.key.kid().cmp(two.key.kid()))
        });
        let oldest = keys.iter().rposition(|dated| KeyKind::ForAll.fits(dated))?;
        Some(Self { keys, oldest })
    }

    /// All keys, the newest first.
    pub fn keys(&self) -> impl Iterator<Item = &DatedKey> {
        self.keys.iter()
    }

    /// The key of that id.
    pub fn find(&self, kid: &str) -> Option<&DatedKey> {
        self.keys().find(|dated| dated.key.kid() == kid)
    }

    /// The newest of a kind that is not over, whether its time has come or not.
    pub fn newest(&self, kind: KeyKind, now: OffsetDateTime) -> Option<&DatedKey> {
        self.keys().find(|dated| kind.fits(dated) && !dated.is_over(now))
    }

    fn signer(&self, kind: KeyKind, now: OffsetDateTime) -> Option<&DatedKey> {
        self.keys().find(|dated| kind.fits(dated) && dated.can_sign(now))
    }

    /// The newest whose time has come; the oldest if the clock is behind.
    fn signer_for_all(&self, now: OffsetDateTime) -> &DatedKey {
        self.signer(KeyKind::ForAll, now).unwrap_or(&self.keys[self.oldest])
    }

    /// What signs for a registry that asks for this algorithm, or for none. While there is no such key, what signs for
    /// all does.
    pub fn signing_key(&self, algorithm: Option<KeyAlgorithm>, now: OffsetDateTime) -> &SigningKey {
        let asked = algorithm.and_then(|algorithm| self.signer(KeyKind::With(algorithm), now));
        &asked.unwrap_or_else(|| self.signer_for_all(now)).key
    }

    fn is_active(&self, dated: &DatedKey, policy: &KeyPolicy, now: OffsetDateTime) -> bool {
        let signs = |kind| self.signer(kind, now).is_some_and(|signer| std::ptr::eq(signer, dated));
        std::ptr::eq(self.signer_for_all(now), dated) || policy.kinds().any(signs)
    }

    /// What one of the keys does.
    pub fn state_of(&self, dated: &DatedKey, policy: &KeyPolicy, now: OffsetDateTime) -> KeyState {
        if self.is_active(dated, policy, now) {
            KeyState::Active
        } else if dated.is_over(now) {
            KeyState::Retired
        } else if dated.has_come(now) {
            KeyState::VerifyOnly
        } else {
            KeyState::Staged
        }
    }

    /// When one of the keys signs no more, if nothing is added.
    pub fn superseded(&self, dated: &DatedKey, policy: &KeyPolicy) -> Superseded {
        let newer = |kind: KeyKind| {
            let newer = self.keys().take_while(|other| !std::ptr::eq(*other, dated));
            newer.filter(|other| kind.fits(other)).map(|other| other.signs_since).min()
        };
        let mut last = Superseded::NoKind;
        for kind in policy.kinds().filter(|kind| kind.fits(dated)) {
            last = match (newer(kind), last) {
                (None, _) => return Superseded::Never,
                (Some(at), Superseded::At(other)) => Superseded::At(at.max(other)),
                (Some(at), _) => Superseded::At(at),
            };
        }
        last
    }

    /// Keys that are over and not needed for anything.
    pub fn over(&self, now: OffsetDateTime) -> impl Iterator<Item = &DatedKey> {
        let signer = self.signer_for_all(now);
        self.keys().filter(move |dated| dated.is_over(now) && !std::ptr::eq(*dated, signer))
    }

    /// Says when one of the keys retires.
    pub fn set_end(&mut self, kid: &str, retires_at: Option<OffsetDateTime>) {
        for dated in self.keys.iter_mut().filter(|dated| dated.key.kid() == kid) {
            dated.retires_at = retires_at;
        }
    }

    fn published(&self, now: OffsetDateTime) -> impl Iterator<Item = &DatedKey> {
        let signer = self.signer_for_all(now);
        self.keys().filter(move |dated| !dated.is_over(now) || std::ptr::eq(*dated, signer))
    }

    /// What is published.
    pub fn key_set(&self, now: OffsetDateTime) -> KeySet {
        KeySet { keys: self.published(now).flat_map(|dated| dated.key.jwks()).collect() }
    }

    /// Certificates for verifiers that take a bundle. The distribution registry 2.x does not start with one of an
    /// Edwards curve in it.
    pub fn certificates_pem(&self, now: OffsetDateTime) -> String {
        let known = self.published(now).filter(|dated| dated.key.algorithm() != KeyAlgorithm::EdDsa);
        known.map(|dated| dated.key.certificate_pem()).collect()
    }

    /// Ids and times: whether these are of the same keys.
    fn is_of(&self, stored: &[KeyTimes]) -> bool {
        let known = self.keys().map(|dated| (dated.key.kid(), dated.signs_since, dated.retires_at));
        stored.iter().map(|times| (times.kid.as_str(), times.signs_since, times.retires_at)).eq(known)
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
    pub async fn keep_following(self: Arc<Self>, pool: Pool, tools: KeyTools) {
        let mut is_failing = false;
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            match self.follow(&pool, &tools).await {
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

    /// Takes over what was stored.
    pub async fn follow(&self, pool: &Pool, tools: &KeyTools) -> Result<(), TokenServerError> {
        let stored = key_store::list_times(pool).await?;
        if self.current().is_of(&stored) {
            return Ok(());
        }
        // Without any, the old ones still sign what a restart would have to sign with new ones.
        let Some(ring) = key_store::load_keys(pool, tools).await? else { return Ok(()) };
        let newest = ring.keys().next().map(|dated| dated.key.kid().to_owned());
        tracing::info!(key.id = newest, keys = ring.keys.len(), "signing keys changed");
        self.0.store(Arc::new(ring));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use time::macros::datetime;

    use super::super::super::audience::{Audience, Audiences, Verifier};
    use super::super::signing::PlainKey;
    use super::*;

    fn dated(algorithm: KeyAlgorithm, signs_for: SignsFor, signs_since: OffsetDateTime) -> DatedKey {
        let random = SystemRandom::new();
        let plain = PlainKey::generate(algorithm, &random, signs_since).unwrap();
        let key = SigningKey::new(plain, &random).unwrap();
        DatedKey { key, signs_for, signs_since, retires_at: None }
    }

    fn policy(asked: &[KeyAlgorithm]) -> KeyPolicy {
        let audience = |algorithm: &KeyAlgorithm| Audience {
            algorithm: Some(*algorithm),
            ..Audience::of(Verifier::Portcullis)
        };
        let audiences = asked.iter().map(|algorithm| (algorithm.as_str().to_owned(), audience(algorithm)));
        KeyPolicy::new(None, Duration::from_hours(48), &Audiences::new(audiences.collect()))
    }

    const EARLY: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);
    const LATE: OffsetDateTime = datetime!(2027-01-02 00:00 UTC);

    #[test]
    fn the_newest_key_whose_time_has_come_signs_and_all_are_published() {
        let (old, new) = (
            dated(KeyAlgorithm::Es256, SignsFor::All, EARLY),
            dated(KeyAlgorithm::Es256, SignsFor::All, LATE),
        );
        let (old_kid, new_kid) = (old.key.kid().to_owned(), new.key.kid().to_owned());
        let ring = KeyRing::new(vec![old, new]).unwrap();
        for (now, expected) in [
            (EARLY - Duration::from_secs(1), &old_kid),
            (EARLY, &old_kid),
            (LATE - Duration::from_secs(1), &old_kid),
            (LATE, &new_kid),
        ] {
            assert_eq!(ring.signing_key(None, now).kid(), expected, "{now}");
        }
        let states =
            |now| ring.keys().map(|dated| ring.state_of(dated, &policy(&[]), now)).collect::<Vec<_>>();
        assert_eq!(states(EARLY), [KeyState::Staged, KeyState::Active]);
        assert_eq!(states(LATE), [KeyState::Active, KeyState::VerifyOnly]);
        let published: Vec<_> = ring.key_set(EARLY).keys.into_iter().filter_map(|key| key.kid).collect();
        assert_eq!(published, [new_kid, old_kid]);
        assert_eq!(ring.certificates_pem(EARLY).matches("BEGIN CERTIFICATE").count(), 2);
        assert!(KeyRing::new(Vec::new()).is_none());
    }

    #[test]
    fn a_retired_key_is_not_published_unless_nothing_else_could_sign() {
        let mut old = dated(KeyAlgorithm::Es256, SignsFor::All, EARLY);
        old.retires_at = Some(LATE);
        let kid = old.key.kid().to_owned();
        let ring = KeyRing::new(vec![old]).unwrap();
        assert_eq!((ring.signing_key(None, LATE).kid(), ring.key_set(LATE).keys.len()), (&*kid, 1));
        assert_eq!(ring.over(LATE).count(), 0);
        let KeyRing { mut keys, .. } = ring;
        keys.push(dated(KeyAlgorithm::Es256, SignsFor::All, EARLY + Duration::from_secs(1)));
        let ring = KeyRing::new(keys).unwrap();
        assert_eq!(ring.key_set(LATE - Duration::from_secs(1)).keys.len(), 2);
        assert_eq!(ring.key_set(LATE).keys.len(), 1);
        assert_eq!(ring.over(LATE).map(|dated| dated.key.kid()).collect::<Vec<_>>(), [&*kid]);
        let old = ring.find(&kid).unwrap();
        assert_eq!(ring.state_of(old, &policy(&[]), LATE), KeyState::Retired);
    }

    #[test]
    fn a_key_for_an_algorithm_signs_only_where_that_is_asked_for() {
        let for_all = dated(KeyAlgorithm::Es256, SignsFor::All, EARLY);
        let edwards = dated(KeyAlgorithm::EdDsa, SignsFor::Algorithm, LATE);
        let (kid, edwards_kid) = (for_all.key.kid().to_owned(), edwards.key.kid().to_owned());
        let ring = KeyRing::new(vec![for_all, edwards]).unwrap();
        for (asked, now, expected) in [
            (None, LATE, &kid),
            (Some(KeyAlgorithm::EdDsa), LATE, &edwards_kid),
            (Some(KeyAlgorithm::Es256), LATE, &kid),
            // While there is none, or none yet, what signs for all does.
            (Some(KeyAlgorithm::EdDsa), EARLY, &kid),
            (Some(KeyAlgorithm::Rs256), LATE, &kid),
        ] {
            assert_eq!(ring.signing_key(asked, now).kid(), expected, "{asked:?} {now}");
        }
        let edwards = ring.find(&edwards_kid).unwrap();
        assert_eq!(ring.state_of(edwards, &policy(&[KeyAlgorithm::EdDsa]), LATE), KeyState::Active);
        assert_eq!(ring.state_of(edwards, &policy(&[]), LATE), KeyState::VerifyOnly);
        assert_eq!(ring.key_set(LATE).keys.len(), 2);
        assert_eq!(ring.certificates_pem(LATE).matches("BEGIN CERTIFICATE").count(), 1);
        assert!(KeyRing::new(vec![dated(KeyAlgorithm::EdDsa, SignsFor::Algorithm, EARLY)]).is_none());
    }

    #[test]
    fn a_key_is_superseded_when_others_have_taken_all_its_places() {
        let ring = KeyRing::new(vec![
            dated(KeyAlgorithm::Es256, SignsFor::All, EARLY),
            dated(KeyAlgorithm::EdDsa, SignsFor::All, LATE),
            dated(KeyAlgorithm::Es256, SignsFor::Algorithm, LATE + Duration::from_secs(9)),
        ])
        .unwrap();
        let ends =
            |policy: &KeyPolicy| ring.keys().map(|dated| ring.superseded(dated, policy)).collect::<Vec<_>>();
        assert_eq!(ends(&policy(&[])), [Superseded::NoKind, Superseded::Never, Superseded::At(LATE)]);
        let second = Superseded::At(LATE + Duration::from_secs(9));
        assert_eq!(ends(&policy(&[KeyAlgorithm::Es256])), [Superseded::Never, Superseded::Never, second]);
    }
}
