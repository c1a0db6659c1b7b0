//! The keys that sign tokens: list, import, remove.
//!
//! *Invariant:* only public halves come out, and a key comes in as a change like any other, by those who hold
//! everything.

use std::cmp::Reverse;

use time::OffsetDateTime;

use super::super::audit::{Event, moment};
use super::super::error::TokenServerError;
use super::super::key_ring::{DatedKey, KeyRing, KeyState};
use super::super::key_store::{self, ImportedKey};
use super::super::signing::{KeyAlgorithm, KeyOrigin};
use super::super::signing_import::{self, Expiry};
use super::Administration;
use super::pages::{Page, page};
use crate::db;

/// Where a key stands in the list: since when it signs, in seconds since 1970, and its id.
pub type KeyPlace = (Reverse<i64>, String);

/// The public half of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySummary {
    /// Its id.
    pub kid: String,
    /// What it signs with.
    pub algorithm: KeyAlgorithm,
    /// Where it comes from.
    pub origin: KeyOrigin,
    /// What it does.
    pub state: KeyState,
    /// Since when it signs.
    pub signs_since: OffsetDateTime,
    /// Its certificate, PEM.
    pub certificate: String,
}

impl Administration {
    /// The stored keys, the one that may sign last first.
    pub async fn list_keys(&self) -> Result<Vec<KeySummary>, TokenServerError> {
        self.demand_sight_of_all("listing the signing keys").await?;
        let (found, now) =
            (key_store::load_keys(&self.pool, &self.master, &self.random).await?, self.clock.now());
        let summary = |ring: &KeyRing, dated: &DatedKey| KeySummary {
            kid: dated.key.kid().to_owned(),
            algorithm: dated.key.algorithm(),
            origin: dated.key.origin(),
            state: ring.state_of(dated, now),
            signs_since: dated.signs_since,
            certificate: dated.key.certificate_pem(),
        };
        Ok(found.iter().flat_map(|ring| ring.keys().map(|dated| summary(ring, dated))).collect())
    }

    /// A part of them, behind this place.
    pub async fn page_of_keys(
        &self,
        behind: Option<&KeyPlace>,
        limit: usize,
    ) -> Result<Page<KeySummary, KeyPlace>, TokenServerError> {
        let place = |key: &KeySummary| (Reverse(key.signs_since.unix_timestamp()), key.kid.clone());
        let mut keys = self.list_keys().await?;
        keys.retain(|key| behind.is_none_or(|behind| place(key) > *behind));
        Ok(page(keys, limit, place))
    }

    /// Removes a key, so that no token counts that it has signed or ever signs.
    pub async fn remove_key(&self, kid: &str) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "removing a signing key").await?;
        key_store::remove_key(&mut tx, kid, self.clock.now()).await?;
        self.record(&mut tx, Event::KeyRemoved, kid, None).await?;
        Ok(db::commit(tx).await?)
    }

    /// The stored key of that id.
    pub async fn show_key(&self, kid: &str) -> Result<KeySummary, TokenServerError> {
        let found = self.list_keys().await?.into_iter().find(|key| key.kid == kid);
        found.ok_or_else(|| TokenServerError::NotFound { kind: "signing key", name: kid.to_owned() })
    }

    /// Makes a key pair that another token server signed with the one that signs; both halves are PEM.
    pub async fn import_key(
        &self,
        certificate: &[u8],
        key: &[u8],
        expiry: Expiry,
    ) -> Result<ImportedKey, TokenServerError> {
        let now = self.clock.now();
        let plain = signing_import::read_pair(certificate, key, expiry, now, &self.random)?;
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "importing a signing key").await?;
        let imported = key_store::import_key(&mut tx, &self.master, &self.random, now, plain).await?;
        let remark = format!("{}, signs since {}", imported.algorithm.as_str(), moment(imported.signs_since));
        self.record(&mut tx, Event::KeyImported, &imported.kid, Some(&remark)).await?;
        db::commit(tx).await?;
        Ok(imported)
    }
}
