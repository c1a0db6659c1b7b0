//! Collecting garbage: removing content that no manifest needs, while nobody writes.
//!
//! *Invariant:* nothing a client can pull is taken. A repository in which anything cannot be read or followed is left
//! as it is, and all it has is kept: what was not understood is never evidence that something is dead.
//!
//! The argument, which assumes that nobody writes meanwhile:
//! 1. Everything a client can pull from a repository it reaches from a *root*, a revision link or a tag link, or, with
//!    `delete_untagged`, from a tag alone. [`mark`] follows all roots to the end before anything is removed; it decides
//!    links for each repository by itself, and bytes for all of them together. An error ends it with nothing changed.
//! 2. `sweep` removes links first, of manifests before their children, then bytes. So whenever it dies, a manifest that
//!    is still linked has all that it had, and the next run finds again what this one has left.
//! 3. Uploads are not touched: their bytes are not blobs yet, and a blob no manifest needs was promised to nobody.
//!
//! Reading order: `walk` finds repositories, `inventory` is what the links of one say, [`mark`] is what they reach,
//! `plan` what that leaves, `sweep` removes it; [`report`] is what is told about it.

use self::plan::{Plan, Planner};
use self::report::{Event, Observer};
use super::Repositories;
use crate::storage::error::StorageError;
use crate::storage::{TreeClaim, layout};

pub mod report;

mod digests;

mod walk;

mod inventory;

pub mod mark;

mod plan;

mod sweep;

/// How to collect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectionOptions {
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Also take manifests that no tag leads to.
    pub delete_untagged: bool,
}

/// Why nothing, or not everything, was collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectionError {
    /// The folder of all repositories is not there: more likely a wrong path than an empty registry.
    #[error("there are no images: nothing was ever pushed, or rootdirectory is not the folder of a registry")]
    NoImages,
    /// Somebody has claimed the tree.
    #[error("a registry is serving these images: stop it first, or start it read-only")]
    Served,
    /// The tree failed. What was removed before was garbage, and the next run goes on.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Repositories {
    /// Removes what no manifest needs. Nobody may write to the tree meanwhile; registries of ours are kept from it.
    pub async fn collect_garbage(
        &self,
        options: CollectionOptions,
        observer: &mut dyn Observer,
    ) -> Result<(), CollectionError> {
        if self.storage.list(&layout::repositories()).await?.is_none() {
            return Err(CollectionError::NoImages);
        }
        let planner = Planner::new(self, options.delete_untagged, &mut *observer);
        if options.dry_run {
            planner.plan().await?.tell(observer);
            return Ok(());
        }
        let claim = self.storage.claim_tree_soon(TreeClaim::Alone).await?;
        let _alone = claim.ok_or(CollectionError::Served)?;
        let plan = planner.plan().await?;
        plan.tell(observer);
        Ok(self.sweep(plan).await?)
    }
}

impl Plan {
    fn tell(&self, observer: &mut dyn Observer) {
        for repository in &self.repositories {
            for manifest in &repository.manifests {
                observer.tell(Event::ManifestEligible {
                    repository: &repository.name,
                    digest: &manifest.digest,
                    tags: &manifest.tags,
                });
            }
        }
        observer.tell(Event::Summary {
            marked: self.marked,
            blobs: self.blobs.len(),
            manifests: self.repositories.iter().map(|repository| repository.manifests.len()).sum(),
        });
        for digest in self.blobs.iter() {
            observer.tell(Event::BlobEligible { digest: &digest });
        }
        for repository in &self.repositories {
            for digest in &repository.layers {
                observer.tell(Event::LayerLinkEligible { repository: &repository.name, digest });
            }
        }
    }
}

#[cfg(test)]
mod tests;
