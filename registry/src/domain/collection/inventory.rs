//! What the links of one repository say: which manifests it has, what its tags name, under which other digests its
//! content is known.
//!
//! *Invariant:* an inventory that is sound names every manifest and every alias of the repository. A link that cannot be
//! read is told, and makes it unsound unless its place alone says everything.

use std::collections::BTreeMap;

use shared::repository_name::RepositoryName;

use super::digests::{Digests, Hash};
use crate::domain::Repositories;
use crate::oci::digest::{self, Algorithm, Digest};
use crate::storage::EntryKind;
use crate::storage::error::StorageError;
use crate::storage::layout::{self, Key};

/// The links of a repository.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// Manifests linked under their canonical digest.
    pub(super) revisions: Digests,
    /// Manifests linked under another digest, and their canonical one.
    pub(super) long_revisions: BTreeMap<Digest, Hash>,
    /// Blobs linked under another digest, and their canonical one.
    pub(super) long_layers: BTreeMap<Digest, Hash>,
    /// What tags name.
    pub(super) tagged: Digests,
    /// What is wrong.
    pub(super) trouble: Vec<String>,
    /// Whether all of it could be read.
    pub(super) sound: bool,
}

impl Inventory {
    pub(super) async fn take(
        repositories: &Repositories,
        repository: &RepositoryName,
    ) -> Result<Self, StorageError> {
        let mut inventory = Self { sound: true, ..Self::default() };
        inventory.take_revisions(repositories, repository).await?;
        inventory.take_long_layers(repositories, repository).await?;
        inventory.take_tags(repositories, repository).await?;
        Ok(inventory)
    }

    /// The canonical digest of what the repository knows as `digest`; `None` if it knows nothing by that name.
    pub(super) fn canonical(&self, digest: &Digest) -> Option<Hash> {
        let long = || self.long_revisions.get(digest).or_else(|| self.long_layers.get(digest)).copied();
        digest.sha256_bytes().or_else(long)
    }

    /// All manifests of the repository.
    pub(super) fn manifests(&self) -> Digests {
        let mut all = self.revisions.clone();
        for hash in self.long_revisions.values() {
            all.insert(*hash);
        }
        all
    }

    async fn take_revisions(
        &mut self,
        repositories: &Repositories,
        repository: &RepositoryName,
    ) -> Result<(), StorageError> {
        self.distrust_foreign(repositories, &layout::revision_algorithms(repository)).await?;
        let link_of = |digest: &Digest| layout::revision_link(repository, digest);
        for (digest, link) in repositories
            .links_in(&layout::revisions(repository, Algorithm::Sha256), Algorithm::Sha256, link_of)
            .await?
        {
            // Where it lies says what it names, so damage inside hides nothing.
            self.revisions.insert_known(digest.sha256_bytes());
            match link {
                Ok(target) => self.revisions.insert_known(target.sha256_bytes()),
                Err(error) => self.trouble.push(error.to_string()),
            }
        }
        for (digest, link) in repositories
            .links_in(&layout::revisions(repository, Algorithm::Sha512), Algorithm::Sha512, link_of)
            .await?
        {
            if let Some(hash) = self.target(link) {
                self.long_revisions.insert(digest, hash);
            }
        }
        Ok(())
    }

    async fn take_long_layers(
        &mut self,
        repositories: &Repositories,
        repository: &RepositoryName,
    ) -> Result<(), StorageError> {
        let link_of = |digest: &Digest| layout::layer_link(repository, digest);
        for (digest, link) in repositories
            .links_in(&layout::layers(repository, Algorithm::Sha512), Algorithm::Sha512, link_of)
            .await?
        {
            if let Some(hash) = self.target(link) {
                self.long_layers.insert(digest, hash);
            }
        }
        Ok(())
    }

    async fn take_tags(
        &mut self,
        repositories: &Repositories,
        repository: &RepositoryName,
    ) -> Result<(), StorageError> {
        let tags = repositories.tag_folders(repository).await?.unwrap_or_default();
        let keys: Vec<_> = tags.iter().map(|tag| layout::tag_current_link(repository, tag)).collect();
        for link in repositories.read_links(&keys).await? {
            match link {
                Ok(None) => {}
                Ok(Some(digest)) => {
                    let canonical = self.canonical(&digest);
                    self.tagged.insert_known(canonical);
                }
                Err(error) => self.distrust(error.to_string()),
            }
        }
        Ok(())
    }

    /// Notes that something is not known.
    pub(super) fn distrust(&mut self, trouble: String) {
        self.trouble.push(trouble);
        self.sound = false;
    }

    /// What a link whose place does not say it names.
    fn target(&mut self, link: Result<Digest, StorageError>) -> Option<Hash> {
        let hash = match link {
            Ok(digest) => digest
                .sha256_bytes()
                .ok_or_else(|| format!("a link names {digest}, which no bytes are kept under")),
            Err(error) => Err(error.to_string()),
        };
        hash.map_err(|trouble| self.distrust(trouble)).ok()
    }

    /// Manifests under digests this registry cannot compute may be served by another.
    async fn distrust_foreign(
        &mut self,
        repositories: &Repositories,
        folder: &Key,
    ) -> Result<(), StorageError> {
        for name in repositories.folders_in(folder).await? {
            let known = [Algorithm::Sha256, Algorithm::Sha512].iter().any(|known| known.as_str() == name);
            // Other names are no algorithms, and nothing any registry would look into.
            if !known && digest::is_well_formed(&format!("{name}:0")) {
                self.distrust(format!("{folder}/{name} is of an algorithm this registry does not know"));
            }
        }
        Ok(())
    }
}

impl Repositories {
    /// Names of the folders directly below one that need not exist.
    pub(super) async fn folders_in(&self, folder: &Key) -> Result<Vec<String>, StorageError> {
        let entries = self.storage.list(folder).await?.unwrap_or_default();
        Ok(entries
            .into_iter()
            .filter(|entry| entry.kind == EntryKind::Folder)
            .map(|entry| entry.name)
            .collect())
    }

    /// The digests of `algorithm` that have a folder in `folder`, with a link in it or not.
    pub(super) async fn digests_in(
        &self,
        folder: &Key,
        algorithm: Algorithm,
    ) -> Result<Vec<Digest>, StorageError> {
        let names = self.folders_in(folder).await?;
        Ok(names.iter().filter_map(|name| Digest::from_hex(algorithm, name).ok()).collect())
    }

    /// The links in `folder`, and what each says.
    async fn links_in(
        &self,
        folder: &Key,
        algorithm: Algorithm,
        link_of: impl Fn(&Digest) -> Key,
    ) -> Result<Vec<(Digest, Result<Digest, StorageError>)>, StorageError> {
        let digests = self.digests_in(folder, algorithm).await?;
        let keys: Vec<_> = digests.iter().map(link_of).collect();
        let links = self.read_links(&keys).await?;
        let there =
            digests.into_iter().zip(links).filter_map(|(digest, link)| Some((digest, link.transpose()?)));
        Ok(there.collect())
    }
}
