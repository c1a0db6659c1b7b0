//! Conditional requests: `If-Match`, `If-None-Match` and `If-Range` against the digest that is the entity tag.
//!
//! *Invariant:* the entity tag of content is its digest in quotes, so equal tags mean equal bytes.
//!
//! Spec: RFC 9110 §13.1.1, §13.1.2, §13.1.5.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE};

use crate::domain::error::RegistryError;
use crate::domain::manifests::precondition::{Expected, Precondition, Unmet};
use crate::oci::digest::Digest;

/// The entity tag of content.
pub(super) fn entity_tag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// What a request demands of the present state.
pub(super) fn precondition(request: &HttpRequest) -> Precondition {
    Precondition {
        // A weak tag says that the bytes may differ, which is not enough to match.
        if_match: expected(request, IF_MATCH, |tag| !tag.starts_with("W/")),
        if_none_match: expected(request, IF_NONE_MATCH, |_| true),
    }
}

/// Whether the client already has this content; an error if it wants other content or none.
pub(super) fn is_known(request: &HttpRequest, digest: &Digest) -> Result<bool, RegistryError> {
    match precondition(request).judge(Some(digest)) {
        Ok(()) => Ok(false),
        Err(Unmet::NoneMatch) => Ok(true),
        Err(unmet @ Unmet::Match) => Err(RegistryError::PreconditionFailed { unmet }),
    }
}

/// Tags without quotes are taken, because clients send them; one that is no digest names nothing that could be here.
fn expected(request: &HttpRequest, name: HeaderName, counts: fn(&str) -> bool) -> Option<Expected> {
    let mut digests = None;
    for value in request.headers().get_all(name) {
        let digests = digests.get_or_insert_with(Vec::new);
        let tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
        for tag in tags.filter(|tag| counts(tag)) {
            let tag = tag.trim_start_matches("W/").trim_matches('"');
            if tag == "*" {
                return Some(Expected::Anything);
            }
            digests.extend(Digest::parse(tag).ok());
        }
    }
    digests.map(Expected::OneOf)
}

/// Whether a `Range` is meant for this very content: there is no `If-Range`, or it is the strong tag of it.
pub(super) fn is_range_for(request: &HttpRequest, digest: &Digest) -> bool {
    let Some(condition) = request.headers().get(IF_RANGE) else { return true };
    condition.to_str().is_ok_and(|tag| tag.trim() == entity_tag(digest))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn tags_come_in_lists_and_repeated_headers() {
        let (a, b) = (Digest::sha256_of(b"a"), Digest::sha256_of(b"b"));
        let listed = |digests: &[&Digest]| Some(Expected::OneOf(digests.iter().copied().cloned().collect()));
        for (values, if_match, if_none_match) in [
            (vec![], None, None),
            (vec!["*".to_owned()], Some(Expected::Anything), Some(Expected::Anything)),
            (vec![format!("\"{a}\"")], listed(&[&a]), listed(&[&a])),
            (vec![a.to_string()], listed(&[&a]), listed(&[&a])),
            (vec![format!("W/\"{a}\"")], listed(&[]), listed(&[&a])),
            (vec![format!("\"{a}\" , \"x\",\"{b}\"")], listed(&[&a, &b]), listed(&[&a, &b])),
            (vec![format!("\"{a}\""), format!("\"{b}\"")], listed(&[&a, &b]), listed(&[&a, &b])),
            (vec!["garbage".to_owned()], listed(&[]), listed(&[])),
            (vec![String::new()], listed(&[]), listed(&[])),
        ] {
            let request = values.iter().fold(TestRequest::get(), |request, value| {
                request
                    .append_header((IF_MATCH, value.as_str()))
                    .append_header((IF_NONE_MATCH, value.as_str()))
            });
            let found = precondition(&request.to_http_request());
            assert_eq!(found, Precondition { if_match, if_none_match }, "{values:?}");
        }
    }
}
