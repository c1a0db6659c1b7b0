//! `workload`.
//!
//! *Invariant:* nothing that is said here is a credential.

use super::arguments::Output;
use super::arguments::people::WorkloadCommand;
use super::error::CliError;
use super::people::name;
use super::terminal::{confirm, remark, show};
use super::{json, listings};
use crate::domain::administration::Administration;
use crate::domain::error::TokenServerError;
use crate::domain::principal_name::PrincipalName;
use crate::domain::words::counted::counted;

/// Runs a command about workloads.
pub(super) async fn workload(
    command: WorkloadCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        WorkloadCommand::Add { name, description } => {
            let name = PrincipalName::parse_new(&name).map_err(TokenServerError::from)?;
            administration.add_workload(&name, description.as_deref()).await?;
            remark(&format!(
                "workload {name} added; `grant add workload:{name} …` gives rights, `trust rule add {name} …` lets it \
                 log in"
            ));
        }
        WorkloadCommand::List => {
            let found = administration.list_workloads().await?;
            show(output, || listings::workloads(&found), || json::workloads(&found))?;
        }
        WorkloadCommand::Disable { name: workload, confirmation } => {
            let workload = name(&workload)?;
            confirm(&format!("Let no right of workload {workload} count?"), confirmation)?;
            let changed = administration.set_workload_disabled(&workload, true).await?;
            remark(&format!(
                "workload {workload} {} disabled",
                if changed { "is now" } else { "was already" }
            ));
        }
        WorkloadCommand::Enable { name: workload } => {
            let workload = name(&workload)?;
            let changed = administration.set_workload_disabled(&workload, false).await?;
            remark(&format!(
                "workload {workload} {} enabled",
                if changed { "is now" } else { "was already" }
            ));
        }
        WorkloadCommand::Remove { name: workload, confirmation } => {
            let workload = name(&workload)?;
            confirm(&format!("Remove workload {workload} with its memberships and rights?"), confirmation)?;
            let grants = administration.remove_workload(&workload).await?;
            let grants = counted(grants, "grant", "grants");
            remark(&format!("workload {workload} removed with {grants}"));
        }
    }
    Ok(())
}
