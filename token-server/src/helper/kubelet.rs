//! The kubelet asks for each image that a pod pulls, and hands over the token of the pod's service account.
//!
//! *Invariant:* a pod pulls as itself or not at all: without its token there is no answer.
//!
//! Spec: `credentialprovider.kubelet.k8s.io/v1`, and KEP-4412 for the token.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use shared::secret::Secret;

use super::protocol::{self, HelperError};

const API_VERSION: &str = "credentialprovider.kubelet.k8s.io/v1";

/// The name with which tokens of platforms log in.
const USER: &str = "oidc";

/// An answer is not kept up to the last moment of its token.
const MARGIN: Duration = Duration::from_mins(1);

/// What the kubelet asks cannot be answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadRequest {
    /// It is no question of a kubelet.
    #[error("standard input is not a CredentialProviderRequest of {API_VERSION}")]
    Malformed,
    /// The kubelet was not told to hand the token over.
    #[error(
        "there is no serviceAccountToken: the kubelet's CredentialProviderConfig needs tokenAttributes with \
         serviceAccountTokenAudience (Kubernetes 1.34 or newer)"
    )]
    NoToken,
    /// The image is of no registry that has a name.
    #[error("the image {0:?} does not begin with the name of a server")]
    NoServer(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    api_version: String,
    kind: String,
    image: String,
    #[serde(default)]
    service_account_token: Secret,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'a str,
    kind: &'a str,
    cache_key_type: &'a str,
    cache_duration: String,
    auth: BTreeMap<&'a str, Auth<'a>>,
}

#[derive(Serialize)]
struct Auth<'a> {
    username: &'a str,
    password: &'a str,
}

/// The answer to a question, at this second.
pub(super) fn answer(input: &str, now: i64) -> Result<String, HelperError> {
    // What was read has a secret in it and is not quoted.
    let question: Question = serde_json::from_str(input).map_err(|_| BadRequest::Malformed)?;
    if question.api_version != API_VERSION || question.kind != "CredentialProviderRequest" {
        return Err(BadRequest::Malformed.into());
    }
    let token = question.service_account_token;
    if token.is_empty() {
        return Err(BadRequest::NoToken.into());
    }
    let server = question.image.split_once('/').map(|(server, _)| server);
    let server = server.filter(|server| server.contains(['.', ':']) || *server == "localhost");
    let server = server.ok_or_else(|| BadRequest::NoServer(question.image.clone()))?;
    let lasts = lasts(&token, now).saturating_sub(MARGIN);
    let auth = Auth { username: USER, password: token.expose() };
    Ok(protocol::json(&Answer {
        api_version: API_VERSION,
        kind: "CredentialProviderResponse",
        cache_key_type: "Registry",
        cache_duration: format!("{}s", lasts.as_secs()),
        auth: BTreeMap::from([(server, auth)]),
    }))
}

/// How long a token is good, as it says itself; whether that is true is for the server to see.
fn lasts(token: &Secret, now: i64) -> Duration {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let claims = token.expose().split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Option<Claims> = claims.and_then(|json| serde_json::from_slice(&json).ok());
    let seconds = claims.map_or(0, |claims| claims.exp.saturating_sub(now));
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ask(question: &Value) -> Result<Value, String> {
        let said = answer(&question.to_string(), 1_000).map_err(|error| error.to_string())?;
        Ok(serde_json::from_str(&said).unwrap())
    }

    fn question(image: &str, token: &str) -> Value {
        json!({"apiVersion": API_VERSION, "kind": "CredentialProviderRequest", "image": image,
               "serviceAccountToken": token, "serviceAccountAnnotations": {"a": "b"}})
    }

    #[test]
    fn a_pod_pulls_with_its_token_as_long_as_that_lasts() {
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"exp":4600}"#));
        let said = ask(&question("registry.example:5000/platform/app:1", &token)).unwrap();
        assert_eq!(
            said,
            json!({"apiVersion": API_VERSION, "kind": "CredentialProviderResponse", "cacheKeyType": "Registry",
                   "cacheDuration": "3540s", "auth": {"registry.example:5000": {"username": "oidc", "password": token}}})
        );
        // What cannot be read is not kept.
        for token in ["opaque", "a.b.c", "e30.e30.x"] {
            assert_eq!(ask(&question("localhost/app", token)).unwrap()["cacheDuration"], "0s", "{token}");
        }
    }

    #[test]
    fn other_questions_have_no_answer() {
        assert!(ask(&question("registry.example/app", "")).unwrap_err().contains("tokenAttributes"));
        assert!(
            ask(&question("app:1", "t")).unwrap_err().contains("does not begin with the name of a server")
        );
        assert!(ask(&question("library/app", "t")).unwrap_err().contains("does not begin"));
        for (name, value) in [("apiVersion", "credentialprovider.kubelet.k8s.io/v2"), ("kind", "Pod")] {
            let mut other = question("registry.example/app", "s3cret");
            other[name] = value.into();
            let error = ask(&other).unwrap_err();
            assert!(
                error.contains("is not a CredentialProviderRequest") && !error.contains("s3cret"),
                "{error}"
            );
        }
    }
}
