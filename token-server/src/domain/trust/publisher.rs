//! What issuers publish about themselves.
//!
//! *Invariant:* a document is read up to a bounded size, and one that names another issuer than the one that was asked
//! is none.
//!
//! Spec: OpenID Connect Discovery 1.0 §4.

use std::time::Duration;

use serde::de::DeserializeOwned;
use shared::server::causes;
use shared::server::outgoing::{self, Forbidden, Reach};
use url::Url;

/// A larger document is none of those that are asked for.
const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// How long somebody who is asked may take.
pub const TIMEOUT: Duration = Duration::from_secs(5);

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Why there are no keys of an issuer, or nothing else that it publishes.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoKeys {
    /// The address is not to be asked.
    #[error("{url} cannot be asked: {why}")]
    Forbidden {
        /// Which address.
        url: String,
        /// Why.
        why: Forbidden,
    },
    /// No answer, or one that is none.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// Which address.
        url: String,
        /// Why.
        why: String,
    },
    /// An answer that is something else.
    #[error("{url} does not answer with {what}")]
    Nonsense {
        /// Which address.
        url: String,
        /// What was wanted.
        what: &'static str,
    },
}

impl NoKeys {
    /// Somebody who does not answer, in the words of the library, which repeat the address.
    pub fn silent(address: &str, error: reqwest::Error) -> Self {
        Self::Silent { url: address.to_owned(), why: causes::sentence(&error.without_url()) }
    }
}

/// Asks issuers.
#[derive(Clone, Debug)]
pub struct Publisher {
    client: reqwest::Client,
    reach: Reach,
}

impl Publisher {
    /// Asks addresses within reach.
    pub fn new(reach: Reach) -> Result<Self, reqwest::Error> {
        Ok(Self { client: reach.client(TIMEOUT)?, reach })
    }

    /// Asks issuers that the operator of this machine has named, wherever they are; they are known by authorities of the
    /// system and by these, in PEM.
    pub fn of_operator(authorities: Option<&[u8]>) -> Result<Self, reqwest::Error> {
        let client = outgoing::client_trusting(TIMEOUT, authorities.unwrap_or_default())?;
        Ok(Self { client, reach: Reach::everywhere() })
    }

    /// A request to an address that may be asked.
    pub fn request(&self, method: reqwest::Method, address: &str) -> Result<reqwest::RequestBuilder, NoKeys> {
        let unreadable =
            |error: url::ParseError| NoKeys::Silent { url: address.to_owned(), why: error.to_string() };
        let url: Url = address.parse().map_err(unreadable)?;
        self.reach.check(&url).map_err(|why| NoKeys::Forbidden { url: address.to_owned(), why })?;
        Ok(self.client.request(method, url))
    }

    /// The document of an issuer about itself; `issuer_of` reads whose it says that it is.
    pub async fn discover<T: DeserializeOwned>(
        &self,
        issuer: &str,
        issuer_of: impl FnOnce(&T) -> &str,
    ) -> Result<T, NoKeys> {
        let address = format!("{}{DISCOVERY}", issuer.trim_end_matches('/'));
        let metadata: T = self.get_json(&address, "what OpenID Connect Discovery asks for").await?;
        if issuer_of(&metadata) != issuer {
            return Err(NoKeys::Nonsense { url: address, what: "the issuer that it was asked for" });
        }
        Ok(metadata)
    }

    /// A document in JSON.
    pub async fn get_json<T: DeserializeOwned>(
        &self,
        address: &str,
        what: &'static str,
    ) -> Result<T, NoKeys> {
        let request = self.request(reqwest::Method::GET, address)?;
        let answer = request.send().await.map_err(|error| NoKeys::silent(address, error))?;
        if !answer.status().is_success() {
            return Err(NoKeys::Silent { url: address.to_owned(), why: answer.status().to_string() });
        }
        let document = read(address, answer).await?;
        serde_json::from_slice(&document).map_err(|_| NoKeys::Nonsense { url: address.to_owned(), what })
    }
}

/// The body of an answer.
pub async fn read(address: &str, mut answer: reqwest::Response) -> Result<Vec<u8>, NoKeys> {
    let mut document = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|error| NoKeys::silent(address, error))? {
        if document.len() + part.len() > MAX_DOCUMENT_BYTES {
            let why = "the answer is too large".to_owned();
            return Err(NoKeys::Silent { url: address.to_owned(), why });
        }
        document.extend_from_slice(&part);
    }
    Ok(document)
}
