//! Signing in with a name and a password; and the page that asks, which leads to providers as well.
//!
//! *Invariant:* a password is checked behind the one door that all logins go through, and whoever signs in gets a
//! session of their own: nothing that the browser showed before is worth anything afterwards.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use shared::secret::Secret;
use shared::server::request_log::RequestLog;

use super::error::{PageError, answer};
use super::page::Page;
use super::render::{self, Frame};
use super::visit::{self, Visit};
use super::{Pages, cookies, second_factor};
use crate::domain::login::by_password::{Entrance, Known};
use crate::domain::signon::sessions::SignedInBy;
use crate::http::error::ApiError;
use crate::http::parameters::Parameters;
use crate::http::{Services, origin};

struct Choice {
    name: String,
    title: String,
}

#[derive(Template)]
#[template(path = "signin.html")]
struct SignInPage {
    frame: Frame,
    providers: Vec<Choice>,
    page: String,
    remark: Option<String>,
}

fn show(
    pages: &Pages,
    visit: &Visit,
    page: Page,
    failure: Option<&PageError>,
) -> Result<HttpResponse, PageError> {
    let (status, remark) = failure.map_or((StatusCode::OK, None), |error| {
        let (status, sentence) = error.remark();
        (status, Some(sentence))
    });
    let choices = pages.clients.values().map(|client| Choice {
        name: client.provider().name.to_string(),
        title: client.provider().title.clone(),
    });
    let shown = SignInPage {
        frame: Frame::of(visit),
        providers: choices.collect(),
        page: page.path().into_owned(),
        remark,
    };
    render::html(status, Some(visit), &shown)
}

/// The page to go to, as a query says it.
pub(super) fn wanted_page(request: &HttpRequest) -> Result<Page, PageError> {
    let query = Parameters::parse(request.query_string().as_bytes());
    Ok(query.one("page")?.map(Page::of).unwrap_or_default())
}

/// Asks who somebody is, unless they are signed in.
pub async fn page(request: HttpRequest, pages: Data<Pages>) -> HttpResponse {
    let outcome = async {
        let page = wanted_page(&request)?;
        let visit = Visit::of(&request, &pages).await?;
        if visit.session.is_some() {
            return Ok(render::see_other(&page.path()).finish());
        }
        show(&pages, &visit, page, None)
    };
    answer(&request, outcome.await)
}

/// Takes a name and a password.
pub async fn sign_in(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, form) = visit::form(&request, payload, &services, &pages).await?;
        let page = form.one("page")?.as_deref().map(Page::of).unwrap_or_default();
        let name = form.one("user")?.unwrap_or_default();
        let password = Secret::new(form.one("password")?.unwrap_or_default());
        let origin = origin(&request);
        let checked =
            services.authenticator.authenticate_password(&name, &password, Entrance::Page, &origin).await;
        match checked {
            Ok(Known { user, needs_second_factor: true }) => {
                RequestLog::note_subject(&request, &user.name);
                let cookie = pages.sessions.begin_pending(&user).await?;
                let address = format!("{}?page={}", second_factor::ADDRESS, page.path());
                Ok(render::see_other(&address).cookie(cookies::for_visit(&cookie)).finish())
            }
            Ok(Known { user, .. }) => {
                RequestLog::note_subject(&request, &user.name);
                let who = (user.pid, user.uid, &*user.name);
                let cookie = pages.sessions.begin(who, SignedInBy::Password, &origin).await?;
                Ok(render::see_other(&page.path()).cookie(cookies::for_visit(&cookie)).finish())
            }
            Err(error) => {
                let error = PageError::Api(ApiError::Domain(error));
                if error.remark().0.is_server_error() {
                    return Err(error);
                }
                show(&pages, &visit, page, Some(&error))
            }
        }
    };
    answer(&request, outcome.await)
}
