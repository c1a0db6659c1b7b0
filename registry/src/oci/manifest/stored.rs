//! What stored bytes are.
//!
//! *Invariant:* the answer depends on the bytes alone, because the tree keeps no types, and is safe as the value of a
//! header.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::oci::media_type;

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
/// Their own `mediaType` tells, else the presence of `manifests`. Schema 1 manifests of old trees are recognised,
/// although they can no longer be pushed.
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
