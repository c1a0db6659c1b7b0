//! What holds nothing: the support check of the protocol, the root for load balancers, and `OPTIONS`.
//!
//! *Invariant:* the support check asks for a token even where anonymous pulls are allowed, because clients learn
//! the token endpoint from it.
//!
//! Spec: end-1.

use std::future::{Ready, ready};

use actix_web::HttpResponse;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};

use super::access::Authenticated;

pub(super) async fn check(_caller: Authenticated) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body("{}")
}

pub(super) async fn root() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-cache")).finish()
}

/// Tells the methods of an address without asking who wants to know: a browser sends no token with this question, and
/// reads from `http.headers` in the answer whether it may go on.
pub(super) fn options(allow: &'static str) -> Ready<HttpResponse> {
    ready(HttpResponse::Ok().insert_header((ALLOW, allow)).finish())
}
