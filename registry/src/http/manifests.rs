//! Manifests on the wire: read, write, delete, by tag and by digest.
//!
//! *Invariant:* bytes are served and kept exactly as they were pushed, under the type they were pushed with, whatever
//! the client says it accepts: nothing is ever converted.
//!
//! Spec: end-3, end-7, end-9.

use actix_web::body::SizedStream;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};

use super::access::{Authorized, Delete, Pull, Push};
use super::conditional::{entity_tag, is_known};
use super::error::ApiError;
use super::headers::CONTENT_DIGEST;
use super::state::RegistryState;
use crate::domain::error::RegistryError;
use crate::domain::manifests::MANIFEST_LIMIT_BYTES;
use crate::oci::reference::{InvalidReference, Reference};

/// A larger manifest is read again while it is sent, so that a client that reads slowly does not keep it in memory.
const HELD_BYTES: usize = 64 * 1024;

pub(super) async fn get(
    caller: Authorized<Pull>,
    request: HttpRequest,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let reference = match Reference::parse(request.match_info().query("reference")) {
        // A name nothing can have is a name nothing has.
        Err(error @ InvalidReference::Tag(_)) => return Err(ApiError::ReferenceUnknown(error)),
        outcome => outcome?,
    };
    let manifest = state.repositories.get_manifest(caller.name(), &reference).await?;
    let digest = &manifest.digest;
    if is_known(&request, digest) {
        return Ok(HttpResponse::NotModified()
            .insert_header((ETAG, entity_tag(digest)))
            .insert_header((CONTENT_DIGEST, digest.to_string()))
            .finish());
    }
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, manifest.media_type.as_str()))
        .insert_header((CONTENT_DIGEST, digest.to_string()))
        .insert_header((ETAG, entity_tag(digest)));
    let size = manifest.bytes.len();
    if size <= HELD_BYTES {
        // For HEAD the framework sends the length and leaves out the body.
        return Ok(response.body(manifest.bytes));
    }
    let canonical = manifest.canonical.clone();
    drop(manifest);
    let bytes = state.repositories.stream_manifest(&reference, &canonical).await?;
    Ok(response.body(SizedStream::new(size as u64, bytes)))
}

pub(super) async fn put(
    caller: Authorized<Push>,
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let reference = Reference::parse(request.match_info().query("reference"))?;
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let limit = usize::try_from(MANIFEST_LIMIT_BYTES).unwrap_or(usize::MAX);
    let Some(body) = state.large_bodies.collect(payload, limit, state.stall_timeout).await? else {
        return Err(RegistryError::ManifestTooLarge { limit_bytes: MANIFEST_LIMIT_BYTES }.into());
    };
    let digest =
        state.repositories.put_manifest(caller.name(), &reference, content_type, body.bytes.clone()).await?;
    let path = format!("/v2/{}/manifests/{digest}", caller.name());
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, state.locations.url(&request, &path)))
        .insert_header((CONTENT_DIGEST, digest.to_string()))
        .finish())
}

pub(super) async fn delete(
    caller: Authorized<Delete>,
    request: HttpRequest,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let reference = Reference::parse(request.match_info().query("reference"))?;
    if !state.delete_enabled {
        return Err(ApiError::DeleteDisabled);
    }
    match reference {
        Reference::Digest(digest) => {
            state.repositories.delete_manifest(caller.name(), &digest).await?;
        }
        Reference::Tag(tag) => state.repositories.delete_tag(caller.name(), &tag).await?,
    }
    Ok(HttpResponse::Accepted().insert_header((CONTENT_LENGTH, "0")).finish())
}
