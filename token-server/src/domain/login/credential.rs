//! Secrets that are made here and looked up: of robots, and personal access tokens of users. They are checked by a keyed
//! MAC, so that a login costs microseconds, and are in memory with the rights, so that it needs no database.
//!
//! *Invariant:* a secret is shown once, when it is made, and is good for its owner only, who must say their name. It
//! ends when the policy of this moment says so, whatever was promised when it was made.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ring::rand::SystemRandom;
use shared::secret::Secret;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::credential_limits::CredentialLimits;
use super::super::keys::master_secret::MasterSecret;
use super::super::random::NoRandomness;
use super::opaque_token::{self, TokenKind, TokenMac};

/// So many secrets of a robot are good at once: the one in use, and the one that replaces it.
pub const MAX_ROBOT_SECRETS: usize = 2;

/// So many secrets of an identity provider are good at once.
pub const MAX_SCIM_SECRETS: usize = 2;

/// So many personal access tokens of a user are good at once; all are in the memory of every server.
pub const MAX_PERSONAL_TOKENS: usize = 100;

/// What somebody brought to log in, once it was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its number.
    pub id: Uuid,
    /// When it ends.
    pub ends_at: Option<OffsetDateTime>,
    /// What it is good for, where that is not everything.
    pub limits: Option<Arc<CredentialLimits>>,
}

/// Keyed MAC of a secret.
pub type Mac = [u8; 32];

/// Makes secrets of every kind, and recognises them.
#[derive(Debug)]
pub struct Secrets {
    robots: TokenMac,
    personal: TokenMac,
    refresh: TokenMac,
    scim: TokenMac,
}

/// How long credentials are good for at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CredentialPolicy {
    /// Personal access tokens, since they were made.
    pub personal: Option<Duration>,
    /// Secrets of robots, since they were made.
    pub robots: Option<Duration>,
}

impl CredentialPolicy {
    /// The longest life of this kind.
    pub fn longest(&self, kind: TokenKind) -> Option<Duration> {
        match kind {
            TokenKind::Personal => self.personal,
            TokenKind::Robot => self.robots,
            TokenKind::Refresh | TokenKind::Scim => None,
        }
    }

    /// When one ends that was made then and is said to end then.
    pub fn end(
        &self,
        kind: TokenKind,
        made_at: OffsetDateTime,
        said: Option<OffsetDateTime>,
    ) -> Option<OffsetDateTime> {
        let latest = self.longest(kind).map(|longest| made_at + longest);
        said.into_iter().chain(latest).min()
    }
}

/// Why a secret is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No secret at all, but something mistyped.
    Malformed,
    /// Not one of ours, revoked, or of somebody else.
    Unknown,
    /// Past its last day.
    Expired,
    /// Good only for clients that are elsewhere.
    Elsewhere,
    /// Its owner may not log in.
    Disabled,
}

impl Failure {
    /// The word in the record.
    pub const fn as_str(self, kind: TokenKind) -> &'static str {
        match (kind, self) {
            (TokenKind::Personal, Self::Malformed) => "not_a_personal_token",
            (TokenKind::Personal, Self::Unknown) => "unknown_personal_token",
            (TokenKind::Personal, Self::Expired) => "expired_personal_token",
            (TokenKind::Personal, Self::Elsewhere) => "personal_token_from_elsewhere",
            (TokenKind::Personal, Self::Disabled) => "disabled_user",
            (_, Self::Malformed) => "not_a_robot_secret",
            (_, Self::Unknown) => "unknown_robot_secret",
            (_, Self::Expired) => "expired_robot_secret",
            (_, Self::Elsewhere) => "robot_secret_from_elsewhere",
            (_, Self::Disabled) => "disabled_robot",
        }
    }

    /// Whether it is a secret of whoever is named.
    pub const fn is_of_owner(self) -> bool {
        !matches!(self, Self::Malformed | Self::Unknown)
    }
}

impl Secrets {
    /// Derives the keys from the setting.
    pub fn new(secret: &MasterSecret) -> Self {
        Self {
            robots: TokenMac::new(TokenKind::Robot, secret),
            personal: TokenMac::new(TokenKind::Personal, secret),
            refresh: TokenMac::new(TokenKind::Refresh, secret),
            scim: TokenMac::new(TokenKind::Scim, secret),
        }
    }

    /// A new secret, and what is stored instead of it.
    pub fn generate(&self, kind: TokenKind, random: &SystemRandom) -> Result<(Secret, Mac), NoRandomness> {
        let secret = opaque_token::generate(kind, random)?;
        let mac = self.mac_of(kind, &secret);
        Ok((secret, mac))
    }

    /// By what a secret is found; nothing for a text that is none.
    pub fn mac(&self, kind: TokenKind, secret: &Secret) -> Option<Mac> {
        opaque_token::is_well_formed(kind, secret).then(|| self.mac_of(kind, secret))
    }

    fn mac_of(&self, kind: TokenKind, secret: &Secret) -> Mac {
        let key = match kind {
            TokenKind::Robot => &self.robots,
            TokenKind::Personal => &self.personal,
            TokenKind::Refresh => &self.refresh,
            TokenKind::Scim => &self.scim,
        };
        key.of(secret)
    }
}

impl Credential {
    /// Why it is not good at this moment and from there, if it is not.
    pub fn failure(&self, now: OffsetDateTime, address: Option<IpAddr>) -> Option<Failure> {
        if self.ends_at.is_some_and(|end| end <= now) {
            Some(Failure::Expired)
        } else if self.limits.as_ref().is_some_and(|limits| !limits.admits(address)) {
            Some(Failure::Elsewhere)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const MADE: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);

    #[test]
    fn the_policy_of_this_moment_ends_what_was_made_before_it() {
        let day = Duration::from_hours(24);
        let policy = CredentialPolicy { personal: Some(30 * day), robots: None };
        let personal = |said| policy.end(TokenKind::Personal, MADE, said);
        assert_eq!(personal(None), Some(MADE + 30 * day));
        assert_eq!(personal(Some(MADE + 7 * day)), Some(MADE + 7 * day));
        assert_eq!(personal(Some(MADE + 90 * day)), Some(MADE + 30 * day));
        assert_eq!(policy.end(TokenKind::Robot, MADE, None), None);
    }

    #[test]
    fn a_secret_is_of_one_kind() {
        let secrets = Secrets::new(&MasterSecret::parse(&Secret::new("s".repeat(32))).unwrap());
        let (secret, mac) = secrets.generate(TokenKind::Personal, &SystemRandom::new()).unwrap();
        assert_eq!(secrets.mac(TokenKind::Personal, &secret), Some(mac));
        assert_eq!(secrets.mac(TokenKind::Robot, &secret), None);
    }

    #[test]
    fn an_end_counts_from_its_moment_on() {
        let credential = Credential { id: Uuid::nil(), ends_at: Some(MADE), limits: None };
        assert_eq!(credential.failure(MADE - Duration::from_secs(1), None), None);
        assert_eq!(credential.failure(MADE, None), Some(Failure::Expired));
    }
}
