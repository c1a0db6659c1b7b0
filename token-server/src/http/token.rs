//! The token endpoint.
//!
//! GET is the registry protocol's own form, POST its OAuth form; both ask for the same and get the same token. POST takes
//! tokens of platforms in exchange as well.
//!
//! *Invariant:* no answer of this endpoint is stored by a cache.
//!
//! Spec: distribution, "Token Authentication Specification" and "Token OAuth 2 Specification".

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use shared::scope::ScopeList;
use shared::server::request_log::RequestLog;

use super::credentials;
use super::error::{ApiError, Shape};
use super::parameters::Parameters;
use super::token_exchange::exchanged;
use super::{Services, body, device, origin, token_exchange};
use crate::domain::error::TokenServerError;
use crate::domain::token_issuer::{Access, IssuedToken, TokenRequest};

const FORM: &str = "application/x-www-form-urlencoded";

/// Names under which clients mention themselves without meaning a user.
const NO_ACCOUNT: &str = "<token>";

/// Answers a query.
pub async fn get_token(request: HttpRequest, services: Data<Services>) -> HttpResponse {
    let answer = async {
        let query = Parameters::parse(request.query_string().as_bytes());
        let credentials = credentials::from_header(request.headers())?;
        let offline = query.one("offline_token")? == Some("true");
        let wanted = TokenRequest { credentials, ..common(&query, offline)? };
        issue(&services, &request, &wanted).await
    };
    match answer.await {
        Ok(issued) => success(&issued, None),
        Err(error) => error.render(&request, Shape::Query),
    }
}

/// Answers a form.
pub async fn post_token(request: HttpRequest, services: Data<Services>, body: Payload) -> HttpResponse {
    let mut shape = Shape::Form;
    let answer = async {
        let body = body::read(&request, body, body::MAX_BODY_BYTES, services.body_timeout).await?;
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.unwrap_or(FORM).split(';').next().unwrap_or_default().trim();
        if !body.is_empty() && !essence.eq_ignore_ascii_case(FORM) {
            return Err(ApiError::UnsupportedMediaType(FORM));
        }
        let form = Parameters::parse(&body);
        let header = credentials::from_header(request.headers())?;
        let offline = form.one("access_type")? == Some("offline");
        if token_exchange::is_asked_for(&form) {
            shape = Shape::Exchange;
            if header.is_some() {
                return Err(token_exchange::both_at_once());
            }
            let credentials = Some(token_exchange::subject_token(&form)?);
            let service = token_exchange::service(&form)?;
            let wanted = TokenRequest { credentials, service, ..common(&form, offline)? };
            return issue(&services, &request, &wanted).await;
        }
        if device::is_polled(&form) {
            shape = Shape::Exchange;
            if header.is_some() {
                return Err(device::both_at_once());
            }
            let wanted = TokenRequest { credentials: Some(device::code(&form)?), ..common(&form, offline)? };
            return issue(&services, &request, &wanted).await;
        }
        let credentials = credentials::combine(header, credentials::from_form(&form)?)?;
        if credentials.is_none() && form.one("grant_type")?.is_some() {
            return Err(ApiError::Domain(TokenServerError::CredentialsRequired));
        }
        let wanted = TokenRequest { credentials, ..common(&form, offline)? };
        issue(&services, &request, &wanted).await
    };
    let answer = answer.await;
    match answer {
        Ok(issued) if shape == Shape::Exchange => exchanged(&issued),
        Ok(issued) => success(&issued, Some(issued.granted.to_string())),
        Err(error) => error.render(&request, shape),
    }
}

/// What both forms say with the same words.
fn common(parameters: &Parameters<'_>, offline: bool) -> Result<TokenRequest, ApiError> {
    let account = parameters.one("account")?.filter(|account| *account != NO_ACCOUNT);
    Ok(TokenRequest {
        credentials: None,
        account: account.map(str::to_owned),
        service: parameters.one("service")?.map(str::to_owned),
        scopes: ScopeList::parse(parameters.all("scope")),
        asked_for_scopes: parameters.all("scope").any(|scope| !scope.trim().is_empty()),
        client_id: parameters.all("client_id").next().unwrap_or_default().to_owned(),
        access: if offline { Access::Offline } else { Access::Online },
    })
}

async fn issue(
    services: &Services,
    request: &HttpRequest,
    wanted: &TokenRequest,
) -> Result<IssuedToken, ApiError> {
    let issued = services.issuer.issue_token(wanted, &origin(request)).await?;
    RequestLog::note_subject(request, &issued.subject);
    Ok(issued)
}

#[derive(Serialize)]
struct Success<'a> {
    token: &'a str,
    // The same under the name that OAuth2 clients look for.
    access_token: &'a str,
    expires_in: u64,
    // No `issued_at`: clients would compare it with their own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    // Only when asked for: some clients change their behaviour when they see one.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

fn success(issued: &IssuedToken, scope: Option<String>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(Success {
        token: &issued.token,
        access_token: &issued.token,
        expires_in: issued.expires_in,
        scope,
        refresh_token: issued.refresh_token.as_ref().map(shared::secret::Secret::expose),
    })
}
