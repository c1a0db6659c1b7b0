//! Secrets of robots: `/api/v1/robots/{owner}/{robot}/secrets`.
//!
//! *Invariant:* a secret itself is in one answer only, that to whoever made it; a number names a secret only together
//! with its robot.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::call::Call;
use super::endpoint::Endpoint;
use super::limits::{Limits, NewLimits};
use super::reply::Reply;
use super::{cursor, etag, robots};
use crate::db::credentials::CredentialSummary;
use crate::domain::administration::credentials::WantedCredential;
use crate::domain::error::TokenServerError;
use crate::domain::robot_name::RobotName;
use crate::domain::words::moment::{self, written};
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/robots/{owner}/{robot}/secrets";
const ONE: &str = "/api/v1/robots/{owner}/{robot}/secrets/{secret}";

/// A secret of a robot, without what is secret of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct RobotSecret {
    /// Its number.
    #[schema(format = "uuid")]
    pub id: String,
    /// `OWNER/NAME` of the robot.
    pub robot: String,
    /// What it is called.
    #[schema(required = true)]
    pub label: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub added_at: String,
    /// Who made it; nobody on the command line of the server.
    #[schema(required = true)]
    pub added_by: Option<String>,
    /// Whether whoever made it, and may have kept it, can log in no more.
    pub maker_is_gone: bool,
    /// When it was last used, within some minutes.
    #[schema(required = true, format = DateTime)]
    pub last_used_at: Option<String>,
    /// From which address that was.
    #[schema(required = true)]
    pub last_used_from: Option<String>,
    /// When it ends.
    #[schema(required = true, format = DateTime)]
    pub expires_at: Option<String>,
    /// What it is good for, of what the robot holds; nothing if that is everything.
    #[schema(required = true)]
    pub limits: Option<Limits>,
}

impl From<&CredentialSummary> for RobotSecret {
    fn from(secret: &CredentialSummary) -> Self {
        Self {
            id: secret.id.to_string(),
            robot: secret.owner.clone(),
            label: secret.label.clone(),
            added_at: written(secret.created_at),
            added_by: secret.created_by.clone(),
            maker_is_gone: secret.is_maker_gone,
            last_used_at: secret.last_used_at.map(written),
            last_used_from: secret.last_used_from.clone(),
            expires_at: secret.expires_at.map(written),
            limits: secret.limits.as_ref().map(Limits::from),
        }
    }
}

/// A secret that was just made.
#[derive(Serialize, ToSchema)]
struct MadeRobotSecret {
    /// What its address shows.
    #[serde(flatten)]
    shown: RobotSecret,
    /// What the robot logs in with, under its name; it is in no other answer.
    #[schema(format = Password)]
    secret: String,
}

/// A secret to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"label": "main"}))]
struct NewRobotSecret {
    /// What it is called.
    label: Option<String>,
    /// When it ends.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// What it is good for, of what the robot holds; without it, everything.
    limits: Option<NewLimits>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listRobotSecrets", |call| list(call).boxed_local())
            .summary("Lists the secrets of a robot, oldest first, without what is secret of them.")
            .page::<RobotSecret>(),
        Endpoint::new(Method::POST, LIST, "addRobotSecret", |call| add(call).boxed_local())
            .summary(
                "Makes a secret for a robot, which has two at most. It is in this answer and nowhere else.",
            )
            .body::<NewRobotSecret>()
            .made::<MadeRobotSecret>(),
        Endpoint::new(Method::GET, ONE, "getRobotSecret", |call| get(call).boxed_local())
            .summary("Shows a secret without what is secret of it.")
            .one::<RobotSecret>(),
        Endpoint::new(Method::DELETE, ONE, "revokeRobotSecret", |call| revoke(call).boxed_local())
            .summary("Revokes a secret, which ends logins with it."),
    ]
}

fn address(robot: &RobotName, id: Uuid) -> String {
    format!("/api/v1/robots/{robot}/secrets/{id}")
}

fn number(call: &Call) -> Result<Uuid, ApiError> {
    let text = call.path("secret");
    text.parse().map_err(|_| missing(text).into())
}

fn missing(name: String) -> TokenServerError {
    TokenServerError::NotFound { kind: "secret", name }
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let found = call.administration()?.show_robot_secrets(&robots::name(&call)?).await?;
    let number = |secret: &CredentialSummary| secret.id;
    cursor::page_of_numbered::<_, RobotSecret>(&call, "secrets", &found, number, |one, other| one > other)
}

async fn add(call: Call) -> Result<Reply, ApiError> {
    let (robot, new): (_, NewRobotSecret) = (robots::name(&call)?, call.body()?);
    let expires_at = new.expires_at.as_deref().map(moment::parse).transpose();
    let expires_at = expires_at.map_err(TokenServerError::from)?;
    let limits = new.limits.map(NewLimits::words).transpose()?.unwrap_or_default();
    let wanted = WantedCredential { label: new.label, expires_at, limits };
    let made = call.administration()?.add_robot_secret(&robot, &wanted).await?;
    let shown = RobotSecret::from(&made.shown);
    let tag = etag::of(&shown);
    let answer = MadeRobotSecret { shown, secret: made.secret.expose().to_owned() };
    Ok(Reply::made_once(address(&robot, made.shown.id), tag, &answer))
}

async fn find(call: &Call, robot: &RobotName, id: Uuid) -> Result<CredentialSummary, ApiError> {
    let found = call.administration()?.show_robot_secrets(robot).await?;
    Ok(found.into_iter().find(|secret| secret.id == id).ok_or_else(|| missing(id.to_string()))?)
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let (robot, id) = (robots::name(&call)?, number(&call)?);
    Ok(Reply::one(&RobotSecret::from(&find(&call, &robot, id).await?)))
}

async fn revoke(call: Call) -> Result<Reply, ApiError> {
    let (robot, id) = (robots::name(&call)?, number(&call)?);
    call.administration()?.revoke_robot_secret(id, Some(&robot)).await?;
    Ok(Reply::Done)
}
