//! How the server says no.
//!
//! Each refusal has one status, one code and one sentence; the address decides about the shape around them: the
//! registry's error body on the token endpoint (with the OAuth fields beside it for forms), problem details on the
//! API.
//!
//! *Invariant:* an answer of 500 or above says nothing about why; the cause travels to the one line that the log has
//! for the request. Whatever the domain can refuse is matched without a wildcard.
//!
//! Spec: RFC 6749 §5.2, RFC 9457, distribution-spec "Error codes".

use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Route, web};
use serde::Serialize;
use shared::error_body::{ErrorBody, ErrorCode};
use shared::server::causes;
use shared::server::fallback::note_error;
use shared::server::request_log::RequestLog;

use super::problem::{self, PROBLEM};
use crate::db::error::DbError;
use crate::domain::error::TokenServerError;
use crate::domain::login::password::HashingError;
use crate::domain::provisioning::ScimError;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The domain refused.
    #[error(transparent)]
    Domain(#[from] TokenServerError),
    /// A parameter came with two values.
    #[error("the parameter `{0}` came twice with different values")]
    RepeatedParameter(&'static str),
    /// A grant this server does not know.
    #[error("this grant type is not supported; use password, refresh_token or token exchange")]
    UnsupportedGrantType,
    /// An exchange that makes no sense.
    #[error("{0}")]
    BadExchange(String),
    /// The body is of another type.
    #[error("the body must be {0}")]
    UnsupportedMediaType(&'static str),
    /// The body is longer than any use of it.
    #[error("the body is too large")]
    BodyTooLarge,
    /// The body did not arrive in time.
    #[error("the body took too long to arrive")]
    BodyTooSlow,
    /// The body broke off.
    #[error("the body cannot be read")]
    BodyBroken,
    /// A parameter that the address does not take.
    #[error("this address does not take the parameter `{name}`; it takes {}", listed(known))]
    UnknownParameter {
        /// What came.
        name: String,
        /// What could come.
        known: Vec<&'static str>,
    },
    /// A parameter that makes no sense.
    #[error("the parameter `{name}` {sentence}")]
    BadParameter {
        /// Which.
        name: &'static str,
        /// How the sentence goes on.
        sentence: String,
    },
    /// A body of the API that makes no sense.
    #[error("{0}")]
    BadBody(String),
    /// A version was named where there is none.
    #[error("there is no version here that If-Match could be compared with")]
    NothingToCompare,
    /// Others read the whole audit record.
    #[error("too many requests read the whole audit record")]
    ManyReadersOfAll,
    /// Others change something, and take long.
    #[error("too many requests change something")]
    ManyChanges,
    /// Others try changes out.
    #[error("too many requests try out what changes would mean")]
    ManyTrials,
    /// Somebody asks what only registries are told.
    #[error("this is for registries, which bring the secret that `revocations.secret` says")]
    NotARegistry,
    /// A filter about what cannot be searched.
    #[error("nothing is searched at this address")]
    NoFilterHere,
    /// Nobody could say yes.
    #[error("this server has no pages on which people could allow a login; `signon.url` turns them on")]
    NoPages,
    /// The body is not the JSON it should be.
    #[error("the body must be a JSON object such as {{\"password\": \"…\"}}")]
    MalformedJson,
}

/// In which shape an answer is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An exchange of tokens on the token endpoint.
    Exchange,
    /// GET on the token endpoint.
    Query,
    /// POST on the token endpoint.
    Form,
    /// The API.
    Problem,
}

struct Verdict {
    status: StatusCode,
    code: ErrorCode,
    /// The word of RFC 6749 §5.2.
    oauth: &'static str,
    retry_after_seconds: Option<u32>,
}

impl Verdict {
    const fn new(status: StatusCode, code: ErrorCode, oauth: &'static str) -> Self {
        Self { status, code, oauth, retry_after_seconds: None }
    }

    const fn retry(seconds: u32) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: ErrorCode::Unavailable,
            oauth: "temporarily_unavailable",
            retry_after_seconds: Some(seconds),
        }
    }
}

const UNAUTHORIZED: Verdict =
    Verdict::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, "invalid_grant");

