//! Pages of tags and of repositories: `n`, `last` and the `Link` to the next page.
//!
//! *Invariant:* a page holds at most the configured number of entries, and a `Link` is sent only when more remain.
//!
//! Spec: distribution-spec, "Listing Tags"; RFC 8288.

use actix_web::HttpRequest;
use serde::Deserialize;
use url::form_urlencoded;

use super::error::ApiError;

/// The query of a list request.
#[derive(Debug, Default, Deserialize)]
pub(super) struct PageQuery {
    n: Option<String>,
    last: Option<String>,
}

/// A page that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// How many entries at most; nothing when the client did not say.
    pub(super) size: Option<usize>,
    /// Entries strictly after this one.
    pub(super) last: Option<String>,
}

impl Page {
    /// Reads the query of a request; `n` must be a number that is not negative.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let mut query = PageQuery::default();
        for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
            match name.as_ref() {
                "n" => query.n = Some(value.into_owned()),
                "last" => query.last = Some(value.into_owned()),
                _ => {}
            }
        }
        Self::read(query)
    }

    fn read(query: PageQuery) -> Result<Self, ApiError> {
        let size = match query.n.as_deref() {
            None | Some("") => None,
            Some(text) => Some(
                text.parse().map_err(|_| ApiError::PageSize { given: text.chars().take(40).collect() })?,
            ),
        };
        Ok(Self { size, last: query.last.filter(|last| !last.is_empty()) })
    }

    /// The `Link` header that leads to the page after `last`.
    pub(super) fn next_link(path: &str, last: &str, size: usize) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("last", last)
            .append_pair("n", &size.to_string())
            .finish();
        format!("<{path}?{query}>; rel=\"next\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(n: Option<&str>, last: Option<&str>) -> Result<Page, ApiError> {
        Page::read(PageQuery { n: n.map(Into::into), last: last.map(Into::into) })
    }

    #[test]
    fn sizes_are_numbers_that_are_not_negative() {
        assert_eq!(page(Some("0"), Some("a")).expect("fine"), Page { size: Some(0), last: Some("a".into()) });
        assert_eq!(page(None, None).expect("fine"), Page { size: None, last: None });
        for bad in ["-1", "x", "1.5", "99999999999999999999999", " 1"] {
            assert!(page(Some(bad), None).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_escape_what_a_url_cannot_hold() {
        assert_eq!(Page::next_link("/v2/_catalog", "a/b", 2), r#"</v2/_catalog?last=a%2Fb&n=2>; rel="next""#);
    }
}
