//! The list of what refers to a manifest.
//!
//! *Invariant:* the answer is an index, also for a digest or a repository nobody knows; a large page is sent as it is
//! read and never held as a whole.
//!
//! Spec: end-12.

use actix_web::http::header::{CONTENT_TYPE, LINK};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, future, stream};
use url::form_urlencoded;

use super::access::{Authorized, Pull};
use super::error::ApiError;
use super::headers::FILTERS_APPLIED;
use super::pagination::Page;
use super::parameters;
use super::state::RegistryState;
use crate::domain::error::RegistryError;
use crate::domain::referrers::{MAX_PAGE_ENTRIES, ReferrerQuery};
use crate::oci::digest::Digest;
use crate::oci::media_type::OCI_INDEX;
use crate::storage::error::StorageError;

const FILTER: &str = "artifactType";

/// A page up to this size is sent with its length.
const HELD_BYTES: u64 = 64 * 1024;

pub(super) async fn list(
    caller: Authorized<Pull>,
    request: HttpRequest,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let subject = Digest::parse(request.match_info().query("digest"))?;
    let page = Page::of(&request)?;
    // A media type has no spaces; one is a plus that was not escaped.
    let artifact_types = parameters::all(&request, FILTER).map(|wanted| wanted.replace(' ', "+"));
    let artifact_types: Vec<String> = artifact_types.collect();
    let limit = page.size.unwrap_or(MAX_PAGE_ENTRIES).min(MAX_PAGE_ENTRIES);
    let query = ReferrerQuery {
        subject: &subject,
        artifact_types: &artifact_types,
        after: page.last.as_deref(),
        limit,
    };
    let found = state.repositories.list_referrers(caller.name(), query).await?;

    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, OCI_INDEX));
    if !artifact_types.is_empty() {
        response.insert_header((FILTERS_APPLIED, FILTER));
    }
    if let Some(last) = &found.next {
        let path = state.locations.link(&format!("/v2/{}/referrers/{subject}", caller.name()));
        response.insert_header((LINK, next_link(&path, &artifact_types, last, limit)));
    }
    let is_small = found.bytes <= HELD_BYTES;
    let body = index(state.repositories.read_referrers(found));
    if is_small {
        let whole = body.try_fold(BytesMut::new(), |mut whole, piece| {
            whole.extend_from_slice(&piece);
            future::ok(whole)
        });
        return Ok(response.body(whole.await.map_err(RegistryError::from)?.freeze()));
    }
    Ok(response.streaming(body))
}

/// An index of descriptors that come in pieces.
fn index(
    pieces: impl Stream<Item = Result<Vec<Bytes>, StorageError>>,
) -> impl Stream<Item = Result<Bytes, StorageError>> {
    let head = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":["#);
    let mut is_first = true;
    let middle = pieces.map_ok(move |descriptors| {
        let mut piece = BytesMut::new();
        for descriptor in descriptors {
            if !std::mem::take(&mut is_first) {
                piece.extend_from_slice(b",");
            }
            piece.extend_from_slice(&descriptor);
        }
        piece.freeze()
    });
    let tail = Bytes::from_static(b"]}");
    stream::iter([Ok(head.into())]).chain(middle).chain(stream::iter([Ok(tail)]))
}

fn next_link(path: &str, artifact_types: &[String], last: &Digest, limit: usize) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for wanted in artifact_types {
        query.append_pair(FILTER, wanted);
    }
    query.append_pair("last", &last.to_string()).append_pair("n", &limit.to_string());
    format!("<{path}?{}>; rel=\"next\"", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn rendered(pieces: &[&[&'static str]]) -> String {
        let pieces = pieces
            .iter()
            .map(|piece| Ok(piece.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()));
        let pieces: Vec<Result<Vec<Bytes>, StorageError>> = pieces.collect();
        let body: Vec<Bytes> = index(stream::iter(pieces)).try_collect().await.expect("nothing fails");
        String::from_utf8(body.concat()).expect("text")
    }

    #[tokio::test]
    async fn pieces_are_joined_into_one_list() {
        let around =
            |list: &str| format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{list}]}}"#);
        assert_eq!(rendered(&[]).await, around(""));
        assert_eq!(rendered(&[&["1", "2"], &[], &["3"]]).await, around("1,2,3"));
    }

    #[test]
    fn the_next_page_has_the_same_filters() {
        let last = Digest::sha256_of(b"");
        let link = next_link("/v2/a/referrers/d", &["a/b+c".into(), "x&y".into()], &last, 5);
        assert!(
            link.starts_with(
                "</v2/a/referrers/d?artifactType=a%2Fb%2Bc&artifactType=x%26y&last=sha256%3Ae3b0"
            ),
            "{link}"
        );
        assert!(link.ends_with("&n=5>; rel=\"next\""), "{link}");
    }
}
