//! What holds nothing: the support check of the protocol, the root for load balancers, and the question that a browser
//! asks before a request of a page from elsewhere.
//!
//! *Invariant:* the support check asks for a token even where anonymous pulls are allowed, because clients learn
//! the token endpoint from it.
//!
//! Spec: end-1.

use actix_web::HttpResponse;
use actix_web::guard::GuardContext;
use actix_web::http::header::{ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_TYPE};

use super::access::Authenticated;

pub(super) async fn check(_caller: Authenticated) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body("{}")
}

pub(super) async fn root() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-cache")).finish()
}

/// Whether a browser asks. It brings no credentials, so an answer that depended on them would always be no.
pub(super) fn is_preflight(context: &GuardContext<'_>) -> bool {
    context.head().headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What pages from elsewhere may do is said by the `Access-Control-*` headers of the settings, and nothing else is.
pub(super) async fn preflight() -> HttpResponse {
    HttpResponse::NoContent().finish()
}