const OUR_FAULT: Verdict =
    Verdict::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Unknown, "server_error");

const fn bad_request(status: StatusCode) -> Verdict {
    Verdict::new(status, ErrorCode::Unsupported, "invalid_request")
}

impl ApiError {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Domain(error) => domain_verdict(error),
            // 401 and not 400: clients try their other way of asking only after a 401.
            Self::RepeatedParameter(_) => Verdict { oauth: "invalid_request", ..UNAUTHORIZED },
            Self::UnsupportedGrantType => Verdict { oauth: "unsupported_grant_type", ..UNAUTHORIZED },
            Self::BadExchange(_) => bad_request(StatusCode::BAD_REQUEST),
            Self::UnsupportedMediaType(_) => bad_request(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::BodyTooLarge => bad_request(StatusCode::PAYLOAD_TOO_LARGE),
            Self::BodyTooSlow => bad_request(StatusCode::REQUEST_TIMEOUT),
            Self::BodyBroken | Self::MalformedJson | Self::BadBody(_) | Self::UnknownParameter { .. } => {
                bad_request(StatusCode::BAD_REQUEST)
            }
            Self::NoPages => {
                Verdict::new(StatusCode::NOT_FOUND, ErrorCode::Unsupported, "unsupported_grant_type")
            }
            Self::BadParameter { .. } => bad_request(StatusCode::UNPROCESSABLE_ENTITY),
            Self::NotARegistry | Self::NoFilterHere => {
                Verdict::new(StatusCode::FORBIDDEN, ErrorCode::Denied, "access_denied")
            }
            Self::NothingToCompare => bad_request(StatusCode::PRECONDITION_FAILED),
            Self::ManyReadersOfAll | Self::ManyTrials => Verdict::retry(5),
            Self::ManyChanges => Verdict::retry(2),
        }
    }

    /// What people are told, with which status, and after how many seconds it may go better.
    pub fn told(&self) -> (StatusCode, String, Option<u32>) {
        let verdict = self.verdict();
        let sentence = if verdict.status.is_server_error() {
            server_sentence(self).to_owned()
        } else {
            self.to_string()
        };
        (verdict.status, sentence, verdict.retry_after_seconds)
    }

    /// The answer.
    pub fn render(&self, request: &HttpRequest, shape: Shape) -> HttpResponse {
        let verdict = self.verdict();
        // RFC 8693 §2.2.2: a token that is not good is a bad request, whatever is bad about it.
        let is_bad_token = shape == Shape::Exchange && verdict.status == StatusCode::UNAUTHORIZED;
        let verdict = if is_bad_token {
            Verdict { status: StatusCode::BAD_REQUEST, oauth: "invalid_request", ..verdict }
        } else {
            verdict
        };
        let (_, message, _) = self.told();
        let detail = verdict.status.is_server_error().then(|| format!("request {}", RequestLog::id(request)));
        let mut response = HttpResponse::build(verdict.status);
        response.insert_header((CACHE_CONTROL, "no-store"));
        if let Some(seconds) = verdict.retry_after_seconds {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if verdict.status == StatusCode::UNAUTHORIZED && shape != Shape::Form {
            // After a form it would only make browsers and clients ask for what they have just sent.
            response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"token server\""));
        }
        let code = problem::code(self);
        let mut response = finish(response, &verdict, shape, self, &message, detail.as_deref());
        let noted = if shape == Shape::Problem { code } else { verdict.code.as_str() };
        note_error(&mut response, noted, causes::sentence(self));
        response
    }
}

