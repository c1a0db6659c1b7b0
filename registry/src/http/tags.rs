//! The list of tags of a repository.
//!
//! *Invariant:* `tags` is a list in byte order, never null.
//!
//! Spec: end-8.

use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use super::access::{Authorized, Pull};
use super::error::ApiError;
use super::pagination::Page;
use super::state::RegistryState;

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a str,
    tags: Vec<&'a str>,
}

pub(super) async fn list(
    caller: Authorized<Pull>,
    request: HttpRequest,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    let name = caller.name();
    let page = Page::of(&request)?;
    let size = page.size.map(|size| size.min(state.tags_max_entries));
    let found = state.repositories.list_tags(name, page.last.as_deref(), size).await?;
    let mut response = HttpResponse::Ok();
    if let (true, Some(size), Some(last)) = (found.more, size, found.tags.last()) {
        let path = state.locations.link(&format!("/v2/{name}/tags/list"));
        response.insert_header((LINK, Page::next_link(&path, last.as_str(), size)));
    }
    let tags = found.tags.iter().map(crate::oci::reference::Tag::as_str).collect();
    Ok(response.json(TagList { name: name.as_str(), tags }))
}
