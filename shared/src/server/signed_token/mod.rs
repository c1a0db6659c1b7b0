//! Signed tokens of others, as far as every reader of them does the same: taking one apart, and checking its signature.
//!
//! Reading order: which keys signatures are checked with ([`keys`]), then the text here. Who the issuer has to be, what
//! the claims must say and when, is up to whoever reads it.
//!
//! *Invariant:* a signature counts only for the one algorithm that its key is for, and nothing that comes with a token
//! makes a key trusted: `jwk`, `jku`, `x5u` and `crit` make it invalid.
//!
//! Spec: RFC 7515 §4.1, RFC 8725.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;

pub mod keys;

use keys::VerificationKey;

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAToken {
    /// It cannot be read.
    #[error("the token is not a signed token: {0}")]
    Malformed(&'static str),
    /// It brings something along that would have to be trusted or understood.
    #[error("the token header uses `{0}`, which is not trusted")]
    ForbiddenHeader(&'static str),
}

/// The header of a token. Members that move trust into the token are only noticed.
#[derive(Debug, Deserialize)]
pub struct Header {
    /// The word for the algorithm, which nobody has checked yet.
    pub alg: String,
    /// What the key is called.
    #[serde(default)]
    pub kid: Option<String>,
    /// What kind of token it says it is.
    #[serde(default)]
    pub typ: Option<String>,
    /// Whatever it is, it is no reason to refuse a token that does not need it.
    #[serde(default)]
    pub x5c: Option<serde_json::Value>,
    #[serde(default)]
    jwk: Option<IgnoredAny>,
    #[serde(default)]
    jku: Option<IgnoredAny>,
    #[serde(default)]
    x5u: Option<IgnoredAny>,
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

/// A text with the form of a token, of which nothing was checked yet.
#[derive(Debug)]
pub struct SignedToken<'a> {
    /// What it says about itself.
    pub header: Header,
    message: &'a str,
    body: &'a str,
    signature: &'a str,
}

impl<'a> SignedToken<'a> {
    /// Takes a text apart.
    pub fn parse(text: &'a str) -> Result<Self, NotAToken> {
        Self::parse_typed(text, "JWT")
    }

    /// Takes a text apart that, if it says of which type it is, is of this one or just a token.
    pub fn parse_typed(text: &'a str, typ: &str) -> Result<Self, NotAToken> {
        let mut parts = text.split('.');
        let (Some(head), Some(body), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAToken::Malformed("it has not three parts"));
        };
        let header: Header = decode(head).ok_or(NotAToken::Malformed("its header is not JSON"))?;
        let forbidden =
            [("jwk", &header.jwk), ("jku", &header.jku), ("x5u", &header.x5u), ("crit", &header.crit)];
        if let Some((name, _)) = forbidden.into_iter().find(|(_, member)| member.is_some()) {
            return Err(NotAToken::ForbiddenHeader(name));
        }
        let is_other = |said: &str| ![typ, "JWT"].iter().any(|typ| said.eq_ignore_ascii_case(typ));
        if header.typ.as_deref().is_some_and(is_other) {
            return Err(NotAToken::ForbiddenHeader("typ"));
        }
        Ok(Self { header, message: &text[..head.len() + 1 + body.len()], body, signature })
    }

    /// Whether one of the keys made the signature.
    pub fn is_signed_by<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k VerificationKey>,
        algorithm: Algorithm,
    ) -> bool {
        keys.into_iter().any(|key| key.verifies(self.signature, self.message.as_bytes(), algorithm))
    }

    /// The claims; whether they are to be believed is told by [`Self::is_signed_by`].
    pub fn claims<T: for<'de> Deserialize<'de>>(&self) -> Result<T, NotAToken> {
        decode(self.body).ok_or(NotAToken::Malformed("its claims do not parse"))
    }
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
