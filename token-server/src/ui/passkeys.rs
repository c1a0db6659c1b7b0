//! Passkeys of whoever is signed in: adding one, with a script, and taking one away.
//!
//! *Invariant:* what a browser says of a key is believed only for the challenge that its page had.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::error::{PageError, answer};
use super::page::Page;
use super::tokens::number;
use super::visit;
use super::{Pages, factors, prove, render};
use crate::http::{Services, origin};

/// Adds one.
pub async fn add(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (mut visit, form) = visit::form(&request, payload, &services, &pages).await?;
        prove::demand(&visit, &pages, Page::Factors).await?;
        let user = visit.session(Page::Factors)?.user.clone();
        let (name, origin) = (form.one("name")?.unwrap_or_default(), origin(&request));
        let Some(said) = form.one("passkey")? else {
            return factors::show(&pages, &visit, Vec::new(), Some(&PageError::NoScript)).await;
        };
        let mark = pages.sessions.mark(&visit.cookie);
        let added = pages.factors.add_passkey((&user).into(), &mark, (&name, &said), &origin).await;
        match added.map_err(PageError::from) {
            Ok(codes) => {
                visit.prove(&pages, "passkey", &origin).await?;
                factors::show(&pages, &visit, codes, None).await
            }
            Err(error) if error.remark().0.is_server_error() => Err(error),
            Err(error) => factors::show(&pages, &visit, Vec::new(), Some(&error)).await,
        }
    };
    answer(&request, outcome.await)
}

/// Takes one away.
pub async fn remove(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, form) = visit::form(&request, payload, &services, &pages).await?;
        prove::demand(&visit, &pages, Page::Factors).await?;
        let user = &visit.session(Page::Factors)?.user;
        pages.factors.remove_passkey(user.into(), number(&form, "passkey")?, &origin(&request)).await?;
        Ok(render::see_other(&Page::Factors.path()).finish())
    };
    answer(&request, outcome.await)
}
