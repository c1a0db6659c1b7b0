//! Logins that last: refresh tokens.
//!
//! A client that keeps one on disk cannot replace it, so it does not change when it is used. It ends when it was not
//! used for a while, at its last day in any case, and at once when the password changes or the user is disabled.
//! The client's own id is kept for people to read; it is not checked, because clients share one file of logins.
//!
//! *Invariant:* a token is good for one user and one registry.

use std::time::Duration;

use ring::rand::SystemRandom;
use shared::clock::Clock;
use shared::secret::Secret;
use time::OffsetDateTime;

use super::audit::{self, Event, Origin, Outcome, Record};
use super::error::TokenServerError;
use super::opaque_token::{self, TokenKind, TokenMac};
use super::subject::User;
use crate::db::refresh_tokens::{self, NewRefreshToken, RefreshTokenRow};
use crate::db::{self, Pool};

/// Uses within this time count as one: it is what a push of many layers looks like.
pub const USE_PRECISION: Duration = Duration::from_mins(1);

const MAX_CLIENT_ID_CHARACTERS: usize = 100;

/// A user has at most this many for one registry; the oldest make room, so that scripts that log in for each build
/// do not pile them up.
const MAX_TOKENS: i64 = 100;

/// How long refresh tokens are good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshLifetimes {
    /// Since the last use.
    pub idle: Duration,
    /// Since the login.
    pub absolute: Duration,
}

/// Issues and checks refresh tokens.
#[derive(Debug)]
pub struct RefreshTokens {
    mac: TokenMac,
    lifetimes: RefreshLifetimes,
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshFailure {
    /// No token at all, but a password or something mistyped.
    Malformed,
    /// Not one of ours, revoked, or forgotten after its end.
    Unknown,
    /// Not used for too long.
    Idle,
    /// Past its last day.
    Expired,
    /// For another registry.
    WrongAudience,
    /// Its user may not log in.
    Disabled,
}

impl RefreshFailure {
    /// The word in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "not_a_refresh_token",
            Self::Unknown => "unknown_refresh_token",
            Self::Idle => "idle_refresh_token",
            Self::Expired => "expired_refresh_token",
            Self::WrongAudience => "refresh_token_for_another_registry",
            Self::Disabled => "disabled_user",
        }
    }
}

/// A token that is not good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedToken {
    /// Whose it is or was, as far as that is known.
    pub user: Option<String>,
    /// Why.
    pub failure: RefreshFailure,
}

/// A login that is to last.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// Whose it is.
    pub user: &'a User,
    /// For which registry.
    pub audience: &'a str,
    /// What the client calls itself.
    pub client_id: &'a str,
    /// Where it came from.
    pub origin: &'a Origin,
}

impl RefreshTokens {
    /// Uses this MAC and these limits.
    pub fn new(mac: TokenMac, lifetimes: RefreshLifetimes) -> Self {
        Self { mac, lifetimes }
    }

    /// Makes a token for a user who just logged in with a password.
    pub async fn issue(
        &self,
        pool: &Pool,
        clock: &dyn Clock,
        random: &SystemRandom,
        login: &Login<'_>,
    ) -> Result<Secret, TokenServerError> {
        let Login { user, audience, client_id, origin } = *login;
        let token = opaque_token::generate(TokenKind::Refresh, random)?;
        let client_id: String =
            client_id.chars().filter(char::is_ascii_graphic).take(MAX_CLIENT_ID_CHARACTERS).collect();
        let now = clock.now();
        let mac = self.mac.of(&token);
        let mut tx = db::begin(pool).await?;
        // A row that nobody can use any more is of no use to us either.
        refresh_tokens::delete_idle(&mut *tx, user.pid, now - self.lifetimes.idle).await?;
        let row = NewRefreshToken {
            mac: mac.as_ref(),
            pid: user.pid,
            password_hash: user.password_hash.expose(),
            audience,
            client_id: &client_id,
            expires_at: now + self.lifetimes.absolute,
        };
        if !refresh_tokens::insert_refresh_token(&mut *tx, &row, now).await? {
            return Err(TokenServerError::WrongCredentials);
        }
        refresh_tokens::delete_beyond(&mut *tx, user.pid, audience, MAX_TOKENS).await?;
        let record = Record {
            event: Event::RefreshTokenIssued,
            actor: &user.name,
            actor_uid: Some(user.uid),
            target: audience,
            outcome: Outcome::Allowed(Some(&client_id)),
        };
        audit::record(&mut *tx, clock, origin, record).await?;
        db::commit(tx).await?;
        Ok(token)
    }

