//! Rows while they are being found: what rules give, what denials take from that, and what is too much all the same.
//!
//! *Invariant:* no row that is left gives more than docker_auth does in a case that was looked at, except what anybody has
//! without a login.

use std::collections::BTreeMap;

use shared::action::{Action, ActionSet};
use shared::repository_pattern::RepositoryPattern;
use time::OffsetDateTime;

use super::super::comparison::{ASKED, Case, Cases, StoredRights, is_about_case};
use super::super::complement::complement;
use super::super::people::Person;
use super::super::rows::{self, Holder, Outcome, PlannedRow, Scene, Written};
use crate::domain::grant::Effect;
use crate::domain::grant_spec::NamedWhat;
use crate::domain::grant_subject::GrantSubject;
use crate::domain::principal_name::PrincipalName;
use crate::domain::right::{Right, RightSet};

/// What rules come to.
pub(super) struct Draft {
    /// Rule by rule.
    pub(super) outcomes: Vec<Outcome>,
    /// All together.
    pub(super) rows: Vec<PlannedRow>,
    /// What each rule allows of what is asked for.
    allowed: Vec<ActionSet>,
}

impl Draft {
    /// Writes each rule as if it stood alone.
    pub(super) fn new(scene: &Scene<'_>) -> Self {
        let outcomes: Vec<Outcome> =
            (0..scene.config.rules.len()).map(|position| scene.write(position)).collect();
        let written = scene.config.rules.iter().zip(&outcomes).filter_map(|(rule, outcome)| match outcome {
            Outcome::Written(written, _) => Some(rows::allowing(rule, written)),
            _ => None,
        });
        let rows = rows::merged(written.flatten().collect());
        let allowed = scene.config.rules.iter().map(|rule| rule.allowed.of(ASKED)).collect();
        Self { outcomes, rows, allowed }
    }

    /// Adds denials, and takes away what gives too much. What is stored already plays no part, so that the same file
    /// always comes to the same rows.
    pub(super) fn settle(&mut self, cases: &Cases<'_>, now: OffsetDateTime) {
        let stored = &StoredRights::default();
        let answers = cases.answers(stored, &self.rows, now);
        let denials = self.denials(cases, &answers);
        self.rows = rows::merged(self.rows.drain(..).chain(denials).collect());
        loop {
            let answers = cases.answers(stored, &self.rows, now);
            let excess: Vec<_> = excess(cases, &answers).collect();
            let gives = |row: &PlannedRow| {
                row.spec.effect == Effect::Allow
                    && excess.iter().any(|(case, more)| {
                        let given = rows::what_of(row).rights();
                        let is_more = !given.intersection(rows::rights_of(*more)).is_empty()
                            || (more.contains(Action::All) && given.contains(Right::All));
                        is_more && is_about_case(row, case, cases.people[case.person])
                    })
            };
            let count = self.rows.len();
            self.rows.retain(|row| !gives(row));
            if self.rows.len() == count {
                break;
            }
        }
    }

    /// Denials that keep later rules from adding to the one that decides.
    fn denials(&self, cases: &Cases<'_>, answers: &[ActionSet]) -> Vec<PlannedRow> {
        // Rule and person → what is too much there.
        let mut more_of: BTreeMap<usize, BTreeMap<usize, ActionSet>> = BTreeMap::new();
        for (case, more) in excess(cases, answers) {
            if let Some(rule) = case.rule {
                let known = more_of.entry(rule).or_default().entry(case.person).or_default();
                *known = known.union(more);
            }
        }
        let mut denials = Vec::new();
        for (rule, of_people) in more_of {
            let Outcome::Written(written, _) = &self.outcomes[rule] else { continue };
            for holder in &written.holders {
                let about = of_people.iter().filter(|(person, _)| holder.is_about(cases.people[**person]));
                let about: Vec<(usize, ActionSet)> = about.map(|(person, more)| (*person, *more)).collect();
                denials.extend(self.denials_of(cases, rule, written, holder, &about));
            }
        }
        denials
    }

