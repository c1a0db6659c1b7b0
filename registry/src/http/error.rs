//! The only place where a failure becomes a status, a code and a sentence.
//!
//! *Invariant:* below 500 only the codes of the specification are used; at 500 and above the body says nothing of
//! the cause, which goes into the request's line of the log. The match has no wildcard, so a new failure does not compile until
//! somebody chose its answer.
//!
//! Spec: distribution-spec, "Error codes"; RFC 6750 §3.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CONTENT_RANGE, HeaderName, HeaderValue, RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use actix_web::{HttpResponse, ResponseError};
use shared::basic::BasicChallenge;
use shared::challenge::BearerChallenge;
use shared::error_body::{ErrorBody, ErrorCode};
use shared::repository_name::InvalidRepositoryName;
use shared::server::causes;
use shared::server::fallback::{error_response, note_error};

use crate::domain::error::{BodyError, RegistryError};
use crate::oci::digest::InvalidDigest;
use crate::oci::reference::{InvalidReference, InvalidTag};
use crate::storage::error::StorageError;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("authentication required")]
    Unauthorized(Box<BearerChallenge>),
    #[error("authentication required")]
    PasswordRequired(BasicChallenge),
    #[error("wrong user name or password")]
    WrongPassword(BasicChallenge),
    #[error("too many failed logins; try again in {} seconds", wait.as_secs())]
    TooManyFailedLogins { wait: Duration },
    #[error("too many logins at once; try again in a few seconds")]
    TooManyLogins,
    #[error("the password could not be checked")]
    PasswordNotChecked,
    #[error("{0}")]
    Denied(String),
    #[error(transparent)]
    NameInvalid(InvalidRepositoryName),
    #[error("the digest is missing: close an upload with ?digest=sha256:…")]
    DigestMissing,
    #[error(transparent)]
    DigestInvalid(#[from] InvalidDigest),
    #[error(transparent)]
    ReferenceInvalid(#[from] InvalidReference),
    #[error("there is no manifest under such a name: {0}")]
    ReferenceUnknown(InvalidReference),
    #[error("there is no such upload")]
    UploadUnknown,
    #[error("the state of this upload URL was not made by this registry for this upload")]
    UploadStateInvalid,
    #[error("a chunk says where it belongs as two numbers, such as 0-1023")]
    ChunkRange,
    #[error("the chunk says it has {announced} bytes but the request carries {length}")]
    ChunkLength { announced: u64, length: u64 },
    #[error("the blob has {size} bytes; nothing of what was asked for is in it")]
    RangeNotSatisfiable { size: u64 },
    #[error("n must be a number that is not negative, not `{given}`")]
    PageSize { given: String },
    #[error("n must be at most {limit}")]
    PageTooLarge { limit: usize },
    #[error("a manifest can be put under at most {limit} tags at a time")]
    TooManyTags { limit: usize },
    #[error("`{given}` cannot be a tag: {reason}")]
    TagParameter { given: String, reason: InvalidTag },
    #[error("only a manifest that is put by its digest can be given tags as parameters")]
    TagsWithoutDigest,
    #[error("this registry is read-only at the moment; nothing can be pushed or deleted")]
    ReadOnly,
    #[error("deleting is switched off in this registry")]
    DeleteDisabled,
    #[error("the token request is larger than {limit} bytes")]
    TokenRequestTooLarge { limit: usize },
    #[error("the token server cannot be reached")]
    TokenServerUnavailable,
    #[error("no keys to check tokens with have been loaded yet")]
    KeysUnavailable,
    #[error("which tokens were revoked is not known at the moment; try again in a few seconds")]
    RevocationsUnknown,
    #[error(transparent)]
    Body(BodyError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// An answer before it is rendered.
struct Answer {
    status: StatusCode,
    body: ErrorBody,
    header: Option<(HeaderName, String)>,
}

impl Answer {
    fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { status, body: ErrorBody::with_message(code, message), header: None }
    }

    fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    fn unavailable(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message)
    }
}

impl ApiError {
    fn answer(&self) -> Answer {
        use StatusCode as S;
        let text = || self.to_string();
        match self {
            Self::Unauthorized(challenge) => {
                let mut answer = Answer::new(S::UNAUTHORIZED, ErrorCode::Unauthorized, text());
                if let Some(scope) = &challenge.scope {
                    answer.body = answer.body.detail(scope.as_str());
                }
                answer.header(WWW_AUTHENTICATE, challenge.to_string())
            }
            Self::PasswordRequired(challenge) | Self::WrongPassword(challenge) => {
                Answer::new(S::UNAUTHORIZED, ErrorCode::Unauthorized, text())
                    .header(WWW_AUTHENTICATE, challenge.to_string())
            }
            Self::TooManyFailedLogins { wait } => {
                Answer::new(S::TOO_MANY_REQUESTS, ErrorCode::TooManyRequests, text())
                    .header(RETRY_AFTER, wait.as_secs().max(1).to_string())
            }
            Self::PasswordNotChecked => Answer::new(S::INTERNAL_SERVER_ERROR, ErrorCode::Unknown, text()),
            Self::Denied(sentence) => Answer::new(S::FORBIDDEN, ErrorCode::Denied, sentence.as_str()),
            Self::NameInvalid(_) => Answer::new(S::BAD_REQUEST, ErrorCode::NameInvalid, text()),
            Self::DigestMissing
            | Self::DigestInvalid(_)
            | Self::ReferenceInvalid(InvalidReference::Digest(_)) => {
                Answer::new(S::BAD_REQUEST, ErrorCode::DigestInvalid, text())
            }
            Self::ReferenceInvalid(InvalidReference::Tag(_))
            | Self::TagParameter { .. }
            | Self::TagsWithoutDigest => Answer::new(S::BAD_REQUEST, ErrorCode::ManifestInvalid, text()),
            Self::TooManyTags { .. } => Answer::new(S::URI_TOO_LONG, ErrorCode::ManifestInvalid, text()),
            Self::ReferenceUnknown(_) => Answer::new(S::NOT_FOUND, ErrorCode::ManifestUnknown, text()),
            Self::UploadUnknown => Answer::new(S::NOT_FOUND, ErrorCode::BlobUploadUnknown, text()),
            Self::UploadStateInvalid => Answer::new(S::NOT_FOUND, ErrorCode::BlobUploadInvalid, text()),
            Self::ChunkRange
            | Self::ChunkLength { .. }
            | Self::PageSize { .. }
            | Self::PageTooLarge { .. } => Answer::new(S::BAD_REQUEST, ErrorCode::SizeInvalid, text()),
            Self::RangeNotSatisfiable { size } => {
                Answer::new(S::RANGE_NOT_SATISFIABLE, ErrorCode::SizeInvalid, text())
                    .header(CONTENT_RANGE, format!("bytes */{size}"))
            }
            Self::ReadOnly => {
                Answer::new(S::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, text()).header(ALLOW, "GET, HEAD")
            }
            Self::DeleteDisabled => Answer::new(S::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, text()),
            Self::TokenRequestTooLarge { .. } => {
                Answer::new(S::PAYLOAD_TOO_LARGE, ErrorCode::Unsupported, text())
            }
            Self::TokenServerUnavailable
            | Self::KeysUnavailable
            | Self::RevocationsUnknown
            | Self::TooManyLogins => Answer::unavailable(&text()),
            Self::Body(error) => body_answer(error),
            Self::Registry(error) => registry_answer(error),
        }
    }
}

fn registry_answer(error: &RegistryError) -> Answer {
    use StatusCode as S;
    let text = || error.to_string();
    match error {
        RegistryError::RepositoryUnknown { .. } | RegistryError::RepositoryDeleted { .. } => {
            Answer::new(S::NOT_FOUND, ErrorCode::NameUnknown, text())
        }
        RegistryError::BlobUnknown { digest } => {
            let mut answer = Answer::new(S::NOT_FOUND, ErrorCode::BlobUnknown, text());
            answer.body = answer.body.detail(digest.to_string());
            answer
        }
        RegistryError::ManifestUnknown { reference } => {
            let mut answer = Answer::new(S::NOT_FOUND, ErrorCode::ManifestUnknown, text());
            answer.body = answer.body.detail(reference.to_string());
            answer
        }
        RegistryError::UploadUnknown { .. } => {
            Answer::new(S::NOT_FOUND, ErrorCode::BlobUploadUnknown, text())
        }
        RegistryError::UploadBusy { .. } => Answer::new(S::CONFLICT, ErrorCode::BlobUploadInvalid, text()),
        RegistryError::UploadOutOfOrder { have, .. } => {
            Answer::new(S::RANGE_NOT_SATISFIABLE, ErrorCode::BlobUploadInvalid, text())
                .header(RANGE, upload_range(*have))
        }
        RegistryError::SizeMismatch { .. } => Answer::new(S::BAD_REQUEST, ErrorCode::SizeInvalid, text()),
        RegistryError::DigestMismatch { .. } => Answer::new(S::BAD_REQUEST, ErrorCode::DigestInvalid, text()),
        RegistryError::ManifestInvalid(_) => Answer::new(S::BAD_REQUEST, ErrorCode::ManifestInvalid, text()),
        RegistryError::ManifestTooLarge { .. } => {
            Answer::new(S::PAYLOAD_TOO_LARGE, ErrorCode::ManifestInvalid, text())
        }
        RegistryError::ManifestBlobUnknown { missing } => Answer {
            status: S::BAD_REQUEST,
            body: ErrorBody::repeated(
                ErrorCode::ManifestBlobUnknown,
                missing.iter().map(ToString::to_string),
            ),
            header: None,
        },
        RegistryError::ClassNotTaken { .. } | RegistryError::BeyondLimits(_) => {
            Answer::new(S::FORBIDDEN, ErrorCode::Denied, text())
        }
        // No code of the specification says it; the status does.
        RegistryError::PreconditionFailed { .. } => {
            Answer::new(S::PRECONDITION_FAILED, ErrorCode::ManifestInvalid, text())
        }
        RegistryError::NoDefaultChild { tag } => {
            let mut answer = Answer::new(S::NOT_FOUND, ErrorCode::ManifestUnknown, text());
            answer.body = answer.body.detail(tag.to_string());
            answer
        }
        RegistryError::Body(error) => body_answer(error),
        RegistryError::Storage(StorageError::Unavailable { .. } | StorageError::Stopped) => {
            Answer::unavailable("the storage cannot be used at the moment")
        }
        RegistryError::NoRandomness
        | RegistryError::Storage(
            StorageError::Io { .. } | StorageError::Corrupt { .. } | StorageError::TooLarge { .. },
        ) => Answer::new(S::INTERNAL_SERVER_ERROR, ErrorCode::Unknown, ErrorCode::Unknown.message()),
    }
}

fn body_answer(error: &BodyError) -> Answer {
    match error {
        BodyError::Stalled { .. } => {
            Answer::new(StatusCode::REQUEST_TIMEOUT, ErrorCode::BlobUploadInvalid, error.to_string())
        }
        BodyError::Broken(_) => {
            Answer::new(StatusCode::BAD_REQUEST, ErrorCode::SizeInvalid, error.to_string())
        }
        BodyError::TooLarge { .. } => {
            Answer::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::SizeInvalid, error.to_string())
        }
    }
}

/// How much of an upload is there, in the form of the protocol: an empty one cannot be told from one byte.
pub(super) fn upload_range(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.answer().status
    }

    fn error_response(&self) -> HttpResponse {
        let answer = self.answer();
        let mut response = error_response(answer.status, &answer.body);
        if answer.status.is_server_error() {
            note_error(&mut response, answer.body.code(), causes::sentence(self));
        }
        if let Some((name, value)) = answer.header
            && let Ok(value) = HeaderValue::try_from(value)
        {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
