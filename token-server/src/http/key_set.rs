//! The public keys.
//!
//! *Invariant:* only public halves are here; the document changes only when a key does.
//!
//! Spec: RFC 7517 §5.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

use super::Services;
use crate::domain::keys::key_policy::KEY_SET_MAX_AGE;

/// What tells one document from another.
fn etag(document: &str) -> String {
    let hash = digest::digest(&digest::SHA256, document.as_bytes());
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]))
}

/// Sends the document, or says that the caller has it.
pub async fn get_key_set(request: HttpRequest, services: Data<Services>) -> HttpResponse {
    let keys = services.keys.current().key_set(services.administration.now());
    let document = serde_json::to_string(&keys).expect("a key set is plain strings");
    let cache = format!("public, max-age={}", KEY_SET_MAX_AGE.as_secs());
    let etag = etag(&document);
    let known = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|list| list.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
    });
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((CACHE_CONTROL, cache)).insert_header((ETAG, etag));
    if is_known {
        return response.finish();
    }
    response.insert_header((CONTENT_TYPE, "application/json")).body(document)
}
