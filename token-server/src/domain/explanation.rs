//! Answers to "may she?", "why?" and "who may?".
//!
//! *Invariant:* the verdict is that of the function that issues tokens, on the same rows; what is said about rows is
//! said about each by itself.

use std::collections::{BTreeMap, BTreeSet};

use shared::limits::TagSet;

use super::error::TokenServerError;
use super::grant::{Circumstances, Effect, Grant, NotNow};
use super::grant_subject::{GrantSubject, Known, spelled};
use super::policy::{Held, Rows};
use super::question::Question;
use super::right::{Right, RightSet};
use super::stored_rows;
use super::withholding::{Withholding, withholdings};
use crate::db::principals::{self, AUTHENTICATED, EVERYONE, PrincipalRow};
use crate::db::{Pool, teams};

/// Kinds of those who can hold a right by themselves, in the order in which they are listed.
const KINDS: [&str; 3] = [principals::USER, principals::ROBOT, principals::WORKLOAD];

/// The answer for one subject.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Which of the rights are held; any is enough for a client to be let in.
    pub held: RightSet,
    /// Which of them are not.
    pub missing: RightSet,
    /// Which of those that are held are for some tags only, where no tag was asked about.
    pub limited: Vec<Limited>,
    /// Whether tags can be made, but not in a repository that is not there yet.
    pub needs_repository: bool,
    /// What of that is in no token for some kind of registry.
    pub withheld: Vec<Withholding>,
    /// Whether the subject is one who may not log in, so that nothing counts.
    pub is_disabled: bool,
    /// Every row that says something about the question.
    pub rows: Vec<Considered>,
}

impl Explanation {
    /// Whether everything is held that was asked about, for all tags.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.limited.is_empty()
    }
}

/// A right that is held for some tags only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Which.
    pub right: Right,
    /// For which.
    pub tags: TagSet,
}

/// One row, and what it says about the question.
#[derive(Clone, Debug)]
pub struct Considered {
    /// The row.
    pub grant: Grant,
    /// Who holds it, as people write it.
    pub holder: String,
    /// Those of the rights it is about.
    pub rights: RightSet,
    /// Why it does not count at the moment.
    pub not_now: Option<NotNow>,
    /// Those of its rights that a barrier or a namespace keeps out.
    pub kept_out: RightSet,
    /// What keeps them out, as people write it.
    pub kept_out_by: Vec<String>,
}

/// Somebody who may do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capable {
    /// Who, as people write it.
    pub subject: String,
    /// Which of the rights.
    pub held: RightSet,
    /// The rows that give it.
    pub rows: Vec<i64>,
}

/// Whether a subject may, and why.
pub async fn explain(
    pool: &Pool,
    subject: &GrantSubject,
    question: &Question,
    circumstances: Circumstances,
) -> Result<Explanation, TokenServerError> {
    let (pid, user, is_disabled) = match subject.known() {
        Known::BuiltIn(EVERYONE, _) => (None, None, false),
        // Whoever logged in and has nothing of their own.
        Known::BuiltIn(pid, _) => (Some(pid), None, false),
        Known::Made(kind, name) => {
            let found = principals::find_summary(pool, kind, name).await?;
            let found = found.ok_or_else(|| missing(kind, name))?;
            (Some(found.pid), (kind == principals::USER).then_some(name), found.is_disabled)
        }
    };
    let rows = stored_rows::near(pool, pid, &[question.repository()]).await?;
    let all_held = Held::of(&rows, question.repository(), user, circumstances);
    let held = if is_disabled { RightSet::EMPTY } else { question.answered_by(&all_held) };
    let names = names(pool, rows.grants.iter().map(|row| row.holder)).await?;
    let matching = rows.grants.iter().filter(|row| row.pattern.matches(question.repository(), user));
    let considered = matching.map(|grant| {
        let rights = about(grant, grant.rights(), question);
        let left = about(grant, rows.rights(grant, question.repository()), question);
        Considered {
            holder: names.get(&grant.holder).cloned().unwrap_or_default(),
            rights,
            not_now: grant.counts(circumstances).err(),
            kept_out_by: keepers(&rows, grant, question, rights.difference(left)),
            kept_out: rights.difference(left),
            grant: grant.clone(),
        }
    });
    let mut considered: Vec<Considered> = considered.filter(|row| !row.rights.is_empty()).collect();
    // A subject can be reached in two ways, such as `authenticated` asked about itself.
    considered.sort_by_key(|row| (row.grant.effect, row.grant.id));
    considered.dedup_by_key(|row| row.grant.id);
    Ok(Explanation {
        held,
        missing: question.rights().difference(held),
        limited: limited(question, held, &all_held),
        needs_repository: held.contains(Right::TagCreate) && !all_held.allows(Right::RepositoryCreate, None),
        withheld: withholdings(&rows, question, held, user, circumstances),
        is_disabled,
        rows: considered,
    })
}

