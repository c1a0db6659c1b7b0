//! Who comes from elsewhere, and which user that is: linking, the first visit, and the teams of their groups.
//!
//! *Invariant:* somebody who is known is let in as the user they are linked to and no other one. Somebody who is not
//! becomes a new user only where the settings say so and nobody has the name; an existing user is linked by themselves,
//! while they are signed in, or by an administrator. Of teams, only memberships that came from groups go with them.

use uuid::Uuid;

use super::super::error::TokenServerError;
use super::super::principal_name::PrincipalName;
use super::super::random;
use super::super::record::audit::Event;
use super::super::signon::profile::Profile;
use super::super::signon::provider::{NewUsers, Provider};
use super::{Administration, find_user, hold_user};
use crate::db::identities::{self, IDENTITY_KEY, IdentityRow, NewIdentity, PendingRow, Said};
use crate::db::users::{self, UserRow};
use crate::db::{self, Transaction, browser_sessions, principals, refresh_tokens, scim_users};

/// So many people who are nobody are kept.
const MAX_PENDING: i64 = 1_000;

/// What an identity is called in sentences.
const IDENTITY: &str = "identity";

/// What became of somebody who came from elsewhere.
#[derive(Clone, Debug)]
pub enum Admission {
    /// They are this user.
    User(UserRow),
    /// They are nobody yet; who they said to be is kept under this number.
    Pending(Uuid),
    /// They are not let in.
    Refused(NotAdmitted),
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The user they are is disabled.
    Disabled,
    /// The settings let no newcomers in.
    Newcomer,
}

impl NotAdmitted {
    /// The word in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled_user",
            Self::Newcomer => "unknown_identity",
        }
    }
}

/// Why somebody is nobody yet, as it is stored and shown.
const ASK: &str = "newcomers are asked about";
const NO_NAME: &str = "their name there is no name here";
const NAME_TAKEN: &str = "somebody has that name";

impl Administration {
    /// Lets somebody in who proved to a provider who they are, with what it said of them and, sealed, what it gave to ask
    /// about them later.
    pub async fn admit(
        &self,
        provider: &Provider,
        profile: &Profile,
        refresh: Option<&[u8]>,
    ) -> Result<Admission, TokenServerError> {
        if let Some(known) = identities::find_identity(&self.pool, &profile.issuer, &profile.subject).await? {
            return self.admit_known(&known, profile, refresh).await;
        }
        // Whom the provider has removed does not come back by signing in.
        if scim_users::is_removed(&self.pool, &profile.issuer, &profile.subject).await? {
            return Ok(Admission::Refused(NotAdmitted::Disabled));
        }
        let reason = match (provider.new_users, profile.user_name()) {
            (NewUsers::Refuse, _) => return Ok(Admission::Refused(NotAdmitted::Newcomer)),
            (NewUsers::Ask, _) => ASK,
            (NewUsers::Create, None) => NO_NAME,
            (NewUsers::Create, Some(name)) => match self.create_from(provider, profile, refresh, &name).await
            {
                Ok(admission) => return Ok(admission),
                Err(TokenServerError::AlreadyThere { .. } | TokenServerError::NamespaceTaken { .. }) => {
                    NAME_TAKEN
                }
                Err(error) => return Err(error),
            },
        };
        let now = self.clock.now();
        let row = PendingRow {
            id: random::dated_id(&self.random, &*self.clock)?,
            issuer: profile.issuer.clone(),
            subject: profile.subject.clone(),
            provider: provider.name.to_string(),
            name: profile.name.clone(),
            display_name: profile.display_name.clone(),
            reason: reason.to_owned(),
            tries: 1,
            first_at: now,
            last_at: now,
        };
        Ok(Admission::Pending(identities::insert_pending(&self.pool, &row, MAX_PENDING).await?))
    }

