//! What a mark leaves: the links and the bytes to remove.
//!
//! *Invariant:* a plan is made completely before anything is removed, and names only what exists and was not reached.

use std::collections::BTreeMap;

use shared::repository_name::RepositoryName;

use super::digests::{Digests, Hash};
use super::inventory::Inventory;
use super::mark::{Mark, Reached};
use super::report::Observer;
use super::walk::{Found, Walk};
use crate::domain::{Repositories, links};
use crate::oci::digest::{Algorithm, Digest};
use crate::oci::reference::Tag;
use crate::storage::error::StorageError;
use crate::storage::layout::{self, Key};

/// What to remove.
#[derive(Debug)]
pub(super) struct Plan {
    /// Repositories with something to remove.
    pub(super) repositories: Vec<DeadLinks>,
    /// Bytes nobody needs.
    pub(super) blobs: Digests,
    /// How many blobs are alive.
    pub(super) marked: usize,
}

/// The links of one repository that have to go.
#[derive(Debug)]
pub(super) struct DeadLinks {
    pub(super) name: RepositoryName,
    /// Each before the manifests it lists.
    pub(super) manifests: Vec<DeadRevision>,
    pub(super) layers: Vec<Digest>,
}

/// A manifest to take out of its repository.
#[derive(Debug)]
pub(super) struct DeadRevision {
    /// What it is linked under.
    pub(super) digest: Digest,
    /// The tags that once named it.
    pub(super) tags: Vec<Tag>,
}

/// Makes a plan.
pub(super) struct Planner<'a> {
    repositories: &'a Repositories,
    delete_untagged: bool,
    mark: Mark<'a>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        repositories: &'a Repositories,
        delete_untagged: bool,
        observer: &'a mut dyn Observer,
    ) -> Self {
        Self { repositories, delete_untagged, mark: Mark::new(repositories, observer) }
    }

    pub(super) async fn plan(mut self) -> Result<Plan, StorageError> {
        let mut dead = Vec::new();
        let mut all_named = true;
        let mut walk = Walk::begin(self.repositories).await?;
        while let Some(found) = walk.next().await? {
            match found {
                Found::Repository(name) => {
                    if let Some((inventory, reached)) =
                        self.mark.repository(&name, self.delete_untagged).await?
                    {
                        dead.extend(self.dead_links(name, &inventory, &reached).await?);
                    }
                }
                Found::Unnamed(path) => {
                    let reason = "not the name of a repository, but it has a repository's folders; because of this, \
                                  no bytes are removed";
                    self.mark.kept(&path, reason);
                    all_named = false;
                }
            }
        }
        let live = self.mark.into_live();
        let blobs = if all_named { self.repositories.dead_blobs(&live).await? } else { Digests::default() };
        Ok(Plan { repositories: dead, blobs, marked: live.len() })
    }

    async fn dead_links(
        &self,
        name: RepositoryName,
        inventory: &Inventory,
        reached: &Reached,
    ) -> Result<Option<DeadLinks>, StorageError> {
        let mut manifests = dead_revisions(inventory, reached);
        if !manifests.is_empty() {
            self.find_tags(&name, &mut manifests).await?;
        }
        let layers = self.dead_layers(&name, inventory, reached).await?;
        let nothing = manifests.is_empty() && layers.is_empty();
        Ok((!nothing).then_some(DeadLinks { name, manifests, layers }))
    }

    /// Finds the tags in whose history dead manifests stand.
    async fn find_tags(
        &self,
        repository: &RepositoryName,
        dead: &mut [DeadRevision],
    ) -> Result<(), StorageError> {
        let places: BTreeMap<Digest, usize> =
            dead.iter().enumerate().map(|(place, revision)| (revision.digest.clone(), place)).collect();
        for tag in self.repositories.tag_folders(repository).await?.unwrap_or_default() {
            for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
                let history = layout::tag_index(repository, &tag, algorithm);
                for digest in self.repositories.digests_in(&history, algorithm).await? {
                    if let Some(place) = places.get(&digest) {
                        dead[*place].tags.push(tag.clone());
                    }
                }
            }
        }
        Ok(())
    }

    async fn dead_layers(
        &self,
        repository: &RepositoryName,
        inventory: &Inventory,
        reached: &Reached,
    ) -> Result<Vec<Digest>, StorageError> {
        let layers = layout::layers(repository, Algorithm::Sha256);
        let short = self.repositories.digests_in(&layers, Algorithm::Sha256).await?;
        let is_dead = |hash: Option<Hash>| hash.is_some_and(|hash| !reached.content.contains(&hash));
        let short = short.into_iter().filter(|digest| is_dead(digest.sha256_bytes())).collect();
        let mut dead =
            self.repositories.existing(short, |digest| layout::layer_link(repository, digest)).await?;
        let long = inventory.long_layers.iter().filter(|(_, hash)| is_dead(Some(**hash)));
        dead.extend(long.map(|(digest, _)| digest.clone()));
        Ok(dead)
    }
}

