//! The media types a registry has to tell apart.
//!
//! *Invariant:* [`ManifestType`] is the closed list of what a client may push as a manifest; every other media type
//! is only a text that is carried along.
//!
//! Spec: image-spec, "Media Types"; RFC 6838 section 4.2.

/// Docker schema 2 image manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker schema 2 manifest list.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker schema 1 manifest without signatures; only ever found in old trees.
pub const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// Docker schema 1 manifest with signatures; only ever found in old trees.
pub const DOCKER_SCHEMA_1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// Configuration of a Docker image.
pub const DOCKER_IMAGE_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Configuration of a Docker plugin.
pub const DOCKER_PLUGIN_CONFIG: &str = "application/vnd.docker.plugin.v1+json";
/// Configuration of an OCI image.
pub const OCI_IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
const OCI_NON_DISTRIBUTABLE: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";

/// A type of manifest that can be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManifestType {
    /// [`DOCKER_MANIFEST`]
    DockerManifest,
    /// [`DOCKER_MANIFEST_LIST`]
    DockerManifestList,
    /// [`OCI_MANIFEST`]
    OciManifest,
    /// [`OCI_INDEX`]
    OciIndex,
}

impl ManifestType {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::DockerManifest, Self::DockerManifestList, Self::OciManifest, Self::OciIndex];

    /// Reads the value of a `Content-Type` header; parameters such as `; charset=utf-8` are ignored.
    pub fn parse(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(essence))
    }

    /// The media type without parameters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DockerManifest => DOCKER_MANIFEST,
            Self::DockerManifestList => DOCKER_MANIFEST_LIST,
            Self::OciManifest => OCI_MANIFEST,
            Self::OciIndex => OCI_INDEX,
        }
    }

    /// Whether it lists other manifests.
    pub fn is_index(self) -> bool {
        matches!(self, Self::DockerManifestList | Self::OciIndex)
    }

    /// Whether the body must name its own media type; the OCI types leave it out in old images.
    pub fn must_be_named(self) -> bool {
        matches!(self, Self::DockerManifest | Self::DockerManifestList)
    }
}

/// Whether layers of this type stay at their source, so that their bytes need not be here.
pub fn is_non_distributable(media_type: &str) -> bool {
    media_type == DOCKER_FOREIGN_LAYER
        || media_type
            .strip_prefix(OCI_NON_DISTRIBUTABLE)
            .is_some_and(|compression| matches!(compression, "" | "+gzip" | "+zstd"))
}

/// Whether `text` is a media type without parameters, and so safe as a header value.
pub fn is_well_formed(text: &str) -> bool {
    let restricted = |name: &str| {
        name.len() <= 127
            && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| restricted(kind) && restricted(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_content_type_are_ignored() {
        for known in ManifestType::ALL {
            assert_eq!(ManifestType::parse(known.as_str()), Some(known));
            assert_eq!(ManifestType::parse(&format!("{} ; charset=utf-8", known.as_str())), Some(known));
        }
        for other in ["", ";", "application/json", DOCKER_SCHEMA_1, DOCKER_SCHEMA_1_SIGNED, "*/*"] {
            assert_eq!(ManifestType::parse(other), None, "{other}");
        }
    }

    #[test]
    fn only_the_listed_layer_types_may_be_absent() {
        for absent in [
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        ] {
            assert!(is_non_distributable(absent), "{absent}");
        }
        for present in [
            "",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tarball",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ] {
            assert!(!is_non_distributable(present), "{present}");
        }
    }

    #[test]
    fn a_media_type_from_a_stored_manifest_cannot_break_a_header() {
        assert!(is_well_formed(OCI_INDEX));
        for hostile in ["", "/", "a", "a/", "/b", "a/b; c=d", "a/b\r\nX: y", "a/ü", "a/b/c", "a/ b"] {
            assert!(!is_well_formed(hostile), "{hostile:?}");
        }
    }
}
