//! Users about themselves.
//!
//! *Invariant:* a browser cannot be made to change a password by another site: the body must be JSON, which needs a
//! permission that is never given.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use shared::secret::Secret;
use shared::server::request_log::RequestLog;

use super::error::{ApiError, Shape};
use super::{Services, body, credentials, origin};
use crate::domain::error::TokenServerError;
use crate::domain::login::authenticate::Credentials;
use crate::domain::login::by_password::Entrance;

const JSON: &str = "application/json";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPasswordBody {
    password: Secret,
}

/// Sets the password of the user who sends the current one.
pub async fn change_password(request: HttpRequest, services: Data<Services>, body: Payload) -> HttpResponse {
    let answer = async {
        let body = body::read(&request, body, body::MAX_BODY_BYTES, services.body_timeout).await?;
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case(JSON) {
            return Err(ApiError::UnsupportedMediaType(JSON));
        }
        let (user, current) = match credentials::from_header(request.headers())? {
            Some(Credentials::Password { user, password }) => (user, password),
            Some(Credentials::RefreshToken(_) | Credentials::Device(_)) => {
                return Err(ApiError::Domain(TokenServerError::UnusableCredentials(
                    "changing the password takes the current password",
                )));
            }
            None => return Err(ApiError::Domain(TokenServerError::CredentialsRequired)),
        };
        let new: NewPasswordBody = serde_json::from_slice(&body).map_err(|_| ApiError::MalformedJson)?;
        let origin = origin(&request);
        let entrance = Entrance::Program;
        let user =
            services.accounts.change_password(&user, &current, new.password, entrance, &origin).await?;
        RequestLog::note_subject(&request, &user);
        Ok(())
    };
    match answer.await {
        Ok(()) => HttpResponse::NoContent().insert_header((CACHE_CONTROL, "no-store")).finish(),
        Err(error) => error.render(&request, Shape::Problem),
    }
}
