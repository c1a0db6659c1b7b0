//! What the API answers when all goes well.
//!
//! *Invariant:* no answer is stored by a cache, and every single thing carries its tag.
//!
//! Spec: RFC 9110 §13.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use futures_util::stream::LocalBoxStream;
use serde::Serialize;

use super::etag;
use super::media_type::Format;
use crate::domain::error::TokenServerError;
use crate::http::error::ApiError;

/// An answer.
pub enum Reply {
    /// It was done, and there is nothing to say.
    Done,
    /// One thing.
    One(Vec<u8>),
    /// One thing in the format that the client wants.
    OneAs(Format, Vec<u8>),
    /// What was made, and its address.
    Made(String, Vec<u8>),
    /// What was made, with something that is shown only now; its address, and the tag of what is shown there.
    MadeOnce(String, String, Vec<u8>),
    /// A list, or the answer to a question.
    Answer(Vec<u8>),
    /// It is there, and was not before.
    There,
    /// A text of this type, with these headers.
    Text(&'static str, String, Vec<(HeaderName, String)>),
    /// One object a line, as they come.
    Lines(LocalBoxStream<'static, Result<Bytes, ApiError>>),
}

#[derive(Serialize)]
struct PageBody<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("representations are plain data")
}

impl Reply {
    /// One thing.
    pub fn one(value: &impl Serialize) -> Self {
        Self::One(json(value))
    }

    /// What was made.
    pub fn made(address: String, value: &impl Serialize) -> Self {
        Self::Made(address, json(value))
    }

    /// What was made, with something that its address does not show.
    pub fn made_once(address: String, tag: String, value: &impl Serialize) -> Self {
        Self::MadeOnce(address, tag, json(value))
    }

    /// The answer to a question.
    pub fn answer(value: &impl Serialize) -> Self {
        Self::Answer(json(value))
    }

    /// A page of a list.
    pub fn page<T: Serialize>(items: Vec<T>, next_cursor: Option<String>) -> Self {
        Self::Answer(json(&PageBody { items, next_cursor }))
    }

    /// The answer, which depends on what the client has.
    pub(super) fn render(self, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
        Ok(match self {
            Self::Done => begin(StatusCode::NO_CONTENT).finish(),
            Self::There => begin(StatusCode::CREATED).finish(),
            Self::One(body) => one(request, Format::Json, body)?,
            Self::OneAs(format, body) => {
                let mut response = one(request, format, body)?;
                response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
                response
            }
            Self::Made(address, body) => {
                let tag = etag::of_bytes(&body);
                created(&address, &tag, body)
            }
            Self::MadeOnce(address, tag, body) => created(&address, &tag, body),
            Self::Answer(body) => with_json(&mut begin(StatusCode::OK), body),
            Self::Text(media_type, text, more) => {
                let mut response = begin(StatusCode::OK);
                for header in more {
                    response.insert_header(header);
                }
                response.insert_header((CONTENT_TYPE, media_type)).body(text)
            }
            Self::Lines(lines) => {
                let mut response = begin(StatusCode::OK);
                response.insert_header((CONTENT_TYPE, "application/x-ndjson")).streaming(lines)
            }
        })
    }
}

fn begin(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((CACHE_CONTROL, "no-store")).insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    response
}

fn one(request: &HttpRequest, format: Format, body: Vec<u8>) -> Result<HttpResponse, ApiError> {
    let headers = request.headers();
    let is_safe = request.method() == Method::GET || request.method() == Method::HEAD;
    let tag = etag::of_bytes(&body);
    if is_safe && etag::excludes(headers, IF_MATCH, &tag) {
        return Err(TokenServerError::ChangedMeanwhile.into());
    }
    if is_safe && etag::includes(headers, IF_NONE_MATCH, &tag) {
        return Ok(begin(StatusCode::NOT_MODIFIED).insert_header((ETAG, tag)).finish());
    }
    let mut response = begin(StatusCode::OK);
    Ok(response.insert_header((ETAG, tag)).insert_header((CONTENT_TYPE, format.media_type())).body(body))
}

fn created(address: &str, tag: &str, body: Vec<u8>) -> HttpResponse {
    let mut response = begin(StatusCode::CREATED);
    with_json(response.insert_header((ETAG, tag)).insert_header((LOCATION, address)), body)
}

fn with_json(response: &mut HttpResponseBuilder, body: Vec<u8>) -> HttpResponse {
    response.insert_header((CONTENT_TYPE, Format::Json.media_type())).body(body)
}
