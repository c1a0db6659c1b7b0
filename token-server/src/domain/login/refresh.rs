//! Logins that last: refresh tokens.
//!
//! Most clients that keep one on disk cannot replace it, so it does not change when it is used. A client that is known
//! to take a new one gets one with each use; then the one before is good for a moment only, and whoever uses it later
//! ends the login, because one of the two is a thief. A login ends when it was not used for a while, at its last day in
//! any case, and at once when the password changes or the user is disabled.
//!
//! *Invariant:* a token is good for one user and one registry; one that is replaced with each use, for its client only.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ring::rand::SystemRandom;
use shared::clock::Clock;
use shared::secret::Secret;
use time::OffsetDateTime;

use super::super::error::TokenServerError;
use super::super::random;
use super::super::record::audit::{self, Event, Origin, Outcome, Record};
use super::super::row_source::{Owner, View};
use super::super::snapshot::credentials::StoredLogin;
use super::super::snapshot::people::Kind;
use super::credential::{Credential, Secrets};
use super::credential_uses::CredentialUses;
use super::opaque_token::TokenKind;
use super::subject::{Proof, Subject, User, Workload};
use crate::db::refresh_tokens::{self, NewRefreshToken};
use crate::db::{self, Pool};

const MAX_CLIENT_ID_CHARACTERS: usize = 100;

/// A user has at most this many for one registry; the oldest make room, so that scripts that log in for each build
/// do not pile them up.
const MAX_LOGINS: i64 = 100;

/// The same of a workload, of which each job has one.
const MAX_WORKLOAD_LOGINS: i64 = 5_000;

/// A client whose answer was lost may use the token before once more.
const REPLACED_GRACE: Duration = Duration::from_mins(1);

/// So many tokens that were replaced are recognised.
const REMEMBERED_REPLACED: i64 = 20;

/// How logins are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshSettings {
    /// They end so long after the last use.
    pub idle: Duration,
    /// They end so long after the login.
    pub absolute: Duration,
    /// What clients call themselves that take another token with each use.
    pub rotating_clients: BTreeSet<String>,
}

/// Issues and checks refresh tokens.
#[derive(Debug)]
pub struct RefreshTokens {
    secrets: Arc<Secrets>,
    settings: RefreshSettings,
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
    /// For another client.
    WrongClient,
    /// Another one was given out in its place.
    Replaced,
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
            Self::WrongClient => "refresh_token_of_another_client",
            Self::Replaced => "replaced_refresh_token",
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

/// Whose login is to last.
#[derive(Clone, Copy, Debug)]
pub enum Holder<'a> {
    /// A user who just logged in with a password.
    User(&'a User),
    /// A workload that just brought a token of its platform, for as long as this.
    Workload(&'a Workload, Duration),
}

/// A login that is to last.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// Whose it is.
    pub holder: Holder<'a>,
    /// For which registry.
    pub audience: &'a str,
    /// What the client calls itself.
    pub client_id: &'a str,
    /// Where it came from.
    pub origin: &'a Origin,
}

/// A token that came with a request.
#[derive(Clone, Copy, Debug)]
pub struct Brought<'a> {
    /// The token.
    pub token: &'a Secret,
    /// For which registry it is to be good.
    pub audience: &'a str,
    /// What the client calls itself.
    pub client_id: &'a str,
}

/// What a check looks at.
#[derive(Clone, Copy)]
pub struct Looks<'a> {
    /// How things are.
    pub view: &'a View,
    /// When logins were last used here.
    pub uses: &'a CredentialUses,
    /// Where it is stored when they were last used elsewhere.
    pub pool: &'a Pool,
    /// What time it is.
    pub clock: &'a dyn Clock,
}

/// What clients call themselves, as far as it is kept.
fn kept(client_id: &str) -> String {
    client_id.chars().filter(char::is_ascii_graphic).take(MAX_CLIENT_ID_CHARACTERS).collect()
}

impl RefreshTokens {
    /// Uses these keys and settings.
    pub fn new(secrets: Arc<Secrets>, settings: RefreshSettings) -> Self {
        Self { secrets, settings }
    }

