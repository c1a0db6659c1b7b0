//! Rights for a while: `/api/v1/elevations`.
//!
//! *Invariant:* everybody asks for themselves; a request that somebody may not see answers like none.

use std::time::Duration;

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use shared::limits::TagPattern;
use shared::repository_pattern::RepositoryPattern;
use utoipa::ToSchema;
use uuid::Uuid;

use super::call::Call;
use super::endpoint::Endpoint;
use super::parameters::{Kind, Parameter};
use super::reply::Reply;
use super::{cursor, grants, questions, roles};
use crate::db::elevations::ElevationRow;
use crate::domain::error::TokenServerError;
use crate::domain::grant::Effect;
use crate::domain::grant_spec::{GrantSpec, NamedWhat};
use crate::domain::right::RightSet;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/elevations";
const BREAK_GLASS: &str = "/api/v1/elevations/break-glass";
const ONE: &str = "/api/v1/elevations/{elevation}";

/// A request for rights for a while, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Elevation {
    /// Its number.
    #[schema(format = "uuid")]
    pub id: String,
    /// Who asked.
    pub user: String,
    /// Which role; `null` when actions are listed.
    #[schema(required = true)]
    pub role: Option<String>,
    /// Which actions; `null` when a role is named.
    #[schema(required = true)]
    pub actions: Option<Vec<String>>,
    /// On which repositories.
    pub pattern: String,
    /// On which tags only.
    #[schema(required = true)]
    pub tags: Option<String>,
    /// For how long, from when it is approved.
    pub lasts_seconds: i32,
    /// Why, in the words of who asked.
    pub reason: String,
    /// Whether it was taken in an emergency, without asking.
    pub break_glass: bool,
    /// When.
    #[schema(format = DateTime)]
    pub requested_at: String,
    /// `requested`, `approved`, `denied` or `ended`.
    pub state: String,
    /// Who decided; `null` when nobody did, or when it was on the command line.
    #[schema(required = true)]
    pub decided_by: Option<String>,
    /// When that was.
    #[schema(required = true, format = DateTime)]
    pub decided_at: Option<String>,
    /// Why, in the words of who decided.
    #[schema(required = true)]
    pub decision_reason: Option<String>,
    /// When what was given ends.
    #[schema(required = true, format = DateTime)]
    pub ends_at: Option<String>,
}

impl From<&ElevationRow> for Elevation {
    fn from(row: &ElevationRow) -> Self {
        Self {
            id: row.id.to_string(),
            user: row.user.clone(),
            role: row.role.clone(),
            actions: row.rights.as_deref().map(roles::words),
            pattern: row.pattern.clone(),
            tags: row.tags.clone(),
            lasts_seconds: row.lasts_seconds,
            reason: row.reason.clone(),
            break_glass: row.is_break_glass,
            requested_at: written(row.requested_at),
            state: row.state.clone(),
            decided_by: row.decided_by.clone(),
            decided_at: row.decided_at.map(written),
            decision_reason: row.decision_reason.clone(),
            ends_at: row.ends_at.map(written),
        }
    }
}

/// A right to ask for: a role, or a list of actions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "writer", "pattern": "core/app", "lasts_seconds": 7200, "reason": "CHG-18"}))]
struct NewElevation {
    /// Which role.
    role: Option<String>,
    /// Which actions.
    actions: Option<Vec<String>>,
    /// On which repositories: `a/b`, `a/b/**`, `**`, or a glob.
    pattern: String,
    /// On which tags only.
    tags: Option<String>,
    /// For how long: a minute to thirty days.
    #[schema(minimum = 60, maximum = 2_592_000)]
    lasts_seconds: u32,
    /// Why, on one line.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

/// A place to take everything on, in an emergency.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"pattern": "core/**", "reason": "INC-3"}))]
struct BrokenGlass {
    /// On which repositories.
    pattern: String,
    /// Why, on one line.
    #[schema(min_length = 1, max_length = 200)]
    reason: String,
}

/// What is said about a decision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "agreed in CHG-18"}))]
struct DecisionBody {
    /// Why.
    reason: Option<String>,
}

const ALL: Parameter = Parameter::optional(
    "all",
    Kind::Word(&["true", "false"]),
    "Also requests that were denied or are over; without it, those that wait or last.",
);

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listElevations", |call| list(call).boxed_local())
            .summary("Lists requests for rights for a while, the newest first: one's own, and those one may decide about.")
            .query(&[ALL])
            .page::<Elevation>(),
        Endpoint::new(Method::POST, LIST, "requestElevation", |call| request(call).boxed_local())
            .summary("Asks for a right for oneself, for a while; somebody else decides.")
            .body::<NewElevation>()
            .made::<Elevation>(),
        // Before what takes any number, because the router goes by the order.
        Endpoint::new(Method::POST, BREAK_GLASS, "breakGlass", |call| break_glass(call).boxed_local())
            .summary("Takes everything on a place for an hour, in an emergency, and sounds the alarm.")
            .body::<BrokenGlass>()
            .made::<Elevation>(),
        Endpoint::new(Method::GET, ONE, "getElevation", |call| get(call).boxed_local())
            .summary("Shows a request.")
            .one::<Elevation>(),
        Endpoint::new(Method::POST, "/api/v1/elevations/{elevation}/approve", "approveElevation", |call| {
            approve(call).boxed_local()
        })
        .summary("Gives what somebody else asked for, from now on, up to what one holds oneself.")
        .body::<DecisionBody>()
        .one::<Elevation>(),
        Endpoint::new(Method::POST, "/api/v1/elevations/{elevation}/deny", "denyElevation", |call| {
            deny(call).boxed_local()
        })
        .summary("Refuses what somebody else asked for.")
        .body::<DecisionBody>()
        .one::<Elevation>(),
        Endpoint::new(Method::POST, "/api/v1/elevations/{elevation}/end", "endElevation", |call| {
            end(call).boxed_local()
        })
        .summary("Takes a request back, or ends before its time what came of it.")
        .one::<Elevation>(),
    ]
}

