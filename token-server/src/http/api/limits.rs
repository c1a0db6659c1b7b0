//! What a credential is good for, as the API shows and takes it.
//!
//! *Invariant:* limits that this release does not understand are shown as good for nothing, because they let nobody in.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::roles;
use crate::db::limit_words::LimitWords;
use crate::domain::credential_limits::CredentialLimits;
use crate::domain::error::TokenServerError;

/// What a secret is good for; what is not said is not limited.
#[derive(Debug, Serialize, ToSchema)]
pub struct Limits {
    /// On repositories that one of these patterns covers.
    pub repositories: Vec<String>,
    /// Only these actions; an empty list where the limits are not understood, so that it is good for nothing.
    #[schema(required = true)]
    pub actions: Option<Vec<String>>,
    /// Only on these tags, and what is needed around that.
    #[schema(required = true)]
    pub tags: Option<String>,
    /// Only for clients in one of these networks.
    pub networks: Vec<String>,
}

impl From<&Value> for Limits {
    fn from(stored: &Value) -> Self {
        let LimitWords { repositories, actions, tags, networks } = match CredentialLimits::stored(stored) {
            Ok(limits) => limits.words(),
            // Nobody gets in with what this release does not understand: it is good for no action.
            Err(_) => LimitWords { actions: Some(String::new()), ..LimitWords::default() },
        };
        let actions = actions.map(|list| if list.is_empty() { Vec::new() } else { roles::words(&list) });
        Self { repositories, actions, tags, networks }
    }
}

/// What a secret is to be good for; what is not said is not limited.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLimits {
    /// On repositories that one of these patterns covers.
    #[serde(default)]
    repositories: Vec<String>,
    /// Only these actions.
    actions: Option<Vec<String>>,
    /// Only on these tags, and what is needed around that.
    tags: Option<String>,
    /// Only for clients in one of these networks.
    #[serde(default)]
    networks: Vec<String>,
}

impl NewLimits {
    /// The same in words.
    pub(super) fn words(self) -> Result<LimitWords, TokenServerError> {
        if self.repositories.is_empty()
            && self.actions.is_none()
            && self.tags.is_none()
            && self.networks.is_empty()
        {
            let sentence = "say what the secret is to be good for, or leave `limits` out".to_owned();
            return Err(TokenServerError::Contradiction(sentence));
        }
        let Self { repositories, actions, tags, networks } = self;
        let actions = actions.as_deref().map(roles::rights).transpose()?.map(|rights| rights.to_string());
        Ok(LimitWords { repositories, actions, tags, networks })
    }
}