fn domain_verdict(error: &TokenServerError) -> Verdict {
    use TokenServerError as E;
    match error {
        E::WrongCredentials
        | E::PasswordNotEnough
        | E::WrongSecondFactor
        | E::NotLetInYet
        | E::RefreshTokenRefused
        | E::IdentityTokenRefused(_) => UNAUTHORIZED,
        E::DeviceNotYet(why) => Verdict::new(StatusCode::BAD_REQUEST, ErrorCode::Unauthorized, why.as_str()),
        E::TooManyDevices => Verdict::retry(60),
        E::TooManyTries { seconds } | E::TooManyCodes { seconds } | E::TooManyTokenRequests { seconds } => {
            Verdict {
                retry_after_seconds: Some(u32::try_from(*seconds).unwrap_or(u32::MAX)),
                ..Verdict::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    ErrorCode::TooManyRequests,
                    "temporarily_unavailable",
                )
            }
        }
        E::CredentialsRequired
        | E::UnusableCredentials(_)
        | E::UnknownAudience { .. }
        | E::AudienceRequired => Verdict { oauth: "invalid_request", ..UNAUTHORIZED },
        E::InvalidPassword(_)
        | E::InvalidName(_)
        | E::InvalidPattern(_)
        | E::InvalidSubject(_)
        | E::InvalidQuestion(_)
        | E::InvalidRole(_)
        | E::UnknownRight(_)
        | E::InvalidMoment(_)
        | E::InvalidConditions(_)
        | E::InvalidLimits(_)
        | E::InvalidTrust(_)
        | E::InvalidRemark(_)
        | E::Contradiction(_)
        | E::InvalidPolicy(_)
        | E::PolicyProblems(_)
        | E::PolicyNames(_)
        | E::InvalidImport(_)
        | E::ImportTooLarge(_)
        | E::InvalidRobotName(_)
        | E::InvalidMember(_)
        | E::NotAComponent(_)
        | E::UsesNotKnown { .. }
        | E::NotASubtree(_)
        | E::InvalidKeyPair(_) => bad_request(StatusCode::UNPROCESSABLE_ENTITY),
        E::NotFound { .. } => bad_request(StatusCode::NOT_FOUND),
        E::ChangedMeanwhile => bad_request(StatusCode::PRECONDITION_FAILED),
        E::NotDelegated(_) | E::TooManyRows | E::RobotHoldsMore { .. } | E::OwnElevation => {
            Verdict::new(StatusCode::FORBIDDEN, ErrorCode::Denied, "access_denied")
        }
        E::AlreadyThere { .. }
        | E::OtherConditions(_)
        | E::TeamCycle { .. }
        | E::TeamsTooDeep { .. }
        | E::RoleInUse { .. }
        | E::NamespaceTaken { .. }
        | E::OwnsNamespaces { .. }
        | E::ElevationOver { .. }
        | E::TooManyRequests
        | E::PolicyStep { .. }
        | E::TooManySecrets(_)
        | E::TooManyScimSecrets(_)
        | E::Scim(ScimError::Uniqueness(_))
        | E::TooManyTokens(_)
        | E::PasswordElsewhere => bad_request(StatusCode::CONFLICT),
        E::Scim(_) => bad_request(StatusCode::BAD_REQUEST),
        E::Hashing(HashingError::Busy) | E::Db(DbError::Locked(_)) => Verdict::retry(2),
        E::DirectoryAway | E::Db(DbError::Unavailable(_)) => Verdict::retry(5),
        E::Hashing(HashingError::Failed | HashingError::NoRandomness(_))
        | E::SealedKey { .. }
        | E::SealedFactor
        | E::Signing(_)
        | E::NoRandomness(_)
        | E::Db(
            DbError::Address
            | DbError::Conflict { .. }
            | DbError::Inconsistent { .. }
            | DbError::Migration(_)
            | DbError::Query(_),
        ) => OUR_FAULT,
    }
}

/// What a client is told about our own trouble.
fn server_sentence(error: &ApiError) -> &'static str {
    match error {
        ApiError::Domain(TokenServerError::Hashing(HashingError::Busy)) => {
            "too many people are logging in at once; try again in a moment"
        }
        ApiError::Domain(TokenServerError::Db(DbError::Unavailable(_))) => {
            "the token server cannot reach its database; try again in a moment"
        }
        ApiError::Domain(TokenServerError::DirectoryAway) => {
            "the directory that knows your password does not answer; try again in a moment"
        }
        ApiError::ManyChanges | ApiError::Domain(TokenServerError::Db(DbError::Locked(_))) => {
            "others are changing rights at this moment; nothing was changed, try again in a moment"
        }
        ApiError::Domain(TokenServerError::TooManyDevices) => {
            "too many programs wait to be allowed; try again in some minutes"
        }
        ApiError::ManyReadersOfAll => {
            "others are reading the whole audit record; try again when they are done"
        }
        ApiError::ManyTrials => {
            "others are asking what changes would mean, or applying a policy; try again when they are done"
        }
        _ => "the token server failed; its log says why",
    }
}

