//! Who may work on an upload session.
//!
//! Uploads outlive tokens: a slow line or a buffering proxy delivers a layer long after the token that began it.
//! An expired token is therefore honoured for a session of its own subject in its own repository, if it expired
//! after the session began and less than the lease ago. Nothing else is leased, and no other session; a token that was
//! revoked is not.
//!
//! *Invariant:* a session is reached only by its repository, its id and the subject that opened it, all three.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use shared::action::Action;
use shared::challenge::ChallengeError;
use shared::scope::{Resource, Scope, ScopeList};

use super::access::{Authorized, Push, Right as _, repository_name, require, state};
use super::basic_access;
use super::bearer_access::{Presented, challenge, presented_token};
use super::caller::Caller;
use super::error::ApiError;
use super::parameters::parameter;
use super::state::{Auth, RegistryState};
use super::upload_state::StateOffset;
use crate::auth::revocations::About;
use crate::auth::verifier::VerifiedToken;
use crate::domain::upload_id::UploadId;
use crate::domain::upload_session::UploadOwner;

/// How long after its expiry a token may still serve the upload that it began.
const LEASE: Duration = Duration::from_hours(1);

/// Proof that the caller may work on one upload session.
pub(super) struct AuthorizedUpload {
    pub(super) caller: Authorized<Push>,
    pub(super) id: UploadId,
    pub(super) owner: UploadOwner,
    /// From the URL the client used.
    pub(super) offset: StateOffset,
}

impl FromRequest for AuthorizedUpload {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { authorize(&request).await })
    }
}

async fn authorize(request: &HttpRequest) -> Result<AuthorizedUpload, ApiError> {
    let name = repository_name(request)?;
    let id = UploadId::parse(request.match_info().query("id"));
    let scope = Scope::repository(name.clone(), Push::ASK);
    let scopes = ScopeList::from_iter([scope.clone()]);
    let state = state(request);
    let caller = match &state.auth {
        Auth::Open => Caller::Anybody,
        Auth::Htpasswd(door) => Caller::User(basic_access::authenticate(request, door).await?),
        Auth::Token(auth) => match presented_token(request, auth, &scopes, About::Repository(&name)).await? {
            Presented::Valid(token) => {
                require(request, auth, &token, &scope, Action::Push).await?;
                Caller::Bearer(token)
            }
            Presented::Expired(token) => {
                let caller = Caller::Bearer(token.clone());
                let leased = match id {
                    Some(id) => is_leased(state, &token, caller.owner(), &scope, id).await?,
                    None => false,
                };
                if leased {
                    require(request, auth, &token, &scope, Action::Push).await?;
                } else {
                    return Err(challenge(request, auth, &scopes, Some(ChallengeError::InvalidToken)));
                }
                caller
            }
        },
    };
    let id = id.ok_or(ApiError::UploadUnknown)?;
    let offset = match parameter(request, "_state") {
        Some(text) => state.state_key.read(&text, &name, id).map_err(|_| ApiError::UploadStateInvalid)?,
        None => StateOffset::default(),
    };
    let owner = caller.owner();
    Ok(AuthorizedUpload { caller: Authorized::new(name, caller), id, owner, offset })
}

async fn is_leased(
    state: &RegistryState,
    token: &VerifiedToken,
    owner: UploadOwner,
    scope: &Scope,
    id: UploadId,
) -> Result<bool, ApiError> {
    let Resource::Repository(name) = &scope.resource else { return Ok(false) };
    if !token.access.allows(&scope.resource, Action::Push) {
        return Ok(false);
    }
    let age = state.clock.unix_now().saturating_sub(token.expires);
    if u64::try_from(age).is_ok_and(|age| age >= LEASE.as_secs()) {
        return Ok(false);
    }
    let record = state.repositories.upload_record(name, id).await?;
    Ok(record.is_some_and(|record| record.owner == owner && token.expires > record.began))
}
