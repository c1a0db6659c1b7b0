//! The exchange of a platform's token for one of ours, on the token endpoint.
//!
//! *Invariant:* what is exchanged is checked as if it had come as a password, and whoever sends it sends nothing else that
//! says who they are.
//!
//! Spec: RFC 8693 §2.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use serde::Serialize;
use shared::secret::Secret;

use super::error::ApiError;
use super::parameters::Parameters;
use crate::domain::error::TokenServerError;
use crate::domain::login::authenticate::Credentials;
use crate::domain::token_issuer::IssuedToken;
use crate::domain::trust::{identity_token, workloads};

/// The grant.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// What can be exchanged.
const SUBJECT_TOKENS: [&str; 2] = [JWT, "urn:ietf:params:oauth:token-type:id_token"];

/// What it can be exchanged for; both are the same.
const REQUESTED_TOKENS: [&str; 2] = [ACCESS_TOKEN, JWT];

/// Whether a form asks for an exchange.
pub fn is_asked_for(form: &Parameters<'_>) -> bool {
    form.all("grant_type").any(|grant| grant == GRANT)
}

/// The token that is to be exchanged.
pub fn subject_token(form: &Parameters<'_>) -> Result<Credentials, ApiError> {
    let refused = |sentence: &str| Err(ApiError::BadExchange(sentence.to_owned()));
    let Some(token) = form.one("subject_token")? else { return refused("`subject_token` is missing") };
    match form.one("subject_token_type")? {
        Some(kind) if SUBJECT_TOKENS.contains(&kind) => {}
        Some(_) | None => {
            return refused("`subject_token_type` must say that the token is a JWT or an ID token");
        }
    }
    if form.one("requested_token_type")?.is_some_and(|kind| !REQUESTED_TOKENS.contains(&kind)) {
        return refused("`requested_token_type` can only be an access token");
    }
    for other in ["actor_token", "username", "password", "refresh_token"] {
        if form.one(other)?.is_some() {
            return Err(ApiError::BadExchange(format!(
                "`{other}` cannot stand beside a token to be exchanged"
            )));
        }
    }
    if !identity_token::is_one(token) {
        return refused("`subject_token` is no signed token");
    }
    Ok(Credentials::Password { user: workloads::USER.to_owned(), password: Secret::new(token) })
}

/// The name of the registry: what it calls itself, or what the exchange has for it.
pub fn service(form: &Parameters<'_>) -> Result<Option<String>, ApiError> {
    let named = form.one("service")?.or(form.one("audience")?);
    Ok(named.map(str::to_owned))
}

#[derive(Serialize)]
struct Exchanged<'a> {
    access_token: &'a str,
    issued_token_type: &'static str,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

/// The answer.
pub fn exchanged(issued: &IssuedToken) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Exchanged {
        access_token: &issued.token,
        issued_token_type: ACCESS_TOKEN,
        token_type: "Bearer",
        expires_in: issued.expires_in,
        scope: issued.granted.to_string(),
        refresh_token: issued.refresh_token.as_ref().map(Secret::expose),
    })
}

/// Nobody is asked to log in otherwise.
pub fn both_at_once() -> ApiError {
    ApiError::Domain(TokenServerError::UnusableCredentials(
        "there is both an Authorization header and a token to be exchanged",
    ))
}
