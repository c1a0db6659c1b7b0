//! From credentials to a user or a robot: the only door there is.
//!
//! *Invariant:* an unknown user, a wrong password and a disabled user get the same answer after the same work; why a
//! login failed is in the record only. Who somebody is, is looked up each time, so disabling, revoking and new passwords
//! count at once, unless the database that would say so is away.

use std::sync::Arc;
use std::time::Duration;

use shared::clock::Clock;
use shared::secret::Secret;
use shared::server::passwords::verified::VerifiedPasswords;
use uuid::Uuid;

use super::super::error::TokenServerError;
use super::super::principal_name::PrincipalName;
use super::super::record::audit::{Event, Origin, Outcome, Record};
use super::super::record::audit_repeats::AuditRepeats;
use super::super::robot_name::RobotName;
use super::super::row_source::{Owner, RowSource, View};
use super::super::snapshot::people::Kind;
use super::super::trust::workloads::Workloads;
use super::super::trust::{identity_token, workloads};
use super::credential::{Credential, CredentialPolicy, Failure, Secrets};
use super::credential_uses::CredentialUses;
use super::device::{self, Devices};
use super::door::{Door, Knock, Try};
use super::elsewhere::{PasswordsElsewhere, Verdict};
use super::opaque_token::{self, TokenKind};
use super::password::{MAX_PASSWORD_BYTES, PasswordHasher, is_outdated};
use super::refresh::{Brought, Looks, RefreshFailure, RefreshTokens};
use super::subject::{Proof, Robot, Subject, User, Workload};
use crate::db::Pool;
use crate::db::users::{self, UserRow};

/// What came with a request, unverified.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// The name of a user with a password or a personal access token, the name of a robot and one of its secrets, or what
    /// workloads say and a token of their platform.
    Password {
        /// As typed.
        user: String,
        /// As typed.
        password: Secret,
    },
    /// A token from an earlier login.
    RefreshToken(Secret),
    /// What a program asks with that waits for somebody to allow it.
    Device(Secret),
}

/// What logins are checked with.
pub struct Parts {
    /// Where passwords are, and where is recorded who logged in.
    pub pool: Pool,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// For passwords.
    pub hasher: Arc<PasswordHasher>,
    /// Passwords that were right a moment ago.
    pub verified: VerifiedPasswords,
    /// For logins that last.
    pub refresh_tokens: RefreshTokens,
    /// For secrets of robots and personal access tokens.
    pub secrets: Arc<Secrets>,
    /// How long these are good for.
    pub policy: CredentialPolicy,
    /// Where these are looked up.
    pub rows: RowSource,
    /// When these were used.
    pub uses: Arc<CredentialUses>,
    /// Who has tried too often.
    pub door: Door,
    /// For tokens of build platforms and clusters.
    pub workloads: Workloads,
    /// For programs that people allow in a browser.
    pub devices: Arc<Devices>,
    /// Who else knows passwords.
    pub elsewhere: Option<Arc<dyn PasswordsElsewhere>>,
    /// What was recorded a moment ago.
    pub repeats: Arc<AuditRepeats>,
}

/// Turns credentials into users and robots.
pub struct Authenticator(pub(super) Parts);