    /// Denials for a holder of a rule, some of whom have too much: for all of them at once, unless that would take away
    /// what other rules give, and denials for each of them would not, or less.
    fn denials_of(
        &self,
        cases: &Cases<'_>,
        rule: usize,
        written: &Written,
        holder: &Holder,
        about: &[(usize, ActionSet)],
    ) -> Vec<PlannedRow> {
        let rows = |subject: GrantSubject, patterns: Vec<RepositoryPattern>, more: ActionSet| {
            let one =
                Written { holders: vec![Holder { subject, patterns }], networks: written.networks.clone() };
            rows::rows(cases.lines[rule], &one, Effect::Deny, &NamedWhat::Rights(denied(more)))
        };
        let all = about.iter().fold(ActionSet::EMPTY, |all, (_, more)| all.union(*more));
        if all.is_empty() {
            return Vec::new();
        }
        let whole = rows(holder.subject.clone(), holder.patterns.clone(), all);
        let user = |person: usize| {
            let person = cases.people[person];
            person
                .user
                .as_deref()
                .filter(|_| person.is_known)
                .and_then(|name| PrincipalName::parse(name).ok())
        };
        let users: Option<Vec<_>> =
            about.iter().map(|(person, more)| Some((user(*person)?, *person, *more))).collect();
        match users {
            Some(users) if harms(cases, &whole, rule) => {
                let of_user = |(name, person, more): (PrincipalName, usize, ActionSet)| {
                    let patterns = self.outside(rule, holder, cases.people[person], more);
                    rows(GrantSubject::User(name), patterns, more)
                };
                users.into_iter().flat_map(of_user).collect()
            }
            _ => whole,
        }
    }

    /// Where a rule takes these actions from a person: everywhere it covers, or if that is everywhere, where no earlier
    /// rule gives them.
    fn outside(
        &self,
        rule: usize,
        holder: &Holder,
        person: &Person,
        taken: ActionSet,
    ) -> Vec<RepositoryPattern> {
        if holder.patterns != [RepositoryPattern::all()] {
            return holder.patterns.clone();
        }
        let earlier =
            self.outcomes[..rule].iter().zip(&self.allowed).filter_map(|(outcome, allowed)| match outcome {
                // What is given in some networks cannot be left out of a denial.
                Outcome::Written(written, _) if written.networks.is_empty() => {
                    (!allowed.intersection(taken).is_empty()).then_some(written)
                }
                _ => None,
            });
        let about = earlier.flat_map(|written| &written.holders).filter(|earlier| earlier.is_about(person));
        let given: Vec<_> = about
            .flat_map(|earlier| &earlier.patterns)
            .filter_map(|pattern| pattern.for_user(person.user.as_deref()))
            .collect();
        complement(&given).filter(|outside| !outside.is_empty()).unwrap_or_else(|| holder.patterns.clone())
    }
}

/// What is given beyond what docker_auth gives; what anybody has without a login is no more than before.
fn excess<'a>(cases: &'a Cases<'_>, answers: &'a [ActionSet]) -> impl Iterator<Item = (&'a Case, ActionSet)> {
    cases.all.iter().zip(answers).filter_map(|(case, new)| {
        let more = new.difference(case.old).difference(case.open);
        (!more.is_empty()).then_some((case, more))
    })
}

/// Rights that a denial names. `*` falls with any of them, and alone with the right to delete whole repositories.
fn denied(more: ActionSet) -> RightSet {
    if ASKED.difference(more).is_empty() {
        return RightSet::EVERYTHING;
    }
    let rights = rows::rights_of(more);
    if more.contains(Action::All) { rights.union(RightSet::of(&[Right::RepositoryDelete])) } else { rights }
}

/// Whether denials take away what other rules than this one give.
fn harms(cases: &Cases<'_>, denials: &[PlannedRow], rule: usize) -> bool {
    let mut others = cases.all.iter().filter(|case| case.rule != Some(rule) && !case.old.is_empty());
    others.any(|case| {
        denials.iter().any(|row| {
            let taken = rows::what_of(row).rights();
            let loses = !taken.intersection(rows::rights_of(case.old)).is_empty();
            loses && is_about_case(row, case, cases.people[case.person])
        })
    })
}
