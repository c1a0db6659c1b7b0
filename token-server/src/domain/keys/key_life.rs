//! How keys come and go: imported, made to take the place of another one, retired; by time, that is [`super::key_rotation`].
//!
//! A key whose place was taken stays published for as long as the settings say; when it is retired then is stored when
//! the new one is.
//!
//! *Invariant:* what signs is never retired, neither now nor by a time that was set when something else was to sign.

use time::OffsetDateTime;

use super::super::error::TokenServerError;
use super::key_policy::{KeyKind, KeyPolicy, PUBLISHED_BEFORE, PUBLISHED_LONG_BEFORE};
use super::key_ring::{DatedKey, KeyRing, Superseded};
use super::key_store::{self, HOW_TO_MAKE_RSA, KeyTools};
use super::signing::{KeyAlgorithm, PlainKey, SignsFor};
use crate::db::{Transaction, signing_keys};

/// Our registry looks at no more keys, of which those from elsewhere have two names each.
const MAX_KEYS: usize = 50;

/// A key that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedKey {
    /// Its id.
    pub kid: String,
    /// What it signs with.
    pub algorithm: KeyAlgorithm,
    /// For which registries.
    pub signs_for: SignsFor,
    /// Since when it signs.
    pub signs_since: OffsetDateTime,
    /// What records say of it.
    pub remark: String,
}

impl AddedKey {
    fn of(dated: &DatedKey) -> Self {
        Self {
            kid: dated.key.kid().to_owned(),
            algorithm: dated.key.algorithm(),
            signs_for: dated.signs_for,
            signs_since: dated.signs_since,
            remark: key_store::remark(dated),
        }
    }
}

/// How soon a new key is to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// When every registry has fetched it.
    Ordinary,
    /// When every server has published it.
    Emergency,
}

/// Which ends of keys are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Those of keys that sign after all. Other servers may have other settings, so a start sets none.
    TakeBack,
    /// All.
    SetAndTakeBack,
}

/// Makes a key pair that another token server signed with the one that signs. Where keys are there already, it begins to do
/// so when running servers have published it. Others wait for the end of the transaction, which is to record it.
pub async fn import_key(
    tx: &mut Transaction,
    tools: &KeyTools,
    now: OffsetDateTime,
    plain: PlainKey,
    signs_for: SignsFor,
) -> Result<AddedKey, TokenServerError> {
    let keys = key_store::lock_keys(tx, tools).await?;
    let signs_since = if keys.is_empty() {
        now
    } else {
        after_newest(&keys, kind(signs_for, plain.algorithm), now, now + PUBLISHED_BEFORE)
    };
    refuse_too_many(&keys)?;
    let kid = plain.kid(&tools.random)?;
    if keys.iter().any(|dated| dated.key.kid() == kid) {
        return Err(TokenServerError::AlreadyThere { kind: "signing key", name: kid });
    }
    signing_keys::delete_retired_key(&mut **tx, &kid).await?;
    let stored = key_store::store(tx, tools, plain, signs_for, signs_since, now).await?;
    take_in(tx, tools, keys, stored, now).await
}

/// Makes a key that takes the place of the one which signs: for all registries, or for those that ask for an algorithm.
pub async fn rotate_key(
    tx: &mut Transaction,
    tools: &KeyTools,
    now: OffsetDateTime,
    algorithm: Option<KeyAlgorithm>,
    urgency: Urgency,
) -> Result<AddedKey, TokenServerError> {
    if algorithm == Some(KeyAlgorithm::Rs256) {
        return Err(TokenServerError::Contradiction(HOW_TO_MAKE_RSA.to_owned()));
    }
    let keys = key_store::lock_keys(tx, tools).await?;
    refuse_too_many(&keys)?;
    add(tx, tools, keys, algorithm, urgency, now).await
}

