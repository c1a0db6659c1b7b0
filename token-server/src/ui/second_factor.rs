//! The second factor of somebody who signs in with a password.
//!
//! *Invariant:* there is no session before it was shown, and one at most comes of one password.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use shared::server::request_log::RequestLog;

use super::error::{PageError, answer};
use super::page::Page;
use super::prove::{self, Asked};
use super::sign_in::wanted_page;
use super::visit::{self, Visit};
use super::{Pages, cookies, render};
use crate::domain::signon::sessions::SignedInBy;
use crate::http::{Services, origin};

/// Its address.
pub const ADDRESS: &str = "/factor";

fn asked(page: Page) -> Asked {
    Asked { title: "Your second factor", address: ADDRESS, page }
}

/// Asks for it.
pub async fn page(request: HttpRequest, pages: Data<Pages>) -> HttpResponse {
    let outcome = async {
        let page = wanted_page(&request)?;
        let visit = Visit::of(&request, &pages).await?;
        if visit.session.is_some() {
            return Ok(render::see_other(&page.path()).finish());
        }
        let pending = pages.sessions.find_pending(&visit.cookie).await?.ok_or(PageError::NotPending)?;
        let held = pages.factors.of(pending.pid).await?;
        prove::show(&pages, &visit, &held, asked(page), None).await
    };
    answer(&request, outcome.await)
}

/// Takes it.
pub async fn take(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, form) = visit::form(&request, payload, &services, &pages).await?;
        let page = form.one("page")?.as_deref().map(Page::of).unwrap_or_default();
        let pending = pages.sessions.find_pending(&visit.cookie).await?.ok_or(PageError::NotPending)?;
        RequestLog::note_subject(&request, &pending.user);
        let origin = origin(&request);
        match prove::check(&pages, &visit, (&pending).into(), &form, &origin).await {
            Ok(how) => {
                if !pages.sessions.end_pending(&visit.cookie).await? {
                    return Err(PageError::NotPending);
                }
                let who = (pending.pid, pending.uid, &*pending.user);
                let cookie = pages.sessions.begin(who, SignedInBy::PasswordAnd(how), &origin).await?;
                Ok(render::see_other(&page.path()).cookie(cookies::for_visit(&cookie)).finish())
            }
            Err(error) if error.remark().0.is_server_error() => Err(error),
            Err(error) => {
                let held = pages.factors.of(pending.pid).await?;
                prove::show(&pages, &visit, &held, asked(page), Some(&error)).await
            }
        }
    };
    answer(&request, outcome.await)
}
