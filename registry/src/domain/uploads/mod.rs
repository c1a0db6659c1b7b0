//! The operations on an upload session: start, status, append, finish, cancel.
//!
//! *Invariant:* appending, finishing and cancelling hold the session's lock, and what a request announces is checked
//! under it before a byte is written. A session is closed in steps that can each be the last one before a crash:
//! bytes durable → digest verified → "verified" recorded → bytes moved → linked → session removed. A closing request
//! that comes again goes on behind the last step that happened, and links without bytes only on the word of that
//! record.
//!
//! Spec: end-4a, end-5, end-6, end-13, end-14.

use bytes::Bytes;
use futures_util::Stream;
use shared::repository_name::RepositoryName;
use time::OffsetDateTime;

use super::blobs::BlobStat;
use super::error::{BodyError, RegistryError};
use super::upload_id::UploadId;
use super::upload_session::{Session, StoredRecord, UploadOwner, Verified, encode, format_started_at};
use super::upload_writer::{Received, Then};
use super::{Repositories, hash_states, to_the_end};
use crate::oci::digest::{Algorithm, Digest};
use crate::oci::hasher::Hasher;
use crate::storage::Durability;
use crate::storage::error::StorageError;
use crate::storage::layout::{self, SessionKeys};

/// How far an upload has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadStatus {
    /// The session.
    pub id: UploadId,
    /// When it was opened; whole seconds.
    pub started_at: OffsetDateTime,
    /// How many bytes it holds; the next chunk begins here.
    pub offset: u64,
}

/// What the headers of a request say of its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Where the body begins within the upload, from `Content-Range`.
    pub start: Option<u64>,
    /// How many bytes it has, from `Content-Length`.
    pub length: Option<u64>,
}

impl Repositories {
    /// Opens a session that only `owner` may use, for bytes that are going to be named by `algorithm`.
    ///
    /// Closing it with a digest of another algorithm works too, at the price of reading the bytes again.
    pub async fn start_upload(
        &self,
        repository: &RepositoryName,
        owner: &UploadOwner,
        algorithm: Algorithm,
    ) -> Result<UploadStatus, RegistryError> {
        let id = UploadId::random(&self.random)?;
        let keys = SessionKeys::new(repository, id.uuid());
        let started_at = self.clock.now().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let record = StoredRecord {
            owner: owner.clone(),
            began: started_at.unix_timestamp(),
            algorithm: (algorithm != Algorithm::Sha256).then_some(algorithm),
            deletion: self.recorded_deletion(repository).await?,
            verified: None,
        };
        let mut objects = vec![(keys.data.clone(), Bytes::new())];
        objects.extend(hash_states::saved(&keys, &hash_states::fresh(hash_states::functions(algorithm))));
        objects.push((keys.record.clone(), encode(&record).into()));
        objects.push((keys.started_at.clone(), format_started_at(started_at).into()));
        // An empty session is not worth a sync: nobody was promised anything, and the client just starts another one.
        self.storage.write_all(objects, Durability::Relaxed).await?;
        Ok(UploadStatus { id, started_at, offset: 0 })
    }

    /// Tells how far a session has come.
    pub async fn upload_status(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        owner: &UploadOwner,
    ) -> Result<UploadStatus, RegistryError> {
        let session = self.find_session(repository, id, owner).await?;
        let offset = match (self.storage.size(&session.keys.data).await?, session.verified()) {
            (Some(size), _) => size,
            // Closing it was broken off behind the moving of the bytes; the client need only close it again.
            (None, Some(verified)) => verified.size,
            (None, None) => 0,
        };
        Ok(session.status(offset))
    }

    /// Adds a chunk to a session. If the body breaks off, what came is kept and the session can be resumed.
    pub async fn append_upload<B>(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        owner: &UploadOwner,
        announced: Announced,
        body: B,
    ) -> Result<UploadStatus, RegistryError>
    where
        B: Stream<Item = Result<Bytes, BodyError>>,
    {
        let (mut session, mut lock) = self.lock_session(repository, id, owner).await?;
        let have = self.appendable(&session, announced).await?;
        if session.verified().is_some() {
            let registry = self.clone();
            // Under the lock to its end, so that what a later request records cannot be overtaken.
            (session, lock) = to_the_end(async move {
                registry.forget_verified(&mut session).await?;
                Ok((session, lock))
            })
            .await?;
        }
        let hasher = self.resume_hasher(&session.keys, have, session.functions()).await?;
        let received = self.receive(&session.keys, hasher, lock, announced.length, body, Then::Pause).await?;
        received.outcome?;
        Ok(session.status(received.hasher.length()))
    }

    /// Adds the last chunk, if any, verifies that the whole has `digest`, and makes it a blob of the repository.
    ///
    /// After [`RegistryError::DigestMismatch`] the session is still there, with all bytes.
    pub async fn finish_upload<B>(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        owner: &UploadOwner,
        digest: &Digest,
        announced: Announced,
        body: B,
    ) -> Result<BlobStat, RegistryError>
    where
        B: Stream<Item = Result<Bytes, BodyError>>,
    {
        let (session, lock) = self.lock_session(repository, id, owner).await?;
        if let Some(verified) = session.verified().filter(|verified| verified.digest == *digest) {
            let present = self.storage.size(&session.keys.data).await?;
            if present.is_none_or(|size| size == verified.size) {
                let (registry, repository, verified) = (self.clone(), repository.clone(), verified.clone());
                return to_the_end(async move {
                    let _lock = lock;
                    registry.commit(&repository, &session, verified).await
                })
                .await;
            }
        }
        let have = self.appendable(&session, announced).await?;
        let hasher = self.resume_hasher(&session.keys, have, session.functions()).await?;
        let received =
            self.receive(&session.keys, hasher, lock, announced.length, body, Then::Finish).await?;
        let Received { hasher, lock, outcome } = received;
        outcome?;
        let mut record = match session.record.clone() {
            Some(record) => record,
            None => StoredRecord {
                owner: owner.clone(),
                began: session.started_at.unix_timestamp(),
                algorithm: None,
                deletion: self.recorded_deletion(repository).await?,
                verified: None,
            },
        };
        let (registry, repository, digest) = (self.clone(), repository.clone(), digest.clone());
        to_the_end(async move {
            let _lock = lock;
            let verified = registry.verify(&session.keys, &digest, hasher).await?;
            record.verified = Some(verified.clone());
            registry.write_record(&session.keys, &record).await?;
            registry.commit(&repository, &session, verified).await
        })
        .await
    }