/// The same for whoever has locked and read the keys.
pub async fn add(
    tx: &mut Transaction,
    tools: &KeyTools,
    keys: Vec<DatedKey>,
    algorithm: Option<KeyAlgorithm>,
    urgency: Urgency,
    now: OffsetDateTime,
) -> Result<AddedKey, TokenServerError> {
    let (signs_for, algorithm) = match algorithm {
        None => (SignsFor::All, KeyAlgorithm::Es256),
        Some(algorithm) => (SignsFor::Algorithm, algorithm),
    };
    let kind = kind(signs_for, algorithm);
    let signs_since = match urgency {
        Urgency::Ordinary => after_newest(&keys, kind, now, now + PUBLISHED_LONG_BEFORE),
        // One that waits for its time still takes over at that time.
        Urgency::Emergency => {
            let at = now + PUBLISHED_BEFORE;
            // Times are kept in whole seconds, and of two keys of one second the newer one is meant.
            let is_taken = |dated: &DatedKey| {
                kind.fits(dated) && dated.signs_since.unix_timestamp() == at.unix_timestamp()
            };
            if keys.iter().any(is_taken) { at + time::Duration::SECOND } else { at }
        }
    };
    let stored = key_store::make(tx, tools, algorithm, signs_for, signs_since, now).await?;
    take_in(tx, tools, keys, stored, now).await
}

/// Retires a key at once, so that no token counts that it has signed, as servers notice within seconds; not the last one
/// that can sign.
pub async fn retire_key(
    tx: &mut Transaction,
    tools: &KeyTools,
    kid: &str,
    now: OffsetDateTime,
) -> Result<(), TokenServerError> {
    let mut keys = key_store::lock_keys(tx, tools).await?;
    let Some(index) = keys.iter().position(|dated| dated.key.kid() == kid) else {
        let retired = signing_keys::list_retired_keys(&mut **tx).await?;
        let name = kid.to_owned();
        return Err(if retired.iter().any(|row| row.kid == kid) {
            TokenServerError::AlreadyThere { kind: "retired signing key", name }
        } else {
            TokenServerError::NotFound { kind: "signing key", name }
        });
    };
    let gone = keys.swap_remove(index);
    for kind in tools.policy.kinds().filter(|kind| kind.fits(&gone)) {
        if !keys.iter().any(|dated| kind.fits(dated) && dated.can_sign(now)) {
            return Err(TokenServerError::Contradiction(sentence_of_last(kind)));
        }
    }
    signing_keys::retire_key(&mut **tx, kid, now).await?;
    if let Some(mut ring) = KeyRing::new(keys) {
        settle(tx, &mut ring, &tools.policy, now, Ends::SetAndTakeBack).await?;
    }
    Ok(())
}

fn sentence_of_last(kind: KeyKind) -> String {
    match kind {
        KeyKind::ForAll => "without this key nothing would sign tokens; make another one with `key rotate --now`, \
                            and retire this one when that signs"
            .to_owned(),
        KeyKind::With(KeyAlgorithm::Rs256) => {
            "without this key nothing would sign tokens with RS256, which a registry asks for; import another one \
             first"
                .to_owned()
        }
        KeyKind::With(algorithm) => format!(
            "without this key nothing would sign tokens with {0}, which a registry asks for; make another one with \
             `key rotate --now --algorithm {0}`, and retire this one when that signs",
            algorithm.as_str()
        ),
    }
}

fn kind(signs_for: SignsFor, algorithm: KeyAlgorithm) -> KeyKind {
    match signs_for {
        SignsFor::All => KeyKind::ForAll,
        SignsFor::Algorithm => KeyKind::With(algorithm),
    }
}

fn refuse_too_many(keys: &[DatedKey]) -> Result<(), TokenServerError> {
    if keys.len() < MAX_KEYS {
        return Ok(());
    }
    let sentence =
        format!("there are {MAX_KEYS} keys already, and registries look at no more; retire some first");
    Err(TokenServerError::Contradiction(sentence))
}

/// The newest of a kind signs, so a new one has to be newer.
fn after_newest(keys: &[DatedKey], kind: KeyKind, now: OffsetDateTime, at: OffsetDateTime) -> OffsetDateTime {
    let newest = keys.iter().filter(|dated| kind.fits(dated)).map(|dated| dated.signs_since).max();
    newest.map_or(at, |newest| at.max(newest + time::Duration::SECOND)).max(now)
}

/// Sets the ends of those whose place the new one takes.
async fn take_in(
    tx: &mut Transaction,
    tools: &KeyTools,
    mut keys: Vec<DatedKey>,
    new: DatedKey,
    now: OffsetDateTime,
) -> Result<AddedKey, TokenServerError> {
    let added = AddedKey::of(&new);
    keys.push(new);
    if let Some(mut ring) = KeyRing::new(keys) {
        settle(tx, &mut ring, &tools.policy, now, Ends::SetAndTakeBack).await?;
    }
    Ok(added)
}

