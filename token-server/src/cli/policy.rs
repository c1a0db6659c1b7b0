//! `policy`.
//!
//! *Invariant:* the exit codes 0 and 1 of `drift` are answers; whatever keeps from answering has another one.

use std::path::Path;
use std::process::ExitCode;

use super::arguments::Output;
use super::arguments::rights::PolicyCommand;
use super::error::CliError;
use super::terminal::{confirm, remark, show};
use super::what_if::words::sentences;
use super::{administration, files, json};
use crate::domain::administration::what_if::WhatIf;
use crate::domain::error::TokenServerError;
use crate::domain::policy_file::document::{Document, MAX_BYTES};
use crate::domain::policy_file::plan::Plan;
use crate::domain::words::counted::counted;
use crate::settings::TokenServerSettings;

/// So many days of requests are looked at before a file is applied.
const DAYS: u32 = 30;

/// Runs a command about the whole policy.
pub(super) async fn policy(
    command: PolicyCommand,
    settings: &TokenServerSettings,
    output: Output,
) -> Result<ExitCode, CliError> {
    match command {
        PolicyCommand::Plan { file, days } => {
            let document = read(&file)?;
            let (plan, effects) = administration(settings).await?.plan_policy(&document, days).await?;
            show(
                output,
                || with_effects(&plan, effects.as_ref(), days),
                || json::policy_plan(&plan, effects.as_ref(), days),
            )?;
        }
        PolicyCommand::Apply { file, confirmation } => {
            let document = read(&file)?;
            let administration = administration(settings).await?;
            let (plan, effects) = administration.plan_policy(&document, DAYS).await?;
            if plan.is_empty() {
                remark("everything is as the policy says; nothing was done");
                if output == Output::Json {
                    show(output, String::new, || json::policy_changes(&plan))?;
                }
                return Ok(ExitCode::SUCCESS);
            }
            if !confirmation.yes {
                remark(&with_effects(&plan, effects.as_ref(), DAYS));
            }
            confirm("Apply this?", confirmation)?;
            let done = administration.apply_policy(&document).await?;
            show(output, || told(&done), || json::policy_changes(&done))?;
            remark(&format!("{} applied", counted(done.steps.len(), "change", "changes")));
        }
        PolicyCommand::Export => {
            let document = administration(settings).await?.export_policy().await?;
            let text = document.written().map_err(TokenServerError::from)?;
            show(output, || text, || json::policy(&document))?;
        }
        PolicyCommand::Drift { file } => {
            let mut plan = administration(settings).await?.compare_policy(&read(&file)?).await?;
            let adopted = plan.take_adopted();
            let is_same = plan.is_empty() && plan.by_hand.is_empty();
            let said = || if is_same { "everything is as the policy says".to_owned() } else { told(&plan) };
            show(output, said, || json::policy_changes(&plan))?;
            if adopted > 0 {
                let rows = counted(adopted, "row is", "rows are");
                remark(&format!(
                    "{rows} as the policy says, but made by hand; `policy apply` lets the file keep them"
                ));
            }
            return Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<Document, CliError> {
    let text = files::read_text_or_input(file, MAX_BYTES as u64)?;
    Ok(Document::parse(&text).map_err(TokenServerError::from)?)
}

/// A plan, and what it means for people.
fn with_effects(plan: &Plan, effects: Option<&WhatIf>, days: u32) -> String {
    match effects {
        Some(found) => format!("{}\n{}", told(plan), sentences(found, days)),
        None => told(plan),
    }
}

/// A plan for people: one line a change, and what was made by hand.
fn told(plan: &Plan) -> String {
    let steps = plan.steps.iter().map(|step| format!("{step}\n"));
    let gone = plan.gone_robots.iter().map(|robot| format!("{robot}\n"));
    let by_hand = plan
        .by_hand
        .iter()
        .map(|thing| format!("? {thing} (made by hand; the policy does not speak of it)\n"));
    let text: String = steps.chain(gone).chain(by_hand).collect();
    if text.is_empty() { "nothing to change\n".to_owned() } else { text }
}
