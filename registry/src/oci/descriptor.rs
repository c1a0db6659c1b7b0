//! How a manifest points at content: media type, digest, size.
//!
//! *Invariant:* the digest of a [`Descriptor`] is well-formed and its size is not negative. Its algorithm may be
//! foreign; [`Descriptor::digest`] says whether we can compute it. Unknown fields are left alone.
//!
//! Spec: image-spec, "OCI Content Descriptors".

use serde::{Deserialize, Deserializer};

use super::digest::{self, Digest, InvalidDigest};
use super::media_type;

/// A pointer to content.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Descriptor {
    /// What the content is; empty if the manifest does not say.
    #[serde(rename = "mediaType", default)]
    pub media_type: String,
    #[serde(deserialize_with = "well_formed")]
    digest: String,
    /// How many bytes it has; zero if the manifest does not say.
    #[serde(default, deserialize_with = "not_negative")]
    pub size: u64,
    #[serde(default)]
    urls: Option<Vec<String>>,
    /// What the content runs on, if the manifest says.
    #[serde(default)]
    pub platform: Option<Platform>,
}

/// What an image runs on, as far as a registry looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// Such as `linux`; empty if the manifest does not say.
    pub os: String,
    /// Such as `amd64`; empty if the manifest does not say.
    pub architecture: String,
}

impl Descriptor {
    /// The name of the content, if its algorithm is one we can compute.
    pub fn digest(&self) -> Result<Digest, InvalidDigest> {
        Digest::parse(&self.digest)
    }

    /// The digest as it is spelled.
    pub fn digest_text(&self) -> &str {
        &self.digest
    }

    /// Where else the content can be had.
    pub fn urls(&self) -> &[String] {
        self.urls.as_deref().unwrap_or_default()
    }

    /// Whether the bytes stay at their source and need not be in this registry.
    pub fn is_non_distributable(&self) -> bool {
        media_type::is_non_distributable(&self.media_type)
    }
}

fn well_formed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    use serde::de::Error;

    let text = String::deserialize(deserializer)?;
    if !digest::is_well_formed(&text) {
        return Err(D::Error::custom(InvalidDigest::Grammar));
    }
    match Digest::parse(&text) {
        // A foreign algorithm matters only where the content has to be here.
        Ok(_) | Err(InvalidDigest::UnsupportedAlgorithm) => Ok(text),
        Err(error) => Err(D::Error::custom(error)),
    }
}

fn not_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    use serde::de::Error;

    let size = i64::deserialize(deserializer)?;
    u64::try_from(size).map_err(|_| D::Error::custom("a size must not be negative"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(json: &str) -> Result<Descriptor, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn unknown_fields_and_media_types_are_no_error() {
        let json = format!(
            r#"{{"mediaType":"application/x-anything","digest":"{DIGEST}","size":3,"new":{{"a":[1]}}}}"#
        );
        let descriptor = parse(&json).expect("a descriptor");
        assert_eq!(descriptor.digest().map(|digest| digest.to_string()), Ok(DIGEST.to_owned()));
        assert_eq!(descriptor.size, 3);
    }

    #[test]
    fn negative_sizes_and_malformed_digests_are_refused() {
        let negative = parse(&format!(r#"{{"digest":"{DIGEST}","size":-1}}"#)).expect_err("negative");
        assert!(negative.contains("must not be negative"), "{negative}");
        for digest in ["", "sha256", "sha256:zz", "sha256:../x"] {
            assert!(parse(&format!(r#"{{"digest":"{digest}","size":1}}"#)).is_err(), "{digest}");
        }
        assert!(parse(r#"{"size":1}"#).is_err(), "no digest at all");
    }

    #[test]
    fn a_foreign_algorithm_is_told_when_it_is_needed() {
        let descriptor = parse(r#"{"digest":"blake3:00ff","size":1}"#).expect("well-formed");
        assert_eq!(descriptor.digest(), Err(InvalidDigest::UnsupportedAlgorithm));
    }
}