/// What of the asked rights is held for some tags only; with a tag the answer is about that one.
fn limited(question: &Question, held: RightSet, all_held: &Held) -> Vec<Limited> {
    if question.tag().is_some() {
        return Vec::new();
    }
    let sets = held.iter().filter_map(|right| Some(Limited { right, tags: all_held.tags(right)?.clone() }));
    sets.filter(|limited| !limited.tags.is_everything()).collect()
}

/// What keeps rights of a row away from the repository.
fn keepers(rows: &Rows, grant: &Grant, question: &Question, kept_out: RightSet) -> Vec<String> {
    let does = |rights: RightSet| !rights.intersection(kept_out).is_empty();
    let repository = question.repository();
    let barriers = rows.barriers.iter().filter(|barrier| does(barrier.keeps_out(grant, repository)));
    let namespaces = rows.namespaces.iter().filter(|namespace| does(namespace.keeps_out(grant, repository)));
    let barriers = barriers.map(|barrier| format!("the barrier at {}", barrier.pattern));
    barriers.chain(namespaces.map(|namespace| format!("the namespace {}", namespace.name))).collect()
}

/// Everybody who may, each with the rows that give it: first whole groups, then users, robots and workloads by name.
pub async fn who_can(
    pool: &Pool,
    question: &Question,
    circumstances: Circumstances,
) -> Result<Vec<Capable>, TokenServerError> {
    let mut around = stored_rows::of_everybody(pool, question.repository()).await?;
    let rows = std::mem::take(&mut around.grants);
    let holders: BTreeSet<i64> = rows.iter().map(|row| row.holder).collect();
    let holders: Vec<i64> = holders.into_iter().collect();
    let mut groups: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    let mut people: BTreeMap<(usize, String), i64> = BTreeMap::new();
    let mut behind = teams::list_behind(pool, &holders).await?;
    if rows.iter().any(|row| row.pattern.is_per_subject()) {
        // Such a row of everybody is about those whose name stands there.
        behind.extend(teams::list_users_named_in(pool, question.repository().as_str()).await?);
    }
    for found in behind {
        let Some(order) = KINDS.iter().position(|kind| *kind == found.kind) else { continue };
        people.insert((order, found.name), found.pid);
        groups.entry(found.pid).or_default().insert(found.holder_pid);
    }
    let mut by_holder: BTreeMap<i64, Vec<&Grant>> = BTreeMap::new();
    for row in &rows {
        by_holder.entry(row.holder).or_default().push(row);
    }
    let answer = |subject: String, user: Option<&str>, of: &[i64]| {
        let own = of.iter().filter_map(|holder| by_holder.get(holder)).flatten();
        let own: Vec<Grant> = own.copied().cloned().collect();
        let own = Rows { grants: own, ..around.clone() };
        let held = question.answered_by(&Held::of(&own, question.repository(), user, circumstances));
        let gives = own.grants.iter().filter(|row| {
            row.effect == Effect::Allow
                && row.pattern.matches(question.repository(), user)
                && row.counts(circumstances).is_ok()
                && !about(row, own.rights(row, question.repository()), question).intersection(held).is_empty()
        });
        (!held.is_empty()).then(|| Capable { subject, held, rows: gives.map(|row| row.id).collect() })
    };
    let mut capable = Vec::new();
    capable.extend(answer("everyone".into(), None, &[EVERYONE]));
    capable.extend(answer("authenticated".into(), None, &[EVERYONE, AUTHENTICATED]));
    for ((order, name), pid) in &people {
        let mut of: BTreeSet<i64> = groups.get(pid).cloned().unwrap_or_default();
        of.extend([EVERYONE, AUTHENTICATED, *pid]);
        let of: Vec<i64> = of.into_iter().collect();
        let kind = KINDS[*order];
        let user = (kind == principals::USER).then_some(name.as_str());
        capable.extend(answer(format!("{kind}:{name}"), user, &of));
    }
    Ok(capable)
}

/// Those of the asked rights that a row with these rights decides, by itself or by what goes along with them.
fn about(grant: &Grant, rights: RightSet, question: &Question) -> RightSet {
    let named = match (&grant.tags, question.tag()) {
        (Some(pattern), Some(tag)) if !pattern.matches(tag) => rights.difference(RightSet::OF_TAGS),
        _ => rights,
    };
    let along = match grant.effect {
        Effect::Deny => rights.takes_along(),
        Effect::Allow if question.tag().is_some_and(|tag| rights.attaches(tag)) => RightSet::OF_ATTACHMENTS,
        Effect::Allow => RightSet::EMPTY,
    };
    named.union(along).intersection(question.rights())
}

async fn names(
    pool: &Pool,
    pids: impl Iterator<Item = i64>,
) -> Result<BTreeMap<i64, String>, TokenServerError> {
    let pids: BTreeSet<i64> = pids.collect();
    let pids: Vec<i64> = pids.into_iter().collect();
    let found = principals::list_names(pool, &pids).await?.into_iter();
    Ok(found.map(|PrincipalRow { pid, kind, name }| (pid, spelled(&kind, &name))).collect())
}

fn missing(kind: &'static str, name: &str) -> TokenServerError {
    TokenServerError::NotFound { kind, name: name.to_owned() }
}
