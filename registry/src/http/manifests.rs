//! Manifests on the wire: read, write, delete, by tag and by digest.
//!
//! *Invariant:* bytes are served and kept exactly as they were pushed, under the type they were pushed with: nothing is
//! ever converted. What a client accepts can only choose between a list and an image in it.
//!
//! Spec: end-3, end-7, end-9.

use actix_web::body::SizedStream;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION, VARY};
use actix_web::{HttpRequest, HttpResponse, web};

use super::access::{Authorized, Delete, Pull, Push};
use super::conditional::{self, entity_tag};
use super::error::ApiError;
use super::headers::{CONTENT_DIGEST, OCI_SUBJECT, OCI_TAG};
use super::state::RegistryState;
use super::{negotiation, parameters, warnings};
use crate::domain::error::RegistryError;
use crate::domain::manifests::{MANIFEST_LIMIT_BYTES, ManifestPush};
use crate::oci::media_type;
use crate::oci::reference::{InvalidReference, MAX_TAG_BYTES, Reference, Tag};

/// The most tags of one push; the specification asks for ten.
const MAX_TAGS: usize = 100;

/// So many of them are named in one header: some clients refuse an answer with a hundred headers, others a long one.
const TAGS_PER_HEADER: usize = 10;

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
    let mut manifest = state.repositories.get_manifest(caller.name(), &reference).await?;
    let is_negotiated =
        matches!(reference, Reference::Tag(_)) && manifest.media_type == media_type::DOCKER_MANIFEST_LIST;
    if let Reference::Tag(tag) = &reference
        && is_negotiated
        && negotiation::rejects_lists(&request)
    {
        manifest = state.repositories.get_default_child(caller.name(), tag, &manifest).await?;
    }
    let digest = &manifest.digest;
    if conditional::is_known(&request, digest)? {
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
    if is_negotiated {
        response.insert_header((VARY, "Accept"));
    }
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
    let tags = tags_to_give(&request, &reference)?;
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let limit = usize::try_from(MANIFEST_LIMIT_BYTES).unwrap_or(usize::MAX);
    let Some(body) = state.large_bodies.collect(payload, limit, state.stall_timeout).await? else {
        return Err(RegistryError::ManifestTooLarge { limit_bytes: MANIFEST_LIMIT_BYTES }.into());
    };
    let push = ManifestPush {
        tags: tags.clone(),
        precondition: conditional::precondition(&request),
        ..ManifestPush::new(reference, content_type.unwrap_or_default(), body.bytes.clone())
    };
    let pushed = state.repositories.put_manifest(caller.name(), push, caller.limits()).await;
    let pushed = pushed.map_err(|error| caller.refusal(&request, error))?;
    let path = format!("/v2/{}/manifests/{}", caller.name(), pushed.digest);
    let mut response = HttpResponse::Created();
    response
        .insert_header((LOCATION, state.locations.url(&request, &path)))
        .insert_header((CONTENT_DIGEST, pushed.digest.to_string()));
    if let Some(subject) = &pushed.subject {
        response.insert_header((OCI_SUBJECT, subject.to_string()));
    }
    for tags in tags.chunks(TAGS_PER_HEADER) {
        let list: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        response.append_header((OCI_TAG, list.join(", ")));
    }
    warnings::add(&mut response, &pushed.warnings);
    Ok(response.finish())
}

/// The tags a manifest that is put by digest is to be given, each once.
fn tags_to_give(request: &HttpRequest, reference: &Reference) -> Result<Vec<Tag>, ApiError> {
    let mut tags = Vec::new();
    for given in parameters::all(request, "tag") {
        let tag = Tag::parse(&given).map_err(|reason| {
            let given = given.chars().take(MAX_TAG_BYTES).collect();
            ApiError::TagParameter { given, reason }
        })?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        if tags.len() > MAX_TAGS {
            return Err(ApiError::TooManyTags { limit: MAX_TAGS });
        }
    }
    match reference {
        Reference::Tag(_) if !tags.is_empty() => Err(ApiError::TagsWithoutDigest),
        _ => Ok(tags),
    }
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
    let precondition = conditional::precondition(&request);
    let (name, limits) = (caller.name(), caller.limits());
    let deleted = match reference {
        Reference::Digest(digest) => {
            state.repositories.delete_manifest(name, &digest, precondition, limits).await.map(drop)
        }
        Reference::Tag(tag) => state.repositories.delete_tag(name, &tag, precondition, limits).await,
    };
    deleted.map_err(|error| caller.refusal(&request, error))?;
    Ok(HttpResponse::Accepted().insert_header((CONTENT_LENGTH, "0")).finish())
}
