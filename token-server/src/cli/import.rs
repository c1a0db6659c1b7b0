//! `import`.
//!
//! *Invariant:* without `--apply` nothing is changed; the exit codes 0 and 1 are answers, and whatever keeps from
//! answering has another one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use shared::action::ActionSet;
use shared::repository_name::RepositoryName;
use shared::secret::Secret;

use super::arguments::Output;
use super::arguments::records::ImportCommand;
use super::error::CliError;
use super::terminal::{remark, show};
use super::{administration, files, json};
use crate::app::own_settings;
use crate::domain::administration::import::{self, Applied, Taken};
use crate::domain::docker_auth::comparison::Effort;
use crate::domain::docker_auth::plan::{Plan, Remark};
use crate::domain::docker_auth::rows::PlannedRow;
use crate::domain::grant::Conditions;
use crate::domain::words::counted::counted;
use crate::http::api::imports::ImportReport;
use crate::settings::TokenServerSettings;

/// Far above any settings and any list of repositories.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Runs a command about another token server.
pub(super) async fn import(
    command: ImportCommand,
    settings: &TokenServerSettings,
    output: Output,
) -> Result<ExitCode, CliError> {
    let ImportCommand::DockerAuth { file, repositories, apply } = command;
    docker_auth(&file, repositories.as_deref(), apply, settings, output).await
}

async fn docker_auth(
    file: &Path,
    repositories: Option<&Path>,
    apply: bool,
    settings: &TokenServerSettings,
    output: Output,
) -> Result<ExitCode, CliError> {
    let text = Secret::new(files::read_text(file, MAX_FILE_BYTES)?);
    let config = import::read_config(text).await;
    let config = Arc::new(config.map_err(|error| CliError::File(format!("{}: {error}", file.display())))?);
    let repositories = repositories.map(read_repositories).transpose()?;
    let administration = administration(settings).await?;
    let own = Arc::new(own_settings(settings));
    let plan = administration.plan_import(config.clone(), own, repositories, Effort::Unbounded).await?;
    let applied = if apply { Some(administration.apply_import(&plan).await?) } else { None };
    let said = ImportReport::new(&config, &plan, applied.as_ref());
    let report = Report { said: &said, plan: &plan, applied: applied.as_ref() };
    show(output, || report.text(), || json::import_report(&said))?;
    remark(&report.summary());
    Ok(if said.equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One name a line; empty lines and what follows a `#` do not count.
fn read_repositories(file: &Path) -> Result<BTreeSet<RepositoryName>, CliError> {
    let text = files::read_text(file, MAX_FILE_BYTES)?;
    let mut names = BTreeSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let name = line.split('#').next().unwrap_or_default().trim();
        if name.is_empty() {
            continue;
        }
        names.insert(RepositoryName::parse(name).map_err(|error| {
            CliError::File(format!("line {number} of {}: `{name}`: {error}", file.display()))
        })?);
    }
    if names.is_empty() {
        return Err(CliError::File(format!("{} names no repository", file.display())));
    }
    Ok(names)
}

/// What is said of a plan to people.
struct Report<'a> {
    said: &'a ImportReport,
    plan: &'a Plan,
    applied: Option<&'a Applied>,
}

impl Report<'_> {
    fn text(&self) -> String {
        let plan = self.plan;
        let mut text = String::new();
        let traps = self.said.traps.iter();
        let traps = traps.map(|trap| [at(Some(trap.line)), trap.kind.clone(), trap.sentence.clone()]);
        section(&mut text, "Not as it reads", traps.collect());
        let users = self.said.users.iter();
        let users = users.map(|user| [at(Some(user.line)), user.account.clone(), user.state.clone()]);
        section(&mut text, "Users", users.collect());
        let rows = plan.rows.iter().zip(&self.said.rows).map(|(row, said)| {
            let lines: Vec<_> = row.lines.iter().map(ToString::to_string).collect();
            [format!("line {}", lines.join(",")), row_words(row), said.state.clone()]
        });
        section(&mut text, "Rights", rows.collect());
        section(&mut text, "Worth knowing", plan.notes.iter().map(sentence).collect());
        section(&mut text, "Not taken over", plan.remainder.iter().map(sentence).collect());
        let (several, moving) = (plan.extent.services > 1, plan.extent.addresses > 1);
        let differences = plan.differences.iter().map(|difference| {
            let mut who = difference.who.clone();
            if several {
                let _ = write!(who, " at {}", difference.service);
            }
            if let Some(address) = difference.address.filter(|_| moving) {
                let _ = write!(who, " from {address}");
            }
            let change =
                format!("{} → {}  {}", shown(difference.old), shown(difference.new), at(difference.line));
            [who, difference.repository.to_string(), change]
        });
        section(&mut text, "Differences (before → now)", differences.collect());
        let extent = plan.extent;
        // Writing into a text cannot fail.
        let _ = writeln!(
            text,
            "Compared {} of {}, {}, {}, {} and every action: {}.",
            counted(extent.combinations, "combination", "combinations"),
            counted(extent.people, "person", "people"),
            counted(extent.repositories, "repository", "repositories"),
            counted(extent.services, "registry", "registries"),
            counted(extent.addresses, "address", "addresses"),
            counted(plan.differences.len(), "difference", "differences")
        );
        text
    }

    fn summary(&self) -> String {
        let Some(applied) = self.applied else { return "nothing was changed; --apply takes it over".into() };
        let count = |users: Taken| {
            let of_users = applied.users.iter().filter(|taken| **taken == Some(users)).count();
            (of_users, applied.rows.iter().filter(|taken| **taken == users).count())
        };
        let ((users, rows), (old_users, old_rows)) = (count(Taken::New), count(Taken::AlreadyThere));
        let both =
            |users, rows| format!("{} and {}", counted(users, "user", "users"), counted(rows, "row", "rows"));
        format!("{} added; {} already there", both(users, rows), both(old_users, old_rows))
    }
}

fn at(line: Option<usize>) -> String {
    line.map_or_else(|| "-".into(), |line| format!("line {line}"))
}

fn sentence(remark: &Remark) -> [String; 3] {
    [at(remark.line), String::new(), remark.sentence.clone()]
}

fn row_words(row: &PlannedRow) -> String {
    let conditions = Conditions { networks: row.networks.clone(), ..Conditions::default() }.to_string();
    format!("{} {conditions}", row.spec).trim_end().to_owned()
}

fn shown(actions: ActionSet) -> String {
    if actions.is_empty() { "nothing".into() } else { actions.to_string() }
}

/// A heading and a line for each thing below it; nothing where there is none.
fn section(text: &mut String, heading: &str, rows: Vec<[String; 3]>) {
    if rows.is_empty() {
        return;
    }
    let widths =
        [0, 1].map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default());
    let _ = writeln!(text, "{heading}:");
    for [first, second, third] in rows {
        let middle = if widths[1] == 0 { String::new() } else { format!("  {second:<0$}", widths[1]) };
        let _ = writeln!(text, "  {first:<0$}{middle}  {third}", widths[0]);
    }
    text.push('\n');
}
