//! Manifests of a repository: get, delete by digest, delete a tag; [`push`] puts them there.
//!
//! *Invariant:* a tag whose revision is gone reads as absent, and a deleted manifest leaves no tag that names it.
//!
//! Putting and deleting one digest exclude each other by a lock, so that neither undoes half of the other; a tag is
//! changed under a lock of its own, so that deleting one manifest cannot take a tag that has just moved to another.
//! The lock of the digest is always taken first. Locks are named in the layout; the distribution registry takes none,
//! and against it only the order of writes protects. What limits say of a tag is asked under the same locks.
//!
//! Spec: end-3, end-9.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::limits::Limits;
use shared::repository_name::RepositoryName;

use self::precondition::Precondition;
pub use self::push::{MANIFEST_LIMIT_BYTES, ManifestPush, PushWarning, PushedManifest};
use super::error::RegistryError;
use super::limits::{check_deletion_by_digest, check_tag_deletion, check_tagged_deletion};
use super::{Repositories, to_the_end};
use crate::oci::digest::{Algorithm, Digest};
use crate::oci::manifest::{Manifest, stored_media_type};
use crate::oci::media_type;
use crate::oci::reference::{Reference, Tag};
use crate::storage::error::StorageError;
use crate::storage::layout::Key;
use crate::storage::{ByteStream, Durability, layout};

pub mod precondition;

pub mod push;

pub mod rules;

/// A tag that moves more often than this while it is read once is not worth waiting for.
const TAG_READS: usize = 4;

/// What a client gets of a manifest list it cannot read: `(os, architecture)`.
const DEFAULT_PLATFORM: (&str, &str) = ("linux", "amd64");