    /// Makes a token for whoever just logged in with a password or a token of a platform; for others there is none.
    pub async fn issue(
        &self,
        pool: &Pool,
        clock: &dyn Clock,
        random: &SystemRandom,
        login: &Login<'_>,
    ) -> Result<Option<Secret>, TokenServerError> {
        let Login { holder, audience, client_id, origin } = *login;
        let (pid, uid, name, lasts, most) = match holder {
            Holder::User(User {
                pid,
                uid,
                name,
                proof: Proof::Password(_) | Proof::PasswordElsewhere(_) | Proof::Allowed,
                ..
            }) => (*pid, *uid, name, self.settings.absolute, MAX_LOGINS),
            Holder::Workload(Workload { pid, uid, name, session: None, .. }, lasts) => {
                (*pid, *uid, name, lasts, MAX_WORKLOAD_LOGINS)
            }
            Holder::User(_) | Holder::Workload(..) => return Ok(None),
        };
        let (token, mac) = self.secrets.generate(TokenKind::Refresh, random)?;
        let client_id = kept(client_id);
        let now = clock.now();
        let agent = origin.agent.as_deref().map(audit::printable);
        // Whoever changes rights waits for the same lock, and the tables that this changes are noted under it.
        let mut tx = db::begin_change(pool).await?;
        // A row that nobody can use any more is of no use to us either.
        refresh_tokens::delete_idle(&mut *tx, pid, now - self.settings.idle).await?;
        let row = NewRefreshToken {
            mac: &mac,
            family: random::dated_id(random, clock)?,
            pid,
            audience,
            client_id: &client_id,
            agent: agent.as_deref(),
            made_from: origin.address.as_deref(),
            expires_at: now + lasts,
            second_factor: matches!(holder, Holder::User(user) if user.has_second_factor),
        };
        let is_made = match holder {
            Holder::User(User { proof: Proof::Password(hash), .. }) => {
                refresh_tokens::insert_refresh_token(&mut *tx, &row, hash.expose(), now).await?
            }
            Holder::User(User { proof: Proof::Allowed, .. }) => {
                refresh_tokens::insert_allowed_login(&mut *tx, &row, now).await?
            }
            Holder::User(User { proof: Proof::PasswordElsewhere(identity), .. }) => {
                let identity = (identity.issuer.as_str(), identity.subject.as_str());
                refresh_tokens::insert_login_elsewhere(&mut *tx, &row, identity, now).await?
            }
            Holder::User(_) => false,
            Holder::Workload(workload, _) => {
                refresh_tokens::insert_workload_login(&mut *tx, &row, &workload.claims, now).await?
            }
        };
        if !is_made {
            return Err(TokenServerError::WrongCredentials);
        }
        refresh_tokens::delete_beyond(&mut *tx, pid, audience, most).await?;
        let record = Record {
            event: Event::RefreshTokenIssued,
            actor: name,
            actor_uid: Some(uid),
            target: audience,
            outcome: Outcome::Allowed(Some(&client_id)),
        };
        audit::record(&mut *tx, clock, origin, record).await?;
        db::commit(tx).await?;
        Ok(Some(token))
    }

    /// What a client is to keep that used a token: the same, or another if it can replace it. With the database away
    /// it is the same, because nobody could remember another.
    pub async fn next(
        &self,
        pool: &Pool,
        clock: &dyn Clock,
        random: &SystemRandom,
        brought: &Brought<'_>,
        origin: &Origin,
    ) -> Result<Secret, TokenServerError> {
        if !self.rotates(brought.client_id) {
            return Ok(brought.token.clone());
        }
        match self.replace(pool, clock, random, brought.token, origin).await {
            Ok(Some(new)) => Ok(new),
            Ok(None) | Err(TokenServerError::Db(_)) => Ok(brought.token.clone()),
            Err(error) => Err(error),
        }
    }

    /// Whether a client gets another token with each use.
    pub fn rotates(&self, client_id: &str) -> bool {
        self.settings.rotating_clients.contains(client_id)
    }

