//! Directories: whose passwords are known by an LDAP server or by Active Directory, and which groups they are in.
//!
//! Reading order: what is asked with what somebody typed ([`filters`]), what an entry says ([`entry`]), by what a
//! directory is known ([`tls`]), one connection ([`connection`]), the groups of an entry ([`groups`]), and here all
//! connections to a directory and the questions that it is asked. What becomes of a login is in [`super::directory_logins`].
//!
//! *Invariant:* a password is tried as the one entry that the name finds, on a connection on which nothing else happens;
//! of two entries it is nobody's. However many people come, a directory is asked a bounded number of questions at a time.
//!
//! Spec: RFC 4511, RFC 4513.

pub mod filters;

pub mod entry;

pub mod tls;

pub mod connection;

pub mod groups;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ldap3::Scope;
use shared::secret::Secret;
use tokio::sync::Semaphore;

use super::profile::Profile;
use super::provider::{Directory, Provider, Providers};
use connection::{Connection, NoAnswer, Tried};
use entry::Entry;

/// What a directory says to a name and a password.
#[derive(Clone, Debug)]
pub enum Proven {
    /// The password is right, and this is whose it is.
    Right(Profile),
    /// It has nobody of that name.
    Nobody,
    /// It lets nobody in; the word in the record.
    Wrong(&'static str),
}

/// What a directory is asked.
enum Question {
    /// Whether that is the password of somebody of that name.
    Prove { name: String, password: Secret },
    /// Who the one with this subject is now.
    About { subject: String },
}

enum Answer {
    Proven(Proven),
    About(Option<Profile>),
}

/// This server as a client of a directory.
#[derive(Debug)]
pub struct DirectoryClient {
    provider: Provider,
    settings: Directory,
    /// How many more questions may be asked now.
    turns: Semaphore,
    /// Connections as whoever searches that nobody uses now.
    idle: Mutex<Vec<Connection>>,
    /// Which of the addresses answered last.
    address: AtomicUsize,
}

/// All directories, by name.
pub type DirectoryClients = BTreeMap<String, Arc<DirectoryClient>>;

/// A client for each of them.
pub fn clients(providers: &Providers) -> DirectoryClients {
    let directories = providers.iter().filter_map(|provider| Some((provider, provider.directory()?)));
    directories
        .map(|(provider, settings)| {
            let client = DirectoryClient {
                provider: provider.clone(),
                settings: settings.clone(),
                turns: Semaphore::new(settings.connections),
                idle: Mutex::default(),
                address: AtomicUsize::new(0),
            };
            (provider.name.to_string(), Arc::new(client))
        })
        .collect()
}

/// So many entries are enough to know that there is more than one.
const ONE: usize = 1;

/// A question is given up after so many times what one step of it may take.
const STEPS: u32 = 6;

impl DirectoryClient {
    /// The provider.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Asks whether that is the password of somebody of that name.
    pub async fn prove(self: &Arc<Self>, name: &str, password: &Secret) -> Result<Proven, NoAnswer> {
        if !filters::is_name(name) {
            return Ok(Proven::Nobody);
        }
        let (name, password) = (name.to_owned(), password.clone());
        match self.ask(Question::Prove { name, password }).await? {
            Answer::Proven(proven) => Ok(proven),
            Answer::About(_) => Err(NoAnswer::Nonsense),
        }
    }

    /// Who somebody is now, who was here before; nothing if they are gone or may not log in any more.
    pub async fn ask_again(self: &Arc<Self>, subject: &str) -> Result<Option<Profile>, NoAnswer> {
        match self.ask(Question::About { subject: subject.to_owned() }).await? {
            Answer::About(profile) => Ok(profile),
            Answer::Proven(_) => Err(NoAnswer::Nonsense),
        }
    }

    /// Asks, whether or not somebody still waits for the answer: what was begun on a connection ends there.
    async fn ask(self: &Arc<Self>, question: Question) -> Result<Answer, NoAnswer> {
        let client = self.clone();
        let asking = tokio::spawn(async move {
            let turn = tokio::time::timeout(client.settings.timeout, client.turns.acquire()).await;
            let _turn = turn.map_err(|_| NoAnswer::Busy)?.map_err(|_| NoAnswer::Busy)?;
            let at_most = client.settings.timeout * STEPS;
            let answer = tokio::time::timeout(at_most, client.answer(&question)).await;
            answer.map_err(|_| NoAnswer::Busy)?
        });
        // The library panics where an answer is none.
        asking.await.unwrap_or(Err(NoAnswer::Nonsense))
    }

