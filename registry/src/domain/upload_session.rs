//! An upload session as it lies in the tree: who opened it, when, and what was verified.
//!
//! *Invariant:* a session exists exactly as long as its `startedat`, which is written last and removed first. Our
//! record next to it is replaced as a whole, and says "verified" only of bytes that were durable when it did.
//!
//! A session without our record was begun by another registry and belongs to whoever may push. A record that cannot
//! be read belongs to nobody.

use serde::{Deserialize, Serialize};
use shared::repository_name::RepositoryName;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::Repositories;
use super::error::RegistryError;
use super::upload_id::UploadId;
use crate::oci::digest::{Algorithm, Digest};
use crate::storage::error::StorageError;
use crate::storage::layout::SessionKeys;
use crate::storage::{self, Durability, Lock, TryLock};

/// Issuer and subject are texts from a token; this is far above what fits into one.
const RECORD_LIMIT_BYTES: u64 = 64 * 1024;

const STARTED_AT_LIMIT_BYTES: u64 = 64;

/// Who opened a session: as a token names them, or nobody in particular.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadOwner {
    /// `iss` of the token; empty where there are no tokens.
    pub issuer: String,
    /// `uid` of the token, else its `sub`; empty for everybody.
    pub subject: String,
}

impl UploadOwner {
    /// Where nobody is told from anybody else.
    pub fn anonymous() -> Self {
        Self::default()
    }
}

/// What a session remembers of its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRecord {
    /// Who opened it.
    pub owner: UploadOwner,
    /// When, in seconds since 1970.
    pub began: i64,
}

/// Our record as it is stored, under the name `portcullis`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredRecord {
    #[serde(flatten)]
    pub(super) owner: UploadOwner,
    pub(super) began: i64,
    /// By what the client is going to name the bytes, if not by the canonical algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) algorithm: Option<Algorithm>,
    /// When the repository had last been deleted when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deletion: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) verified: Option<Verified>,
}

/// Bytes that were found to have a digest, before they were moved to where everybody sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verified {
    /// The digest the client closed the session with.
    #[serde(with = "digest_text")]
    pub(super) digest: Digest,
    /// Where the bytes go.
    #[serde(with = "digest_text")]
    pub(super) canonical: Digest,
    /// How many there are.
    pub(super) size: u64,
}

/// A session that exists and may be used by whoever asked.
pub(super) struct Session {
    pub(super) id: UploadId,
    pub(super) keys: SessionKeys,
    pub(super) started_at: OffsetDateTime,
    pub(super) record: Option<StoredRecord>,
}

impl Repositories {
    /// Who opened a session and when. `None` if there is none, or if another registry began it.
    pub async fn upload_record(
        &self,
        repository: &RepositoryName,
        id: UploadId,
    ) -> Result<Option<UploadRecord>, RegistryError> {
        let keys = SessionKeys::new(repository, id.uuid());
        let Some((_, record)) = self.read_session(&keys).await? else { return Ok(None) };
        Ok(record
            .and_then(Result::ok)
            .map(|record| UploadRecord { owner: record.owner, began: record.began }))
    }

    /// Finds a session of `owner`; anything else is unknown, so that nobody learns of others' sessions.
    pub(super) async fn find_session(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        owner: &UploadOwner,
    ) -> Result<Session, RegistryError> {
        let unknown = || RegistryError::UploadUnknown { id };
        let keys = SessionKeys::new(repository, id.uuid());
        let (started_at, record) = self.read_session(&keys).await?.ok_or_else(unknown)?;
        let record = record.transpose().map_err(|error| {
            tracing::warn!(upload.id = %id, %error, "the record of an upload cannot be read");
            unknown()
        })?;
        if record.as_ref().is_some_and(|record| record.owner != *owner) {
            return Err(unknown());
        }
        Ok(Session { id, keys, started_at, record })
    }