    async fn replace(
        &self,
        pool: &Pool,
        clock: &dyn Clock,
        random: &SystemRandom,
        token: &Secret,
        origin: &Origin,
    ) -> Result<Option<Secret>, TokenServerError> {
        let Some(old) = self.secrets.mac(TokenKind::Refresh, token) else { return Ok(None) };
        let (new, mac) = self.secrets.generate(TokenKind::Refresh, random)?;
        let now = clock.now();
        let mut tx = db::begin_change(pool).await?;
        let Some(row) = refresh_tokens::find_refresh_token(&mut *tx, &old).await? else { return Ok(None) };
        // What another client made cannot be replaced where that one keeps it.
        if !self.rotates(&row.client_id) {
            return Ok(None);
        }
        // One that was replaced a moment ago by a request whose answer was lost gets a successor as well, in the place of
        // the one that was lost: of two who go on side by side, one is late.
        refresh_tokens::update_replaced(&mut *tx, row.family, now).await?;
        let from = origin.address.as_deref();
        refresh_tokens::insert_successor(&mut *tx, &old, &mac, now, from).await?;
        refresh_tokens::delete_replaced_beyond(&mut *tx, row.family, REMEMBERED_REPLACED).await?;
        if let Err(error) = db::commit(tx).await
            // It may have been done all the same; a client that went on with the old one would look like a thief.
            && refresh_tokens::find_refresh_token(pool, &mac).await?.is_none()
        {
            return Err(error.into());
        }
        Ok(Some(new))
    }

    /// Checks a token.
    pub async fn check(
        &self,
        looks: Looks<'_>,
        brought: &Brought<'_>,
    ) -> Result<Result<Subject, RefusedToken>, TokenServerError> {
        let refused = |user: Option<String>, failure| Ok(Err(RefusedToken { user, failure }));
        let Some(mac) = self.secrets.mac(TokenKind::Refresh, brought.token) else {
            return refused(None, RefreshFailure::Malformed);
        };
        let is_whole = |(login, owner): &(StoredLogin, Owner)| {
            owner.kind == if login.claims.is_some() { Kind::Workload } else { Kind::User }
        };
        let Some((login, owner)) = looks.view.login(&mac).await?.filter(is_whole) else {
            return refused(None, RefreshFailure::Unknown);
        };
        let now = looks.clock.now();
        let failure = match self.failure(&login, &owner, brought, now) {
            None if self.is_idle(&login, looks, now).await? => Some(RefreshFailure::Idle),
            failure => failure,
        };
        if let Some(failure) = failure {
            return refused(Some(owner.name), failure);
        }
        let credential = Credential { id: login.family, ends_at: Some(login.expires_at), limits: None };
        let Owner { pid, uid, name, .. } = owner;
        Ok(Ok(match login.claims {
            Some(claims) => Subject::Workload(Workload { pid, uid, name, claims, session: Some(credential) }),
            None => Subject::User(User {
                pid,
                uid,
                name,
                proof: Proof::KeptLogin(credential),
                has_second_factor: login.second_factor,
            }),
        }))
    }

    fn failure(
        &self,
        login: &StoredLogin,
        owner: &Owner,
        brought: &Brought<'_>,
        now: OffsetDateTime,
    ) -> Option<RefreshFailure> {
        if !owner.may_log_in {
            Some(RefreshFailure::Disabled)
        } else if *login.audience != *brought.audience {
            Some(RefreshFailure::WrongAudience)
        } else if now >= login.expires_at {
            Some(RefreshFailure::Expired)
        } else if login.replaced_at.is_some_and(|at| now - at >= REPLACED_GRACE) {
            Some(RefreshFailure::Replaced)
        } else if self.rotates(&login.client_id) && *login.client_id != *kept(brought.client_id) {
            Some(RefreshFailure::WrongClient)
        } else {
            None
        }
    }

    /// Whether it was not used for too long, here or elsewhere. The database is asked only when it seems so.
    async fn is_idle(
        &self,
        login: &StoredLogin,
        looks: Looks<'_>,
        now: OffsetDateTime,
    ) -> Result<bool, TokenServerError> {
        let is_long_ago = |at: OffsetDateTime| now - at >= self.settings.idle;
        let here = looks.uses.last(login.family);
        if here.into_iter().chain([login.last_used_at]).any(|at| !is_long_ago(at)) {
            return Ok(false);
        }
        let elsewhere = refresh_tokens::find_last_used(looks.pool, login.family).await?;
        Ok(elsewhere.is_none_or(is_long_ago))
    }

