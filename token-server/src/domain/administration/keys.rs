//! The keys that sign tokens: list, import.
//!
//! *Invariant:* only public halves come out, and a key comes in as a change like any other, by those who hold
//! everything.

use super::super::audit::{Event, moment};
use super::super::error::TokenServerError;
use super::super::key_ring::KeyRing;
use super::super::key_store::{self, ImportedKey};
use super::super::signing_import::{self, Expiry};
use super::Administration;
use crate::db;

impl Administration {
    /// The stored keys; nothing where no server has made one yet.
    pub async fn list_keys(&self) -> Result<Option<KeyRing>, TokenServerError> {
        self.demand_sight_of_all("listing the signing keys").await?;
        key_store::load_keys(&self.pool, &self.master, &self.random).await
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