impl Authenticator {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self(parts)
    }

    /// Refresh tokens, for whoever issues them.
    pub fn refresh_tokens(&self) -> &RefreshTokens {
        &self.0.refresh_tokens
    }

    /// Programs that people allow in a browser.
    pub fn devices(&self) -> &Devices {
        &self.0.devices
    }

    /// How long a workload keeps a login.
    pub fn workload_session(&self) -> Duration {
        self.0.workloads.session()
    }

    /// Where things are looked up.
    pub fn rows(&self) -> &RowSource {
        &self.0.rows
    }

    /// Checks a name and what came with it: of a user a password, which is looked up by itself, or a personal access token,
    /// of a robot a secret, as things are in this view.
    pub async fn authenticate(
        &self,
        name: &str,
        password: &Secret,
        origin: &Origin,
        view: &View,
    ) -> Result<Subject, TokenServerError> {
        if name.eq_ignore_ascii_case(workloads::USER) && identity_token::is_one(password.expose()) {
            return Ok(Subject::Workload(self.authenticate_workload(password, origin).await?));
        }
        if device::is_login_code(password) {
            return Ok(Subject::User(self.authenticate_login_code(name, password, origin).await?));
        }
        let kind = if RobotName::parse(name).is_ok() {
            TokenKind::Robot
        } else if opaque_token::is_well_formed(TokenKind::Personal, password) {
            TokenKind::Personal
        } else {
            return Ok(Subject::User(self.authenticate_password(name, password, origin).await?));
        };
        match self.check(kind, name, password, origin, view).await? {
            Ok((owner, credential)) => {
                let id = credential.id;
                self.0.uses.note(kind, id, self.0.clock.now(), origin);
                let Owner { pid, uid, name, .. } = owner;
                let (subject, how) = if kind == TokenKind::Robot {
                    (Subject::Robot(Robot { pid, uid, name, credential }), "robot_secret")
                } else {
                    let proof = Proof::PersonalToken(credential);
                    (Subject::User(User { pid, uid, name, proof }), "personal_token")
                };
                self.record_login(subject.name(), uid, &format!("{how} {id}"), origin).await?;
                Ok(subject)
            }
            Err(failure) => {
                // A secret that is known says whose name was typed; anything else may be a password in the wrong field.
                let folded = name.to_ascii_lowercase();
                let known = failure.is_of_owner().then_some(&*folded);
                Err(self.refuse_login(Typed { name, known }, failure.as_str(kind), origin).await?)
            }
        }
    }

    /// Looks a secret up and says whose it is, if it is good and of whoever is named.
    async fn check(
        &self,
        kind: TokenKind,
        name: &str,
        secret: &Secret,
        origin: &Origin,
        view: &View,
    ) -> Result<Result<(Owner, Credential), Failure>, TokenServerError> {
        let Some(mac) = self.0.secrets.mac(kind, secret) else { return Ok(Err(Failure::Malformed)) };
        let owner_kind = if kind == TokenKind::Robot { Kind::Robot } else { Kind::User };
        let found = view.credential(&mac).await?;
        let is_theirs = |owner: &Owner| owner.kind == owner_kind && owner.name.eq_ignore_ascii_case(name);
        let Some((stored, owner)) = found.filter(|(_, owner)| is_theirs(owner)) else {
            return Ok(Err(Failure::Unknown));
        };
        let ends_at = self.0.policy.end(kind, stored.created_at, stored.expires_at);
        let credential = Credential { id: stored.id, ends_at, limits: stored.limits()? };
        Ok(match credential.failure(self.0.clock.now(), origin.ip()) {
            _ if !owner.may_log_in => Err(Failure::Disabled),
            Some(failure) => Err(failure),
            None => Ok((owner, credential)),
        })
    }

    /// Checks a code that takes the place of a password once.
    async fn authenticate_login_code(
        &self,
        name: &str,
        code: &Secret,
        origin: &Origin,
    ) -> Result<User, TokenServerError> {
        if let Some(user) = self.0.devices.use_login_code(name, code, origin).await? {
            self.record_login(&user.name, user.uid, "login_code", origin).await?;
            return Ok(user);
        }
        Err(self.refuse_login(Typed { name, known: None }, "unknown_login_code", origin).await?)
    }

    /// Answers a program that waits for somebody to allow it to log in at a registry.
    pub async fn authenticate_device(
        &self,
        brought: &Brought<'_>,
        origin: &Origin,
    ) -> Result<User, TokenServerError> {
        match self.0.devices.ask(brought.token, brought.client_id, brought.audience).await? {
            Ok(user) => {
                self.record_login(&user.name, user.uid, "device", origin).await?;
                Ok(user)
            }
            Err(why) => Err(TokenServerError::DeviceNotYet(why)),
        }
    }

    /// Checks a token of a build platform or a cluster.
    pub async fn authenticate_workload(
        &self,
        token: &Secret,
        origin: &Origin,
    ) -> Result<Workload, TokenServerError> {
        match self.0.workloads.authenticate(token, origin).await? {
            Ok(workload) => {
                self.record_login(&workload.name, workload.uid, "identity_token", origin).await?;
                Ok(workload)
            }
            Err(refused) => {
                let typed = Typed { name: workloads::USER, known: None };
                self.refuse_login(typed, refused.as_str(), origin).await?;
                Err(TokenServerError::IdentityTokenRefused(Box::new(refused)))
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
            Ok(name) => users::find_user(&self.0.pool, name.as_str()).await?,
            Err(_) => None,
        };
        let known = row.as_ref().map(|row| row.name.clone());
        let typed = Typed { name: user, known: known.as_deref() };
        if password.expose().len() > MAX_PASSWORD_BYTES {
            return Err(self.refuse_login(typed, "password_too_long", origin).await?);
        }
        let active = row.as_ref().filter(|row| !row.disabled);
        let hash = active.and_then(|row| row.password_hash.as_deref());
        if let (Some(row), Some(hash)) = (active, hash)
            && self.0.verified.contains(row.uid.as_bytes(), hash, password, &*self.0.clock)
        {
            let user = User::by_password(row.clone(), hash.to_owned());
            self.record_login(&user.name, user.uid, "password", origin).await?;
            return Ok(user);
        }
        if let Some(row) = active
            && let Some(user) = self.remembered_elsewhere(row, password).await?
        {
            self.record_login(&user.name, user.uid, ELSEWHERE, origin).await?;
            return Ok(user);
        }
        let folded = user.to_ascii_lowercase();
        let address = origin.ip();
        let tried = Try { user: &folded, hash: hash.unwrap_or_default(), password, address };
        let reason = match &row {
            None => "unknown_user",
            Some(row) if row.disabled => "disabled_user",
            Some(row) if row.password_hash.is_none() => "no_password",
            Some(_) => "wrong_password",
        };
        let Parts { door, clock, .. } = &self.0;
        match door.knock(&tried, &**clock).await? {
            Knock::Check => {}
            Knock::Wrong => return Err(self.refuse_login(typed, reason, origin).await?),
            Knock::Wait(wait) => {
                self.refuse_login(typed, "too_many_tries", origin).await?;
                return Err(TokenServerError::TooManyTries { seconds: wait.as_secs() });
            }
        }
        let slowest_bcrypt = users::find_slowest_bcrypt(&self.0.pool).await?;
        if let Some(elsewhere) = self.elsewhere(row.as_ref()) {
            // The work for nobody is done at the same time, so that a name that is known here stands out no more.
            let (checked, verdict) = tokio::join!(
                self.0.hasher.verify(password, None, slowest_bcrypt),
                elsewhere.ask(user, password)
            );
            checked?;
            return self.conclude(verdict?, typed, &tried, origin).await;
        }
        if !self.0.hasher.verify(password, hash, slowest_bcrypt).await? {
            door.was_wrong(&tried, &**clock);
            return Err(self.refuse_login(typed, reason, origin).await?);
        }
        door.was_right(&tried, &**clock).await?;
        match self.still_as_checked(row).await? {
            Some((row, hash)) => self.accept(row, hash, password, origin).await,
            None => Err(self.refuse_login(typed, "changed_meanwhile", origin).await?),
        }
    }

    /// Who else may know the password of a user, or of nobody: of those whose password is here, nobody.
    fn elsewhere(&self, row: Option<&UserRow>) -> Option<&dyn PasswordsElsewhere> {
        let is_here = row.is_some_and(|row| row.password_hash.is_some());
        self.0.elsewhere.as_deref().filter(|_| !is_here)
    }

    /// A user whose password was right elsewhere a moment ago.
    async fn remembered_elsewhere(
        &self,
        row: &UserRow,
        password: &Secret,
    ) -> Result<Option<User>, TokenServerError> {
        let Some(elsewhere) = self.elsewhere(Some(row)) else { return Ok(None) };
        let known = elsewhere.known(row.pid).await?;
        let is_right =
            |since: &str| self.0.verified.contains(row.uid.as_bytes(), since, password, &*self.0.clock);
        let found = known.into_iter().find(|(_, since)| is_right(since));
        Ok(found.map(|(identity, _)| User::by_password_elsewhere(row.clone(), identity)))
    }

    /// What becomes of somebody about whom others were asked.
    async fn conclude(
        &self,
        verdict: Verdict,
        typed: Typed<'_>,
        tried: &Try<'_>,
        origin: &Origin,
    ) -> Result<User, TokenServerError> {
        let Parts { door, clock, verified, .. } = &self.0;
        match verdict {
            Verdict::User(row, identity) => {
                door.was_right(tried, &**clock).await?;
                if let Some(elsewhere) = &self.0.elsewhere {
                    let known = elsewhere.known(row.pid).await?;
                    if let Some((_, since)) = known.iter().find(|(known, _)| *known == identity) {
                        verified.insert(row.uid.as_bytes(), since, tried.password, &**clock);
                    }
                }
                self.record_login(&row.name, row.uid, ELSEWHERE, origin).await?;
                Ok(User::by_password_elsewhere(row, identity))
            }
            Verdict::Pending => {
                door.was_right(tried, &**clock).await?;
                self.refuse_login(typed, "pending_identity", origin).await?;
                Err(TokenServerError::NotLetInYet)
            }
            Verdict::Refused(reason) => {
                door.was_wrong(tried, &**clock);
                Err(self.refuse_login(typed, reason, origin).await?)
            }
            Verdict::Away { was_tried } => {
                if !was_tried {
                    door.was_not_checked(tried).await?;
                }
                self.refuse_login(typed, "directory_away", origin).await?;
                Err(TokenServerError::DirectoryAway)
            }
        }
    }

    /// A check can wait long in the queue; what counts is the user as it is afterwards.
    async fn still_as_checked(
        &self,
        row: Option<UserRow>,
    ) -> Result<Option<(UserRow, String)>, TokenServerError> {
        let Some(checked) = row else { return Ok(None) };
        let now = users::find_user(&self.0.pool, &checked.name).await?;
        let same = now.filter(|now| {
            now.uid == checked.uid && !now.disabled && now.password_hash == checked.password_hash
        });
        Ok(same.and_then(|row| row.password_hash.clone().map(|hash| (row, hash))))
    }

    async fn accept(
        &self,
        row: UserRow,
        mut hash: String,
        password: &Secret,
        origin: &Origin,
    ) -> Result<User, TokenServerError> {
        if is_outdated(&hash) {
            let fresh = self.0.hasher.hash_unchecked(password).await?;
            users::update_rehashed(&self.0.pool, row.pid, &hash, &fresh).await?;
            hash = fresh;
        }
        self.0.verified.insert(row.uid.as_bytes(), &hash, password, &*self.0.clock);
        let user = User::by_password(row, hash);
        self.record_login(&user.name, user.uid, "password", origin).await?;
        Ok(user)
    }

    /// Checks a refresh token.
    pub async fn authenticate_refresh_token(
        &self,
        brought: &Brought<'_>,
        origin: &Origin,
        view: &View,
    ) -> Result<Subject, TokenServerError> {
        let Parts { refresh_tokens, uses, clock, pool, .. } = &self.0;
        let looks = Looks { view, uses, pool, clock: &**clock };
        match refresh_tokens.check(looks, brought).await? {
            Ok(subject) => {
                if let (Some(login), Some(uid)) = (subject.credential(), subject.uid()) {
                    uses.note(TokenKind::Refresh, login.id, clock.now(), origin);
                    let how = format!("refresh_token {}", login.id);
                    self.record_login(subject.name(), uid, &how, origin).await?;
                }
                Ok(subject)
            }
            Err(refused) => {
                let refusal = Record {
                    event: Event::Login,
                    actor: "",
                    actor_uid: None,
                    target: refused.user.as_deref().unwrap_or_default(),
                    outcome: Outcome::Refused(refused.failure.as_str()),
                };
                self.0.repeats.record(pool, &**clock, origin, refusal).await?;
                Err(match refused.failure {
                    // Clients put a password there when they were given no user name.
                    RefreshFailure::Malformed => TokenServerError::WrongCredentials,
                    RefreshFailure::Replaced => {
                        refresh_tokens.end_stolen(pool, &**clock, brought.token, origin).await?;
                        TokenServerError::RefreshTokenRefused
                    }
                    _ => TokenServerError::RefreshTokenRefused,
                })
            }
        }
    }

    /// Records that somebody was not let in who came from an identity provider; whose name it is, if that is known.
    pub async fn record_refused_visit(
        &self,
        known: Option<&str>,
        reason: &str,
        origin: &Origin,
    ) -> Result<(), TokenServerError> {
        let typed = Typed { name: known.unwrap_or_default(), known };
        self.refuse_login(typed, reason, origin).await.map(drop)
    }

    /// Ends the login of a token that its client gives back.
    pub async fn give_back(&self, token: &Secret, origin: &Origin) -> Result<(), TokenServerError> {
        self.0.refresh_tokens.give_back(&self.0.pool, &*self.0.clock, token, origin).await
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
        Ok(self.0.repeats.record(&self.0.pool, &*self.0.clock, origin, record).await?)
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
        self.0.repeats.record_as(&self.0.pool, &*self.0.clock, origin, record, typed.name).await?;
        Ok(TokenServerError::WrongCredentials)
    }
}

/// How somebody logged in whose password others know, in the record.
const ELSEWHERE: &str = "directory_password";

/// What came as a user name.
#[derive(Clone, Copy)]
struct Typed<'a> {
    /// As it came.
    name: &'a str,
    /// Whose it is.
    known: Option<&'a str>,
}
