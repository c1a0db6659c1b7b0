//! The token endpoint under the registry's own address.
//!
//! Some clients refuse a token endpoint on another private address than the registry's. Requests are passed on as
//! they are: the registry neither reads nor remembers a credential. So are those to two addresses below it, where programs
//! wait to be allowed in a browser and give logins back.
//!
//! *Invariant:* bodies are bounded both ways, no redirect is followed, and neither query nor header is logged.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
    WWW_AUTHENTICATE,
};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use shared::server::client_address::Client;

use super::error::ApiError;
use super::state::{Auth, Forward, RegistryState};
use crate::settings::Realm;

/// The token server takes no larger body.
const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// Clients take no larger answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

const PASSED_ON: [HeaderName; 3] = [AUTHORIZATION, CONTENT_TYPE, USER_AGENT];

const PASSED_BACK: [HeaderName; 4] = [CONTENT_TYPE, CACHE_CONTROL, WWW_AUTHENTICATE, RETRY_AFTER];

/// The path to serve, where forwarding is configured.
pub(super) fn path(state: &RegistryState) -> Option<&str> {
    match &state.auth {
        Auth::Token(auth) if auth.forward.is_some() => match &auth.realm {
            Realm::SameOrigin { path } => Some(path),
            Realm::Fixed(_) => None,
        },
        _ => None,
    }
}

/// What is passed on below the path, with POST only.
pub(super) const BELOW: [&str; 2] = ["device", "revoke"];

pub(super) async fn forward(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    pass_on(&request, payload, &state, None).await
}

/// The same for an address below.
pub(super) async fn forward_below(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let last = request.path().rsplit('/').next();
    let below = BELOW.into_iter().find(|name| Some(*name) == last);
    pass_on(&request, payload, &state, below).await
}

async fn pass_on(
    request: &HttpRequest,
    payload: web::Payload,
    state: &RegistryState,
    below: Option<&'static str>,
) -> Result<HttpResponse, ApiError> {
    let Auth::Token(auth) = &state.auth else { return Err(ApiError::TokenServerUnavailable) };
    let Some(forward) = &auth.forward else { return Err(ApiError::TokenServerUnavailable) };
    let Some(sent) = state.large_bodies.collect(payload, MAX_REQUEST_BYTES, state.stall_timeout).await?
    else {
        return Err(ApiError::TokenRequestTooLarge { limit: MAX_REQUEST_BYTES });
    };
    let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or_default();
    let question = Question { method, below, query: request.query_string(), body: sent.bytes };
    let answer = ask(request, state, forward, question).await?;
    let mut response = HttpResponse::build(answer.status);
    for header in answer.headers {
        response.append_header(header);
    }
    Ok(response.body(answer.body))
}

/// What the token server is asked, besides what is passed on.
pub(super) struct Question<'a> {
    pub(super) method: reqwest::Method,
    pub(super) below: Option<&'static str>,
    pub(super) query: &'a str,
    pub(super) body: Bytes,
}

/// What it answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Asks the token server with the credentials of a request, whatever they are.
pub(super) async fn ask(
    request: &HttpRequest,
    state: &RegistryState,
    Forward { endpoint, client }: &Forward,
    Question { method, below, query, body }: Question<'_>,
) -> Result<Answer, ApiError> {
    let mut target = endpoint.clone();
    if let Some(below) = below {
        let path = format!("{}/{below}", target.path().trim_end_matches('/'));
        target.set_path(&path);
    }
    if !query.is_empty() {
        target.set_query(Some(query));
    }
    let mut outgoing = client.request(method, target).body(body);
    for name in PASSED_ON {
        // Repeated credentials stay repeated: whether that is acceptable is for the token server to say.
        for value in request.headers().get_all(&name) {
            outgoing = outgoing.header(name.as_str(), value.as_bytes());
        }
    }
    let caller = Client::of(request);
    if let Some(address) = caller.address {
        outgoing = outgoing.header("x-forwarded-for", address.to_string());
    }
    outgoing = outgoing.header("x-forwarded-proto", caller.scheme);
    if let Some(origin) = state.locations.origin(request) {
        let host = origin.split_once("://").map_or(origin.as_str(), |(_, host)| host);
        outgoing = outgoing.header("x-forwarded-host", host);
    }
    let mut incoming = outgoing.send().await.map_err(unavailable)?;
    let status = StatusCode::from_u16(incoming.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut headers = HeaderMap::new();
    for name in PASSED_BACK {
        for value in incoming.headers().get_all(name.as_str()) {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.append(name.clone(), value);
            }
        }
    }
    let mut received = Vec::new();
    while let Some(chunk) = incoming.chunk().await.map_err(unavailable)? {
        if received.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(ApiError::TokenServerUnavailable);
        }
        received.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body: received })
}

/// The error is logged without its URL, whose query can hold what a client sent.
fn unavailable(error: reqwest::Error) -> ApiError {
    tracing::error!(error = %error.without_url(), "token server not reached");
    ApiError::TokenServerUnavailable
}
