//! What is said when no handler speaks: unknown paths, wrong methods, panics.
//!
//! *Invariant:* no answer of either server has a body in another shape than its own.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError, Route, web};

use crate::error_body::{ErrorBody, ErrorCode};

/// What the request's line in the log says of a refusal; it travels with the response and is not sent.
#[derive(Clone, Debug, Default)]
pub(super) struct ErrorNote {
    pub(super) code: &'static str,
    pub(super) cause: String,
}

/// Clients that wait at all wait this many seconds.
pub const RETRY_AFTER_SECONDS: &str = "5";

/// An answer in the one shape of errors. One that says "later" also says when; who knows better replaces that.
pub fn error_response(status: StatusCode, body: &ErrorBody) -> HttpResponse {
    let mut response =
        HttpResponse::build(status).insert_header((CONTENT_TYPE, "application/json")).body(body.to_json());
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
    }
    note_error(&mut response, body.code(), String::new());
    response
}

/// Says in the request's line of the log which error this response is, and what was behind it. The cause is for the
/// operator; it must hold no secret.
pub fn note_error(response: &mut HttpResponse, code: &'static str, cause: String) {
    response.extensions_mut().insert(ErrorNote { code, cause });
}

/// The answer to a path that is nowhere.
pub(super) async fn not_found() -> HttpResponse {
    let body = ErrorBody::with_message(ErrorCode::Unsupported, "there is nothing at this address");
    error_response(StatusCode::NOT_FOUND, &body)
}

/// A route that answers every method with 405 and names the ones that work, such as `"GET, HEAD"`.
pub fn method_not_allowed(allow: &'static str) -> Route {
    web::to(move || async move {
        let body =
            ErrorBody::with_message(ErrorCode::Unsupported, format!("this address takes {allow} only"));
        let mut response = error_response(StatusCode::METHOD_NOT_ALLOWED, &body);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        response
    })
}

/// Our own fault; what exactly stands in the log under the request id.
#[derive(Debug, thiserror::Error)]
#[error("internal error in request {request_id}")]
pub(super) struct InternalError {
    pub(super) request_id: String,
}

impl ResponseError for InternalError {
    fn error_response(&self) -> HttpResponse {
        let body = ErrorBody::new(ErrorCode::Unknown).detail(format!("request {}", self.request_id));
        error_response(StatusCode::INTERNAL_SERVER_ERROR, &body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_told_later_is_told_when() {
        for (status, told) in [
            (StatusCode::TOO_MANY_REQUESTS, true),
            (StatusCode::SERVICE_UNAVAILABLE, true),
            (StatusCode::BAD_REQUEST, false),
            (StatusCode::INTERNAL_SERVER_ERROR, false),
        ] {
            let response = error_response(status, &ErrorBody::new(ErrorCode::Unavailable));
            assert_eq!(response.headers().contains_key(RETRY_AFTER), told, "{status}");
        }
    }
}