impl Repositories {
    async fn dead_blobs(&self, live: &Digests) -> Result<Digests, StorageError> {
        let mut dead = Digests::default();
        for beginning in self.folders_in(&layout::blobs()).await? {
            let names = self.folders_in(&layout::blobs_beginning(&beginning)).await?;
            let digests = names.iter().filter_map(|name| Digest::from_hex(Algorithm::Sha256, name).ok());
            // A folder in the wrong place is nobody's blob.
            let digests =
                digests.filter(|digest| digest.hex().starts_with(&beginning) && beginning.len() == 2);
            let candidates =
                digests.filter(|digest| digest.sha256_bytes().is_some_and(|hash| !live.contains(&hash)));
            for digest in self.existing(candidates.collect(), layout::blob).await? {
                dead.insert_known(digest.sha256_bytes());
            }
        }
        Ok(dead)
    }

    /// Those whose object is there.
    async fn existing(
        &self,
        digests: Vec<Digest>,
        key_of: impl Fn(&Digest) -> Key,
    ) -> Result<Vec<Digest>, StorageError> {
        let mut there = Vec::new();
        for batch in digests.chunks(links::BATCH) {
            let sizes = self.storage.sizes(batch.iter().map(&key_of).collect()).await?;
            let found = batch.iter().zip(sizes).filter(|(_, size)| size.is_some());
            there.extend(found.map(|(digest, _)| digest.clone()));
        }
        Ok(there)
    }
}

/// The links of manifests that were not reached, each before the manifests it lists, so that whoever stops in the middle
/// leaves no list with something missing.
fn dead_revisions(inventory: &Inventory, reached: &Reached) -> Vec<DeadRevision> {
    let mut revisions = Vec::new();
    for hash in parents_first(&reached.dead) {
        let canonical = inventory.revisions.contains(&hash).then(|| Digest::from_sha256_bytes(hash));
        let long = inventory.long_revisions.iter().filter(|(_, target)| **target == hash);
        let names = canonical.into_iter().chain(long.map(|(digest, _)| digest.clone()));
        revisions.extend(names.map(|digest| DeadRevision { digest, tags: Vec::new() }));
    }
    revisions
}

fn parents_first(dead: &BTreeMap<Hash, Vec<Hash>>) -> Vec<Hash> {
    let mut listed: BTreeMap<Hash, usize> = dead.keys().map(|hash| (*hash, 0)).collect();
    for child in dead.values().flatten() {
        if let Some(count) = listed.get_mut(child) {
            *count += 1;
        }
    }
    let mut ready: Vec<Hash> =
        listed.iter().filter(|(_, count)| **count == 0).map(|(hash, _)| *hash).collect();
    ready.reverse();
    let mut order = Vec::with_capacity(dead.len());
    while let Some(hash) = ready.pop() {
        order.push(hash);
        for child in dead.get(&hash).into_iter().flatten() {
            if let Some(count) = listed.get_mut(child) {
                *count -= 1;
                if *count == 0 {
                    ready.push(*child);
                }
            }
        }
    }
    // No manifest can list itself, however deep: it would have to hold its own hash, and each was hashed.
    debug_assert_eq!(order.len(), dead.len());
    order
}
