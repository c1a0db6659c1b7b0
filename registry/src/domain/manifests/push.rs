//! Pushing a manifest: check it, write it, name it.
//!
//! *Invariant:* a manifest that was acknowledged has all it needs linked in its repository at the time of the check,
//! and is written in the order bytes → revision link → referrer → tags (of each the index link, then the current
//! link), each durable before the next; so a tag never names what is not there. A refused push writes nothing, and
//! what it was judged by is what it replaces.
//!
//! Spec: end-7a, end-7b.

use std::collections::BTreeSet;

use bytes::Bytes;
use shared::limits::Limits;
use shared::repository_name::RepositoryName;

use super::precondition::Precondition;
use crate::domain::error::RegistryError;
use crate::domain::limits::{check_push_by_digest, check_tagging};
use crate::domain::{Repositories, links, to_the_end};
use crate::oci::digest::Digest;
use crate::oci::manifest::{InvalidManifest, Manifest, each_once};
use crate::oci::media_type::ManifestType;
use crate::oci::reference::{Reference, Tag};
use crate::storage::error::StorageError;
use crate::storage::layout::Key;
use crate::storage::{Durability, Lock, layout};

/// The largest manifest in bytes. Not less, because the specification tells clients to rely on 4 MB; not more,
/// because a manifest is held in memory.
pub const MANIFEST_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// A manifest on its way in.
#[derive(Clone, Debug)]
pub struct ManifestPush {
    /// Where it is put.
    pub reference: Reference,
    /// More names for one that is put by digest.
    pub tags: Vec<Tag>,
    /// What the client says it is.
    pub content_type: String,
    /// The exact bytes.
    pub bytes: Bytes,
    /// What must be so of `reference` before.
    pub precondition: Precondition,
}

impl ManifestPush {
    /// A push to one place, whatever was there before.
    pub fn new(reference: Reference, content_type: &str, bytes: Bytes) -> Self {
        let content_type = content_type.to_owned();
        Self { reference, tags: Vec::new(), content_type, bytes, precondition: Precondition::default() }
    }

    /// Every tag it is to have.
    fn all_tags(&self) -> Vec<Tag> {
        let own = match &self.reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => None,
        };
        own.into_iter().chain(&self.tags).cloned().collect()
    }
}

/// A manifest that is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedManifest {
    /// The digest it was put by, or by tag the canonical one.
    pub digest: Digest,
    /// What it refers to, now listed among the referrers of that.
    pub subject: Option<Digest>,
    /// What whoever pulls it may miss.
    pub warnings: Vec<PushWarning>,
}

/// Something that is allowed to be missing and is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushWarning {
    /// Children of an index.
    ChildrenMissing {
        /// How many.
        count: usize,
        /// The digest of one of them.
        first: String,
    },
    /// Layers that may not be distributed.
    LayersElsewhere {
        /// How many.
        count: usize,
    },
}

/// What is written when everything is checked.
struct Accepted {
    push: ManifestPush,
    limits: Option<Limits>,
    canonical: Digest,
    digest: Digest,
    /// What it refers to, and how it is listed there.
    referrer: Option<(Digest, Bytes)>,
    /// When the repository had last been deleted as a whole before anything was checked.
    deletion: Option<i64>,
}

