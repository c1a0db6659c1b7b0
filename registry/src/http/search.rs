//! Searching for repositories by a part of their name, as `docker search` does.
//!
//! *Invariant:* an answer has at most [`MAX_PAGE`] results, all of which the list of repositories shows to the caller.
//!
//! Spec: none; version 1 of the protocol, as the Docker engine and podman still speak it.

use actix_web::http::header::WARNING;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use shared::repository_name::RepositoryName;

use super::error::ApiError;
use super::headers;
use super::parameters::parameter;
use super::search_access::AuthorizedSearch;
use super::state::RegistryState;
use crate::domain::catalog::search::Wanted;

/// Results in an answer when the client does not say.
const DEFAULT_PAGE: usize = 25;

/// Most results in an answer; the Docker engine asks for no more.
const MAX_PAGE: usize = 100;

/// What is said of an answer that may lack something.
const CUT_SHORT: &str = "299 - \"the search ended before it had seen everything\"";

/// Descriptions and stars are not kept here.
#[derive(Serialize)]
struct SearchResult {
    name: RepositoryName,
    description: &'static str,
    star_count: u64,
    is_official: bool,
    is_automated: bool,
    is_trusted: bool,
}

#[derive(Serialize)]
struct SearchResults {
    query: String,
    num_results: usize,
    num_pages: usize,
    page: usize,
    page_size: usize,
    results: Vec<SearchResult>,
}

/// Engines ask this before anything else, to see which scheme to use and when to send a password.
pub(super) async fn ping() -> HttpResponse {
    HttpResponse::Ok().insert_header(headers::NOT_STANDALONE).json(true)
}

pub(super) async fn find(
    caller: AuthorizedSearch,
    request: HttpRequest,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let query = parameter(&request, "q").unwrap_or_default();
    let page_size = match number(&request, "n")? {
        None | Some(0) => DEFAULT_PAGE,
        Some(size) => size.min(MAX_PAGE),
    };
    let page = number(&request, "page")?.unwrap_or(1).max(1);
    let wanted = Wanted { term: &query, skip: (page - 1).saturating_mul(page_size), limit: page_size };
    let found = state.repositories.search_repositories(wanted, caller.visible()).await?;
    let result = |name| SearchResult {
        name,
        description: "",
        star_count: 0,
        is_official: false,
        is_automated: false,
        is_trusted: false,
    };
    let mut response = HttpResponse::Ok();
    if found.is_cut_short {
        response.insert_header((WARNING, CUT_SHORT));
    }
    Ok(response.json(SearchResults {
        query,
        num_results: found.known,
        num_pages: found.known.div_ceil(page_size),
        page,
        page_size,
        results: found.repositories.into_iter().map(result).collect(),
    }))
}

fn number(request: &HttpRequest, name: &str) -> Result<Option<usize>, ApiError> {
    let number = |text: String| {
        text.parse().map_err(|_| ApiError::PageSize { given: text.chars().take(40).collect() })
    };
    parameter(request, name).map(number).transpose()
}