    /// Finds a session of `owner` and keeps everybody else from writing to it; waits a moment for whoever does.
    pub(super) async fn lock_session(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        owner: &UploadOwner,
    ) -> Result<(Session, Lock), RegistryError> {
        let keys = SessionKeys::new(repository, id.uuid());
        // `startedat` serves as the lock file: it is there exactly as long as the session and is never replaced.
        let mut pauses = storage::pauses();
        let lock = loop {
            match self.storage.try_lock(&keys.started_at).await? {
                TryLock::Absent => return Err(RegistryError::UploadUnknown { id }),
                TryLock::Busy => {
                    // Whoever may not use the session need not learn that somebody does.
                    self.find_session(repository, id, owner).await?;
                    // Often it is the client's own request, which broke off and ends as soon as what came is on disk.
                    let pause = pauses.next().ok_or(RegistryError::UploadBusy { id })?;
                    tokio::time::sleep(pause).await;
                }
                TryLock::Held(lock) => break lock,
            }
        };
        Ok((self.find_session(repository, id, owner).await?, lock))
    }

    /// Replaces our record, durably.
    pub(super) async fn write_record(
        &self,
        keys: &SessionKeys,
        record: &StoredRecord,
    ) -> Result<(), RegistryError> {
        let objects = vec![(keys.record.clone(), encode(record).into())];
        Ok(self.storage.write_all(objects, Durability::Synced).await?)
    }

    /// When a session was opened; `None` if that cannot be read, so that nobody can use it.
    pub(super) async fn session_began(
        &self,
        keys: &SessionKeys,
    ) -> Result<Option<OffsetDateTime>, StorageError> {
        let content = self.storage.read(&keys.started_at, RECORD_LIMIT_BYTES).await?;
        Ok(content.as_deref().and_then(parse_started_at))
    }

    async fn read_session(
        &self,
        keys: &SessionKeys,
    ) -> Result<Option<(OffsetDateTime, Option<Result<StoredRecord, StorageError>>)>, StorageError> {
        let wanted = vec![keys.started_at.clone(), keys.record.clone()];
        let mut found = self.storage.read_all(wanted, RECORD_LIMIT_BYTES).await?;
        let (record, started_at) = (found.pop().flatten(), found.pop().flatten());
        // Loss of power may leave an empty file behind, since the beginning of a session is not synced.
        let Some(started_at) = started_at.as_deref().and_then(parse_started_at) else { return Ok(None) };
        let record = record.map(|json| {
            serde_json::from_slice(&json).map_err(|_| StorageError::Corrupt {
                key: keys.record.clone(),
                reason: "the record of an upload must be JSON with issuer, subject and began",
            })
        });
        Ok(Some((started_at, record)))
    }
}

/// `startedat` as the distribution registry writes it.
pub(super) fn format_started_at(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    at.format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z"))
        .expect("every component of the format is part of a date with time")
}

fn parse_started_at(content: &[u8]) -> Option<OffsetDateTime> {
    if content.len() as u64 > STARTED_AT_LIMIT_BYTES {
        return None;
    }
    OffsetDateTime::parse(std::str::from_utf8(content).ok()?, &Rfc3339).ok()
}

/// Our record as it is stored.
pub(super) fn encode(record: &StoredRecord) -> Vec<u8> {
    serde_json::to_vec(record).expect("a struct of texts and numbers is always JSON")
}

mod digest_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::oci::digest::Digest;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(digest)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        Digest::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_dated_as_the_distribution_registry_does() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_795_215_852_987_654_321).expect("a time");
        let text = format_started_at(at);
        assert_eq!(text, "2026-11-20T23:04:12Z");
        assert_eq!(
            parse_started_at(text.as_bytes()).map(OffsetDateTime::unix_timestamp),
            Some(1_795_215_852)
        );
        for broken in ["", "yesterday", "2026-11-20"] {
            assert_eq!(parse_started_at(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let digest = Digest::sha256_of(b"x");
        let owner = UploadOwner { issuer: "https://issuer.example".into(), subject: "alice".into() };
        let mut record = StoredRecord { owner, began: 17, algorithm: None, deletion: None, verified: None };
        let json = String::from_utf8(encode(&record)).expect("JSON");
        assert_eq!(json, r#"{"issuer":"https://issuer.example","subject":"alice","began":17}"#);
        record.deletion = Some(16);
        record.algorithm = Some(Algorithm::Sha512);
        record.verified = Some(Verified { digest: digest.clone(), canonical: digest, size: 1 });
        let read: StoredRecord = serde_json::from_slice(&encode(&record)).expect("just written");
        assert_eq!(read, record);
    }
}
