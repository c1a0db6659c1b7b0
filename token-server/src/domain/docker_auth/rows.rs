//! What a rule comes to as rows, as if it stood alone.
//!
//! *Invariant:* a rule is written as a whole or not at all, and never for more people or names than it matched.

use std::collections::BTreeMap;

use ipnet::IpNet;
use shared::action::{Action, ActionSet};
use shared::repository_pattern::RepositoryPattern;

use super::config::Config;
use super::patterns::{self, ANYBODY};
use super::people::Person;
use super::rule::{Allowed, Field, Request, Rule, variants};
use super::traps::decides_before;
use crate::domain::grant::{Effect, What};
use crate::domain::grant_spec::{GrantSpec, NamedWhat};
use crate::domain::grant_subject::GrantSubject;
use crate::domain::principal_name::PrincipalName;
use crate::domain::right::{Right, RightSet};
use crate::domain::role::Role;

/// A row that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRow {
    /// Where the rules stand that it comes from.
    pub lines: Vec<usize>,
    /// What it says.
    pub spec: GrantSpec,
    /// Only for clients there; for all if there are none.
    pub networks: Vec<IpNet>,
}

/// Everybody and everything a rule is looked at with.
pub(super) struct Scene<'a> {
    pub(super) config: &'a Config,
    pub(super) nobody: &'a Person,
    /// Users of the file who can be users here.
    pub(super) known: &'a [Person],
    pub(super) strangers: &'a [Person],
    pub(super) services: &'a [String],
}

/// Whom a rule is about, and where.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) subject: GrantSubject,
    pub(super) patterns: Vec<RepositoryPattern>,
}

/// A rule in the words of rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub(super) holders: Vec<Holder>,
    pub(super) networks: Vec<IpNet>,
}

/// What becomes of a rule.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It can be written; with something to know about that.
    Written(Written, Option<String>),
    /// It says nothing about repositories here, because of this.
    Idle(String),
    /// It cannot be written, because of this.
    Left(String),
    /// It is about people or registries that are not here, because of this; they cannot be compared.
    Elsewhere(String),
}

impl Holder {
    /// Whether it is about that person.
    pub(super) fn is_about(&self, person: &Person) -> bool {
        is_about(&self.subject, person)
    }
}

/// Whether a subject includes a person.
pub(super) fn is_about(subject: &GrantSubject, person: &Person) -> bool {
    match subject {
        GrantSubject::Everyone => true,
        GrantSubject::Authenticated => person.user.is_some(),
        GrantSubject::User(name) => person.is_known && person.user.as_deref() == Some(name.as_str()),
        GrantSubject::Team(_) | GrantSubject::Robot(_) | GrantSubject::Workload(_) => false,
    }
}

/// The rows that give what a rule allows.
pub(super) fn allowing(rule: &Rule, written: &Written) -> Vec<PlannedRow> {
    let Some(what) = what(&rule.allowed) else { return Vec::new() };
    rows(rule.line, written, Effect::Allow, &what)
}

/// Rows that say the same of everybody and everything in a rule, or in one of its holders.
pub(super) fn rows(line: usize, written: &Written, effect: Effect, what: &NamedWhat) -> Vec<PlannedRow> {
    let of = |holder: &Holder| {
        let subject = holder.subject.clone();
        let rows = holder.patterns.iter().map(move |pattern| PlannedRow {
            lines: vec![line],
            spec: GrantSpec {
                subject: subject.clone(),
                effect,
                what: what.clone(),
                pattern: pattern.clone(),
                tags: None,
            },
            networks: written.networks.clone(),
        });
        rows.collect::<Vec<_>>()
    };
    written.holders.iter().flat_map(of).collect()
}

/// Draws together rows that differ only in where they come from or in networks; the database keeps one of them.
pub(super) fn merged(rows: Vec<PlannedRow>) -> Vec<PlannedRow> {
    let mut merged: Vec<PlannedRow> = Vec::new();
    for row in rows {
        match merged.iter_mut().find(|known| known.spec == row.spec) {
            Some(known) => {
                if known.networks.is_empty() || row.networks.is_empty() {
                    known.networks.clear();
                } else {
                    known.networks.extend(row.networks);
                    known.networks.sort_unstable();
                    known.networks.dedup();
                }
                known.lines.extend(row.lines);
                known.lines.sort_unstable();
                known.lines.dedup();
            }
            None => merged.push(row),
        }
    }
    merged
}

