//! Replacing and retiring keys by time.
//!
//! Keys from other token servers are replaced by people only: registries know them from a file, so replacing them by the
//! clock would shut exactly those out. They end like others once a person has replaced them.
//!
//! *Invariant:* servers that share a database make one key where one is due, and record once what came and went.

use std::sync::Arc;
use std::time::Duration;

use shared::clock::Clock;
use shared::server::causes;
use time::OffsetDateTime;

use super::super::error::TokenServerError;
use super::super::record::audit::{Event, SYSTEM};
use super::key_life::{self, Urgency};
use super::key_policy::{KeyKind, KeyPolicy};
use super::key_ring::{DatedKey, KeyRing, SigningKeys};
use super::key_store::{self, KeyTools};
use super::signing::{KeyAlgorithm, KeyOrigin};
use crate::db::{self, Pool, signing_keys};

/// How often the clock is looked at; it may be set forward.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long after a failure it is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// The algorithm of a key that is due to be made; `Some(None)` for one that is for all.
#[expect(clippy::option_option, reason = "nothing is due, or one of either kind")]
fn due(ring: &KeyRing, policy: &KeyPolicy, now: OffsetDateTime) -> Option<Option<KeyAlgorithm>> {
    let rotation = policy.rotation?;
    let for_all = ring.newest(KeyKind::ForAll, now)?;
    let is_due = |newest: &DatedKey| {
        newest.key.origin() == KeyOrigin::Generated && newest.signs_since + rotation <= now
    };
    if is_due(for_all) {
        return Some(None);
    }
    let asked = policy.asked().find(|(algorithm, _)| {
        let newest = ring.newest(KeyKind::With(*algorithm), now);
        // One that is for all has its turn with those.
        newest.is_some_and(|newest| !std::ptr::eq(newest, for_all) && is_due(newest))
    });
    asked.map(|(algorithm, _)| Some(algorithm))
}

/// Makes keys that are due and puts away those that are over, until it is dropped. Of several servers the first does it.
pub async fn keep_rotating(keys: Arc<SigningKeys>, pool: Pool, clock: Arc<dyn Clock>, tools: KeyTools) {
    let ring = keys.current();
    if tools.policy.rotation.is_some()
        && let Some(newest) = ring.newest(KeyKind::ForAll, clock.now())
        && newest.key.origin() == KeyOrigin::Imported
    {
        tracing::info!(
            key.id = newest.key.kid(),
            "the signing key was imported, so it is not replaced by time; `key rotate` replaces it"
        );
    }
    drop(ring);
    loop {
        let pause = match turn(&keys, &pool, &*clock, &tools).await {
            Ok(()) => LOOK_INTERVAL,
            Err(error) => {
                let error = causes::sentence(&error);
                tracing::error!(error, "signing keys that are due were not rotated or retired");
                RETRY_INTERVAL
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn turn(
    keys: &SigningKeys,
    pool: &Pool,
    clock: &dyn Clock,
    tools: &KeyTools,
) -> Result<(), TokenServerError> {
    let (ring, now) = (keys.current(), clock.now());
    if due(&ring, &tools.policy, now).is_none() && ring.over(now).next().is_none() {
        return Ok(());
    }
    let mut tx = db::begin_change(pool).await?;
    // Another server may have been first; what is stored counts.
    let Some(ring) = KeyRing::new(key_store::lock_keys(&mut tx, tools).await?) else { return Ok(()) };
    let over = ring.over(now).map(|dated| (dated.key.kid().to_owned(), dated.retires_at.unwrap_or(now)));
    let over: Vec<_> = over.collect();
    for (kid, retired_at) in &over {
        signing_keys::retire_key(&mut *tx, kid, *retired_at).await?;
    }
    let made = match due(&ring, &tools.policy, now) {
        Some(algorithm) => {
            let left = key_store::lock_keys(&mut tx, tools).await?;
            Some(key_life::add(&mut tx, tools, left, algorithm, Urgency::Ordinary, now).await?)
        }
        None => None,
    };
    let made: Vec<_> = made.into_iter().map(|added| (added.kid, added.remark)).collect();
    let retired: Vec<_> = over.into_iter().map(|(kid, _)| (kid, "superseded".to_owned())).collect();
    if !made.is_empty() || !retired.is_empty() {
        key_store::record_all(&mut tx, clock, SYSTEM, Event::KeyCreated, &made).await?;
        key_store::record_all(&mut tx, clock, SYSTEM, Event::KeyRetired, &retired).await?;
        db::commit(tx).await?;
    }
    for (kid, remark) in &made {
        tracing::info!(key.id = kid, remark, "signing key created, because the last one has reached its age");
    }
    for (kid, _) in &retired {
        tracing::info!(key.id = kid, "signing key retired");
    }
    keys.follow(pool, tools).await
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use time::macros::datetime;

    use super::super::super::audience::Audiences;
    use super::super::key_policy::PUBLISHED_LONG_BEFORE;
    use super::super::signing::{PlainKey, SigningKey, SignsFor};
    use super::*;

    const START: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);
    const MONTH: Duration = Duration::from_hours(720);
    const VERIFICATION: Duration = Duration::from_hours(48);

    fn policy() -> KeyPolicy {
        KeyPolicy::new(Some(MONTH), VERIFICATION, &Audiences::default())
    }

    fn dated(origin: KeyOrigin, signs_since: OffsetDateTime) -> DatedKey {
        let random = SystemRandom::new();
        let mut plain = PlainKey::generate(KeyAlgorithm::Es256, &random, signs_since).unwrap();
        plain.origin = origin;
        let key = SigningKey::new(plain, &random).unwrap();
        DatedKey { key, signs_for: SignsFor::All, signs_since, retires_at: None }
    }

    #[test]
    fn a_key_is_due_when_the_newest_has_its_age_and_none_is_staged() {
        let ring = KeyRing::new(vec![dated(KeyOrigin::Generated, START)]).unwrap();
        assert_eq!(due(&ring, &policy(), START + MONTH - Duration::from_secs(1)), None);
        assert_eq!(due(&ring, &policy(), START + MONTH), Some(None));
        let never = KeyPolicy::new(None, VERIFICATION, &Audiences::default());
        assert_eq!(due(&ring, &never, START + MONTH * 9), None);
        let staged = dated(KeyOrigin::Generated, START + MONTH + PUBLISHED_LONG_BEFORE);
        let ring = KeyRing::new(vec![dated(KeyOrigin::Generated, START), staged]).unwrap();
        assert_eq!(due(&ring, &policy(), START + MONTH), None);
    }

    #[test]
    fn an_imported_key_is_not_replaced_by_time() {
        let old = dated(KeyOrigin::Generated, START);
        let ring = KeyRing::new(vec![old, dated(KeyOrigin::Imported, START + MONTH)]).unwrap();
        assert_eq!(due(&ring, &policy(), START + MONTH * 9), None);
    }
}