    async fn answer(&self, question: &Question) -> Result<Answer, NoAnswer> {
        if let Some(mut connection) = self.idle_connection() {
            match self.answer_on(&mut connection, question).await {
                // It was closed while nobody used it.
                Err(NoAnswer::Silent { .. }) => {}
                answer => return Ok(self.keep(connection, answer?)),
            }
        }
        let mut connection = self.connect().await?;
        let answer = self.answer_on(&mut connection, question).await?;
        Ok(self.keep(connection, answer))
    }

    fn idle_connection(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(mut connection) = idle.pop() {
            if connection.is_fresh() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, connection: Connection, answer: Answer) -> Answer {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        answer
    }

    /// Connects to the first address that answers, beginning with the one that did last.
    async fn connect(&self) -> Result<Connection, NoAnswer> {
        let urls = &self.settings.urls;
        let first = self.address.load(Ordering::Relaxed);
        let mut failure = NoAnswer::Busy;
        for step in 0..urls.len() {
            let number = (first + step) % urls.len();
            match Connection::open_to_search(&self.settings, &urls[number]).await {
                Ok(connection) => {
                    self.address.store(number, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(error) => {
                    tracing::warn!(%error, provider = %self.provider.name, "the directory cannot be asked there");
                    failure = error;
                }
            }
        }
        Err(failure)
    }

    async fn answer_on(&self, connection: &mut Connection, question: &Question) -> Result<Answer, NoAnswer> {
        Ok(match question {
            Question::Prove { name, password } => {
                Answer::Proven(self.prove_on(connection, name, password).await?)
            }
            Question::About { subject } => Answer::About(self.about_on(connection, subject).await?),
        })
    }

    async fn prove_on(
        &self,
        connection: &mut Connection,
        name: &str,
        password: &Secret,
    ) -> Result<Proven, NoAnswer> {
        let filter = filters::of_user(&self.settings.user_filter, name);
        let found = self.find(connection, &filter).await?;
        let [entry] = found.as_slice() else {
            if found.is_empty() {
                return Ok(Proven::Nobody);
            }
            tracing::warn!(provider = %self.provider.name, "the directory has several people of a name, so it is nobody's");
            return Ok(Proven::Wrong("several_in_directory"));
        };
        let url = &self.settings.urls[self.address.load(Ordering::Relaxed)];
        let own = Connection::open(&self.settings, url).await?;
        if let Tried::Wrong(reason) = own.try_password(&entry.dn, password).await? {
            return Ok(Proven::Wrong(reason));
        }
        if self.is_disabled(connection, entry).await? {
            return Ok(Proven::Wrong("disabled_in_directory"));
        }
        let profile = self.profile(connection, entry).await?;
        if profile.is_none() {
            let attribute = &self.settings.attributes.subject;
            tracing::warn!(
                provider = %self.provider.name,
                attribute,
                "the directory does not say who somebody is for ever, so nobody is let in"
            );
        }
        Ok(profile.map_or(Proven::Wrong("no_subject_in_directory"), Proven::Right))
    }

    async fn about_on(
        &self,
        connection: &mut Connection,
        subject: &str,
    ) -> Result<Option<Profile>, NoAnswer> {
        let attribute = &self.settings.attributes.subject;
        let Some(filter) = entry::of_subject(attribute, subject) else { return Ok(None) };
        // Whom nobody finds by a name any more cannot log in either.
        let filter = filters::both(&filter, &filters::of_anybody(&self.settings.user_filter));
        match self.find(connection, &filter).await?.as_slice() {
            [entry] if !self.is_disabled(connection, entry).await? => self.profile(connection, entry).await,
            _ => Ok(None),
        }
    }

    /// People that a filter finds; of more than one, two.
    async fn find(&self, connection: &mut Connection, filter: &str) -> Result<Vec<Entry>, NoAnswer> {
        let names = &self.settings.attributes;
        let attributes = [&*names.subject, &*names.name, &*names.display_name];
        let base = (&*self.settings.base, Scope::Subtree);
        Ok(connection.search(base, filter, &attributes, ONE + 1).await?.entries)
    }

    async fn is_disabled(&self, connection: &mut Connection, entry: &Entry) -> Result<bool, NoAnswer> {
        let Some(filter) = &self.settings.disabled_filter else { return Ok(false) };
        let found = connection.search((&entry.dn, Scope::Base), filter, &["1.1"], ONE).await?;
        Ok(!found.entries.is_empty() || found.has_more)
    }

    async fn profile(&self, connection: &mut Connection, entry: &Entry) -> Result<Option<Profile>, NoAnswer> {
        let groups = groups::of(connection, &self.settings, entry).await?;
        Ok(entry.profile(&self.settings, groups))
    }
}
