//! Listing the tags of a repository.
//!
//! *Invariant:* tags come in byte order, strictly after the one asked for, and only those that can be pulled: a tag
//! whose revision is gone, or whose link is damaged, is left out.
//!
//! Spec: end-8a, end-8b.

use std::collections::HashSet;

use shared::repository_name::RepositoryName;

use super::error::RegistryError;
use super::{Repositories, links};
use crate::oci::digest::Digest;
use crate::oci::reference::Tag;
use crate::storage::error::StorageError;
use crate::storage::{EntryKind, layout};

/// A part of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPage {
    /// In byte order.
    pub tags: Vec<Tag>,
    /// Whether there are tags behind the last one; never after an empty page that was asked for.
    pub more: bool,
}

impl Repositories {
    /// Lists at most `limit` tags (all without one) strictly after `after`, which need not exist.
    pub async fn list_tags(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Result<TagPage, RegistryError> {
        let all = match self.tag_folders(repository).await? {
            Some(all) => all,
            None if self.is_repository(repository).await? => Vec::new(),
            None => return Err(RegistryError::RepositoryUnknown { repository: repository.clone() }),
        };
        let first = after.map_or(0, |after| all.partition_point(|tag| tag.as_str() <= after));
        let candidates = &all[first..];
        let limit = limit.unwrap_or(usize::MAX);
        let mut page = TagPage { tags: Vec::new(), more: false };
        if limit == 0 {
            return Ok(page);
        }
        // One more than asked for is enough to know whether there is more, so a page reads the names of
        // all tags, and of the links about as many as it shows.
        let batch = limit.saturating_add(1).min(links::BATCH);
        for candidates in candidates.chunks(batch) {
            for tag in self.living_tags(repository, candidates).await? {
                if page.tags.len() == limit {
                    page.more = true;
                    return Ok(page);
                }
                page.tags.push(tag);
            }
        }
        Ok(page)
    }

    /// Every name that has a folder, living or not; `None` if the repository never had a tag.
    pub(super) async fn tag_folders(
        &self,
        repository: &RepositoryName,
    ) -> Result<Option<Vec<Tag>>, StorageError> {
        let Some(entries) = self.storage.list(&layout::tags(repository)).await? else { return Ok(None) };
        let folders = entries.into_iter().filter(|entry| entry.kind == EntryKind::Folder);
        Ok(Some(folders.filter_map(|entry| Tag::parse(&entry.name).ok()).collect()))
    }

    async fn living_tags(&self, repository: &RepositoryName, tags: &[Tag]) -> Result<Vec<Tag>, StorageError> {
        let keys: Vec<_> = tags.iter().map(|tag| layout::tag_current_link(repository, tag)).collect();
        let mut named: Vec<(&Tag, Digest)> = Vec::with_capacity(tags.len());
        for (tag, link) in tags.iter().zip(self.read_links(&keys).await?) {
            match link {
                Ok(Some(digest)) => named.push((tag, digest)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(repository.name = %repository, %tag, %error, "a tag cannot be read");
                }
            }
        }
        // Many tags often name one manifest, which then is looked at once.
        let mut digests: Vec<&Digest> = named.iter().map(|(_, digest)| digest).collect();
        digests.sort_unstable();
        digests.dedup();
        let links: Vec<_> = digests.iter().map(|digest| layout::revision_link(repository, digest)).collect();
        let sizes = self.sizes(&links).await?;
        let living: HashSet<&Digest> = digests
            .into_iter()
            .zip(sizes)
            .filter(|(_, size)| size.is_some())
            .map(|(digest, _)| digest)
            .collect();
        Ok(named
            .iter()
            .filter(|(_, digest)| living.contains(digest))
            .map(|(tag, _)| (*tag).clone())
            .collect())
    }
}

#[cfg(test)]
mod tests;
