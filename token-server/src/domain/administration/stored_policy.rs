//! What is stored of what a policy file governs.
//!
//! *Invariant:* a number of queries that does not depend on what is stored; what belongs to a namespace or to a request
//! is no part of it.

use std::collections::{BTreeMap, BTreeSet};

use shared::repository_pattern::RepositoryPattern;

use super::super::error::TokenServerError;
use super::super::grant::{Grant, What};
use super::super::grant_spec::{GrantSpec, NamedWhat};
use super::super::grant_subject::{GrantSubject, Known, spelled};
use super::super::policy_file::plan::Stored;
use super::super::policy_file::reading::Things;
use super::super::policy_file::thing::{Key, Thing};
use super::super::principal_name::PrincipalName;
use super::super::right::RightSet;
use super::super::team_member::TeamMember;
use super::policy::principals_named;
use super::{hold_subject, namespaces as spaces};
use crate::db::error::DbError;
use crate::db::grants::{self, Source};
use crate::db::policy_rows::{self, MemberRow};
use crate::db::{Transaction, barriers, namespaces, roles};

/// The most barriers that are read.
const MAX_BARRIERS: i64 = 1_000_000;

/// Everything, by its key.
pub(super) async fn read(tx: &mut Transaction) -> Result<BTreeMap<Key, Stored>, TokenServerError> {
    let mut stored = Collected::default();
    let from_file: BTreeSet<String> = policy_rows::list_from_file(&mut **tx).await?.into_iter().collect();
    for row in roles::list_roles(&mut **tx).await? {
        let rights = rights("role", &row.rights)?;
        let is_from_file = from_file.contains(&format!("r:{}", row.name));
        stored.add(is_from_file, Thing::Role { name: row.name, rights, description: row.description });
    }
    for row in policy_rows::list_teams(&mut **tx).await? {
        stored.add(row.from_file, Thing::Team(name(&row.name)?));
    }
    for row in policy_rows::list_workloads(&mut **tx).await? {
        let thing = Thing::Workload { name: name(&row.name)?, description: row.description };
        stored.add(row.from_file, thing);
    }
    for row in policy_rows::list_members(&mut **tx).await? {
        let thing =
            Thing::Member { team: name(&row.team)?, member: member(&row)?, is_maintainer: row.is_maintainer };
        stored.add(row.from_file, thing);
    }
    for row in namespaces::list_namespaces(&mut **tx).await? {
        let thing = Thing::Namespace { name: name(&row.name)?, spec: spaces::read(&row)? };
        stored.add(from_file.contains(&format!("n:{}", row.name)), thing);
    }
    for row in grants::list_grants(&mut **tx).await? {
        let is_from_file = row.source == Source::Policy.as_str();
        if !is_from_file && row.source != Source::Manual.as_str() {
            continue;
        }
        let grant = Grant::read(row.row)?;
        let subject = GrantSubject::parse(&spelled(&row.subject_kind, &row.subject_name))?;
        let what = match grant.what {
            What::Role(role) => NamedWhat::Role(role.name().to_owned()),
            What::Rights(rights) => NamedWhat::Rights(rights),
        };
        let spec =
            GrantSpec { subject, effect: grant.effect, what, pattern: grant.pattern, tags: grant.tags };
        let (spec, conditions, reason) = (Box::new(spec), grant.conditions, row.reason);
        stored.add(is_from_file, Thing::Grant { spec, conditions, reason });
    }
    for row in barriers::list_barriers(&mut **tx, MAX_BARRIERS).await? {
        let is_from_file = from_file.contains(&format!("b:{}", row.pattern));
        let pattern = RepositoryPattern::parse(&row.pattern)?;
        let rights = rights("acl_barrier", &row.rights)?;
        stored.add(is_from_file, Thing::Barrier { pattern, rights, reason: row.reason });
    }
    Ok(stored.0)
}

#[derive(Default)]
struct Collected(BTreeMap<Key, Stored>);

impl Collected {
    fn add(&mut self, is_from_file: bool, thing: Thing) {
        let entry = self.0.entry(thing.key()).or_default();
        *(if is_from_file { &mut entry.from_file } else { &mut entry.by_hand }) = Some(thing);
    }
}

fn name(text: &str) -> Result<PrincipalName, TokenServerError> {
    Ok(PrincipalName::parse(text)?)
}

fn member(row: &MemberRow) -> Result<TeamMember, TokenServerError> {
    Ok(TeamMember::parse(&spelled(&row.kind, &row.name))?)
}

/// What a file calls the workload of that name.
fn workload(name: &PrincipalName) -> Key {
    Thing::Workload { name: name.clone(), description: None }.key()
}

fn rights(table: &'static str, words: &str) -> Result<RightSet, DbError> {
    RightSet::parse(words).map_err(|_| DbError::Inconsistent {
        table,
        column: "rights",
        value: words.to_owned(),
    })
}

/// A member that stays alive until the transaction ends.
pub(super) async fn hold_member(tx: &mut Transaction, member: &TeamMember) -> Result<i64, TokenServerError> {
    hold_subject(tx, &member.subject()).await
}

/// Refuses a file that names users, teams, robots, workloads or roles that neither it has nor anybody else has made.
pub(super) async fn demand_existing(tx: &mut Transaction, wanted: &Things) -> Result<(), TokenServerError> {
    let mut wanted_names: BTreeSet<(String, String)> = BTreeSet::new();
    let mut roles_named: BTreeSet<&str> = BTreeSet::new();
    for thing in wanted.values() {
        for subject in principals_named(thing) {
            let is_in_the_file = match &subject {
                GrantSubject::Team(name) => wanted.contains_key(&Thing::Team(name.clone()).key()),
                GrantSubject::Workload(name) => wanted.contains_key(&workload(name)),
                _ => false,
            };
            if let (Known::Made(kind, name), false) = (subject.known(), is_in_the_file) {
                wanted_names.insert((kind.to_owned(), name.to_owned()));
            }
        }
        if let Thing::Grant { spec, .. } = thing
            && let NamedWhat::Role(role) = &spec.what
        {
            roles_named.insert(role);
        }
    }
    let (kinds, names): (Vec<String>, Vec<String>) = wanted_names.iter().cloned().unzip();
    // A team that the file had and no longer has goes.
    let found: BTreeSet<String> = policy_rows::list_existing(&mut **tx, &kinds, &names)
        .await?
        .into_iter()
        .filter(|row| !row.from_file)
        .map(|row| row.name)
        .collect();
    let spelled = wanted_names.into_iter().map(|(kind, name)| format!("{kind}:{name}"));
    let mut missing: Vec<String> = spelled.filter(|name| !found.contains(name)).collect();
    let stored: BTreeSet<String> =
        roles::list_roles(&mut **tx).await?.into_iter().map(|row| row.name).collect();
    missing.extend(
        roles_named
            .into_iter()
            .filter(|name| !is_role(name, wanted, &stored))
            .map(|name| format!("role {name}")),
    );
    if missing.is_empty() { Ok(()) } else { Err(TokenServerError::PolicyNames(missing.join(", "))) }
}

fn is_role(name: &str, wanted: &Things, stored: &BTreeSet<String>) -> bool {
    use super::super::role::Role;
    let made = Thing::Role { name: name.to_owned(), rights: RightSet::EMPTY, description: None };
    Role::find_built_in(name).is_some() || wanted.contains_key(&made.key()) || stored.contains(name)
}
