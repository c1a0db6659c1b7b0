//! Finding what refers to what in manifests that came without us.
//!
//! A tree of the distribution registry has no entries. The first request for referrers in a repository looks at all
//! its manifests once and leaves a mark. Later, a distribution registry on the same tree may take manifests with a
//! subject; it does not say so to their client, which then keeps an index behind a tag made of the subject's digest.
//! So each request also looks at that tag, and when it has moved, at what stands in the index.
//!
//! *Invariant:* an entry is made only of a manifest that is in the repository and names the subject itself. Every
//! step can be repeated and can die anywhere: the mark is written last. All of it holds a lock, so that a repository
//! that is deleted as a whole does not come back by being looked at.
//!
//! Spec: distribution-spec, "Referrers Tag Schema", "Enabling the Referrers API".

use bytes::Bytes;
use shared::repository_name::RepositoryName;

use super::{ENTRY_LIMIT_BYTES, PIECE_BYTES};
use crate::domain::error::RegistryError;
use crate::domain::manifests::MANIFEST_LIMIT_BYTES;
use crate::domain::{Repositories, links, to_the_end};
use crate::oci::digest::{Algorithm, Digest};
use crate::oci::manifest::{Manifest, stored_media_type};
use crate::oci::reference::Tag;
use crate::storage::error::StorageError;
use crate::storage::layout::{self, Key};
use crate::storage::{Durability, EntryKind};

/// How many manifests are looked at in one turn.
const TURN: usize = 64;

/// How much of a hash a referrers tag has.
const TAG_HEX_CHARS: usize = 64;

/// What a look at all manifests of a repository found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reindexed {
    /// Manifests that refer to another.
    pub referrers: usize,
    /// Manifests that could not be read.
    pub unreadable: usize,
    /// Entries of manifests that were gone.
    pub removed: usize,
}

impl Repositories {
    /// Looks at all manifests of a repository, makes the entries that are missing or damaged and removes those whose
    /// manifest is gone. Pushes and deletes may go on meanwhile.
    pub async fn reindex_referrers(&self, repository: &RepositoryName) -> Result<Reindexed, RegistryError> {
        let (registry, repository) = (self.clone(), repository.clone());
        to_the_end(async move {
            let _all = registry.storage.lock(&layout::referrers_lock(&repository)).await?;
            let removed = registry.remove_leftovers(&repository).await?;
            let found = registry.look_at_all(&repository).await?;
            Ok(Reindexed { removed, ..found })
        })
        .await
    }

    /// Sees to it that whatever refers to a subject has its entry.
    pub(super) async fn complete_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<(), RegistryError> {
        let mark = layout::referrers_complete(repository);
        if self.storage.size(&mark).await?.is_none() && self.has_revisions(repository).await? {
            let (registry, repository) = (self.clone(), repository.clone());
            to_the_end(async move {
                let _all = registry.storage.lock(&layout::referrers_lock(&repository)).await?;
                // Whoever held the lock before us may have done it.
                if registry.storage.size(&mark).await?.is_none() {
                    let found = registry.look_at_all(&repository).await?;
                    let Reindexed { referrers, unreadable, .. } = found;
                    tracing::info!(repository.name = %repository, referrers, unreadable, "referrers were indexed");
                }
                Ok(())
            })
            .await?;
        }
        self.merge_referrers_tag(repository, subject).await
    }

