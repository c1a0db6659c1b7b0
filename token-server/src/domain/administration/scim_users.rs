//! Users whom an identity provider makes, changes and removes by SCIM.
//!
//! *Invariant:* a provider sees and touches only whom it made, or who came from it and from nowhere else and has no
//! password. Who somebody is when they sign in does not change by what SCIM says.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::error::TokenServerError;
use super::super::principal_name::PrincipalName;
use super::super::provisioning::ScimError;
use super::super::provisioning::draft::UserDraft;
use super::super::random;
use super::super::record::audit::Event;
use super::super::signon::profile::{Profile, user_name_of};
use super::super::signon::provider::{Provider, ScimSubject};
use super::Administration;
use crate::db::error::DbError;
use crate::db::scim_users::{self, GroupOfUser, ScimUserRow, Sought, StoredUser};
use crate::db::{self, Transaction, identities, users};

/// What somebody is to be like before they are changed.
pub type Check<'a> = &'a (dyn Fn(&ScimUserRow) -> bool + Sync);

/// What becomes of what is stored.
pub type Change<'a> = &'a (dyn Fn(&UserDraft) -> Result<UserDraft, ScimError> + Sync);

/// A page of what was looked for.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// How many there are in all.
    pub total: i64,
    /// Those of the page.
    pub rows: Vec<T>,
}

impl Administration {
    /// Users of a provider that are looked for.
    pub async fn find_scim_users(
        &self,
        provider: &Provider,
        sought: &Sought,
        page: (i64, i64),
    ) -> Result<Found<ScimUserRow>, TokenServerError> {
        let name = provider.name.as_str();
        let total = scim_users::count_users(&self.pool, name, sought).await?;
        let rows = if page.1 > 0 && page.0 < total {
            scim_users::list_users(&self.pool, name, sought, page).await?
        } else {
            Vec::new()
        };
        Ok(Found { total, rows })
    }

    /// One user of a provider.
    pub async fn show_scim_user(
        &self,
        provider: &Provider,
        id: Uuid,
    ) -> Result<ScimUserRow, TokenServerError> {
        let found = scim_users::find_user(&self.pool, provider.name.as_str(), id).await?;
        found.ok_or_else(|| no_user(id))
    }

    /// In which groups of the provider users are.
    pub async fn scim_groups_of(&self, users: &[Uuid]) -> Result<Vec<GroupOfUser>, TokenServerError> {
        Ok(scim_users::list_groups_of(&self.pool, users).await?)
    }

    /// Makes a user; one who was removed and is the same there comes back.
    pub async fn add_scim_user(
        &self,
        provider: &Provider,
        draft: &UserDraft,
    ) -> Result<ScimUserRow, TokenServerError> {
        let subject = subject_of(provider, draft);
        let mut tx = self.begin().await?;
        let removed = match subject {
            Some(subject) => scim_users::find_removed(&mut *tx, provider.name.as_str(), subject).await?,
            None => None,
        };
        let known = match (subject, &removed) {
            (Some(subject), None) => identities::find_identity(&mut *tx, provider.issuer(), subject).await?,
            _ => None,
        };
        let (id, pid, name, created) = if let Some(row) = &removed {
            self.demand_only_from(&mut tx, provider, row.pid, &row.user).await?;
            (row.id, row.pid, PrincipalName::parse(&row.user)?, row.created_at)
        } else {
            let id = random::dated_id(&self.random, &*self.clock)?;
            let now = self.clock.now();
            if let Some(known) = known {
                self.demand_only_from(&mut tx, provider, known.pid, &known.user).await?;
                (id, known.pid, PrincipalName::parse(&known.user)?, now)
            } else {
                let (pid, name) = self.insert_scim_principal(&mut tx, provider, draft).await?;
                (id, pid, name, now)
            }
        };
        self.store_scim_user(&mut tx, provider, (id, pid, created), draft, subject).await?;
        self.link_scim_subject(&mut tx, provider, (pid, &name), draft, subject).await?;
        self.apply_active(&mut tx, (id, pid, &name), draft.is_active).await?;
        let made = scim_users::find_user(&mut *tx, provider.name.as_str(), id).await?;
        let made = made.ok_or_else(|| no_user(id))?;
        db::commit(tx).await?;
        Ok(made)
    }

    /// Lets a user in whom the provider kept out, or keeps them out. Whom an administrator disabled stays so.
    async fn apply_active(
        &self,
        tx: &mut Transaction,
        (id, pid, name): (Uuid, i64, &PrincipalName),
        is_active: bool,
    ) -> Result<(), TokenServerError> {
        if !is_active {
            if self.apply_disabled(tx, pid, name).await?.is_change {
                scim_users::update_disabled(&mut **tx, id).await?;
            }
        } else if scim_users::is_disabled_by_provider(&mut **tx, id).await? {
            self.apply_enabled(tx, pid, name).await?;
        }
        Ok(())
    }

