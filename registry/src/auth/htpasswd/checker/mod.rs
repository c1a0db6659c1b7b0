//! From a user name and a password to yes or no.
//!
//! A password that was right is remembered for a while, so that a push of many layers costs one slow hash. Users are
//! looked up each time, when a place behind the gate is free: what counts is the file as it is then.
//!
//! *Invariant:* neither a user nor a password is kept; a wrong password costs the work of the file's highest cost,
//! whoever is asked for.

use std::net::IpAddr;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ring::rand::SecureRandom;
use shared::clock::Clock;
use shared::secret::Secret;
use shared::server::passwords::MAX_PASSWORD_BYTES;
use shared::server::passwords::gate::{GateError, HashRuns, HashingGate};
use shared::server::passwords::verified::VerifiedPasswords;

use super::failures::{Attempt, Failures};
use super::users::{StoredHash, Users, UsersError, decoy};

/// How often the file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a password that was right is not hashed again.
const REMEMBERED: Duration = Duration::from_mins(5);

/// Where the users are, and what people are told they log in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HtpasswdSettings {
    pub(crate) realm: String,
    pub(crate) path: PathBuf,
}

/// Why passwords cannot be checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HtpasswdError {
    #[error(transparent)]
    Users(#[from] UsersError),
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginError {
    /// Unknown user or wrong password, without telling which.
    Wrong,
    /// Too many wrong tries for this user from there; nothing was hashed.
    TooManyFailures { wait: Duration },
    /// More logins at once than are queued.
    Busy,
    /// The check ended without a result.
    Failed,
}

/// Checks passwords against a file that may change.
pub(crate) struct Htpasswd {
    settings: HtpasswdSettings,
    /// The file as it was read at start.
    seen: Option<Stamp>,
    gate: HashingGate,
    desk: Arc<Desk>,
}

/// What a check needs while it runs in a thread of its own.
struct Desk {
    users: ArcSwap<Users>,
    verified: VerifiedPasswords,
    failures: Failures,
    clock: Arc<dyn Clock>,
}

impl Htpasswd {
    /// Reads the file.
    pub(crate) fn load(
        settings: HtpasswdSettings,
        clock: Arc<dyn Clock>,
        random: &dyn SecureRandom,
    ) -> Result<Self, HtpasswdError> {
        let seen = stamp(&settings.path);
        let users = read(&settings.path)?;
        let verified = VerifiedPasswords::new(REMEMBERED, random).map_err(|_| HtpasswdError::NoRandomness)?;
        let desk = Desk { users: ArcSwap::from_pointee(users), verified, failures: Failures::new(), clock };
        let gate = HashingGate::new(HashingGate::default_concurrency(), HashingGate::DEFAULT_QUEUE);
        Ok(Self { settings, seen, gate, desk: Arc::new(desk) })
    }

    /// Whether the file can be used, for whoever only wants to know.
    pub(crate) fn check_file(path: &Path) -> Result<(), UsersError> {
        Users::read(path).map(|_| ())
    }

    /// What people are told they log in to.
    pub(crate) fn realm(&self) -> &str {
        &self.settings.realm
    }

    /// Whether this is the user's password.
    pub(crate) async fn check(
        &self,
        user: &str,
        password: &Secret,
        source: Option<IpAddr>,
    ) -> Result<(), LoginError> {
        if user.is_empty() || password.is_empty() || password.expose().len() > MAX_PASSWORD_BYTES {
            return Err(LoginError::Wrong);
        }
        if self.desk.remembers(user, password) {
            return Ok(());
        }
        let attempt = Attempt::new(user, source);
        self.desk.admit(attempt)?;
        let (desk, user, password) = (self.desk.clone(), user.to_owned(), password.clone());
        let verdict = self.gate.run(move |runs| desk.check(&user, &password, attempt, runs)).await;
        verdict.map_err(|error| match error {
            GateError::Busy => LoginError::Busy,
            GateError::Failed => LoginError::Failed,
        })?
    }

    /// Reads the file again when it has changed, for as long as it is polled.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        let mut known = Known { stamp: self.seen, refused: None };
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            self.look_again(&mut known).await;
        }
    }

    async fn look_again(&self, known: &mut Known) {
        let (path, seen) = (self.settings.path.clone(), known.stamp);
        match tokio::task::spawn_blocking(move || look(&path, seen)).await {
            Ok(Look::Same) => {}
            Ok(Look::Changed { stamp, users: Ok(users) }) => {
                *known = Known { stamp, refused: None };
                self.desk.exchange(users);
            }
            Ok(Look::Changed { stamp, users: Err(error) }) => {
                known.stamp = stamp;
                let error = error.to_string();
                if known.refused.as_ref() != Some(&error) {
                    tracing::error!(error, "password file not read again; the users read before stay");
                    known.refused = Some(error);
                }
            }
            Err(error) => tracing::error!(%error, "password file not looked at"),
        }
    }
}

