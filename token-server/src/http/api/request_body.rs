//! Bodies of the API.
//!
//! *Invariant:* a member that is not known is refused by its name, and no value of a member is repeated in what is
//! said about it, because it may be a secret.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::{Bytes, Payload};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::endpoint::Endpoint;
use super::media_type::{self, Format};
use crate::http::body;
use crate::http::error::ApiError;

/// More than any body of the API has that is no file.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024;

/// Reads a body, which must say in which format it is: a web page cannot make a browser send that without being
/// allowed to.
pub(super) async fn read(
    endpoint: &Endpoint,
    request: &HttpRequest,
    payload: Payload,
    timeout: Duration,
) -> Result<Bytes, ApiError> {
    if !Format::of_body(request).is_some_and(|format| endpoint.formats.contains(&format)) {
        return Err(ApiError::UnsupportedMediaType(media_type::listed(endpoint.formats)));
    }
    body::read(request, payload, endpoint.max_body_bytes, timeout).await
}

/// Understands a body.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // Members would also be taken from a list, in some order.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(ApiError::BadBody("the body must be a JSON object, and not a list".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| ApiError::BadBody(sentence(&error)))
}

fn sentence(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    if error.classify() != Category::Data {
        return format!("the body is not JSON (line {line}, column {column})");
    }
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    // These name members and never quote values.
    if ["unknown field", "missing field", "duplicate field"].iter().any(|start| text.starts_with(start)) {
        let text: String = text.chars().filter(|character| !character.is_control()).take(300).collect();
        return format!("the body cannot be used: {}", text.replace(" field ", " member "));
    }
    format!(
        "the body is not what this address takes (line {line}, column {column}); /api/v1/docs shows what is"
    )
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use shared::secret::Secret;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only whether it can be read is of interest")]
        password: Secret,
    }

    #[test]
    fn members_are_named_and_values_are_not_repeated() {
        let said = |text: &str| parse::<Body>(text.as_bytes()).map(|_| ()).unwrap_err().to_string();
        for (text, part) in [
            ("", "is not JSON"),
            ("{", "is not JSON"),
            (r#"{"password":"x","is_admin":true}"#, "unknown member `is_admin`"),
            ("{}", "missing member `password`"),
            (r#"{"password":"a","password":"b"}"#, "duplicate member `password`"),
            (r#"{"password":424242}"#, "line 1, column"),
            (r#"["424242"]"#, "the body"),
        ] {
            assert!(said(text).contains(part), "{text}: {}", said(text));
            assert!(!said(text).contains("424242"), "{text}: {}", said(text));
        }
        assert!(parse::<Body>(br#"{"password":"x"}"#).is_ok());
    }
}
