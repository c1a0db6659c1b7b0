//! Where the signing keys come from: the database, the first server that starts, and other token servers.
//!
//! *Invariant:* servers that share a database sign with the same key, also when they start for the first time
//! together.

use ring::rand::SystemRandom;
use shared::clock::Clock;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::audit::{self, Event, Origin, Outcome, Record};
use super::error::TokenServerError;
use super::key_ring::{DatedKey, KeyRing, PUBLISHED_BEFORE};
use super::master_secret::{MasterSecret, Purpose};
use super::sealing;
use super::signing::{KeyAlgorithm, KeyOrigin, PlainKey, SigningKey};
use crate::db::error::DbError;
use crate::db::signing_keys::{self, SigningKeyRow};
use crate::db::{self, Pool, Transaction};

/// Loads the keys, and makes one when there is none; `actor` is whose doing that is.
pub async fn load_or_create_keys(
    pool: &Pool,
    secret: &MasterSecret,
    random: &SystemRandom,
    clock: &dyn Clock,
    actor: &str,
) -> Result<KeyRing, TokenServerError> {
    if let Some(ring) = load_keys(pool, secret, random).await? {
        return Ok(ring);
    }
    let mut tx = db::begin(pool).await?;
    signing_keys::lock_signing_keys(&mut *tx).await?;
    // Another server may have been first while this one waited.
    if let Some(ring) = unseal_all(signing_keys::list_signing_keys(&mut *tx).await?, secret, random)? {
        return Ok(ring);
    }
    let now = clock.now();
    let plain = PlainKey::generate(random, now)?;
    let added = store(&mut tx, plain, secret, random, now, now).await?;
    record_created(&mut tx, clock, actor, &added).await?;
    db::commit(tx).await?;
    tracing::info!(key.id = added.key.kid(), "signing key created");
    Ok(KeyRing::new(vec![added]).expect("a ring of one key is not empty"))
}

/// The stored keys, if there are any.
pub async fn load_keys(
    pool: &Pool,
    secret: &MasterSecret,
    random: &SystemRandom,
) -> Result<Option<KeyRing>, TokenServerError> {
    unseal_all(signing_keys::list_signing_keys(pool).await?, secret, random)
}

