//! How the file looks.
//!
//! *Invariant:* what is not known is refused with its place, so that a mistyped key never means less or more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The one version there is.
pub const VERSION: u32 = 1;

/// A file larger than this is not read.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Why a text is not such a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    /// It is too large.
    #[error("the policy has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// It is no YAML, or has members that do not belong there.
    #[error("the policy cannot be read: {0}")]
    Form(String),
    /// It is of another version.
    #[error("the policy is of version {0}; this release knows version {VERSION}")]
    Version(u32),
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(
    as = Policy,
    example = json!({
        "version": 1,
        "roles": {"reader": {"actions": ["list", "pull"]}},
        "grants": [{"subject": "everyone", "role": "reader", "pattern": "core/public/**"}],
    })
)]
pub struct Document {
    /// Always 1.
    #[schema(minimum = 1, maximum = 1)]
    pub version: u32,
    /// Roles besides those that are built in, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, RolePart>,
    /// Teams by name, and who is in them: users, `team:NAME`, `robot:OWNER/NAME`, `workload:NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub teams: BTreeMap<String, Vec<String>>,
    /// Who of those in a team say who else is in it, by the name of the team.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub maintainers: BTreeMap<String, Vec<String>>,
    /// Workloads by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workloads: BTreeMap<String, WorkloadPart>,
    /// Namespaces by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaces: BTreeMap<String, NamespacePart>,
    /// What is given and denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<GrantPart>,
    /// Where rights from above stop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub barriers: Vec<BarrierPart>,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PolicyRole)]
pub struct RolePart {
    /// What it allows.
    pub actions: Vec<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PolicyWorkload)]
pub struct WorkloadPart {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PolicyNamespace)]
pub struct NamespacePart {
    /// `user:NAME` or `team:NAME`.
    pub owner: String,
    /// `private` (without it), `internal` or `public`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
    /// `pushers` (without it), `admins` or `nobody`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<String>,
}

/// What is given or denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PolicyGrant)]
pub struct GrantPart {
    /// `user:NAME`, `team:NAME`, `robot:OWNER/NAME`, `workload:NAME`, `everyone` or `authenticated`.
    pub subject: String,
    /// `allow` (without it) or `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// Which role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Which actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<String>>,
    /// On which repositories.
    pub pattern: String,
    /// On which tags only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// When it begins to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Networks from which alone it counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Whether it counts only for people who log in with a second factor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub second_factor: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where rights from above stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PolicyBarrier)]
pub struct BarrierPart {
    /// `a/b/**`.
    pub pattern: String,
    /// What does not come in.
    pub actions: Vec<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Document {
    /// Reads a file.
    pub fn parse(text: &str) -> Result<Self, InvalidDocument> {
        if text.len() > MAX_BYTES {
            return Err(InvalidDocument::TooLarge);
        }
        let document: Self =
            serde_saphyr::from_str(text).map_err(|error| InvalidDocument::Form(error.to_string()))?;
        document.check_version()?;
        Ok(document)
    }

    /// Whether this release knows what a file of this version means.
    pub fn check_version(&self) -> Result<(), InvalidDocument> {
        if self.version == VERSION { Ok(()) } else { Err(InvalidDocument::Version(self.version)) }
    }

    /// Writes a file.
    pub fn written(&self) -> Result<String, InvalidDocument> {
        serde_saphyr::to_string(self).map_err(|error| InvalidDocument::Form(error.to_string()))
    }
}
