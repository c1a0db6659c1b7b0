//! The second factors of one person: adding, showing and taking away.
//!
//! *Invariant:* a factor counts from when it was shown once; wrong codes wait at the same door as wrong passwords; with
//! the last factor the recovery codes go as well.

use std::sync::Arc;

use ring::hmac;
use ring::rand::SystemRandom;
use shared::clock::Clock;
use shared::secret::Secret;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::error::TokenServerError;
use super::super::keys::master_secret::{MasterSecret, Purpose};
use super::super::keys::sealing;
use super::super::login::door::{Door, Knock, Place, Try};
use super::super::login::subject::User;
use super::super::random;
use super::super::record::audit::{self, Event, Origin, Outcome, Record};
use super::super::record::audit_repeats::AuditRepeats;
use super::authenticator_app::{self, SECRET_BYTES};
use super::passkey::RelyingParty;
use super::recovery_code;
use crate::db::passkeys::{self, PasskeyRow};
use crate::db::second_factors::{self, PendingRow};
use crate::db::{self, Pool, Transaction};

/// How an app is called in the record.
pub(super) const APP: &str = "authenticator app";

const RECOVERY: &str = "recovery code";

/// What second factors are handled with.
pub struct Parts {
    /// Where they are.
    pub pool: Pool,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// For secrets.
    pub random: SystemRandom,
    /// For sealing them.
    pub secret: MasterSecret,
    /// Who has tried too often.
    pub door: Arc<Door>,
    /// What was recorded a moment ago.
    pub repeats: Arc<AuditRepeats>,
    /// For which place keys of devices are; without a name of a host they are for none.
    pub party: Option<RelyingParty>,
}

/// Handles them.
pub struct SecondFactors {
    pub(super) parts: Parts,
    key: hmac::Key,
}

/// Whose they are.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// Inner number.
    pub pid: i64,
    /// Stable id.
    pub uid: Uuid,
    /// Name.
    pub name: &'a str,
}

impl<'a> From<&'a User> for Person<'a> {
    fn from(user: &'a User) -> Self {
        Self { pid: user.pid, uid: user.uid, name: &user.name }
    }
}

impl<'a> From<&'a PendingRow> for Person<'a> {
    fn from(row: &'a PendingRow) -> Self {
        Self { pid: row.pid, uid: row.uid, name: &row.user }
    }
}

/// What somebody has.
#[derive(Clone, Debug)]
pub struct Held {
    /// Since when they have an app.
    pub app: Option<OffsetDateTime>,
    /// Their keys, by name.
    pub passkeys: Vec<PasskeyRow>,
    /// How many recovery codes are left.
    pub recovery_codes: i64,
}

impl Held {
    /// Whether the password alone is not enough.
    pub fn is_any(&self) -> bool {
        self.app.is_some() || !self.passkeys.is_empty()
    }
}

/// An app that is to be set up.
#[derive(Debug)]
pub struct NewApp {
    /// What is typed into it.
    pub secret: String,
    /// What it reads.
    pub address: String,
}

fn context(person: Person<'_>) -> Vec<u8> {
    [b"authenticator app ".as_slice(), person.uid.as_bytes()].concat()
}

