//! Who may do what: from a request to a proof that it was allowed.
//!
//! A right that was asked for and refused by our own token server is answered with the reason, see
//! [`refusal`](super::refusal): another token would not help. Everything else that is missing is answered 401 with the
//! scope to ask for, because that is how clients learn to widen a token. The answer never depends on whether the
//! repository exists.
//!
//! *Invariant:* an [`Authorized`] has no constructor outside this folder's access modules, so a handler that has one
//! was allowed its action on exactly that repository, within [`limits`](Authorized::limits) that every operation of the
//! domain to which they matter demands.
//!
//! Spec: RFC 6750 §3.1; distribution, "Token Authentication Specification".

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use shared::action::Action;
use shared::challenge::ChallengeError;
use shared::limits::Limits;
use shared::repository_name::RepositoryName;
use shared::repository_set::RepositorySet;
use shared::scope::{Resource, Scope, ScopeList};

use super::basic_access;
use super::bearer_access::{challenge, check_revocations, token_refused, valid_token};
use super::caller::Caller;
use super::error::ApiError;
use super::refusal::{self, denied, refusal};
use super::state::{Auth, RegistryState, TokenAuth};
use crate::auth::revocations::About;
use crate::auth::verifier::{Profile, VerifiedToken};
use crate::domain::error::RegistryError;

/// A kind of right on a repository.
pub(crate) trait Right: 'static {
    /// What the token must carry.
    const ACTION: Action;
    /// What a client is told to ask for.
    const ASK: &'static [Action];
}

/// Reading.
pub(crate) struct Pull;

/// Writing. Clients expect to be told to ask for both.
pub(crate) struct Push;

/// Deleting.
pub(crate) struct Delete;

impl Right for Pull {
    const ACTION: Action = Action::Pull;
    const ASK: &'static [Action] = &[Action::Pull];
}

impl Right for Push {
    const ACTION: Action = Action::Push;
    const ASK: &'static [Action] = &[Action::Pull, Action::Push];
}

impl Right for Delete {
    const ACTION: Action = Action::Delete;
    const ASK: &'static [Action] = &[Action::Delete];
}

/// Proof that the caller may do `R` on one repository.
pub(crate) struct Authorized<R> {
    name: RepositoryName,
    caller: Caller,
    right: PhantomData<R>,
}

impl<R: Right> Authorized<R> {
    pub(super) fn new(name: RepositoryName, caller: Caller) -> Self {
        Self { name, caller, right: PhantomData }
    }

    /// The repository.
    pub(crate) fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// Who it was allowed to.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What of the right was allowed, where that is not everything.
    pub(super) fn limits(&self) -> Option<&Limits> {
        match &self.caller {
            Caller::Bearer(token) => token.portcullis.as_ref()?.limits_of(&self.name),
            Caller::Anybody | Caller::User(_) => None,
        }
    }

    /// What this caller is told of an error: of what is beyond its limits, that it is so for this user.
    pub(super) fn refusal(&self, request: &HttpRequest, error: RegistryError) -> ApiError {
        match (&self.caller, &state(request).auth, error) {
            (Caller::Bearer(token), Auth::Token(auth), RegistryError::BeyondLimits(act))
                if !token.subject.is_empty() =>
            {
                let scopes = ScopeList::from_iter([Scope::repository(self.name.clone(), R::ASK)]);
                denied(request, auth, &scopes, format!("{} may not {act}", token.subject))
            }
            (_, _, error) => error.into(),
        }
    }
}

impl<R: Right> FromRequest for Authorized<R> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let name = repository_name(&request)?;
            let scope = Scope::repository(name.clone(), R::ASK);
            let caller = authorize(&request, &scope, R::ACTION).await?;
            Ok(Self::new(name, caller))
        })
    }
}

/// Proof that the caller brought a valid token, whatever it allows, or a password.
pub(crate) struct Authenticated;

impl FromRequest for Authenticated {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            match &state(&request).auth {
                Auth::Open => {}
                Auth::Token(auth) => {
                    valid_token(&request, auth, &ScopeList::default(), About::Nothing).await?;
                }
                Auth::Htpasswd(door) => {
                    basic_access::authenticate(&request, door).await?;
                }
            }
            Ok(Self)
        })
    }
}

/// Proof that the caller may delete one repository as a whole.
///
/// Our own token server has an action for that; of any other issuer it takes the right to everything.
pub(crate) struct AuthorizedOwner {
    pub(crate) name: RepositoryName,
    /// When the permission was given; nothing in an open registry.
    pub(crate) permitted: Option<i64>,
}

impl FromRequest for AuthorizedOwner {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let name = repository_name(&request)?;
            let action = match &state(&request).auth {
                Auth::Token(auth) if auth.verifier.expectations().profile == Profile::Standard => Action::All,
                _ => Action::RepositoryDelete,
            };
            let scope = Scope::repository(name.clone(), &[action]);
            let permitted = match authorize(&request, &scope, action).await? {
                Caller::Bearer(token) => token.issued,
                Caller::Anybody | Caller::User(_) => None,
            };
            Ok(Self { name, permitted })
        })
    }
}

/// Proof that the caller may list repositories: all, or those its token shows.
pub(crate) struct AuthorizedCatalog(Caller);

impl AuthorizedCatalog {
    /// What the caller may see, where that is not everything.
    pub(super) fn visible(&self) -> Option<&[RepositorySet]> {
        match &self.0 {
            Caller::Bearer(token) => token.portcullis.as_ref()?.catalogue.as_deref(),
            Caller::Anybody | Caller::User(_) => None,
        }
    }
}

