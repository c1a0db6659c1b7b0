//! Image manifests and indexes: checking one that is pushed, knowing the type of one that is stored.
//!
//! *Invariant:* a [`Manifest`] is one of the four types a client may push, cannot be read as two of them at once, and
//! every blob it needs in this registry has a digest we can compute. Its bytes are never changed, nor written anew
//! from the parsed form. Unknown fields and unknown media types inside are no error.
//!
//! `document` is what the JSON must look like, `stored` tells what stored bytes are, [`references`] what they refer to,
//! `referrer` is how a manifest that refers to another stands in a list.
//!
//! Spec: image-spec, "Image Manifest", "Image Index"; distribution-spec, "Pushing manifests".

use std::collections::HashSet;

use self::document::{Document, OciFields};
use super::descriptor::Descriptor;
use super::digest::{Digest, InvalidDigest};
use super::media_type::ManifestType;

pub mod references;

mod document;

mod stored;

mod referrer;

pub use self::referrer::artifact_type_of;
pub use self::stored::stored_media_type;

/// A manifest that was checked.
#[derive(Clone, Debug)]
pub struct Manifest {
    kind: ManifestType,
    config: Option<Descriptor>,
    layers: Vec<Descriptor>,
    children: Vec<Descriptor>,
    blobs: Vec<Digest>,
    oci: OciFields,
}

/// Why a body is not a manifest this registry takes.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    /// The request does not say which of the four types it carries.
    #[error("unsupported manifest media type and no default available: {media_type}")]
    UnsupportedMediaType {
        /// The `Content-Type` of the request; empty if there was none.
        media_type: String,
    },
    /// Not JSON, or a field has the wrong type, a digest is malformed, a size negative.
    #[error("the manifest cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// `schemaVersion` is not 2.
    #[error("unrecognized manifest schema version {found}: only version 2 is accepted")]
    SchemaVersion {
        /// What the manifest says; 0 if it says nothing.
        found: i64,
    },
    /// The body calls itself something else than the request does.
    #[error("the manifest says that its media type is `{found}`, but the request says `{expected}`")]
    MediaTypeMismatch {
        /// The `Content-Type` of the request.
        expected: &'static str,
        /// `mediaType` in the body; empty if there is none.
        found: String,
    },
    /// A field that belongs to the other kind, so that the body could be read as both.
    #[error("{kind} must not have the field `{field}`")]
    Ambiguous {
        /// What it was pushed as.
        kind: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A field that must be there is not.
    #[error("{kind} must have the field `{field}`")]
    Missing {
        /// What it was pushed as.
        kind: &'static str,
        /// The field.
        field: &'static str,
    },
    /// It needs content whose name we cannot compute.
    #[error("the manifest refers to `{digest}`: {reason}")]
    Digest {
        /// The digest as the manifest spells it.
        digest: String,
        /// What is wrong with it.
        reason: InvalidDigest,
    },
    /// It sends clients to an address that the operator does not allow.
    #[error("the settings of this registry do not allow the URL `{url}` for content of a manifest")]
    Url {
        /// The address, cut to a readable length.
        url: String,
    },
}

impl Manifest {
    /// Checks the body of a push that came with this `Content-Type` (parameters are ignored).
    pub fn parse(content_type: &str, body: &[u8]) -> Result<Self, InvalidManifest> {
        let kind = ManifestType::parse(content_type)
            .ok_or_else(|| InvalidManifest::UnsupportedMediaType { media_type: content_type.to_owned() })?;
        let document: Document = serde_json::from_slice(body)?;
        if document.schema_version != 2 {
            return Err(InvalidManifest::SchemaVersion { found: document.schema_version });
        }
        let named = document.media_type.unwrap_or_default();
        if named != kind.as_str() && (kind.must_be_named() || !named.is_empty()) {
            return Err(InvalidManifest::MediaTypeMismatch { expected: kind.as_str(), found: named });
        }
        // Docker's types know no subject; fields of those names have no meaning there.
        let oci = if kind.must_be_named() { OciFields::default() } else { serde_json::from_slice(body)? };
        if kind.is_index() {
            let name = "an index";
            if document.config.is_some() {
                return Err(InvalidManifest::Ambiguous { kind: name, field: "config" });
            }
            if document.layers.is_some() {
                return Err(InvalidManifest::Ambiguous { kind: name, field: "layers" });
            }
            let children = document.manifests.unwrap_or_default();
            Ok(Self { kind, config: None, layers: Vec::new(), children, blobs: Vec::new(), oci })
        } else {
            let name = "an image manifest";
            if document.manifests.is_some() {
                return Err(InvalidManifest::Ambiguous { kind: name, field: "manifests" });
            }
            let config = document.config.ok_or(InvalidManifest::Missing { kind: name, field: "config" })?;
            let layers = document.layers.unwrap_or_default();
            let distributed = layers.iter().filter(|layer| !layer.is_non_distributable());
            let blobs = each_once(std::iter::once(&config).chain(distributed))?;
            Ok(Self { kind, config: Some(config), layers, children: Vec::new(), blobs, oci })
        }
    }

    /// Which of the four types it is.
    pub fn manifest_type(&self) -> ManifestType {
        self.kind
    }

    /// The blobs that must be in the repository, each named once: config and layers that can be distributed.
    pub fn blobs(&self) -> &[Digest] {
        &self.blobs
    }

    /// The layers that stay at their source and may be here all the same, each named once.
    pub fn foreign_blobs(&self) -> Vec<Digest> {
        let foreign = self.layers.iter().filter(|layer| layer.is_non_distributable());
        each_known_once(foreign)
    }

    /// The manifests an index lists, each named once; without those whose name we cannot compute.
    pub fn manifests(&self) -> Vec<Digest> {
        each_known_once(self.children.iter())
    }

    /// What an index lists, as it lists it.
    pub fn children(&self) -> &[Descriptor] {
        &self.children
    }

    /// Everything it points at but its subject, as it does.
    pub fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers).chain(&self.children)
    }

    /// What the configuration of an image is; nothing for an index.
    pub fn config_media_type(&self) -> Option<&str> {
        self.config.as_ref().map(|config| config.media_type.as_str())
    }

    /// What it refers to without needing it; nothing if we cannot compute such a name.
    pub fn subject(&self) -> Option<Digest> {
        self.oci.subject.as_ref()?.digest().ok()
    }
}

/// The digests in order, each once; an error for one we cannot compute.
pub fn each_once<'a>(
    descriptors: impl Iterator<Item = &'a Descriptor>,
) -> Result<Vec<Digest>, InvalidManifest> {
    let mut seen = HashSet::new();
    let mut digests = Vec::new();
    for descriptor in descriptors {
        let digest = descriptor.digest().map_err(|reason| InvalidManifest::Digest {
            digest: descriptor.digest_text().to_owned(),
            reason,
        })?;
        if seen.insert(digest.clone()) {
            digests.push(digest);
        }
    }
    Ok(digests)
}

fn each_known_once<'a>(descriptors: impl Iterator<Item = &'a Descriptor>) -> Vec<Digest> {
    let mut seen = HashSet::new();
    let known = descriptors.filter_map(|descriptor| descriptor.digest().ok());
    known.filter(|digest| seen.insert(digest.clone())).collect()
}

#[cfg(test)]
mod tests;
