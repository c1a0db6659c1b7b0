//! Manifests of a repository: put, get, delete by digest, delete a tag.
//!
//! *Invariant:* a manifest that was acknowledged has all it needs linked in its repository at the time of the check,
//! and is written in the order bytes → revision link → tag's index link → tag's current link, each durable before
//! the next; so a tag never names what is not there, and a tag whose revision is gone reads as absent.
//!
//! Putting and deleting one digest exclude each other by a lock, so that neither undoes half of the other; a tag is
//! changed under a lock of its own, so that deleting one manifest cannot take a tag that has just moved to another.
//! The lock of the digest is always taken first. Locks are named in the layout; the distribution registry takes none,
//! and against it only the order of writes protects.
//!
//! Spec: end-3, end-7a, end-9.

use bytes::Bytes;
use shared::repository_name::RepositoryName;

use super::error::RegistryError;
use super::{Repositories, links, to_the_end};
use crate::oci::digest::{Algorithm, Digest};
use crate::oci::manifest::{Manifest, stored_media_type};
use crate::oci::reference::{Reference, Tag};
use crate::storage::error::StorageError;
use crate::storage::{ByteStream, Durability, layout};

/// The largest manifest in bytes. Not less, because the specification tells clients to rely on 4 MB; not more,
/// because a manifest is held in memory.
pub const MANIFEST_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// A tag that moves more often than this while it is read once is not worth waiting for.
const TAG_READS: usize = 4;

/// A manifest as it was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManifest {
    /// The exact bytes.
    pub bytes: Bytes,
    /// Their media type, safe as a header value.
    pub media_type: String,
    /// The digest it was asked by, or the tag was made with.
    pub digest: Digest,
    /// The digest its bytes are stored under.
    pub canonical: Digest,
}

/// What went with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedManifest {
    /// The tags that named it, in byte order.
    pub tags: Vec<Tag>,
}

