//! Who may do what: the one place where a right is decided.
//!
//! Any denial beats every grant, a barrier cuts what comes from above, a namespace may keep new repositories to few, and
//! otherwise everything that was given adds up.
//! There is no order and no priority.
//!
//! *Invariant:* [`Held::of`] is pure; adding a grant never removes a right, adding a denial or a barrier never adds
//! one, and the order of rows does not matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use shared::action::{Action, ActionSet};
use shared::limits::{Limits, TagPattern, TagSet};
use shared::repository_name::RepositoryName;
use shared::repository_pattern::RepositoryPattern;
use shared::repository_set::RepositorySet;

use super::barrier::Barrier;
use super::credential_limits::{CredentialLimits, LimitedTags};
use super::grant::{Circumstances, Effect, Grant};
use super::namespace::Namespace;
use super::right::{Right, RightSet};
use crate::db::principals::EVERYONE;

/// Everything that is known of somebody's rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// What the subject, and the groups it is in, was given and denied.
    pub grants: Vec<Grant>,
    /// Where that stops.
    pub barriers: Vec<Barrier>,
    /// Where not everybody who may push may make repositories.
    pub namespaces: Vec<Namespace>,
    /// What the credential is good for, of all that; everything if nothing is said.
    pub limits: Option<Arc<CredentialLimits>>,
}

impl Rows {
    /// Replaces claims in patterns by what the token of a workload said. A pattern that names one which is missing covers
    /// nothing.
    pub fn fill_in(&mut self, claims: &BTreeMap<String, String>) {
        self.grants.retain_mut(|grant| {
            if !grant.pattern.is_per_subject() {
                return true;
            }
            let filled = grant.pattern.for_claims(&|name| claims.get(name).cloned());
            filled.map(|pattern| grant.pattern = pattern).is_some()
        });
    }

    /// What a row comes to on a repository: its rights without what a barrier or a namespace keeps out, and without
    /// what the credential is not good for.
    pub fn rights(&self, grant: &Grant, name: &RepositoryName) -> RightSet {
        let barred = self.barriers.iter().map(|barrier| barrier.keeps_out(grant, name));
        let kept_out = barred.chain(self.namespaces.iter().map(|namespace| namespace.keeps_out(grant, name)));
        let rights = grant.rights().difference(kept_out.fold(RightSet::EMPTY, RightSet::union));
        match self.limits_of(grant) {
            None => rights,
            Some(limits) if !limits.covers(name) => RightSet::EMPTY,
            Some(limits) => limits.narrow(rights, grant),
        }
    }

    /// On which tags only a row gives or denies something.
    fn tags<'a>(&'a self, grant: &'a Grant) -> Option<&'a TagPattern> {
        match self.limits_of(grant).map(|limits| limits.tags(grant.tags.as_ref())) {
            Some(LimitedTags::All) => None,
            Some(LimitedTags::Only(tags)) => Some(tags),
            // It gives nothing on tags then.
            Some(LimitedTags::None) | None => grant.tags.as_ref(),
        }
    }

    /// Nothing is denied less because a credential is limited, and what needs no credential is not given less.
    pub(super) fn limits_of(&self, grant: &Grant) -> Option<&CredentialLimits> {
        self.limits.as_deref().filter(|_| grant.effect == Effect::Allow && grant.holder != EVERYONE)
    }
}

/// What somebody holds on one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Rights that are held for something at least.
    rights: RightSet,
    create: TagSet,
    update: TagSet,
    delete: TagSet,
}