    async fn insert_scim_principal(
        &self,
        tx: &mut Transaction,
        provider: &Provider,
        draft: &UserDraft,
    ) -> Result<(i64, PrincipalName), TokenServerError> {
        let name = user_name_of(&draft.user_name).ok_or_else(|| {
            let sentence = format!("{:?} makes no name of a user here", draft.user_name);
            ScimError::InvalidValue(sentence)
        })?;
        let pid = self.insert_user_with_namespace(tx, &name, None).await.map_err(|error| match error {
            TokenServerError::AlreadyThere { .. } | TokenServerError::NamespaceTaken { .. } => {
                ScimError::Uniqueness(format!(
                    "the name {name} is taken here; an administrator can say that they are the same with `identity link`"
                ))
                .into()
            }
            error => error,
        })?;
        let remark = format!("from {}", provider.name);
        self.record(tx, Event::UserAdded, name.as_str(), Some(&remark)).await?;
        Ok((pid, name))
    }

    /// Who has another way in is somebody else's to decide about.
    async fn demand_only_from(
        &self,
        tx: &mut Transaction,
        provider: &Provider,
        pid: i64,
        user: &str,
    ) -> Result<(), TokenServerError> {
        let row = users::find_user(&mut **tx, user).await?;
        let has_password = row.is_none_or(|row| row.password_hash.is_some());
        let ways = identities::list_identities(&mut **tx, Some(pid)).await?;
        if has_password || ways.iter().any(|way| way.issuer != provider.issuer()) {
            let sentence = "somebody here is that already, and has a password or another way to sign in, so SCIM does \
                            not decide about them";
            return Err(ScimError::Uniqueness(sentence.to_owned()).into());
        }
        Ok(())
    }

    async fn store_scim_user(
        &self,
        tx: &mut Transaction,
        provider: &Provider,
        (id, pid, created): (Uuid, i64, OffsetDateTime),
        draft: &UserDraft,
        subject: Option<&str>,
    ) -> Result<(), TokenServerError> {
        let now = self.clock.now();
        let stored = StoredUser {
            id,
            provider: provider.name.as_str(),
            issuer: provider.issuer(),
            subject,
            pid,
            user_name: &draft.user_name,
            external_id: draft.external_id.as_deref(),
            said: &Value::Object(draft.said.clone()),
            search: &draft.search(&id.to_string(), created, now),
            is_active: draft.is_active,
        };
        scim_users::put_user(&mut **tx, &stored, now).await.map_err(taken)
    }

    /// Makes who somebody is there the user, where that is known and new.
    async fn link_scim_subject(
        &self,
        tx: &mut Transaction,
        provider: &Provider,
        (pid, user): (i64, &PrincipalName),
        draft: &UserDraft,
        subject: Option<&str>,
    ) -> Result<(), TokenServerError> {
        if let Some(display_name) = draft.display_name() {
            let shown: String = display_name.chars().take(100).collect();
            identities::update_display_name(&mut **tx, pid, &shown).await?;
        }
        let Some(subject) = subject else { return Ok(()) };
        let known = identities::find_identity(&mut **tx, provider.issuer(), subject).await?;
        if let Some(known) = known {
            return if known.pid == pid {
                Ok(())
            } else {
                let sentence = format!("{subject} is somebody else here already");
                Err(ScimError::Uniqueness(sentence).into())
            };
        }
        let profile = Profile::new(provider.issuer(), subject, &draft.user_name, draft.display_name(), None);
        let profile = profile.ok_or_else(|| ScimError::InvalidValue(format!("{subject:?} is nobody")))?;
        self.insert_link(tx, user, pid, provider.name.as_str(), &profile).await
    }

