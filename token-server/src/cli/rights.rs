//! `grant`.
//!
//! *Invariant:* subject, role and pattern are understood before anything is looked up.

use super::arguments::{GrantArguments, GrantCommand};
use super::error::CliError;
use super::listings;
use super::terminal::{confirm, print, remark};
use crate::domain::administration::Administration;
use crate::domain::administration::grants::GrantSpec;
use crate::domain::error::TokenServerError;
use crate::domain::grant_subject::GrantSubject;
use crate::domain::pattern::RepositoryPattern;
use crate::domain::role::Role;

/// Runs a command about rights.
pub(super) async fn grant(command: GrantCommand, administration: &Administration) -> Result<(), CliError> {
    match command {
        GrantCommand::Add(arguments) => {
            let grant = parse(&arguments)?;
            administration.add_grant(&grant).await?;
            remark(&format!("grant {grant} added"));
        }
        GrantCommand::List => print(&listings::grants(&administration.list_grants().await?))?,
        GrantCommand::Remove { grant, confirmation } => {
            let grant = parse(&grant)?;
            confirm(&format!("Remove grant {grant}?"), confirmation)?;
            administration.remove_grant(&grant).await?;
            remark(&format!("grant {grant} removed; tokens that carry it end within their lifetime"));
        }
    }
    Ok(())
}

fn parse(arguments: &GrantArguments) -> Result<GrantSpec, CliError> {
    let role = Role::parse(&arguments.role).ok_or_else(|| {
        let role = &arguments.role;
        CliError::Usage(format!("`{role}` is not a role; use viewer, writer, maintainer or owner"))
    })?;
    let subject = GrantSubject::parse(&arguments.subject).map_err(TokenServerError::from)?;
    let pattern = RepositoryPattern::parse(&arguments.pattern).map_err(TokenServerError::from)?;
    Ok(GrantSpec { subject, role, pattern })
}
