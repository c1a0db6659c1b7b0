//! `explain` and `who-can`.
//!
//! *Invariant:* the exit codes 0 and 1 are answers, and 0 means at least a part of what was asked about; whatever keeps
//! from answering has another one.

use std::process::ExitCode;

use super::arguments::Output;
use super::arguments::rights::QuestionArguments;
use super::error::CliError;
use super::terminal::show;
use super::{administration, json, listings};
use crate::domain::administration::Administration;
use crate::domain::error::TokenServerError;
use crate::domain::grant::Circumstances;
use crate::domain::grant_subject::GrantSubject;
use crate::domain::question::Question;
use crate::settings::TokenServerSettings;

/// Says whether somebody may, and why.
pub(super) async fn explain(
    subject: &str,
    arguments: &QuestionArguments,
    settings: &TokenServerSettings,
    output: Output,
) -> Result<ExitCode, CliError> {
    let subject = GrantSubject::parse(subject).map_err(TokenServerError::from)?;
    let question = parse(arguments)?;
    let administration = administration(settings).await?;
    let found = administration.explain(&subject, &question, circumstances(arguments, &administration));
    let found = found.await?;
    show(
        output,
        || listings::explanation(&subject, &question, &found),
        || json::explanation(&subject, &question, &found),
    )?;
    // Clients are let in with a part as well; the answer says which.
    Ok(verdict(!found.held.is_empty()))
}

/// Lists everybody who may.
pub(super) async fn who_can(
    arguments: &QuestionArguments,
    settings: &TokenServerSettings,
    output: Output,
) -> Result<ExitCode, CliError> {
    let question = parse(arguments)?;
    let administration = administration(settings).await?;
    let found = administration.who_can(&question, circumstances(arguments, &administration)).await?;
    show(output, || listings::capable(&found), || json::capable(&found))?;
    Ok(verdict(!found.is_empty()))
}

fn parse(arguments: &QuestionArguments) -> Result<Question, CliError> {
    let parsed = Question::parse(&arguments.action, &arguments.place);
    Ok(parsed.map_err(TokenServerError::from)?)
}

fn circumstances(arguments: &QuestionArguments, administration: &Administration) -> Circumstances {
    Circumstances {
        now: administration.now(),
        address: arguments.address,
        second_factor: arguments.second_factor,
    }
}

fn verdict(is_yes: bool) -> ExitCode {
    if is_yes { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
