//! A connection to a directory.
//!
//! *Invariant:* nothing waits longer than the settings say, and a connection on which something went wrong is not used
//! again. A password is in no error and in no log.
//!
//! Spec: RFC 4511 §4.2, §4.5, §4.14.

use std::time::Duration;

use ldap3::adapters::EntriesOnly;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Scope, SearchOptions};
use shared::secret::Secret;
use shared::server::causes;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use url::Url;

use super::super::provider::Directory;
use super::entry::Entry;

/// A connection that was not used for so long may be dead without anybody having said so.
const FRESH_FOR: Duration = Duration::from_mins(1);

const SUCCESS: u32 = 0;

/// There are more than were asked for, or than the directory gives.
const SIZE_LIMIT_EXCEEDED: u32 = 4;

const NO_SUCH_OBJECT: u32 = 32;

const INAPPROPRIATE_AUTHENTICATION: u32 = 48;

const INVALID_CREDENTIALS: u32 = 49;

/// What directories answer besides when somebody is locked out or has to do something first.
const CONSTRAINT_VIOLATION: u32 = 19;
const UNWILLING_TO_PERFORM: u32 = 53;

/// Why a directory said nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoAnswer {
    /// It is not there, or somebody else is.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// Its address.
        url: String,
        /// Why.
        why: String,
    },
    /// It does not do what it is asked.
    #[error("{url} does not do {what}: {why}")]
    Refused {
        /// Its address.
        url: String,
        /// What.
        what: &'static str,
        /// In its own words.
        why: String,
    },
    /// It is asked more than it answers.
    #[error("too many questions wait for it")]
    Busy,
    /// It speaks another language.
    #[error("its answer is none")]
    Nonsense,
}

impl NoAnswer {
    /// Whether another question would have no answer either.
    pub const fn is_about_all(&self) -> bool {
        matches!(self, Self::Silent { .. } | Self::Busy)
    }
}

/// What became of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It is right.
    Right,
    /// It lets nobody in; the word in the record.
    Wrong(&'static str),
}

