//! Groups are kept up to date while nobody is there: providers are asked, and what was not heard of for too long counts
//! no more.
//!
//! Servers that share a database share the work: who is asked about by one is left alone by the others for a while.
//!
//! A directory is asked about everybody in it; who is gone from there is not logged in here any more.
//!
//! At the start and from time to time, all who are in a team by groups are looked at: what a group means may have changed
//! with the settings, its provider may be gone from them, and a server may have stopped halfway.
//!
//! *Invariant:* somebody of whose groups nothing was heard for as long as the settings say is in no team by them, whether
//! the provider answers or not.

use std::sync::Arc;
use std::time::Duration;

use ring::rand::SystemRandom;
use shared::secret::Secret;
use shared::server::causes;
use time::OffsetDateTime;

use super::super::administration::Administration;
use super::super::error::TokenServerError;
use super::super::keys::master_secret::{MasterSecret, Purpose};
use super::super::keys::sealing;
use super::code_flow::{NotSignedIn, OpenIdClients};
use super::directory::{DirectoryClient, DirectoryClients};
use super::provider::{Provider, Providers};
use super::sessions::BrowserSessions;
use crate::db::Pool;
use crate::db::identities::{self, Due, IdentityRow};
use crate::db::mapped_teams;

/// How often there is a look at what is to be done.
const INTERVAL: Duration = Duration::from_secs(15);

/// Groups that were told so long ago are asked for again.
const OUTDATED: Duration = Duration::from_hours(1);

/// Whoever was asked about is left alone for so long.
const PATIENCE: Duration = Duration::from_mins(15);

/// All who are in a team by groups are looked at as often as this.
const LOOK_THROUGH: Duration = Duration::from_hours(1);

/// So many at a time.
const AT_ONCE: i64 = 100;

/// What providers give is sealed with this beside it.
pub const REFRESH: &[u8] = b"provider refresh token";

/// What is needed to keep groups up to date.
pub struct Freshness {
    /// Where identities are.
    pub pool: Pool,
    /// The tools of the server itself.
    pub administration: Administration,
    /// All providers.
    pub providers: Providers,
    /// Those that can be asked.
    pub clients: OpenIdClients,
    /// Directories.
    pub directories: DirectoryClients,
    /// Sessions, of which those that have ended are forgotten along the way.
    pub sessions: Arc<BrowserSessions>,
    /// With what things are sealed.
    pub secret: MasterSecret,
    /// For sealing.
    pub random: SystemRandom,
}

impl Freshness {
    /// Goes on until it is dropped.
    pub async fn keep(self) {
        let mut looked_through: Option<OffsetDateTime> = None;
        loop {
            let now = self.administration.now();
            if looked_through.is_none_or(|at| now - at >= LOOK_THROUGH) {
                match self.look_through().await {
                    Ok(()) => looked_through = Some(now),
                    Err(error) => {
                        let error = causes::sentence(&error);
                        tracing::warn!(error, "members of teams by groups were not looked through");
                    }
                }
            }
            tokio::time::sleep(INTERVAL).await;
            for provider in self.providers.iter() {
                if let Err(error) = self.update(provider).await {
                    let error = causes::sentence(&error);
                    tracing::warn!(error, provider = %provider.name, "groups were not brought up to date");
                }
            }
            if let Err(error) = self.sessions.forget_ended().await {
                tracing::warn!(error = causes::sentence(&error), "ended sessions were not removed");
            }
        }
    }

    /// Puts everybody into the teams that their groups mean by the settings of now, and out of others.
    async fn look_through(&self) -> Result<(), TokenServerError> {
        for pid in mapped_teams::list_people_with_groups(&self.pool).await? {
            self.administration.update_mapped_teams(pid).await?;
        }
        Ok(())
    }

