//! Users and rights of other token servers: `/api/v1/imports`.
//!
//! *Invariant:* a password or a hash is taken and never given; without `apply` nothing is changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use shared::action::{Action, ActionSet};
use shared::repository_name::RepositoryName;
use shared::secret::Secret;
use utoipa::ToSchema;

use super::call::Call;
use super::endpoint::Endpoint;
use super::reply::Reply;
use super::trials::turn;
use crate::domain::administration::import::{self, Applied, TAKING_OVER, Taken};
use crate::domain::background::completed;
use crate::domain::docker_auth::comparison::{self, Effort};
use crate::domain::docker_auth::config::{Config, Trap};
use crate::domain::docker_auth::plan::{Extent, Plan, PlannedUser, Remark, UserOutcome};
use crate::domain::docker_auth::rows::PlannedRow;
use crate::domain::error::TokenServerError;
use crate::http::error::ApiError;

/// Settings larger than this are for the command line.
const MAX_BODY_BYTES: usize = 512 * 1024;

/// What the users and rights of docker_auth come to here.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportReport {
    /// Whether everything is answered as before, and all of it is taken over.
    pub equal: bool,
    /// Whether it was taken over.
    pub applied: bool,
    /// What docker_auth takes otherwise than it reads.
    pub traps: Vec<ImportTrap>,
    /// Users, in the order of the file.
    pub users: Vec<ImportedUser>,
    /// Rights, in the order of the rules they come from.
    pub rows: Vec<ImportedRow>,
    /// What is taken over, and worth knowing.
    pub notes: Vec<ImportRemark>,
    /// What is not taken over.
    pub remainder: Vec<ImportRemark>,
    /// How much was compared.
    pub compared: ImportExtent,
    /// Every question that is answered otherwise than before.
    pub differences: Vec<ImportDifference>,
}

/// Something that is not as it reads.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportTrap {
    /// The line in the file.
    pub line: usize,
    /// Which kind, in a word.
    pub kind: String,
    /// What happens.
    pub sentence: String,
}

/// A user of the file.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportedUser {
    /// The line in the file.
    pub line: usize,
    /// The name there.
    pub account: String,
    /// The name here; `null` for who is not taken over.
    #[schema(required = true)]
    pub name: Option<String>,
    /// `new`, `added`, `already there` or `not taken over`.
    pub state: String,
    /// Why not.
    #[schema(required = true)]
    pub why: Option<String>,
}

/// A right that rules come to.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportedRow {
    /// The lines of the rules.
    pub lines: Vec<usize>,
    /// Who.
    pub subject: String,
    /// `allow` or `deny`.
    pub effect: String,
    /// The role, or the actions with commas between them.
    pub what: String,
    /// On which repositories.
    pub pattern: String,
    /// Networks from which alone it counts; from everywhere if there is none.
    pub networks: Vec<String>,
    /// `new`, `added`, `already there`, or what is in the way.
    pub state: String,
}

/// Something to know.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportRemark {
    /// The line in the file, if it is about one.
    #[schema(required = true)]
    pub line: Option<usize>,
    /// What.
    pub sentence: String,
}

/// How much was compared.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportExtent {
    /// Questions that were asked of both.
    pub combinations: usize,
    /// People.
    pub people: usize,
    /// Repositories.
    pub repositories: usize,
    /// Registries.
    pub services: usize,
    /// Addresses of clients.
    pub addresses: usize,
}

/// Something that is answered otherwise than before.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportDifference {
    /// Who asks.
    pub who: String,
    /// At which registry.
    pub service: String,
    /// From where; `null` where that does not matter.
    #[schema(required = true)]
    pub address: Option<String>,
    /// For which repository.
    pub repository: String,
    /// The line of the rule that decides there.
    #[schema(required = true)]
    pub line: Option<usize>,
    /// What docker_auth allows.
    pub old: Vec<String>,
    /// What is allowed here.
    pub new: Vec<String>,
}

impl ImportReport {
    /// What is said of a plan, and of what was done.
    pub fn new(config: &Config, plan: &Plan, applied: Option<&Applied>) -> Self {
        let in_the_way = applied.is_some_and(|applied| applied.rows.contains(&Taken::OtherConditions));
        let users = plan.users.iter().enumerate().map(|(position, user)| {
            let done = applied.and_then(|applied| applied.users.get(position).copied().flatten());
            ImportedUser::new(user, done)
        });
        let rows = plan.rows.iter().enumerate().map(|(position, row)| {
            let done = applied.and_then(|applied| applied.rows.get(position).copied());
            ImportedRow::new(row, row_state(plan, row, done))
        });
        Self {
            equal: plan.is_equal() && !in_the_way,
            applied: applied.is_some(),
            traps: config.traps.iter().map(ImportTrap::from).collect(),
            users: users.collect(),
            rows: rows.collect(),
            notes: plan.notes.iter().map(ImportRemark::from).collect(),
            remainder: plan.remainder.iter().map(ImportRemark::from).collect(),
            compared: plan.extent.into(),
            differences: plan.differences.iter().map(ImportDifference::from).collect(),
        }
    }
}

