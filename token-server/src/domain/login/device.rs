//! Logins of programs that people allow in a browser: the program shows a short code and waits, the person types it on a
//! page and says yes.
//!
//! *Invariant:* a code that people type is worth something only to somebody who is signed in, a few guesses long; what
//! was allowed is given to the program that asked, once.
//!
//! Spec: RFC 8628.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use ring::hmac;
use ring::rand::SystemRandom;
use shared::clock::Clock;
use shared::secret::Secret;

use super::super::error::TokenServerError;
use super::super::keys::master_secret::{MasterSecret, Purpose};
use super::super::random;
use super::super::record::audit::{self, Event, Origin, Outcome, Record};
use super::opaque_token;
use super::subject::{Proof, User};
use super::user_code::UserCode;
use crate::db::device_logins::{self, CodeOwner, DeviceLoginRow, NewDeviceLogin};
use crate::db::{self, Pool, principals};

/// So long a program waits.
pub const LASTS: Duration = Duration::from_mins(10);

/// A program that asks more often is told to be slower.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Whoever waits that long was patient; timers are not exact.
const SLOW_ENOUGH: Duration = Duration::from_secs(4);

/// So many programs wait at once.
const MAX_WAITING: i64 = 10_000;

/// Of these, so many at one address.
const MAX_WAITING_THERE: i64 = 100;

/// So many wrong codes somebody may type in [`LASTS`].
const MAX_WRONG: u32 = 20;

/// So long a code is good that takes the place of a password.
pub const CODE_LASTS: Duration = Duration::from_mins(10);

/// A client that asks twice for one login does so within this.
const AGAIN: Duration = Duration::from_mins(1);

/// What programs ask with begins like this.
pub const DEVICE_PREFIX: &str = "pcd_";

/// What takes the place of a password once begins like this.
pub const CODE_PREFIX: &str = "pcc_";

/// Whether a text has the form of a code that takes the place of a password.
pub fn is_login_code(text: &Secret) -> bool {
    opaque_token::is_well_formed_as(CODE_PREFIX, text)
}

/// A program that begins to wait.
#[derive(Debug)]
pub struct Begun {
    /// What it asks with.
    pub device_code: Secret,
    /// What the person types.
    pub user_code: UserCode,
}

/// What a program is told that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotYet {
    /// Nobody has said anything.
    Pending,
    /// It asks too often.
    SlowDown,
    /// Somebody said no.
    Refused,
    /// Nobody said anything in time, or there is no such program.
    Expired,
}

impl NotYet {
    /// The word of RFC 8628 §3.5.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::Refused => "access_denied",
            Self::Expired => "expired_token",
        }
    }

    /// For people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Pending => "nobody has allowed this login yet",
            Self::SlowDown => "nobody has allowed this login yet; ask less often",
            Self::Refused => "this login was refused",
            Self::Expired => "this login was not allowed in time; begin it again",
        }
    }
}

/// Lets programs wait.
pub struct Devices {
    pool: Pool,
    clock: Arc<dyn Clock>,
    random: SystemRandom,
    key: hmac::Key,
    /// How many wrong codes somebody has typed.
    wrong: Cache<i64, u32>,
}

