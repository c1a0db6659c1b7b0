//! Upload sessions on the wire: start, status, append, finish, cancel; and mounting, which makes an upload
//! unnecessary.
//!
//! *Invariant:* only the query and the headers are read as parameters; a body is always content, whatever type the
//! client gives it.
//!
//! Spec: end-4, end-5, end-6, end-11, end-13, end-14.

use actix_web::http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE, TRANSFER_ENCODING};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use shared::repository_name::RepositoryName;
use url::form_urlencoded;

use super::access::{Authorized, Push, SourceAccess};
use super::body;
use super::error::{ApiError, upload_range};
use super::headers::{CONTENT_DIGEST, UPLOAD_UUID};
use super::parameters::parameter;
use super::range::parse_chunk;
use super::state::RegistryState;
use super::upload_access::AuthorizedUpload;
use crate::domain::blobs::BlobStat;
use crate::domain::uploads::{Announced, UploadStatus};
use crate::oci::digest::{Algorithm, Digest};

pub(super) async fn start(
    caller: Authorized<Push>,
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let name = caller.name();
    // What cannot be served is refused before a session is opened that nobody would close.
    let Asked { mount, whole, algorithm } = asked(&request)?;
    let creation = state.repositories.may_be_made(name, caller.limits()).await;
    creation.map_err(|error| caller.refusal(&request, error))?;
    if let Some(digest) = &mount
        && let Some(stat) = try_mount(&caller, &request, &state, digest).await?
    {
        return Ok(created(&state, &request, name, &stat));
    }
    let owner = caller.caller().owner();
    let status = state.repositories.start_upload(name, &owner, algorithm).await?;
    let Some(digest) = whole else {
        return Ok(session(HttpResponse::Accepted(), &state, &request, name, &status));
    };
    // The whole blob is in this request. If it is not what it says, nothing is left to resume.
    let announced = Announced { start: Some(0), length: content_length(&request) };
    let content = body::stream(payload, state.stall_timeout);
    match state.repositories.finish_upload(name, status.id, &owner, &digest, announced, content).await {
        Ok(stat) => Ok(created(&state, &request, name, &stat)),
        Err(error) => {
            if let Err(error) = state.repositories.cancel_upload(name, status.id, &owner).await {
                tracing::warn!(upload.id = %status.id, %error, "a refused upload could not be cleared away");
            }
            Err(error.into())
        }
    }
}

/// What the query of a starting request asks for.
struct Asked {
    /// The blob to mount.
    mount: Option<Digest>,
    /// The digest of the body, which is the whole blob.
    whole: Option<Digest>,
    /// By what the blob is going to be named.
    algorithm: Algorithm,
}

fn asked(request: &HttpRequest) -> Result<Asked, ApiError> {
    let digest = |parameter_name| -> Result<Option<Digest>, ApiError> {
        Ok(parameter(request, parameter_name).map(|text| Digest::parse(&text)).transpose()?)
    };
    let mount = digest("mount")?;
    // A mount that does not come about begins an upload; then the body is still to come.
    let whole = digest("digest")?.filter(|_| mount.is_none());
    let announced = parameter(request, "digest-algorithm").map(|text| Algorithm::parse(&text)).transpose()?;
    let named = whole.as_ref().or(mount.as_ref()).map(Digest::algorithm);
    Ok(Asked { algorithm: named.or(announced).unwrap_or(Algorithm::Sha256), mount, whole })
}

/// Repositories that are looked at for a mount that names none; each costs one look at a link.
const MOUNT_SOURCES: usize = 16;

/// Mounts if that is possible. Whatever stands in the way, the client can upload instead, and learns nothing about a
/// repository it may not read.
async fn try_mount(
    caller: &Authorized<Push>,
    request: &HttpRequest,
    state: &RegistryState,
    digest: &Digest,
) -> Result<Option<BlobStat>, ApiError> {
    let target = caller.name();
    let Some(from) = parameter(request, "from") else {
        // Any other repository could only be found by looking through all of them.
        for source in std::iter::once(target).chain(caller.readable().take(MOUNT_SOURCES)) {
            if caller.may_read(request, source).await?
                && let Some(stat) = state.repositories.mount_blob(target, digest, source).await?
            {
                return Ok(Some(stat));
            }
        }
        return Ok(None);
    };
    let Ok(from) = RepositoryName::parse(&from) else { return Ok(None) };
    match caller.source_access(request, &from).await? {
        SourceAccess::Allowed => Ok(state.repositories.mount_blob(target, digest, &from).await?),
        SourceAccess::Refused => Ok(None),
    }
}

