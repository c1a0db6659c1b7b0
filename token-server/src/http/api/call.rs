//! What reaches a handler of the API: who calls, and what was sent.
//!
//! *Invariant:* there is no call without a login that was checked in this request, unless the address is open to
//! everybody; and its tools act for nobody else.

use actix_web::HttpRequest;
use actix_web::http::header::IF_MATCH;
use actix_web::web::{Bytes, Data, Payload};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use shared::server::request_log::RequestLog;

use super::endpoint::{Access, Endpoint};
use super::media_type::Format;
use super::parameters::Query;
use super::{etag, request_body};
use crate::domain::actor::Actor;
use crate::domain::administration::Administration;
use crate::domain::delegation::NotDelegated;
use crate::domain::error::TokenServerError;
use crate::domain::login::authenticate::Credentials;
use crate::domain::login::subject::Subject;
use crate::domain::record::audit::Origin;
use crate::http::error::ApiError;
use crate::http::{Services, credentials, origin};

/// One request to the API.
pub struct Call {
    /// What handlers work with.
    pub services: Data<Services>,
    /// What came in the query, of which nothing is unknown.
    pub query: Query,
    login: Option<Login>,
    request: HttpRequest,
    body: Bytes,
}

struct Login {
    subject: Subject,
    administration: Administration,
}

/// Reads a request and checks who sent it.
pub(super) async fn receive(
    endpoint: &Endpoint,
    request: &HttpRequest,
    services: Data<Services>,
    payload: Payload,
) -> Result<Call, ApiError> {
    let login = match endpoint.access {
        Access::Everybody => None,
        Access::Users => Some(log_in(request, &services).await?),
    };
    let query = Query::parse(request.query_string(), &endpoint.query)?;
    if !request.method().is_safe() && !endpoint.is_conditional && request.headers().contains_key(IF_MATCH) {
        return Err(ApiError::NothingToCompare);
    }
    let body = match endpoint.body {
        Some(_) => request_body::read(endpoint, request, payload, services.body_timeout).await?,
        None => Bytes::new(),
    };
    let mut call = Call { services, query, login, request: request.clone(), body };
    if endpoint.is_conditional
        && let Some(login) = &mut call.login
    {
        login.administration = login.administration.expecting(etag::expectation(request.headers()));
    }
    Ok(call)
}

async fn log_in(request: &HttpRequest, services: &Services) -> Result<Login, ApiError> {
    let origin = origin(request);
    let subject = match credentials::from_header(request.headers())? {
        None => return Err(TokenServerError::CredentialsRequired.into()),
        Some(Credentials::RefreshToken(_) | Credentials::Device(_)) => {
            let sentence = "the API takes a user name and a password; a refresh token is for registries";
            return Err(TokenServerError::UnusableCredentials(sentence).into());
        }
        Some(Credentials::Password { user, password }) => {
            let view = services.authenticator.rows().view().await;
            services.authenticator.authenticate(&user, &password, &origin, &view).await?
        }
    };
    RequestLog::note_subject(request, subject.name());
    let actor = Actor::Subject { subject: subject.clone(), origin };
    let administration = services.administration.on_behalf_of(actor);
    if subject.limits().is_some() {
        let refused = TokenServerError::from(NotDelegated::LimitedCredential);
        administration.record_refusal(&refused).await?;
        return Err(refused.into());
    }
    Ok(Login { subject, administration })
}

impl Call {
    /// The same tools as [`Self::administration`] has, where the call is for a change.
    pub(super) fn changing(&self) -> Option<Administration> {
        let login = self.login.as_ref().filter(|_| !self.request.method().is_safe());
        login.map(|login| login.administration.clone())
    }

    /// Tools that act on behalf of whoever calls.
    pub fn administration(&self) -> Result<&Administration, ApiError> {
        Ok(&self.login()?.administration)
    }

    /// Whoever calls.
    pub fn subject(&self) -> Result<&Subject, ApiError> {
        Ok(&self.login()?.subject)
    }

    fn login(&self) -> Result<&Login, ApiError> {
        self.login.as_ref().ok_or_else(|| TokenServerError::CredentialsRequired.into())
    }

    /// Where the request came from, for the record.
    pub(super) fn origin(&self) -> Origin {
        origin(&self.request)
    }

    /// A name in the path, decoded.
    pub fn path(&self, name: &str) -> String {
        let text = self.request.match_info().get(name).unwrap_or_default();
        // The router leaves encoded what would mean something else in a path.
        percent_decode_str(text).decode_utf8_lossy().into_owned()
    }

    /// The body, which is JSON.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        request_body::parse(&self.body)
    }

    /// The body as a text, and the format it is in.
    pub fn text(&self) -> Result<(Format, &str), ApiError> {
        let text = std::str::from_utf8(&self.body);
        let text = text.map_err(|_| ApiError::BadBody("the body is not text in UTF-8".to_owned()))?;
        Ok((Format::of_body(&self.request).unwrap_or(Format::Json), text))
    }

    /// In which format the answer is wanted, where there is more than one.
    pub fn wanted_format(&self) -> Format {
        Format::wanted(&self.request)
    }
}