/// A tag and what its link says.
type TagLink = (Tag, Result<Option<Digest>, StorageError>);

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

    /// For a client that cannot read a manifest list: the image in it that such clients run.
    pub async fn get_default_child(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        list: &StoredManifest,
    ) -> Result<StoredManifest, RegistryError> {
        let parsed = Manifest::parse(media_type::DOCKER_MANIFEST_LIST, &list.bytes)?;
        let child = parsed.children().iter().find(|child| {
            let platform = child.platform.as_ref();
            platform.is_some_and(|platform| (&*platform.os, &*platform.architecture) == DEFAULT_PLATFORM)
        });
        let digest = child.and_then(|child| child.digest().ok());
        let digest = digest.ok_or_else(|| RegistryError::NoDefaultChild { tag: tag.clone() })?;
        self.get_manifest(repository, &Reference::Digest(digest)).await
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

    /// Takes a manifest and all tags that name it out of a repository, if `limits` let each of them go. The bytes stay,
    /// as do manifests it lists.
    ///
    /// Another digest of the same bytes is a revision of its own, with its own tags, and stays as well.
    pub async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
        limits: Option<&Limits>,
    ) -> Result<DeletedManifest, RegistryError> {
        limits.map_or(Ok(()), check_deletion_by_digest)?;
        let link = layout::revision_link(repository, digest);
        let unknown = || RegistryError::ManifestUnknown { reference: Reference::Digest(digest.clone()) };
        // Asked before locking, so that a stranger's digests do not leave lock files.
        self.storage.size(&link).await?.ok_or_else(unknown)?;
        if let Some(limits) = limits {
            // Asked again under the lock; here because rights come before conditions.
            let tags = self.tag_folders(repository).await?.unwrap_or_default();
            check_tagged_deletion(limits, naming(digest, &self.links_of_tags(repository, tags).await?))?;
        }
        precondition.judge(Some(digest)).map_err(|unmet| RegistryError::PreconditionFailed { unmet })?;
        let (registry, repository, digest) = (self.clone(), repository.clone(), digest.clone());
        let limits = limits.cloned();
        to_the_end(async move { registry.unlink_manifest(&repository, &digest, limits.as_ref()).await }).await
    }

    /// Takes a tag out of a repository, if `limits` let it; the manifest stays. A tag whose link is damaged can be taken
    /// out, too.
    pub async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        precondition: Precondition,
        limits: Option<&Limits>,
    ) -> Result<(), RegistryError> {
        limits.map_or(Ok(()), |limits| check_tag_deletion(limits, tag))?;
        let unknown = || RegistryError::ManifestUnknown { reference: Reference::Tag(tag.clone()) };
        if !self.is_tag(repository, tag).await? {
            return Err(unknown());
        }
        let (registry, repository, doomed) = (self.clone(), repository.clone(), tag.clone());
        let removed = to_the_end(async move {
            let _tag = registry.storage.lock(&layout::tag_lock(&repository, &doomed)).await?;
            if !precondition.is_empty() {
                let current = registry.living_tag(&repository, &doomed).await?;
                let judged = precondition.judge(current.as_ref());
                judged.map_err(|unmet| RegistryError::PreconditionFailed { unmet })?;
            }
            Ok(registry.remove_tag(&repository, &doomed, Durability::Synced).await?)
        });
        if removed.await? { Ok(()) } else { Err(unknown()) }
    }

    /// Removes the tags that name a manifest, its link, and its place among the referrers of its subject.
    async fn unlink_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        limits: Option<&Limits>,
    ) -> Result<DeletedManifest, RegistryError> {
        let link = layout::revision_link(repository, digest);
        let _revision = self.storage.lock(&layout::revision_lock(repository, digest)).await?;
        let subject = self.subject_of(repository, digest).await;
        let tags = self.remove_tags_naming(repository, digest, limits).await?;
        if !self.storage.remove(&link, Durability::Synced).await? {
            return Err(RegistryError::ManifestUnknown { reference: Reference::Digest(digest.clone()) });
        }
        if let Some(subject) = subject {
            // Without a revision it counts for nothing, so it may come back with the power.
            let entry = layout::referrer(repository, &subject, digest);
            self.storage.remove(&entry, Durability::Relaxed).await?;
        }
        Ok(DeletedManifest { tags })
    }

    /// What a stored manifest refers to; nothing if it cannot be read, which must not keep it from being deleted.
    pub(super) async fn subject_of(&self, repository: &RepositoryName, digest: &Digest) -> Option<Digest> {
        let (_, bytes) = self.revision_bytes(repository, digest).await.ok()??;
        Manifest::parse(&stored_media_type(&bytes)?, &bytes).ok()?.subject()
    }

    /// What a tag names: its digest, the canonical one, the bytes.
    ///
    /// A tag may move while it is read, and what it named before may be deleted; then it is read again, so that a tag
    /// that is there all the time is always found.
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

    /// The canonical digest and the bytes of a manifest that belongs to the repository.
    ///
    /// Without a link nothing is read, so that what others have makes no difference.
    pub(super) async fn revision_bytes(
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

    /// The digest again if the repository has such a manifest.
    async fn living_revision(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Digest>, StorageError> {
        let size = self.storage.size(&layout::revision_link(repository, digest)).await?;
        Ok(size.map(|_| digest.clone()))
    }

    /// What a tag names, if that is there. A damaged link names nothing.
    async fn living_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<Digest>, StorageError> {
        match self.read_link(&layout::tag_current_link(repository, tag)).await {
            Ok(Some(digest)) => self.living_revision(repository, &digest).await,
            Ok(None) | Err(StorageError::Corrupt { .. } | StorageError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is something to delete under a tag: a name of what is there, or damage.
    async fn is_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<bool, StorageError> {
        match self.read_link(&layout::tag_current_link(repository, tag)).await {
            Ok(Some(digest)) => Ok(self.living_revision(repository, &digest).await?.is_some()),
            Ok(None) => Ok(false),
            Err(StorageError::Corrupt { .. } | StorageError::TooLarge { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Removes the tags that name a manifest whose lock is held, and waits for the disk once, however many they are.
    ///
    /// Each goes without a sync of its own; at the end the folder of all tags is synced. Until then the manifest is
    /// linked, so whatever part of the tags loss of power brings back is as it was. Only then the manifest goes: from
    /// then on no tag can come back and name it, should it be pushed again. A tag that was pushed anew in between was
    /// synced by that push, behind our removal.
    ///
    /// A process that died here may have left removals that are not durable. So the folder is synced also if nothing
    /// is found to remove, and a tag without a link, the removal of which was interrupted, goes as well.
    ///
    /// If `limits` do not let one of them go, none goes. It takes the manifest's lock to make a tag name it, so those
    /// that do at the beginning are all that ever go.
    async fn remove_tags_naming(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        limits: Option<&Limits>,
    ) -> Result<Vec<Tag>, RegistryError> {
        let Some(tags) = self.tag_folders(repository).await? else { return Ok(Vec::new()) };
        let links = self.links_of_tags(repository, tags).await?;
        limits.map_or(Ok(()), |limits| check_tagged_deletion(limits, naming(digest, &links)))?;
        let mut by_lock: BTreeMap<Key, Vec<Tag>> = BTreeMap::new();
        for (tag, link) in links {
            if goes_with(digest, &link) {
                by_lock.entry(layout::tag_lock(repository, &tag)).or_default().push(tag);
            }
        }
        let mut removed = Vec::new();
        for (lock, tags) in by_lock {
            let _tags = self.storage.lock(&lock).await?;
            // They may have moved on before the lock was ours.
            for (tag, link) in self.links_of_tags(repository, tags).await? {
                if !goes_with(digest, &link) {
                    continue;
                }
                if matches!(link, Ok(None)) {
                    // Something else may stand in the place of the link, which only goes with the whole folder.
                    self.storage.remove_tree(&layout::tag(repository, &tag), Durability::Relaxed).await?;
                } else if self.remove_tag(repository, &tag, Durability::Relaxed).await? {
                    removed.push(tag);
                }
            }
        }
        self.storage.sync_removals(&layout::tags(repository)).await?;
        removed.sort_unstable();
        Ok(removed)
    }

    async fn links_of_tags(
        &self,
        repository: &RepositoryName,
        tags: Vec<Tag>,
    ) -> Result<Vec<TagLink>, StorageError> {
        let keys: Vec<_> = tags.iter().map(|tag| layout::tag_current_link(repository, tag)).collect();
        let links = self.read_links(&keys).await?;
        Ok(tags.into_iter().zip(links).collect())
    }

    /// Removes a locked tag: first what makes it visible, then the rest.
    async fn remove_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        durability: Durability,
    ) -> Result<bool, StorageError> {
        let was = self.storage.remove(&layout::tag_current_link(repository, tag), durability).await?;
        self.storage.remove_tree(&layout::tag(repository, tag), Durability::Relaxed).await?;
        Ok(was)
    }
}

/// The tags whose links name a manifest, or cannot be read at the moment and may: they would be lost with it. A damaged
/// link names nothing.
fn naming<'a>(digest: &Digest, links: &'a [TagLink]) -> impl Iterator<Item = &'a Tag> {
    let names = |link: &Result<Option<Digest>, StorageError>| match link {
        Ok(named) => named.as_ref() == Some(digest),
        Err(StorageError::Corrupt { .. } | StorageError::TooLarge { .. }) => false,
        Err(_) => true,
    };
    links.iter().filter(move |(_, link)| names(link)).map(|(tag, _)| tag)
}

/// Whether a tag with this link goes with a manifest: it names it, or is what is left of a tag. A damaged link names
/// nothing, and must not keep the others from going.
fn goes_with(digest: &Digest, link: &Result<Option<Digest>, StorageError>) -> bool {
    link.as_ref().is_ok_and(|named| named.as_ref().is_none_or(|named| named == digest))
}

#[cfg(test)]
mod deletion_tests;

#[cfg(test)]
mod limits_tests;

#[cfg(test)]
mod tests;
