//! Workloads: make, list, change, disable, enable, remove.
//!
//! *Invariant:* a workload holds what it was given; a removed one leaves no membership and no right behind, so that a
//! new one of the same name begins with nothing.

use super::super::error::TokenServerError;
use super::super::principal_name::PrincipalName;
use super::super::random;
use super::super::record::audit::Event;
use super::super::words::counted::counted;
use super::super::words::remark;
use super::expectation::Present;
use super::machines::{Machine, MachineChange};
use super::pages::{Page, one_more, page};
use super::{Administration, name_taken, not_found};
use crate::db::principals::{self, WORKLOAD};
use crate::db::workloads::{self, WorkloadSummary};
use crate::db::{self, Transaction, grants, refresh_tokens, teams};

impl Administration {
    /// Makes a workload without any right.
    pub async fn add_workload(
        &self,
        name: &PrincipalName,
        description: Option<&str>,
    ) -> Result<(), TokenServerError> {
        remark::check(description)?;
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "adding a workload").await?;
        self.insert_workload(&mut tx, name, description).await?;
        self.record(&mut tx, Event::WorkloadAdded, name.as_str(), description).await?;
        Ok(db::commit(tx).await?)
    }

    /// Stores a workload; returns its inner number.
    pub(super) async fn insert_workload(
        &self,
        tx: &mut Transaction,
        name: &PrincipalName,
        description: Option<&str>,
    ) -> Result<i64, TokenServerError> {
        self.leave_namespace(tx, name).await?;
        let uid = random::dated_id(&self.random, &*self.clock)?;
        let pid =
            principals::insert_principal(&mut **tx, WORKLOAD, name.as_str(), uid, self.clock.now()).await;
        let pid = pid.map_err(name_taken(name))?;
        workloads::insert_workload(&mut **tx, pid, description, self.actor.pid()).await?;
        Ok(pid)
    }

    /// All workloads, by name.
    pub async fn list_workloads(&self) -> Result<Vec<WorkloadSummary>, TokenServerError> {
        self.demand_sight_of_all("listing all workloads").await?;
        Ok(workloads::list_workloads_behind(&self.pool, "", i64::MAX).await?)
    }

    /// Workloads by name, behind one; none, for who administers nothing.
    pub async fn page_of_workloads(
        &self,
        behind: &str,
        limit: usize,
    ) -> Result<Page<WorkloadSummary, String>, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let found = match self.sight(&mut tx).await?.narrowed() {
            Some(_) => Vec::new(),
            None => workloads::list_workloads_behind(&mut *tx, behind, one_more(limit)).await?,
        };
        Ok(page(found, limit, |row| row.name.clone()))
    }

    /// One workload.
    pub async fn show_workload(&self, name: &PrincipalName) -> Result<WorkloadSummary, TokenServerError> {
        let mut tx = db::begin(&self.pool).await?;
        let is_seen = self.sight(&mut tx).await?.narrowed().is_none();
        let found = workloads::find_workload(&mut *tx, name.as_str()).await?;
        found.filter(|_| is_seen).ok_or_else(|| not_found(WORKLOAD, name))
    }

    /// Lets nothing count that a workload holds from now on, or lets it count again; says whether that was a change.
    pub async fn set_workload_disabled(
        &self,
        name: &PrincipalName,
        is_disabled: bool,
    ) -> Result<bool, TokenServerError> {
        self.change_workload(name, &MachineChange::disabled(is_disabled)).await
    }

    /// Changes a workload; says whether it was otherwise before.
    pub async fn change_workload(
        &self,
        name: &PrincipalName,
        change: &MachineChange,
    ) -> Result<bool, TokenServerError> {
        remark::check(change.description.as_deref())?;
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "changing a workload").await?;
        let found = self.expected_workload(&mut tx, name).await?;
        let is_changed = self.change_machine(&mut tx, Machine::Workload(&found), change).await?;
        db::commit(tx).await?;
        Ok(is_changed)
    }

    /// Removes a workload with its memberships and rights; says how many rights that were.
    pub async fn remove_workload(&self, name: &PrincipalName) -> Result<u64, TokenServerError> {
        let mut tx = self.begin().await?;
        self.demand_everything(&mut tx, "removing a workload").await?;
        let found = self.expected_workload(&mut tx, name).await?;
        let grants = self.delete_workload(&mut tx, found.pid).await?;
        let remark = counted(grants, "grant", "grants");
        self.record(&mut tx, Event::WorkloadRemoved, name.as_str(), Some(&remark)).await?;
        db::commit(tx).await?;
        Ok(grants)
    }

    /// Deletes a workload with whatever belongs to it; says how many rights that were.
    pub(super) async fn delete_workload(
        &self,
        tx: &mut Transaction,
        pid: i64,
    ) -> Result<u64, TokenServerError> {
        principals::update_deleted_by_pid(&mut **tx, pid, self.clock.now()).await?;
        workloads::delete_workload(&mut **tx, pid).await?;
        refresh_tokens::delete_refresh_tokens_of(&mut **tx, pid).await?;
        teams::delete_members(&mut **tx, pid).await?;
        Ok(grants::delete_grants_of(&mut **tx, pid).await?)
    }

    /// The workload of that name, if it is as expected.
    async fn expected_workload(
        &self,
        tx: &mut Transaction,
        name: &PrincipalName,
    ) -> Result<WorkloadSummary, TokenServerError> {
        let found = workloads::find_workload(&mut **tx, name.as_str()).await?;
        let found = found.ok_or_else(|| not_found(WORKLOAD, name))?;
        self.compare(Present::Workload(&found))?;
        Ok(found)
    }
}
