//! Teams: `/api/v1/teams`.
//!
//! *Invariant:* a team that somebody may not see answers like one that does not exist.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::Call;
use super::cursor;
use super::endpoint::Endpoint;
use super::reply::Reply;
use crate::db::teams::TeamSummary;
use crate::domain::error::TokenServerError;
use crate::domain::principal_name::PrincipalName;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/teams";
const ONE: &str = "/api/v1/teams/{team}";

/// A team.
#[derive(Debug, Serialize, ToSchema)]
pub struct Team {
    /// The name, in lower case.
    pub name: String,
    /// When the team was added.
    #[schema(format = DateTime)]
    pub added_at: String,
    /// How many are in it directly; its `members` are listed at an address of their own.
    pub member_count: i64,
    /// Those of them who say who else is in it, in order: names of users, `team:NAME`, `robot:OWNER/NAME` and
    /// `workload:NAME`.
    pub maintainers: Vec<String>,
}

impl From<&TeamSummary> for Team {
    fn from(team: &TeamSummary) -> Self {
        Self {
            name: team.name.clone(),
            added_at: written(team.created_at),
            member_count: team.member_count,
            maintainers: team.maintainers.clone(),
        }
    }
}

/// A team to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "core"}))]
struct NewTeam {
    /// Up to 63 letters, digits, dots, dashes and underscores.
    #[schema(min_length = 1, max_length = 63)]
    name: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listTeams", |call| list(call).boxed_local())
            .summary("Lists teams by name: all, for whoever administers something; otherwise one's own.")
            .page::<Team>(),
        Endpoint::new(Method::POST, LIST, "addTeam", |call| add(call).boxed_local())
            .summary("Adds a team without members.")
            .body::<NewTeam>()
            .made::<Team>(),
        Endpoint::new(Method::GET, ONE, "getTeam", |call| get(call).boxed_local())
            .summary("Shows a team.")
            .one::<Team>(),
        Endpoint::new(Method::DELETE, ONE, "removeTeam", |call| remove(call).boxed_local())
            .summary("Removes a team with its memberships and rights.")
            .conditional(),
    ]
}

/// The name in the path; one that no team can have is not there.
pub(super) fn name(call: &Call) -> Result<PrincipalName, ApiError> {
    let text = call.path("team");
    PrincipalName::parse(&text).map_err(|_| TokenServerError::NotFound { kind: "team", name: text }.into())
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let behind: Option<String> = cursor::read("teams", &call.query)?;
    let behind = behind.unwrap_or_default();
    let page = call.administration()?.page_of_teams(&behind, call.query.limit()?).await?;
    let next = page.next.map(|name| cursor::write("teams", &name));
    Ok(Reply::page(page.items.iter().map(Team::from).collect(), next))
}

async fn add(call: Call) -> Result<Reply, ApiError> {
    let new: NewTeam = call.body()?;
    let name = PrincipalName::parse_new(&new.name).map_err(TokenServerError::from)?;
    let administration = call.administration()?;
    administration.add_team(&name).await?;
    let team = administration.show_team(&name).await?;
    Ok(Reply::made(format!("{LIST}/{name}"), &Team::from(&team)))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::one(&Team::from(&call.administration()?.show_team(&name(&call)?).await?)))
}

async fn remove(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.remove_team(&name(&call)?).await?;
    Ok(Reply::Done)
}
