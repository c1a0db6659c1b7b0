//! From credentials to a user or a robot: the only door there is.
//!
//! *Invariant:* an unknown user, a wrong password and a disabled user get the same answer after the same work; why a
//! login failed is in the record only. The user's row is read each time, so disabling and password changes count at
//! once.

use std::sync::Arc;

use shared::clock::Clock;
use shared::secret::Secret;
use shared::server::passwords::verified::VerifiedPasswords;
use uuid::Uuid;

use super::audit::{Event, Origin, Outcome, Record};
use super::audit_repeats::AuditRepeats;
use super::error::TokenServerError;
use super::password::{MAX_PASSWORD_BYTES, PasswordHasher};
use super::principal_name::PrincipalName;
use super::refresh::{RefreshFailure, RefreshTokens};
use super::robot_name::RobotName;
use super::robot_secret::{self, RobotSecrets, SecretFailure};
use super::subject::{Robot, Subject, User};
use crate::db::users::{self, UserRow};
use crate::db::{Pool, robots};

/// What came with a request, unverified.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// User name and password, or the name of a robot and one of its secrets.
    Password {
        /// As typed.
        user: String,
        /// As typed.
        password: Secret,
    },
    /// A token from an earlier login.
    RefreshToken(Secret),
}

/// Turns credentials into users and robots.
pub struct Authenticator {
    pool: Pool,
    clock: Arc<dyn Clock>,
    hasher: Arc<PasswordHasher>,
    verified: VerifiedPasswords,
    refresh_tokens: RefreshTokens,
    robot_secrets: Arc<RobotSecrets>,
    repeats: Arc<AuditRepeats>,
}

impl Authenticator {
    /// Puts the parts together.
    pub fn new(
        pool: Pool,
        clock: Arc<dyn Clock>,
        hasher: Arc<PasswordHasher>,
        verified: VerifiedPasswords,
        refresh_tokens: RefreshTokens,
        robot_secrets: Arc<RobotSecrets>,
        repeats: Arc<AuditRepeats>,
    ) -> Self {
        Self { pool, clock, hasher, verified, refresh_tokens, robot_secrets, repeats }
    }

    /// Refresh tokens, for whoever issues them.
    pub fn refresh_tokens(&self) -> &RefreshTokens {
        &self.refresh_tokens
    }

    /// Checks a name and what came with it: of a user a password, of a robot one of its secrets.
    pub async fn authenticate(
        &self,
        name: &str,
        password: &Secret,
        origin: &Origin,
    ) -> Result<Subject, TokenServerError> {
        match RobotName::parse(name) {
            Ok(robot) => Ok(Subject::Robot(self.authenticate_robot(&robot, password, origin).await?)),
            Err(_) => Ok(Subject::User(self.authenticate_password(name, password, origin).await?)),
        }
    }

    async fn authenticate_robot(
        &self,
        name: &RobotName,
        secret: &Secret,
        origin: &Origin,
    ) -> Result<Robot, TokenServerError> {
        match self.robot_secrets.check(&self.pool, &*self.clock, name.as_str(), secret, origin.ip()).await? {
            Ok((row, limits)) => {
                if robot_secret::is_new_use(&row, self.clock.now()) {
                    robots::update_secret_used(&self.pool, row.id, self.clock.now()).await?;
                }
                let secret_ends_at = row.expires_at;
                let limits = limits.map(Arc::new);
                let robot = Robot { pid: row.pid, uid: row.uid, name: row.name, secret_ends_at, limits };
                self.record_login(&robot.name, robot.uid, "robot_secret", origin).await?;
                Ok(robot)
            }
            Err(failure) => {
                // A secret that is known says whose name was typed; anything else may be a password in the wrong field.
                let is_known = !matches!(failure, SecretFailure::Malformed | SecretFailure::Unknown);
                let known = is_known.then_some(name.as_str());
                Err(self.refuse_login(Typed { name: name.as_str(), known }, failure.as_str(), origin).await?)
            }
        }
    }

