//! Where the signing keys come from: the database, the first server that starts, and what registries ask for.
//!
//! *Invariant:* servers that share a database sign with the same keys, also when they start for the first time
//! together.

use std::sync::Arc;

use ring::rand::SystemRandom;
use shared::clock::Clock;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::super::error::TokenServerError;
use super::super::record::audit::{self, Event, Origin, Outcome, Record};
use super::key_life::{self, Ends};
use super::key_policy::{KeyKind, KeyPolicy, PUBLISHED_BEFORE};
use super::key_ring::{DatedKey, KeyRing};
use super::master_secret::{MasterSecret, Purpose};
use super::sealing;
use super::signing::{KeyAlgorithm, KeyOrigin, PlainKey, SigningKey, SignsFor};
use crate::db::error::DbError;
use crate::db::signing_keys::{self, KeyTimes, RetiredKeyRow, SigningKeyRow};
use crate::db::{self, Pool, Transaction};

/// How to make an RSA key, which the crypto library does not.
pub const HOW_TO_MAKE_RSA: &str = "RSA keys cannot be made here: `openssl req -x509 -newkey rsa:3072 -nodes -days 3650 \
     -subj /CN=tokens -keyout rsa.key -out rsa.pem`, then `token-server key import --for-algorithm --certificate \
     rsa.pem --key rsa.key`";

/// What keys are opened, made and judged with.
#[derive(Clone)]
pub struct KeyTools {
    /// Seals them.
    pub secret: MasterSecret,
    /// Makes them.
    pub random: SystemRandom,
    /// Says which there are to be.
    pub policy: Arc<KeyPolicy>,
}

/// Loads the keys, and makes those that are to be there and are not; `actor` is whose doing that is.
pub async fn load_or_create_keys(
    pool: &Pool,
    tools: &KeyTools,
    clock: &dyn Clock,
    actor: &str,
) -> Result<KeyRing, TokenServerError> {
    if let Some(ring) = load_keys(pool, tools).await?
        && is_complete(&ring, &tools.policy, clock.now())
    {
        return Ok(ring);
    }
    let mut tx = db::begin_change_at_start(pool).await?;
    // Another server may have been first while this one waited.
    let mut keys = lock_keys(&mut tx, tools).await?;
    let now = clock.now();
    let mut made = Vec::new();
    let is_first = !keys.iter().any(|dated| KeyKind::ForAll.fits(dated));
    if is_first {
        made.push(make(&mut tx, tools, KeyAlgorithm::Es256, SignsFor::All, now, now).await?);
    }
    for (algorithm, audience) in tools.policy.asked() {
        let is_there = |dated: &DatedKey| KeyKind::With(algorithm).fits(dated);
        if keys.iter().chain(&made).any(is_there) {
            continue;
        }
        if algorithm == KeyAlgorithm::Rs256 {
            let sentence = format!(
                "`audiences.{audience}.algorithm` is RS256 and there is no key for it; {HOW_TO_MAKE_RSA}"
            );
            return Err(TokenServerError::Contradiction(sentence));
        }
        // What signs for all goes on until every server has published it.
        let signs_since = if is_first { now } else { now + PUBLISHED_BEFORE };
        made.push(make(&mut tx, tools, algorithm, SignsFor::Algorithm, signs_since, now).await?);
    }
    let records: Vec<_> = made.iter().map(|dated| (dated.key.kid().to_owned(), remark(dated))).collect();
    keys.extend(made);
    let mut ring = KeyRing::new(keys).expect("a key for all is among them");
    key_life::settle(&mut tx, &mut ring, &tools.policy, now, Ends::TakeBack).await?;
    record_all(&mut tx, clock, actor, Event::KeyCreated, &records).await?;
    db::commit(tx).await?;
    for (kid, _) in records {
        tracing::info!(key.id = kid, "signing key created");
    }
    Ok(ring)
}

/// Whether every kind has a key that does not end.
fn is_complete(ring: &KeyRing, policy: &KeyPolicy, now: OffsetDateTime) -> bool {
    let stays = |kind| ring.newest(kind, now).is_some_and(|newest| newest.retires_at.is_none());
    policy.kinds().all(stays)
}

/// The stored keys, if there are any.
pub async fn load_keys(pool: &Pool, tools: &KeyTools) -> Result<Option<KeyRing>, TokenServerError> {
    Ok(KeyRing::new(unseal_all(signing_keys::list_signing_keys(pool).await?, tools)?))
}

/// Ids and times of the stored keys, in the order of a ring.
pub async fn list_times(pool: &Pool) -> Result<Vec<KeyTimes>, TokenServerError> {
    Ok(signing_keys::list_key_times(pool).await?)
}

/// What is left of retired keys.
pub async fn list_retired(pool: &Pool) -> Result<Vec<RetiredKeyRow>, TokenServerError> {
    Ok(signing_keys::list_retired_keys(pool).await?)
}

