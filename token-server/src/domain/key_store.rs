//! Where the signing key comes from: the database, and the first server that starts.
//!
//! *Invariant:* servers that share a database sign with the same key, also when they start for the first time
//! together.

use ring::rand::SystemRandom;
use shared::clock::Clock;
use zeroize::Zeroizing;

use super::error::TokenServerError;
use super::master_secret::MasterSecret;
use super::sealing;
use super::signing::{NewKey, SigningKey};
use crate::db::signing_keys::{self, SigningKeyRow};
use crate::db::{self, Pool};

/// Loads the key, and makes it when there is none.
pub async fn load_or_create_signing_key(
    pool: &Pool,
    secret: &MasterSecret,
    random: &SystemRandom,
    clock: &dyn Clock,
) -> Result<SigningKey, TokenServerError> {
    if let Some(row) = signing_keys::find_signing_key(pool).await? {
        return unseal(row, secret, random);
    }
    let mut tx = db::begin(pool).await?;
    signing_keys::lock_signing_keys(&mut *tx).await?;
    // Another server may have been first while this one waited.
    if let Some(row) = signing_keys::find_signing_key(&mut *tx).await? {
        return unseal(row, secret, random);
    }
    let now = clock.now();
    let new = NewKey::generate(random, now)?;
    let sealed_private_key =
        sealing::seal(secret, &context(&new.kid, &new.certificate), &new.private_key, random)?;
    let row = SigningKeyRow { kid: new.kid, sealed_private_key, certificate: new.certificate };
    signing_keys::insert_signing_key(&mut *tx, &row, now).await?;
    db::commit(tx).await?;
    tracing::info!(key.id = row.kid, "signing key created");
    Ok(SigningKey::new(&new.private_key, row.certificate, random)?)
}

fn unseal(
    row: SigningKeyRow,
    secret: &MasterSecret,
    random: &SystemRandom,
) -> Result<SigningKey, TokenServerError> {
    let private_key = sealing::open(secret, &context(&row.kid, &row.certificate), &row.sealed_private_key)
        .map_err(|_| TokenServerError::SealedKey { kid: row.kid })?;
    Ok(SigningKey::new(&Zeroizing::new(private_key), row.certificate, random)?)
}

/// The certificate is exported for other registries to trust, so whoever can write to the database but does not have
/// the secret must not be able to put another one in its place.
fn context(kid: &str, certificate: &[u8]) -> Vec<u8> {
    [kid.as_bytes(), b"\0", certificate].concat()
}
