//! The keys that sign tokens: list, import, rotate, retire.
//!
//! *Invariant:* only public halves come out, and a key comes in as a change like any other, by those who hold
//! everything.

use std::cmp::Reverse;

use time::OffsetDateTime;

use super::super::error::TokenServerError;
use super::super::keys::key_life::{self, AddedKey, Urgency};
use super::super::keys::key_ring::{DatedKey, KeyRing, KeyState};
use super::super::keys::key_store;
use super::super::keys::signing::{KeyAlgorithm, KeyOrigin, SignsFor, certificate_pem};
use super::super::keys::signing_import::{self, Expiry};
use super::super::record::audit::Event;
use super::Administration;
use super::pages::{Page, page};
use crate::db;
use crate::db::error::DbError;
use crate::db::signing_keys::RetiredKeyRow;

/// Where a key stands in the list: since when it signs, in seconds since 1970, and its id.
pub type KeyPlace = (Reverse<i64>, String);

/// The public half of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySummary {
    /// Its id.
    pub kid: String,
    /// What it signs with.
    pub algorithm: KeyAlgorithm,
    /// For which registries.
    pub signs_for: SignsFor,
    /// Where it comes from.
    pub origin: KeyOrigin,
    /// What it does.
    pub state: KeyState,
    /// Since when it signs.
    pub signs_since: OffsetDateTime,
    /// From when on it is retired, if that is known.
    pub retires_at: Option<OffsetDateTime>,
    /// Its certificate, PEM.
    pub certificate: String,
}

impl KeySummary {
    fn place(&self) -> KeyPlace {
        (Reverse(self.signs_since.unix_timestamp()), self.kid.clone())
    }

    fn of_retired(row: RetiredKeyRow) -> Result<Self, DbError> {
        let (algorithm, origin, signs_for) = key_store::words(&row.algorithm, &row.origin, &row.signs_for)?;
        Ok(Self {
            kid: row.kid,
            algorithm,
            signs_for,
            origin,
            state: KeyState::Retired,
            signs_since: row.signs_since,
            retires_at: Some(row.retired_at),
            certificate: certificate_pem(&row.certificate),
        })
    }
}

impl Administration {
    /// The keys, the one that may sign last first, with what is left of retired ones.
    pub async fn list_keys(&self) -> Result<Vec<KeySummary>, TokenServerError> {
        self.demand_sight_of_all("listing the signing keys").await?;
        let (found, now) = (key_store::load_keys(&self.pool, &self.key_tools()).await?, self.clock.now());
        let summary = |ring: &KeyRing, dated: &DatedKey| KeySummary {
            kid: dated.key.kid().to_owned(),
            algorithm: dated.key.algorithm(),
            signs_for: dated.signs_for,
            origin: dated.key.origin(),
            state: ring.state_of(dated, &self.key_policy, now),
            signs_since: dated.signs_since,
            retires_at: dated.retires_at,
            certificate: dated.key.certificate_pem(),
        };
        let mut keys: Vec<_> =
            found.iter().flat_map(|ring| ring.keys().map(|dated| summary(ring, dated))).collect();
        for row in key_store::list_retired(&self.pool).await? {
            // It may have been put away since the others were read.
            keys.retain(|key| key.kid != row.kid);
            keys.push(KeySummary::of_retired(row)?);
        }
        keys.sort_by_cached_key(KeySummary::place);
        Ok(keys)
    }

    /// A part of them, behind this place.
    pub async fn page_of_keys(
        &self,
        behind: Option<&KeyPlace>,
        limit: usize,
    ) -> Result<Page<KeySummary, KeyPlace>, TokenServerError> {
        let mut keys = self.list_keys().await?;
        keys.retain(|key| behind.is_none_or(|behind| key.place() > *behind));
        Ok(page(keys, limit, KeySummary::place))
    }

    /// Retires a key, so that no token counts that it has signed or ever signs.
    pub async fn retire_key(&self, kid: &str) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "retiring a signing key").await?;
        key_life::retire_key(&mut tx, &self.key_tools(), kid, self.clock.now()).await?;
        self.record(&mut tx, Event::KeyRetired, kid, None).await?;
        Ok(db::commit(tx).await?)
    }

    /// Makes a key that takes the place of the one which signs: for all registries, or for those that ask for an
    /// algorithm.
    pub async fn rotate_key(
        &self,
        algorithm: Option<KeyAlgorithm>,
        urgency: Urgency,
    ) -> Result<AddedKey, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "rotating the signing key").await?;
        let tools = self.key_tools();
        let added = key_life::rotate_key(&mut tx, &tools, self.clock.now(), algorithm, urgency).await?;
        self.record(&mut tx, Event::KeyCreated, &added.kid, Some(&added.remark)).await?;
        db::commit(tx).await?;
        Ok(added)
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
        signs_for: SignsFor,
        expiry: Expiry,
    ) -> Result<AddedKey, TokenServerError> {
        let now = self.clock.now();
        let plain = signing_import::read_pair(certificate, key, expiry, now, &self.random)?;
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "importing a signing key").await?;
        let imported = key_life::import_key(&mut tx, &self.key_tools(), now, plain, signs_for).await?;
        self.record(&mut tx, Event::KeyImported, &imported.kid, Some(&imported.remark)).await?;
        db::commit(tx).await?;
        Ok(imported)
    }
}