    /// Checks a token. The row says whether this use is to be recorded.
    pub async fn check(
        &self,
        pool: &Pool,
        clock: &dyn Clock,
        token: &Secret,
        audience: &str,
    ) -> Result<Result<RefreshTokenRow, RefusedToken>, TokenServerError> {
        if !opaque_token::is_well_formed(TokenKind::Refresh, token) {
            return Ok(Err(RefusedToken { user: None, failure: RefreshFailure::Malformed }));
        }
        let row = refresh_tokens::find_refresh_token(pool, self.mac.of(token).as_ref()).await?;
        let Some(row) = row else {
            return Ok(Err(RefusedToken { user: None, failure: RefreshFailure::Unknown }));
        };
        Ok(match self.failure(&row, audience, clock.now()) {
            Some(failure) => Err(RefusedToken { user: Some(row.user.name), failure }),
            None => Ok(row),
        })
    }

    fn failure(&self, row: &RefreshTokenRow, audience: &str, now: OffsetDateTime) -> Option<RefreshFailure> {
        if row.user.disabled {
            Some(RefreshFailure::Disabled)
        } else if row.audience != audience {
            Some(RefreshFailure::WrongAudience)
        } else if now >= row.expires_at {
            Some(RefreshFailure::Expired)
        } else if now - row.last_used_at >= self.lifetimes.idle {
            Some(RefreshFailure::Idle)
        } else {
            None
        }
    }

    /// Whether a use now is far enough from the last one to be recorded.
    pub fn is_new_use(row: &RefreshTokenRow, clock: &dyn Clock) -> bool {
        clock.now() - row.last_used_at >= USE_PRECISION
    }

    /// Records a use.
    pub async fn touch(
        &self,
        pool: &Pool,
        clock: &dyn Clock,
        token: &Secret,
    ) -> Result<(), TokenServerError> {
        Ok(refresh_tokens::update_last_used(pool, self.mac.of(token).as_ref(), clock.now()).await?)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::super::master_secret::MasterSecret;
    use super::*;
    use crate::db::users::UserRow;

    const LOGIN: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
    const DAY: time::Duration = time::Duration::days(1);

    fn row() -> RefreshTokenRow {
        RefreshTokenRow {
            user: UserRow {
                pid: 100,
                uid: Uuid::nil(),
                name: "alice".into(),
                password_hash: String::new(),
                disabled: false,
            },
            audience: "a".into(),
            last_used_at: LOGIN + DAY * 80,
            expires_at: LOGIN + DAY * 90,
        }
    }

    #[test]
    fn each_limit_ends_a_login_by_itself() {
        let secret = MasterSecret::parse(&Secret::new("s".repeat(32))).unwrap();
        let lifetimes =
            RefreshLifetimes { idle: Duration::from_hours(30 * 24), absolute: Duration::from_hours(90 * 24) };
        let tokens = RefreshTokens::new(TokenMac::new(TokenKind::Refresh, &secret), lifetimes);
        let failure =
            |row: &RefreshTokenRow, audience, days| tokens.failure(row, audience, LOGIN + DAY * days);
        assert_eq!(failure(&row(), "a", 89), None);
        assert_eq!(failure(&row(), "b", 89), Some(RefreshFailure::WrongAudience));
        assert_eq!(failure(&row(), "a", 90), Some(RefreshFailure::Expired));
        let unused = RefreshTokenRow { last_used_at: LOGIN, ..row() };
        assert_eq!(failure(&unused, "a", 29), None);
        assert_eq!(failure(&unused, "a", 30), Some(RefreshFailure::Idle));
        let mut disabled = row();
        disabled.user.disabled = true;
        assert_eq!(failure(&disabled, "a", 81), Some(RefreshFailure::Disabled));
    }
}
