//! Signing out, here and perhaps at the provider too.
//!
//! *Invariant:* after this page nothing that the browser showed before is worth anything here.
//!
//! Spec: OpenID Connect RP-Initiated Logout 1.0 §2.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::error::{PageError, answer};
use super::render::{self, Frame};
use super::visit::{self, Visit};
use super::{Pages, cookies};
use crate::http::{Services, origin};

struct Elsewhere {
    title: String,
    address: String,
}

#[derive(Template)]
#[template(path = "signedout.html")]
struct SignedOutPage {
    frame: Frame,
    elsewhere: Option<Elsewhere>,
}

/// Where somebody signs out at their provider, if it offers that.
async fn elsewhere(pages: &Pages, visit: &Visit) -> Option<Elsewhere> {
    let session = visit.session.as_ref()?;
    let issuer = session.row.issuer.as_deref()?;
    let client = pages.clients.values().find(|client| client.provider().issuer() == issuer)?;
    let id_token = pages.sessions.id_token(&session.row)?;
    let back = format!("{}signin", pages.url);
    let address = client.sign_out_address(&id_token, &back).await?;
    Some(Elsewhere { title: client.provider().title.clone(), address: address.into() })
}

/// Signs out.
pub async fn sign_out(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    payload: Payload,
) -> HttpResponse {
    let outcome = async {
        let (visit, _) = visit::form(&request, payload, &services, &pages).await?;
        let elsewhere = elsewhere(&pages, &visit).await;
        if let Some(session) = &visit.session {
            pages.sessions.end(&session.user, session.row.id, &origin(&request)).await?;
        }
        let shown = SignedOutPage { frame: Frame::default(), elsewhere };
        let mut response = render::html(StatusCode::OK, None, &shown)?;
        let fresh = pages.sessions.new_cookie()?;
        // Another one, so that no form of before is worth anything either.
        response.add_cookie(&cookies::for_visit(&fresh)).map_err(|_| PageError::Rendering)?;
        Ok(response)
    };
    answer(&request, outcome.await)
}
