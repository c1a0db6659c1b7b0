//! Browsers in which somebody is signed in.
//!
//! *Invariant:* what a browser shows is random, new at each sign-in and stored as a MAC only; it ends when it was not
//! used for a while, after a fixed time in any case, with the user, and with what its provider says.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use shared::clock::Clock;
use shared::secret::Secret;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::error::TokenServerError;
use super::super::keys::master_secret::{MasterSecret, Purpose};
use super::super::keys::sealing;
use super::super::login::subject::{Proof, User};
use super::super::random;
use super::super::record::audit::{self, Event, Origin, Outcome, Record};
use super::back_channel::SignedOut;
use super::code_flow::Returned;
use crate::db::browser_sessions::{self, NewSession, SessionRow};
use crate::db::second_factors::{self, PendingRow};
use crate::db::{self, Pool};

/// A user is signed in in at most so many browsers; others are signed out that were not used for longest.
const MAX_SESSIONS: i64 = 50;

/// The moment of the last use is written at most this often.
const USE_IS_WRITTEN: Duration = Duration::from_mins(1);

/// So long somebody may take for the second factor.
const PENDING_LASTS: Duration = Duration::from_mins(5);

/// So long it is remembered that somebody has just proved who they are.
const FRESH_FOR: Duration = Duration::from_mins(10);

const SESSION: &[u8] = b"session";

const PENDING: &[u8] = b"pending";

/// What is sealed in a session: the token that its provider wants to see at the end.
const ID_TOKEN: &[u8] = b"id token";

/// What sessions are handled with.
pub struct BrowserSessions {
    pool: Pool,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
    secret: MasterSecret,
    key: hmac::Key,
    idle: Duration,
    lifetime: Duration,
}

/// A browser in which somebody is signed in.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who.
    pub user: User,
    /// The rest.
    pub row: SessionRow,
}

/// How somebody signed in.
#[derive(Clone, Copy, Debug)]
pub enum SignedInBy<'a> {
    /// With the password.
    Password,
    /// With the password and a second factor; which.
    PasswordAnd(&'a str),
    /// At the provider of that name.
    Provider(&'a str, &'a Returned),
}