    async fn admit_known(
        &self,
        known: &IdentityRow,
        profile: &Profile,
        refresh: Option<&[u8]>,
    ) -> Result<Admission, TokenServerError> {
        let found = users::find_user(&self.pool, &known.user).await?.filter(|row| row.pid == known.pid);
        let Some(user) = found.filter(|row| !row.disabled) else {
            return Ok(Admission::Refused(NotAdmitted::Disabled));
        };
        let mut connection = db::begin(&self.pool).await?;
        self.keep_said(&mut connection, user.pid, profile, refresh, true).await?;
        db::commit(connection).await?;
        self.update_mapped_teams(user.pid).await?;
        Ok(Admission::User(user))
    }

    /// Keeps what a provider said of somebody who is linked.
    async fn keep_said(
        &self,
        tx: &mut Transaction,
        pid: i64,
        profile: &Profile,
        refresh: Option<&[u8]>,
        has_come: bool,
    ) -> Result<(), TokenServerError> {
        let said = Said { name: &profile.name, groups: profile.groups.as_deref(), refresh };
        let key = (profile.issuer.as_str(), profile.subject.as_str());
        identities::update_said(&mut **tx, key, &said, has_come, self.clock.now()).await?;
        if let Some(display_name) = &profile.display_name {
            identities::update_display_name(&mut **tx, pid, display_name).await?;
        }
        Ok(())
    }

    /// Makes a user of somebody who came for the first time.
    async fn create_from(
        &self,
        provider: &Provider,
        profile: &Profile,
        refresh: Option<&[u8]>,
        name: &PrincipalName,
    ) -> Result<Admission, TokenServerError> {
        let mut tx = self.begin().await?;
        // Two tabs can come back at the same time.
        if let Some(known) = identities::find_identity(&mut *tx, &profile.issuer, &profile.subject).await? {
            drop(tx);
            return self.admit_known(&known, profile, refresh).await;
        }
        let pid = self.insert_user_with_namespace(&mut tx, name, None).await?;
        let remark = format!("from {}", provider.name);
        self.record(&mut tx, Event::UserAdded, name.as_str(), Some(&remark)).await?;
        self.insert_link(&mut tx, name, pid, provider.name.as_str(), profile).await?;
        self.keep_said(&mut tx, pid, profile, refresh, true).await?;
        self.apply_mapped_teams(&mut tx, &[pid]).await?;
        let user = users::find_user(&mut *tx, name.as_str()).await?;
        let user = user.ok_or_else(|| super::not_found(principals::USER, name))?;
        db::commit(tx).await?;
        Ok(Admission::User(user))
    }

    pub(super) async fn insert_link(
        &self,
        tx: &mut Transaction,
        user: &PrincipalName,
        pid: i64,
        provider: &str,
        profile: &Profile,
    ) -> Result<(), TokenServerError> {
        let Profile { issuer, subject, name, .. } = profile;
        let row = NewIdentity { issuer, subject, pid, provider, name };
        identities::insert_identity(&mut **tx, &row, self.clock.now()).await.map_err(|error| {
            if error.is_conflict_with(IDENTITY_KEY) {
                TokenServerError::AlreadyThere { kind: IDENTITY, name: format!("{subject} of {issuer}") }
            } else {
                error.into()
            }
        })?;
        identities::delete_pending_of(&mut **tx, issuer, subject).await?;
        let remark = format!("{subject} of {issuer}");
        self.record(tx, Event::IdentityLinked, user.as_str(), Some(&remark)).await
    }