    /// Ends a session and throws its bytes away.
    pub async fn cancel_upload(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        owner: &UploadOwner,
    ) -> Result<(), RegistryError> {
        let (session, lock) = self.lock_session(repository, id, owner).await?;
        let registry = self.clone();
        to_the_end(async move {
            let _lock = lock;
            Ok(registry.remove_session(&session.keys).await?)
        })
        .await
    }

    /// Other bytes are about to come in, which nobody has verified.
    async fn forget_verified(&self, session: &mut Session) -> Result<(), RegistryError> {
        let Some(record) = &mut session.record else { return Ok(()) };
        record.verified = None;
        self.write_record(&session.keys, record).await
    }

    /// How many bytes the session holds, if the announced chunk may follow them.
    async fn appendable(&self, session: &Session, announced: Announced) -> Result<u64, RegistryError> {
        let have = match (self.storage.size(&session.keys.data).await?, session.verified()) {
            (Some(size), _) => size,
            (None, None) => 0,
            // Its bytes have become a blob already, so there is nothing left to add to.
            (None, Some(_)) => return Err(RegistryError::UploadUnknown { id: session.id }),
        };
        match announced.start {
            Some(got) if got != have => Err(RegistryError::UploadOutOfOrder { have, got }),
            _ => Ok(have),
        }
    }

    /// Compares what the session holds, all seen by `hasher` and durable, with what the client says it is.
    async fn verify(
        &self,
        keys: &SessionKeys,
        digest: &Digest,
        hasher: Hasher,
    ) -> Result<Verified, RegistryError> {
        let size = hasher.length();
        let canonical = hasher.clone().digest();
        let actual = if let Some(actual) = hasher.digest_by(digest.algorithm()) {
            actual
        } else {
            // The client did not announce it, and hashing every upload twice for the few that do not would cost all.
            let other = Hasher::new(digest.algorithm());
            self.storage.hash(&keys.data, 0..size, other).await?.digest()
        };
        if actual != *digest {
            self.save_hasher(keys, &hasher).await?;
            return Err(RegistryError::DigestMismatch { expected: digest.clone(), actual });
        }
        Ok(Verified { digest: actual, canonical, size })
    }

    /// Makes verified bytes a blob: the steps behind the record, each of which may have happened before.
    async fn commit(
        &self,
        repository: &RepositoryName,
        session: &Session,
        verified: Verified,
    ) -> Result<BlobStat, RegistryError> {
        let target = layout::blob(&verified.canonical);
        // A blob that is there is trusted, since it was verified too; one of another size is damage and is replaced.
        let there = self.storage.size(&target).await? == Some(verified.size);
        if !there && !self.storage.rename(&session.keys.data, &target).await? {
            return Err(RegistryError::UploadUnknown { id: session.id });
        }
        let Verified { digest, canonical, size } = verified;
        let stat = BlobStat { digest, canonical, size };
        let link = self.lock_layer(repository, &stat).await?;
        if session.is_outlived_by(self.recorded_deletion(repository).await?) {
            // Its blob must not bring back a repository that was deleted while it came in.
            self.remove_session(&session.keys).await?;
            return Err(RegistryError::UploadUnknown { id: session.id });
        }
        self.link_blob(repository, &stat).await?;
        drop(link);
        if let Err(error) = self.remove_session(&session.keys).await {
            // The blob is safe and linked; what is left of the session is the purger's.
            tracing::warn!(upload.id = %session.id, %error, "a finished upload could not be cleared away");
        }
        Ok(stat)
    }

    /// Removes a locked session, its existence first.
    async fn remove_session(&self, keys: &SessionKeys) -> Result<(), StorageError> {
        // Not synced: if loss of power brings it back, it can be closed or cancelled once more.
        self.storage.remove(&keys.started_at, Durability::Relaxed).await?;
        self.storage.remove_tree(&keys.folder, Durability::Relaxed).await
    }
}

impl Session {
    fn verified(&self) -> Option<&Verified> {
        self.record.as_ref()?.verified.as_ref()
    }

    /// Whether the repository was deleted after it began. Of one that another registry began only the time is known.
    fn is_outlived_by(&self, deletion: Option<i64>) -> bool {
        match &self.record {
            Some(record) => record.deletion != deletion,
            None => deletion.is_some_and(|deleted| self.started_at.unix_timestamp() <= deleted),
        }
    }

    /// What its bytes are hashed by while they come in.
    fn functions(&self) -> &'static [Algorithm] {
        let announced = self.record.as_ref().and_then(|record| record.algorithm);
        hash_states::functions(announced.unwrap_or(Algorithm::Sha256))
    }

    fn status(&self, offset: u64) -> UploadStatus {
        UploadStatus { id: self.id, started_at: self.started_at, offset }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod closing_tests;
