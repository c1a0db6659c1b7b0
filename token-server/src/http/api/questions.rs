//! Who may do what, and why: `/api/v1/explain` and `/api/v1/who-can`.
//!
//! Questions are GETs: they change nothing, and their addresses can be kept and asked again.
//!
//! *Invariant:* the answer is that of the command line for a client with the same address.

use std::net::IpAddr;

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::Serialize;
use shared::limits::TagPattern;
use utoipa::ToSchema;

use super::call::Call;
use super::cursor;
use super::endpoint::Endpoint;
use super::parameters::{Kind, Parameter};
use super::reply::Reply;
use crate::db::principals::{ROBOT, USER};
use crate::domain::error::TokenServerError;
use crate::domain::explanation;
use crate::domain::grant::{Circumstances, NotNow};
use crate::domain::grant_subject::GrantSubject;
use crate::domain::login::subject::Subject;
use crate::domain::principal_name::PrincipalName;
use crate::domain::question::Question;
use crate::domain::right::{Right, RightSet};
use crate::domain::robot_name::RobotName;
use crate::domain::withholding::Withholding;
use crate::http::error::ApiError;

/// The words of rights, one by one.
pub(super) fn words(rights: RightSet) -> Vec<String> {
    rights.iter().map(Right::as_str).map(str::to_owned).collect()
}

/// Whether a subject may do something, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// About whom.
    pub subject: String,
    /// What was asked.
    pub question: String,
    /// Whether any of it is allowed.
    pub allowed: bool,
    /// Those of the actions that are allowed.
    pub actions: Vec<String>,
    /// Those of the actions that are not.
    pub missing: Vec<String>,
    /// Those that are allowed for some tags only, where no tag was asked about.
    pub limited: Vec<LimitedAction>,
    /// Whether tags can be made, but not in a repository that is not there yet.
    pub needs_repository: bool,
    /// What is allowed and left out of tokens for some kinds of registries.
    pub withheld: Vec<WithheldActions>,
    /// Whether the subject is a user who may not log in.
    pub disabled: bool,
    /// Every right that says something about the question.
    pub rows: Vec<ExplainedRow>,
}

/// An action that is allowed for some tags only.
#[derive(Debug, Serialize, ToSchema)]
pub struct LimitedAction {
    /// Which.
    pub action: String,
    /// Patterns of the tags it is allowed for.
    pub tags: Vec<String>,
    /// Patterns of those it is not allowed for in any case.
    pub except: Vec<String>,
}

impl From<&explanation::Limited> for LimitedAction {
    fn from(limited: &explanation::Limited) -> Self {
        let written = |patterns: &[TagPattern]| patterns.iter().map(ToString::to_string).collect();
        Self {
            action: limited.right.to_string(),
            tags: written(&limited.tags.within),
            except: written(&limited.tags.except),
        }
    }
}

/// Actions that somebody holds and that are left out of tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct WithheldActions {
    /// Which.
    pub actions: Vec<String>,
    /// Why: `unenforceable` (limited, and the registry knows no limits), `too_many_patterns` or `token_too_large`.
    pub reason: String,
    /// In tokens for which kinds of registries, as in the setting `audiences.NAME.verifier`.
    pub verifiers: Vec<String>,
}

impl From<&Withholding> for WithheldActions {
    fn from(withholding: &Withholding) -> Self {
        Self {
            actions: withholding.actions.iter().map(|action| action.to_string()).collect(),
            reason: withholding.why.as_str().to_owned(),
            verifiers: withholding.verifiers.iter().map(|verifier| verifier.as_str().to_owned()).collect(),
        }
    }
}

/// One right, and what it says about the question.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainedRow {
    /// The number of the right.
    pub id: i64,
    /// Who holds it.
    pub holder: String,
    /// `allow` or `deny`.
    pub effect: String,
    /// The role, or the actions with commas between them.
    pub what: String,
    /// Those of the actions it is about.
    pub about: Vec<String>,
    /// On which repositories.
    pub pattern: String,
    /// On which tags only.
    #[schema(required = true)]
    pub tags: Option<String>,
    /// Whether it counts at the moment.
    pub counts: bool,
    /// Those of its actions that a barrier or a namespace keeps out.
    pub kept_out: Vec<String>,
    /// What keeps them out.
    pub kept_out_by: Vec<String>,
    /// Why it does not count: `too_early`, `expired`, `elsewhere` or `no_second_factor`.
    #[schema(required = true)]
    pub why_not: Option<String>,
}

impl Explanation {
    /// The answer to a question.
    pub fn new(subject: &GrantSubject, question: &Question, found: &explanation::Explanation) -> Self {
        Self {
            subject: subject.to_string(),
            question: question.to_string(),
            allowed: !found.held.is_empty(),
            actions: words(found.held),
            missing: words(found.missing),
            limited: found.limited.iter().map(LimitedAction::from).collect(),
            needs_repository: found.needs_repository,
            withheld: found.withheld.iter().map(WithheldActions::from).collect(),
            disabled: found.is_disabled,
            rows: found.rows.iter().map(ExplainedRow::from).collect(),
        }
    }
}

