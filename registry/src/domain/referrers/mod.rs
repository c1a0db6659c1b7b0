//! Listing what refers to a manifest: signatures, attestations, whatever names it as its subject.
//!
//! *Invariant:* the list has, in byte order of their digests, exactly the manifests of the repository that name the
//! subject, whether that is there or not; an entry whose manifest is gone counts for nothing. A request reads a
//! bounded number of entries and holds a bounded part of them.
//!
//! Each entry is the ready descriptor, written with the manifest (see [`super::manifests::push`]); `index` makes the
//! entries of manifests that came without us.
//!
//! Spec: end-12.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::{Stream, stream};
use shared::repository_name::RepositoryName;

use super::Repositories;
use super::error::RegistryError;
use super::links::BATCH;
use super::manifests::MANIFEST_LIMIT_BYTES;
use crate::oci::digest::{Algorithm, Digest};
use crate::oci::manifest::artifact_type_of;
use crate::storage::error::StorageError;
use crate::storage::layout::{self, Key};
use crate::storage::{Entry, EntryKind};

mod index;

pub use self::index::Reindexed;

/// The most entries in one page. Large, because there are clients that read the first page only.
pub const MAX_PAGE_ENTRIES: usize = 1000;

/// A page with more bytes than this has one entry.
const MAX_PAGE_BYTES: u64 = 4 * 1024 * 1024;

/// A filter that fits few entries looks at no more than this many for one page.
const MAX_EXAMINED: usize = 10_000;

/// Nor does it read more bytes of entries than this for one page, and one piece.
const MAX_EXAMINED_BYTES: u64 = 32 * 1024 * 1024;

/// So many bytes of entries are read at a time, or one entry.
const PIECE_BYTES: u64 = 256 * 1024;

/// A descriptor has nothing its manifest has not, but for its digest, type and size.
const ENTRY_LIMIT_BYTES: u64 = MANIFEST_LIMIT_BYTES + 4096;

/// Which part of which list.
#[derive(Clone, Copy, Debug)]
pub struct ReferrerQuery<'a> {
    /// The digest that is referred to.
    pub subject: &'a Digest,
    /// Only entries of one of these types; all without one.
    pub artifact_types: &'a [String],
    /// Only entries strictly after this one, which need not exist.
    pub after: Option<&'a str>,
    /// How many at most, up to [`MAX_PAGE_ENTRIES`].
    pub limit: usize,
}

/// A part of the list, not yet read.
#[derive(Clone, Debug, Default)]
pub struct ReferrerPage {
    entries: Vec<Stored>,
    /// How many bytes its entries have together.
    pub bytes: u64,
    /// Where the next page goes on, if there is one.
    pub next: Option<Digest>,
}

#[derive(Clone, Debug)]
struct Stored {
    digest: Digest,
    key: Key,
    bytes: u64,
}

impl Repositories {
    /// Finds a page of what refers to a manifest. A repository that does not exist has nothing that does.
    pub async fn list_referrers(
        &self,
        repository: &RepositoryName,
        query: ReferrerQuery<'_>,
    ) -> Result<ReferrerPage, RegistryError> {
        let mut page = ReferrerPage::default();
        let limit = query.limit.min(MAX_PAGE_ENTRIES);
        if limit == 0 {
            return Ok(page);
        }
        self.complete_referrers(repository, query.subject).await?;
        let all = self.recorded_referrers(repository, query.subject).await?;
        let first = query.after.map_or(0, |after| all.partition_point(|known| *known.to_string() <= *after));
        let (mut examined, mut examined_bytes) = (0, 0);
        for batch in all[first..].chunks(BATCH) {
            for piece in pieces(self.living_referrers(repository, query.subject, batch).await?) {
                let last_examined = piece.last().map(|stored| stored.digest.clone());
                if !query.artifact_types.is_empty() {
                    examined_bytes += piece.iter().map(|stored| stored.bytes).sum::<u64>();
                }
                for found in self.fitting_referrers(piece, query.artifact_types).await? {
                    let full = page.entries.len() == limit || page.bytes + found.bytes > MAX_PAGE_BYTES;
                    if let Some(last) = page.entries.last().filter(|_| full) {
                        page.next = Some(last.digest.clone());
                        return Ok(page);
                    }
                    page.bytes += found.bytes;
                    page.entries.push(found);
                }
                if examined_bytes >= MAX_EXAMINED_BYTES && last_examined.as_ref() != all.last() {
                    page.next = last_examined;
                    return Ok(page);
                }
            }
            examined += batch.len();
            if examined >= MAX_EXAMINED && first + examined < all.len() {
                page.next = batch.last().cloned();
                return Ok(page);
            }
        }
        Ok(page)
    }

