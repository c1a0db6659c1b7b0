//! What robots and workloads have in common: a description, and whether they count.
//!
//! *Invariant:* what is not said stays as it is, and each of the two that changes has a record of its own.

use time::OffsetDateTime;

use super::super::error::TokenServerError;
use super::super::record::audit::{Change, Event};
use super::Administration;
use crate::db::robots::RobotSummary;
use crate::db::workloads::WorkloadSummary;
use crate::db::{Transaction, robots, users, workloads};

/// What becomes of a robot or a workload; what is not said stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineChange {
    /// Whether a robot's logins are refused, and whether a workload's rights do not count.
    pub is_disabled: Option<bool>,
    /// What it is for; an empty text takes the description away.
    pub description: Option<String>,
}

impl MachineChange {
    /// Disables or enables it.
    pub fn disabled(is_disabled: bool) -> Self {
        Self { is_disabled: Some(is_disabled), description: None }
    }
}

/// One of the two as it is stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Machine<'a> {
    Robot(&'a RobotSummary),
    Workload(&'a WorkloadSummary),
}

/// What a record says that happened to it.
struct Events {
    changed: Event,
    disabled: Event,
    enabled: Event,
}

impl Machine<'_> {
    fn pid(&self) -> i64 {
        match self {
            Self::Robot(row) => row.pid,
            Self::Workload(row) => row.pid,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Robot(row) => &row.name,
            Self::Workload(row) => &row.name,
        }
    }

    fn description(&self) -> Option<&str> {
        match self {
            Self::Robot(row) => row.description.as_deref(),
            Self::Workload(row) => row.description.as_deref(),
        }
    }

    fn disabled_at(&self) -> Option<OffsetDateTime> {
        match self {
            Self::Robot(row) => row.disabled_at,
            Self::Workload(row) => row.disabled_at,
        }
    }

    fn events(&self) -> Events {
        match self {
            Self::Robot(_) => Events {
                changed: Event::RobotChanged,
                disabled: Event::RobotDisabled,
                enabled: Event::RobotEnabled,
            },
            Self::Workload(_) => Events {
                changed: Event::WorkloadChanged,
                disabled: Event::WorkloadDisabled,
                enabled: Event::WorkloadEnabled,
            },
        }
    }
}

impl Administration {
    /// Changes a robot or a workload with its records; says whether it was otherwise before.
    pub(super) async fn change_machine(
        &self,
        tx: &mut Transaction,
        machine: Machine<'_>,
        change: &MachineChange,
    ) -> Result<bool, TokenServerError> {
        let pid = machine.pid();
        let description = change.description.as_deref().filter(|text| !text.is_empty());
        let is_described = change.description.is_some() && machine.description() != description;
        if is_described {
            match machine {
                Machine::Robot(_) => robots::update_description(&mut **tx, pid, description).await?,
                Machine::Workload(_) => workloads::update_description(&mut **tx, pid, description).await?,
            }
        }
        let is_switched = match change.is_disabled {
            None => false,
            Some(is_disabled) => {
                let at = is_disabled.then(|| self.clock.now());
                users::update_disabled(&mut **tx, pid, at).await?.is_some()
            }
        };
        let Events { changed, disabled, enabled } = machine.events();
        if is_described {
            let (before, after) = (machine.description(), description);
            let said = Change { before: before.unwrap_or_default(), after: after.unwrap_or_default() };
            self.record_change(tx, changed, machine.name(), said).await?;
        }
        if is_switched {
            let (event, before, after) = match machine.disabled_at() {
                None => (disabled, "active", "disabled"),
                Some(_) => (enabled, "disabled", "active"),
            };
            self.record_change(tx, event, machine.name(), Change { before, after }).await?;
        }
        Ok(is_described || is_switched)
    }
}