    /// Ends the login of a token that somebody used although it was replaced.
    pub async fn end_stolen(
        &self,
        pool: &Pool,
        clock: &dyn Clock,
        token: &Secret,
        origin: &Origin,
    ) -> Result<(), TokenServerError> {
        self.end(pool, clock, token, "a token was used again that had been replaced", origin).await
    }

    /// Ends the login of a token that its client gives back; one that is none is as good as ended.
    pub async fn give_back(
        &self,
        pool: &Pool,
        clock: &dyn Clock,
        token: &Secret,
        origin: &Origin,
    ) -> Result<(), TokenServerError> {
        self.end(pool, clock, token, "given back by its client", origin).await
    }

    async fn end(
        &self,
        pool: &Pool,
        clock: &dyn Clock,
        token: &Secret,
        remark: &str,
        origin: &Origin,
    ) -> Result<(), TokenServerError> {
        let Some(mac) = self.secrets.mac(TokenKind::Refresh, token) else { return Ok(()) };
        let mut tx = db::begin_change(pool).await?;
        let Some(row) = refresh_tokens::find_refresh_token(&mut *tx, &mac).await? else { return Ok(()) };
        let Some(login) = refresh_tokens::find_login(&mut *tx, row.family).await? else { return Ok(()) };
        refresh_tokens::delete_login(&mut *tx, row.family).await?;
        let target = format!("user:{} {}", login.user, row.family);
        let record = Record {
            event: Event::LoginEnded,
            actor: "",
            actor_uid: None,
            target: &target,
            outcome: Outcome::Allowed(Some(remark)),
        };
        audit::record(&mut *tx, clock, origin, record).await?;
        Ok(db::commit(tx).await?)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::super::super::keys::master_secret::MasterSecret;
    use super::*;

    const LOGIN: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
    const DAY: Duration = Duration::from_hours(24);

    fn login() -> StoredLogin {
        StoredLogin {
            family: Uuid::nil(),
            pid: 100,
            audience: "a".into(),
            client_id: "docker".into(),
            expires_at: LOGIN + 90 * DAY,
            replaced_at: None,
            claims: None,
            second_factor: false,
            last_used_at: LOGIN,
        }
    }

    fn owner(may_log_in: bool) -> Owner {
        Owner { pid: 100, uid: Uuid::nil(), name: "alice".into(), kind: Kind::User, may_log_in }
    }

    #[test]
    fn each_limit_ends_a_login_by_itself() {
        let secret = MasterSecret::parse(&Secret::new("s".repeat(32))).unwrap();
        let settings = RefreshSettings {
            idle: 30 * DAY,
            absolute: 90 * DAY,
            rotating_clients: ["helper".to_owned()].into(),
        };
        let tokens = RefreshTokens::new(Arc::new(Secrets::new(&secret)), settings);
        let token = Secret::new("");
        let failure = |login: &StoredLogin, may_log_in, audience, client_id, days: u32| {
            let brought = Brought { token: &token, audience, client_id };
            tokens.failure(login, &owner(may_log_in), &brought, LOGIN + days * DAY)
        };
        assert_eq!(failure(&login(), true, "a", "docker", 89), None);
        assert_eq!(failure(&login(), true, "a", "buildkit-client", 89), None, "clients share one file");
        assert_eq!(failure(&login(), true, "b", "docker", 89), Some(RefreshFailure::WrongAudience));
        assert_eq!(failure(&login(), true, "a", "docker", 90), Some(RefreshFailure::Expired));
        assert_eq!(failure(&login(), false, "a", "docker", 1), Some(RefreshFailure::Disabled));
        let rotating = StoredLogin { client_id: "helper".into(), ..login() };
        assert_eq!(failure(&rotating, true, "a", "helper", 1), None);
        assert_eq!(failure(&rotating, true, "a", "docker", 1), Some(RefreshFailure::WrongClient));
        let replaced = StoredLogin { replaced_at: Some(LOGIN + DAY), ..rotating };
        assert_eq!(failure(&replaced, true, "a", "helper", 1), None, "an answer can be lost");
        assert_eq!(failure(&replaced, true, "a", "helper", 2), Some(RefreshFailure::Replaced));
    }
}
