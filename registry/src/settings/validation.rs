//! `validation`: what a manifest must satisfy to be accepted.
//!
//! *Invariant:* a rule that is given is enforced. Where nothing is said of URLs they are kept as they are, which is
//! what the distribution registry does only when told so.

use regex::RegexSet;
use serde::Deserialize;
use shared::server::settings::{Key, Kind, Loaded};

use super::findings::Findings;
use crate::domain::manifests::rules::{RequiredChildren, UrlRule};
use crate::oci::descriptor::Platform;

const URLS: &str = "validation.manifests.urls";

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "validation.disabled",
        Kind::Scalar,
        "false",
        "Whether the rules of this section are put out of force: any URL, and indexes without their images.",
    ),
    Key::new(
        "validation.enabled",
        Kind::Scalar,
        "false",
        "Old name of the opposite: true puts them in force whatever validation.disabled says.",
    ),
    Key::new(
        "validation.manifests.urls.allow",
        Kind::List,
        "",
        "Patterns of which a URL in a manifest must match one. Without patterns here or in deny any URL is kept.",
    ),
    Key::new(
        "validation.manifests.urls.deny",
        Kind::List,
        "",
        "Patterns of which a URL in a manifest must match none.",
    ),
    Key::new(
        "validation.manifests.indexes.platforms",
        Kind::Scalar,
        "all",
        "Whose images must be there when an index is pushed: all, none or list.",
    ),
    Key::new(
        "validation.manifests.indexes.platformlist[].architecture",
        Kind::Scalar,
        "",
        "Architecture of a platform whose images must be there, with list.",
    ),
    Key::new(
        "validation.manifests.indexes.platformlist[].os",
        Kind::Scalar,
        "",
        "Operating system of a platform whose images must be there, with list.",
    ),
];

#[derive(Deserialize)]
pub(super) struct RawValidation {
    disabled: bool,
    enabled: bool,
    manifests: RawManifests,
}

#[derive(Deserialize)]
struct RawManifests {
    #[serde(default)]
    urls: RawUrls,
    indexes: RawIndexes,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawUrls {
    allow: Vec<String>,
    deny: Vec<String>,
}

#[derive(Deserialize)]
struct RawIndexes {
    platforms: String,
    #[serde(default)]
    platformlist: Vec<RawPlatform>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawPlatform {
    architecture: String,
    os: String,
}

impl RawValidation {
    /// Which URLs and which incomplete indexes are taken.
    pub(super) fn parse(self, loaded: &Loaded, findings: &mut Findings) -> (UrlRule, RequiredChildren) {
        let has_list = ["allow", "deny"].iter().any(|list| loaded.is_mentioned(&format!("{URLS}.{list}")));
        let urls = self.manifests.urls.parse(has_list, findings);
        let children = self.manifests.indexes.parse(findings);
        if self.disabled && !self.enabled {
            return (UrlRule::Any, RequiredChildren::None);
        }
        (urls, children)
    }
}

impl RawUrls {
    fn parse(self, is_given: bool, findings: &mut Findings) -> UrlRule {
        let allow = patterns("allow", &self.allow, findings);
        let deny = patterns("deny", &self.deny, findings);
        match (self.allow.is_empty(), self.deny.is_empty()) {
            (true, true) if !is_given => UrlRule::Any,
            (true, false) => UrlRule::Matching { allow: None, deny },
            // Empty lists allow nothing; a section without lists, as in the example file, says nothing.
            _ => UrlRule::Matching { allow: Some(allow), deny },
        }
    }
}

fn patterns(list: &str, patterns: &[String], findings: &mut Findings) -> RegexSet {
    RegexSet::new(patterns).unwrap_or_else(|error| {
        findings.refuse(format!("`{URLS}.{list}`: {error}"));
        RegexSet::empty()
    })
}

impl RawIndexes {
    fn parse(self, findings: &mut Findings) -> RequiredChildren {
        const KEY: &str = "validation.manifests.indexes";
        match self.platforms.to_ascii_lowercase().as_str() {
            "" | "all" => RequiredChildren::All,
            "none" => RequiredChildren::None,
            // As there, an empty list means every platform.
            "list" if self.platformlist.is_empty() => RequiredChildren::All,
            "list" => {
                let platform = |raw: RawPlatform| Platform { os: raw.os, architecture: raw.architecture };
                let platforms: Vec<_> = self.platformlist.into_iter().map(platform).collect();
                if platforms.iter().any(|platform| platform.os.is_empty() || platform.architecture.is_empty())
                {
                    findings
                        .refuse(format!("`{KEY}.platformlist`: each entry needs `architecture` and `os`"));
                }
                RequiredChildren::Platforms(platforms)
            }
            other => {
                findings.refuse(format!("`{KEY}.platforms` is `{other}`; it can be all, none or list"));
                RequiredChildren::All
            }
        }
    }
}
