//! What an operator asks of manifests beyond what the specification does.
//!
//! *Invariant:* rules only refuse or excuse at the time of a push; what is stored is served whatever they say.

use regex::RegexSet;
use url::Url;

use crate::domain::error::RegistryError;
use crate::oci::descriptor::{Descriptor, Platform};
use crate::oci::manifest::{InvalidManifest, Manifest};
use crate::oci::media_type::{self, ManifestType};

/// The longest part of a refused address that is told.
const SHOWN_URL_CHARS: usize = 200;

/// All of them. The default asks for nothing beyond the specification and for every child of an index.
#[derive(Clone, Debug, Default)]
pub struct ManifestRules {
    /// Which addresses of content a manifest may name.
    pub urls: UrlRule,
    /// Which children of an index must be in the repository.
    pub children: RequiredChildren,
    /// The classes of images that are taken; all without a list.
    pub classes: Vec<Class>,
}

/// Which addresses of content a manifest may name.
#[derive(Clone, Debug, Default)]
pub enum UrlRule {
    /// Any text.
    #[default]
    Any,
    /// Web addresses without a fragment that match one of `allow`, or anything without that list, and none of `deny`.
    Matching {
        /// Patterns of which one must match.
        allow: Option<RegexSet>,
        /// Patterns of which none may match.
        deny: RegexSet,
    },
}

/// Which children of an index must be in the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RequiredChildren {
    /// Every one.
    #[default]
    All,
    /// None.
    None,
    /// Those for one of these platforms. A child that does not say its platform is for none of them.
    Platforms(Vec<Platform>),
}

/// What kind of image a repository holds, told by the type of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A container image.
    Image,
    /// A plugin of the Docker engine.
    Plugin,
}

impl Class {
    /// As it is spelled in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Plugin => "plugin",
        }
    }

    fn of(manifest: &Manifest) -> Option<Self> {
        match (manifest.manifest_type(), manifest.config_media_type()?) {
            (ManifestType::DockerManifest, media_type::DOCKER_IMAGE_CONFIG)
            | (ManifestType::OciManifest, media_type::OCI_IMAGE_CONFIG) => Some(Self::Image),
            (ManifestType::DockerManifest, media_type::DOCKER_PLUGIN_CONFIG) => Some(Self::Plugin),
            _ => None,
        }
    }
}

impl ManifestRules {
    /// Refuses a manifest of a class that is not taken, or with an address that is not allowed.
    pub(super) fn check(&self, manifest: &Manifest) -> Result<(), RegistryError> {
        // An index has no configuration and so no class; its children have.
        if let Some(config) = manifest.config_media_type()
            && !self.classes.is_empty()
            && !Class::of(manifest).is_some_and(|class| self.classes.contains(&class))
        {
            return Err(RegistryError::ClassNotTaken { config: config.to_owned() });
        }
        let mut urls = manifest.descriptors().flat_map(Descriptor::urls);
        match urls.find(|url| !self.urls.allows(url)) {
            Some(url) => {
                let url = url.chars().take(SHOWN_URL_CHARS).collect();
                Err(InvalidManifest::Url { url }.into())
            }
            None => Ok(()),
        }
    }

    /// Whether an index may not come without this child.
    pub(super) fn needs(&self, child: &Descriptor) -> bool {
        match &self.children {
            RequiredChildren::All => true,
            RequiredChildren::None => false,
            RequiredChildren::Platforms(platforms) => {
                child.platform.as_ref().is_some_and(|platform| platforms.contains(platform))
            }
        }
    }
}

impl UrlRule {
    fn allows(&self, text: &str) -> bool {
        let Self::Matching { allow, deny } = self else { return true };
        // The parser takes these out before it looks; a client may not.
        let is_plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        let is_web = Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.fragment().is_none());
        let is_allowed = allow.as_ref().is_none_or(|allow| allow.is_match(text));
        is_plain && is_web && is_allowed && !deny.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(patterns: &[&str]) -> RegexSet {
        RegexSet::new(patterns).expect("patterns")
    }

    fn matching(allow: Option<&[&str]>, deny: &[&str]) -> UrlRule {
        UrlRule::Matching { allow: allow.map(set), deny: set(deny) }
    }

    #[test]
    fn patterns_match_anywhere_and_denial_wins() {
        let rule = matching(Some(&["^https://a\\.example/", "mirror"]), &["secret"]);
        for (url, expected) in [
            ("https://a.example/x", true),
            ("https://b.example/mirror/x", true),
            ("https://b.example/x", false),
            ("https://a.example/secret", false),
            ("https://a.example/x#y", false),
            ("https://a.example/x\n", false),
            ("ftp://mirror/x", false),
            ("mirror", false),
            ("", false),
        ] {
            assert_eq!(rule.allows(url), expected, "{url:?}");
        }
        assert!(UrlRule::Any.allows("whatever"));
        let only_denied = matching(None, &["^http:"]);
        assert!(only_denied.allows("https://x.example/") && !only_denied.allows("http://x.example/"));
        assert!(!matching(Some(&[]), &[]).allows("https://x.example/"), "an empty list allows nothing");
    }

    fn manifest(media_type: &str, config: &str) -> Manifest {
        let digest = crate::oci::digest::Digest::sha256_of(b"").to_string();
        let body = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type,
            "config": {"mediaType": config, "digest": digest, "size": 0}, "layers": [],
        });
        Manifest::parse(media_type, body.to_string().as_bytes()).expect("a manifest")
    }

    #[test]
    fn classes_are_told_by_the_configuration() {
        use media_type::{
            DOCKER_IMAGE_CONFIG, DOCKER_MANIFEST, DOCKER_PLUGIN_CONFIG, OCI_IMAGE_CONFIG, OCI_INDEX,
            OCI_MANIFEST,
        };
        let only = |class| ManifestRules { classes: vec![class], ..ManifestRules::default() };
        for (media_type, config, images, plugins) in [
            (DOCKER_MANIFEST, DOCKER_IMAGE_CONFIG, true, false),
            (OCI_MANIFEST, OCI_IMAGE_CONFIG, true, false),
            (DOCKER_MANIFEST, DOCKER_PLUGIN_CONFIG, false, true),
            (OCI_MANIFEST, DOCKER_PLUGIN_CONFIG, false, false),
            (OCI_MANIFEST, "application/vnd.example+json", false, false),
        ] {
            let manifest = manifest(media_type, config);
            assert_eq!(only(Class::Image).check(&manifest).is_ok(), images, "{config}");
            assert_eq!(only(Class::Plugin).check(&manifest).is_ok(), plugins, "{config}");
            assert!(ManifestRules::default().check(&manifest).is_ok(), "{config}");
        }
        let index = Manifest::parse(OCI_INDEX, br#"{"schemaVersion":2,"manifests":[]}"#).expect("an index");
        assert!(only(Class::Plugin).check(&index).is_ok(), "an index has no class");
    }
}
