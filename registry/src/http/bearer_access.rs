//! Bearer tokens on the wire: the one that came with a request, and the challenge to bring another.
//!
//! *Invariant:* a token that cannot be used is told apart from none at all, so that clients fetch a new one instead of
//! asking for a password; why it cannot be used stands in the log only.
//!
//! Spec: RFC 6750 §2.1, §3; distribution, "Token Authentication Specification".

use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use shared::challenge::{BearerChallenge, ChallengeError};
use shared::scope::ScopeList;
use shared::server::request_log::RequestLog;

use super::access::state;
use super::error::ApiError;
use super::state::TokenAuth;
use crate::auth::error::TokenError;
use crate::auth::revocations::About;
use crate::auth::verifier::VerifiedToken;
use crate::settings::Realm;

/// A token that came with a request.
pub(super) enum Presented {
    Valid(Arc<VerifiedToken>),
    /// Right in everything but its age.
    Expired(Arc<VerifiedToken>),
}

/// The token of a request, which must be valid for what the request is about.
pub(super) async fn valid_token(
    request: &HttpRequest,
    auth: &TokenAuth,
    scopes: &ScopeList,
    about: About<'_>,
) -> Result<Arc<VerifiedToken>, ApiError> {
    match presented_token(request, auth, scopes, about).await? {
        Presented::Valid(token) => Ok(token),
        Presented::Expired(_) => Err(challenge(request, auth, scopes, Some(ChallengeError::InvalidToken))),
    }
}

/// Reads and verifies the token of a request.
pub(super) async fn presented_token(
    request: &HttpRequest,
    auth: &TokenAuth,
    scopes: &ScopeList,
    about: About<'_>,
) -> Result<Presented, ApiError> {
    let text = match bearer(request) {
        Bearer::None => return Err(challenge(request, auth, scopes, None)),
        Bearer::Unreadable => {
            return Err(challenge(request, auth, scopes, Some(ChallengeError::InvalidToken)));
        }
        Bearer::Text(text) => text,
    };
    match verified(request, auth, text, about).await {
        Ok(token) => Ok(Presented::Valid(token)),
        Err(TokenError::Expired(token)) => Ok(Presented::Expired(token)),
        Err(error) => Err(token_refused(request, auth, scopes, &error)),
    }
}

/// The answer to a token that does not count.
pub(super) fn token_refused(
    request: &HttpRequest,
    auth: &TokenAuth,
    scopes: &ScopeList,
    error: &TokenError,
) -> ApiError {
    match error {
        TokenError::NoKeys => ApiError::KeysUnavailable,
        TokenError::RevocationsUnknown => ApiError::RevocationsUnknown,
        error => {
            tracing::info!(request.id = RequestLog::id(request), %error, "token refused");
            challenge(request, auth, scopes, Some(ChallengeError::InvalidToken))
        }
    }
}

/// Verifies a token, with newer keys if it has to be, and asks whether it was taken back for what it is brought for.
pub(super) async fn verified(
    request: &HttpRequest,
    auth: &TokenAuth,
    text: &str,
    about: About<'_>,
) -> Result<Arc<VerifiedToken>, TokenError> {
    let mut outcome = auth.verifier.verify(text);
    // A key can also be exchanged under its old id.
    let may_be_new = matches!(
        outcome,
        Err(TokenError::UnknownKey | TokenError::Chain(_) | TokenError::BadSignature | TokenError::NoKeys)
    );
    if may_be_new && auth.refresh_for_unknown_key().await {
        outcome = auth.verifier.verify(text);
    }
    // An expired one may still serve an upload, which it must not if it was taken back.
    if let Ok(token) | Err(TokenError::Expired(token)) = &outcome {
        RequestLog::note_subject(request, &token.subject);
        if let Err(error) = check_revocations(request, auth, token, about) {
            outcome = Err(error);
        }
    }
    auth.verifications.count(outcome.as_ref().map_or_else(TokenError::outcome, |_| "valid"));
    outcome
}

/// Whether a verified token was not taken back for what it is brought for.
pub(super) fn check_revocations(
    request: &HttpRequest,
    auth: &TokenAuth,
    token: &VerifiedToken,
    about: About<'_>,
) -> Result<(), TokenError> {
    let Some(revocations) = &auth.revocations else { return Ok(()) };
    revocations.check(token, about, state(request).clock.unix_now(), Instant::now())
}

/// What a request brings in place of a token.
pub(super) enum Bearer<'a> {
    /// No credentials, or of another scheme.
    None,
    /// Several headers, or bytes that are no text.
    Unreadable,
    Text(&'a str),
}

pub(super) fn bearer(request: &HttpRequest) -> Bearer<'_> {
    let mut values = request.headers().get_all(AUTHORIZATION);
    let Some(value) = values.next() else { return Bearer::None };
    if values.next().is_some() {
        return Bearer::Unreadable;
    }
    let Ok(value) = value.to_str() else { return Bearer::Unreadable };
    match value.split_once(' ') {
        Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") && !text.trim().is_empty() => {
            Bearer::Text(text.trim())
        }
        _ => Bearer::None,
    }
}

/// The refusal that sends a client to the token endpoint.
pub(super) fn challenge(
    request: &HttpRequest,
    auth: &TokenAuth,
    scopes: &ScopeList,
    error: Option<ChallengeError>,
) -> ApiError {
    ApiError::Unauthorized(Box::new(build_challenge(request, auth, scopes, error)))
}

/// What a client is told to come back with.
pub(super) fn build_challenge(
    request: &HttpRequest,
    auth: &TokenAuth,
    scopes: &ScopeList,
    error: Option<ChallengeError>,
) -> BearerChallenge {
    let realm = match &auth.realm {
        Realm::Fixed(url) => url.clone(),
        Realm::SameOrigin { path } => {
            let origin = state(request).locations.realm_origin(request).unwrap_or_default();
            format!("{origin}{path}")
        }
    };
    BearerChallenge {
        realm,
        service: auth.verifier.expectations().service.clone(),
        scope: (!scopes.is_empty()).then(|| scopes.to_string()),
        error,
        error_in_words: None,
        error_description: None,
    }
}
