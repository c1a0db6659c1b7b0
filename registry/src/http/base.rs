//! The two addresses that hold nothing: the support check of the protocol, and the root for load balancers.
//!
//! *Invariant:* the support check asks for a token even where anonymous pulls are allowed, because clients learn
//! the token endpoint from it.
//!
//! Spec: end-1.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::access::Authenticated;

pub(super) async fn check(_caller: Authenticated) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body("{}")
}

pub(super) async fn root() -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-cache")).finish()
}
