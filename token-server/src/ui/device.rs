//! A program waits to be allowed: somebody types what it shows, sees what it is, and says yes or no.
//!
//! *Invariant:* nobody allows anything by following a link: the page says what asks, from where, and what it will be able
//! to do, and only a button answers.
//!
//! Spec: RFC 8628 §3.3 and §5.4.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::Pages;
use super::error::{PageError, answer};
use super::page::Page;
use super::render::{self, Frame};
use super::visit::{self, Visit};
use crate::db::device_logins::DeviceLoginRow;
use crate::domain::login::user_code::UserCode;
use crate::http::parameters::Parameters;
use crate::http::{Services, origin};

struct Waiting {
    code: String,
    client: String,
    agent: String,
    from: String,
    registry: String,
}

#[derive(Default, Template)]
#[template(path = "device.html")]
struct DevicePage {
    frame: Frame,
    remark: Option<String>,
    waiting: Option<Waiting>,
    done: Option<&'static str>,
    secret: Option<String>,
}

fn waiting(code: &str, row: DeviceLoginRow) -> Waiting {
    Waiting {
        code: code.to_owned(),
        client: row.client_id,
        agent: row.agent.unwrap_or_else(|| "nothing".to_owned()),
        from: row.made_from.unwrap_or_else(|| "an address that is not known".to_owned()),
        registry: row.audience,
    }
}

/// Asks for the code, or about the program that the code means.
pub async fn page(request: HttpRequest, services: Data<Services>, pages: Data<Pages>) -> HttpResponse {
    let outcome = async {
        let visit = Visit::of(&request, &pages).await?;
        let query = Parameters::parse(request.query_string().as_bytes());
        let code = query.one("code")?;
        let own = code.and_then(UserCode::parse).map_or(Page::Device, Page::Program);
        let user = &visit.session(own)?.user;
        let Some(code) = code else {
            let shown = DevicePage { frame: Frame::of(&visit), ..DevicePage::default() };
            return render::html(StatusCode::OK, Some(&visit), &shown);
        };
        match services.authenticator.devices().find(user, code).await {
            Ok(row) => {
                let waiting = Some(waiting(code, row));
                let shown = DevicePage { frame: Frame::of(&visit), waiting, ..DevicePage::default() };
                render::html(StatusCode::OK, Some(&visit), &shown)
            }
            Err(error) => {
                let (status, sentence) = PageError::from(error).remark();
                let remark = Some(sentence);
                let shown = DevicePage { frame: Frame::of(&visit), remark, ..DevicePage::default() };
                render::html(status, Some(&visit), &shown)
            }
        }
    };
    answer(&request, outcome.await)
}

/// Takes the answer.
pub async fn decide(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, form) = visit::form(&request, payload, &services, &pages).await?;
        let user = &visit.session(Page::Device)?.user;
        let code = form.one("code")?.unwrap_or_default();
        let is_allowed = form.one("answer")?.as_deref() == Some("allow");
        services.authenticator.devices().decide(user, &code, is_allowed, &origin(&request)).await?;
        let done = Some(if is_allowed {
            "It is logged in as you. You can close this page and go back to it."
        } else {
            "It is not logged in."
        });
        let shown = DevicePage { frame: Frame::of(&visit), done, ..DevicePage::default() };
        render::html(StatusCode::OK, Some(&visit), &shown)
    };
    answer(&request, outcome.await)
}

/// Makes a code that takes the place of the password once.
pub async fn make_code(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, _) = visit::form(&request, payload, &services, &pages).await?;
        let user = &visit.session(Page::Device)?.user;
        let code = services.authenticator.devices().new_login_code(user, &origin(&request)).await?;
        let secret = Some(code.expose().to_owned());
        let shown = DevicePage { frame: Frame::of(&visit), secret, ..DevicePage::default() };
        render::html(StatusCode::OK, Some(&visit), &shown)
    };
    answer(&request, outcome.await)
}
