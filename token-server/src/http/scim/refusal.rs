//! How SCIM says no.
//!
//! *Invariant:* the status is a text in the body, and what is our own fault is not explained to strangers.
//!
//! Spec: RFC 7644 §3.12.

use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use serde_json::json;
use shared::server::causes;
use shared::server::fallback::note_error;

use super::SCIM;
use crate::domain::error::TokenServerError;
use crate::http::error::ApiError;

/// The schema of a refusal.
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

fn body(status: StatusCode, word: Option<&str>, detail: &str) -> HttpResponse {
    let mut body = json!({"schemas": [ERROR], "status": status.as_str(), "detail": detail});
    if let Some(word) = word {
        body["scimType"] = json!(word);
    }
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, SCIM))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body.to_string())
}

/// The answer to a request that is refused.
pub fn render(error: &ApiError) -> HttpResponse {
    let (status, sentence, retry) = error.told();
    let word = match error {
        ApiError::Domain(TokenServerError::Scim(error)) => Some(error.word()),
        ApiError::MalformedJson | ApiError::BadBody(_) | ApiError::BodyBroken => Some("invalidSyntax"),
        _ => None,
    };
    // A value that the rest of the server finds to make no sense is a bad request here.
    let is_senseless = status == StatusCode::UNPROCESSABLE_ENTITY;
    let (status, word) =
        if is_senseless { (StatusCode::BAD_REQUEST, Some("invalidValue")) } else { (status, word) };
    let sentence = match error {
        ApiError::Domain(TokenServerError::WrongCredentials | TokenServerError::CredentialsRequired) => {
            "show a secret that `token-server scim secret add` has made, as a bearer token".to_owned()
        }
        ApiError::MalformedJson => "the body must be a JSON object".to_owned(),
        _ => sentence,
    };
    let mut response = body(status, word, &sentence);
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, "Bearer realm=\"SCIM\"".parse().expect("a header of plain letters"));
    }
    if let Some(seconds) = retry {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    note_error(&mut response, word.unwrap_or("scim"), causes::sentence(error));
    response
}

/// The answer to a method that an address does not take.
pub fn method_not_allowed(
    allowed: &[Method],
) -> impl Fn() -> LocalBoxFuture<'static, HttpResponse> + Clone + 'static {
    let allowed: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let allow = allowed.join(", ");
    move || {
        let allow = allow.clone();
        Box::pin(async move {
            let sentence = format!("this address takes {allow} only");
            let mut response = body(StatusCode::METHOD_NOT_ALLOWED, None, &sentence);
            let value = allow.parse().expect("a list of methods");
            response.headers_mut().insert(ALLOW, value);
            response
        })
    }
}

/// The answer at an address that is nowhere.
pub async fn nowhere(_: HttpRequest) -> HttpResponse {
    body(StatusCode::NOT_FOUND, None, "there is nothing at this address")
}

/// The answer to many operations at once.
pub async fn no_bulk(_: HttpRequest) -> HttpResponse {
    body(StatusCode::NOT_IMPLEMENTED, None, "operations are sent one by one here")
}