    /// Checks a user name and a password.
    pub async fn authenticate_password(
        &self,
        user: &str,
        password: &Secret,
        origin: &Origin,
    ) -> Result<User, TokenServerError> {
        let row = match PrincipalName::parse(user) {
            Ok(name) => users::find_user(&self.pool, name.as_str()).await?,
            Err(_) => None,
        };
        let known = row.as_ref().map(|row| row.name.clone());
        let typed = Typed { name: user, known: known.as_deref() };
        if password.expose().len() > MAX_PASSWORD_BYTES {
            return Err(self.refuse_login(typed, "password_too_long", origin).await?);
        }
        let active = row.as_ref().filter(|row| !row.disabled);
        if let Some(row) = active
            && self.verified.contains(row.uid.as_bytes(), &row.password_hash, password, &*self.clock)
        {
            let user = User::from_row(row.clone());
            self.record_login(&user.name, user.uid, "password", origin).await?;
            return Ok(user);
        }
        let hash = active.map(|row| row.password_hash.as_str());
        let reason = match &row {
            None => "unknown_user",
            Some(row) if row.disabled => "disabled_user",
            Some(_) => "wrong_password",
        };
        let slowest_bcrypt = users::find_slowest_bcrypt(&self.pool).await?;
        if !self.hasher.verify(password, hash, slowest_bcrypt).await? {
            return Err(self.refuse_login(typed, reason, origin).await?);
        }
        match self.still_as_checked(row).await? {
            Some(row) => self.accept(row, password, origin).await,
            None => Err(self.refuse_login(typed, "changed_meanwhile", origin).await?),
        }
    }

    /// A check can wait long in the queue; what counts is the user as it is afterwards.
    async fn still_as_checked(&self, row: Option<UserRow>) -> Result<Option<UserRow>, TokenServerError> {
        let Some(checked) = row else { return Ok(None) };
        let now = users::find_user(&self.pool, &checked.name).await?;
        Ok(now.filter(|now| {
            now.uid == checked.uid && !now.disabled && now.password_hash == checked.password_hash
        }))
    }

    async fn accept(
        &self,
        mut row: UserRow,
        password: &Secret,
        origin: &Origin,
    ) -> Result<User, TokenServerError> {
        if self.hasher.is_outdated(&row.password_hash) {
            let fresh = self.hasher.hash_unchecked(password).await?;
            users::update_rehashed(&self.pool, row.pid, &row.password_hash, &fresh).await?;
            row.password_hash = fresh;
        }
        self.verified.insert(row.uid.as_bytes(), &row.password_hash, password, &*self.clock);
        let user = User::from_row(row);
        self.record_login(&user.name, user.uid, "password", origin).await?;
        Ok(user)
    }

    /// Checks a refresh token.
    pub async fn authenticate_refresh_token(
        &self,
        token: &Secret,
        audience: &str,
        origin: &Origin,
    ) -> Result<User, TokenServerError> {
        match self.refresh_tokens.check(&self.pool, &*self.clock, token, audience).await? {
            Ok(row) => {
                let is_new_use = RefreshTokens::is_new_use(&row, &*self.clock);
                let user = User::from_row(row.user);
                if is_new_use {
                    self.refresh_tokens.touch(&self.pool, &*self.clock, token).await?;
                    self.record_login(&user.name, user.uid, "refresh_token", origin).await?;
                }
                Ok(user)
            }
            Err(refused) => {
                let refusal = Record {
                    event: Event::Login,
                    actor: "",
                    actor_uid: None,
                    target: refused.user.as_deref().unwrap_or_default(),
                    outcome: Outcome::Refused(refused.failure.as_str()),
                };
                self.repeats.record(&self.pool, &*self.clock, origin, refusal).await?;
                Err(match refused.failure {
                    // Clients put a password there when they were given no user name.
                    RefreshFailure::Malformed => TokenServerError::WrongCredentials,
                    _ => TokenServerError::RefreshTokenRefused,
                })
            }
        }
    }

    async fn record_login(
        &self,
        name: &str,
        uid: Uuid,
        how: &str,
        origin: &Origin,
    ) -> Result<(), TokenServerError> {
        let record = Record {
            event: Event::Login,
            actor: name,
            actor_uid: Some(uid),
            target: name,
            outcome: Outcome::Allowed(Some(how)),
        };
        Ok(self.repeats.record(&self.pool, &*self.clock, origin, record).await?)
    }

    /// Records a failed login and says what the client is told. What was typed as a name is kept only when it is
    /// somebody's: people type passwords and tokens into the wrong field.
    async fn refuse_login(
        &self,
        typed: Typed<'_>,
        reason: &str,
        origin: &Origin,
    ) -> Result<TokenServerError, TokenServerError> {
        let record = Record {
            event: Event::Login,
            actor: "",
            actor_uid: None,
            target: typed.known.unwrap_or_default(),
            outcome: Outcome::Refused(reason),
        };
        self.repeats.record_as(&self.pool, &*self.clock, origin, record, typed.name).await?;
        Ok(TokenServerError::WrongCredentials)
    }
}

/// What came as a user name.
#[derive(Clone, Copy)]
struct Typed<'a> {
    /// As it came.
    name: &'a str,
    /// Whose it is.
    known: Option<&'a str>,
}
