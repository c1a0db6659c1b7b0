//! Blobs as a repository has them: look, read, mount from another repository, unlink.
//!
//! *Invariant:* a blob exists for a repository only while its link exists there and the bytes are in the store; that
//! another repository has it makes no difference. Bytes are stored once, under sha256.

use std::ops::Range;

use shared::limits::Limits;
use shared::repository_name::RepositoryName;

use super::error::RegistryError;
use super::limits::check_deletion_by_digest;
use super::{Repositories, links, to_the_end};
use crate::oci::digest::Digest;
use crate::storage::error::StorageError;
use crate::storage::{ByteStream, Durability, Lock, ObjectReader, layout};

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
            // It has it already, under this very name.
            Ok(stat) if from == target => Ok(Some(stat)),
            Ok(stat) => {
                let deletion = self.recorded_deletion(target).await?;
                let (registry, target) = (self.clone(), target.clone());
                to_the_end(async move {
                    let _link = registry.lock_layer(&target, &stat).await?;
                    registry.undeleted_since(&target, deletion).await?;
                    registry.link_blob(&target, &stat).await?;
                    Ok(Some(stat))
                })
                .await
            }
            Err(RegistryError::BlobUnknown { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a blob out of a repository, if `limits` let it. The bytes stay for others, and other digests of it stay
    /// linked.
    pub async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        limits: Option<&Limits>,
    ) -> Result<(), RegistryError> {
        limits.map_or(Ok(()), check_deletion_by_digest)?;
        if self.storage.remove(&layout::layer_link(repository, digest), Durability::Synced).await? {
            Ok(())
        } else {
            Err(RegistryError::BlobUnknown { digest: digest.clone() })
        }
    }

    /// Keeps a deletion of the whole repository away while a blob is linked, which would bring a part of it back.
    pub(super) async fn lock_layer(
        &self,
        repository: &RepositoryName,
        stat: &BlobStat,
    ) -> Result<Lock, StorageError> {
        self.storage.lock(&layout::revision_lock(repository, &stat.canonical)).await
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

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;
    use crate::domain::testing::{Tree, name};
    use crate::oci::digest::Algorithm;

    async fn is_there(tree: &Tree, repository: &str, digest: &Digest) -> bool {
        match tree.repositories.stat_blob(&name(repository), digest).await {
            Ok(_) => true,
            Err(RegistryError::BlobUnknown { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn a_blob_is_read_only_through_its_own_repository() {
        let tree = Tree::new();
        let digest = tree.push_blob(&name("a/b"), b"content").await;
        let blob = tree.repositories.open_blob(&name("a/b"), &digest).await.expect("there");
        assert_eq!(blob.stat.size, 7);
        let bytes: Vec<_> = blob.stream(3..7).try_collect().await.expect("readable");
        assert_eq!(bytes.concat(), b"tent");
        for stranger in ["a", "a/b/c", "b"] {
            assert!(!is_there(&tree, stranger, &digest).await, "{stranger}");
            let opened = tree.repositories.open_blob(&name(stranger), &digest).await;
            assert!(matches!(opened, Err(RegistryError::BlobUnknown { .. })));
        }
    }

    #[tokio::test]
    async fn mounting_needs_the_blob_at_its_source() {
        let tree = Tree::new();
        let digest = tree.push_blob(&name("source"), b"content").await;
        let mount = |digest, from| {
            let repositories = tree.repositories.clone();
            async move { repositories.mount_blob(&name("target"), &digest, &name(from)).await.expect("readable") }
        };
        assert_eq!(mount(digest.clone(), "elsewhere").await, None);
        assert_eq!(mount(Digest::sha256_of(b"other"), "source").await, None);
        assert!(!is_there(&tree, "target", &digest).await);
        assert_eq!(mount(digest.clone(), "source").await.map(|stat| stat.size), Some(7));
        assert!(is_there(&tree, "target", &digest).await);
        // Both have it now, and neither depends on the other.
        tree.repositories.delete_blob(&name("source"), &digest, None).await.expect("deleted");
        assert!(is_there(&tree, "target", &digest).await);
    }

    #[tokio::test]
    async fn deleting_takes_the_link_and_leaves_the_bytes() {
        let tree = Tree::new();
        let digest = tree.push_blob(&name("a"), b"content").await;
        tree.repositories.delete_blob(&name("a"), &digest, None).await.expect("deleted");
        assert!(!is_there(&tree, "a", &digest).await);
        assert!(tree.storage_exists(&layout::blob(&digest)));
        let again = tree.repositories.delete_blob(&name("a"), &digest, None).await;
        assert!(matches!(again, Err(RegistryError::BlobUnknown { .. })));
        tree.push_blob(&name("a"), b"content").await;
        assert!(is_there(&tree, "a", &digest).await);
    }

    #[tokio::test]
    async fn a_link_without_bytes_is_no_blob_and_a_broken_link_is_damage() {
        let tree = Tree::new();
        let digest = tree.push_blob(&name("a"), b"content").await;
        let link = layout::layer_link(&name("a"), &digest);
        tree.storage_write(&link, format!("{digest}\n"));
        let error = tree.repositories.stat_blob(&name("a"), &digest).await.expect_err("damage");
        assert!(error.to_string().contains(link.as_str()), "{error}");
        tree.storage_write(&link, digest.to_string());
        tree.storage_remove(&layout::blob(&digest));
        assert!(!is_there(&tree, "a", &digest).await);
    }

    #[tokio::test]
    async fn a_sha512_name_is_mounted_together_with_the_canonical_one() {
        let tree = Tree::new();
        let canonical = tree.push_blob(&name("source"), b"content").await;
        let long = Digest::of(Algorithm::Sha512, b"content");
        tree.storage_write(&layout::layer_link(&name("source"), &long), canonical.to_string());
        let mounted = tree.repositories.mount_blob(&name("target"), &long, &name("source")).await;
        let stat = mounted.expect("readable").expect("there");
        assert_eq!((stat.digest, stat.canonical), (long.clone(), canonical.clone()));
        assert!(is_there(&tree, "target", &long).await && is_there(&tree, "target", &canonical).await);
    }
}
