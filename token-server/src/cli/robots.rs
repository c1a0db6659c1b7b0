//! `robot`.
//!
//! *Invariant:* a secret is alone on standard output; whatever is said about it goes to standard error.

use super::arguments::Output;
use super::arguments::credentials::RobotSecretCommand;
use super::arguments::people::RobotCommand;
use super::error::CliError;
use super::terminal::{confirm, print, remark, show};
use super::times::parse_ahead;
use super::{credential_listings, credentials, json, listings};
use crate::domain::administration::Administration;
use crate::domain::administration::credentials::WantedCredential;
use crate::domain::error::TokenServerError;
use crate::domain::principal_name::PrincipalName;
use crate::domain::robot_name::RobotName;
use crate::domain::words::counted::counted;

/// Runs a command about robots.
pub(super) async fn robot(
    command: RobotCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        RobotCommand::Add { name, description } => {
            let name = parse(&name)?;
            administration.add_robot(&name, description.as_deref()).await?;
            remark(&format!(
                "robot {name} added; `grant add robot:{name} …` gives rights, `robot secret add {name}` a secret"
            ));
        }
        RobotCommand::List { owner } => {
            let owner = owner.map(|owner| PrincipalName::parse(&owner)).transpose();
            let owner = owner.map_err(TokenServerError::from)?;
            let found = administration.list_robots(owner.as_ref()).await?;
            show(output, || listings::robots(&found), || json::robots(&found))?;
        }
        RobotCommand::Disable { name, confirmation } => {
            let name = parse(&name)?;
            confirm(&format!("Refuse logins of robot {name}?"), confirmation)?;
            let changed = administration.set_robot_disabled(&name, true).await?;
            remark(&format!("robot {name} {} disabled", if changed { "is now" } else { "was already" }));
        }
        RobotCommand::Enable { name } => {
            let name = parse(&name)?;
            let changed = administration.set_robot_disabled(&name, false).await?;
            remark(&format!("robot {name} {} enabled", if changed { "is now" } else { "was already" }));
        }
        RobotCommand::Remove { name, confirmation } => {
            let name = parse(&name)?;
            confirm(&format!("Remove robot {name} with its secrets and rights?"), confirmation)?;
            let grants = administration.remove_robot(&name).await?;
            remark(&format!("robot {name} removed with {}", counted(grants, "grant", "grants")));
        }
        RobotCommand::Secret(command) => secret(command, administration, output).await?,
    }
    Ok(())
}

async fn secret(
    command: RobotSecretCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        RobotSecretCommand::Add { name, label, expires, limits } => {
            let name = parse(&name)?;
            let expires_at = expires.map(|text| parse_ahead(&text, administration.now())).transpose()?;
            let limits = credentials::limits(limits);
            let wanted = WantedCredential { label, expires_at, limits };
            let made = administration.add_robot_secret(&name, &wanted).await?;
            remark(&format!(
                "secret {} of robot {name} {}; log in with `docker login --username {name}`",
                made.shown.id,
                credentials::end(&made)
            ));
            print(made.secret.expose())?;
        }
        RobotSecretCommand::List { name } => {
            let found = administration.list_robot_secrets(&parse(&name)?).await?;
            show(output, || credential_listings::secrets(&found), || json::secrets(&found))?;
        }
        RobotSecretCommand::Revoke { id, confirmation } => {
            confirm(&format!("Revoke secret {id}?"), confirmation)?;
            let robot = administration.revoke_robot_secret(id, None).await?;
            remark(&format!("secret {id} of robot {robot} revoked"));
        }
    }
    Ok(())
}

fn parse(name: &str) -> Result<RobotName, CliError> {
    Ok(RobotName::parse(name).map_err(TokenServerError::from)?)
}
