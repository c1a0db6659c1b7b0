//! Blobs as a repository has them: look, read, mount from another repository, unlink.
//!
//! *Invariant:* a blob exists for a repository only while its link exists there and the bytes are in the store; that
//! another repository has it makes no difference. Bytes are stored once, under sha256.

use std::ops::Range;

use shared::repository_name::RepositoryName;

use super::error::RegistryError;
use super::{Repositories, links};
use crate::oci::digest::Digest;
use crate::storage::{ByteStream, Durability, ObjectReader, layout};

/// What is known of a blob without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobStat {
    /// The digest it was asked by.
    pub digest: Digest,
    /// The digest its bytes are stored under.
    pub canonical: Digest,
    /// How many bytes it has.
    pub size: u64,
}

/// A blob that was opened.
pub struct Blob {
    /// What is known of it.
    pub stat: BlobStat,
    reader: Box<dyn ObjectReader>,
}

impl Blob {
    /// Its bytes in `range`, which must lie within its size.
    pub fn stream(self, range: Range<u64>) -> ByteStream {
        self.reader.stream(range)
    }
}

impl Repositories {
    /// Looks at a blob.
    pub async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobStat, RegistryError> {
        let unknown = || RegistryError::BlobUnknown { digest: digest.clone() };
        let canonical = self.layer(repository, digest).await?.ok_or_else(unknown)?;
        let size = self.storage.size(&layout::blob(&canonical)).await?.ok_or_else(unknown)?;
        Ok(BlobStat { digest: digest.clone(), canonical, size })
    }

    /// Opens a blob for reading.
    pub async fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Blob, RegistryError> {
        let unknown = || RegistryError::BlobUnknown { digest: digest.clone() };
        let canonical = self.layer(repository, digest).await?.ok_or_else(unknown)?;
        let reader = self.storage.open(&layout::blob(&canonical)).await?.ok_or_else(unknown)?;
        let stat = BlobStat { digest: digest.clone(), canonical, size: reader.size() };
        Ok(Blob { stat, reader })
    }

    /// Gives `target` a blob that `from` has. `None` if `from` does not have it; the client then uploads it.
    pub async fn mount_blob(
        &self,
        target: &RepositoryName,
        digest: &Digest,
        from: &RepositoryName,
    ) -> Result<Option<BlobStat>, RegistryError> {
        match self.stat_blob(from, digest).await {
            Ok(stat) => {
                self.link_blob(target, &stat).await?;
                Ok(Some(stat))
            }
            Err(RegistryError::BlobUnknown { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a blob out of a repository. The bytes stay for others, and other digests of it stay linked.
    pub async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        if self.storage.remove(&layout::layer_link(repository, digest)).await? {
            Ok(())
        } else {
            Err(RegistryError::BlobUnknown { digest: digest.clone() })
        }
    }

    /// Makes a blob that is in the store belong to a repository, under the digest it was asked by as well.
    pub(super) async fn link_blob(
        &self,
        repository: &RepositoryName,
        stat: &BlobStat,
    ) -> Result<(), RegistryError> {
        let link = |digest| links::to(layout::layer_link(repository, digest), &stat.canonical);
        let mut objects = vec![link(&stat.canonical)];
        if stat.digest != stat.canonical {
            objects.push(link(&stat.digest));
        }
        self.storage.write_all(objects, Durability::Synced).await?;
        Ok(())
    }
}