#[derive(Serialize)]
struct FormError<'a> {
    #[serde(flatten)]
    body: &'a ErrorBody,
    error: &'a str,
    error_description: &'a str,
}

#[derive(Serialize)]
struct ExchangeError<'a> {
    error: &'a str,
    error_description: &'a str,
}

fn finish(
    mut response: HttpResponseBuilder,
    verdict: &Verdict,
    shape: Shape,
    error: &ApiError,
    message: &str,
    detail: Option<&str>,
) -> HttpResponse {
    let body = ErrorBody::with_message(verdict.code, message);
    let body = match detail {
        Some(detail) => body.detail(detail),
        None => body,
    };
    match shape {
        Shape::Query => response.json(&body),
        Shape::Exchange => response.json(ExchangeError { error: verdict.oauth, error_description: message }),
        Shape::Form => {
            response.json(FormError { body: &body, error: verdict.oauth, error_description: message })
        }
        Shape::Problem => {
            let (code, parts) = (problem::code(error), problem::parts(error));
            let problem = problem::body(verdict.status, code, message, detail, parts);
            response.insert_header((CONTENT_TYPE, PROBLEM)).body(problem)
        }
    }
}

fn listed(known: &[&'static str]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

/// The answer to an address of the API that is nowhere.
pub async fn api_not_found() -> HttpResponse {
    let status = StatusCode::NOT_FOUND;
    let body = problem::body(status, "no_such_address", "there is nothing at this address", None, Vec::new());
    HttpResponse::build(status).insert_header((CONTENT_TYPE, PROBLEM)).body(body)
}

/// A route that answers every method with 405 and names the ones that work.
pub fn api_method_not_allowed(allowed: &[Method]) -> Route {
    let allowed: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let allow = allowed.join(", ");
    web::to(move || {
        let allow = allow.clone();
        async move {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            let sentence = format!("this address takes {allow} only");
            let body = problem::body(status, "method_not_allowed", &sentence, None, Vec::new());
            HttpResponse::build(status)
                .insert_header((CONTENT_TYPE, PROBLEM))
                .insert_header((ALLOW, allow))
                .body(body)
        }
    })
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;

    use super::*;

    async fn rendered(error: ApiError, shape: Shape) -> (u16, Option<String>, String) {
        let response = error.render(&TestRequest::default().to_http_request(), shape);
        let challenge = response.headers().get(WWW_AUTHENTICATE).map(|v| v.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body()).await.ok().unwrap();
        (status, challenge, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn wrong_credentials_have_the_shape_of_their_address() {
        let wrong = || ApiError::Domain(TokenServerError::WrongCredentials);
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"wrong user name or password"}]"#;
        let basic = Some("Basic realm=\"token server\"".to_owned());
        assert_eq!(rendered(wrong(), Shape::Query).await, (401, basic.clone(), format!("{body}}}")));
        let form =
            format!(r#"{body},"error":"invalid_grant","error_description":"wrong user name or password"}}"#);
        assert_eq!(rendered(wrong(), Shape::Form).await, (401, None, form));
        let problem = concat!(
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"#,
            r#""code":"wrong_credentials","detail":"wrong user name or password"}"#
        );
        assert_eq!(rendered(wrong(), Shape::Problem).await, (401, basic, problem.to_owned()));
    }

    #[tokio::test]
    async fn our_own_trouble_is_not_explained_to_strangers() {
        let error = DbError::Inconsistent { table: "acl_grant", column: "role", value: "king".into() };
        let (status, _, body) = rendered(ApiError::Domain(TokenServerError::Db(error)), Shape::Query).await;
        assert_eq!(status, 500);
        assert!(!body.contains("acl_grant") && !body.contains("king"), "{body}");
    }

    #[tokio::test]
    async fn a_full_queue_asks_to_come_back() {
        let error = ApiError::Domain(TokenServerError::Hashing(HashingError::Busy));
        let response = error.render(&TestRequest::default().to_http_request(), Shape::Form);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "2");
    }
}
