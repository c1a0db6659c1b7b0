//! What applying a policy file would mean for people.
//!
//! *Invariant:* the file is carried out as it would be, in a transaction that is undone; see [`super::what_if`].

use time::Duration;

use super::super::error::TokenServerError;
use super::super::grant::Grant;
use super::super::grant_subject::GrantSubject;
use super::super::namespace::{self, Visibility};
use super::super::policy_file::document::Document;
use super::super::policy_file::plan::{Plan, Step};
use super::super::policy_file::reading;
use super::super::policy_file::thing::Thing;
use super::policy::principals_named;
use super::what_if::{Reach, Trial, WhatIf, holders_above, patterns_of};
use super::{Administration, find_subject};
use crate::db::principals::{AUTHENTICATED, EVERYONE};
use crate::db::{self, Transaction, grants};

impl Administration {
    /// What a file would change, and what that would mean, also for what clients did in so many days.
    pub async fn plan_policy(
        &self,
        document: &Document,
        days: u32,
    ) -> Result<(Plan, Option<WhatIf>), TokenServerError> {
        let wanted = reading::read(document)?;
        let now = self.clock.now();
        let mut tx = db::begin_trial(&self.pool).await?;
        let plan = self.planned(&mut tx, &wanted).await?;
        let reach = reach(&mut tx, &plan).await?;
        if reach.holders.is_empty() {
            // What would be refused is refused here too.
            self.carry_out_all(&mut tx, &plan).await?;
            db::undo(tx).await?;
            return Ok((plan, None));
        }
        let trial = Trial::begin(&mut tx, reach, now - Duration::days(days.into())).await?;
        self.carry_out_all(&mut tx, &plan).await?;
        Ok((plan, Some(trial.end(&self.pool, tx, now).await?)))
    }
}

/// Whom the steps of a plan are about, and where.
async fn reach(tx: &mut Transaction, plan: &Plan) -> Result<Reach, TokenServerError> {
    let mut reach = Reach::default();
    for step in &plan.steps {
        match step {
            Step::Add(thing) | Step::Remove(thing) => extend(tx, &mut reach, thing).await?,
            Step::Change { before, after, .. } => {
                extend(tx, &mut reach, before).await?;
                extend(tx, &mut reach, after).await?;
            }
            // Only whose it is changes.
            Step::Adopt(_) => {}
        }
    }
    for robot in &plan.gone_robots {
        extend_by(tx, &mut reach, &GrantSubject::Robot(robot.name.clone())).await?;
    }
    Ok(reach)
}

async fn extend(tx: &mut Transaction, reach: &mut Reach, thing: &Thing) -> Result<(), TokenServerError> {
    for subject in principals_named(thing) {
        // Some are made by the same file, and are not there yet.
        reach.holders.extend(find_subject(tx, &subject).await?);
    }
    match thing {
        Thing::Role { name, .. } => {
            for row in grants::list_grants(&mut **tx).await? {
                if row.row.role.as_ref() == Some(name) {
                    reach.holders.insert(row.row.subject_pid);
                    reach.patterns.insert(Grant::read(row.row)?.pattern);
                }
            }
        }
        Thing::Team(name) => extend_by(tx, reach, &GrantSubject::Team(name.clone())).await?,
        Thing::Member { team, .. } => {
            if let Some(pid) = find_subject(tx, &GrantSubject::Team(team.clone())).await? {
                reach.patterns.extend(patterns_of(tx, pid).await?);
            }
        }
        Thing::Workload { name, .. } => extend_by(tx, reach, &GrantSubject::Workload(name.clone())).await?,
        Thing::Namespace { name, spec } => {
            reach.patterns.insert(namespace::all_of(name)?);
            reach.holders.extend(match spec.visibility {
                Visibility::Private => None,
                Visibility::Internal => Some(AUTHENTICATED),
                Visibility::Public => Some(EVERYONE),
            });
        }
        Thing::Grant { spec, .. } => {
            reach.patterns.insert(spec.pattern.clone());
        }
        Thing::Barrier { pattern, .. } => {
            reach.holders.extend(holders_above(tx, pattern).await?);
            reach.patterns.insert(pattern.clone());
        }
    }
    Ok(())
}

/// Adds a holder, if it is there already, and all that it holds.
async fn extend_by(
    tx: &mut Transaction,
    reach: &mut Reach,
    subject: &GrantSubject,
) -> Result<(), TokenServerError> {
    if let Some(pid) = find_subject(tx, subject).await? {
        reach.holders.insert(pid);
        reach.patterns.extend(patterns_of(tx, pid).await?);
    }
    Ok(())
}
