//! `role`.
//!
//! *Invariant:* everything that was typed is understood before anything is looked up.

use super::arguments::Output;
use super::arguments::rights::RoleCommand;
use super::error::CliError;
use super::terminal::{confirm, remark, show};
use super::{json, listings};
use crate::domain::administration::Administration;
use crate::domain::right::RightSet;
use crate::domain::words::counted::counted;

/// Runs a command about roles.
pub(super) async fn role(
    command: RoleCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        RoleCommand::Add { name, actions, description } => {
            let rights = parse(&actions)?;
            administration.add_role(&name, rights, description.as_deref()).await?;
            remark(&format!("role {name} added; it allows {rights}"));
        }
        RoleCommand::List => {
            let found = administration.list_roles().await?;
            show(output, || listings::roles(&found), || json::roles(&found))?;
        }
        RoleCommand::Change { name, actions, description, confirmation } => {
            let rights = parse(&actions)?;
            confirm(&format!("Let role {name} allow {rights}, for everybody who holds it?"), confirmation)?;
            let changed = administration.change_role(&name, rights, description.as_deref()).await?;
            remark(&match changed {
                Some(grants) => {
                    let grants = counted(grants, "grant names", "grants name");
                    format!("role {name} now allows {rights}; {grants} it")
                }
                None => format!("role {name} allowed {rights} already"),
            });
        }
        RoleCommand::Remove { name, confirmation } => {
            confirm(&format!("Remove role {name}?"), confirmation)?;
            administration.remove_role(&name).await?;
            remark(&format!("role {name} removed"));
        }
    }
    Ok(())
}

fn parse(actions: &str) -> Result<RightSet, CliError> {
    RightSet::parse(actions).map_err(|error| CliError::Usage(error.to_string()))
}
