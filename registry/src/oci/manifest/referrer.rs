//! How a manifest that refers to another stands in the list of referrers.
//!
//! *Invariant:* the descriptor is made of the manifest and its digest alone, so it is the same whenever it is made.
//!
//! Spec: distribution-spec, "Listing Referrers".

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Manifest;
use crate::oci::digest::Digest;

#[derive(Serialize)]
struct ReferrerDescriptor<'a> {
    #[serde(rename = "mediaType")]
    media_type: &'a str,
    digest: String,
    size: u64,
    #[serde(rename = "artifactType", skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
}

impl Manifest {
    /// What its files are: its own word or, for an image that has none, the type of its configuration.
    pub fn artifact_type(&self) -> Option<&str> {
        let own = self.oci.artifact_type.as_deref().filter(|own| !own.is_empty());
        own.or_else(|| self.config_media_type().filter(|config| !config.is_empty()))
    }

    /// The descriptor under which it is listed, as JSON.
    pub fn referrer_descriptor(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, serde_json::Error> {
        let annotations = self.oci.annotations.iter().flatten();
        serde_json::to_vec(&ReferrerDescriptor {
            media_type: self.kind.as_str(),
            digest: digest.to_string(),
            size,
            artifact_type: self.artifact_type(),
            annotations: annotations
                .map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or_default()))
                .collect(),
        })
    }
}

/// The artifact type in such a descriptor; an error if the bytes are no descriptor, as after damage.
pub fn artifact_type_of(descriptor: &[u8]) -> Result<Option<Cow<'_, str>>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Outline<'a> {
        #[serde(rename = "artifactType", borrow)]
        artifact_type: Option<Cow<'a, str>>,
    }
    Ok(serde_json::from_slice::<Outline<'_>>(descriptor)?.artifact_type)
}