impl BrowserSessions {
    /// Puts the parts together; a session ends when it is idle for so long, and after so long in any case.
    pub fn new(
        pool: Pool,
        clock: Arc<dyn Clock>,
        random: SystemRandom,
        secret: MasterSecret,
        (idle, lifetime): (Duration, Duration),
    ) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.derive(Purpose::BrowserSessions));
        Self { pool, clock, random, secret, key, idle, lifetime }
    }

    /// What a browser shows from now on, that of a stranger as well.
    pub fn new_cookie(&self) -> Result<Secret, TokenServerError> {
        Ok(Secret::new(URL_SAFE_NO_PAD.encode(random::bytes::<32>(&self.random)?)))
    }

    /// What a form of a page must carry that this browser was shown.
    pub fn form_token(&self, cookie: &Secret) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(b"form", cookie))
    }

    /// Whether a form carries that.
    pub fn is_own_form(&self, cookie: &Secret, token: &str) -> bool {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"form");
        context.update(cookie.expose().as_bytes());
        // Two MACs of the same key are compared by comparing MACs of them, which tells nothing about where they differ.
        let said = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
        let own = context.sign();
        let tag = hmac::sign(&self.key, own.as_ref());
        hmac::verify(&self.key, &said, tag.as_ref()).is_ok()
    }

    fn mac(&self, what: &[u8], cookie: &Secret) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(what);
        context.update(cookie.expose().as_bytes());
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    fn used_since(&self, now: OffsetDateTime) -> OffsetDateTime {
        now - self.idle
    }

    /// Signs somebody in; says what the browser is to show.
    pub async fn begin(
        &self,
        (pid, uid, name): (i64, Uuid, &str),
        by: SignedInBy<'_>,
        origin: &Origin,
    ) -> Result<Secret, TokenServerError> {
        let cookie = self.new_cookie()?;
        let (mac, now) = (self.mac(SESSION, &cookie), self.clock.now());
        let (returned, how) = match by {
            SignedInBy::Password => (None, "browser, password".to_owned()),
            SignedInBy::PasswordAnd(factor) => (None, format!("browser, password and {factor}")),
            SignedInBy::Provider(provider, returned) => (Some(returned), format!("browser, {provider}")),
        };
        let second_factor = match by {
            SignedInBy::Password => false,
            SignedInBy::PasswordAnd(_) => true,
            SignedInBy::Provider(_, returned) => returned.second_factor,
        };
        let seal = |text: &Secret| {
            let plain = text.expose().as_bytes();
            sealing::seal(&self.secret, Purpose::SignOn, ID_TOKEN, plain, &self.random)
        };
        let id_token = returned.map(|returned| seal(&returned.id_token)).transpose()?;
        let agent = origin.agent.as_deref().map(audit::printable);
        let session = NewSession {
            id: random::dated_id(&self.random, &*self.clock)?,
            mac: &mac,
            pid,
            identity: returned.map(|to| (to.profile.issuer.as_str(), to.profile.subject.as_str())),
            provider_session: returned.and_then(|returned| returned.session.as_deref()),
            id_token: id_token.as_deref(),
            agent: agent.as_deref(),
            made_from: origin.address.as_deref(),
            ends_at: now + self.lifetime,
            second_factor,
        };
        let mut tx = db::begin(&self.pool).await?;
        browser_sessions::insert_session(&mut *tx, &session, now).await?;
        browser_sessions::delete_beyond(&mut *tx, pid, MAX_SESSIONS).await?;
        let record = Record {
            event: Event::Login,
            actor: name,
            actor_uid: Some(uid),
            target: name,
            outcome: Outcome::Allowed(Some(&how)),
        };
        audit::record(&mut *tx, &*self.clock, origin, record).await?;
        db::commit(tx).await?;
        Ok(cookie)
    }

    /// Who is signed in in the browser that shows this.
    pub async fn find(&self, cookie: &Secret) -> Result<Option<Session>, TokenServerError> {
        let (mac, now) = (self.mac(SESSION, cookie), self.clock.now());
        let found = browser_sessions::find_session(&self.pool, &mac, self.used_since(now), now).await?;
        let Some(row) = found else { return Ok(None) };
        if now - row.last_used_at >= USE_IS_WRITTEN {
            browser_sessions::update_used(&self.pool, row.id, now).await?;
        }
        let user = User {
            pid: row.pid,
            uid: row.uid,
            name: row.user.clone(),
            proof: Proof::Session(row.id),
            has_second_factor: row.second_factor_at.is_some(),
        };
        Ok(Some(Session { user, row }))
    }

    /// Remembers that the password of somebody was right in a browser who is still to show a second factor; says what the
    /// browser is to show.
    pub async fn begin_pending(&self, user: &User) -> Result<Secret, TokenServerError> {
        let cookie = self.new_cookie()?;
        let ends_at = self.clock.now() + PENDING_LASTS;
        second_factors::insert_pending(&self.pool, &self.mac(PENDING, &cookie), user.pid, ends_at).await?;
        Ok(cookie)
    }

    /// Who that is.
    pub async fn find_pending(&self, cookie: &Secret) -> Result<Option<PendingRow>, TokenServerError> {
        Ok(second_factors::find_pending(&self.pool, &self.mac(PENDING, cookie), self.clock.now()).await?)
    }

    /// Ends it, because the second factor was shown; says whether it was so still.
    pub async fn end_pending(&self, cookie: &Secret) -> Result<bool, TokenServerError> {
        Ok(second_factors::delete_pending(&self.pool, &self.mac(PENDING, cookie)).await?)
    }

    /// Remembers that somebody proved anew who they are, with a second factor or without; says what the browser is to show
    /// from now on.
    pub async fn prove(
        &self,
        (cookie, user): (&Secret, &User),
        how: &str,
        second_factor: bool,
        origin: &Origin,
    ) -> Result<Secret, TokenServerError> {
        let fresh = self.new_cookie()?;
        let macs = (&self.mac(SESSION, cookie), &self.mac(SESSION, &fresh));
        let mut tx = db::begin(&self.pool).await?;
        if !browser_sessions::update_proven(&mut *tx, macs, second_factor, self.clock.now()).await? {
            return Err(TokenServerError::ChangedMeanwhile);
        }
        let record = Record {
            event: Event::ProvenAgain,
            actor: &user.name,
            actor_uid: Some(user.uid),
            target: &user.name,
            outcome: Outcome::Allowed(Some(how)),
        };
        audit::record(&mut *tx, &*self.clock, origin, record).await?;
        db::commit(tx).await?;
        Ok(fresh)
    }

    /// Whether somebody proved lately in a session who they are: with a second factor, if they have one.
    pub fn is_fresh(&self, row: &SessionRow, has_second_factor: bool) -> bool {
        let proven = if has_second_factor { row.second_factor_at } else { row.proven_at };
        proven.is_some_and(|at| self.clock.now() - at < FRESH_FOR)
    }

    /// What stands for a browser where challenges are kept.
    pub fn mark(&self, cookie: &Secret) -> [u8; 32] {
        self.mac(b"challenge", cookie)
    }

    /// The browsers in which a user is signed in, the one that was used last first.
    pub async fn list(&self, user: &User) -> Result<Vec<SessionRow>, TokenServerError> {
        let now = self.clock.now();
        Ok(browser_sessions::list_sessions(&self.pool, user.pid, self.used_since(now), now).await?)
    }

    /// Signs a user out in one browser; says whether they were signed in there.
    pub async fn end(&self, user: &User, id: Uuid, origin: &Origin) -> Result<bool, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        if !browser_sessions::delete_session(&mut *tx, user.pid, id).await? {
            return Ok(false);
        }
        let target = format!("user:{} {id}", user.name);
        let record = Record {
            event: Event::LoginEnded,
            actor: &user.name,
            actor_uid: Some(user.uid),
            target: &target,
            outcome: Outcome::Allowed(Some("browser")),
        };
        audit::record(&mut *tx, &*self.clock, origin, record).await?;
        db::commit(tx).await?;
        Ok(true)
    }

    /// What the provider of a session wants to see at its end.
    pub fn id_token(&self, row: &SessionRow) -> Option<Secret> {
        let sealed = row.id_token.as_deref()?;
        let plain = sealing::open(&self.secret, Purpose::SignOn, ID_TOKEN, sealed).ok()?;
        String::from_utf8(plain).ok().map(Secret::new)
    }

    /// Signs out whom a provider says has signed out there; says in how many browsers.
    pub async fn end_signed_out(&self, out: &SignedOut, origin: &Origin) -> Result<usize, TokenServerError> {
        let SignedOut { issuer, subject, session } = out;
        let mut tx = db::begin(&self.pool).await?;
        let ended =
            browser_sessions::delete_sessions_from(&mut *tx, issuer, subject.as_deref(), session.as_deref())
                .await?;
        if !ended.is_empty() {
            let target =
                format!("{} of {issuer}", subject.as_deref().or(session.as_deref()).unwrap_or_default());
            let record = Record {
                event: Event::LoginEnded,
                actor: audit::SYSTEM,
                actor_uid: None,
                target: &target,
                outcome: Outcome::Allowed(Some("browser, signed out at the identity provider")),
            };
            audit::record(&mut *tx, &*self.clock, origin, record).await?;
        }
        db::commit(tx).await?;
        Ok(ended.len())
    }

    /// Forgets sessions that have ended.
    pub async fn forget_ended(&self) -> Result<(), TokenServerError> {
        let now = self.clock.now();
        Ok(browser_sessions::delete_ended(&self.pool, self.used_since(now), now).await?)
    }
}
