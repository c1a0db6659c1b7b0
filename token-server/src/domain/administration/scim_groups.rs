//! Groups of which an identity provider tells by SCIM, and who is in them.
//!
//! *Invariant:* who comes into a group or leaves it is in the teams of that with the same change.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::error::TokenServerError;
use super::super::provisioning::ScimError;
use super::super::provisioning::group::{GroupDraft, MAX_MEMBERS, MemberChange};
use super::super::random;
use super::super::record::audit::Event;
use super::super::signon::provider::Provider;
use super::Administration;
use super::scim_users::Found;
use crate::db::error::DbError;
use crate::db::scim_groups::{self, MemberRow, ScimGroupRow, StoredGroup};
use crate::db::scim_users::Sought;
use crate::db::{self, Transaction};

/// What a group is to be like before it is changed.
pub type Check<'a> = &'a (dyn Fn(&ScimGroupRow) -> bool + Sync);

/// What becomes of a group and of who is in it.
pub type Change<'a> = &'a (dyn Fn(&GroupDraft) -> Result<(GroupDraft, Vec<MemberChange>), ScimError> + Sync);

impl Administration {
    /// Groups of a provider that are looked for.
    pub async fn find_scim_groups(
        &self,
        provider: &Provider,
        sought: &Sought,
        page: (i64, i64),
    ) -> Result<Found<ScimGroupRow>, TokenServerError> {
        let name = provider.name.as_str();
        let total = scim_groups::count_groups(&self.pool, name, sought).await?;
        let rows = if page.1 > 0 && page.0 < total {
            scim_groups::list_groups(&self.pool, name, sought, page).await?
        } else {
            Vec::new()
        };
        Ok(Found { total, rows })
    }

    /// One group of a provider.
    pub async fn show_scim_group(
        &self,
        provider: &Provider,
        id: Uuid,
    ) -> Result<ScimGroupRow, TokenServerError> {
        let found = scim_groups::find_group(&self.pool, provider.name.as_str(), id).await?;
        found.ok_or_else(|| no_group(id))
    }

    /// Who is in these groups, where that is not too much to say at once.
    pub async fn scim_members_of(&self, groups: &[Uuid]) -> Result<Vec<MemberRow>, TokenServerError> {
        let limit = i64::try_from(MAX_MEMBERS + 1).unwrap_or(i64::MAX);
        let rows = scim_groups::list_members(&self.pool, groups, limit).await?;
        if rows.len() > MAX_MEMBERS {
            let sentence =
                "these groups have too many members for one answer; ask with excludedAttributes=members";
            return Err(ScimError::TooMany(sentence.to_owned()).into());
        }
        Ok(rows)
    }

    /// Makes a group.
    pub async fn add_scim_group(
        &self,
        provider: &Provider,
        draft: &GroupDraft,
        members: &[Uuid],
    ) -> Result<ScimGroupRow, TokenServerError> {
        let mut tx = self.begin().await?;
        let (id, now) = (random::dated_id(&self.random, &*self.clock)?, self.clock.now());
        let stored = StoredGroup {
            id,
            provider: provider.name.as_str(),
            display_name: &draft.display_name,
            external_id: draft.external_id.as_deref(),
            search: &draft.search(&id.to_string(), now, now),
        };
        scim_groups::put_group(&mut *tx, &stored, now).await.map_err(taken)?;
        let changes = [MemberChange::Add(members.to_vec())];
        let mut touched = self.apply_member_changes(&mut tx, provider, id, &changes).await?.people();
        touched.extend(self.forget_said(&mut tx, provider, &draft.names()).await?);
        self.settle(&mut tx, provider, &draft.names(), touched).await?;
        let target = format!("{}: {}", provider.name, draft.display_name);
        self.record(&mut tx, Event::ScimGroupAdded, &target, None).await?;
        let made = scim_groups::find_group(&mut *tx, provider.name.as_str(), id).await?;
        let made = made.ok_or_else(|| no_group(id))?;
        db::commit(tx).await?;
        Ok(made)
    }

    /// Changes a group, if it is as expected.
    pub async fn change_scim_group(
        &self,
        provider: &Provider,
        id: Uuid,
        is_expected: Check<'_>,
        change: Change<'_>,
    ) -> Result<ScimGroupRow, TokenServerError> {
        let mut tx = self.begin().await?;
        let before = scim_groups::find_group(&mut *tx, provider.name.as_str(), id).await?;
        let before = before.ok_or_else(|| no_group(id))?;
        if !is_expected(&before) {
            return Err(TokenServerError::ChangedMeanwhile);
        }
        let was =
            GroupDraft { display_name: before.display_name.clone(), external_id: before.external_id.clone() };
        let (draft, changes) = change(&was)?;
        let moved = self.apply_member_changes(&mut tx, provider, id, &changes).await?;
        let is_renamed = draft != was;
        if !is_renamed && moved.is_empty() {
            return Ok(before);
        }
        let now = self.clock.now();
        let stored = StoredGroup {
            id,
            provider: provider.name.as_str(),
            display_name: &draft.display_name,
            external_id: draft.external_id.as_deref(),
            search: &draft.search(&id.to_string(), before.created_at, now),
        };
        scim_groups::put_group(&mut *tx, &stored, now).await.map_err(taken)?;
        let remark = moved.to_string();
        let mut touched = moved.people();
        let mut names = was.names();
        if is_renamed {
            names.extend(draft.names());
            touched.extend(self.forget_said(&mut tx, provider, &names).await?);
            let rows = scim_groups::list_members(&mut *tx, &[id], i64::MAX).await?;
            touched.extend(rows.into_iter().map(|row| row.pid));
        }
        self.settle(&mut tx, provider, &names, touched).await?;
        let target = format!("{}: {}", provider.name, draft.display_name);
        let remark = if is_renamed { format!("{remark}, was called {}", was.display_name) } else { remark };
        self.record(&mut tx, Event::ScimGroupChanged, &target, Some(&remark)).await?;
        let after = scim_groups::find_group(&mut *tx, provider.name.as_str(), id).await?;
        let after = after.ok_or_else(|| no_group(id))?;
        db::commit(tx).await?;
        Ok(after)
    }

