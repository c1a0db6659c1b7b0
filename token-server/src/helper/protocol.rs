//! What clients say to credential helpers, and what they understand.
//!
//! *Invariant:* a server has one key, in whatever spelling clients name it. Input is bounded.
//!
//! Spec: docker-credential-helpers, README "Development" (commands and their JSON).

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;

use serde::{Deserialize, Serialize};
use shared::secret::Secret;

use super::kubelet::BadRequest;
use super::remote::RemoteError;
use super::store::StoreError;

/// The user name of those who bring a refresh token in place of a password.
pub(super) const TOKEN: &str = "<token>";

/// More than any client says.
const MAX_INPUT_BYTES: u64 = 64 * 1024;

/// What went wrong, as a client shows it.
#[derive(Debug, thiserror::Error)]
pub(super) enum HelperError {
    /// Clients know these words and go on without a login.
    #[error("credentials not found in native keychain")]
    NotFound,
    /// Clients know these as well.
    #[error("no credentials server URL")]
    NoServer,
    /// And these.
    #[error("no credentials username")]
    NoUser,
    /// Standard input is not what it should be.
    #[error("standard input is not what a client says to a credential helper: {0}")]
    Input(String),
    /// Logins are not kept, or cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A login was begun and came to nothing.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The kubelet asks for what there is not.
    #[error(transparent)]
    Kubelet(#[from] BadRequest),
}

/// A server as clients name it, without what the same one is named with at other times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Server(String);

impl Server {
    /// Takes the scheme of TLS and slashes at the end away; a path, as of registries of before, makes another server.
    pub(super) fn parse(text: &str) -> Result<Self, HelperError> {
        let text = text.trim();
        let text = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
        if text.is_empty() {
            return Err(HelperError::NoServer);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(HelperError::Input("the address has spaces or line breaks in it".to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it was said that there is no TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.0.starts_with("http://")
    }

    /// Its key.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A login at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Login {
    /// Where.
    pub(super) server: Server,
    /// As whom, or [`TOKEN`].
    pub(super) username: String,
    /// The password or refresh token.
    pub(super) secret: Secret,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Written<'a> {
    #[serde(rename = "ServerURL")]
    server: &'a str,
    username: &'a str,
    secret: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Read {
    #[serde(default, rename = "ServerURL")]
    server: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: Secret,
}

impl Login {
    /// Reads what a client stores.
    pub(super) fn parse(text: &str) -> Result<Self, HelperError> {
        // What was read is a secret and is not quoted.
        let read: Read = serde_json::from_str(text).map_err(|_| {
            HelperError::Input("it is not JSON with ServerURL, Username and Secret".to_owned())
        })?;
        if read.username.is_empty() {
            return Err(HelperError::NoUser);
        }
        Ok(Self { server: Server::parse(&read.server)?, username: read.username, secret: read.secret })
    }

    /// Whether it is a refresh token, which can be checked and given back.
    pub(super) fn is_token(&self) -> bool {
        self.username == TOKEN
    }

    /// As clients read it.
    pub(super) fn render(&self) -> String {
        let written =
            Written { server: self.server.as_str(), username: &self.username, secret: self.secret.expose() };
        json(&written)
    }
}

/// Servers and users as clients read them.
pub(super) fn listing(users: &BTreeMap<String, String>) -> String {
    json(users)
}

/// JSON of what can always be JSON.
pub(super) fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("a map of texts can be JSON");
    format!("{text}\n")
}

/// The address on standard input.
pub(super) fn server(input: &str) -> Result<Server, HelperError> {
    Server::parse(input)
}

/// What is on standard input.
pub(super) fn read_input() -> Result<String, HelperError> {
    let mut text = String::new();
    let read = std::io::stdin().take(MAX_INPUT_BYTES + 1).read_to_string(&mut text);
    let length = read.map_err(|error| HelperError::Input(error.to_string()))? as u64;
    if length > MAX_INPUT_BYTES {
        return Err(HelperError::Input(format!("it is longer than {MAX_INPUT_BYTES} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_one_key() {
        for text in [
            "registry.example",
            " registry.example\n",
            "https://registry.example",
            "https://registry.example/",
        ] {
            assert_eq!(Server::parse(text).unwrap().as_str(), "registry.example", "{text}");
        }
        assert_eq!(Server::parse("https://index.example/v1/").unwrap().as_str(), "index.example/v1");
        assert_eq!(Server::parse("http://127.0.0.1:5000").unwrap().as_str(), "http://127.0.0.1:5000");
        for text in ["", "\n", "https://", "a\nb"] {
            assert!(Server::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn logins_are_read_as_they_are_written() {
        let text = r#"{"ServerURL":"registry.example","Username":"<token>","Secret":"s3cret"}"#;
        let login = Login::parse(text).unwrap();
        assert!(login.is_token());
        assert_eq!(login.render().trim(), text);
        assert_eq!(
            Login::parse(r#"{"ServerURL":"a","Secret":"b"}"#).unwrap_err().to_string(),
            "no credentials username"
        );
        assert_eq!(
            Login::parse(r#"{"Username":"a","Secret":"b"}"#).unwrap_err().to_string(),
            "no credentials server URL"
        );
        let error = Login::parse(r#"{"Secret":"s3cret""#).unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
}
