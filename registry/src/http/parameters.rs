//! Parameters of a request's query.
//!
//! *Invariant:* only the query is read, never a body, whatever type the client gives it, and an empty value is the same
//! as none. Where one value is wanted, the first of several equal names counts.

use actix_web::HttpRequest;
use url::form_urlencoded;

pub(super) fn parameter(request: &HttpRequest, name: &str) -> Option<String> {
    let mut query = form_urlencoded::parse(request.query_string().as_bytes());
    query.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
}

/// Every value of a name, in order.
pub(super) fn all<'a>(request: &'a HttpRequest, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let query = form_urlencoded::parse(request.query_string().as_bytes());
    let named = query.filter(move |(key, _)| key == name).map(|(_, value)| value.into_owned());
    named.filter(|value| !value.is_empty())
}
