//! Removing what a plan names.
//!
//! *Invariant:* links go before the bytes they name, the history of tags before the link of a manifest, and a manifest's
//! link, durably, before those of its children; so a sweep can end anywhere, and what is still linked is complete.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::plan::{DeadLinks, Plan};
use crate::domain::Repositories;
use crate::storage::error::StorageError;
use crate::storage::{Durability, layout};

/// How many removals go on at a time.
const REMOVERS: usize = 8;

impl Repositories {
    /// Removes everything in a plan. Can be begun again after an error.
    pub(super) async fn sweep(&self, plan: Plan) -> Result<(), StorageError> {
        for repository in &plan.repositories {
            self.sweep_manifests(repository).await?;
        }
        for repository in &plan.repositories {
            self.sweep_layers(repository).await?;
        }
        let removals = stream::iter(plan.blobs.iter()).map(async |digest| {
            // What loss of power brings back is garbage again.
            self.storage.remove(&layout::blob(&digest), Durability::Relaxed).await?;
            self.storage.remove_tree(&layout::blob_folder(&digest), Durability::Relaxed).await
        });
        removals.buffer_unordered(REMOVERS).try_collect().await
    }

    async fn sweep_manifests(&self, repository: &DeadLinks) -> Result<(), StorageError> {
        let name = &repository.name;
        for manifest in &repository.manifests {
            for tag in &manifest.tags {
                self.storage
                    .remove_tree(&layout::tag_index_folder(name, tag, &manifest.digest), Durability::Relaxed)
                    .await?;
            }
            let subject = self.subject_of(name, &manifest.digest).await;
            // Were it to come back without its bytes, the repository would seem damaged.
            self.storage.remove(&layout::revision_link(name, &manifest.digest), Durability::Synced).await?;
            self.storage
                .remove_tree(&layout::revision_folder(name, &manifest.digest), Durability::Relaxed)
                .await?;
            if let Some(subject) = subject {
                // Without a revision it counts for nothing, should this not come to be.
                let entry = layout::referrer(name, &subject, &manifest.digest);
                self.storage.remove(&entry, Durability::Relaxed).await?;
            }
        }
        Ok(())
    }

    async fn sweep_layers(&self, repository: &DeadLinks) -> Result<(), StorageError> {
        let removals = stream::iter(&repository.layers).map(async |digest| {
            let link = layout::layer_link(&repository.name, digest);
            self.storage.remove(&link, Durability::Relaxed).await?;
            self.storage
                .remove_tree(&layout::layer_folder(&repository.name, digest), Durability::Relaxed)
                .await
        });
        removals.buffer_unordered(REMOVERS).try_collect().await
    }
}
