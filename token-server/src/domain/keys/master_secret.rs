//! The setting `secret`, and the keys that are derived from it.
//!
//! *Invariant:* each purpose has its own key, and the setting itself is not kept.
//!
//! Spec: RFC 5869 (HKDF).

use std::fmt;

use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use shared::secret::Secret;

/// Shorter secrets are refused.
pub const MIN_SECRET_BYTES: usize = 32;

/// What a derived key is for; the texts are part of what is stored and must never change.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Sealing private keys at rest.
    SigningKeys,
    /// The MAC of refresh tokens.
    RefreshTokens,
    /// The MAC of secrets of robots.
    RobotSecrets,
    /// The MAC of personal access tokens.
    PersonalTokens,
    /// The MAC of secrets of identity providers.
    ScimSecrets,
    /// Sealing where a page of a list ended.
    Cursors,
    /// The MAC of what browsers show.
    BrowserSessions,
    /// The MAC of what programs that wait ask with, and of codes.
    DeviceLogins,
    /// Sealing what apps that show codes share with this server.
    SecondFactors,
    /// The MAC of recovery codes.
    RecoveryCodes,
    /// Sealing what goes to an identity provider and back, and what it gave to keep.
    SignOn,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::SigningKeys => b"signing keys 1",
            Self::RefreshTokens => b"refresh tokens 1",
            Self::RobotSecrets => b"robot secrets 1",
            Self::PersonalTokens => b"personal tokens 1",
            Self::ScimSecrets => b"scim secrets 1",
            Self::Cursors => b"cursors 1",
            Self::BrowserSessions => b"browser sessions 1",
            Self::DeviceLogins => b"device logins 1",
            Self::SecondFactors => b"second factors 1",
            Self::RecoveryCodes => b"recovery codes 1",
            Self::SignOn => b"sign-on 1",
        }
    }
}

/// The setting is too short to protect anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must have at least {MIN_SECRET_BYTES} characters; `openssl rand -hex 32` makes a good one")]
pub struct SecretTooShort;

/// The root of all derived keys.
#[derive(Clone)]
pub struct MasterSecret(Prk);

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterSecret([redacted])")
    }
}

impl MasterSecret {
    /// Takes the setting in.
    pub fn parse(secret: &Secret) -> Result<Self, SecretTooShort> {
        if secret.expose().len() < MIN_SECRET_BYTES {
            return Err(SecretTooShort);
        }
        Ok(Self(Salt::new(HKDF_SHA256, b"portcullis token server").extract(secret.expose().as_bytes())))
    }

    /// The key for that purpose.
    pub fn derive(&self, purpose: Purpose) -> [u8; 32] {
        let mut key = [0; 32];
        let info = [purpose.label()];
        let okm = self.0.expand(&info, HKDF_SHA256).expect("one hash output is within the limit of HKDF");
        okm.fill(&mut key).expect("the buffer has the length of the output");
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_purpose_and_secret_and_nothing_else() {
        let one = MasterSecret::parse(&Secret::new("a".repeat(32))).unwrap();
        let same = MasterSecret::parse(&Secret::new("a".repeat(32))).unwrap();
        let other = MasterSecret::parse(&Secret::new("b".repeat(32))).unwrap();
        let key = one.derive(Purpose::SigningKeys);
        assert_eq!(key, same.derive(Purpose::SigningKeys));
        assert_ne!(key, one.derive(Purpose::RefreshTokens));
        assert_ne!(key, other.derive(Purpose::SigningKeys));
    }

    #[test]
    fn short_secrets_are_refused() {
        assert_eq!(MasterSecret::parse(&Secret::new("a".repeat(31))).unwrap_err(), SecretTooShort);
    }
}
