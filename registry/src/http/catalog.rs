//! The list of all repositories, or of those the caller may see.
//!
//! *Invariant:* a page costs what it lists and the names of the folders on its way, not what the registry holds.
//!
//! Spec: reserved as `_catalog`; behaviour of the distribution registry.

use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use shared::repository_name::RepositoryName;

use super::access::AuthorizedCatalog;
use super::error::ApiError;
use super::pagination::Page;
use super::state::RegistryState;

/// Entries in a page when the client does not say.
const DEFAULT_PAGE: usize = 100;

#[derive(Serialize)]
struct Catalog {
    repositories: Vec<RepositoryName>,
}

pub(super) async fn list(
    caller: AuthorizedCatalog,
    request: HttpRequest,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let page = Page::of(&request)?;
    let limit = state.catalog_max_entries;
    if page.size.is_some_and(|size| size > limit) {
        return Err(ApiError::PageTooLarge { limit });
    }
    let size = page.size.unwrap_or(DEFAULT_PAGE.min(limit));
    let last = page.last.as_deref();
    let found = state.repositories.list_repositories(last, size, caller.visible()).await?;
    let mut response = HttpResponse::Ok();
    if let (true, Some(last)) = (found.more, found.repositories.last()) {
        let path = state.locations.link("/v2/_catalog");
        response.insert_header((LINK, Page::next_link(&path, last.as_str(), size)));
    }
    Ok(response.json(Catalog { repositories: found.repositories }))
}
