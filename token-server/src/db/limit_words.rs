//! What a credential is good for, in the words that are stored.
//!
//! *Invariant:* a member that this release does not know is an error: whoever cannot read a limit must not take it for
//! the absence of one.

use serde::{Deserialize, Serialize};

/// What is not said is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitWords {
    /// Patterns of repositories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// Rights, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<String>,
    /// A pattern of tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// Networks and addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
}
