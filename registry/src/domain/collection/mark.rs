//! Marking: what the roots of each repository reach.
//!
//! *Invariant:* when a mark has ended, its live bytes are at least all that any root of any marked
//! repository reaches, and a `Reached` at least all that the roots of its repository reach. Nothing is written.
//!
//! Roots are the revision links and the tag links of a repository; if untagged manifests are to go, its tag links alone.
//! A manifest reaches its config, layers and children, whatever of it the repository knows as a manifest is followed,
//! and a manifest whose subject is reached is reached too. Links are decided for each repository by itself, so that
//! what another one does with the same manifest makes no difference; bytes are shared and live if anybody's are.
//!
//! Memory: 32 bytes for each digest alive anywhere, the links of one repository, and `READERS` manifests.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use shared::repository_name::RepositoryName;

use super::digests::{Digests, Hash};
use super::inventory::Inventory;
use super::report::{Event, Observer};
use crate::domain::Repositories;
use crate::domain::manifests::MANIFEST_LIMIT_BYTES;
use crate::oci::digest::{Algorithm, Digest};
use crate::oci::manifest::references::References;
use crate::storage::error::StorageError;
use crate::storage::layout;

/// How many manifests are read at a time.
const READERS: usize = 8;

/// A mark that goes on repository by repository.
pub(super) struct Mark<'a> {
    repositories: &'a Repositories,
    observer: &'a mut dyn Observer,
    live: Digests,
}

/// What is alive in one repository.
#[derive(Debug, Default)]
pub(super) struct Reached {
    /// All content, by canonical digest.
    pub(super) content: Digests,
    /// Those that were followed as manifests.
    manifests: Digests,
    /// The manifests that were not reached, and which manifests of the repository each lists.
    pub(super) dead: BTreeMap<Hash, Vec<Hash>>,
}

/// Why a manifest could not be read: told, and no reason to stop.
struct Unreadable(String);

impl<'a> Mark<'a> {
    pub(super) fn new(repositories: &'a Repositories, observer: &'a mut dyn Observer) -> Self {
        Self { repositories, observer, live: Digests::default() }
    }

    /// The bytes that are alive, after all repositories were marked.
    pub(super) fn into_live(self) -> Digests {
        self.live
    }

    /// Tells what is kept without having been understood.
    pub(super) fn kept(&mut self, repository: &str, reason: &str) {
        self.observer.tell(Event::Kept { repository, reason });
    }

    /// Marks what the roots of one repository reach. `None` if something could not be read or followed: then all that
    /// the repository has is alive.
    pub(super) async fn repository(
        &mut self,
        repository: &RepositoryName,
        delete_untagged: bool,
    ) -> Result<Option<(Inventory, Reached)>, StorageError> {
        self.observer.tell(Event::Repository(repository));
        let mut inventory = Inventory::take(self.repositories, repository).await?;
        let mut reached = Reached::default();
        let manifests = inventory.manifests();
        let tags_only = delete_untagged && inventory.sound;
        let untagged = manifests.hashes().filter(|_| !tags_only);
        let roots = untagged.chain(inventory.tagged.hashes()).collect();
        self.trace(repository, &mut inventory, &manifests, &mut reached, roots).await?;
        if tags_only && inventory.sound {
            self.trace_referrers(repository, &mut inventory, &manifests, &mut reached).await?;
        }
        let sound = inventory.sound;
        if !sound {
            let all = manifests.hashes().collect();
            self.trace(repository, &mut inventory, &manifests, &mut reached, all).await?;
            self.keep_layers(repository, &inventory).await?;
        }
        for trouble in &inventory.trouble {
            self.kept(repository.as_str(), trouble);
        }
        if sound {
            return Ok(Some((inventory, reached)));
        }
        self.kept(repository.as_str(), "because of this, nothing is removed from this repository");
        Ok(None)
    }

    /// Follows `roots` and all they reach.
    async fn trace(
        &mut self,
        repository: &RepositoryName,
        inventory: &mut Inventory,
        manifests: &Digests,
        reached: &mut Reached,
        roots: Vec<Hash>,
    ) -> Result<(), StorageError> {
        let mut ahead: Vec<Hash> = roots.into_iter().filter(|root| reached.manifests.insert(*root)).collect();
        while !ahead.is_empty() {
            let mut reading = read_all(self.repositories, std::mem::take(&mut ahead));
            while let Some((hash, outcome)) = reading.next().await {
                let references = match outcome? {
                    // A tag whose manifest is gone names nothing.
                    Ok(None) if !manifests.contains(&hash) => continue,
                    Ok(None) => Err(Unreadable("its bytes are not there".to_owned())),
                    Ok(Some(references)) => Ok(references),
                    Err(unreadable) => Err(unreadable),
                };
                let digest = Digest::from_sha256_bytes(hash);
                self.observer.tell(Event::MarkingManifest { repository, digest: &digest });
                self.live.insert(hash);
                reached.content.insert(hash);
                let Some(references) = inventory.accept(&digest, references) else { continue };
                for needed in &references.content {
                    let Some(hash) = inventory.canonical(needed) else { continue };
                    reached.content.insert(hash);
                    self.mark_blob(repository, hash);
                    if manifests.contains(&hash) && reached.manifests.insert(hash) {
                        ahead.push(hash);
                    }
                }
            }
        }
        Ok(())
    }

