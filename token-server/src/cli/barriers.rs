//! `barrier`.
//!
//! *Invariant:* everything that was typed is understood before anything is looked up.

use shared::repository_pattern::RepositoryPattern;

use super::arguments::Output;
use super::arguments::rights::BarrierCommand;
use super::error::CliError;
use super::terminal::{confirm, remark, show};
use super::{json, listings};
use crate::domain::administration::Administration;
use crate::domain::error::TokenServerError;
use crate::domain::right::RightSet;

/// Runs a command about barriers.
pub(super) async fn barrier(
    command: BarrierCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        BarrierCommand::Add { pattern, actions, reason } => {
            let pattern = parse(&pattern)?;
            let rights = parse_actions(&actions)?;
            administration.add_barrier(&pattern, rights, reason.as_deref()).await?;
            remark(&format!(
                "barrier around {pattern} added; rights from above no longer give {rights} there"
            ));
        }
        BarrierCommand::List => {
            let found = administration.list_barriers().await?;
            show(output, || listings::barriers(&found), || json::barriers(&found))?;
        }
        BarrierCommand::Remove { pattern, confirmation } => {
            let pattern = parse(&pattern)?;
            confirm(&format!("Remove the barrier around {pattern}?"), confirmation)?;
            administration.remove_barrier(&pattern).await?;
            remark(&format!("barrier around {pattern} removed"));
        }
    }
    Ok(())
}

pub(super) fn parse(pattern: &str) -> Result<RepositoryPattern, CliError> {
    Ok(RepositoryPattern::parse(pattern).map_err(TokenServerError::from)?)
}

pub(super) fn parse_actions(actions: &str) -> Result<RightSet, CliError> {
    RightSet::parse(actions).map_err(|error| CliError::Usage(error.to_string()))
}
