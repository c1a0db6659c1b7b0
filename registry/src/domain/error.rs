//! How operations on repositories refuse.
//!
//! *Invariant:* variants are facts with typed fields; which status and code a client sees is decided elsewhere. The
//! text of every variant but [`RegistryError::Storage`] may be shown to a client.

use std::error::Error;
use std::time::Duration;

use shared::repository_name::RepositoryName;

use super::limits::BeyondLimits;
use super::manifests::precondition::Unmet;
use super::upload_id::UploadId;
use crate::oci::digest::Digest;
use crate::oci::manifest::InvalidManifest;
use crate::oci::reference::{Reference, Tag};
use crate::storage::error::StorageError;

/// A refused operation.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Nothing was ever pushed there.
    #[error("there is no repository {repository}")]
    RepositoryUnknown {
        /// The name asked for.
        repository: RepositoryName,
    },
    /// It was deleted as a whole while this was on its way in.
    #[error("the repository {repository} was deleted while this was being pushed to it; push again")]
    RepositoryDeleted {
        /// The name asked for.
        repository: RepositoryName,
    },
    /// The repository has no such blob; others may have it.
    #[error("there is no blob {digest} in this repository")]
    BlobUnknown {
        /// The digest asked for.
        digest: Digest,
    },
    /// The repository has no such manifest or tag.
    #[error("there is no manifest {reference} in this repository")]
    ManifestUnknown {
        /// The tag or digest asked for.
        reference: Reference,
    },
    /// The repository has no such session, or it is somebody else's.
    #[error("there is no upload {id} in this repository; it may have ended or been cancelled")]
    UploadUnknown {
        /// The session asked for.
        id: UploadId,
    },
    /// Another request is writing to the session.
    #[error("another request is writing to upload {id}")]
    UploadBusy {
        /// The session asked for.
        id: UploadId,
    },
    /// The chunk does not begin where the session ends; the session is as it was.
    #[error("the upload holds {have} bytes, so the next chunk must begin at {have}, not at {got}")]
    UploadOutOfOrder {
        /// How many bytes the session holds.
        have: u64,
        /// Where the chunk begins.
        got: u64,
    },
    /// The body was shorter or longer than announced. What came up to the announced length is kept.
    #[error("the request announced {announced} bytes but carried {received}")]
    SizeMismatch {
        /// How many bytes were announced.
        announced: u64,
        /// How many came; of a body that is too long, how many came when that was noticed.
        received: u64,
    },
    /// The bytes have another digest than the client says.
    #[error("the content has the digest {actual}, not {expected}")]
    DigestMismatch {
        /// What the client says.
        expected: Digest,
        /// What the bytes say.
        actual: Digest,
    },
    /// The body is not a manifest we take.
    #[error(transparent)]
    ManifestInvalid(#[from] InvalidManifest),
    /// The manifest has too many bytes.
    #[error("a manifest has at most {limit_bytes} bytes")]
    ManifestTooLarge {
        /// The most that is accepted.
        limit_bytes: u64,
    },
    /// The manifest needs content the repository does not have.
    #[error("the manifest needs content that is not in this repository")]
    ManifestBlobUnknown {
        /// All that is missing, in the order of the manifest; never empty.
        missing: Vec<Digest>,
    },
    /// The manifest is of a class the settings do not list.
    #[error("this registry does not take manifests whose configuration is `{config}`")]
    ClassNotTaken {
        /// The media type of its configuration.
        config: String,
    },
    /// Whoever calls may not do it; nothing was changed.
    #[error("you may not {0}")]
    BeyondLimits(#[from] BeyondLimits),
    /// The state is not what the request demands; nothing was changed.
    #[error("the condition of the request does not hold: {}", match unmet {
        Unmet::Match => "what is there is not what If-Match names",
        Unmet::NoneMatch => "what If-None-Match excludes is there",
    })]
    PreconditionFailed {
        /// Which demand.
        unmet: Unmet,
    },
    /// A client that reads single images only asked for a list without one it could run.
    #[error(
        "{tag} is a manifest list without an image for linux/amd64, and the client does not accept lists"
    )]
    NoDefaultChild {
        /// The tag asked for.
        tag: Tag,
    },
    /// The request's body did not arrive.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The system gives no random numbers.
    #[error("the system has no randomness")]
    NoRandomness,
    /// The tree failed; the text is for the operator.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client went away or broke the framing.
    #[error("the request's body broke off")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// Nothing came for too long.
    #[error("the request's body made no progress for {} seconds", after.as_secs())]
    Stalled {
        /// How long was waited.
        after: Duration,
    },
    /// More came than is accepted.
    #[error("the request's body has more than {limit_bytes} bytes")]
    TooLarge {
        /// The most that is accepted.
        limit_bytes: u64,
    },
}