/// A role where there is one for it, otherwise the rights one by one; nothing if nothing is allowed.
fn what(allowed: &Allowed) -> Option<NamedWhat> {
    let role = |role: Role| NamedWhat::Role(role.name().to_owned());
    let Allowed::Words(words) = allowed else { return Some(role(Role::OWNER)) };
    let actions: ActionSet = words.iter().filter_map(|word| Action::parse(word)).collect();
    let rights = rights_of(actions);
    if rights.is_empty() {
        return None;
    }
    // Whoever pulls there sees the name in lists.
    let seen = if rights.contains(Right::Pull) { RightSet::of(&[Right::List]) } else { RightSet::EMPTY };
    let rights = rights.union(seen);
    let found = Role::BUILT_IN.into_iter().find(|role| role.rights() == rights);
    Some(found.map_or(NamedWhat::Rights(rights), role))
}

/// What a planned row gives or takes away.
pub(super) fn what_of(row: &PlannedRow) -> What {
    match &row.spec.what {
        // Only built-in roles are planned.
        NamedWhat::Role(name) => Role::find_built_in(name).map_or(What::Rights(RightSet::EMPTY), What::Role),
        NamedWhat::Rights(rights) => What::Rights(*rights),
    }
}

/// The rights that these actions stand for, without `*`, which no row gives alone.
pub(super) fn rights_of(actions: ActionSet) -> RightSet {
    let parts = [
        (Action::Pull, RightSet::of(&[Right::Pull])),
        (Action::Push, RightSet::PUSH),
        (Action::Delete, RightSet::DELETE),
        (Action::RepositoryDelete, RightSet::of(&[Right::RepositoryDelete])),
    ];
    let held = parts.into_iter().filter(|(action, _)| actions.contains(*action));
    held.fold(RightSet::EMPTY, |set, (_, rights)| set.union(rights))
}

