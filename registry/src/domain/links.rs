//! Links: small files whose content is a digest and whose place says what the digest belongs to.
//!
//! *Invariant:* a link is read as a digest or as damage that names its key, never as something else; it is written
//! without a newline, since the distribution registry takes one for damage.

use bytes::Bytes;
use shared::repository_name::RepositoryName;

use super::Repositories;
use crate::oci::digest::Digest;
use crate::storage::error::StorageError;
use crate::storage::layout::{self, Key};

/// The longest digest has 135 bytes; whatever is larger than this is not a link.
pub(super) const LINK_LIMIT_BYTES: u64 = 256;

/// How many small files are looked at in one turn, so that a long list gives way to others in between.
pub(super) const BATCH: usize = 256;

/// What a link says.
pub(super) fn parse(key: &Key, content: &[u8]) -> Result<Digest, StorageError> {
    let text = std::str::from_utf8(content).ok();
    text.and_then(|text| Digest::parse(text).ok()).ok_or_else(|| StorageError::Corrupt {
        key: key.clone(),
        reason: "a link must hold a digest and nothing else",
    })
}

/// What to write to make `key` a link to `target`.
pub(super) fn to(key: Key, target: &Digest) -> (Key, Bytes) {
    (key, Bytes::from(target.to_string()))
}

impl Repositories {
    /// Reads one link.
    pub(super) async fn read_link(&self, key: &Key) -> Result<Option<Digest>, StorageError> {
        let content = self.storage.read(key, LINK_LIMIT_BYTES).await?;
        content.map(|content| parse(key, &content)).transpose()
    }

    /// Reads many links in batches. A damaged one is its own error, so that it does not hide the others.
    pub(super) async fn read_links(
        &self,
        keys: &[Key],
    ) -> Result<Vec<Result<Option<Digest>, StorageError>>, StorageError> {
        let contents = self.read_each(keys, LINK_LIMIT_BYTES).await?;
        let link = |(key, content): (&Key, Result<Option<Bytes>, StorageError>)| {
            content?.map(|content| parse(key, &content)).transpose()
        };
        Ok(keys.iter().zip(contents).map(link).collect())
    }

    /// Reads many small objects in batches. One that cannot be read is its own error, so that it does not hide the
    /// others; an error of the whole is one that has nothing to do with any of them.
    pub(super) async fn read_each(
        &self,
        keys: &[Key],
        limit_bytes: u64,
    ) -> Result<Vec<Result<Option<Bytes>, StorageError>>, StorageError> {
        let mut contents = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            match self.storage.read_all(batch.to_vec(), limit_bytes).await {
                Ok(read) => contents.extend(read.into_iter().map(Ok)),
                Err(error @ (StorageError::Unavailable { .. } | StorageError::Stopped)) => return Err(error),
                // One bad file fails the batch; alone it fails only itself.
                Err(_) => {
                    for key in batch {
                        contents.push(self.storage.read(key, limit_bytes).await);
                    }
                }
            }
        }
        Ok(contents)
    }

    /// For each key, the size of the object there.
    pub(super) async fn sizes(&self, keys: &[Key]) -> Result<Vec<Option<u64>>, StorageError> {
        let mut sizes = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            sizes.extend(self.storage.sizes(batch.to_vec()).await?);
        }
        Ok(sizes)
    }

    /// The canonical digest of a blob, if it belongs to the repository.
    pub(super) async fn layer(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Digest>, StorageError> {
        self.read_link(&layout::layer_link(repository, digest)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_a_digest_and_nothing_else() {
        let key = layout::root();
        let digest = Digest::sha256_of(b"");
        let (_, content) = to(key.clone(), &digest);
        assert_eq!(content.len(), 71);
        assert_eq!(parse(&key, &content).expect("just written"), digest);
        for broken in [String::new(), format!("{digest}\n"), "sha256:".to_owned(), "\u{0}".repeat(71)] {
            let error = parse(&key, broken.as_bytes()).expect_err("damage");
            assert!(error.to_string().contains("docker/registry/v2"), "names the key: {error}");
        }
    }
}
