//! What an OpenID Connect provider publishes about itself, as far as it is used.
//!
//! *Invariant:* while the provider does not answer, what it published last counts.
//!
//! Spec: OpenID Connect Discovery 1.0 §3; RFC 9207 §3.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::trust::publisher::{NoKeys, Publisher};

/// How often it is asked again.
const INTERVAL: Duration = Duration::from_mins(5);

/// A provider about itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    /// Its address.
    pub issuer: String,
    /// Where browsers are sent.
    pub authorization_endpoint: String,
    /// Where a code is worth a token.
    pub token_endpoint: String,
    /// Where more is said of somebody.
    pub userinfo_endpoint: Option<String>,
    /// Where browsers are sent that sign out.
    pub end_session_endpoint: Option<String>,
    /// How a client may say who it is.
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// Whether it says who it is when it sends a browser back.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// What was published last.
#[derive(Debug, Default)]
pub struct Known(Mutex<Option<(Instant, Arc<Metadata>)>>);

impl Known {
    /// What a provider publishes, or published last.
    pub async fn get(&self, publisher: &Publisher, issuer: &str) -> Result<Arc<Metadata>, NoKeys> {
        let mut known = self.0.lock().await;
        if let Some((at, metadata)) = &*known
            && at.elapsed() < INTERVAL
        {
            return Ok(metadata.clone());
        }
        match publisher.discover(issuer, |metadata: &Metadata| &metadata.issuer).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *known = Some((Instant::now(), metadata.clone()));
                Ok(metadata)
            }
            Err(error) => match &*known {
                Some((_, metadata)) => {
                    tracing::warn!(%error, issuer, "what the identity provider published last counts on");
                    Ok(metadata.clone())
                }
                None => Err(error),
            },
        }
    }
}
