//! An app that shows codes: setting it up and taking it away.
//!
//! *Invariant:* what the app and this server share is on the page where it is set up, and nowhere afterwards.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::error::{PageError, answer};
use super::page::Page;
use super::render::{self, Frame};
use super::visit::{self, Visit};
use super::{Pages, factors, prove};
use crate::domain::second_factor::factors::NewApp;
use crate::domain::second_factor::qr_code::{self, Picture};
use crate::http::{Services, origin};

#[derive(Template)]
#[template(path = "app.html")]
struct AppPage {
    frame: Frame,
    remark: Option<String>,
    picture: Option<Picture>,
    address: String,
    secret: String,
}

fn show(visit: &Visit, app: NewApp, failure: Option<&PageError>) -> Result<HttpResponse, PageError> {
    let (status, remark) = failure.map_or((StatusCode::OK, None), |error| {
        let (status, sentence) = error.remark();
        (status, Some(sentence))
    });
    let picture = qr_code::draw(&app.address);
    let NewApp { secret, address } = app;
    render::html(status, Some(visit), &AppPage { frame: Frame::of(visit), remark, picture, address, secret })
}

/// What apps call this server.
fn server(pages: &Pages) -> String {
    let host = pages.url.host_str().unwrap_or_default();
    pages.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Begins with one.
pub async fn begin(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, _) = visit::form(&request, payload, &services, &pages).await?;
        prove::demand(&visit, &pages, Page::Factors).await?;
        let user = &visit.session(Page::Factors)?.user;
        let app = pages.factors.begin_app(user.into(), &server(&pages)).await?;
        show(&visit, app, None)
    };
    answer(&request, outcome.await)
}

/// Takes the first code of it.
pub async fn confirm(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (mut visit, form) = visit::form(&request, payload, &services, &pages).await?;
        prove::demand(&visit, &pages, Page::Factors).await?;
        let user = visit.session(Page::Factors)?.user.clone();
        let (code, origin) = (form.one("code")?.unwrap_or_default(), origin(&request));
        match pages.factors.confirm_app((&user).into(), &code, &origin).await.map_err(PageError::from) {
            Ok(codes) => {
                visit.prove(&pages, "authenticator app", &origin).await?;
                factors::show(&pages, &visit, codes, None).await
            }
            Err(error) if error.remark().0 == StatusCode::UNAUTHORIZED => {
                let app = pages.factors.begun_app((&user).into(), &server(&pages)).await?;
                show(&visit, app, Some(&error))
            }
            Err(error) => Err(error),
        }
    };
    answer(&request, outcome.await)
}

/// Takes it away.
pub async fn remove(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, _) = visit::form(&request, payload, &services, &pages).await?;
        prove::demand(&visit, &pages, Page::Factors).await?;
        let user = &visit.session(Page::Factors)?.user;
        pages.factors.remove_app(user.into(), &origin(&request)).await?;
        Ok(render::see_other(&Page::Factors.path()).finish())
    };
    answer(&request, outcome.await)
}
