//! What is checked of an identity token before anybody asks whose it is.
//!
//! *Invariant:* claims are given out only of a token that its issuer has signed, that is for the audience of the issuer,
//! and whose time it is.
//!
//! Spec: RFC 7519 §4.1, RFC 8725.

use ring::digest;
use serde_json::{Map, Value};
use shared::server::signed_token::keys::parse_algorithm;
use shared::server::signed_token::{NotAToken, SignedToken};

use super::issuer_keys::{IssuerKeys, Signer};
use super::publisher::NoKeys;

/// A longer text is no identity token.
pub const MAX_BYTES: usize = 16 * 1024;

/// How far clocks may be apart.
const LEEWAY_SECONDS: i64 = 30;

/// Why a token is worth nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BadToken {
    /// It cannot be read.
    #[error(transparent)]
    NotAToken(#[from] NotAToken),
    /// Longer than [`MAX_BYTES`].
    #[error("the identity token is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Signed in a way that is not accepted.
    #[error("the identity token is signed in a way that is not accepted here")]
    Algorithm,
    /// Not signed by a key of its issuer.
    #[error("the identity token is not signed by its issuer")]
    Signature,
    /// The keys of its issuer are not there.
    #[error("the keys of the issuer cannot be had: {0}")]
    NoKeys(#[from] NoKeys),
    /// A claim is missing or of another kind.
    #[error("the identity token has no usable `{0}` claim")]
    Claim(&'static str),
    /// For somebody else.
    #[error("the identity token is for another audience; ask the platform for one for {0}")]
    Audience(String),
    /// Its time is over.
    #[error("the identity token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the identity token is not valid yet")]
    NotYet,
}

impl BadToken {
    /// The word in the record.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotAToken(_) | Self::TooLong | Self::Claim(_) => "malformed_identity_token",
            Self::Algorithm | Self::Signature => "unsigned_identity_token",
            Self::NoKeys(_) => "issuer_does_not_answer",
            Self::Audience(_) => "identity_token_for_another_audience",
            Self::Expired => "expired_identity_token",
            Self::NotYet => "identity_token_from_the_future",
        }
    }
}

/// A token that is what it says.
#[derive(Clone, Debug)]
pub struct IdentityToken {
    /// What it says.
    pub claims: Map<String, Value>,
    /// A hash of what tells it from others of all issuers.
    pub fingerprint: [u8; 32],
    /// When its time is over, in seconds since 1970.
    pub expires: i64,
    /// Whether that is now.
    pub is_expired: bool,
}

/// What the token says of its issuer, which is believed only as far as to look that one up.
pub fn issuer_of(text: &str) -> Result<String, BadToken> {
    if text.len() > MAX_BYTES {
        return Err(BadToken::TooLong);
    }
    let claims: Map<String, Value> = SignedToken::parse(text)?.claims()?;
    claims.get("iss").and_then(Value::as_str).map(str::to_owned).ok_or(BadToken::Claim("iss"))
}

/// Whether a text has the form of an identity token; passwords have not.
pub fn is_one(text: &str) -> bool {
    text.len() <= MAX_BYTES && text.starts_with("eyJ") && SignedToken::parse(text).is_ok()
}

/// Checks a token of an issuer for an audience. One whose time is over is given out as well, for whoever knows it from before.
pub async fn verify(
    text: &str,
    signer: Signer<'_>,
    audience: &str,
    keys: &IssuerKeys,
    now: i64,
) -> Result<IdentityToken, BadToken> {
    let token = verify_typed(text, "JWT", signer, audience, keys, now).await?;
    if token.claims.get("sub").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(BadToken::Claim("sub"));
    }
    Ok(token)
}

/// The same of a token that says of which type it is, if it says one, and perhaps not about whom.
pub async fn verify_typed(
    text: &str,
    typ: &str,
    signer: Signer<'_>,
    audience: &str,
    keys: &IssuerKeys,
    now: i64,
) -> Result<IdentityToken, BadToken> {
    if text.len() > MAX_BYTES {
        return Err(BadToken::TooLong);
    }
    let token = SignedToken::parse_typed(text, typ)?;
    let algorithm = parse_algorithm(&token.header.alg).ok_or(BadToken::Algorithm)?;
    let candidates = keys.candidates(signer, token.header.kid.as_deref(), algorithm).await?;
    if !token.is_signed_by(&candidates, algorithm) {
        return Err(BadToken::Signature);
    }
    let claims: Map<String, Value> = token.claims()?;
    if claims.get("iss").and_then(Value::as_str) != Some(signer.url) {
        return Err(BadToken::Claim("iss"));
    }
    if !is_for(&claims, audience) {
        return Err(BadToken::Audience(audience.to_owned()));
    }
    let time = |name: &'static str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_i64().filter(|time| *time >= 0).map(Some).ok_or(BadToken::Claim(name)),
    };
    let (not_before, made) = (time("nbf")?, time("iat")?);
    if [not_before, made].into_iter().flatten().any(|at| at > now.saturating_add(LEEWAY_SECONDS)) {
        return Err(BadToken::NotYet);
    }
    let expires = time("exp")?.ok_or(BadToken::Claim("exp"))?;
    let fingerprint = fingerprint(text, signer.url, &claims);
    Ok(IdentityToken {
        claims,
        fingerprint,
        expires,
        is_expired: expires <= now.saturating_sub(LEEWAY_SECONDS),
    })
}

fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(only)) => only == audience,
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    }
}

/// The number that the issuer gave it, or all of what was signed: others can write a signature in several ways.
fn fingerprint(text: &str, issuer: &str, claims: &Map<String, Value>) -> [u8; 32] {
    let number = claims.get("jti").and_then(Value::as_str).filter(|number| !number.is_empty());
    let signed = text.rsplit_once('.').map_or(text, |(signed, _)| signed);
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&(issuer.len() as u64).to_be_bytes());
    context.update(issuer.as_bytes());
    context.update(number.unwrap_or(signed).as_bytes());
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}