impl Devices {
    /// Puts the parts together.
    pub fn new(pool: Pool, clock: Arc<dyn Clock>, random: SystemRandom, secret: &MasterSecret) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.derive(Purpose::DeviceLogins));
        let wrong = Cache::builder().max_capacity(100_000).time_to_live(LASTS).build();
        Self { pool, clock, random, key, wrong }
    }

    fn mac(&self, text: &str) -> [u8; 32] {
        let mut mac = [0; 32];
        mac.copy_from_slice(hmac::sign(&self.key, text.as_bytes()).as_ref());
        mac
    }

    /// Lets a program wait; nothing if too many do.
    pub async fn begin(
        &self,
        audience: &str,
        client_id: &str,
        origin: &Origin,
    ) -> Result<Option<Begun>, TokenServerError> {
        let (device_code, user_code) =
            (opaque_token::generate_as(DEVICE_PREFIX, &self.random)?, UserCode::generate(&self.random)?);
        let (agent, client_id) = (origin.agent.as_deref().map(audit::printable), audit::printable(client_id));
        let now = self.clock.now();
        let login = NewDeviceLogin {
            id: random::dated_id(&self.random, &*self.clock)?,
            device_mac: &self.mac(device_code.expose()),
            user_mac: &self.mac(&user_code.to_string()),
            audience,
            client_id: &client_id,
            agent: agent.as_deref(),
            made_from: origin.address.as_deref(),
            ends_at: now + LASTS,
        };
        let waits =
            device_logins::insert_device_login(&self.pool, &login, (MAX_WAITING, MAX_WAITING_THERE), now)
                .await?;
        Ok(waits.then_some(Begun { device_code, user_code }))
    }

    /// The program that somebody means by what they typed.
    pub async fn find(&self, user: &User, typed: &str) -> Result<DeviceLoginRow, TokenServerError> {
        let tries = self.wrong.get(&user.pid).unwrap_or_default();
        if tries >= MAX_WRONG {
            return Err(TokenServerError::TooManyTries { seconds: LASTS.as_secs() });
        }
        let found = match UserCode::parse(typed) {
            Some(code) => {
                let mac = self.mac(&code.to_string());
                device_logins::find_by_user(&self.pool, &mac, self.clock.now()).await?
            }
            None => None,
        };
        found.ok_or_else(|| {
            self.wrong.insert(user.pid, tries + 1);
            let sentence = "no program waits with this code; codes are good for ten minutes";
            TokenServerError::Contradiction(sentence.to_owned())
        })
    }

    /// Allows a program to be logged in as somebody, or refuses it.
    pub async fn decide(
        &self,
        user: &User,
        typed: &str,
        is_allowed: bool,
        origin: &Origin,
    ) -> Result<DeviceLoginRow, TokenServerError> {
        let found = self.find(user, typed).await?;
        let mut tx = db::begin(&self.pool).await?;
        let now = self.clock.now();
        let has_second_factor = user.has_second_factor;
        let decided =
            device_logins::update_decided(&mut *tx, found.id, user.pid, is_allowed, has_second_factor, now);
        if !decided.await? {
            return Err(TokenServerError::ChangedMeanwhile);
        }
        let target = format!("{} {}", found.client_id, found.audience);
        let outcome = if is_allowed {
            Outcome::Allowed(found.made_from.as_deref())
        } else {
            Outcome::Refused("refused_by_user")
        };
        let record = Record {
            event: Event::DeviceAnswered,
            actor: &user.name,
            actor_uid: Some(user.uid),
            target: &target,
            outcome,
        };
        audit::record(&mut *tx, &*self.clock, origin, record).await?;
        db::commit(tx).await?;
        Ok(found)
    }

    /// Answers a program that asks whether it may log in at a registry.
    pub async fn ask(
        &self,
        device_code: &Secret,
        client_id: &str,
        audience: &str,
    ) -> Result<Result<User, NotYet>, TokenServerError> {
        if !opaque_token::is_well_formed_as(DEVICE_PREFIX, device_code) {
            return Ok(Err(NotYet::Expired));
        }
        let found = device_logins::find_by_device(&self.pool, &self.mac(device_code.expose())).await?;
        let (client_id, now) = (audit::printable(client_id), self.clock.now());
        let is_own = |row: &DeviceLoginRow| row.client_id == client_id && row.audience == audience;
        let Some(row) = found.filter(|row| now < row.ends_at && is_own(row)) else {
            return Ok(Err(NotYet::Expired));
        };
        match (row.state.as_str(), row.pid) {
            ("allowed", Some(pid)) => {
                if !device_logins::delete_device_login(&self.pool, row.id).await? {
                    return Ok(Err(NotYet::Expired));
                }
                let person = principals::list_states(&self.pool, &[pid]).await?.pop();
                Ok(match person.filter(|person| !person.is_disabled) {
                    Some(person) => {
                        let has_second_factor = row.second_factor;
                        let (uid, name, proof) = (person.uid, person.name, Proof::Allowed);
                        Ok(User { pid, uid, name, proof, has_second_factor })
                    }
                    None => Err(NotYet::Refused),
                })
            }
            ("refused", _) => {
                device_logins::delete_device_login(&self.pool, row.id).await?;
                Ok(Err(NotYet::Refused))
            }
            _ => {
                device_logins::update_asked(&self.pool, row.id, now).await?;
                let is_early = row.asked_at.is_some_and(|at| now - at < SLOW_ENOUGH);
                Ok(Err(if is_early { NotYet::SlowDown } else { NotYet::Pending }))
            }
        }
    }

    /// A code that takes the place of somebody's password once.
    pub async fn new_login_code(&self, user: &User, origin: &Origin) -> Result<Secret, TokenServerError> {
        let code = opaque_token::generate_as(CODE_PREFIX, &self.random)?;
        let (mac, now) = (self.mac(code.expose()), self.clock.now());
        let mut tx = db::begin(&self.pool).await?;
        let whose = (user.pid, user.has_second_factor);
        device_logins::insert_login_code(&mut *tx, &mac, whose, now + CODE_LASTS, now).await?;
        let record = Record {
            event: Event::LoginCodeMade,
            actor: &user.name,
            actor_uid: Some(user.uid),
            target: &user.name,
            outcome: Outcome::Allowed(None),
        };
        audit::record(&mut *tx, &*self.clock, origin, record).await?;
        db::commit(tx).await?;
        Ok(code)
    }

    /// Whose code that is, which is used up by it; the name that came with it must be theirs.
    pub async fn use_login_code(
        &self,
        name: &str,
        code: &Secret,
        origin: &Origin,
    ) -> Result<Option<User>, TokenServerError> {
        let (mac, now) = (self.mac(code.expose()), self.clock.now());
        let from = origin.address.as_deref();
        let name = name.to_ascii_lowercase();
        let used = device_logins::use_login_code(&self.pool, &mac, &name, from, now - AGAIN, now).await?;
        Ok(used.map(|CodeOwner { pid, uid, name, second_factor }| User {
            pid,
            uid,
            name,
            proof: Proof::Allowed,
            has_second_factor: second_factor,
        }))
    }
}