    /// Changes a user, if it is as expected.
    pub async fn change_scim_user(
        &self,
        provider: &Provider,
        id: Uuid,
        is_expected: Check<'_>,
        change: Change<'_>,
    ) -> Result<ScimUserRow, TokenServerError> {
        let mut tx = self.begin().await?;
        let before = scim_users::find_user(&mut *tx, provider.name.as_str(), id).await?;
        let before = before.ok_or_else(|| no_user(id))?;
        if !is_expected(&before) {
            return Err(TokenServerError::ChangedMeanwhile);
        }
        let was = draft_of(&before);
        let draft = change(&was)?;
        // Whom an administrator let in meanwhile is kept out again when the provider says so again.
        let is_let_in = !draft.is_active && before.disabled_at.is_none();
        // What is the same costs nothing and is no new version.
        if draft == was && !is_let_in {
            return Ok(before);
        }
        let subject = subject_of(provider, &draft).or(before.subject.as_deref());
        self.demand_same_subject(&mut tx, provider, &before, subject).await?;
        let name = PrincipalName::parse(&before.user)?;
        self.store_scim_user(&mut tx, provider, (id, before.pid, before.created_at), &draft, subject).await?;
        self.link_scim_subject(&mut tx, provider, (before.pid, &name), &draft, subject).await?;
        if before.is_active != draft.is_active || is_let_in {
            self.apply_active(&mut tx, (id, before.pid, &name), draft.is_active).await?;
        }
        if draft.user_name != was.user_name {
            let remark = format!("{} of {}", draft.user_name, provider.name);
            self.record(&mut tx, Event::ScimUserChanged, name.as_str(), Some(&remark)).await?;
        }
        let after = scim_users::find_user(&mut *tx, provider.name.as_str(), id).await?;
        let after = after.ok_or_else(|| no_user(id))?;
        db::commit(tx).await?;
        Ok(after)
    }

    /// Refuses to make a user somebody else there, unless an administrator has linked the two.
    async fn demand_same_subject(
        &self,
        tx: &mut Transaction,
        provider: &Provider,
        before: &ScimUserRow,
        subject: Option<&str>,
    ) -> Result<(), TokenServerError> {
        let (Some(was), Some(is)) = (before.subject.as_deref(), subject) else { return Ok(()) };
        if was == is {
            return Ok(());
        }
        let linked = identities::find_identity(&mut **tx, provider.issuer(), is).await?;
        if linked.is_some_and(|linked| linked.pid == before.pid) {
            return Ok(());
        }
        let sentence = format!(
            "this is who {} is when they sign in, which does not change; an administrator can link the new one first \
             with `identity link`",
            before.user
        );
        Err(ScimError::Mutability(sentence).into())
    }

    /// Removes a user: they are disabled, and nobody there is them any more; the user of ours stays.
    pub async fn remove_scim_user(
        &self,
        provider: &Provider,
        id: Uuid,
        is_expected: Check<'_>,
    ) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        let before = scim_users::find_user(&mut *tx, provider.name.as_str(), id).await?;
        let before = before.ok_or_else(|| no_user(id))?;
        if !is_expected(&before) {
            return Err(TokenServerError::ChangedMeanwhile);
        }
        let name = PrincipalName::parse(&before.user)?;
        scim_users::update_removed(&mut *tx, id, self.clock.now()).await?;
        for identity in identities::list_identities(&mut *tx, Some(before.pid)).await? {
            if identity.issuer == provider.issuer() {
                identities::delete_identity(&mut *tx, &identity.issuer, &identity.subject).await?;
                let remark = format!("{} of {}", identity.subject, identity.issuer);
                self.record(&mut tx, Event::IdentityUnlinked, name.as_str(), Some(&remark)).await?;
            }
        }
        self.apply_mapped_teams(&mut tx, &[before.pid]).await?;
        self.apply_active(&mut tx, (id, before.pid, &name), false).await?;
        let remark = format!("by {}", provider.name);
        self.record(&mut tx, Event::ScimUserRemoved, name.as_str(), Some(&remark)).await?;
        Ok(db::commit(tx).await?)
    }
}

/// A user as the provider said it.
fn draft_of(row: &ScimUserRow) -> UserDraft {
    UserDraft {
        user_name: row.user_name.clone(),
        external_id: row.external_id.clone(),
        is_active: row.is_active,
        said: row.said.as_object().cloned().unwrap_or_default(),
    }
}

/// By what the provider says who they are when they sign in, if it has said that.
fn subject_of<'a>(provider: &Provider, draft: &'a UserDraft) -> Option<&'a str> {
    match provider.scim? {
        ScimSubject::ExternalId => draft.external_id.as_deref(),
        ScimSubject::UserName => Some(draft.user_name.as_str()),
    }
}

fn no_user(id: Uuid) -> TokenServerError {
    TokenServerError::NotFound { kind: "user", name: id.to_string() }
}

fn taken(error: DbError) -> TokenServerError {
    let sentence = if error.is_conflict_with(scim_users::NAME_KEY) {
        "there is a user of this userName already"
    } else if error.is_conflict_with(scim_users::EXTERNAL_ID_KEY) {
        "there is a user of this externalId already"
    } else if error.is_conflict_with(scim_users::SUBJECT_KEY) || error.is_conflict_with(scim_users::PID_KEY) {
        "that is somebody here already"
    } else {
        return error.into();
    };
    ScimError::Uniqueness(sentence.to_owned()).into()
}