impl From<&explanation::Considered> for ExplainedRow {
    fn from(row: &explanation::Considered) -> Self {
        let why_not = row.not_now.map(|reason| match reason {
            NotNow::TooEarly => "too_early",
            NotNow::Expired => "expired",
            NotNow::Elsewhere => "elsewhere",
            NotNow::NoSecondFactor => "no_second_factor",
        });
        Self {
            id: row.grant.id,
            holder: row.holder.clone(),
            effect: row.grant.effect.as_str().to_owned(),
            what: row.grant.what.to_string(),
            about: words(row.rights),
            pattern: row.grant.pattern.to_string(),
            tags: row.grant.tags.as_ref().map(ToString::to_string),
            counts: row.not_now.is_none(),
            kept_out: words(row.kept_out),
            kept_out_by: row.kept_out_by.clone(),
            why_not: why_not.map(str::to_owned),
        }
    }
}

/// Somebody who may do what was asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct Capable {
    /// Who.
    pub subject: String,
    /// Which of the actions.
    pub actions: Vec<String>,
    /// The numbers of the rights that give it.
    pub rows: Vec<i64>,
}

impl From<&explanation::Capable> for Capable {
    fn from(capable: &explanation::Capable) -> Self {
        Self { subject: capable.subject.clone(), actions: words(capable.held), rows: capable.rows.clone() }
    }
}

const SUBJECT: Parameter = Parameter::optional(
    "subject",
    Kind::Text,
    "About whom: `user:NAME`, `team:NAME`, `robot:OWNER/NAME`, `workload:NAME`, `everyone` or `authenticated`; without it, about oneself.",
);

const QUESTION: [Parameter; 4] = [
    Parameter::required(
        "action",
        "pull",
        "`pull`, `push`, `delete`, `repository-delete`, `*`, or a part such as `tag-update`.",
    ),
    Parameter::required("place", "core/app", "A repository, or one of its tags: `platform/app:v1`."),
    Parameter::optional(
        "address",
        Kind::Text,
        "As for a client with this address; without it rights in a network do not count, and denials in one do.",
    ),
    Parameter::optional(
        "second_factor",
        Kind::Word(&["true", "false"]),
        "As for a login with a second factor, or without one; when it is not said, as for one's own login about oneself, \
         and as for one without about others.",
    ),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/api/v1/explain", "explain", |call| explain(call).boxed_local())
            .summary(
                "Says whether somebody may do something, and which rights decide it: about oneself, and about others \
                 where one administers the place.",
            )
            .query(&[SUBJECT])
            .query(&QUESTION)
            .one::<Explanation>(),
        Endpoint::new(Method::GET, "/api/v1/who-can", "whoCan", |call| who_can(call).boxed_local())
            .summary("Lists everybody who may do something, first whole groups, where one administers the place.")
            .query(&QUESTION)
            .page::<Capable>(),
    ]
}

fn question(call: &Call, is_own: bool) -> Result<(Question, Circumstances), ApiError> {
    let question = Question::parse(call.query.required("action"), call.query.required("place"));
    let address = call.query.get("address").map(str::parse::<IpAddr>).transpose();
    let sentence = || "is no address such as 192.0.2.7".to_owned();
    let address = address.map_err(|_| ApiError::BadParameter { name: "address", sentence: sentence() })?;
    let now = call.administration()?.now();
    let second_factor = match call.query.get("second_factor") {
        Some(word) => word == "true",
        None => is_own && call.subject()?.has_second_factor(),
    };
    Ok((question.map_err(TokenServerError::from)?, Circumstances { now, address, second_factor }))
}

/// Whoever asks, as a subject of rights.
pub(super) fn oneself(subject: &Subject) -> Result<GrantSubject, TokenServerError> {
    Ok(match subject {
        Subject::Anonymous => GrantSubject::Everyone,
        Subject::User(user) => GrantSubject::User(PrincipalName::parse(&user.name)?),
        Subject::Robot(robot) => GrantSubject::Robot(RobotName::parse(&robot.name)?),
        Subject::Workload(workload) => GrantSubject::Workload(PrincipalName::parse(&workload.name)?),
    })
}

async fn explain(call: Call) -> Result<Reply, ApiError> {
    let subject = call.query.read("subject", GrantSubject::parse)?;
    let is_own = subject.is_none();
    let subject = match subject {
        Some(subject) => subject,
        None => oneself(call.subject()?)?,
    };
    let (question, circumstances) = question(&call, is_own)?;
    let found = call.administration()?.explain(&subject, &question, circumstances).await?;
    Ok(Reply::answer(&Explanation::new(&subject, &question, &found)))
}

async fn who_can(call: Call) -> Result<Reply, ApiError> {
    let behind: Option<String> = cursor::read("who-can", &call.query)?;
    let (limit, (question, circumstances)) = (call.query.limit()?, question(&call, false)?);
    let found = call.administration()?.who_can(&question, circumstances).await?;
    let begin = behind.map_or(0, |behind| {
        // Who may no longer do it is not there any more; the list goes on where they would be.
        let is_behind = |capable: &explanation::Capable| order(&capable.subject) <= order(&behind);
        found.iter().take_while(|capable| is_behind(capable)).count()
    });
    let rest = &found[begin..];
    let items: Vec<Capable> = rest.iter().take(limit).map(Capable::from).collect();
    let next =
        items.last().filter(|_| rest.len() > limit).map(|last| cursor::write("who-can", &last.subject));
    Ok(Reply::page(items, next))
}

/// Whole groups stand before users, these before robots, and those before workloads.
fn order(subject: &str) -> (u8, &str) {
    match subject.split_once(':') {
        None if subject == "everyone" => (0, ""),
        None => (1, ""),
        Some((USER, name)) => (2, name),
        Some((ROBOT, name)) => (3, name),
        Some((_, name)) => (4, name),
    }
}