impl Held {
    /// What these rows come to; `user` is the name that `${user}` in a pattern stands for.
    pub fn of(rows: &Rows, name: &RepositoryName, user: Option<&str>, circumstances: Circumstances) -> Self {
        let counting: Vec<(&Grant, RightSet)> = rows
            .grants
            .iter()
            .filter(|grant| grant.pattern.matches(name, user) && grant.counts(circumstances).is_ok())
            .map(|grant| (grant, rows.rights(grant, name)))
            .collect();
        let with = |effect| counting.iter().filter(move |(row, _)| row.effect == effect);
        let denied = with(Effect::Deny).fold(RightSet::EMPTY, |denied, (row, rights)| {
            let whole = if row.tags.is_none() { *rights } else { RightSet::EMPTY };
            denied.union(whole).union(rights.takes_along())
        });
        let given = with(Effect::Allow).fold(RightSet::EMPTY, |given, (_, rights)| given.union(*rights));
        let tags = |right: Right| {
            if denied.contains(right) {
                return TagSet::denied();
            }
            let patterns = |effect| {
                with(effect).filter(move |(_, rights)| rights.contains(right)).map(|(row, _)| rows.tags(row))
            };
            let except = patterns(Effect::Deny).flatten();
            set(patterns(Effect::Allow), except)
        };
        let mut held = Self {
            rights: given.difference(denied).difference(RightSet::OF_TAGS),
            create: tags(Right::TagCreate),
            update: tags(Right::TagUpdate),
            delete: tags(Right::TagDelete),
        };
        let of_tags =
            RightSet::OF_TAGS.iter().filter(|right| held.tags(*right).is_some_and(|set| !set.is_empty()));
        held.rights =
            held.rights.union(of_tags.fold(RightSet::EMPTY, |set, right| set.union(RightSet::of(&[right]))));
        if !held.is_everything() {
            // Verifiers take it for every other right.
            held.rights = held.rights.difference(RightSet::of(&[Right::All]));
        }
        held
    }

    fn is_everything(&self) -> bool {
        let sets = [&self.create, &self.update, &self.delete];
        self.rights == RightSet::EVERYTHING && sets.into_iter().all(TagSet::is_everything)
    }

    /// What is held for something at least.
    pub fn rights(&self) -> RightSet {
        self.rights
    }

    /// For which tags a right that is about tags is held.
    pub fn tags(&self, right: Right) -> Option<&TagSet> {
        match right {
            Right::TagCreate => Some(&self.create),
            Right::TagUpdate => Some(&self.update),
            Right::TagDelete => Some(&self.delete),
            _ => None,
        }
    }

    /// Whether a right is held: for this tag, or without one, for anything.
    pub fn allows(&self, right: Right, tag: Option<&str>) -> bool {
        match (self.tags(right), tag) {
            (Some(set), Some(tag)) => set.contains(tag) || self.attaches(right, set, tag),
            _ => self.rights.contains(right),
        }
    }

    /// Whether a tag may be made or moved because it is that of an attachment.
    fn attaches(&self, right: Right, set: &TagSet, tag: &str) -> bool {
        RightSet::OF_ATTACHMENTS.contains(right) && self.rights.attaches(tag) && !set.is_excepted(tag)
    }

    /// What clients can ask for.
    pub fn actions(&self) -> ActionSet {
        let is_held = |action: &Action| !self.rights.intersection(RightSet::behind(*action)).is_empty();
        Action::ALL.into_iter().filter(is_held).collect()
    }

    /// The rows that give some of these actions, each by itself.
    pub fn given_by<'a>(
        &self,
        rows: &'a Rows,
        name: &RepositoryName,
        user: Option<&str>,
        circumstances: Circumstances,
        actions: ActionSet,
    ) -> impl Iterator<Item = &'a Grant> {
        let wanted = actions.iter().fold(RightSet::EMPTY, |set, action| set.union(RightSet::behind(action)));
        let wanted = wanted.intersection(self.rights);
        rows.grants.iter().filter(move |grant| {
            grant.effect == Effect::Allow
                && grant.pattern.matches(name, user)
                && grant.counts(circumstances).is_ok()
                && !rows.rights(grant, name).intersection(wanted).is_empty()
        })
    }

    /// Those of [`Self::actions`] that mean less than they say.
    pub fn limited_actions(&self) -> ActionSet {
        let whole = |rights: RightSet| {
            let sets = rights.iter().filter_map(|right| self.tags(right));
            rights.difference(self.rights).is_empty() && sets.into_iter().all(TagSet::is_everything)
        };
        let limited = [(Action::Push, !whole(RightSet::PUSH)), (Action::Delete, !whole(RightSet::DELETE))];
        limited
            .into_iter()
            .filter_map(|(action, limited)| limited.then_some(action))
            .collect::<ActionSet>()
            .intersection(self.actions())
    }

    /// What a registry has to be told of these actions, if they mean less than they say.
    pub fn limits(&self, repository: &RepositoryName, actions: ActionSet) -> Option<Limits> {
        let limited = self.limited_actions().intersection(actions);
        if limited.is_empty() {
            return None;
        }
        let only = |action: Action, set: &TagSet| {
            if actions.contains(action) { set.clone() } else { TagSet::default() }
        };
        let has = |action: Action, right: Right| actions.contains(action) && self.rights.contains(right);
        Some(Limits {
            repository: repository.clone(),
            actions: limited,
            create: only(Action::Push, &self.create),
            update: only(Action::Push, &self.update),
            delete: only(Action::Delete, &self.delete),
            new: has(Action::Push, Right::RepositoryCreate),
            digests: has(Action::Push, Right::PushDigest),
            attach: has(Action::Push, Right::Attach),
            manifests: has(Action::Delete, Right::ManifestDelete),
        })
    }
}