impl Repositories {
    /// Stores a manifest under its digest, and under the tags that are asked for, if `limits` let it have all of them.
    pub async fn put_manifest(
        &self,
        repository: &RepositoryName,
        push: ManifestPush,
        limits: Option<&Limits>,
    ) -> Result<PushedManifest, RegistryError> {
        let size = push.bytes.len() as u64;
        if size > MANIFEST_LIMIT_BYTES {
            return Err(RegistryError::ManifestTooLarge { limit_bytes: MANIFEST_LIMIT_BYTES });
        }
        let manifest = Manifest::parse(&push.content_type, &push.bytes)?;
        self.rules.check(&manifest)?;
        let canonical = Digest::sha256_of(&push.bytes);
        let digest = match &push.reference {
            Reference::Tag(_) => canonical.clone(),
            Reference::Digest(expected) => {
                let actual = Digest::of(expected.algorithm(), &push.bytes);
                if actual != *expected {
                    return Err(RegistryError::DigestMismatch { expected: expected.clone(), actual });
                }
                actual
            }
        };
        let deletion = self.recorded_deletion(repository).await?;
        let subject = manifest.subject();
        self.may_be_made(repository, limits).await?;
        if let Some(limits) = limits {
            if matches!(push.reference, Reference::Digest(_)) {
                check_push_by_digest(limits, subject.as_ref())?;
            }
            // Asked again under the locks; here so that a refusal makes no locks and tells nothing of other content.
            self.check_all_tagging(repository, limits, &push.all_tags(), &digest).await?;
        }
        let warnings = self.check_references(repository, &manifest).await?;
        let referrer = match &subject {
            Some(subject) => {
                let descriptor = manifest.referrer_descriptor(&digest, size);
                Some((subject.clone(), descriptor.map_err(InvalidManifest::Json)?.into()))
            }
            None => None,
        };

        let limits = limits.cloned();
        let accepted = Accepted { push, limits, canonical, digest: digest.clone(), referrer, deletion };
        let (registry, repository) = (self.clone(), repository.clone());
        to_the_end(async move { registry.store_manifest(&repository, accepted).await }).await?;
        Ok(PushedManifest { digest, subject, warnings })
    }

    /// Writes a checked manifest and its links.
    async fn store_manifest(
        &self,
        repository: &RepositoryName,
        accepted: Accepted,
    ) -> Result<(), RegistryError> {
        let Accepted { push, limits, canonical, digest, referrer, deletion } = accepted;
        let _revision = self.storage.lock(&layout::revision_lock(repository, &digest)).await?;
        // What was checked may have gone with the whole repository before the lock was ours.
        self.undeleted_since(repository, deletion).await?;
        let tags = push.all_tags();
        let is_judged_by_tags = limits.is_some()
            || (!push.precondition.is_empty() && matches!(push.reference, Reference::Tag(_)));
        let mut locked_tags = None;
        if is_judged_by_tags {
            // Held until the tags are written, so that what was compared is what is replaced.
            locked_tags = Some(self.lock_tags(repository, &tags).await?);
        }
        if let Some(limits) = &limits {
            self.check_all_tagging(repository, limits, &tags, &digest).await?;
        }
        if !push.precondition.is_empty() {
            let current = match &push.reference {
                Reference::Digest(digest) => self.living_revision(repository, digest).await?,
                Reference::Tag(tag) => self.living_tag(repository, tag).await?,
            };
            let judged = push.precondition.judge(current.as_ref());
            judged.map_err(|unmet| RegistryError::PreconditionFailed { unmet })?;
        }

        let blob = layout::blob(&canonical);
        let mut objects = Vec::with_capacity(3);
        // Bytes that are there are trusted; another size can only be what a crash of another registry left.
        if self.storage.size(&blob).await? != Some(push.bytes.len() as u64) {
            objects.push((blob, push.bytes));
        }
        objects.push(links::to(layout::revision_link(repository, &digest), &canonical));
        if let Some((subject, descriptor)) = referrer {
            objects.push((layout::referrer(repository, &subject, &digest), descriptor));
        }
        self.storage.write_all(objects, Durability::Synced).await?;

        for tag in &tags {
            let _tag = match locked_tags {
                Some(_) => None,
                None => Some(self.storage.lock(&layout::tag_lock(repository, tag)).await?),
            };
            let objects = vec![
                links::to(layout::tag_index_link(repository, tag, &digest), &digest),
                links::to(layout::tag_current_link(repository, tag), &digest),
            ];
            self.storage.write_all(objects, Durability::Synced).await?;
        }
        Ok(())
    }

