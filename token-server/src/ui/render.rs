//! How a page is sent.
//!
//! *Invariant:* nothing that comes with a page can run, but for one script of this server on pages that need it, load
//! anything from elsewhere, or stand in a frame; nothing keeps a copy of a page.
//!
//! Spec: Content Security Policy Level 3.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use askama::Template;

use super::cookies;
use super::error::PageError;
use super::visit::Visit;

const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The same for pages that talk to passkeys, which takes a script of this server.
const POLICY_WITH_SCRIPT: &str = "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; \
                                  frame-ancestors 'none'; base-uri 'none'";

const STYLE: &str = include_str!("style.css");

const SCRIPT: &str = include_str!("passkeys.js");

/// Who sees a page, and what its forms carry.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Name of who is signed in.
    pub user: Option<String>,
    /// What forms carry.
    pub form: String,
}

impl Frame {
    /// The frame for a visit.
    pub fn of(visit: &Visit) -> Self {
        let user = visit.session.as_ref().map(|session| session.user.name.clone());
        Self { user, form: visit.form_token.clone() }
    }
}

/// The headers of every page.
fn begin(status: StatusCode, policy: &'static str) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        // Forms tell where they come from, other sites are told nothing.
        .insert_header((REFERRER_POLICY, "same-origin"))
        .insert_header(("Cross-Origin-Opener-Policy", "same-origin"))
        .insert_header((CACHE_CONTROL, "no-store"));
    response
}

/// A page, with this status.
pub fn html(
    status: StatusCode,
    visit: Option<&Visit>,
    page: &impl Template,
) -> Result<HttpResponse, PageError> {
    whole(status, POLICY, visit, page)
}

/// A page with the script that talks to passkeys.
pub fn html_with_script(
    status: StatusCode,
    visit: &Visit,
    page: &impl Template,
) -> Result<HttpResponse, PageError> {
    whole(status, POLICY_WITH_SCRIPT, Some(visit), page)
}

fn whole(
    status: StatusCode,
    policy: &'static str,
    visit: Option<&Visit>,
    page: &impl Template,
) -> Result<HttpResponse, PageError> {
    let text = page.render().map_err(|_| PageError::Rendering)?;
    let mut response = begin(status, policy);
    if let Some(visit) = visit
        && visit.is_new
    {
        response.cookie(cookies::for_visit(&visit.cookie));
    }
    Ok(response.insert_header((CONTENT_TYPE, "text/html; charset=utf-8")).body(text))
}

/// Sends a browser on.
pub fn see_other(to: &str) -> HttpResponseBuilder {
    let mut response = begin(StatusCode::SEE_OTHER, POLICY);
    response.insert_header((LOCATION, to));
    response
}

fn asset(media_type: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media_type))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CACHE_CONTROL, "public, max-age=3600"))
        .body(text)
}

/// How the pages look.
pub async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", STYLE)
}

/// What talks to passkeys.
pub async fn script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", SCRIPT)
}