impl Scene<'_> {
    /// Writes a rule.
    pub(super) fn write(&self, position: usize) -> Outcome {
        let rules = &self.config.rules;
        let rule = &rules[position];
        if let Some(earlier) = decides_before(rules, position) {
            return Outcome::Idle(format!("the rule at line {} always decides before it", earlier.line));
        }
        if !rule.unknown.is_empty() {
            let words = rule.unknown.join("`, `");
            return Outcome::Left(format!(
                "docker_auth does not know the condition `{words}` and lets the rule match without it; say with rows who was meant"
            ));
        }
        match self.services_of(rule) {
            (_, 0) => {
                let services = self.services.join("`, `");
                return Outcome::Elsewhere(format!(
                    "it is about other registries than `{services}`; name those that come here in `audiences`"
                ));
            }
            (all, some) if some < all => {
                return Outcome::Left("it counts for some registries only, and rows count for all".into());
            }
            _ => {}
        }
        let expressions = &self.config.expressions;
        let someone = self.nobody.request("repository", "app", self.service());
        if !rule.fits(Field::Type, &someone, &rule.values(&someone, expressions), expressions) {
            return Outcome::Idle(
                "it is not about repositories; the list of repositories shows what one may pull".into(),
            );
        }
        let (holders, note) = match self.holders(rule) {
            Ok(found) => found,
            Err(why) => return Outcome::Left(why),
        };
        if holders.is_empty() {
            return self.for_nobody(rule);
        }
        let mut written = Written { holders: Vec::new(), networks: rule.network.into_iter().collect() };
        for (subject, account) in holders {
            match self.patterns(rule, account) {
                Ok(patterns) => written.holders.push(Holder { subject, patterns }),
                Err(why) => return Outcome::Left(why),
            }
        }
        if written.holders.iter().all(|holder| holder.patterns.is_empty()) {
            if self.config.has_other_logins() && rule.is_about_some() {
                return Outcome::Elsewhere(
                    "whoever has names in it logs in elsewhere and is no user here".into(),
                );
            }
            return Outcome::Idle("no repository has a name that it covers".into());
        }
        Outcome::Written(written, note)
    }

    fn service(&self) -> &str {
        self.services.first().map_or("", String::as_str)
    }

    /// How many registries there are, and how many of them a rule is about.
    fn services_of(&self, rule: &Rule) -> (usize, usize) {
        let expressions = &self.config.expressions;
        let fits = |service: &&String| {
            let request = self.nobody.request("repository", "app", service);
            rule.fits(Field::Service, &request, &rule.values(&request, expressions), expressions)
        };
        (self.services.len(), self.services.iter().filter(fits).count())
    }

    /// Whether a rule is about a person, by name and labels.
    fn is_about(&self, rule: &Rule, person: &Person) -> bool {
        let expressions = &self.config.expressions;
        let alone = Rule { kind: None, name: None, service: None, network: None, ..rule.clone() };
        alone.matches(&person.request("repository", "app", self.service()), expressions)
    }

    /// Who holds what a rule allows; with the person whose name and labels are put in, or nobody for a pattern that is
    /// the same for all.
    #[expect(clippy::type_complexity, reason = "two lists that are taken apart at once")]
    fn holders(&self, rule: &Rule) -> Result<(Vec<(GrantSubject, Option<&Person>)>, Option<String>), String> {
        let of_account = rule.pattern(Field::Account).unwrap_or_default();
        if ["${name}", "${type}", "${service}", "${name:", "${type:", "${service:"]
            .iter()
            .any(|part| of_account.contains(part))
        {
            return Err("whom it is about depends on what is asked for".into());
        }
        let lets_nobody_in = self.config.anonymous.is_some();
        let nobody = lets_nobody_in && self.is_about(rule, self.nobody);
        let strangers = self.strangers.iter().filter(|person| self.is_about(rule, person)).count();
        let known: Vec<&Person> = self.known.iter().filter(|person| self.is_about(rule, person)).collect();
        let of_name = rule.pattern(Field::Name).unwrap_or_default();
        let is_personal =
            of_name.contains("${labels:") || of_name.contains("${account:") || of_name.contains("${Account:");
        let is_all = strangers == self.strangers.len() && known.len() == self.known.len();
        if is_all && !is_personal {
            let subject = if nobody { GrantSubject::Everyone } else { GrantSubject::Authenticated };
            return Ok((vec![(subject, None)], None));
        }
        let mut holders: Vec<(GrantSubject, Option<&Person>)> = Vec::new();
        let mut notes = Vec::new();
        if nobody && !is_personal {
            holders.push((GrantSubject::Everyone, None));
            if strangers == 0 {
                notes.push(
                    "people without a login have what `everyone` has, and so has everybody else".to_owned(),
                );
            }
        }
        for person in known {
            let name = person.user.as_deref().and_then(|name| PrincipalName::parse(name).ok());
            holders.extend(name.map(|name| (GrantSubject::User(name), Some(person))));
        }
        let is_literal = is_literal(of_account);
        if !is_literal && holders.iter().any(|(subject, _)| matches!(subject, GrantSubject::User(_))) {
            notes.push("it is written for the users who are in the file now; who comes later needs a row, or a team that has one".to_owned());
        }
        Ok((holders, (!notes.is_empty()).then(|| notes.join("; "))))
    }

    /// What becomes of a rule that is about none of the people who can be users here.
    fn for_nobody(&self, rule: &Rule) -> Outcome {
        let account = rule.pattern(Field::Account).unwrap_or_default();
        if account.is_empty() && rule.account.is_some() {
            return Outcome::Idle(
                "people without a login are not let in, because `users` has no \"\"".into(),
            );
        }
        let has_other_users = self.config.has_other_logins();
        if is_literal(account) && self.config.user(account).is_some() {
            return Outcome::Left(format!(
                "user {account} is not taken over; add the user and run this again"
            ));
        }
        if has_other_users {
            let whom =
                if is_literal(account) { format!("user {account}") } else { "whoever it is about".into() };
            return Outcome::Elsewhere(format!(
                "{whom} logs in elsewhere and is no user here; add users and give them rows"
            ));
        }
        Outcome::Idle("nobody in `users` is meant by it".into())
    }

    /// The patterns of a rule for one person, or for everybody.
    fn patterns(&self, rule: &Rule, person: Option<&Person>) -> Result<Vec<RepositoryPattern>, String> {
        let Some(pattern) = rule.pattern(Field::Name) else { return Ok(vec![RepositoryPattern::all()]) };
        if pattern.contains("${name}") || pattern.contains("${name:") {
            return Err("its name pattern is about itself".into());
        }
        if pattern.contains("${service") && self.services.len() > 1 {
            return Err("its names depend on the registry, and rows count for all".into());
        }
        let account = person.map_or(ANYBODY, |person| &person.account);
        let none = BTreeMap::new();
        let labels = person.map_or(&none, |person| &person.labels);
        let request =
            Request { account, kind: "repository", name: "", service: self.service(), address: None, labels };
        let values = rule.values(&request, &self.config.expressions);
        let mut written = Vec::new();
        for pattern in variants(pattern, &values, labels) {
            written.extend(patterns::write(&pattern).map_err(|error| error.to_string())?);
        }
        written.sort_unstable();
        written.dedup();
        Ok(written)
    }
}

/// Whether a pattern is one name.
fn is_literal(pattern: &str) -> bool {
    !pattern.is_empty() && !pattern.contains(['*', '?', '[', '\\', '$']) && !pattern.starts_with('/')
}
