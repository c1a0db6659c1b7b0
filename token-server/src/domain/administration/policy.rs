//! The whole policy from one file: plan, apply, export.
//!
//! *Invariant:* a file is applied as a whole or not at all, in one transaction; applied again it changes nothing. The
//! records of its steps come last, as those of every change.

use std::collections::BTreeSet;

use super::super::barrier::Barrier;
use super::super::error::TokenServerError;
use super::super::grant_subject::GrantSubject;
use super::super::policy_file::document::Document;
use super::super::policy_file::plan::{GoneRobot, Plan, Step, Stored};
use super::super::policy_file::reading::{self, Things};
use super::super::policy_file::thing::Thing;
use super::super::random;
use super::super::record::audit::Event;
use super::super::robot_name::RobotName;
use super::grants::{Texts, meant};
use super::members::demand_nesting;
use super::stored_policy::{self, hold_member};
use super::{Administration, hold_role_to_change, hold_subject, hold_team, hold_workload, name_taken};
use crate::db::barriers::{self, BarrierRow};
use crate::db::grants::{self, NewGrant, Source};
use crate::db::namespaces;
use crate::db::policy_rows;
use crate::db::principals::{self, TEAM, WORKLOAD};
use crate::db::roles::{self, RoleRow};
use crate::db::{self, Transaction, robots, teams, workloads};

/// What is refused to who does not hold everything.
pub const APPLYING: &str = "planning and applying a policy";

/// The same of reading all of it.
pub const EXPORTING: &str = "exporting the policy";

impl Administration {
    /// What is stored otherwise than a file says.
    pub async fn compare_policy(&self, document: &Document) -> Result<Plan, TokenServerError> {
        let wanted = reading::read(document)?;
        let mut tx = db::begin_snapshot(&self.pool).await?;
        self.planned(&mut tx, &wanted).await
    }

    /// What a file would change, for whoever may apply it.
    pub(super) async fn planned(
        &self,
        tx: &mut Transaction,
        wanted: &Things,
    ) -> Result<Plan, TokenServerError> {
        self.demand_everything(tx, APPLYING).await?;
        stored_policy::demand_existing(tx, wanted).await?;
        let mut plan = Plan::new(wanted, &stored_policy::read(tx).await?);
        plan.gone_robots = self.gone_robots(tx, &plan).await?;
        demand_staying(wanted, &plan)?;
        Ok(plan)
    }

    /// The robots of the namespaces that a plan removes.
    async fn gone_robots(
        &self,
        tx: &mut Transaction,
        plan: &Plan,
    ) -> Result<Vec<GoneRobot>, TokenServerError> {
        let namespaces: Vec<String> = plan.removed_namespaces().map(ToString::to_string).collect();
        let found = robots::list_robots_of_namespaces(&mut **tx, &namespaces, self.clock.now()).await?;
        let gone = found.into_iter().map(|robot| {
            let name = RobotName::parse(&robot.name)?;
            Ok(GoneRobot { name, secrets: robot.secrets })
        });
        gone.collect()
    }

    /// Carries a plan out, without its records.
    pub(super) async fn carry_out_all(
        &self,
        tx: &mut Transaction,
        plan: &Plan,
    ) -> Result<(), TokenServerError> {
        for step in &plan.steps {
            self.carry_out(tx, step).await.map_err(|error| match error {
                error @ (TokenServerError::Db(_) | TokenServerError::NoRandomness(_)) => error,
                error => TokenServerError::PolicyStep { step: step.to_string(), reason: error.to_string() },
            })?;
        }
        Ok(())
    }

    /// Carries a file out; says what was done.
    pub async fn apply_policy(&self, document: &Document) -> Result<Plan, TokenServerError> {
        let wanted = reading::read(document)?;
        let mut tx = self.begin().await?;
        let plan = self.planned(&mut tx, &wanted).await?;
        self.carry_out_all(&mut tx, &plan).await?;
        let steps = plan.steps.iter().map(|step| (Event::PolicyApplied, step.to_string(), None));
        self.record_all(&mut tx, &steps.collect::<Vec<_>>()).await?;
        db::commit(tx).await?;
        Ok(plan)
    }

