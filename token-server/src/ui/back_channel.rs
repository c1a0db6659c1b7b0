//! A provider tells that somebody has signed out there.
//!
//! *Invariant:* nothing but a token that the provider has signed ends anything, and the answer tells nobody else who is
//! signed in.
//!
//! Spec: OpenID Connect Back-Channel Logout 1.0 §2.5 and §2.8.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use shared::server::causes;
use shared::server::fallback::note_error;

use super::Pages;
use crate::http::parameters::Parameters;
use crate::http::{Services, body, origin};

/// Signs out whom the provider says.
pub async fn signed_out(
    request: HttpRequest,
    services: Data<Services>,
    pages: Data<Pages>,
    name: Path<String>,
    payload: Payload,
) -> HttpResponse {
    let refused = |sentence: String| {
        let body = json!({"error": "invalid_request", "error_description": sentence});
        let mut response = HttpResponse::BadRequest().insert_header((CACHE_CONTROL, "no-store")).json(body);
        note_error(&mut response, "LOGOUT", sentence);
        response
    };
    let Some(client) = pages.clients.get(&*name) else {
        return refused("there is no identity provider of that name".to_owned());
    };
    let body = match body::read(&request, payload, body::MAX_BODY_BYTES, services.body_timeout).await {
        Ok(body) => body,
        Err(error) => return refused(causes::sentence(&error)),
    };
    let form = Parameters::parse(&body);
    let token = match form.one("logout_token") {
        Ok(Some(token)) => token.to_owned(),
        _ => return refused("`logout_token` is missing".to_owned()),
    };
    let out = match client.signed_out(&token, pages.clock.unix_now()).await {
        Ok(out) => out,
        Err(error) => return refused(causes::sentence(&error)),
    };
    match pages.sessions.end_signed_out(&out, &origin(&request)).await {
        Ok(_) => HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).finish(),
        Err(error) => refused(causes::sentence(&error)),
    }
}