    /// Takes over what stands in the index behind the referrers tag, if that has moved since the last look.
    async fn merge_referrers_tag(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<(), RegistryError> {
        let Some(tag) = referrers_tag(subject) else { return Ok(()) };
        if self.unmerged_index(repository, subject, &tag).await?.is_none() {
            return Ok(());
        }
        let (registry, repository, subject) = (self.clone(), repository.clone(), subject.clone());
        to_the_end(async move {
            let _all = registry.storage.lock(&layout::referrers_lock(&repository)).await?;
            // It may have gone, or another may have merged it, before the lock was ours.
            let Some(index) = registry.unmerged_index(&repository, &subject, &tag).await? else {
                return Ok(());
            };
            let named = {
                let Ok(Some((_, bytes))) = registry.revision_bytes(&repository, &index).await else {
                    return Ok(());
                };
                let media_type = stored_media_type(&bytes).unwrap_or_default();
                Manifest::parse(&media_type, &bytes).map(|index| index.manifests()).unwrap_or_default()
            };
            registry.look_at(&repository, &named, Some(&subject)).await?;
            let merged = layout::referrers_merged(&repository, &subject);
            Ok(registry.storage.write_all(vec![links::to(merged, &index)], Durability::Synced).await?)
        })
        .await
    }

    /// What the referrers tag names, if that was not merged yet.
    async fn unmerged_index(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        tag: &Tag,
    ) -> Result<Option<Digest>, StorageError> {
        let merged = layout::referrers_merged(repository, subject);
        let keys = [layout::tag_current_link(repository, tag), merged];
        let mut read = self.read_links(&keys).await?.into_iter().map(|link| link.ok().flatten());
        let (tagged, known) = (read.next().flatten(), read.next().flatten());
        Ok(tagged.filter(|tagged| known.as_ref() != Some(tagged)))
    }

    async fn has_revisions(&self, repository: &RepositoryName) -> Result<bool, StorageError> {
        Ok(self.storage.list(&layout::revision_algorithms(repository)).await?.is_some())
    }

    /// Looks at every manifest of a repository and leaves the mark, if there is anything. The lock must be held.
    async fn look_at_all(&self, repository: &RepositoryName) -> Result<Reindexed, RegistryError> {
        let mut found = Reindexed::default();
        for algorithm in Algorithm::ALL {
            let folder = layout::revisions(repository, algorithm);
            let digests = self.names_in(&folder, algorithm, EntryKind::Folder).await?;
            let part = self.look_at(repository, &digests, None).await?;
            found.referrers += part.referrers;
            found.unreadable += part.unreadable;
        }
        // A mark is enough to make a repository, which must not be when it was deleted before the lock was ours.
        if self.has_revisions(repository).await? {
            let mark = (layout::referrers_complete(repository), Bytes::new());
            self.storage.write_all(vec![mark], Durability::Synced).await?;
        }
        Ok(found)
    }

    /// Makes the entries of those manifests that are here and name a subject: any, or this one.
    async fn look_at(
        &self,
        repository: &RepositoryName,
        digests: &[Digest],
        only: Option<&Digest>,
    ) -> Result<Reindexed, RegistryError> {
        let mut found = Reindexed::default();
        for turn in digests.chunks(TURN) {
            let mut readable: Vec<(&Digest, Key, u64)> = Vec::with_capacity(turn.len());
            let revisions: Vec<_> =
                turn.iter().map(|digest| layout::revision_link(repository, digest)).collect();
            let mut blobs = Vec::with_capacity(turn.len());
            for (digest, link) in turn.iter().zip(self.read_links(&revisions).await?) {
                match link {
                    Ok(Some(canonical)) => blobs.push((digest, layout::blob(&canonical))),
                    // The folder of a manifest that was deleted, or one an index names and the repository has not.
                    Ok(None) => {}
                    Err(error) => found.cannot_read(repository, digest, &error),
                }
            }
            let keys: Vec<Key> = blobs.iter().map(|(_, key)| key.clone()).collect();
            for ((digest, key), size) in blobs.into_iter().zip(self.sizes(&keys).await?) {
                match size {
                    Some(size) if size <= MANIFEST_LIMIT_BYTES => readable.push((digest, key, size)),
                    Some(_) => found.cannot_read(repository, digest, &"it is larger than a manifest may be"),
                    None => found.cannot_read(repository, digest, &"its bytes are gone"),
                }
            }
            while !readable.is_empty() {
                let mut bytes = 0;
                let fits = |size: u64| {
                    bytes += size;
                    bytes <= PIECE_BYTES
                };
                let count =
                    readable.iter().map(|(_, _, size)| *size).map(fits).take_while(|fits| *fits).count();
                let piece: Vec<_> = readable.drain(..count.max(1)).collect();
                self.look_at_piece(repository, &piece, only, &mut found).await?;
            }
        }
        Ok(found)
    }

    /// The same for a few manifests that fit into memory together.
    async fn look_at_piece(
        &self,
        repository: &RepositoryName,
        piece: &[(&Digest, Key, u64)],
        only: Option<&Digest>,
        found: &mut Reindexed,
    ) -> Result<(), RegistryError> {
        let keys: Vec<Key> = piece.iter().map(|(_, key, _)| key.clone()).collect();
        let contents = self.read_each(&keys, MANIFEST_LIMIT_BYTES).await?;
        let mut entries = Vec::new();
        for ((digest, _, _), content) in piece.iter().zip(contents) {
            let bytes = match content {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(error) => {
                    found.cannot_read(repository, digest, &error);
                    continue;
                }
            };
            let media_type = stored_media_type(&bytes).unwrap_or_default();
            let manifest = match Manifest::parse(&media_type, &bytes) {
                Ok(manifest) => manifest,
                Err(error) => {
                    found.cannot_read(repository, digest, &error);
                    continue;
                }
            };
            let Some(subject) = manifest.subject() else { continue };
            if only.is_some_and(|only| *only != subject) {
                continue;
            }
            if let Ok(descriptor) = manifest.referrer_descriptor(digest, bytes.len() as u64) {
                found.referrers += 1;
                entries.push((layout::referrer(repository, &subject, digest), Bytes::from(descriptor)));
            }
        }
        let keys: Vec<Key> = entries.iter().map(|(key, _)| key.clone()).collect();
        let present = self.read_each(&keys, ENTRY_LIMIT_BYTES).await?;
        let missing = entries.into_iter().zip(present).filter_map(|(entry, present)| {
            let is_right = matches!(present, Ok(Some(present)) if present == entry.1);
            (!is_right).then_some(entry)
        });
        let missing = missing.collect();
        self.storage.write_all(missing, Durability::Synced).await?;
        Ok(())
    }

    /// Removes the entries of manifests that are gone.
    async fn remove_leftovers(&self, repository: &RepositoryName) -> Result<usize, RegistryError> {
        let mut removed = 0;
        for algorithm in Algorithm::ALL {
            let folder = layout::subjects(repository, algorithm);
            for subject in self.names_in(&folder, algorithm, EntryKind::Folder).await? {
                let recorded = self.recorded_referrers(repository, &subject).await?;
                let links: Vec<_> =
                    recorded.iter().map(|digest| layout::revision_link(repository, digest)).collect();
                let sizes = self.sizes(&links).await?;
                let gone = recorded.iter().zip(&links).zip(sizes).filter(|(_, size)| size.is_none());
                for ((digest, link), _) in gone {
                    // It may be pushed again at this moment.
                    let _revision = self.storage.lock(&layout::revision_lock(repository, digest)).await?;
                    let entry = layout::referrer(repository, &subject, digest);
                    if self.storage.size(link).await?.is_none()
                        && self.storage.remove(&entry, Durability::Relaxed).await?
                    {
                        removed += 1;
                    }
                }
            }
        }
        Ok(removed)
    }
}

impl Reindexed {
    fn cannot_read(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        reason: &(dyn std::fmt::Display + Send + Sync),
    ) {
        self.unreadable += 1;
        tracing::warn!(repository.name = %repository, %digest, %reason, "a manifest was passed over");
    }
}

/// The tag under which clients of a registry without this list keep it themselves.
fn referrers_tag(subject: &Digest) -> Option<Tag> {
    let hex = &subject.hex()[..TAG_HEX_CHARS];
    Tag::parse(&format!("{}-{hex}", subject.algorithm().as_str())).ok()
}
