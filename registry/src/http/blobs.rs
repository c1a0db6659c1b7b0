//! Reading and deleting blobs.
//!
//! *Invariant:* what is served is read from the store in bounded pieces; a `HEAD` costs no read of the bytes.
//!
//! Spec: end-2, end-10; RFC 9110 §14.

use actix_web::body::SizedStream;
use actix_web::http::Method;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use futures_util::stream;

use super::access::{Authorized, Delete, Pull};
use super::conditional::{entity_tag, is_known, is_range_for};
use super::error::ApiError;
use super::headers::{CONTENT_DIGEST, OCTET_STREAM};
use super::range::{RangeRequest, resolve};
use super::state::RegistryState;
use crate::domain::blobs::BlobStat;
use crate::oci::digest::Digest;

/// Content under a digest never changes.
const CACHE_FOR_A_YEAR: &str = "max-age=31536000";

pub(super) async fn get(
    caller: Authorized<Pull>,
    request: HttpRequest,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let digest = digest(&request)?;
    if request.method() == Method::HEAD {
        let stat = state.repositories.stat_blob(caller.name(), &digest).await?;
        if is_known(&request, &digest)? {
            return Ok(not_modified(&digest));
        }
        let empty = stream::empty::<Result<web::Bytes, ApiError>>();
        let size = stat.size;
        return Ok(describe(StatusCode::OK, &stat).body(SizedStream::new(size, empty)));
    }
    let blob = state.repositories.open_blob(caller.name(), &digest).await?;
    if is_known(&request, &digest)? {
        return Ok(not_modified(&digest));
    }
    let size = blob.stat.size;
    let wanted = request.headers().get(RANGE).and_then(|value| value.to_str().ok());
    let wanted = wanted.filter(|_| is_range_for(&request, &digest));
    match resolve(wanted, size) {
        RangeRequest::Whole => {
            let mut response = describe(StatusCode::OK, &blob.stat);
            Ok(response.body(SizedStream::new(size, blob.stream(0..size))))
        }
        RangeRequest::Part(range) => {
            let mut response = describe(StatusCode::PARTIAL_CONTENT, &blob.stat);
            response.insert_header((CONTENT_RANGE, format!("bytes {}-{}/{size}", range.first, range.last)));
            Ok(response.body(SizedStream::new(range.len(), blob.stream(range.first..range.last + 1))))
        }
        RangeRequest::Unsatisfiable => Err(ApiError::RangeNotSatisfiable { size }),
    }
}

pub(super) async fn delete(
    caller: Authorized<Delete>,
    request: HttpRequest,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let digest = digest(&request)?;
    if !state.delete_enabled {
        return Err(ApiError::DeleteDisabled);
    }
    let deleted = state.repositories.delete_blob(caller.name(), &digest, caller.limits()).await;
    deleted.map_err(|error| caller.refusal(&request, error))?;
    Ok(HttpResponse::Accepted().insert_header((CONTENT_LENGTH, "0")).finish())
}

fn digest(request: &HttpRequest) -> Result<Digest, ApiError> {
    Ok(Digest::parse(request.match_info().query("digest"))?)
}

fn not_modified(digest: &Digest) -> HttpResponse {
    HttpResponse::NotModified()
        .insert_header((ETAG, entity_tag(digest)))
        .insert_header((CONTENT_DIGEST, digest.to_string()))
        .insert_header((CACHE_CONTROL, CACHE_FOR_A_YEAR))
        .finish()
}

fn describe(status: StatusCode, stat: &BlobStat) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((CACHE_CONTROL, CACHE_FOR_A_YEAR))
        .insert_header((CONTENT_TYPE, OCTET_STREAM))
        .insert_header((CONTENT_DIGEST, stat.digest.to_string()))
        .insert_header((ETAG, entity_tag(&stat.digest)));
    response
}