impl Desk {
    fn remembers(&self, user: &str, password: &Secret) -> bool {
        let users = self.users.load();
        users
            .hash_of(user)
            .is_some_and(|hash| self.verified.contains(user.as_bytes(), &hash.text, password, &*self.clock))
    }

    fn admit(&self, attempt: Attempt) -> Result<(), LoginError> {
        match self.failures.wait(attempt, &*self.clock) {
            Some(wait) => Err(LoginError::TooManyFailures { wait }),
            None => Ok(()),
        }
    }

    /// The slow part. Others with the same password, or the same mistake, may have been first in the queue.
    fn check(
        &self,
        user: &str,
        password: &Secret,
        attempt: Attempt,
        runs: &HashRuns,
    ) -> Result<(), LoginError> {
        if self.remembers(user, password) {
            return Ok(());
        }
        self.admit(attempt)?;
        let users = self.users.load_full();
        let hash = users.hash_of(user);
        runs.count();
        let matches = match hash {
            Some(hash) => bcrypt::verify(password.expose(), &hash.text).unwrap_or(false),
            None => false,
        };
        match hash {
            Some(hash) if matches && self.users.load().hash_of(user) == Some(hash) => {
                self.verified.insert(user.as_bytes(), &hash.text, password, &*self.clock);
                Ok(())
            }
            _ => {
                self.failures.note(attempt, &*self.clock);
                spend(password, hash, users.highest_cost);
                Err(LoginError::Wrong)
            }
        }
    }

    fn exchange(&self, users: Users) {
        self.users.store(Arc::new(users));
        self.verified.clear();
        tracing::info!(users = self.users.load().count(), "password file read again");
    }
}

/// Does what was not spent on the user's own hash.
fn spend(password: &Secret, spent: Option<&StoredHash>, highest: u32) {
    for cost in remaining_costs(spent.map(|hash| hash.cost), highest) {
        // The outcome means nothing.
        let _ = bcrypt::verify(password.expose(), &decoy(cost));
    }
}

/// Costs are powers of two, so one more hash of each cost from the user's up to the highest adds up to the highest.
fn remaining_costs(spent: Option<u32>, highest: u32) -> Range<u32> {
    spent.unwrap_or(highest)..if spent.is_some() { highest } else { highest + 1 }
}

/// Tells one state of a file from another without reading it.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

/// What was found at the last look.
struct Known {
    stamp: Option<Stamp>,
    /// Said once, not every second.
    refused: Option<String>,
}

enum Look {
    Same,
    Changed {
        /// Nothing if the file cannot even be looked at.
        stamp: Option<Stamp>,
        users: Result<Users, UsersError>,
    },
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    let [modified, changed] = [(file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec())];
    Some((file.dev(), file.ino(), file.size(), modified, changed))
}

fn look(path: &Path, seen: Option<Stamp>) -> Look {
    // Before reading, so that a change in the meantime is seen at the next look.
    let stamp = stamp(path);
    if stamp.is_some() && stamp == seen { Look::Same } else { Look::Changed { stamp, users: read(path) } }
}

/// Reads the file and says which lines are of no use.
fn read(path: &Path) -> Result<Users, UsersError> {
    let users = Users::read(path)?;
    if !users.useless_lines.is_empty() {
        tracing::warn!(
            file = %path.display(),
            lines = ?users.useless_lines,
            "lines of the password file let nobody in: only bcrypt hashes count, and the last line of a user"
        );
    }
    if users.count() == 0 {
        tracing::warn!(file = %path.display(), "nobody in the password file can log in");
    }
    Ok(users)
}

#[cfg(test)]
mod tests;