    /// Makes an identity a user who is there: their own, as they have just proved, or said so by who holds everything.
    pub async fn link_identity(
        &self,
        user: &PrincipalName,
        provider: &Provider,
        profile: &Profile,
    ) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        if !self.actor.is_in_person(user) {
            self.demand_everything(&mut tx, "linking the identity of somebody else").await?;
        }
        let pid = hold_user(&mut *tx, user).await?;
        self.insert_link(&mut tx, user, pid, provider.name.as_str(), profile).await?;
        self.keep_said(&mut tx, pid, profile, None, false).await?;
        self.apply_mapped_teams(&mut tx, &[pid]).await?;
        Ok(db::commit(tx).await?)
    }

    /// The same by the names of things, for those who hold everything; says what became of it.
    pub async fn link_subject(
        &self,
        user: &PrincipalName,
        provider: &str,
        subject: &str,
    ) -> Result<IdentityRow, TokenServerError> {
        let missing = || TokenServerError::NotFound { kind: "identity provider", name: provider.to_owned() };
        let found = self.providers.get(provider).ok_or_else(missing)?.clone();
        let sentence =
            || TokenServerError::Contradiction("the subject must be what the provider says".to_owned());
        let profile = Profile::new(found.issuer(), subject, subject, None, None).ok_or_else(sentence)?;
        self.link_identity(user, &found, &profile).await?;
        let row = identities::find_identity(&self.pool, found.issuer(), subject).await?;
        row.ok_or_else(|| no_identity(subject))
    }

    /// Makes an identity nobody, and ends the browser sessions that began with it. Nobody does that to their own last way
    /// in. Says whose it was.
    pub async fn unlink_identity(&self, id: Uuid) -> Result<IdentityRow, TokenServerError> {
        let mut tx = self.begin().await?;
        let found = identities::find_identity_by_id(&mut *tx, id).await?;
        let name = found.as_ref().map(|found| PrincipalName::parse(&found.user)).transpose()?;
        if !name.as_ref().is_some_and(|name| self.actor.is_in_person(name)) {
            self.demand_everything(&mut tx, "unlinking the identity of somebody else").await?;
        }
        let (Some(found), Some(name)) = (found, name) else { return Err(no_identity(&id.to_string())) };
        if self.actor.is_user(&name) && identities::is_last_way_in(&mut *tx, found.pid).await? {
            let sentence = "you have no password, so this is how you sign in; link something else first";
            return Err(TokenServerError::Contradiction(sentence.to_owned()));
        }
        let (issuer, subject) = (&found.issuer, &found.subject);
        identities::delete_identity(&mut *tx, issuer, subject).await?;
        browser_sessions::delete_sessions_from(&mut *tx, issuer, Some(subject), None).await?;
        self.apply_mapped_teams(&mut tx, &[found.pid]).await?;
        let remark = format!("{subject} of {issuer}");
        self.record(&mut tx, Event::IdentityUnlinked, &found.user, Some(&remark)).await?;
        db::commit(tx).await?;
        Ok(found)
    }

    /// One identity, for those who see everything.
    pub async fn show_identity(&self, id: Uuid) -> Result<IdentityRow, TokenServerError> {
        self.demand_sight_of_all("looking at the identities of others").await?;
        identities::find_identity_by_id(&self.pool, id).await?.ok_or_else(|| no_identity(&id.to_string()))
    }

    /// All identities by user, or those of one user, who may ask for them.
    pub async fn list_identities(
        &self,
        user: Option<&PrincipalName>,
    ) -> Result<Vec<IdentityRow>, TokenServerError> {
        if !user.is_some_and(|user| self.actor.is_user(user)) {
            self.demand_sight_of_all("listing the identities of others").await?;
        }
        let pid = match user {
            Some(user) => Some(find_user(&self.pool, user).await?),
            None => None,
        };
        Ok(identities::list_identities(&self.pool, pid).await?)
    }

    /// How people call a user, as a provider said it.
    pub async fn display_name(&self, user: &PrincipalName) -> Result<Option<String>, TokenServerError> {
        if !self.actor.is_user(user) {
            self.demand_sight_of_all("reading what others are called").await?;
        }
        let pid = find_user(&self.pool, user).await?;
        Ok(identities::find_display_name(&self.pool, pid).await?)
    }

    /// People who proved who they are elsewhere and are nobody here, the last first.
    pub async fn list_pending_identities(&self) -> Result<Vec<PendingRow>, TokenServerError> {
        self.demand_sight_of_all("listing people who are not known here").await?;
        Ok(identities::list_pending(&self.pool).await?)
    }

    /// Makes one of them the user of this name, who is added unless there; says what became of it.
    pub async fn accept_identity(
        &self,
        id: Uuid,
        user: Option<&PrincipalName>,
    ) -> Result<IdentityRow, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "letting somebody in").await?;
        let pending = identities::delete_pending(&mut *tx, id).await?;
        let pending = pending.ok_or_else(|| no_identity(&id.to_string()))?;
        let PendingRow { issuer, subject, provider, name, display_name, .. } = pending;
        let profile = Profile { issuer, subject, name, display_name, groups: None };
        let named = user.cloned().or_else(|| profile.user_name());
        let named = named.ok_or_else(|| {
            let sentence = format!("{:?} is no name of a user; say which user that is", profile.name);
            TokenServerError::Contradiction(sentence)
        })?;
        let found = principals::find_principal_held(&mut *tx, principals::USER, named.as_str()).await?;
        let pid = match found {
            // Nobody is linked to somebody else because both have the same name.
            Some(_) if user.is_none() => {
                let sentence = format!("there is a user {named} already; say whether that is who this is");
                return Err(TokenServerError::Contradiction(sentence));
            }
            Some(pid) => pid,
            None => {
                let new = PrincipalName::parse_new(named.as_str())?;
                let pid = self.insert_user_with_namespace(&mut tx, &new, None).await?;
                self.record(&mut tx, Event::UserAdded, new.as_str(), Some(&format!("from {provider}")))
                    .await?;
                pid
            }
        };
        self.insert_link(&mut tx, &named, pid, &provider, &profile).await?;
        self.keep_said(&mut tx, pid, &profile, None, false).await?;
        let made = identities::find_identity(&mut *tx, &profile.issuer, &profile.subject).await?;
        let made = made.ok_or_else(|| no_identity(&profile.subject))?;
        db::commit(tx).await?;
        Ok(made)
    }

    /// Keeps what a provider says of somebody who is linked and not there now, and puts them into the teams of that.
    pub async fn update_groups(
        &self,
        identity: &IdentityRow,
        profile: &Profile,
        refresh: Option<&[u8]>,
    ) -> Result<(), TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        self.keep_said(&mut tx, identity.pid, profile, refresh, false).await?;
        db::commit(tx).await?;
        self.update_mapped_teams(identity.pid).await
    }

    /// Ends the logins of somebody whom a directory does not have any more, and takes them out of the teams of its groups.
    /// Who can also come in another way is left alone after the first time.
    pub async fn end_gone(&self, identity: &IdentityRow) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        let found = identities::find_identity(&mut *tx, &identity.issuer, &identity.subject).await?;
        // It was somebody else's meanwhile, or has just come.
        let Some(known) = found.filter(|now| now.pid == identity.pid && now.groups_at == identity.groups_at)
        else {
            return Ok(());
        };
        let has_password = users::find_user(&mut *tx, &known.user).await?;
        let has_password = has_password.is_some_and(|user| user.password_hash.is_some());
        let identities = identities::list_identities(&mut *tx, Some(known.pid)).await?.len();
        let is_first = known.groups_at.is_some();
        if !is_first && (has_password || identities > 1) {
            return Ok(());
        }
        identities::delete_groups(&mut *tx, &known.issuer, &known.subject).await?;
        let tokens = refresh_tokens::delete_refresh_tokens_of(&mut *tx, known.pid).await?;
        let sessions = browser_sessions::delete_sessions_of(&mut *tx, known.pid).await?;
        self.apply_mapped_teams(&mut tx, &[known.pid]).await?;
        if is_first || tokens + sessions > 0 {
            let remark = format!("all, gone from {}", known.provider);
            let target = format!("user:{}", known.user);
            self.record(&mut tx, Event::LoginEnded, &target, Some(&remark)).await?;
        }
        Ok(db::commit(tx).await?)
    }
}

fn no_identity(name: &str) -> TokenServerError {
    TokenServerError::NotFound { kind: IDENTITY, name: name.to_owned() }
}