/// Ids of the stored keys and since when they sign, in the order of a ring.
pub async fn list_contents(pool: &Pool) -> Result<Vec<(String, OffsetDateTime)>, TokenServerError> {
    Ok(signing_keys::list_key_ids(pool).await?)
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedKey {
    /// Its id.
    pub kid: String,
    /// What it signs with.
    pub algorithm: KeyAlgorithm,
    /// Since when it signs.
    pub signs_since: OffsetDateTime,
}

/// Makes a key that another token server signed with the one that signs. Where keys are there already, it begins to do
/// so when running servers have published it. Others wait for the end of the transaction, which is to record it.
pub async fn import_key(
    tx: &mut Transaction,
    secret: &MasterSecret,
    random: &SystemRandom,
    now: OffsetDateTime,
    plain: PlainKey,
) -> Result<ImportedKey, TokenServerError> {
    signing_keys::lock_signing_keys(&mut **tx).await?;
    // What cannot be opened would keep servers from starting; it is better known now.
    let ring = unseal_all(signing_keys::list_signing_keys(&mut **tx).await?, secret, random)?;
    let newest = ring.as_ref().and_then(|ring| ring.keys().next());
    let signs_since = newest.map_or(now, |newest| {
        let after_newest = newest.signs_since + time::Duration::SECOND;
        (now + PUBLISHED_BEFORE).max(after_newest)
    });
    // The database keeps microseconds.
    let signs_since = signs_since.replace_nanosecond(0).unwrap_or(signs_since);
    let DatedKey { key, signs_since } = store(tx, plain, secret, random, now, signs_since).await?;
    Ok(ImportedKey { kid: key.kid().to_owned(), algorithm: key.algorithm(), signs_since })
}

/// Removes a key, with all that it ever signed, as servers notice within seconds; not the last one that can sign.
pub async fn remove_key(
    tx: &mut Transaction,
    kid: &str,
    now: OffsetDateTime,
) -> Result<(), TokenServerError> {
    signing_keys::lock_signing_keys(&mut **tx).await?;
    let keys = signing_keys::list_key_ids(&mut **tx).await?;
    let can_sign = |signs_since: OffsetDateTime| signs_since <= now;
    let is_other = |(other, signs_since): &(String, OffsetDateTime)| other != kid && can_sign(*signs_since);
    if keys.iter().any(|(known, _)| known == kid) && !keys.iter().any(is_other) {
        let sentence = "without this key nothing would sign tokens; import another one first".to_owned();
        return Err(TokenServerError::Contradiction(sentence));
    }
    if signing_keys::delete_signing_key(&mut **tx, kid).await? {
        Ok(())
    } else {
        Err(TokenServerError::NotFound { kind: "signing key", name: kid.to_owned() })
    }
}

async fn store(
    tx: &mut Transaction,
    plain: PlainKey,
    secret: &MasterSecret,
    random: &SystemRandom,
    now: OffsetDateTime,
    signs_since: OffsetDateTime,
) -> Result<DatedKey, TokenServerError> {
    let (algorithm, origin) = (plain.algorithm, plain.origin);
    let (private_key, certificate) = (plain.private_key.clone(), plain.certificate.clone());
    let key = SigningKey::new(plain, random)?;
    let row = SigningKeyRow {
        kid: key.kid().to_owned(),
        algorithm: algorithm.as_str().to_owned(),
        origin: origin.as_str().to_owned(),
        sealed_private_key: sealing::seal(
            secret,
            Purpose::SigningKeys,
            &context(key.kid(), &certificate),
            &private_key,
            random,
        )?,
        certificate,
        signs_since,
    };
    signing_keys::insert_signing_key(&mut **tx, &row, now).await.map_err(|error| {
        if error.is_conflict_with(signing_keys::KEY_KEY) {
            TokenServerError::AlreadyThere { kind: "signing key", name: row.kid.clone() }
        } else {
            error.into()
        }
    })?;
    Ok(DatedKey { key, signs_since })
}

async fn record_created(
    tx: &mut Transaction,
    clock: &dyn Clock,
    actor: &str,
    added: &DatedKey,
) -> Result<(), DbError> {
    let remark =
        format!("{}, signs since {}", added.key.algorithm().as_str(), audit::moment(added.signs_since));
    let record = Record {
        event: Event::KeyCreated,
        actor,
        actor_uid: None,
        target: added.key.kid(),
        outcome: Outcome::Allowed(Some(&remark)),
    };
    audit::record(&mut **tx, clock, &Origin::default(), record).await
}

fn unseal_all(
    rows: Vec<SigningKeyRow>,
    secret: &MasterSecret,
    random: &SystemRandom,
) -> Result<Option<KeyRing>, TokenServerError> {
    let keys = rows.into_iter().map(|row| unseal(row, secret, random)).collect::<Result<_, _>>()?;
    Ok(KeyRing::new(keys))
}

fn unseal(
    row: SigningKeyRow,
    secret: &MasterSecret,
    random: &SystemRandom,
) -> Result<DatedKey, TokenServerError> {
    let wrong =
        |column, value: &str| DbError::Inconsistent { table: "signing_key", column, value: value.into() };
    let algorithm = KeyAlgorithm::parse(&row.algorithm).ok_or_else(|| wrong("algorithm", &row.algorithm))?;
    let origin = KeyOrigin::parse(&row.origin).ok_or_else(|| wrong("origin", &row.origin))?;
    let context = context(&row.kid, &row.certificate);
    let private_key = sealing::open(secret, Purpose::SigningKeys, &context, &row.sealed_private_key)
        .map_err(|_| TokenServerError::SealedKey { kid: row.kid })?;
    let private_key = Zeroizing::new(private_key);
    let plain = PlainKey { algorithm, origin, private_key, certificate: row.certificate };
    Ok(DatedKey { key: SigningKey::new(plain, random)?, signs_since: row.signs_since })
}

/// The certificate is exported for other registries to trust, so whoever can write to the database but does not have
/// the secret must not be able to put another one in its place.
fn context(kid: &str, certificate: &[u8]) -> Vec<u8> {
    [kid.as_bytes(), b"\0", certificate].concat()
}