    /// Reads the descriptors of a page in pieces. One that was deleted since is left out.
    pub fn read_referrers(
        &self,
        page: ReferrerPage,
    ) -> impl Stream<Item = Result<Vec<Bytes>, StorageError>> + Send + use<> {
        let pieces: VecDeque<Vec<Stored>> = pieces(page.entries).into();
        stream::try_unfold((self.clone(), pieces), |(registry, mut pieces)| async move {
            let Some(piece) = pieces.pop_front() else { return Ok(None) };
            let descriptors = registry.read_descriptors(&piece).await?;
            let whole = descriptors.into_iter().flatten().collect();
            Ok(Some((whole, (registry, pieces))))
        })
    }

    /// The digests under which something is recorded, living or not, in byte order.
    async fn recorded_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Digest>, StorageError> {
        let mut digests = Vec::new();
        for algorithm in Algorithm::ALL {
            let folder = layout::referrers(repository, subject, algorithm);
            digests.extend(self.names_in(&folder, algorithm, EntryKind::Object).await?);
        }
        Ok(digests)
    }

    /// The digests that name something in a folder, in byte order; other names are not ours.
    async fn names_in(
        &self,
        folder: &Key,
        algorithm: Algorithm,
        kind: EntryKind,
    ) -> Result<Vec<Digest>, StorageError> {
        let entries = self.storage.list(folder).await?.unwrap_or_default();
        let digest = |entry: Entry| Digest::from_hex(algorithm, &entry.name).ok();
        Ok(entries.into_iter().filter(|entry| entry.kind == kind).filter_map(digest).collect())
    }

    /// Those of a batch whose manifest is there.
    async fn living_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        batch: &[Digest],
    ) -> Result<Vec<Stored>, StorageError> {
        let entries = batch.iter().map(|digest| layout::referrer(repository, subject, digest));
        let links = batch.iter().map(|digest| layout::revision_link(repository, digest));
        let keys: Vec<Key> = entries.chain(links).collect();
        let sizes = self.sizes(&keys).await?;
        let (entries, links) = sizes.split_at(batch.len());
        let living =
            batch.iter().zip(keys).zip(entries).zip(links).filter_map(|(((digest, key), size), link)| {
                link.as_ref()?;
                Some(Stored { digest: digest.clone(), key, bytes: (*size)? })
            });
        Ok(living.collect())
    }

    /// Those of a piece that have one of these types; all without one.
    async fn fitting_referrers(
        &self,
        piece: Vec<Stored>,
        artifact_types: &[String],
    ) -> Result<Vec<Stored>, StorageError> {
        if artifact_types.is_empty() {
            return Ok(piece);
        }
        let descriptors = self.read_descriptors(&piece).await?;
        let fits = |descriptor: Bytes| {
            let found = artifact_type_of(&descriptor).ok().flatten();
            found.is_some_and(|found| artifact_types.iter().any(|wanted| **wanted == *found))
        };
        let fitting = piece.into_iter().zip(descriptors);
        Ok(fitting
            .filter_map(|(stored, descriptor)| descriptor.is_some_and(fits).then_some(stored))
            .collect())
    }

    /// The descriptors of a piece; nothing for one that is gone or damaged.
    async fn read_descriptors(&self, piece: &[Stored]) -> Result<Vec<Option<Bytes>>, StorageError> {
        let keys: Vec<Key> = piece.iter().map(|stored| stored.key.clone()).collect();
        let contents = self.read_each(&keys, ENTRY_LIMIT_BYTES).await?;
        let whole = |(key, content): (&Key, Result<Option<Bytes>, StorageError>)| match content {
            Ok(content) => content.filter(|content| is_descriptor(key, content)),
            Err(error) => {
                tracing::warn!(%error, "an entry of the referrers cannot be read");
                None
            }
        };
        Ok(keys.iter().zip(contents).map(whole).collect())
    }
}

/// Whether an entry is whole; loss of power does not leave others, but disks do.
fn is_descriptor(key: &Key, content: &[u8]) -> bool {
    let parsed = artifact_type_of(content);
    if let Err(error) = &parsed {
        tracing::warn!(%key, %error, "an entry of the referrers is damaged; `registry reindex` mends it");
    }
    parsed.is_ok()
}

/// Cuts a list so that no piece is larger than is read at a time, unless it is a single entry.
fn pieces(entries: Vec<Stored>) -> Vec<Vec<Stored>> {
    let mut pieces: Vec<Vec<Stored>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        match pieces.last_mut() {
            Some(piece) if bytes + entry.bytes <= PIECE_BYTES => {
                bytes += entry.bytes;
                piece.push(entry);
            }
            _ => {
                bytes = entry.bytes;
                pieces.push(vec![entry]);
            }
        }
    }
    pieces
}

#[cfg(test)]
mod tests;
