//! What reaches a handler of SCIM: which provider calls, and what it sent.
//!
//! *Invariant:* there is no call without a secret that was checked in this request, of a provider for which the settings
//! allow SCIM.

use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use serde_json::{Map, Value};
use shared::secret::Secret;
use shared::server::request_log::RequestLog;
use uuid::Uuid;

use super::refusal;
use crate::domain::actor::Actor;
use crate::domain::administration::Administration;
use crate::domain::error::TokenServerError;
use crate::domain::signon::provider::Provider;
use crate::http::error::ApiError;
use crate::http::{Services, body, origin};

/// A longer body is refused: it is enough for a group with all its members.
pub const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;

/// One request.
pub struct Call {
    /// Who calls.
    pub provider: Provider,
    /// Tools that act for them.
    pub administration: Administration,
    /// What came in the query.
    pub query: Vec<(String, String)>,
    /// The body, empty where none is taken.
    pub body: Map<String, Value>,
    /// Before the path of what is answered.
    pub base: String,
    request: HttpRequest,
}

impl Call {
    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The number in the path; what is none is nothing's.
    pub fn id(&self) -> Uuid {
        let text = self.request.match_info().get("id").unwrap_or_default();
        text.parse().unwrap_or(Uuid::nil())
    }

    /// A name in the path.
    pub fn name(&self) -> String {
        let text = self.request.match_info().get("id").unwrap_or_default();
        percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
    }

    /// The path behind the base.
    pub fn address(&self) -> &str {
        self.request.path().strip_prefix(super::BASE).unwrap_or_default()
    }

    /// Whether a version is one that the provider wants to change.
    pub fn wants(&self) -> impl Fn(&str) -> bool + Sync + use<> {
        let wanted = self.request.headers().get(IF_MATCH).and_then(|value| value.to_str().ok());
        let wanted = wanted.map(str::to_owned);
        move |version: &str| {
            let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
            wanted.as_ref().is_none_or(|wanted| {
                wanted.split(',').any(|one| one.trim() == "*" || plain(one) == plain(version))
            })
        }
    }
}

async fn receive(
    request: &HttpRequest,
    services: &Data<Services>,
    payload: Option<Payload>,
) -> Result<(Call, Uuid), ApiError> {
    let mut values = request.headers().get_all(AUTHORIZATION);
    let header = values.next().and_then(|value| value.to_str().ok());
    let secret = header.and_then(|value| value.split_once(' '));
    let secret = secret.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (Some((_, secret)), None) = (secret, values.next()) else {
        return Err(TokenServerError::CredentialsRequired.into());
    };
    let origin = origin(request);
    let login = services.authenticator.let_provider_in(&Secret::new(secret.trim()), &origin).await?;
    let provider = services.providers.get(&login.provider).filter(|provider| provider.scim.is_some());
    // The settings may have changed since the secret was made.
    let provider = provider.ok_or(TokenServerError::WrongCredentials)?.clone();
    let name = format!("scim:{}", provider.name);
    RequestLog::note_subject(request, &name);
    let administration = services.administration.on_behalf_of(Actor::Provider { name, origin });
    let query = url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect();
    let body = match payload {
        Some(payload) => read(request, payload, services).await?,
        None => Map::new(),
    };
    let base = services.pages_url.as_ref().map_or("", |url| url.as_str()).trim_end_matches('/');
    let base = format!("{base}{}", super::BASE);
    Ok((Call { provider, administration, query, body, base, request: request.clone() }, login.secret))
}

async fn read(
    request: &HttpRequest,
    payload: Payload,
    services: &Services,
) -> Result<Map<String, Value>, ApiError> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !["application/scim+json", "application/json"].contains(&kind.as_str()) {
        return Err(ApiError::UnsupportedMediaType("application/scim+json"));
    }
    let bytes = body::read(request, payload, MAX_BODY_BYTES, services.body_timeout).await?;
    serde_json::from_slice(&bytes).map_err(|_| ApiError::MalformedJson)
}

/// What a handler does.
pub type Run = fn(Call) -> LocalBoxFuture<'static, Result<HttpResponse, ApiError>>;

/// Reads a request, checks who sent it and answers. Changes take turns with those of others.
pub async fn answer(
    request: HttpRequest,
    services: Data<Services>,
    payload: Option<Payload>,
    run: Run,
) -> HttpResponse {
    let answer = async {
        let (call, secret) = receive(&request, &services, payload).await?;
        let turn = if request.method().is_safe() {
            None
        } else {
            Some(services.changes.take(secret).await.ok_or(ApiError::ManyChanges)?)
        };
        let outcome = run(call).await;
        drop(turn);
        outcome
    };
    answer.await.unwrap_or_else(|error| refusal::render(&error))
}
