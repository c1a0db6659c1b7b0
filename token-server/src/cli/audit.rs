//! `audit`.
//!
//! *Invariant:* the exit codes 0 and 1 of `verify` are answers; whatever keeps from answering has another one. However
//! long the record is, no more than a page of it is in memory.

use std::process::ExitCode;

use time::OffsetDateTime;

use super::arguments::Output;
use super::arguments::records::{AuditCommand, OutcomeWord, PeriodArguments};
use super::error::CliError;
use super::terminal::{confirm, print, remark, show};
use super::times::parse_ago;
use super::{administration, json, listings, uses};
use crate::db::audit::{EventFilter, Period};
use crate::db::token_uses::TokenUseFilter;
use crate::domain::administration::records::Pruned;
use crate::domain::record::audit_chain::{EventHash, KnownHashes, Verdict};
use crate::domain::words::counted::counted;
use crate::http::api::uses::ANONYMOUS;
use crate::settings::TokenServerSettings;

/// Runs a command about the audit record.
pub(super) async fn audit(
    command: AuditCommand,
    settings: &TokenServerSettings,
    output: Output,
) -> Result<ExitCode, CliError> {
    match command {
        AuditCommand::List { period, event, actor, target, outcome, limit } => {
            let administration = administration(settings).await?;
            let outcome = outcome.map(|word| match word {
                OutcomeWord::Allowed => "allowed".to_owned(),
                OutcomeWord::Refused => "refused".to_owned(),
            });
            // Names are folded.
            let actor = actor.map(|name| name.to_lowercase());
            let period = parse_period(&period, administration.now())?;
            let filter = EventFilter { period, event, actor, target, outcome, about: None };
            let found = administration.list_events(&filter, limit.into()).await?;
            show(output, || listings::events(&found), || json::events(&found))?;
        }
        AuditCommand::Tokens { period, user, repository, limit } => {
            let administration = administration(settings).await?;
            let period = parse_period(&period, administration.now())?;
            // Names are folded; nobody can be called as clients without a login are here.
            let subject = user.map(|name| name.to_lowercase());
            let subject = subject.map(|name| if name == ANONYMOUS { String::new() } else { name });
            let filter = TokenUseFilter { period, subject, repository };
            let found = administration.list_token_uses(&filter, limit.into()).await?;
            show(output, || uses::token_uses(&found), || uses::token_uses_json(&found))?;
        }
        AuditCommand::Export { period } => {
            let administration = administration(settings).await?;
            let period = parse_period(&period, administration.now())?;
            let mut pages = administration.open_events(period).await?;
            loop {
                let page = pages.next().await?;
                if page.is_empty() {
                    break;
                }
                let lines: Vec<_> = page.iter().map(|row| json::event(row).to_string()).collect();
                print(&lines.join("\n"))?;
            }
        }
        AuditCommand::Verify { from_hash, head } => {
            return verify(from_hash.as_deref(), head.as_deref(), settings, output).await;
        }
        AuditCommand::Prune { before, confirmation } => {
            let administration = administration(settings).await?;
            let moment = parse_ago(&before, administration.now())?;
            confirm(&format!("Remove the rows of the audit record before {before}?"), confirmation)?;
            match administration.prune_events(moment).await? {
                Pruned { events: 0, token_uses: 0 } => remark("no row is so old; nothing was removed"),
                Pruned { events, token_uses: 0 } => {
                    remark(&format!("{} of the audit record removed", counted(events, "row", "rows")));
                }
                Pruned { events, token_uses } => remark(&format!(
                    "{} of the audit record and {token_uses} of what tokens were issued for removed",
                    counted(events, "row", "rows")
                )),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn verify(
    from_hash: Option<&str>,
    head: Option<&str>,
    settings: &TokenServerSettings,
    output: Output,
) -> Result<ExitCode, CliError> {
    let parse = |text| EventHash::parse(text).map_err(|error| CliError::Usage(format!("`{text}`: {error}")));
    let known = KnownHashes { from: from_hash.map(parse).transpose()?, head: head.map(parse).transpose()? };
    let verdict = administration(settings).await?.verify_events(&known).await?;
    show(output, || verdict.to_string(), || json::verdict(&verdict))?;
    Ok(if let Verdict::Whole(_) = verdict { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse_period(arguments: &PeriodArguments, now: OffsetDateTime) -> Result<Period, CliError> {
    let parse = |text: &Option<String>| text.as_deref().map(|text| parse_ago(text, now)).transpose();
    Ok(Period { since: parse(&arguments.since)?, until: parse(&arguments.until)? })
}
