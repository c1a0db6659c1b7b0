//! A provider says that somebody has signed out there: their browsers are signed out here as well.
//!
//! *Invariant:* only the provider itself can say so, of its own users and sessions.
//!
//! Spec: OpenID Connect Back-Channel Logout 1.0 §2.4 to §2.6.

use serde_json::Value;

use super::super::trust::identity_token::{self, BadToken};
use super::code_flow::OpenIdClient;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

const TYPE: &str = "logout+jwt";

/// Whose browsers are to be signed out: those of a user, of a session at the provider, or of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOut {
    /// Who says so.
    pub issuer: String,
    /// Who never changes there.
    pub subject: Option<String>,
    /// What the provider calls its session.
    pub session: Option<String>,
}

impl OpenIdClient {
    /// Reads a logout token.
    pub async fn signed_out(&self, token: &str, now: i64) -> Result<SignedOut, BadToken> {
        let (keys, client_id) = self.keys();
        let checked = identity_token::verify_typed(token, TYPE, self.signer(), client_id, keys, now).await?;
        if checked.is_expired {
            return Err(BadToken::Expired);
        }
        let claims = checked.claims;
        if claims.get("events").and_then(|events| events.get(EVENT)).and_then(Value::as_object).is_none() {
            return Err(BadToken::Claim("events"));
        }
        // An ID token must not be taken for one that signs out.
        if claims.contains_key("nonce") {
            return Err(BadToken::Claim("nonce"));
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        // Where somebody is known by another claim, `sub` is nobody here.
        let (subject, session) = (text(self.subject_claim()), text("sid"));
        if subject.is_none() && session.is_none() {
            return Err(BadToken::Claim("sub"));
        }
        Ok(SignedOut { issuer: self.provider().issuer().to_owned(), subject, session })
    }
}