/// Sees to it that what signs does not end and what is superseded does.
pub async fn settle(
    tx: &mut Transaction,
    ring: &mut KeyRing,
    policy: &KeyPolicy,
    now: OffsetDateTime,
    ends: Ends,
) -> Result<(), TokenServerError> {
    for (kid, retires_at) in new_ends(ring, policy, now, ends) {
        signing_keys::update_retirement(&mut **tx, &kid, retires_at).await?;
        ring.set_end(&kid, retires_at);
    }
    Ok(())
}

fn new_ends(
    ring: &KeyRing,
    policy: &KeyPolicy,
    now: OffsetDateTime,
    ends: Ends,
) -> Vec<(String, Option<OffsetDateTime>)> {
    let mut changed = Vec::new();
    for dated in ring.keys() {
        let end = match (ring.superseded(dated, policy), dated.retires_at) {
            (Superseded::Never, Some(_)) => None,
            // It may have signed until now, by settings that were other.
            (Superseded::At(at), None) if ends == Ends::SetAndTakeBack => {
                Some(at.max(now) + policy.verification)
            }
            (Superseded::At(at), Some(end)) if end < at + policy.verification && end > now => {
                Some(at + policy.verification)
            }
            (Superseded::NoKind | Superseded::Never | Superseded::At(_), _) => continue,
        };
        changed.push((dated.key.kid().to_owned(), end));
    }
    changed
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ring::rand::SystemRandom;
    use time::macros::datetime;

    use super::super::super::audience::Audiences;
    use super::super::signing::SigningKey;
    use super::*;

    const START: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);
    const MONTH: Duration = Duration::from_hours(720);
    const VERIFICATION: Duration = Duration::from_hours(48);

    fn policy() -> KeyPolicy {
        KeyPolicy::new(Some(MONTH), VERIFICATION, &Audiences::default())
    }

    fn dated(signs_since: OffsetDateTime) -> DatedKey {
        let random = SystemRandom::new();
        let plain = PlainKey::generate(KeyAlgorithm::Es256, &random, signs_since).unwrap();
        let key = SigningKey::new(plain, &random).unwrap();
        DatedKey { key, signs_for: SignsFor::All, signs_since, retires_at: None }
    }

    fn kid(dated: &DatedKey) -> String {
        dated.key.kid().to_owned()
    }

    #[test]
    fn what_is_superseded_ends_after_its_last_token_and_not_when_it_signs_again() {
        let (old, new) = (dated(START), dated(START + MONTH));
        let (old_kid, new_kid) = (kid(&old), kid(&new));
        let mut ring = KeyRing::new(vec![old, new]).unwrap();
        let (now, end) = (START + MONTH - PUBLISHED_LONG_BEFORE, START + MONTH + VERIFICATION);
        assert_eq!(new_ends(&ring, &policy(), now, Ends::TakeBack), [], "a start sets none");
        let ends = new_ends(&ring, &policy(), now, Ends::SetAndTakeBack);
        assert_eq!(ends, [(old_kid.clone(), Some(end))]);
        // Settings under which it signed for some may have changed only now.
        let late = START + MONTH * 3;
        let ends = new_ends(&ring, &policy(), late, Ends::SetAndTakeBack);
        assert_eq!(ends, [(old_kid.clone(), Some(late + VERIFICATION))]);
        ring.set_end(&old_kid, Some(end));
        assert_eq!(new_ends(&ring, &policy(), late, Ends::SetAndTakeBack), [], "an end is not moved");
        ring.set_end(&new_kid, Some(end));
        assert_eq!(new_ends(&ring, &policy(), now, Ends::TakeBack), [(new_kid, None)]);
    }

    #[test]
    fn a_key_that_signs_again_for_a_while_ends_after_that_while() {
        let (old, new) = (dated(START), dated(START + MONTH * 2));
        let old_kid = kid(&old);
        let mut ring = KeyRing::new(vec![old, new]).unwrap();
        ring.set_end(&old_kid, Some(START + MONTH + VERIFICATION));
        let end = START + MONTH * 2 + VERIFICATION;
        let ends = new_ends(&ring, &policy(), START + MONTH, Ends::SetAndTakeBack);
        assert_eq!(ends, [(old_kid, Some(end))]);
    }
}
