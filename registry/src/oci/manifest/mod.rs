//! Image manifests and indexes: checking one that is pushed, knowing the type of one that is stored.
//!
//! *Invariant:* a [`Manifest`] is one of the four types a client may push, cannot be read as two of them at once, and
//! every content it needs in this registry has a digest we can compute. Its bytes are never changed, nor written anew
//! from the parsed form. Unknown fields and unknown media types inside are no error.
//!
//! Spec: image-spec, "Image Manifest", "Image Index"; distribution-spec, "Pushing manifests".

pub mod references;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::descriptor::Descriptor;
use super::digest::{Digest, InvalidDigest};
use super::media_type::{self, ManifestType};

/// A manifest that was checked.
#[derive(Clone, Debug)]
pub struct Manifest {
    kind: ManifestType,
    blobs: Vec<Digest>,
    manifests: Vec<Digest>,
    subject: Option<Descriptor>,
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
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "schemaVersion", default)]
    schema_version: i64,
    #[serde(rename = "mediaType", default)]
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
}

impl Manifest {
    /// Checks the body of a push that came with this `Content-Type` (parameters are ignored).
    pub fn parse(content_type: &str, body: &[u8]) -> Result<Self, InvalidManifest> {
        let manifest_type = ManifestType::parse(content_type)
            .ok_or_else(|| InvalidManifest::UnsupportedMediaType { media_type: content_type.to_owned() })?;
        let document: Document = serde_json::from_slice(body)?;
        if document.schema_version != 2 {
            return Err(InvalidManifest::SchemaVersion { found: document.schema_version });
        }
        let named = document.media_type.unwrap_or_default();
        if named != manifest_type.as_str() && (manifest_type.must_be_named() || !named.is_empty()) {
            return Err(InvalidManifest::MediaTypeMismatch {
                expected: manifest_type.as_str(),
                found: named,
            });
        }
        // Docker's types know no subject; a field of that name has no meaning there.
        let subject = document.subject.filter(|_| !manifest_type.must_be_named());
        if manifest_type.is_index() {
            let kind = "an index";
            if document.config.is_some() {
                return Err(InvalidManifest::Ambiguous { kind, field: "config" });
            }
            if document.layers.is_some() {
                return Err(InvalidManifest::Ambiguous { kind, field: "layers" });
            }
            let manifests = needed(document.manifests.iter().flatten())?;
            Ok(Self { kind: manifest_type, blobs: Vec::new(), manifests, subject })
        } else {
            let kind = "an image manifest";
            if document.manifests.is_some() {
                return Err(InvalidManifest::Ambiguous { kind, field: "manifests" });
            }
            let config = document.config.ok_or(InvalidManifest::Missing { kind, field: "config" })?;
            let layers = document.layers.iter().flatten().filter(|layer| !layer.is_non_distributable());
            let blobs = needed(std::iter::once(&config).chain(layers))?;
            Ok(Self { kind: manifest_type, blobs, manifests: Vec::new(), subject })
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

    /// The manifests that must be in the repository, each named once: the children of an index.
    pub fn manifests(&self) -> &[Digest] {
        &self.manifests
    }

    /// What it refers to without needing it.
    pub fn subject_descriptor(&self) -> Option<&Descriptor> {
        self.subject.as_ref()
    }
}

fn needed<'a>(descriptors: impl Iterator<Item = &'a Descriptor>) -> Result<Vec<Digest>, InvalidManifest> {
    let mut seen = std::collections::HashSet::new();
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

#[derive(Deserialize)]
struct Outline {
    #[serde(rename = "schemaVersion", default)]
    schema_version: i64,
    #[serde(rename = "mediaType", default)]
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    signatures: Option<IgnoredAny>,
}

/// The media type to serve stored manifest bytes with; `None` if they are no manifest at all.
///
/// The tree keeps no types, so the bytes have to tell: their own `mediaType`, else the presence of `manifests`.
/// Schema 1 manifests of old trees are recognised, although they can no longer be pushed.
pub fn stored_media_type(bytes: &[u8]) -> Option<String> {
    let outline: Outline = serde_json::from_slice(bytes).ok()?;
    let named = outline.media_type.unwrap_or_default();
    if !named.is_empty() {
        return media_type::is_well_formed(&named).then_some(named);
    }
    let known = match (outline.schema_version, outline.manifests, outline.signatures) {
        (1, _, Some(_)) => media_type::DOCKER_SCHEMA_1_SIGNED,
        (1, _, None) => media_type::DOCKER_SCHEMA_1,
        (_, Some(_), _) => media_type::OCI_INDEX,
        (_, None, _) => media_type::OCI_MANIFEST,
    };
    Some(known.to_owned())
}

#[cfg(test)]
mod tests;
