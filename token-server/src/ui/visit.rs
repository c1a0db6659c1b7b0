//! Who is visiting, and whether a form is one that this server showed them.
//!
//! *Invariant:* a form is read only if it comes from a page of this server (by `Sec-Fetch-Site` and `Origin`, as far as
//! the browser says them) and carries what that page had for this browser alone.

use actix_web::HttpRequest;
use actix_web::web::Payload;
use bytes::Bytes;
use shared::secret::Secret;
use shared::server::request_log::RequestLog;

use super::error::PageError;
use super::page::Page;
use super::{Pages, cookies};
use crate::domain::actor::Actor;
use crate::domain::administration::Administration;
use crate::domain::login::subject::Subject;
use crate::domain::record::audit::Origin;
use crate::domain::signon::sessions::Session;
use crate::http::parameters::Parameters;
use crate::http::{Services, body, origin};

/// A browser that is here.
pub struct Visit {
    /// What it shows, or is to show.
    pub cookie: Secret,
    /// Whether that is new to it.
    pub is_new: bool,
    /// Who is signed in.
    pub session: Option<Session>,
    /// What forms that it is shown carry.
    pub form_token: String,
}

impl Visit {
    /// Looks who it is.
    pub async fn of(request: &HttpRequest, pages: &Pages) -> Result<Self, PageError> {
        let shown = cookies::visit(request);
        let session = match &shown {
            Some(cookie) => pages.sessions.find(cookie).await?,
            None => None,
        };
        if let Some(session) = &session {
            RequestLog::note_subject(request, &session.user.name);
        }
        let is_new = shown.is_none();
        let cookie = shown.map_or_else(|| pages.sessions.new_cookie(), Ok)?;
        let form_token = pages.sessions.form_token(&cookie);
        Ok(Self { cookie, is_new, session, form_token })
    }

    /// Who is signed in; a stranger is asked, and then comes back to this page.
    pub fn session(&self, page: Page) -> Result<&Session, PageError> {
        self.session.as_ref().ok_or(PageError::SignInFirst(page))
    }

    /// Remembers that whoever is signed in showed a second factor; from the next answer on the browser shows something new.
    pub async fn prove(&mut self, pages: &Pages, how: &str, origin: &Origin) -> Result<(), PageError> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let cookie = pages.sessions.prove((&self.cookie, &session.user), how, true, origin).await?;
        self.form_token = pages.sessions.form_token(&cookie);
        (self.cookie, self.is_new) = (cookie, true);
        Ok(())
    }

    /// Tools that act on behalf of whoever is signed in.
    pub fn administration(
        &self,
        request: &HttpRequest,
        services: &Services,
        page: Page,
    ) -> Result<Administration, PageError> {
        let subject = Subject::User(self.session(page)?.user.clone());
        Ok(services.administration.on_behalf_of(Actor::Subject { subject, origin: origin(request) }))
    }
}

/// What was filled in.
pub struct Form(Bytes);

impl Form {
    /// One field; empty is the same as absent.
    pub fn one(&self, name: &'static str) -> Result<Option<String>, PageError> {
        Ok(Parameters::parse(&self.0).one(name)?.map(str::to_owned))
    }
}

/// Reads a form of somebody, if it is one of this server.
pub async fn form(
    request: &HttpRequest,
    payload: Payload,
    services: &Services,
    pages: &Pages,
) -> Result<(Visit, Form), PageError> {
    if !is_from_here(request, pages) {
        return Err(PageError::ForeignForm);
    }
    let body = body::read(request, payload, body::MAX_BODY_BYTES, services.body_timeout).await?;
    let form = Form(body);
    let visit = Visit::of(request, pages).await?;
    let token = form.one("form")?.unwrap_or_default();
    if visit.is_new || !pages.sessions.is_own_form(&visit.cookie, &token) {
        return Err(PageError::ForeignForm);
    }
    Ok((visit, form))
}

fn is_from_here(request: &HttpRequest, pages: &Pages) -> bool {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let is_same_site = header("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let own = pages.url.origin().ascii_serialization();
    is_same_site && header("origin").is_none_or(|origin| origin == own)
}
