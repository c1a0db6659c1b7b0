//! Registries ask which tokens were taken back.
//!
//! *Invariant:* whoever does not bring the secret learns nothing, and no cache keeps an answer.
//!
//! Spec: the README of the crate `shared`, "The feed of revocations".

use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use shared::revocations::{News, Question};
use url::form_urlencoded;

use super::Services;
use super::error::{ApiError, Shape};

/// Answers a question of a registry.
pub async fn get_revocations(request: HttpRequest, services: Data<Services>) -> HttpResponse {
    match answer(&request, &services).await {
        Ok(news) => HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(news),
        Err(error) => error.render(&request, Shape::Query),
    }
}

async fn answer(request: &HttpRequest, services: &Services) -> Result<News, ApiError> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let secret = header.and_then(|value| value.split_once(' '));
    let secret =
        secret.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, secret)| secret.trim());
    let admitted = services.revocations.as_ref().zip(secret);
    let admitted = admitted.filter(|(feed, secret)| feed.admits(secret));
    let Some((feed, _)) = admitted else { return Err(ApiError::NotARegistry) };
    let parameters: Vec<_> = form_urlencoded::parse(request.query_string().as_bytes()).collect();
    let parameters = parameters.iter().map(|(name, value)| (&**name, &**value));
    let question = Question::parse(parameters).map_err(|error| ApiError::BadBody(error.to_string()))?;
    Ok(feed.answer(&question).await?)
}