    /// Follows the manifests that are about something alive, until there are no more of them.
    async fn trace_referrers(
        &mut self,
        repository: &RepositoryName,
        inventory: &mut Inventory,
        manifests: &Digests,
        reached: &mut Reached,
    ) -> Result<(), StorageError> {
        let rest: Vec<Hash> = manifests.hashes().filter(|hash| !reached.manifests.contains(hash)).collect();
        let mut about: BTreeMap<Hash, Vec<Hash>> = BTreeMap::new();
        let mut reading = read_all(self.repositories, rest);
        while let Some((hash, outcome)) = reading.next().await {
            let outcome = outcome?.and_then(|references| {
                references.ok_or_else(|| Unreadable("its bytes are not there".to_owned()))
            });
            let digest = Digest::from_sha256_bytes(hash);
            let Some(references) = inventory.accept(&digest, outcome) else { continue };
            let children = references.content.iter().filter_map(|needed| inventory.canonical(needed));
            let children = children.filter(|child| manifests.contains(child)).collect();
            let subject = references.subject.and_then(|subject| inventory.canonical(&subject));
            if let Some(subject) = subject {
                about.entry(subject).or_default().push(hash);
            }
            reached.dead.insert(hash, children);
        }
        loop {
            let alive = |subject: &Hash| reached.manifests.contains(subject);
            let subjects: Vec<Hash> = about.keys().copied().filter(alive).collect();
            let referrers: Vec<Hash> =
                subjects.iter().filter_map(|subject| about.remove(subject)).flatten().collect();
            if referrers.is_empty() {
                break;
            }
            self.trace(repository, inventory, manifests, reached, referrers).await?;
        }
        reached.dead.retain(|hash, _| !reached.manifests.contains(hash));
        Ok(())
    }

    /// Marks every blob that is linked in a repository.
    async fn keep_layers(
        &mut self,
        repository: &RepositoryName,
        inventory: &Inventory,
    ) -> Result<(), StorageError> {
        let layers = layout::layers(repository, Algorithm::Sha256);
        let short = self.repositories.digests_in(&layers, Algorithm::Sha256).await?;
        let short = short.iter().filter_map(Digest::sha256_bytes);
        for hash in short.chain(inventory.long_layers.values().copied()) {
            self.mark_blob(repository, hash);
        }
        Ok(())
    }

    fn mark_blob(&mut self, repository: &RepositoryName, hash: Hash) {
        if self.live.insert(hash) {
            let digest = Digest::from_sha256_bytes(hash);
            self.observer.tell(Event::MarkingBlob { repository, digest: &digest });
        }
    }
}

impl Inventory {
    /// Notes what is wrong with a manifest of the repository, and hands back what is known of it.
    fn accept(&mut self, digest: &Digest, references: Result<References, Unreadable>) -> Option<References> {
        match references {
            Ok(references) => {
                if !references.complete {
                    self.distrust(format!(
                        "manifest {digest} refers to content by a digest this registry cannot compute"
                    ));
                }
                Some(references)
            }
            Err(Unreadable(reason)) => {
                self.distrust(format!("manifest {digest} cannot be read: {reason}"));
                None
            }
        }
    }
}

type Outcome = Result<Result<Option<References>, Unreadable>, StorageError>;

/// Reads manifests, a few at a time, in this order.
fn read_all(
    repositories: &Repositories,
    hashes: Vec<Hash>,
) -> impl stream::Stream<Item = (Hash, Outcome)> + Unpin + use<'_> {
    let read = async |hash| (hash, read(repositories, &Digest::from_sha256_bytes(hash)).await);
    Box::pin(stream::iter(hashes).map(read).buffered(READERS))
}

/// What the bytes of a manifest refer to; `None` if there are none.
async fn read(repositories: &Repositories, digest: &Digest) -> Outcome {
    let bytes = match repositories.storage.read(&layout::blob(digest), MANIFEST_LIMIT_BYTES).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Ok(None)),
        // A backend that is not there at the moment says nothing about this manifest.
        Err(error @ (StorageError::Unavailable { .. } | StorageError::Stopped)) => return Err(error),
        Err(error) => return Ok(Err(Unreadable(error.to_string()))),
    };
    // Damaged bytes can still be well-formed and name other content than was pushed.
    if Digest::sha256_of(&bytes) != *digest {
        return Ok(Err(Unreadable("its bytes are not those that were pushed".to_owned())));
    }
    Ok(match References::of(&bytes) {
        Some(references) => Ok(Some(references)),
        None => Err(Unreadable("it is no JSON object".to_owned())),
    })
}
