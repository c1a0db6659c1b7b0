//! Where somebody is logged in: devices that keep a login, and browsers.
//!
//! *Invariant:* a number is looked up among those of whoever is signed in.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::Pages;
use super::account::own_name;
use super::error::{PageError, answer};
use super::page::Page;
use super::render::{self, Frame};
use super::tokens::number;
use super::visit::{self, Visit};
use crate::db::browser_sessions::SessionRow;
use crate::db::refresh_tokens::LoginSummary;
use crate::domain::error::TokenServerError;
use crate::domain::words::moment::written;
use crate::http::{Services, origin};

const DEVICE: &str = "device";

const BROWSER: &str = "browser";

struct Row {
    id: String,
    kind: &'static str,
    what: String,
    from: String,
    added: String,
    used: String,
    ends: String,
    is_this: bool,
}

fn device(login: &LoginSummary) -> Row {
    let client = if login.client_id.is_empty() { "a client" } else { &login.client_id };
    let agent = login.agent.as_deref().map(|agent| format!(" ({agent})")).unwrap_or_default();
    Row {
        id: login.id.to_string(),
        kind: DEVICE,
        what: format!("{client}{agent} at {}", login.audience),
        from: login.last_used_from.clone().or_else(|| login.made_from.clone()).unwrap_or_default(),
        added: written(login.created_at),
        used: written(login.last_used_at),
        ends: written(login.expires_at),
        is_this: false,
    }
}

fn browser(session: &SessionRow, this: &SessionRow) -> Row {
    Row {
        id: session.id.to_string(),
        kind: BROWSER,
        what: session.agent.clone().unwrap_or_else(|| "a browser".to_owned()),
        from: session.made_from.clone().unwrap_or_default(),
        added: written(session.created_at),
        used: written(session.last_used_at),
        ends: written(session.ends_at),
        is_this: session.id == this.id,
    }
}

#[derive(Template)]
#[template(path = "logins.html")]
struct LoginsPage {
    frame: Frame,
    rows: Vec<Row>,
}

/// Shows them.
pub async fn page(request: HttpRequest, services: Data<Services>, pages: Data<Pages>) -> HttpResponse {
    let outcome = async {
        let visit = Visit::of(&request, &pages).await?;
        let administration = visit.administration(&request, &services, Page::Logins)?;
        let this = visit.session(Page::Logins)?;
        let devices = administration.list_logins(&own_name(&visit, Page::Logins)?).await?;
        let browsers = pages.sessions.list(&this.user).await?;
        let rows = devices.iter().map(device).chain(browsers.iter().map(|row| browser(row, &this.row)));
        let shown = LoginsPage { frame: Frame::of(&visit), rows: rows.collect() };
        render::html(StatusCode::OK, Some(&visit), &shown)
    };
    answer(&request, outcome.await)
}

/// Ends one.
pub async fn end(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, form) = visit::form(&request, payload, &services, &pages).await?;
        let id = number(&form, "login")?;
        if form.one("kind")?.as_deref() == Some(BROWSER) {
            let user = &visit.session(Page::Logins)?.user;
            if !pages.sessions.end(user, id, &origin(&request)).await? {
                return Err(TokenServerError::NotFound { kind: "login", name: id.to_string() }.into());
            }
        } else {
            let administration = visit.administration(&request, &services, Page::Logins)?;
            administration.end_login(id, Some(&own_name(&visit, Page::Logins)?)).await?;
        }
        Ok::<_, PageError>(render::see_other(&Page::Logins.path()).finish())
    };
    answer(&request, outcome.await)
}