    /// Removes a group; nobody is in it any more.
    pub async fn remove_scim_group(
        &self,
        provider: &Provider,
        id: Uuid,
        is_expected: Check<'_>,
    ) -> Result<(), TokenServerError> {
        let mut tx = self.begin().await?;
        let before = scim_groups::find_group(&mut *tx, provider.name.as_str(), id).await?;
        let before = before.ok_or_else(|| no_group(id))?;
        if !is_expected(&before) {
            return Err(TokenServerError::ChangedMeanwhile);
        }
        let names =
            GroupDraft { display_name: before.display_name.clone(), external_id: before.external_id.clone() }
                .names();
        let rows = scim_groups::list_members(&mut *tx, &[id], i64::MAX).await?;
        let mut touched: BTreeSet<i64> = rows.into_iter().map(|row| row.pid).collect();
        scim_groups::delete_group(&mut *tx, provider.name.as_str(), id).await?;
        touched.extend(self.forget_said(&mut tx, provider, &names).await?);
        self.settle(&mut tx, provider, &names, touched).await?;
        let target = format!("{}: {}", provider.name, before.display_name);
        self.record(&mut tx, Event::ScimGroupRemoved, &target, None).await?;
        Ok(db::commit(tx).await?)
    }

    /// What was said of a group at sign-on is nothing once SCIM tells of it; says of whom it was said.
    async fn forget_said(
        &self,
        tx: &mut Transaction,
        provider: &Provider,
        names: &[String],
    ) -> Result<Vec<i64>, TokenServerError> {
        Ok(scim_groups::forget_at_identities(&mut **tx, provider.name.as_str(), names).await?)
    }

    async fn apply_member_changes(
        &self,
        tx: &mut Transaction,
        provider: &Provider,
        group: Uuid,
        changes: &[MemberChange],
    ) -> Result<Moved, TokenServerError> {
        let mut moved = Moved::default();
        for change in changes {
            match change {
                MemberChange::Add(users) => {
                    moved.into.extend(self.add_members(tx, provider, group, users).await?);
                }
                MemberChange::Remove(users) => {
                    moved.out.extend(scim_groups::delete_members(&mut **tx, group, users).await?);
                }
                MemberChange::Replace(users) => {
                    moved.out.extend(scim_groups::delete_members_but(&mut **tx, group, users).await?);
                    moved.into.extend(self.add_members(tx, provider, group, users).await?);
                }
            }
        }
        let most = i64::try_from(MAX_MEMBERS).unwrap_or(i64::MAX);
        if !moved.into.is_empty() && scim_groups::count_members(&mut **tx, group).await? > most {
            return Err(ScimError::TooMany(format!("a group has at most {MAX_MEMBERS} members")).into());
        }
        Ok(moved)
    }

    async fn add_members(
        &self,
        tx: &mut Transaction,
        provider: &Provider,
        group: Uuid,
        users: &[Uuid],
    ) -> Result<Vec<i64>, TokenServerError> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let known = scim_groups::list_known(&mut **tx, provider.name.as_str(), users).await?;
        let known: BTreeSet<Uuid> = known.into_iter().collect();
        if let Some(stranger) = users.iter().find(|user| !known.contains(user)) {
            return Err(ScimError::InvalidValue(format!("there is no user {stranger} to be a member")).into());
        }
        Ok(scim_groups::insert_members(&mut **tx, group, users).await?)
    }

    /// Puts whom that is about into the teams of their groups, where such a group is a team.
    async fn settle(
        &self,
        tx: &mut Transaction,
        provider: &Provider,
        names: &[String],
        touched: BTreeSet<i64>,
    ) -> Result<(), TokenServerError> {
        if touched.is_empty() || !names.iter().any(|name| provider.teams.contains_key(name)) {
            return Ok(());
        }
        let touched: Vec<i64> = touched.into_iter().collect();
        self.apply_mapped_teams(tx, &touched).await
    }
}

/// Who came into a group and who left it.
#[derive(Default)]
struct Moved {
    into: Vec<i64>,
    out: Vec<i64>,
}

impl Moved {
    fn is_empty(&self) -> bool {
        self.into.is_empty() && self.out.is_empty()
    }

    fn people(self) -> BTreeSet<i64> {
        self.into.into_iter().chain(self.out).collect()
    }
}

impl std::fmt::Display for Moved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in, {} out", self.into.len(), self.out.len())
    }
}

fn no_group(id: Uuid) -> TokenServerError {
    TokenServerError::NotFound { kind: "group", name: id.to_string() }
}

fn taken(error: DbError) -> TokenServerError {
    let sentence = if error.is_conflict_with(scim_groups::NAME_KEY) {
        "there is a group of this displayName already"
    } else if error.is_conflict_with(scim_groups::EXTERNAL_ID_KEY) {
        "there is a group of this externalId already"
    } else {
        return error.into();
    };
    ScimError::Uniqueness(sentence.to_owned()).into()
}