    /// The file that says what is stored, whoever made it.
    pub async fn export_policy(&self) -> Result<Document, TokenServerError> {
        let mut tx = db::begin_snapshot(&self.pool).await?;
        self.demand_everything(&mut tx, EXPORTING).await?;
        let stored = stored_policy::read(&mut tx).await?;
        let things = stored.into_values().filter_map(|Stored { from_file, by_hand }| from_file.or(by_hand));
        Ok(reading::write(&things.collect::<Vec<_>>()))
    }

    async fn carry_out(&self, tx: &mut Transaction, step: &Step) -> Result<(), TokenServerError> {
        match step {
            Step::Add(thing) => self.make(tx, thing).await,
            Step::Adopt(thing) => self.adopt(tx, thing).await,
            Step::Remove(thing) => self.unmake(tx, thing, Source::Policy).await,
            Step::Change { before, by_hand, after } => self.remake(tx, before, *by_hand, after).await,
        }
    }

    async fn make(&self, tx: &mut Transaction, thing: &Thing) -> Result<(), TokenServerError> {
        let now = self.clock.now();
        match thing {
            Thing::Role { name, rights, description } => {
                let (name, rights) = (name.clone(), rights.to_string());
                let row = RoleRow { name, rights, description: description.clone(), created_at: now };
                roles::insert_role(&mut **tx, &row).await?;
            }
            Thing::Team(name) => {
                self.leave_namespace(tx, name).await?;
                let uid = random::dated_id(&self.random, &*self.clock)?;
                let made = principals::insert_principal(&mut **tx, TEAM, name.as_str(), uid, now).await;
                made.map_err(name_taken(name))?;
            }
            Thing::Workload { name, description } => {
                self.insert_workload(tx, name, description.as_deref()).await?;
            }
            Thing::Member { team, member, is_maintainer } => {
                let (team_pid, member_pid) =
                    (hold_team(&mut **tx, team).await?, hold_member(tx, member).await?);
                demand_nesting(tx, (team, team_pid), (member, member_pid)).await?;
                teams::insert_member(&mut **tx, team_pid, member_pid, *is_maintainer, now).await?;
            }
            Thing::Namespace { name, spec } => {
                let owner = hold_subject(tx, &spec.owner).await?;
                self.make_namespace(tx, name, owner, spec).await?;
            }
            Thing::Grant { spec, conditions, reason } => {
                let row = meant(tx, spec, conditions).await?;
                let holder = hold_subject(tx, &spec.subject).await?;
                let texts = Texts::of(&row);
                let new = NewGrant {
                    reason: reason.as_deref(),
                    created_by: self.actor.pid(),
                    source: Source::Policy,
                    ..texts.new_grant(holder, &row)
                };
                grants::insert_grant(tx, &new, now).await?;
            }
            Thing::Barrier { pattern, rights, reason } => {
                Barrier::new(pattern.clone(), *rights)?;
                let (rights, reason) = (rights.to_string(), reason.clone());
                let row = BarrierRow { pattern: pattern.to_string(), rights, reason, created_at: now };
                barriers::insert_barrier(&mut **tx, &pattern.anchor(), &row).await?;
            }
        }
        self.adopt(tx, thing).await
    }

    /// Lets the file keep what is there; a grant is another row when it is, see [`Source`].
    async fn adopt(&self, tx: &mut Transaction, thing: &Thing) -> Result<(), TokenServerError> {
        match thing {
            Thing::Role { name, .. } => policy_rows::update_role(&mut **tx, name).await?,
            Thing::Team(name) => policy_rows::update_principal(&mut **tx, TEAM, name.as_str()).await?,
            Thing::Workload { name, .. } => {
                policy_rows::update_principal(&mut **tx, WORKLOAD, name.as_str()).await?;
            }
            Thing::Member { team, member, .. } => {
                let (team, member) = (hold_team(&mut **tx, team).await?, hold_member(tx, member).await?);
                policy_rows::update_member(&mut **tx, team, member).await?;
            }
            Thing::Namespace { name, .. } => {
                policy_rows::update_namespace(&mut **tx, name.as_str()).await?;
            }
            Thing::Grant { spec, conditions, .. } => {
                let row = meant(tx, spec, conditions).await?;
                let holder = hold_subject(tx, &spec.subject).await?;
                let texts = Texts::of(&row);
                grants::update_source(&mut **tx, &texts.new_grant(holder, &row), Source::Policy).await?;
            }
            Thing::Barrier { pattern, .. } => {
                policy_rows::update_barrier(&mut **tx, &pattern.to_string()).await?;
            }
        }
        Ok(())
    }