impl FromRequest for AuthorizedCatalog {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { authorize(&request, &Scope::catalog(), Action::All).await.map(Self) })
    }
}

/// What a token says about reading the source of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceAccess {
    Allowed,
    /// It was asked for and refused; asking again would not help.
    Refused,
}

impl Authorized<Push> {
    /// The repositories the caller's token lets it pull from, in the order of the token.
    pub(crate) fn readable(&self) -> impl Iterator<Item = &RepositoryName> {
        let token = match &self.caller {
            Caller::Bearer(token) => Some(token),
            Caller::Anybody | Caller::User(_) => None,
        };
        let scopes = token.into_iter().flat_map(|token| token.access.iter());
        scopes.filter(|scope| scope.actions.allows(Action::Pull)).filter_map(|scope| match &scope.resource {
            Resource::Repository(name) => Some(name),
            Resource::Catalog => None,
        })
    }

    /// Whether the caller may also read `source`, as its token is.
    pub(crate) async fn may_read(
        &self,
        request: &HttpRequest,
        source: &RepositoryName,
    ) -> Result<bool, ApiError> {
        let (Auth::Token(auth), Caller::Bearer(token)) = (&state(request).auth, &self.caller) else {
            return Ok(true);
        };
        if check_revocations(request, auth, token, About::Repository(source)).is_err() {
            return Ok(false);
        }
        let may_pull = token.access.allows(&Resource::Repository(source.clone()), Action::Pull);
        Ok(may_pull && !is_outlived(request, token, source).await?)
    }

    /// The same for a source that the client names: a token that was never asked for it is challenged, for both.
    pub(crate) async fn source_access(
        &self,
        request: &HttpRequest,
        source: &RepositoryName,
    ) -> Result<SourceAccess, ApiError> {
        let (Auth::Token(auth), Caller::Bearer(token)) = (&state(request).auth, &self.caller) else {
            return Ok(SourceAccess::Allowed);
        };
        let both: ScopeList =
            [Scope::repository(self.name.clone(), Push::ASK), Scope::repository(source.clone(), Pull::ASK)]
                .into_iter()
                .collect();
        if let Err(error) = check_revocations(request, auth, token, About::Repository(source)) {
            auth.verifications.count(error.outcome());
            return Err(token_refused(request, auth, &both, &error));
        }
        let resource = Resource::Repository(source.clone());
        if token.access.allows(&resource, Action::Pull) {
            let may_read = self.may_read(request, source).await?;
            return Ok(if may_read { SourceAccess::Allowed } else { SourceAccess::Refused });
        }
        // Other issuers do not say what they refused, but many list what they were asked for with what is left of it.
        if refusal(token, &resource, Action::Pull).is_some() || token.access.mentions(&resource) {
            return Ok(SourceAccess::Refused);
        }
        Err(challenge(request, auth, &both, Some(ChallengeError::InsufficientScope)))
    }
}

pub(super) fn state(request: &HttpRequest) -> &web::Data<RegistryState> {
    request.app_data::<web::Data<RegistryState>>().expect("the state is registered with the routes")
}

pub(super) fn repository_name(request: &HttpRequest) -> Result<RepositoryName, ApiError> {
    let name = request.match_info().query("name");
    if name.contains('%') {
        // Some programs escape the slashes of a name; the framework decodes everything else and leaves them.
        return RepositoryName::parse(&name.replace("%2F", "/").replace("%2f", "/"))
            .map_err(ApiError::NameInvalid);
    }
    RepositoryName::parse(name).map_err(ApiError::NameInvalid)
}

/// Users of the password file may do everything; a token may do what it carries.
pub(super) async fn authorize(
    request: &HttpRequest,
    scope: &Scope,
    action: Action,
) -> Result<Caller, ApiError> {
    match &state(request).auth {
        Auth::Open => Ok(Caller::Anybody),
        Auth::Token(auth) => {
            let scopes = ScopeList::from_iter([scope.clone()]);
            let token = valid_token(request, auth, &scopes, About::from(&scope.resource)).await?;
            require(request, auth, &token, scope, action).await?;
            Ok(Caller::Bearer(token))
        }
        Auth::Htpasswd(door) => Ok(Caller::User(basic_access::authenticate(request, door).await?)),
    }
}

/// Whether the repository was deleted as a whole after the token was issued: what it was given for is gone.
async fn is_outlived(
    request: &HttpRequest,
    token: &VerifiedToken,
    repository: &RepositoryName,
) -> Result<bool, ApiError> {
    let state = state(request);
    let deleted = state.repositories.deleted_at(repository).await?;
    Ok(deleted.is_some_and(|deleted| !token.is_issued_after(deleted, state.clock.unix_now())))
}

/// Whether the token carries `action` on the resource of `scope`, and is not older than what is there.
pub(super) async fn require(
    request: &HttpRequest,
    auth: &TokenAuth,
    token: &VerifiedToken,
    scope: &Scope,
    action: Action,
) -> Result<(), ApiError> {
    let scopes = ScopeList::from_iter([scope.clone()]);
    if token.access.allows(&scope.resource, action) {
        if let Resource::Repository(name) = &scope.resource
            && is_outlived(request, token, name).await?
        {
            return Err(challenge(request, auth, &scopes, Some(ChallengeError::InvalidToken)));
        }
        return Ok(());
    }
    Err(match refusal(token, &scope.resource, action) {
        Some(refusal) => {
            let sentence = refusal::sentence(token, &scope.resource, action, refusal);
            denied(request, auth, &scopes, sentence)
        }
        None => challenge(request, auth, &scopes, Some(ChallengeError::InsufficientScope)),
    })
}
