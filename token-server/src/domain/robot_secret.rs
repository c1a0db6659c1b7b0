//! What robots log in with: secrets that are checked by a keyed MAC, so that a login costs microseconds.
//!
//! *Invariant:* a secret is shown once, when it is made, and is good for one robot.

use std::net::IpAddr;

use ring::rand::SystemRandom;
use shared::clock::Clock;
use shared::secret::Secret;
use time::{Duration, OffsetDateTime};

use super::credential_limits::CredentialLimits;
use super::error::TokenServerError;
use super::master_secret::MasterSecret;
use super::opaque_token::{self, TokenKind, TokenMac};
use super::random::NoRandomness;
use crate::db::Pool;
use crate::db::robots::{self, SecretRow};

/// So many secrets of a robot are good at once: the one in use, and the one that replaces it.
pub const MAX_SECRETS: usize = 2;

/// Uses within this time are recorded as one.
const USE_PRECISION: Duration = Duration::minutes(5);

/// Makes and checks secrets.
#[derive(Debug)]
pub struct RobotSecrets(TokenMac);

/// Why a secret is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretFailure {
    /// No secret at all, but something mistyped.
    Malformed,
    /// Not one of ours, revoked, or of another robot.
    Unknown,
    /// Past its last day.
    Expired,
    /// Good only for clients that are elsewhere.
    Elsewhere,
    /// Its robot, or the user that the robot belongs to, may not log in.
    Disabled,
}

impl SecretFailure {
    /// The word in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "not_a_robot_secret",
            Self::Unknown => "unknown_robot_secret",
            Self::Expired => "expired_robot_secret",
            Self::Elsewhere => "robot_secret_from_elsewhere",
            Self::Disabled => "disabled_robot",
        }
    }
}

impl RobotSecrets {
    /// Derives the key from the setting.
    pub fn new(secret: &MasterSecret) -> Self {
        Self(TokenMac::new(TokenKind::Robot, secret))
    }

    /// A new secret, and what is stored instead of it.
    pub fn generate(&self, random: &SystemRandom) -> Result<(Secret, Vec<u8>), NoRandomness> {
        let secret = opaque_token::generate(TokenKind::Robot, random)?;
        let mac = self.0.of(&secret).as_ref().to_vec();
        Ok((secret, mac))
    }

    /// Checks a secret that came from an address, with the name of a robot; says what it is good for, where that is not
    /// everything.
    pub async fn check(
        &self,
        pool: &Pool,
        clock: &dyn Clock,
        robot: &str,
        secret: &Secret,
        address: Option<IpAddr>,
    ) -> Result<Result<(SecretRow, Option<CredentialLimits>), SecretFailure>, TokenServerError> {
        if !opaque_token::is_well_formed(TokenKind::Robot, secret) {
            return Ok(Err(SecretFailure::Malformed));
        }
        let found = robots::find_secret(pool, self.0.of(secret).as_ref()).await?;
        let Some(mut row) = found.filter(|row| row.name == robot) else {
            return Ok(Err(SecretFailure::Unknown));
        };
        let limits = row.limits.take().as_ref().map(CredentialLimits::stored).transpose()?;
        Ok(if row.disabled {
            Err(SecretFailure::Disabled)
        } else if row.expires_at.is_some_and(|end| end <= clock.now()) {
            Err(SecretFailure::Expired)
        } else if limits.as_ref().is_some_and(|limits| !limits.admits(address)) {
            Err(SecretFailure::Elsewhere)
        } else {
            Ok((row, limits))
        })
    }
}

/// Whether a use now is far enough from the last one to be recorded.
pub fn is_new_use(row: &SecretRow, now: OffsetDateTime) -> bool {
    row.last_used_at.is_none_or(|last| now - last >= USE_PRECISION)
}