impl SecondFactors {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &parts.secret.derive(Purpose::RecoveryCodes));
        Self { parts, key }
    }

    /// What somebody has.
    pub async fn of(&self, pid: i64) -> Result<Held, TokenServerError> {
        let pool = &self.parts.pool;
        Ok(Held {
            app: second_factors::find_app(pool, pid).await?.and_then(|app| app.confirmed_at),
            passkeys: passkeys::list_passkeys(pool, pid).await?,
            recovery_codes: second_factors::count_recovery_codes(pool, pid).await?,
        })
    }

    /// Makes what an app and this server are to share; it counts when a code of it was shown.
    pub async fn begin_app(&self, person: Person<'_>, server: &str) -> Result<NewApp, TokenServerError> {
        let Parts { pool, clock, random, secret: master, .. } = &self.parts;
        let secret = random::bytes::<SECRET_BYTES>(random)?;
        let sealed = sealing::seal(master, Purpose::SecondFactors, &context(person), &secret, random)?;
        if !second_factors::insert_app(pool, person.pid, &sealed, clock.now()).await? {
            let sentence = "you have an authenticator app already; remove it first".to_owned();
            return Err(TokenServerError::Contradiction(sentence));
        }
        Ok(shown(&secret, person, server))
    }

    /// The same again, for who typed a wrong code.
    pub async fn begun_app(&self, person: Person<'_>, server: &str) -> Result<NewApp, TokenServerError> {
        let found = second_factors::find_app(&self.parts.pool, person.pid).await?;
        let begun = found.filter(|app| app.confirmed_at.is_none()).ok_or(NOT_BEGUN)?;
        Ok(shown(&self.open(person, &begun.secret)?, person, server))
    }

    /// Lets an app count that shows this code; returns recovery codes if it is the first factor.
    pub async fn confirm_app(
        &self,
        person: Person<'_>,
        typed: &str,
        origin: &Origin,
    ) -> Result<Vec<String>, TokenServerError> {
        let Parts { pool, clock, .. } = &self.parts;
        let found = second_factors::find_app(pool, person.pid).await?;
        let app = found.filter(|app| app.confirmed_at.is_none()).ok_or(NOT_BEGUN)?;
        let secret = self.open(person, &app.secret)?;
        let now = clock.unix_now();
        let step = authenticator_app::parse(typed)
            .and_then(|code| authenticator_app::step_of(&secret, code, now))
            .ok_or(TokenServerError::WrongSecondFactor)?;
        let mut tx = db::begin(pool).await?;
        let is_first = !self.has_any(&mut tx, person.pid).await?;
        if !second_factors::update_confirmed(&mut *tx, person.pid, &app.secret, step, clock.now()).await? {
            return Err(TokenServerError::ChangedMeanwhile);
        }
        let codes = if is_first { self.make_codes(&mut tx, person).await? } else { Vec::new() };
        self.record(&mut tx, Event::SecondFactorAdded, person, APP, origin).await?;
        db::commit(tx).await?;
        Ok(codes)
    }

    /// Takes the app away.
    pub async fn remove_app(&self, person: Person<'_>, origin: &Origin) -> Result<(), TokenServerError> {
        let mut tx = db::begin(&self.parts.pool).await?;
        if !second_factors::delete_app(&mut *tx, person.pid).await? {
            return Err(TokenServerError::NotFound { kind: APP, name: format!("of {}", person.name) });
        }
        self.forget_codes_without_factor(&mut tx, person.pid).await?;
        self.record(&mut tx, Event::SecondFactorRemoved, person, APP, origin).await?;
        Ok(db::commit(tx).await?)
    }

    /// Makes recovery codes, in the place of those there were.
    pub async fn new_recovery_codes(
        &self,
        person: Person<'_>,
        origin: &Origin,
    ) -> Result<Vec<String>, TokenServerError> {
        let mut tx = db::begin(&self.parts.pool).await?;
        if !self.has_any(&mut tx, person.pid).await? {
            let sentence = "recovery codes stand for a second factor, and you have none".to_owned();
            return Err(TokenServerError::Contradiction(sentence));
        }
        let codes = self.make_codes(&mut tx, person).await?;
        let remark = format!("{} codes", codes.len());
        self.record(&mut tx, Event::RecoveryCodesMade, person, &remark, origin).await?;
        db::commit(tx).await?;
        Ok(codes)
    }

    /// Accepts a code of the app, or a recovery code, once; says which it was.
    pub async fn check_code(
        &self,
        person: Person<'_>,
        typed: &str,
        origin: &Origin,
    ) -> Result<&'static str, TokenServerError> {
        let Parts { door, clock, .. } = &self.parts;
        let step = authenticator_app::step_at(clock.unix_now()).to_string();
        // Apart from passwords: whoever knows that one gets no further guesses by showing it again. And what was right or
        // wrong at one moment says nothing about the next.
        let user = format!("{} second factor", person.name);
        let password = Secret::new(typed);
        let tried = Try { user: &user, hash: &step, password: &password, place: Place::Anywhere };
        match door.knock(&tried, &**clock).await? {
            Knock::Check => {}
            Knock::Wrong => {
                self.record_refused(person, "wrong_second_factor", origin).await?;
                return Err(TokenServerError::WrongSecondFactor);
            }
            Knock::Wait(wait) => {
                self.record_refused(person, "too_many_tries", origin).await?;
                return Err(TokenServerError::TooManyCodes { seconds: wait.as_secs() });
            }
        }
        match self.find(person, typed).await? {
            Ok(which) => {
                door.was_right(&tried, &**clock).await?;
                Ok(which)
            }
            Err(reason) => {
                door.was_wrong(&tried, &**clock);
                self.record_refused(person, reason, origin).await?;
                Err(TokenServerError::WrongSecondFactor)
            }
        }
    }

    async fn find(
        &self,
        person: Person<'_>,
        typed: &str,
    ) -> Result<Result<&'static str, &'static str>, TokenServerError> {
        let Parts { pool, clock, .. } = &self.parts;
        if let Some(code) = recovery_code::parse(typed) {
            let is_one = second_factors::delete_recovery_code(pool, person.pid, &self.mac(&code)).await?;
            return Ok(if is_one { Ok(RECOVERY) } else { Err("wrong_second_factor") });
        }
        let app = second_factors::find_app(pool, person.pid).await?;
        let (Some(app), Some(code)) =
            (app.filter(|app| app.confirmed_at.is_some()), authenticator_app::parse(typed))
        else {
            return Ok(Err("wrong_second_factor"));
        };
        let secret = self.open(person, &app.secret)?;
        let Some(step) = authenticator_app::step_of(&secret, code, clock.unix_now()) else {
            return Ok(Err("wrong_second_factor"));
        };
        let is_new = second_factors::update_accepted(pool, person.pid, step).await?;
        Ok(if is_new { Ok(APP) } else { Err("used_second_factor") })
    }

    fn open(&self, person: Person<'_>, sealed: &[u8]) -> Result<[u8; SECRET_BYTES], TokenServerError> {
        let opened = sealing::open(&self.parts.secret, Purpose::SecondFactors, &context(person), sealed).ok();
        opened.and_then(|secret| secret.try_into().ok()).ok_or(TokenServerError::SealedFactor)
    }

    fn mac(&self, code: &str) -> Vec<u8> {
        hmac::sign(&self.key, code.as_bytes()).as_ref().to_vec()
    }

    pub(super) async fn has_any(&self, tx: &mut Transaction, pid: i64) -> Result<bool, TokenServerError> {
        let app = second_factors::find_app(&mut **tx, pid).await?;
        Ok(app.is_some_and(|app| app.confirmed_at.is_some())
            || !passkeys::list_passkeys(&mut **tx, pid).await?.is_empty())
    }

    pub(super) async fn make_codes(
        &self,
        tx: &mut Transaction,
        person: Person<'_>,
    ) -> Result<Vec<String>, TokenServerError> {
        let make = |_| recovery_code::generate(&self.parts.random);
        let codes = (0..recovery_code::COUNT).map(make).collect::<Result<Vec<_>, _>>()?;
        let macs: Vec<Vec<u8>> = codes.iter().map(|code| self.mac(code)).collect();
        second_factors::replace_recovery_codes(&mut **tx, person.pid, &macs, self.parts.clock.now()).await?;
        Ok(codes)
    }

    pub(super) async fn forget_codes_without_factor(
        &self,
        tx: &mut Transaction,
        pid: i64,
    ) -> Result<(), TokenServerError> {
        if !self.has_any(tx, pid).await? {
            second_factors::delete_recovery_codes(&mut **tx, pid).await?;
        }
        Ok(())
    }

    pub(super) async fn record(
        &self,
        tx: &mut Transaction,
        event: Event,
        person: Person<'_>,
        remark: &str,
        origin: &Origin,
    ) -> Result<(), TokenServerError> {
        let record = Record {
            event,
            actor: person.name,
            actor_uid: Some(person.uid),
            target: person.name,
            outcome: Outcome::Allowed(Some(remark)),
        };
        Ok(audit::record(&mut **tx, &*self.parts.clock, origin, record).await?)
    }

    pub(super) async fn record_refused(
        &self,
        person: Person<'_>,
        reason: &str,
        origin: &Origin,
    ) -> Result<(), TokenServerError> {
        let Parts { repeats, pool, clock, .. } = &self.parts;
        let record = Record {
            event: Event::Login,
            actor: "",
            actor_uid: None,
            target: person.name,
            outcome: Outcome::Refused(reason),
        };
        Ok(repeats.record(pool, &**clock, origin, record).await?)
    }
}

const NOT_BEGUN: TokenServerError = TokenServerError::ChangedMeanwhile;

fn shown(secret: &[u8; SECRET_BYTES], person: Person<'_>, server: &str) -> NewApp {
    NewApp {
        secret: authenticator_app::written(secret),
        address: authenticator_app::address(secret, person.name, server),
    }
}