/// Waits for others who change keys and reads them all; what cannot be opened is better known now than at a start.
pub async fn lock_keys(tx: &mut Transaction, tools: &KeyTools) -> Result<Vec<DatedKey>, TokenServerError> {
    signing_keys::lock_signing_keys(&mut **tx).await?;
    unseal_all(signing_keys::list_signing_keys(&mut **tx).await?, tools)
}

/// Makes a key and stores it.
pub async fn make(
    tx: &mut Transaction,
    tools: &KeyTools,
    algorithm: KeyAlgorithm,
    signs_for: SignsFor,
    signs_since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<DatedKey, TokenServerError> {
    let plain = PlainKey::generate(algorithm, &tools.random, now)?;
    store(tx, tools, plain, signs_for, signs_since, now).await
}

/// Stores a key.
pub async fn store(
    tx: &mut Transaction,
    tools: &KeyTools,
    plain: PlainKey,
    signs_for: SignsFor,
    signs_since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<DatedKey, TokenServerError> {
    // The database keeps microseconds.
    let signs_since = signs_since.replace_nanosecond(0).unwrap_or(signs_since);
    let (algorithm, origin) = (plain.algorithm, plain.origin);
    let (private_key, certificate) = (plain.private_key.clone(), plain.certificate.clone());
    let key = SigningKey::new(plain, &tools.random)?;
    let sealed_private_key = sealing::seal(
        &tools.secret,
        Purpose::SigningKeys,
        &context(key.kid(), &certificate),
        &private_key,
        &tools.random,
    )?;
    let row = SigningKeyRow {
        kid: key.kid().to_owned(),
        algorithm: algorithm.as_str().to_owned(),
        origin: origin.as_str().to_owned(),
        signs_for: signs_for.as_str().to_owned(),
        sealed_private_key,
        certificate,
        signs_since,
        retires_at: None,
    };
    match signs_for {
        SignsFor::All => signing_keys::insert_signing_key(&mut **tx, &row, now).await?,
        SignsFor::Algorithm => signing_keys::insert_algorithm_key(&mut **tx, &row, now).await?,
    }
    Ok(DatedKey { key, signs_for, signs_since, retires_at: None })
}

/// What records say of a key that was made or imported.
pub fn remark(dated: &DatedKey) -> String {
    let whom = match dated.signs_for {
        SignsFor::All => "",
        SignsFor::Algorithm => " for registries that ask for it",
    };
    format!("{}{whom}, signs since {}", dated.key.algorithm().as_str(), audit::moment(dated.signs_since))
}

/// Records what a server did with keys, each with a remark.
pub async fn record_all(
    tx: &mut Transaction,
    clock: &dyn Clock,
    actor: &str,
    event: Event,
    keys: &[(String, String)],
) -> Result<(), DbError> {
    let records: Vec<Record<'_>> = keys
        .iter()
        .map(|(kid, remark)| Record {
            event,
            actor,
            actor_uid: None,
            target: kid,
            outcome: Outcome::Allowed(Some(remark)),
        })
        .collect();
    audit::record_all(&mut **tx, clock, &Origin::default(), &records).await
}

fn unseal_all(rows: Vec<SigningKeyRow>, tools: &KeyTools) -> Result<Vec<DatedKey>, TokenServerError> {
    rows.into_iter().map(|row| unseal(row, tools)).collect()
}

fn unseal(row: SigningKeyRow, tools: &KeyTools) -> Result<DatedKey, TokenServerError> {
    let (algorithm, origin, signs_for) = words(&row.algorithm, &row.origin, &row.signs_for)?;
    let context = context(&row.kid, &row.certificate);
    let private_key = sealing::open(&tools.secret, Purpose::SigningKeys, &context, &row.sealed_private_key)
        .map_err(|_| TokenServerError::SealedKey { kid: row.kid })?;
    let private_key = Zeroizing::new(private_key);
    let plain = PlainKey { algorithm, origin, private_key, certificate: row.certificate };
    let key = SigningKey::new(plain, &tools.random)?;
    Ok(DatedKey { key, signs_for, signs_since: row.signs_since, retires_at: row.retires_at })
}

/// The words of a stored key as what they mean.
pub fn words(
    algorithm: &str,
    origin: &str,
    signs_for: &str,
) -> Result<(KeyAlgorithm, KeyOrigin, SignsFor), DbError> {
    let wrong =
        |column, value: &str| DbError::Inconsistent { table: "signing_key", column, value: value.into() };
    Ok((
        KeyAlgorithm::parse(algorithm).ok_or_else(|| wrong("algorithm", algorithm))?,
        KeyOrigin::parse(origin).ok_or_else(|| wrong("origin", origin))?,
        SignsFor::parse(signs_for).ok_or_else(|| wrong("signs_for", signs_for))?,
    ))
}

/// The certificate is exported for other registries to trust, so whoever can write to the database but does not have
/// the secret must not be able to put another one in its place.
fn context(kid: &str, certificate: &[u8]) -> Vec<u8> {
    [kid.as_bytes(), b"\0", certificate].concat()
}