    /// Locks several tags at once; always in the same order, so that two who do so never wait for each other.
    async fn lock_tags(&self, repository: &RepositoryName, tags: &[Tag]) -> Result<Vec<Lock>, StorageError> {
        let keys: BTreeSet<Key> = tags.iter().map(|tag| layout::tag_lock(repository, tag)).collect();
        let mut locks = Vec::with_capacity(keys.len());
        for key in &keys {
            locks.push(self.storage.lock(key).await?);
        }
        Ok(locks)
    }

    /// Whether limits let a manifest have all these tags, as they are now.
    async fn check_all_tagging(
        &self,
        repository: &RepositoryName,
        limits: &Limits,
        tags: &[Tag],
        manifest: &Digest,
    ) -> Result<(), RegistryError> {
        for tag in tags {
            let current = self.living_tag(repository, tag).await?;
            check_tagging(limits, tag, current.as_ref(), manifest)?;
        }
        Ok(())
    }

    /// Sees to it that the repository has all a manifest needs, and tells what else it has not.
    async fn check_references(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
    ) -> Result<Vec<PushWarning>, RegistryError> {
        let (needed, excused): (Vec<_>, Vec<_>) =
            manifest.children().iter().partition(|child| self.rules.needs(child));
        let (images, others): (Vec<_>, Vec<_>) =
            needed.into_iter().partition(|child| ManifestType::parse(&child.media_type).is_some());
        let (images, others) = (each_once(images.into_iter())?, each_once(others.into_iter())?);
        let blob = |digest: Digest| (layout::layer_link(repository, &digest), digest);
        let child = |digest: Digest| (layout::revision_link(repository, &digest), digest);
        let needed = manifest.blobs().iter().cloned().map(blob).chain(images.into_iter().map(child));
        let mut missing = self.missing(needed.collect()).await?;
        // The caches of builders are indexes that list layers, so what is not called a manifest may be a blob.
        let others = self.missing(others.into_iter().map(child).collect()).await?;
        missing.extend(self.missing(others.into_iter().map(blob).collect()).await?);
        if !missing.is_empty() {
            return Err(RegistryError::ManifestBlobUnknown { missing });
        }

        let mut warnings = Vec::new();
        // A child whose name we cannot compute cannot be here.
        let (known, unknown): (Vec<_>, Vec<_>) =
            excused.into_iter().partition(|child| child.digest().is_ok());
        let missing = self.missing(each_once(known.into_iter())?.into_iter().map(child).collect()).await?;
        let count = missing.len() + unknown.len();
        if count > 0 {
            let first = missing.first().map(ToString::to_string);
            let first = first.or_else(|| unknown.first().map(|child| child.digest_text().to_owned()));
            warnings.push(PushWarning::ChildrenMissing { count, first: first.unwrap_or_default() });
        }
        let elsewhere = self.missing(manifest.foreign_blobs().into_iter().map(blob).collect()).await?;
        if !elsewhere.is_empty() {
            warnings.push(PushWarning::LayersElsewhere { count: elsewhere.len() });
        }
        Ok(warnings)
    }

    /// Those whose link or bytes are not there.
    async fn missing(&self, needed: Vec<(Key, Digest)>) -> Result<Vec<Digest>, StorageError> {
        if needed.is_empty() {
            return Ok(Vec::new());
        }
        let (links, digests): (Vec<Key>, Vec<Digest>) = needed.into_iter().unzip();
        let canonical = self.read_links(&links).await?.into_iter().collect::<Result<Vec<_>, _>>()?;
        // A link can outlive its bytes where another registry collected garbage.
        let linked: Vec<_> = canonical.iter().flatten().map(layout::blob).collect();
        let mut sizes = self.sizes(&linked).await?.into_iter();
        let missing = digests
            .into_iter()
            .zip(&canonical)
            .filter(|(_, link)| link.is_none() || sizes.next().flatten().is_none())
            .map(|(digest, _)| digest);
        Ok(missing.collect())
    }
}
