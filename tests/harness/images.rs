//! Deterministic images: the same seed and sizes give the same digests, on every machine.
//!
//! Layers are uncompressed archives of pseudo-random bytes, so that their digest is also their difference id and no
//! compressor's version can change a golden digest.
//!
//! *Invariant:* a [`Blob`] knows the digest of exactly its bytes.
//!
//! Spec: OCI image specification, "Image Manifest", "Image Index", "Image Configuration".

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

use crate::tar::TarWriter;

/// Media type of an image manifest of the OCI.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image index of the OCI.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of an image manifest of Docker, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Media type of a manifest list of Docker.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// The digest of these bytes, as `sha256:…`.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(&Sha256::digest(bytes)))
}

/// The digest of these bytes, as `sha512:…`.
pub fn sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", hexadecimal(&Sha512::digest(bytes)))
}

/// Lower-case hexadecimal text.
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Pseudo-random bytes of a seed.
///
/// The generator is `SplitMix64`: eight bytes a step, and nothing compresses it.
pub fn noise(seed: u64, length: usize) -> Bytes {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length.next_multiple_of(8));
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// Bytes with their digest.
#[derive(Clone, Debug)]
pub struct Blob {
    /// What it is.
    pub media_type: &'static str,
    /// `sha256:…`
    pub digest: String,
    /// Its content.
    pub bytes: Bytes,
}

impl Blob {
    /// Wraps bytes.
    pub fn new(media_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { media_type, digest: sha256(&bytes), bytes }
    }

    /// How a manifest refers to it.
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// Which family of media types an image uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The OCI's.
    Oci,
    /// Docker's, schema 2.
    Docker,
}

/// One image for one platform.
#[derive(Clone, Debug)]
pub struct Image {
    /// The manifest.
    pub manifest: Blob,
    /// The configuration.
    pub config: Blob,
    /// The layers, the lowest first.
    pub layers: Vec<Blob>,
    /// The architecture it says it is for.
    pub architecture: &'static str,
}

impl Image {
    /// An image of the OCI for amd64 with `layers` layers of `layer_bytes` bytes of content each.
    pub fn new(seed: u64, layers: u32, layer_bytes: usize) -> anyhow::Result<Self> {
        Self::with(seed, layers, layer_bytes, Family::Oci, "amd64")
    }

    /// The same with everything chosen.
    pub fn with(
        seed: u64,
        layers: u32,
        layer_bytes: usize,
        family: Family,
        architecture: &'static str,
    ) -> anyhow::Result<Self> {
        let [layer_type, config_type, manifest_type] = match family {
            Family::Oci => [OCI_LAYER, OCI_CONFIG, OCI_MANIFEST],
            Family::Docker => [DOCKER_LAYER, DOCKER_CONFIG, DOCKER_MANIFEST],
        };
        let layers = (0..layers)
            .map(|number| {
                let mut tar = TarWriter::new(Vec::with_capacity(layer_bytes + 4096));
                tar.folder("data/")?;
                let content = noise(seed.wrapping_mul(1_000_003).wrapping_add(number.into()), layer_bytes);
                tar.file(&format!("data/layer-{number}"), &content)?;
                anyhow::Ok(Blob::new(layer_type, tar.finish()?))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest.clone()).collect();
        let history: Vec<_> = layers
            .iter()
            .map(|_| json!({"created": "1970-01-01T00:00:00Z", "created_by": "the test harness"}))
            .collect();
        let config = json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/data/layer-0"], "Labels": {"seed": seed.to_string()}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history,
        });
        let config = Blob::new(config_type, serde_json::to_vec(&config)?);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": config.descriptor(),
            "layers": layers.iter().map(Blob::descriptor).collect::<Vec<_>>(),
        });
        let manifest = Blob::new(manifest_type, serde_json::to_vec(&manifest)?);
        Ok(Self { manifest, config, layers, architecture })
    }

    /// What a client uploads before the manifest.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.layers.iter().chain(std::iter::once(&self.config))
    }

    /// How an index refers to it.
    pub fn descriptor(&self) -> Value {
        let mut descriptor = self.manifest.descriptor();
        descriptor["platform"] = json!({"architecture": self.architecture, "os": "linux"});
        descriptor
    }
}

/// An index over images for several platforms.
#[derive(Clone, Debug)]
pub struct Index {
    /// The index itself.
    pub index: Blob,
    /// The images it lists.
    pub images: Vec<Image>,
}

impl Index {
    /// An index over one small image for each of the two most common platforms.
    pub fn two_platforms(seed: u64) -> anyhow::Result<Self> {
        let images = vec![
            Image::with(seed, 2, 100_000, Family::Oci, "amd64")?,
            Image::with(seed + 1, 2, 100_000, Family::Oci, "arm64")?,
        ];
        let index = json!({
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": images.iter().map(Image::descriptor).collect::<Vec<_>>(),
        });
        Ok(Self { index: Blob::new(OCI_INDEX, serde_json::to_vec(&index)?), images })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_image() -> anyhow::Result<()> {
        let image = Image::new(1, 2, 1000)?;
        assert_eq!(image.manifest.digest, Image::new(1, 2, 1000)?.manifest.digest);
        assert_ne!(image.manifest.digest, Image::new(2, 2, 1000)?.manifest.digest);
        assert_eq!(image.layers[0].bytes.len() % 512, 0);
        Ok(())
    }

    #[test]
    fn digests_are_those_of_the_standard() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
        assert_eq!(sha512(b"").len(), 7 + 128);
    }
}