impl ImportedUser {
    fn new(user: &PlannedUser, done: Option<Taken>) -> Self {
        let (name, why, state) = match &user.outcome {
            UserOutcome::New(name, _) if done.is_some() => (Some(name), None, "added"),
            UserOutcome::New(name, _) => (Some(name), None, "new"),
            UserOutcome::AlreadyThere(name) => (Some(name), None, "already there"),
            UserOutcome::Refused(why) => (None, Some(why), "not taken over"),
        };
        Self {
            line: user.line,
            account: user.account.clone(),
            name: name.map(ToString::to_string),
            state: state.to_owned(),
            why: why.cloned(),
        }
    }
}

fn row_state(plan: &Plan, row: &PlannedRow, done: Option<Taken>) -> &'static str {
    match done {
        Some(Taken::New) => "added",
        Some(Taken::AlreadyThere) => "already there",
        Some(Taken::OtherConditions) => "in the way: the same row counts on other conditions",
        None if plan.stored_rows.contains(&row.spec.to_string()) => "already there",
        None => "new",
    }
}

impl ImportedRow {
    fn new(row: &PlannedRow, state: &str) -> Self {
        Self {
            lines: row.lines.clone(),
            subject: row.spec.subject.to_string(),
            effect: row.spec.effect.as_str().to_owned(),
            what: row.spec.what.to_string(),
            pattern: row.spec.pattern.to_string(),
            networks: row.networks.iter().map(ToString::to_string).collect(),
            state: state.to_owned(),
        }
    }
}

impl From<&Trap> for ImportTrap {
    fn from(trap: &Trap) -> Self {
        Self { line: trap.line, kind: trap.kind.to_owned(), sentence: trap.sentence.clone() }
    }
}

impl From<&Remark> for ImportRemark {
    fn from(remark: &Remark) -> Self {
        Self { line: remark.line, sentence: remark.sentence.clone() }
    }
}

impl From<Extent> for ImportExtent {
    fn from(extent: Extent) -> Self {
        let Extent { combinations, people, repositories, services, addresses } = extent;
        Self { combinations, people, repositories, services, addresses }
    }
}

impl From<&comparison::Difference> for ImportDifference {
    fn from(difference: &comparison::Difference) -> Self {
        let words = |actions: ActionSet| actions.iter().map(Action::as_str).map(str::to_owned).collect();
        Self {
            who: difference.who.clone(),
            service: difference.service.clone(),
            address: difference.address.map(|address| address.to_string()),
            repository: difference.repository.to_string(),
            line: difference.line,
            old: words(difference.old),
            new: words(difference.new),
        }
    }
}

/// Settings of docker_auth, and what to do with them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "config": "users:\n  \"\": {}\nacl:\n- {match: {account: \"\", name: \"core/public/*\"}, actions: [pull]}\n"
}))]
struct DockerAuthImport {
    /// The text of its settings, YAML.
    #[schema(value_type = String)]
    config: Secret,
    /// Compare these repositories; without them, names that the rules tell apart.
    #[schema(min_items = 1)]
    repositories: Option<Vec<String>>,
    /// Take it over, users and rights, in one transaction.
    #[serde(default)]
    apply: bool,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::POST, "/api/v1/imports/docker-auth", "importDockerAuth", |call| {
            docker_auth(call).boxed_local()
        })
        .summary(
            "Says what the users and rights of docker_auth come to here, and where the two would answer differently; \
             with `apply`, takes them over.",
        )
        .body::<DockerAuthImport>()
        .up_to(MAX_BODY_BYTES)
        .one::<ImportReport>(),
    ]
}

fn names(texts: &[String]) -> Result<BTreeSet<RepositoryName>, TokenServerError> {
    let invalid = |text: &str, error| TokenServerError::Contradiction(format!("`{text}`: {error}"));
    let names = texts.iter().map(|text| RepositoryName::parse(text).map_err(|error| invalid(text, error)));
    let names: BTreeSet<_> = names.collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(TokenServerError::Contradiction(
            "name at least one repository, or leave them out".into(),
        ));
    }
    Ok(names)
}

async fn docker_auth(call: Call) -> Result<Reply, ApiError> {
    let DockerAuthImport { config, repositories, apply } = call.body()?;
    let repositories = repositories.as_deref().map(names).transpose()?;
    let turn = turn(&call, TAKING_OVER).await?;
    let (administration, own) = (call.administration()?.clone(), call.services.own_settings.clone());
    // What was begun is done, and its turn kept, also when the client goes away.
    let work = completed(async move {
        let _turn = turn;
        let config = Arc::new(import::read_config(config).await.map_err(TokenServerError::from)?);
        let plan = administration.plan_import(config.clone(), own, repositories, Effort::OfARequest).await?;
        let applied = if apply { Some(administration.apply_import(&plan).await?) } else { None };
        Ok::<_, TokenServerError>(ImportReport::new(&config, &plan, applied.as_ref()))
    });
    Ok(Reply::answer(&work.await?))
}
