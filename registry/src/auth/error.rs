//! What can be wrong with a token.
//!
//! *Invariant:* the kind is for the log; a client learns only that the token is not valid, because telling a forger
//! which check failed helps nobody else.

use std::sync::Arc;

use shared::server::signed_token::NotAToken;

use super::certificates::ChainError;
use super::verifier::VerifiedToken;

/// Why a bearer text is not a valid token.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the token is longer than {} bytes", super::verifier::MAX_TOKEN_BYTES)]
    TooLong,
    #[error(transparent)]
    NotAToken(#[from] NotAToken),
    #[error("the token algorithm is not accepted here")]
    Algorithm,
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    #[error("the chain of certificates in the token is not trusted: {0}")]
    Chain(ChainError),
    #[error("the token signature is wrong")]
    BadSignature,
    #[error("the token has no usable `{0}` claim")]
    Claim(&'static str),
    #[error("the token is from another issuer")]
    WrongIssuer,
    #[error("the token is for another audience")]
    WrongAudience,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token lives longer than this registry accepts")]
    LivesTooLong,
    /// Everything else about it is right; an upload session may still honour it.
    #[error("the token has expired")]
    Expired(Arc<VerifiedToken>),
    #[error("the token was revoked")]
    Revoked,
    #[error(
        "what was revoked is not known at the moment, and the token is not young enough to count without that"
    )]
    NotYoung,
    /// As the settings have it, nothing can be said about any token.
    #[error("what was revoked is not known at the moment")]
    RevocationsUnknown,
    /// No key has been loaded yet, so nothing can be said about any token.
    #[error("no keys to check tokens with have been loaded yet")]
    NoKeys,
}

impl TokenError {
    /// Its name among the outcomes that are counted.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Expired(_) => "expired",
            Self::UnknownKey | Self::Chain(_) => "unknown_key",
            Self::BadSignature => "bad_signature",
            Self::Revoked => "revoked",
            Self::NotYoung | Self::RevocationsUnknown => "feed_stale",
            Self::NoKeys => "no_keys",
            Self::WrongIssuer | Self::WrongAudience => "not_for_us",
            Self::TooLong
            | Self::NotAToken(_)
            | Self::Algorithm
            | Self::Claim(_)
            | Self::NotYetValid
            | Self::LivesTooLong => "malformed",
        }
    }
}