pub(super) async fn status(
    AuthorizedUpload { caller, id, owner, .. }: AuthorizedUpload,
    request: HttpRequest,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let status = state.repositories.upload_status(caller.name(), id, &owner).await?;
    Ok(session(HttpResponse::NoContent(), &state, &request, caller.name(), &status))
}

pub(super) async fn append(
    AuthorizedUpload { caller, id, owner, .. }: AuthorizedUpload,
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let announced = announced(&request)?;
    let content = body::stream(payload, state.stall_timeout);
    let status = state.repositories.append_upload(caller.name(), id, &owner, announced, content).await?;
    Ok(session(HttpResponse::Accepted(), &state, &request, caller.name(), &status))
}

pub(super) async fn finish(
    AuthorizedUpload { caller, id, owner, offset }: AuthorizedUpload,
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let digest = parameter(&request, "digest").ok_or(ApiError::DigestMissing)?;
    let digest = Digest::parse(&digest)?;
    let mut announced = announced(&request)?;
    if announced.start.is_none() && announced.length != Some(0) {
        // A PUT may be repeated, also by a proxy, and then its body would be appended once more.
        announced.start = offset.0;
    }
    let content = body::stream(payload, state.stall_timeout);
    let stat =
        state.repositories.finish_upload(caller.name(), id, &owner, &digest, announced, content).await?;
    Ok(created(&state, &request, caller.name(), &stat))
}

pub(super) async fn cancel(
    AuthorizedUpload { caller, id, owner, .. }: AuthorizedUpload,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    state.repositories.cancel_upload(caller.name(), id, &owner).await?;
    Ok(HttpResponse::NoContent().insert_header((UPLOAD_UUID, id.to_string())).finish())
}

/// How long the body is; `None` if only its end will tell. Without any framing there is no body.
fn content_length(request: &HttpRequest) -> Option<u64> {
    match request.headers().get(CONTENT_LENGTH) {
        Some(length) => length.to_str().ok()?.parse().ok(),
        None => (!request.headers().contains_key(TRANSFER_ENCODING)).then_some(0),
    }
}

/// What the headers promise, checked against each other before a byte is read.
fn announced(request: &HttpRequest) -> Result<Announced, ApiError> {
    let length = content_length(request);
    let Some(range) = request.headers().get(CONTENT_RANGE) else {
        return Ok(Announced { start: None, length });
    };
    let range = range.to_str().ok().and_then(parse_chunk).ok_or(ApiError::ChunkRange)?;
    match length {
        // A closing request may repeat the range of the last chunk without its bytes.
        Some(0) => Ok(Announced { start: None, length }),
        Some(length) if length != range.len() => {
            Err(ApiError::ChunkLength { announced: range.len(), length })
        }
        _ => Ok(Announced { start: Some(range.first), length: Some(range.len()) }),
    }
}

/// The answer that tells a client where and how to go on.
fn session(
    mut response: HttpResponseBuilder,
    state: &RegistryState,
    request: &HttpRequest,
    name: &RepositoryName,
    status: &UploadStatus,
) -> HttpResponse {
    let token = state.state_key.print(name, status.id, status.offset, status.started_at);
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("_state", &token).finish();
    let path = format!("/v2/{name}/blobs/uploads/{}?{query}", status.id);
    response
        .insert_header((LOCATION, state.locations.url(request, &path)))
        .insert_header((RANGE, upload_range(status.offset)))
        .insert_header((UPLOAD_UUID, status.id.to_string()))
        .finish()
}

fn created(
    state: &RegistryState,
    request: &HttpRequest,
    name: &RepositoryName,
    stat: &BlobStat,
) -> HttpResponse {
    let path = format!("/v2/{name}/blobs/{}", stat.digest);
    HttpResponse::Created()
        .insert_header((LOCATION, state.locations.url(request, &path)))
        .insert_header((CONTENT_DIGEST, stat.digest.to_string()))
        .finish()
}