/// More patterns than this are not said of the list of repositories.
const MAX_VISIBLE_PATTERNS: usize = 64;

/// The repositories that are listed, by these rows; all of them matter. Nothing if that takes too many words.
pub fn visible(rows: &Rows, user: Option<&str>, circumstances: Circumstances) -> Option<Vec<RepositorySet>> {
    let listing = |effect| {
        let counting = rows.grants.iter().filter(move |row| {
            let rights = match rows.limits_of(row) {
                Some(limits) => limits.narrow(row.rights(), row),
                None => row.rights(),
            };
            let rights = if effect == Effect::Deny { rights.union(rights.takes_along()) } else { rights };
            row.effect == effect && rights.contains(Right::List) && row.counts(circumstances).is_ok()
        });
        counting.flat_map(|row| {
            let pattern = row.pattern.for_user(user);
            let patterns = pattern.into_iter().flat_map(|pattern| match rows.limits_of(row) {
                Some(limits) => limits.within(&pattern),
                None => vec![pattern],
            });
            patterns.map(move |pattern| (row, pattern))
        })
    };
    let denied: Vec<_> = listing(Effect::Deny).map(|(_, pattern)| pattern).collect();
    let barriers: Vec<_> =
        rows.barriers.iter().filter(|barrier| barrier.rights.contains(Right::List)).collect();
    // Rows that the same barriers stop make one set.
    let mut sets: BTreeMap<Vec<&RepositoryPattern>, Vec<RepositoryPattern>> = BTreeMap::new();
    for (row, pattern) in listing(Effect::Allow) {
        let stops =
            barriers.iter().filter(|barrier| barrier.is_above(row) && barrier.pattern.overlaps(&pattern));
        let stops: Vec<_> = stops.map(|barrier| &barrier.pattern).collect();
        if stops.len() > MAX_VISIBLE_PATTERNS {
            return None;
        }
        sets.entry(stops).or_default().push(pattern);
    }
    let (mut said, mut patterns) = (Vec::new(), 0);
    for (stops, within) in sets {
        let except = denied.iter().chain(stops).cloned().collect();
        let set = RepositorySet::new(within, except);
        patterns += set.within.len() + set.except.len();
        if patterns > MAX_VISIBLE_PATTERNS {
            return None;
        }
        if !set.is_empty() {
            said.push(set);
        }
    }
    Some(said)
}

/// The least that says the same, in one order.
fn set<'a>(
    within: impl Iterator<Item = Option<&'a TagPattern>>,
    except: impl Iterator<Item = &'a TagPattern>,
) -> TagSet {
    let mut except: Vec<TagPattern> = except.cloned().collect();
    if except.contains(&TagPattern::any()) {
        return TagSet::denied();
    }
    let mut within: Vec<TagPattern> =
        within.map(|pattern| pattern.cloned().unwrap_or_else(TagPattern::any)).collect();
    if within.contains(&TagPattern::any()) {
        within = vec![TagPattern::any()];
    }
    for patterns in [&mut within, &mut except] {
        patterns.sort_unstable();
        patterns.dedup();
    }
    TagSet { within, except }
}

#[cfg(test)]
mod tests;
