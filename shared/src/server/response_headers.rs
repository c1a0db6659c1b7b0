//! Headers that the operator wants on every answer, whoever gives it: handlers, refusals, unknown paths.
//!
//! *Invariant:* a header that a handler has set itself is left alone; otherwise all configured values are sent, each on a
//! line of its own.

use std::sync::Arc;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;

/// Names, each with its values.
#[derive(Clone, Debug, Default)]
pub struct ResponseHeaders(Arc<[(HeaderName, Vec<HeaderValue>)]>);

impl FromIterator<(HeaderName, Vec<HeaderValue>)> for ResponseHeaders {
    fn from_iter<T: IntoIterator<Item = (HeaderName, Vec<HeaderValue>)>>(headers: T) -> Self {
        Self(headers.into_iter().collect())
    }
}

impl ResponseHeaders {
    /// Runs a request and adds the headers to its answer.
    pub(super) async fn around(
        self,
        request: ServiceRequest,
        next: Next<impl MessageBody>,
    ) -> Result<ServiceResponse<impl MessageBody>, Error> {
        let mut response = next.call(request).await?;
        self.add_to(response.headers_mut());
        Ok(response)
    }

    fn add_to(&self, headers: &mut HeaderMap) {
        for (name, values) in self.0.iter() {
            if !headers.contains_key(name) {
                for value in values {
                    headers.append(name.clone(), value.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{ALLOW, CACHE_CONTROL};

    use super::*;

    #[test]
    fn every_value_is_added_and_none_replaced() {
        let value = HeaderValue::from_static;
        let configured: ResponseHeaders =
            [(ALLOW, vec![value("a"), value("b")]), (CACHE_CONTROL, vec![value("private")])]
                .into_iter()
                .collect();
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, value("no-store"));
        configured.add_to(&mut headers);
        assert_eq!(headers.get_all(ALLOW).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(headers.get_all(CACHE_CONTROL).collect::<Vec<_>>(), ["no-store"]);
    }
}
