//! `import`.
//!
//! *Invariant:* without `--apply` nothing is changed; the exit codes 0 and 1 are answers, and whatever keeps from
//! answering has another one.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use shared::action::ActionSet;
use shared::repository_name::RepositoryName;

use super::arguments::Output;
use super::arguments::records::ImportCommand;
use super::error::CliError;
use super::terminal::{remark, show};
use super::{administration, files};
use crate::domain::administration::import::{Applied, Taken};
use crate::domain::counted::counted;
use crate::domain::docker_auth::config::Config;
use crate::domain::docker_auth::plan::{Plan, PlannedUser, Remark, UserOutcome, Wish};
use crate::domain::docker_auth::rows::PlannedRow;
use crate::domain::grant::Conditions;
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
    let report = docker_auth(&file, repositories.as_deref(), apply, settings, output).await;
    report.map_err(|error| CliError::Unanswered(Box::new(error)))
}

async fn docker_auth(
    file: &Path,
    repositories: Option<&Path>,
    apply: bool,
    settings: &TokenServerSettings,
    output: Output,
) -> Result<ExitCode, CliError> {
    let config = Config::parse(&files::read_text(file, MAX_FILE_BYTES)?)
        .map_err(|error| CliError::File(format!("{}: {error}", file.display())))?;
    let repositories = repositories.map(read_repositories).transpose()?;
    let administration = administration(settings).await?;
    let services: Vec<String> = settings.issuer.audiences.names().map(str::to_owned).collect();
    let wish = Wish {
        services: &services,
        repositories: repositories.as_ref(),
        issuer: &settings.issuer.issuer,
        token_paths: &settings.token_paths,
        now: administration.now(),
    };
    let plan = administration.plan_import(&config, wish).await?;
    let applied = if apply { Some(administration.apply_import(&plan).await?) } else { None };
    let report = Report { config: &config, plan: &plan, applied: applied.as_ref() };
    show(output, || report.text(), || report.json())?;
    remark(&report.summary());
    Ok(if report.is_equal() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

/// What is said of a plan.
struct Report<'a> {
    config: &'a Config,
    plan: &'a Plan,
    applied: Option<&'a Applied>,
}

impl Report<'_> {
    fn is_equal(&self) -> bool {
        let in_the_way = |applied: &Applied| applied.rows.contains(&Taken::OtherConditions);
        self.plan.is_equal() && !self.applied.is_some_and(in_the_way)
    }

    fn user_state(&self, position: usize, user: &PlannedUser) -> &'static str {
        let done = self.applied.and_then(|applied| applied.users.get(position).copied().flatten());
        match (&user.outcome, done) {
            (UserOutcome::Refused(_), _) => "not taken over",
            (UserOutcome::AlreadyThere(_), _) => "already there",
            (UserOutcome::New(..), Some(_)) => "added",
            (UserOutcome::New(..), None) => "new",
        }
    }

    fn row_state(&self, position: usize, row: &PlannedRow) -> &'static str {
        match self.applied.and_then(|applied| applied.rows.get(position)) {
            Some(Taken::New) => "added",
            Some(Taken::AlreadyThere) => "already there",
            Some(Taken::OtherConditions) => {
                "in the way: the same row counts at other times or from other networks"
            }
            None if self.plan.stored_rows.contains(&row.spec.to_string()) => "already there",
            None => "new",
        }
    }

    fn text(&self) -> String {
        let plan = self.plan;
        let mut text = String::new();
        let traps = self
            .config
            .traps
            .iter()
            .map(|trap| [at(Some(trap.line)), trap.kind.into(), trap.sentence.clone()]);
        section(&mut text, "Not as it reads", traps.collect());
        let users = plan.users.iter().enumerate().map(|(position, user)| {
            [at(Some(user.line)), user.account.clone(), self.user_state(position, user).into()]
        });
        section(&mut text, "Users", users.collect());
        let rows = plan.rows.iter().enumerate().map(|(position, row)| {
            let lines: Vec<_> = row.lines.iter().map(ToString::to_string).collect();
            [format!("line {}", lines.join(",")), row_words(row), self.row_state(position, row).into()]
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

    fn json(&self) -> Value {
        let plan = self.plan;
        let remarks = |remarks: &[Remark]| -> Vec<Value> {
            remarks.iter().map(|remark| json!({ "line": remark.line, "sentence": remark.sentence })).collect()
        };
        let traps = self.config.traps.iter();
        let traps =
            traps.map(|trap| json!({ "line": trap.line, "kind": trap.kind, "sentence": trap.sentence }));
        let users = plan.users.iter().enumerate().map(|(position, user)| {
            let (name, why) = match &user.outcome {
                UserOutcome::New(name, _) | UserOutcome::AlreadyThere(name) => (Some(name.as_str()), None),
                UserOutcome::Refused(why) => (None, Some(why)),
            };
            json!({
                "line": user.line, "account": user.account, "name": name,
                "state": self.user_state(position, user), "why": why,
            })
        });
        let rows = plan.rows.iter().enumerate().map(|(position, row)| {
            json!({
                "lines": row.lines, "subject": row.spec.subject.to_string(), "effect": row.spec.effect.as_str(),
                "what": row.spec.what.to_string(), "pattern": row.spec.pattern.to_string(),
                "networks": row.networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "state": self.row_state(position, row),
            })
        });
        let differences = plan.differences.iter().map(|difference| {
            json!({
                "who": difference.who, "service": difference.service,
                "address": difference.address.map(|address| address.to_string()),
                "repository": difference.repository.as_str(), "line": difference.line,
                "old": words(difference.old), "new": words(difference.new),
            })
        });
        let extent = plan.extent;
        json!({
            "equal": self.is_equal(),
            "applied": self.applied.is_some(),
            "traps": traps.collect::<Vec<_>>(),
            "users": users.collect::<Vec<_>>(),
            "rows": rows.collect::<Vec<_>>(),
            "notes": remarks(&plan.notes),
            "remainder": remarks(&plan.remainder),
            "compared": {
                "combinations": extent.combinations, "people": extent.people, "repositories": extent.repositories,
                "services": extent.services, "addresses": extent.addresses,
            },
            "differences": differences.collect::<Vec<_>>(),
        })
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

fn words(actions: ActionSet) -> Vec<&'static str> {
    actions.iter().map(shared::action::Action::as_str).collect()
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
