//! Images as files: an OCI layout folder for skopeo and podman, an archive for `docker load`.
//!
//! *Invariant:* what is written has the digests of the image it was made from.
//!
//! Spec: OCI image specification, "Image Layout".

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use serde_json::{Value, json};

use crate::images::{Blob, Image, Index};
use crate::tar::TarWriter;

/// Writes an image as an OCI layout with one tag.
pub fn write_image(folder: &Path, image: &Image, tag: &str) -> anyhow::Result<()> {
    write(folder, image.blobs().chain([&image.manifest]), image.manifest.descriptor(), tag)
}

/// Writes an index and its images as an OCI layout with one tag.
pub fn write_index(folder: &Path, index: &Index, tag: &str) -> anyhow::Result<()> {
    let blobs = index.images.iter().flat_map(|image| image.blobs().chain([&image.manifest]));
    write(folder, blobs.chain([&index.index]), index.index.descriptor(), tag)
}

fn write<'a>(
    folder: &Path,
    blobs: impl Iterator<Item = &'a Blob>,
    mut descriptor: Value,
    tag: &str,
) -> anyhow::Result<()> {
    let blob_folder = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blob_folder)?;
    for blob in blobs {
        std::fs::write(blob_folder.join(blob.digest.trim_start_matches("sha256:")), &blob.bytes)?;
    }
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
    std::fs::write(folder.join("index.json"), serde_json::to_vec(&index)?)?;
    Ok(())
}

/// Writes the archive that `docker load` reads; `name` is the full reference it will have there.
pub fn write_docker_archive(file: &Path, image: &Image, name: &str) -> anyhow::Result<()> {
    let mut tar = TarWriter::new(BufWriter::new(File::create(file)?));
    let mut layer_paths = Vec::new();
    for (number, layer) in image.layers.iter().enumerate() {
        tar.folder(&format!("{number}/"))?;
        let path = format!("{number}/layer.tar");
        tar.file(&path, &layer.bytes)?;
        layer_paths.push(path);
    }
    tar.file("config.json", &image.config.bytes)?;
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": layer_paths}]);
    tar.file("manifest.json", &serde_json::to_vec(&manifest)?)?;
    tar.finish()?;
    Ok(())
}
