//! Who may search, and what is found out for them: what the list of repositories would show.
//!
//! Docker does not come back after a challenge here. It brings the user name and password of a login, or nothing; or,
//! where a login is kept as a refresh token, a token that it asked for beforehand. So where token requests are
//! forwarded, its credentials are forwarded like those of a token request, unread, and the token that comes back is
//! checked like any other. Clients that can be challenged are.
//!
//! *Invariant:* nobody finds what the list of repositories does not show them; who may see nothing finds nothing, which
//! is no refusal.
//!
//! Spec: none; behaviour of the Docker engine.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, RETRY_AFTER};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use shared::action::Action;
use shared::basic::BasicChallenge;
use shared::claims::RefusalReason;
use shared::repository_set::RepositorySet;
use shared::scope::{Scope, ScopeList};
use shared::server::request_log::RequestLog;
use url::form_urlencoded;

use super::access::{authorize, require, state};
use super::bearer_access::{Bearer, bearer, valid_token, verified};
use super::caller::Caller;
use super::error::ApiError;
use super::headers;
use super::refusal::refusal;
use super::state::{Auth, Forward, TokenAuth};
use super::token_forward::{self, Answer, Question};
use crate::auth::revocations::About;
use crate::auth::verifier::VerifiedToken;

/// How long to wait when the token server does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);

/// Proof that the caller may search, among what it may see.
pub(crate) enum AuthorizedSearch {
    /// Among all, or what the token shows.
    Among(Caller),
    /// There is nothing that the caller may see.
    Nothing,
}

impl AuthorizedSearch {
    /// What the caller may see, where that is not everything.
    pub(super) fn visible(&self) -> Option<&[RepositorySet]> {
        match self {
            Self::Among(Caller::Bearer(token)) => token.portcullis.as_ref()?.catalogue.as_deref(),
            Self::Among(Caller::Anybody | Caller::User(_)) => None,
            Self::Nothing => Some(&[]),
        }
    }
}

impl FromRequest for AuthorizedSearch {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let catalog = Scope::catalog();
            let Auth::Token(auth) = &state(&request).auth else {
                return authorize(&request, &catalog, Action::All).await.map(Self::Among);
            };
            let token = match (&auth.forward, bearer(&request)) {
                (Some(forward), Bearer::None) if cannot_be_challenged(&request) => {
                    fetch_token(&request, auth, forward).await?
                }
                _ => {
                    let scopes = ScopeList::from_iter([catalog.clone()]);
                    valid_token(&request, auth, &scopes, About::Lists).await?
                }
            };
            let refused = refusal(&token, &catalog.resource, Action::All).map(|refusal| refusal.reason);
            if let Some(RefusalReason::Anonymous | RefusalReason::NoGrant) = refused {
                return Ok(Self::Nothing);
            }
            require(&request, auth, &token, &catalog, Action::All).await?;
            Ok(Self::Among(Caller::Bearer(token)))
        })
    }
}

/// Whether it is an engine, or somebody who thinks that credentials are all it takes.
fn cannot_be_challenged(request: &HttpRequest) -> bool {
    request.headers().contains_key(headers::DOCKER_TOKEN) || request.headers().contains_key(AUTHORIZATION)
}

/// What clients take from an answer of the token endpoint.
#[derive(Deserialize)]
struct Issued {
    token: Option<String>,
    access_token: Option<String>,
}

/// Asks the token server for a token for the list of repositories, for whoever the credentials belong to.
async fn fetch_token(
    request: &HttpRequest,
    auth: &TokenAuth,
    forward: &Forward,
) -> Result<Arc<VerifiedToken>, ApiError> {
    let service = &auth.verifier.expectations().service;
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("service", service)
        .append_pair("scope", &Scope::catalog().to_string())
        .finish();
    let question = Question { method: reqwest::Method::GET, below: None, query: &query, body: Bytes::new() };
    let answer = token_forward::ask(request, state(request), forward, question).await?;
    if !answer.status.is_success() {
        return Err(refused(&answer, service));
    }
    let unusable = |why: &str| {
        tracing::error!(
            request.id = RequestLog::id(request),
            why,
            "the token server gave no token to search with"
        );
        ApiError::TokenServerUnavailable
    };
    let issued: Issued =
        serde_json::from_slice(&answer.body).map_err(|_| unusable("the answer is not a token"))?;
    let text = issued.token.or(issued.access_token).ok_or_else(|| unusable("there is no token in it"))?;
    verified(request, auth, &text, About::Lists).await.map_err(|error| unusable(&error.to_string()))
}

fn refused(answer: &Answer, realm: &str) -> ApiError {
    match answer.status {
        StatusCode::TOO_MANY_REQUESTS => {
            let seconds = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            ApiError::TooManyFailedLogins { wait: seconds.map_or(DEFAULT_WAIT, Duration::from_secs) }
        }
        status if status.is_client_error() => {
            ApiError::WrongPassword(BasicChallenge { realm: realm.to_owned() })
        }
        _ => ApiError::TokenServerUnavailable,
    }
}