    async fn unmake(
        &self,
        tx: &mut Transaction,
        thing: &Thing,
        source: Source,
    ) -> Result<(), TokenServerError> {
        match thing {
            Thing::Role { name, .. } => {
                hold_role_to_change(tx, name).await?;
                let grants = roles::count_grants(&mut **tx, name).await?;
                if grants > 0 {
                    return Err(TokenServerError::RoleInUse { name: name.clone(), grants });
                }
                roles::delete_role(&mut **tx, name).await?;
            }
            Thing::Team(name) => {
                self.delete_team(tx, name).await?;
            }
            Thing::Workload { name, .. } => {
                let pid = hold_workload(&mut **tx, name).await?;
                self.delete_workload(tx, pid).await?;
            }
            Thing::Member { team, member, .. } => {
                let (team, member) = (hold_team(&mut **tx, team).await?, hold_member(tx, member).await?);
                teams::delete_member(&mut **tx, team, member).await?;
            }
            Thing::Namespace { name, .. } => {
                self.delete_namespace(tx, name).await?;
            }
            Thing::Grant { spec, conditions, .. } => {
                let row = meant(tx, spec, conditions).await?;
                let holder = hold_subject(tx, &spec.subject).await?;
                let texts = Texts::of(&row);
                let gone = NewGrant { source, ..texts.new_grant(holder, &row) };
                grants::delete_grant(&mut **tx, &gone).await?;
            }
            Thing::Barrier { pattern, .. } => {
                barriers::delete_barrier(&mut **tx, &pattern.anchor(), &pattern.to_string()).await?;
            }
        }
        Ok(())
    }

    async fn remake(
        &self,
        tx: &mut Transaction,
        before: &Thing,
        by_hand: bool,
        after: &Thing,
    ) -> Result<(), TokenServerError> {
        match after {
            // Grants name it and others are in it, so it is changed in its place.
            Thing::Role { name, rights, description } => {
                roles::update_role(&mut **tx, name, &rights.to_string(), description.as_deref()).await?;
                self.adopt(tx, after).await
            }
            Thing::Workload { name, description } => {
                let pid = hold_workload(&mut **tx, name).await?;
                workloads::update_description(&mut **tx, pid, description.as_deref()).await?;
                self.adopt(tx, after).await
            }
            Thing::Namespace { name, spec } => {
                let found = namespaces::find_namespace(&mut **tx, name.as_str()).await?;
                let owner = hold_subject(tx, &spec.owner).await?;
                if let Some(found) = found {
                    self.remake_namespace(tx, found.id, name, owner, spec).await?;
                }
                self.adopt(tx, after).await
            }
            Thing::Member { team, member, is_maintainer } => {
                let (team, member) = (hold_team(&mut **tx, team).await?, hold_member(tx, member).await?);
                teams::update_maintainer(&mut **tx, team, member, *is_maintainer).await?;
                self.adopt(tx, after).await
            }
            Thing::Team(_) | Thing::Grant { .. } | Thing::Barrier { .. } => {
                let source = if by_hand { Source::Manual } else { Source::Policy };
                self.unmake(tx, before, source).await?;
                self.make(tx, after).await
            }
        }
    }
}

/// Refuses a file that names robots which go with a namespace it does not have any more.
fn demand_staying(wanted: &Things, plan: &Plan) -> Result<(), TokenServerError> {
    let holders = wanted.values().flat_map(principals_named);
    let gone = holders.filter(|subject| match subject {
        GrantSubject::Robot(name) => plan.gone_robots.iter().any(|robot| robot.name == *name),
        _ => false,
    });
    let gone: BTreeSet<String> = gone.map(|subject| subject.to_string()).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let names = gone.into_iter().collect::<Vec<_>>().join(", ");
    Err(TokenServerError::Contradiction(format!(
        "the policy names {names}, which would go with a namespace that it no longer has"
    )))
}

/// Who is named as an owner or a holder.
pub(super) fn principals_named(thing: &Thing) -> Vec<GrantSubject> {
    match thing {
        Thing::Role { .. } | Thing::Team(_) | Thing::Workload { .. } | Thing::Barrier { .. } => Vec::new(),
        Thing::Member { member, .. } => vec![member.subject()],
        Thing::Namespace { spec, .. } => vec![spec.owner.clone()],
        Thing::Grant { spec, .. } => vec![spec.subject.clone()],
    }
}
