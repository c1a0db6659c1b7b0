//! Who is in a team: `/api/v1/teams/{team}/members`.
//!
//! *Invariant:* putting a member where it is already changes nothing and is no error.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::Call;
use super::endpoint::Endpoint;
use super::reply::Reply;
use super::{cursor, teams};
use crate::db::teams::MemberRow;
use crate::domain::error::TokenServerError;
use crate::domain::team_member::{Standing, TeamMember};
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/teams/{team}/members";
const ONE: &str = "/api/v1/teams/{team}/members/{member}";

/// One member of a team.
#[derive(Debug, Serialize, ToSchema)]
pub struct Member {
    /// The name of a user, or `team:NAME`, `robot:OWNER/NAME` or `workload:NAME`.
    pub member: String,
    /// Whether they put others into the team and take them out.
    pub maintainer: bool,
    /// Where that comes from: `manual` or `policy`; who is there by a policy file is not for maintainers to take out.
    pub source: String,
    /// Since when.
    #[schema(format = DateTime)]
    pub added_at: String,
}

impl From<&MemberRow> for Member {
    fn from(row: &MemberRow) -> Self {
        Self {
            member: row.spelled(),
            maintainer: row.is_maintainer,
            source: row.source.clone(),
            added_at: written(row.added_at),
        }
    }
}

/// What a member is to become.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"maintainer": true}))]
struct MemberChange {
    /// Whether they put others into the team and take them out.
    maintainer: bool,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listMembers", |call| list(call).boxed_local())
            .summary("Lists who is in a team directly, in the order in which they came to this server.")
            .page::<Member>(),
        Endpoint::new(Method::PUT, ONE, "putMember", |call| put(call).boxed_local())
            .summary("Puts a user, a robot, a workload, or a team whose members then are members here too, into a team.")
            .makes("It is in the team now, and was not before."),
        Endpoint::new(Method::GET, ONE, "getMember", |call| get(call).boxed_local())
            .summary("Shows how somebody is in a team.")
            .one::<Member>(),
        Endpoint::new(Method::PATCH, ONE, "changeMember", |call| change(call).boxed_local())
            .summary("Makes a member a maintainer, who puts others into the team and takes them out, or no longer.")
            .body::<MemberChange>()
            .one::<Member>()
            .conditional(),
        Endpoint::new(Method::DELETE, ONE, "removeMember", |call| remove(call).boxed_local())
            .summary("Takes a user, a robot, a workload or a team out of a team."),
    ]
}

fn member(call: &Call) -> Result<TeamMember, ApiError> {
    Ok(TeamMember::parse(&call.path("member")).map_err(TokenServerError::from)?)
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let behind: Option<i64> = cursor::read("members", &call.query)?;
    let team = teams::name(&call)?;
    let behind = behind.unwrap_or_default();
    let page = call.administration()?.page_of_members(&team, behind, call.query.limit()?).await?;
    let next = page.next.map(|pid| cursor::write("members", &pid));
    Ok(Reply::page(page.items.iter().map(Member::from).collect(), next))
}

async fn put(call: Call) -> Result<Reply, ApiError> {
    let (team, member) = (teams::name(&call)?, member(&call)?);
    match call.administration()?.add_team_member(&team, &member, Standing::Member).await {
        Ok(()) => Ok(Reply::There),
        Err(TokenServerError::AlreadyThere { .. }) => Ok(Reply::Done),
        Err(error) => Err(error.into()),
    }
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let row = call.administration()?.show_team_member(&teams::name(&call)?, &member(&call)?).await?;
    Ok(Reply::one(&Member::from(&row)))
}

async fn change(call: Call) -> Result<Reply, ApiError> {
    let (team, member, wanted): (_, _, MemberChange) = (teams::name(&call)?, member(&call)?, call.body()?);
    let administration = call.administration()?;
    administration.change_team_member(&team, &member, Standing::of(wanted.maintainer)).await?;
    Ok(Reply::one(&Member::from(&administration.show_team_member(&team, &member).await?)))
}

async fn remove(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.remove_team_member(&teams::name(&call)?, &member(&call)?).await?;
    Ok(Reply::Done)
}
