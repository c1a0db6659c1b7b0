//! A registry's repositories on a temporary directory, for tests of this crate.
//!
//! *Invariant:* helpers beginning with `storage_` go around the operations and touch the files themselves; all others
//! use what a client could cause.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use ring::rand::SystemRandom;
use shared::clock::ManualClock;
use shared::limits::Limits;
use shared::repository_name::RepositoryName;
use tempfile::TempDir;

use super::Repositories;
use super::error::BodyError;
use super::manifests::ManifestPush;
use super::upload_session::UploadOwner;
use super::uploads::Announced;
use crate::oci::digest::{Algorithm, Digest};
use crate::oci::media_type::{OCI_INDEX, OCI_MANIFEST};
use crate::oci::reference::{Reference, Tag};
use crate::storage::filesystem::{DEFAULT_MAX_THREADS, Filesystem};
use crate::storage::layout::Key;

/// A tree that is removed with this value.
pub(crate) struct Tree {
    pub(crate) repositories: Repositories,
    pub(crate) clock: Arc<ManualClock>,
    folder: TempDir,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let clock = Arc::new(ManualClock::default());
        Self { repositories: on(folder.path(), clock.clone()), clock, folder }
    }

    /// What another process, or this one after a crash, sees of the tree.
    pub(crate) fn reopened(&self) -> Repositories {
        on(self.folder.path(), Arc::new(ManualClock::default()))
    }

    pub(crate) fn path(&self, key: &Key) -> PathBuf {
        self.folder.path().join(key.as_str())
    }

    pub(crate) fn storage_read(&self, key: &Key) -> Option<Vec<u8>> {
        fs::read(self.path(key)).ok()
    }

    pub(crate) fn storage_write(&self, key: &Key, content: impl AsRef<[u8]>) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().expect("keys have folders")).expect("made");
        fs::write(path, content).expect("written");
    }

    pub(crate) fn storage_remove(&self, key: &Key) {
        fs::remove_file(self.path(key)).expect("removed");
    }

    pub(crate) fn storage_exists(&self, key: &Key) -> bool {
        self.path(key).exists()
    }

    /// The path of everything in the tree.
    pub(crate) fn listing(&self) -> BTreeSet<String> {
        let mut ahead = vec![self.folder.path().to_owned()];
        let mut found = BTreeSet::new();
        while let Some(folder) = ahead.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("readable").path();
                found.insert(path.display().to_string());
                if path.is_dir() {
                    ahead.push(path);
                }
            }
        }
        found
    }

    /// Uploads a blob.
    pub(crate) async fn push_blob(&self, repository: &RepositoryName, content: &[u8]) -> Digest {
        let owner = UploadOwner::anonymous();
        let digest = Digest::sha256_of(content);
        let started =
            self.repositories.start_upload(repository, &owner, Algorithm::Sha256).await.expect("started");
        let stat = self
            .repositories
            .finish_upload(repository, started.id, &owner, &digest, Announced::default(), body(&[content]))
            .await
            .expect("finished");
        assert_eq!((stat.digest, stat.size), (digest.clone(), content.len() as u64));
        digest
    }

    /// Pushes an image with one config and one layer made of `seed`.
    pub(crate) async fn push_image(
        &self,
        repository: &RepositoryName,
        reference: Option<&Tag>,
        seed: &str,
    ) -> Digest {
        let config = self.push_blob(repository, format!("config of {seed}").as_bytes()).await;
        let layer = self.push_blob(repository, format!("layer of {seed}").as_bytes()).await;
        self.push_manifest(repository, reference, image(&config, &[&layer])).await
    }

    /// Pushes an image index under a tag, or under its digest.
    pub(crate) async fn push_index(
        &self,
        repository: &RepositoryName,
        tag: Option<&Tag>,
        index: Bytes,
    ) -> Digest {
        self.push(repository, tag, OCI_INDEX, index).await
    }

    /// Pushes an image manifest under a tag, or under its digest.
    pub(crate) async fn push_manifest(
        &self,
        repository: &RepositoryName,
        tag: Option<&Tag>,
        manifest: Bytes,
    ) -> Digest {
        self.push(repository, tag, OCI_MANIFEST, manifest).await
    }

    async fn push(
        &self,
        repository: &RepositoryName,
        tag: Option<&Tag>,
        media_type: &str,
        manifest: Bytes,
    ) -> Digest {
        let digest = Digest::sha256_of(&manifest);
        let reference =
            tag.map_or_else(|| Reference::Digest(digest.clone()), |tag| Reference::Tag(tag.clone()));
        let push = ManifestPush::new(reference, media_type, manifest);
        let put = self.repositories.put_manifest(repository, push, None).await;
        assert_eq!(put.expect("accepted").digest, digest);
        digest
    }
}

fn on(folder: &Path, clock: Arc<ManualClock>) -> Repositories {
    let random = SystemRandom::new();
    let storage = Filesystem::open(folder, DEFAULT_MAX_THREADS, &random).expect("randomness");
    Repositories::new(Arc::new(storage), clock, random)
}

pub(crate) fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).expect("a name")
}

pub(crate) fn tag(text: &str) -> Tag {
    Tag::parse(text).expect("a tag")
}

/// Limits on a repository, as a token spells them.
pub(crate) fn limits(repository: &str, mut rest: serde_json::Value) -> Limits {
    rest["name"] = repository.into();
    serde_json::from_value(rest).expect("limits")
}

/// A body that arrives in these chunks.
pub(crate) fn body(chunks: &[&[u8]]) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    stream::iter(chunks)
}

/// A body that breaks off after these chunks.
pub(crate) fn broken_body(chunks: &[&[u8]]) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    use futures_util::StreamExt;

    body(chunks).chain(stream::iter([Err(BodyError::Broken("connection reset".into()))]))
}

/// An OCI image manifest.
pub(crate) fn image(config: &Digest, layers: &[&Digest]) -> Bytes {
    let descriptor = |media_type: &str, digest: &Digest| serde_json::json!({ "mediaType": media_type, "digest": digest.to_string(), "size": 1 });
    let layers: Vec<_> = layers
        .iter()
        .map(|digest| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", digest))
        .collect();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": layers,
    });
    manifest.to_string().into()
}

/// An OCI image index.
pub(crate) fn index(children: &[&Digest]) -> Bytes {
    let manifests: Vec<_> = children
        .iter()
        .map(|digest| serde_json::json!({ "mediaType": OCI_MANIFEST, "digest": digest.to_string(), "size": 1 }))
        .collect();
    serde_json::json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests })
        .to_string()
        .into()
}
