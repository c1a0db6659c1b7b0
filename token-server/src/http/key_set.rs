//! The public keys.
//!
//! *Invariant:* only public halves are here; the document changes only when a key does.
//!
//! Spec: RFC 7517 §5.

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use shared::key_set::KeySet;

use super::Services;

/// Verifiers look again after this time at the latest, and before that when they meet an unknown key.
const CACHE: &str = "public, max-age=300";

/// The document as it is sent.
#[derive(Clone, Debug)]
pub struct PublishedKeySet {
    json: Arc<str>,
    etag: Arc<str>,
}

impl PublishedKeySet {
    /// Prepares the document.
    pub fn new(keys: &KeySet) -> Self {
        let json = serde_json::to_string(keys).expect("a key set is plain strings");
        let hash = digest::digest(&digest::SHA256, json.as_bytes());
        let hash = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]);
        Self { json: json.into(), etag: format!("\"{hash}\"").into() }
    }

    /// The document.
    pub fn json(&self) -> &str {
        &self.json
    }
}

/// Sends the document, or says that the caller has it.
pub async fn get_key_set(request: HttpRequest, services: Data<Services>) -> HttpResponse {
    let document = &services.key_set;
    let known = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|list| list.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == &*document.etag
    });
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((CACHE_CONTROL, CACHE)).insert_header((ETAG, &*document.etag));
    if is_known {
        return response.finish();
    }
    response.insert_header((CONTENT_TYPE, "application/json")).body(document.json.to_string())
}
