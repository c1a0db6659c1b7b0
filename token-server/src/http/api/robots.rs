//! Robots: `/api/v1/robots`.
//!
//! *Invariant:* a robot that somebody neither is nor manages answers like one that does not exist.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::Call;
use super::cursor;
use super::endpoint::Endpoint;
use super::parameters::{Kind, Parameter};
use super::reply::Reply;
use crate::db::robots::RobotSummary;
use crate::domain::administration::machines::MachineChange;
use crate::domain::error::TokenServerError;
use crate::domain::principal_name::PrincipalName;
use crate::domain::robot_name::RobotName;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/robots";
const ONE: &str = "/api/v1/robots/{owner}/{robot}";

/// A robot.
#[derive(Debug, Serialize, ToSchema)]
pub struct Robot {
    /// `OWNER/NAME`, in lower case.
    pub name: String,
    /// What it is for, in somebody's words.
    #[schema(required = true)]
    pub description: Option<String>,
    /// Since when logins are refused; `null` for one that can log in.
    #[schema(required = true, format = DateTime)]
    pub disabled_at: Option<String>,
    /// How many secrets are good at this moment.
    pub secrets: i64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub added_at: String,
}

impl From<&RobotSummary> for Robot {
    fn from(robot: &RobotSummary) -> Self {
        Self {
            name: robot.name.clone(),
            description: robot.description.clone(),
            disabled_at: robot.disabled_at.map(written),
            secrets: robot.secrets,
            added_at: written(robot.created_at),
        }
    }
}

/// A robot to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "core/ci", "description": "pipelines"}))]
struct NewRobot {
    /// `OWNER/NAME`, where the owner is a namespace or a user.
    name: String,
    /// What it is for.
    description: Option<String>,
}

/// What a robot is to become; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"disabled": true}))]
struct RobotBody {
    /// Whether logins are refused.
    disabled: Option<bool>,
    /// What it is for; an empty text takes the description away.
    description: Option<String>,
}

const OWNER: Parameter =
    Parameter::optional("owner", Kind::Text, "Only robots of the namespace or the user of this name.");

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listRobots", |call| list(call).boxed_local())
            .summary("Lists robots by name: one's own, and those of places where one holds `robot-manage`.")
            .query(&[OWNER])
            .page::<Robot>(),
        Endpoint::new(Method::POST, LIST, "addRobot", |call| add(call).boxed_local())
            .summary("Makes a robot without any right and without a secret.")
            .body::<NewRobot>()
            .made::<Robot>(),
        Endpoint::new(Method::GET, ONE, "getRobot", |call| get(call).boxed_local())
            .summary("Shows a robot.")
            .one::<Robot>(),
        Endpoint::new(Method::PATCH, ONE, "changeRobot", |call| change(call).boxed_local())
            .summary("Refuses logins of a robot or allows them again, or describes it otherwise.")
            .body::<RobotBody>()
            .one::<Robot>()
            .conditional(),
        Endpoint::new(Method::DELETE, ONE, "removeRobot", |call| remove(call).boxed_local())
            .summary("Removes a robot with its secrets, memberships and rights.")
            .conditional(),
    ]
}

/// The name in the path; one that no robot can have is not there.
pub(super) fn name(call: &Call) -> Result<RobotName, ApiError> {
    let text = format!("{}/{}", call.path("owner"), call.path("robot"));
    RobotName::parse(&text).map_err(|_| TokenServerError::NotFound { kind: "robot", name: text }.into())
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let behind: Option<String> = cursor::read_sealed(&call, "robots")?;
    let owner = call.query.read("owner", PrincipalName::parse)?;
    let behind = behind.unwrap_or_default();
    let page = call.administration()?.page_of_robots(owner.as_ref(), &behind, call.query.limit()?).await?;
    let next = page.next.map(|name| cursor::write_sealed(&call, "robots", &name)).transpose()?;
    Ok(Reply::page(page.items.iter().map(Robot::from).collect(), next))
}

async fn add(call: Call) -> Result<Reply, ApiError> {
    let new: NewRobot = call.body()?;
    let name = RobotName::parse(&new.name).map_err(TokenServerError::from)?;
    let administration = call.administration()?;
    administration.add_robot(&name, new.description.as_deref()).await?;
    let robot = administration.show_robot(&name).await?;
    Ok(Reply::made(format!("{LIST}/{name}"), &Robot::from(&robot)))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::one(&Robot::from(&call.administration()?.show_robot(&name(&call)?).await?)))
}

async fn change(call: Call) -> Result<Reply, ApiError> {
    let (name, wanted): (_, RobotBody) = (name(&call)?, call.body()?);
    let change = MachineChange { is_disabled: wanted.disabled, description: wanted.description };
    let administration = call.administration()?;
    administration.change_robot(&name, &change).await?;
    Ok(Reply::one(&Robot::from(&administration.show_robot(&name).await?)))
}

async fn remove(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.remove_robot(&name(&call)?).await?;
    Ok(Reply::Done)
}
