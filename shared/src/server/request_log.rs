//! One line for each request, and the request id that joins it to an error.
//!
//! Fields are an interface for operators: `request.id`, `http.method`, `http.path`, `http.status`, `duration_ms`,
//! `client.address`, `user_agent`, `subject`, `error.code`, `error.cause`. The query is never part of it.
//!
//! *Invariant:* every request ends in exactly one line, also when its handler panics, and the line holds no header
//! that can carry a credential.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue, USER_AGENT};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest};
use futures_util::FutureExt as _;
use uuid::Uuid;

use super::access_log::AccessLog;
use super::answer_body::{WatchedBody, Watchers};
use super::client_address::{Client, TrustedProxies};
use super::fallback::{ErrorNote, InternalError};
use super::metrics::http::Handling;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest user agent that is written.
const MAX_USER_AGENT: usize = 200;

/// Longest path that is written: names and references of the protocol fit.
const MAX_PATH: usize = 1000;

/// What handlers add to the line of their request.
#[derive(Debug, Default)]
pub struct RequestLog {
    id: String,
    subject: RefCell<Option<String>>,
}

impl RequestLog {
    /// The id of this request, for messages that must be found again in the log.
    pub fn id(request: &HttpRequest) -> String {
        request.extensions().get::<Self>().map_or_else(String::new, |log| log.id.clone())
    }

    /// Notes who asked.
    pub fn note_subject(request: &HttpRequest, subject: &str) {
        if let Some(log) = request.extensions().get::<Self>() {
            log.subject.replace(Some(subject.to_owned()));
        }
    }
}

/// What stands around every request.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) proxies: TrustedProxies,
    pub(super) tls: bool,
    pub(super) access_log: Option<AccessLog>,
}

/// Runs a request: gives it an id and a client address, catches panics, writes the lines.
pub(super) async fn around(
    surroundings: Arc<Surroundings>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<WatchedBody>, Error> {
    let started = Instant::now();
    let id = Uuid::new_v4().to_string();
    Client::remember(&request, &surroundings.proxies, surroundings.tls);
    request.extensions_mut().insert(RequestLog { id: id.clone(), ..RequestLog::default() });
    let method = request.method().clone();
    // A path may be as long as a head may be, and a line is kept.
    let path: String = request.path().chars().take(MAX_PATH).collect();
    let user_agent = user_agent(&request);
    let client = request.extensions().get::<Client>().and_then(|client| client.address);
    let line = surroundings.access_log.as_ref().map(|log| log.begin(&request, client));
    let client = client.map_or_else(|| "-".to_owned(), |address| address.to_string());

    let outcome = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let Ok(outcome) = outcome else {
        tracing::error!(
            request.id = id, http.method = %method, http.path = path, http.status = 500, duration_ms,
            client.address = client, user_agent, "request handler panicked"
        );
        let error = Error::from(InternalError { request_id: id });
        if let Some(line) = line {
            line.end_with_error(&error);
        }
        return Err(error);
    };
    let mut response = match outcome {
        Ok(response) => response.map_into_boxed_body(),
        Err(error) => {
            let status = error.as_response_error().status_code().as_u16();
            tracing::info!(
                request.id = id, http.method = %method, http.path = path, http.status = status, duration_ms,
                client.address = client, user_agent, "request"
            );
            if let Some(line) = line {
                line.end_with_error(&error);
            }
            return Err(error);
        }
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let status = response.status().as_u16();
    let subject = {
        let extensions = response.request().extensions();
        extensions.get::<RequestLog>().and_then(|log| log.subject.take()).unwrap_or_default()
    };
    let ErrorNote { code, cause } = response.response().extensions().get().cloned().unwrap_or_default();
    if status >= 500 {
        tracing::error!(
            request.id = id, http.method = %method, http.path = path, http.status = status, duration_ms,
            client.address = client, user_agent, subject, error.code = code, error.cause = cause, "request failed"
        );
    } else {
        tracing::info!(
            request.id = id, http.method = %method, http.path = path, http.status = status, duration_ms,
            client.address = client, user_agent, subject, error.code = code, error.cause = cause, "request"
        );
    }
    let is_head = method == Method::HEAD;
    let handling = response.request().extensions_mut().remove::<Handling>();
    let watchers = Watchers { line: line.map(|line| (line, subject)), handling, status, is_head };
    Ok(response.map_body(|_, body| WatchedBody::new(body, watchers)))
}

fn user_agent(request: &ServiceRequest) -> String {
    let value = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.chars().take(MAX_USER_AGENT).collect()
}