impl Repositories {
    /// Stores a manifest under its digest, and under a tag if `reference` is one. Answers the digest: the one asked
    /// for, or by tag the canonical one.
    pub async fn put_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        content_type: Option<&str>,
        bytes: Bytes,
    ) -> Result<Digest, RegistryError> {
        if bytes.len() as u64 > MANIFEST_LIMIT_BYTES {
            return Err(RegistryError::ManifestTooLarge { limit_bytes: MANIFEST_LIMIT_BYTES });
        }
        let manifest = Manifest::parse(content_type.unwrap_or_default(), &bytes)?;
        let canonical = Digest::sha256_of(&bytes);
        let digest = match reference {
            Reference::Tag(_) => canonical.clone(),
            Reference::Digest(expected) => {
                let actual = Digest::of(expected.algorithm(), &bytes);
                if actual != *expected {
                    return Err(RegistryError::DigestMismatch { expected: expected.clone(), actual });
                }
                actual
            }
        };
        self.check_references(repository, &manifest).await?;

        let (registry, repository, reference) = (self.clone(), repository.clone(), reference.clone());
        to_the_end(async move {
            registry.store_manifest(&repository, &reference, &canonical, &digest, bytes).await?;
            Ok(digest)
        })
        .await
    }

    /// Reads a manifest by tag or digest.
    pub async fn get_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<StoredManifest, RegistryError> {
        let unknown = || RegistryError::ManifestUnknown { reference: reference.clone() };
        let (digest, canonical, bytes) = match reference {
            Reference::Digest(digest) => {
                let (canonical, bytes) =
                    self.revision_bytes(repository, digest).await?.ok_or_else(unknown)?;
                (digest.clone(), canonical, bytes)
            }
            Reference::Tag(tag) => self.tagged_bytes(repository, tag).await?.ok_or_else(unknown)?,
        };
        let media_type = stored_media_type(&bytes).ok_or_else(|| StorageError::Corrupt {
            key: layout::blob(&canonical),
            reason: "a manifest must be JSON, with a well-formed media type if it names one",
        })?;
        Ok(StoredManifest { bytes, media_type, digest, canonical })
    }

    /// The bytes of a manifest that was just read, from its `canonical` digest.
    pub async fn stream_manifest(
        &self,
        reference: &Reference,
        canonical: &Digest,
    ) -> Result<ByteStream, RegistryError> {
        let reader = self.storage.open(&layout::blob(canonical)).await?;
        let reader = reader.ok_or_else(|| RegistryError::ManifestUnknown { reference: reference.clone() })?;
        let size = reader.size();
        Ok(reader.stream(0..size))
    }

    /// Takes a manifest and all tags that name it out of a repository. The bytes stay, as do manifests it lists.
    pub async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<DeletedManifest, RegistryError> {
        let link = layout::revision_link(repository, digest);
        let unknown = || RegistryError::ManifestUnknown { reference: Reference::Digest(digest.clone()) };
        // Asked before locking, so that a stranger's digests do not leave lock files.
        self.storage.size(&link).await?.ok_or_else(unknown)?;
        let (registry, repository, digest) = (self.clone(), repository.clone(), digest.clone());
        to_the_end(async move { registry.unlink_manifest(&repository, &digest).await }).await
    }

    /// Takes a tag out of a repository; the manifest stays.
    pub async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<(), RegistryError> {
        let unknown = || RegistryError::ManifestUnknown { reference: Reference::Tag(tag.clone()) };
        let current = layout::tag_current_link(repository, tag);
        let digest = self.read_link(&current).await?.ok_or_else(unknown)?;
        let revision = layout::revision_link(repository, &digest);
        self.storage.size(&revision).await?.ok_or_else(unknown)?;
        let (registry, repository, doomed) = (self.clone(), repository.clone(), tag.clone());
        let removed = to_the_end(async move {
            let _tag = registry.storage.lock(&layout::tag_lock(&repository, &doomed)).await?;
            Ok(registry.remove_tag(&repository, &doomed).await?)
        });
        if removed.await? { Ok(()) } else { Err(unknown()) }
    }

    /// Writes a checked manifest and its links.
    async fn store_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        canonical: &Digest,
        digest: &Digest,
        bytes: Bytes,
    ) -> Result<(), RegistryError> {
        let _revision = self.storage.lock(&layout::revision_lock(repository, digest)).await?;
        let blob = layout::blob(canonical);
        let mut objects = Vec::with_capacity(2);
        // Bytes that are there are trusted; another size can only be what a crash of another registry left.
        if self.storage.size(&blob).await? != Some(bytes.len() as u64) {
            objects.push((blob, bytes));
        }
        objects.push(links::to(layout::revision_link(repository, digest), canonical));
        self.storage.write_all(objects, Durability::Synced).await?;
        if let Reference::Tag(tag) = reference {
            let _tag = self.storage.lock(&layout::tag_lock(repository, tag)).await?;
            let objects = vec![
                links::to(layout::tag_index_link(repository, tag, digest), digest),
                links::to(layout::tag_current_link(repository, tag), digest),
            ];
            self.storage.write_all(objects, Durability::Synced).await?;
        }
        Ok(())
    }

    /// Removes the link of a manifest and the tags that name it.
    async fn unlink_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<DeletedManifest, RegistryError> {
        let link = layout::revision_link(repository, digest);
        let _revision = self.storage.lock(&layout::revision_lock(repository, digest)).await?;
        let mut tags = self.remove_tags_naming(repository, digest).await?;
        if !self.storage.remove(&link, Durability::Synced).await? {
            return Err(RegistryError::ManifestUnknown { reference: Reference::Digest(digest.clone()) });
        }
        // Another registry on this tree takes no lock and may have set a tag meanwhile.
        tags.extend(self.remove_tags_naming(repository, digest).await?);
        tags.sort_unstable();
        tags.dedup();
        Ok(DeletedManifest { tags })
    }

    /// What a tag names: its digest, the canonical one, the bytes. A tag may move while it is read, and what it named before may be deleted; then it is read
    /// again, so that a tag that is there all the time is always found.
    async fn tagged_bytes(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<(Digest, Digest, Bytes)>, RegistryError> {
        let current = layout::tag_current_link(repository, tag);
        let mut gone: Option<Digest> = None;
        for _ in 0..TAG_READS {
            let Some(digest) = self.read_link(&current).await? else { return Ok(None) };
            if gone.as_ref() == Some(&digest) {
                return Ok(None);
            }
            if let Some((canonical, bytes)) = self.revision_bytes(repository, &digest).await? {
                return Ok(Some((digest, canonical, bytes)));
            }
            gone = Some(digest);
        }
        Ok(None)
    }

    /// The canonical digest and the bytes of a manifest that belongs to the repository. Without a link nothing is read, so that
    /// what others have makes no difference.
    async fn revision_bytes(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(Digest, Bytes)>, StorageError> {
        let link = layout::revision_link(repository, digest);
        let Some(canonical) = self.read_link(&link).await? else { return Ok(None) };
        if digest.algorithm() == Algorithm::Sha256 && canonical != *digest {
            return Err(StorageError::Corrupt { key: link, reason: "a link must name its own digest" });
        }
        let bytes = self.storage.read(&layout::blob(&canonical), MANIFEST_LIMIT_BYTES).await?;
        Ok(bytes.map(|bytes| (canonical, bytes)))
    }

    /// Sees to it that the repository has all a manifest needs.
    async fn check_references(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
    ) -> Result<(), RegistryError> {
        let blobs = manifest.blobs().iter().map(|digest| (digest, layout::layer_link(repository, digest)));
        let children =
            manifest.manifests().iter().map(|digest| (digest, layout::revision_link(repository, digest)));
        let (needed, links): (Vec<&Digest>, Vec<_>) = blobs.chain(children).unzip();
        let canonical = self.read_links(&links).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
        // A link can outlive its bytes where another registry collected garbage.
        let linked: Vec<_> = canonical.iter().flatten().map(layout::blob).collect();
        let mut sizes = self.sizes(&linked).await?.into_iter();
        let missing: Vec<Digest> = needed
            .into_iter()
            .zip(&canonical)
            .filter(|(_, link)| link.is_none() || sizes.next().flatten().is_none())
            .map(|(digest, _)| digest.clone())
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(RegistryError::ManifestBlobUnknown { missing }) }
    }

    async fn remove_tags_naming(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Tag>, RegistryError> {
        let Some(tags) = self.tag_folders(repository).await? else { return Ok(Vec::new()) };
        let keys: Vec<_> = tags.iter().map(|tag| layout::tag_current_link(repository, tag)).collect();
        let current = self.read_links(&keys).await?;
        let mut removed = Vec::new();
        for ((tag, key), link) in tags.into_iter().zip(keys).zip(current) {
            // A damaged link names nothing; it must not keep the others from going.
            if !matches!(link, Ok(Some(named)) if named == *digest) {
                continue;
            }
            let _tag = self.storage.lock(&layout::tag_lock(repository, &tag)).await?;
            // It may have moved on before the lock was ours.
            if self.read_link(&key).await?.is_some_and(|named| named == *digest)
                && self.remove_tag(repository, &tag).await?
            {
                removed.push(tag);
            }
        }
        Ok(removed)
    }

    /// Removes a locked tag: first what makes it visible, then the rest.
    async fn remove_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<bool, StorageError> {
        let was = self.storage.remove(&layout::tag_current_link(repository, tag), Durability::Synced).await?;
        self.storage.remove_tree(&layout::tag(repository, tag)).await?;
        Ok(was)
    }
}

#[cfg(test)]
mod tests;
