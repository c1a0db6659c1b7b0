//! Conditional reads: `If-None-Match` and `If-Range` against the digest that is the entity tag.
//!
//! *Invariant:* the entity tag of content is its digest in quotes, so equal tags mean equal bytes.
//!
//! Spec: RFC 9110 §13.1.2, §13.1.5.

use actix_web::HttpRequest;
use actix_web::http::header::{IF_NONE_MATCH, IF_RANGE};

use crate::oci::digest::Digest;

/// The entity tag of content.
pub(super) fn entity_tag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Whether the client already has this content. Tags without quotes are taken, because clients send them.
pub(super) fn is_known(request: &HttpRequest, digest: &Digest) -> bool {
    let text = digest.to_string();
    let lists = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|tag| tag == "*" || tag == text)
}

/// Whether a `Range` is meant for this very content: there is no `If-Range`, or it is the strong tag of it.
pub(super) fn is_range_for(request: &HttpRequest, digest: &Digest) -> bool {
    let Some(condition) = request.headers().get(IF_RANGE) else { return true };
    condition.to_str().is_ok_and(|tag| tag.trim() == entity_tag(digest))
}
