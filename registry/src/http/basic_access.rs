//! Who is asking, by user name and password.
//!
//! *Invariant:* a name is noted for the log only when its password was right: people type passwords into the wrong
//! field. Whatever cannot be read as a user name and a password is answered with the challenge.
//!
//! Spec: RFC 7617.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use shared::basic::{BasicChallenge, BasicCredentials};
use shared::server::client_address::Client;
use shared::server::request_log::RequestLog;

use super::error::ApiError;
use crate::auth::htpasswd::{Htpasswd, LoginError};

/// The user of a request.
pub(super) async fn authenticate(request: &HttpRequest, door: &Htpasswd) -> Result<Arc<str>, ApiError> {
    let challenge = || BasicChallenge { realm: door.realm().to_owned() };
    let mut values = request.headers().get_all(AUTHORIZATION);
    let value = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    let Some(BasicCredentials { user, password }) = value.and_then(|text| BasicCredentials::parse(text).ok())
    else {
        return Err(ApiError::PasswordRequired(challenge()));
    };
    match door.check(&user, &password, Client::of(request).address).await {
        Ok(()) => {
            RequestLog::note_subject(request, &user);
            Ok(user.into())
        }
        Err(LoginError::Wrong) => Err(ApiError::WrongPassword(challenge())),
        Err(LoginError::TooManyFailures { wait }) => Err(ApiError::TooManyFailedLogins { wait }),
        Err(LoginError::Busy) => Err(ApiError::TooManyLogins),
        Err(LoginError::Failed) => Err(ApiError::PasswordNotChecked),
    }
}
