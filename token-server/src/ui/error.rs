//! How a page says no.
//!
//! *Invariant:* where it is our own fault nothing is said about why; the cause is in the log.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use shared::server::causes;
use shared::server::fallback::note_error;
use shared::server::request_log::RequestLog;
use uuid::Uuid;

use super::page::Page;
use super::prove;
use super::render::{self, Frame};
use crate::domain::administration::identities::NotAdmitted;
use crate::domain::error::TokenServerError;
use crate::domain::signon::code_flow::NotSignedIn;
use crate::http::error::ApiError;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// It is for those who are signed in.
    #[error("sign in first")]
    SignInFirst(Page),
    /// It takes somebody who has just shown who they are.
    #[error("show again who you are")]
    ProveFirst(Page),
    /// A second step without the first.
    #[error("that took too long, or was not begun in this browser; sign in again")]
    NotPending,
    /// A form that a script should have filled in.
    #[error("passkeys need a script of this server, and this browser has not run it")]
    NoScript,
    /// The request or the domain.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A form that this server did not show to this browser.
    #[error(
        "this form was not shown by this server in this browser, or too long ago; go back, load the page again and try once more"
    )]
    ForeignForm,
    /// No such provider.
    #[error("there is no identity provider of that name")]
    NoProvider,
    /// A browser that comes back and was not sent.
    #[error("this sign-in was not begun in this browser, or took longer than ten minutes; begin it again")]
    NotSent,
    /// The provider did not say who somebody is.
    #[error(transparent)]
    NotSignedIn(#[from] NotSignedIn),
    /// Somebody who is nobody here yet.
    #[error("you are not known here yet; ask an administrator to let you in, and name the number {0}")]
    Pending(Uuid),
    /// Somebody who is not let in.
    #[error("{}", refused(*.0))]
    NotAdmitted(NotAdmitted),
    /// A template failed.
    #[error("a page could not be put together")]
    Rendering,
}

const fn refused(why: NotAdmitted) -> &'static str {
    match why {
        NotAdmitted::Disabled => "your account is disabled; ask an administrator",
        NotAdmitted::Newcomer => "you are not known here; ask an administrator",
    }
}

impl From<TokenServerError> for PageError {
    fn from(error: TokenServerError) -> Self {
        Self::Api(error.into())
    }
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    frame: Frame,
    title: &'a str,
    sentence: &'a str,
    request: Option<String>,
}

impl PageError {
    fn told(&self) -> (StatusCode, String, Option<u32>) {
        let plain = |status| (status, self.to_string(), None);
        match self {
            Self::Api(error) => error.told(),
            Self::SignInFirst(_) | Self::ProveFirst(_) | Self::NotPending | Self::NotSignedIn(_) => {
                match self {
                    Self::NotSignedIn(NotSignedIn::Provider(_)) => {
                        let sentence =
                            "the identity provider does not answer as it should; try again in a moment";
                        (StatusCode::SERVICE_UNAVAILABLE, sentence.to_owned(), Some(5))
                    }
                    Self::NotSignedIn(NotSignedIn::Required(_)) => plain(StatusCode::FORBIDDEN),
                    _ => plain(StatusCode::UNAUTHORIZED),
                }
            }
            Self::ForeignForm | Self::Pending(_) | Self::NotAdmitted(_) => plain(StatusCode::FORBIDDEN),
            Self::NoProvider => plain(StatusCode::NOT_FOUND),
            Self::NotSent | Self::NoScript => plain(StatusCode::BAD_REQUEST),
            Self::Rendering => {
                let sentence = "the token server failed; its log says why".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, sentence, None)
            }
        }
    }

    /// What is said in a page that goes on, and with which status.
    pub fn remark(&self) -> (StatusCode, String) {
        let (status, sentence, _) = self.told();
        (status, sentence)
    }

    /// The answer.
    pub fn render(&self, request: &HttpRequest) -> HttpResponse {
        if let Self::SignInFirst(page) = self {
            return render::see_other(&format!("/signin?page={}", page.path())).finish();
        }
        if let Self::ProveFirst(page) = self {
            return render::see_other(&format!("{}?page={}", prove::ADDRESS, page.path())).finish();
        }
        let (status, sentence, retry_after) = self.told();
        let request = status.is_server_error().then(|| RequestLog::id(request).clone());
        let message =
            Message { frame: Frame::default(), title: "That did not work", sentence: &sentence, request };
        let mut response = render::html(status, None, &message)
            .unwrap_or_else(|_| HttpResponse::InternalServerError().finish());
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        note_error(&mut response, "PAGE", causes::sentence(self));
        response
    }
}

/// The answer of a handler, or how it says no.
pub fn answer(request: &HttpRequest, outcome: Result<HttpResponse, PageError>) -> HttpResponse {
    outcome.unwrap_or_else(|error| error.render(request))
}