/// Entries that were found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which.
    pub entries: Vec<Entry>,
    /// Whether there are more.
    pub has_more: bool,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    ldap: Ldap,
    url: String,
    timeout: Duration,
    used: Instant,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects, as nobody in particular.
    pub async fn open(directory: &Directory, url: &Url) -> Result<Self, NoAnswer> {
        let mut settings =
            LdapConnSettings::new().set_conn_timeout(directory.timeout).set_starttls(directory.start_tls);
        if let Some(config) = &directory.tls {
            settings = settings.set_config(config.clone());
        }
        let opened = LdapConnAsync::from_url_with_settings(settings, url).await;
        let (connection, ldap) = opened.map_err(|error| silent(url.as_str(), &error))?;
        let driver = tokio::spawn(async move {
            // What went wrong is told to whoever waits for an answer.
            let _ = connection.drive().await;
        });
        let (url, timeout) = (url.to_string(), directory.timeout);
        Ok(Self { ldap, url, timeout, used: Instant::now(), driver })
    }

    /// The same as whoever searches.
    pub async fn open_to_search(directory: &Directory, url: &Url) -> Result<Self, NoAnswer> {
        let mut connection = Self::open(directory, url).await?;
        if !directory.bind_dn.is_empty() {
            let answer = connection.bind(&directory.bind_dn, &directory.bind_password).await?;
            if answer.rc != SUCCESS {
                return Err(connection.refused("the login of `binddn`", &answer));
            }
        }
        Ok(connection)
    }

    /// Whether it can be expected to work.
    pub fn is_fresh(&mut self) -> bool {
        !self.ldap.is_closed() && self.used.elapsed() < FRESH_FOR
    }

    async fn bind(&mut self, dn: &str, password: &Secret) -> Result<LdapResult, NoAnswer> {
        let bound = tokio::time::timeout(self.timeout, self.ldap.simple_bind(dn, password.expose())).await;
        self.used = Instant::now();
        bound.map_err(|_| self.late())?.map_err(|error| silent(&self.url, &error))
    }

    /// Tries the password of an entry. The connection is that of the entry afterwards.
    pub async fn try_password(mut self, dn: &str, password: &Secret) -> Result<Tried, NoAnswer> {
        // With an empty one, or without a name, nobody would be asked for a password (RFC 4513 §5.1.2), and some take
        // what stands behind a zero for nothing.
        if dn.is_empty() || password.is_empty() || password.expose().contains('\0') {
            return Ok(Tried::Wrong("empty_password"));
        }
        let answer = self.bind(dn, password).await?;
        match answer.rc {
            SUCCESS => Ok(Tried::Right),
            INVALID_CREDENTIALS | INAPPROPRIATE_AUTHENTICATION | NO_SUCH_OBJECT => {
                Ok(Tried::Wrong(reason(&answer.text)))
            }
            CONSTRAINT_VIOLATION | UNWILLING_TO_PERFORM => Ok(Tried::Wrong("refused_by_directory")),
            _ => Err(self.refused("the login of a user", &answer)),
        }
    }

    /// Searches for at most so many entries.
    pub async fn search(
        &mut self,
        (base, scope): (&str, Scope),
        filter: &str,
        attributes: &[&str],
        most: usize,
    ) -> Result<Found, NoAnswer> {
        let timeout = self.timeout;
        let searching = self.search_without_limit((base, scope), filter, attributes, most);
        let found = tokio::time::timeout(timeout, searching).await;
        self.used = Instant::now();
        found.map_err(|_| self.late())?
    }

    async fn search_without_limit(
        &mut self,
        (base, scope): (&str, Scope),
        filter: &str,
        attributes: &[&str],
        most: usize,
    ) -> Result<Found, NoAnswer> {
        let url = self.url.clone();
        let silent = |error: LdapError| silent(&url, &error);
        // One more than are wanted says that there are more.
        let limit = i32::try_from(most.saturating_add(1)).unwrap_or(i32::MAX);
        let options = SearchOptions::new().sizelimit(limit);
        let ldap = self.ldap.with_search_options(options);
        let adapter = EntriesOnly::new();
        let mut stream = ldap
            .streaming_search_with(adapter, base, scope, filter, attributes.to_vec())
            .await
            .map_err(silent)?;
        let mut entries = Vec::new();
        while let Some(entry) = stream.next().await.map_err(silent)? {
            if entries.len() == most {
                return Ok(Found { entries, has_more: true });
            }
            entries.push(Entry::read(entry));
        }
        let answer = stream.finish().await;
        drop(stream);
        match answer.rc {
            SUCCESS => Ok(Found { entries, has_more: false }),
            SIZE_LIMIT_EXCEEDED => Ok(Found { entries, has_more: true }),
            // Below an entry, that of somebody who has gone meanwhile.
            NO_SUCH_OBJECT if scope == Scope::Base => Ok(Found { entries, has_more: false }),
            _ => Err(self.refused("a search", &answer)),
        }
    }

    fn late(&self) -> NoAnswer {
        NoAnswer::Silent { url: self.url.clone(), why: "no answer in time".to_owned() }
    }

    fn refused(&self, what: &'static str, answer: &LdapResult) -> NoAnswer {
        NoAnswer::Refused { url: self.url.clone(), what, why: answer.to_string() }
    }
}

fn silent(url: &str, error: &LdapError) -> NoAnswer {
    NoAnswer::Silent { url: url.to_owned(), why: causes::sentence(error) }
}

/// Why a password lets nobody in, which Active Directory says in a number between other words.
fn reason(text: &str) -> &'static str {
    let number = text.split(", data ").nth(1).and_then(|rest| rest.split([',', ' ', '\0']).next());
    match number {
        Some("530") => "not_at_this_time_in_directory",
        Some("531") => "not_from_here_in_directory",
        Some("532") => "password_expired_in_directory",
        Some("533") => "disabled_in_directory",
        Some("701") => "expired_in_directory",
        Some("773") => "password_must_change_in_directory",
        Some("775") => "locked_in_directory",
        _ => "wrong_password",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_directory_says_why_in_a_number() {
        let told = |data: &str| {
            reason(&format!(
                "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {data}, v3839\0"
            ))
        };
        assert_eq!(told("52e"), "wrong_password");
        assert_eq!(told("533"), "disabled_in_directory");
        assert_eq!(told("775"), "locked_in_directory");
        assert_eq!(told("532"), "password_expired_in_directory");
        assert_eq!(told("701"), "expired_in_directory");
        assert_eq!(reason(""), "wrong_password");
        assert_eq!(reason("data 533"), "wrong_password");
    }
}
