//! Programs that wait for somebody to allow them in a browser, and that give their login back: below each path of the
//! token endpoint, so that they reach it where they reach that.
//!
//! *Invariant:* a program is told where people say yes, and nothing about them until they have; whoever gives back what is
//! no login is told the same as for one that is.
//!
//! Spec: RFC 8628 §3.1 to §3.5, RFC 7009 §2.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use shared::secret::Secret;

use super::error::{ApiError, Shape};
use super::parameters::Parameters;
use super::{Services, body, origin};
use crate::domain::error::TokenServerError;
use crate::domain::login::authenticate::Credentials;
use crate::domain::login::device::{INTERVAL, LASTS};

/// The grant with which a program asks whether it was allowed.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

#[derive(Serialize)]
struct Begun<'a> {
    device_code: &'a str,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u64,
    interval: u64,
}

/// Lets a program wait.
pub async fn begin(request: HttpRequest, services: Data<Services>, body: Payload) -> HttpResponse {
    let answer = async {
        let Some(pages) = &services.pages_url else { return Err(ApiError::NoPages) };
        let body = body::read(&request, body, body::MAX_BODY_BYTES, services.body_timeout).await?;
        let form = Parameters::parse(&body);
        let client_id = form.one("client_id")?.unwrap_or("a program").to_owned();
        let service = form.one("service")?.map(str::to_owned);
        let origin = origin(&request);
        let begun = services.issuer.begin_device(service.as_deref(), &client_id, &origin).await?;
        let verification_uri = format!("{pages}device");
        let answer = Begun {
            device_code: begun.device_code.expose(),
            user_code: begun.user_code.to_string(),
            verification_uri_complete: format!("{verification_uri}?code={}", begun.user_code),
            verification_uri,
            expires_in: LASTS.as_secs(),
            interval: INTERVAL.as_secs(),
        };
        Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(answer))
    };
    answer.await.unwrap_or_else(|error| error.render(&request, Shape::Exchange))
}

/// Takes a login back.
pub async fn revoke(request: HttpRequest, services: Data<Services>, body: Payload) -> HttpResponse {
    let answer = async {
        let body = body::read(&request, body, body::MAX_BODY_BYTES, services.body_timeout).await?;
        let form = Parameters::parse(&body);
        let token = form.one("token")?;
        let token = token.ok_or_else(|| ApiError::BadExchange("`token` is missing".to_owned()))?;
        services.authenticator.give_back(&Secret::new(token), &origin(&request)).await?;
        Ok::<_, ApiError>(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).finish())
    };
    answer.await.unwrap_or_else(|error| error.render(&request, Shape::Exchange))
}

/// Whether a form asks what became of a program that waits.
pub fn is_polled(form: &Parameters<'_>) -> bool {
    form.all("grant_type").any(|grant| grant == GRANT)
}

/// What the program asks with.
pub fn code(form: &Parameters<'_>) -> Result<Credentials, ApiError> {
    let code = form.one("device_code")?;
    let code = code.ok_or_else(|| ApiError::BadExchange("`device_code` is missing".to_owned()))?;
    Ok(Credentials::Device(Secret::new(code)))
}

/// Whoever waits to be allowed has nothing else to show.
pub fn both_at_once() -> ApiError {
    ApiError::Domain(TokenServerError::UnusableCredentials(
        "there is both an Authorization header and a device code",
    ))
}
