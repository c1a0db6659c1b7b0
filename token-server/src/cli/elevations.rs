//! `elevation`.
//!
//! *Invariant:* the number of a new request is alone on standard output, so that scripts can keep it.

use shared::repository_pattern::RepositoryPattern;

use super::arguments::Output;
use super::arguments::rights::ElevationCommand;
use super::error::CliError;
use super::rights::parse;
use super::terminal::{confirm, print, remark, show};
use super::{json, listings};
use crate::db::elevations::ElevationRow;
use crate::domain::administration::Administration;
use crate::domain::elevation;
use crate::domain::error::TokenServerError;
use crate::domain::grant::Effect;
use crate::domain::grant_spec::{GrantSpec, NamedWhat};
use crate::domain::grant_subject::GrantSubject;
use crate::domain::right::RightSet;

/// Runs a command about rights for a while.
pub(super) async fn elevation(
    command: ElevationCommand,
    administration: &Administration,
    output: Output,
) -> Result<(), CliError> {
    match command {
        ElevationCommand::Request { grant, length, reason } => {
            let grant = parse(&grant)?;
            let id = administration.request_elevation(&grant, length.into(), &reason).await?;
            remark(&format!("{grant} asked for, for {length}; somebody else says `elevation approve {id}`"));
            print(&id.to_string())?;
        }
        ElevationCommand::List { all } => {
            let found = administration.list_elevations(all).await?;
            let now = administration.now();
            show(output, || listings::elevations(&found, now), || json::elevations(&found))?;
        }
        ElevationCommand::Approve { id, reason } => {
            let given = administration.approve_elevation(id, reason.as_deref()).await?;
            remark(&format!("{} given{}", named(&given)?, until(&given)));
        }
        ElevationCommand::Deny { id, reason } => {
            let refused = administration.deny_elevation(id, reason.as_deref()).await?;
            remark(&format!("{} not given", named(&refused)?));
        }
        ElevationCommand::End { id, confirmation } => {
            confirm(&format!("End request {id}?"), confirmation)?;
            let ended = administration.end_elevation(id).await?;
            remark(&format!("{} ended; tokens that carry it end within their lifetime", named(&ended)?));
        }
        ElevationCommand::BreakGlass { subject, pattern, reason, confirmation } => {
            let grant = GrantSpec {
                subject: GrantSubject::parse(&subject).map_err(TokenServerError::from)?,
                effect: Effect::Allow,
                what: NamedWhat::Rights(RightSet::EVERYTHING),
                pattern: RepositoryPattern::parse(&pattern).map_err(TokenServerError::from)?,
                tags: None,
            };
            let question =
                format!("Give {subject} everything on {pattern} for an hour, and sound the alarm?");
            confirm(&question, confirmation)?;
            let given = administration.break_glass(&grant, &reason).await?;
            remark(&format!("{} given{}; the audit record tells", named(&given)?, until(&given)));
            print(&given.id.to_string())?;
        }
    }
    Ok(())
}

fn named(row: &ElevationRow) -> Result<String, CliError> {
    Ok(elevation::spec(row)?.to_string())
}

fn until(row: &ElevationRow) -> String {
    row.ends_at.map(|end| format!(" until {}", listings::time(end))).unwrap_or_default()
}