fn number(call: &Call) -> Result<Uuid, ApiError> {
    let text = call.path("elevation");
    text.parse().map_err(|_| TokenServerError::NotFound { kind: "request", name: text }.into())
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let before: Option<Uuid> = cursor::read_sealed(&call, "elevations")?;
    let with_past = call.query.get("all") == Some("true");
    let page = call.administration()?.page_of_elevations(with_past, before, call.query.limit()?).await?;
    let next = page.next.map(|id| cursor::write_sealed(&call, "elevations", &id)).transpose()?;
    Ok(Reply::page(page.items.iter().map(Elevation::from).collect(), next))
}

async fn request(call: Call) -> Result<Reply, ApiError> {
    let new: NewElevation = call.body()?;
    let tags = new.tags.as_deref().map(TagPattern::parse).transpose();
    let what = grants::named(new.role.as_deref(), new.actions.as_deref())?;
    let tags = tags.map_err(|error| TokenServerError::Contradiction(error.to_string()))?;
    let grant = for_oneself(&call, what, &new.pattern, tags)?;
    let length = Duration::from_secs(new.lasts_seconds.into());
    let administration = call.administration()?;
    let id = administration.request_elevation(&grant, length, &new.reason).await?;
    Ok(made(&administration.show_elevation(id).await?))
}

fn for_oneself(
    call: &Call,
    what: NamedWhat,
    pattern: &str,
    tags: Option<TagPattern>,
) -> Result<GrantSpec, ApiError> {
    let pattern = RepositoryPattern::parse(pattern).map_err(TokenServerError::from)?;
    let subject = questions::oneself(call.subject()?)?;
    Ok(GrantSpec { subject, effect: Effect::Allow, what, pattern, tags })
}

fn made(row: &ElevationRow) -> Reply {
    Reply::made(format!("{LIST}/{}", row.id), &Elevation::from(row))
}

async fn break_glass(call: Call) -> Result<Reply, ApiError> {
    let wanted: BrokenGlass = call.body()?;
    let grant = for_oneself(&call, NamedWhat::Rights(RightSet::EVERYTHING), &wanted.pattern, None)?;
    Ok(made(&call.administration()?.break_glass(&grant, &wanted.reason).await?))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    show(&call, number(&call)?).await
}

async fn show(call: &Call, id: Uuid) -> Result<Reply, ApiError> {
    Ok(Reply::one(&Elevation::from(&call.administration()?.show_elevation(id).await?)))
}

async fn approve(call: Call) -> Result<Reply, ApiError> {
    let (id, said): (_, DecisionBody) = (number(&call)?, call.body()?);
    let given = call.administration()?.approve_elevation(id, said.reason.as_deref()).await?;
    Ok(Reply::one(&Elevation::from(&given)))
}

async fn deny(call: Call) -> Result<Reply, ApiError> {
    let (id, said): (_, DecisionBody) = (number(&call)?, call.body()?);
    call.administration()?.deny_elevation(id, said.reason.as_deref()).await?;
    show(&call, id).await
}

async fn end(call: Call) -> Result<Reply, ApiError> {
    let id = number(&call)?;
    call.administration()?.end_elevation(id).await?;
    show(&call, id).await
}