    /// Asks about those whose groups are old, and forgets groups that are too old.
    pub async fn update(&self, provider: &Provider) -> Result<(), TokenServerError> {
        let now = self.administration.now();
        if let Some(client) = self.clients.get(provider.name.as_str()) {
            let due = Due {
                provider: provider.name.as_str(),
                told_before: now - OUTDATED.min(provider.max_group_age / 2),
                asked_before: now - PATIENCE.min(provider.max_group_age / 4),
                needs_refresh: true,
            };
            for identity in identities::claim_due(&self.pool, &due, now, AT_ONCE).await? {
                let Some(refresh) = self.open(&identity) else { continue };
                match client.ask_again(&refresh, now.unix_timestamp()).await {
                    Ok(Some((profile, next))) if profile.subject == identity.subject => {
                        let next = next.as_ref().map(|next| self.seal(next)).transpose()?;
                        self.administration.update_groups(&identity, &profile, next.as_deref()).await?;
                    }
                    // It answers no more, or about somebody else: until they come again, what it said counts.
                    Ok(_) => {
                        identities::delete_refresh(&self.pool, &identity.issuer, &identity.subject).await?;
                    }
                    Err(NotSignedIn::Provider(error)) => {
                        tracing::warn!(%error, provider = %provider.name, "the identity provider does not say who is in which group");
                        break;
                    }
                    Err(error) => {
                        let error = causes::sentence(&error);
                        tracing::warn!(
                            error,
                            user = identity.user,
                            "the groups of a user were not brought up to date"
                        );
                    }
                }
            }
        }
        if let Some(directory) = self.directories.get(provider.name.as_str()) {
            self.ask_directory(directory, now).await?;
        }
        let before = now - provider.max_group_age;
        for old in identities::list_outdated(&self.pool, provider.name.as_str(), before, AT_ONCE).await? {
            identities::delete_groups(&self.pool, &old.issuer, &old.subject).await?;
            self.administration.update_mapped_teams(old.pid).await?;
        }
        Ok(())
    }

    /// Asks a directory about those whose groups are old. Whoever is gone from there is not logged in here any more.
    async fn ask_directory(
        &self,
        directory: &Arc<DirectoryClient>,
        now: OffsetDateTime,
    ) -> Result<(), TokenServerError> {
        let provider = directory.provider();
        let due = Due {
            provider: provider.name.as_str(),
            told_before: now - OUTDATED.min(provider.max_group_age / 2),
            asked_before: now - PATIENCE.min(provider.max_group_age / 4),
            needs_refresh: false,
        };
        loop {
            let claimed = identities::claim_due(&self.pool, &due, now, AT_ONCE).await?;
            for identity in &claimed {
                match directory.ask_again(&identity.subject).await {
                    Ok(Some(profile)) => {
                        self.administration.update_groups(identity, &profile, None).await?;
                    }
                    Ok(None) => self.administration.end_gone(identity).await?,
                    Err(error) => {
                        tracing::warn!(%error, provider = %provider.name, "the directory does not say who is in which group");
                        if error.is_about_all() {
                            return Ok(());
                        }
                    }
                }
            }
            if i64::try_from(claimed.len()).unwrap_or(AT_ONCE) < AT_ONCE {
                return Ok(());
            }
        }
    }

    /// Seals what a provider gave to ask about somebody later.
    pub fn seal(&self, refresh: &Secret) -> Result<Vec<u8>, TokenServerError> {
        Ok(seal(&self.secret, &self.random, refresh)?)
    }

    fn open(&self, identity: &IdentityRow) -> Option<Secret> {
        let sealed = identity.refresh.as_deref()?;
        let plain = sealing::open(&self.secret, Purpose::SignOn, REFRESH, sealed).ok()?;
        String::from_utf8(plain).ok().map(Secret::new)
    }
}

/// Seals what a provider gave to ask about somebody later.
pub fn seal(
    secret: &MasterSecret,
    random: &SystemRandom,
    refresh: &Secret,
) -> Result<Vec<u8>, super::super::random::NoRandomness> {
    sealing::seal(secret, Purpose::SignOn, REFRESH, refresh.expose().as_bytes(), random)
}
