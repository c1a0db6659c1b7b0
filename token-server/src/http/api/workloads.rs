//! Workloads: `/api/v1/workloads`.
//!
//! *Invariant:* nothing here is a credential.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::Call;
use super::cursor;
use super::endpoint::Endpoint;
use super::reply::Reply;
use crate::db::workloads::WorkloadSummary;
use crate::domain::administration::machines::MachineChange;
use crate::domain::error::TokenServerError;
use crate::domain::principal_name::PrincipalName;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/workloads";
const ONE: &str = "/api/v1/workloads/{workload}";

/// A workload.
#[derive(Debug, Serialize, ToSchema)]
pub struct Workload {
    /// The name, in lower case.
    pub name: String,
    /// What it is for, in somebody's words.
    #[schema(required = true)]
    pub description: Option<String>,
    /// Since when its rights do not count; `null` while they do.
    #[schema(required = true, format = DateTime)]
    pub disabled_at: Option<String>,
    /// Who made it; `null` for the command line of the server.
    #[schema(required = true)]
    pub added_by: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub added_at: String,
}

impl From<&WorkloadSummary> for Workload {
    fn from(workload: &WorkloadSummary) -> Self {
        Self {
            name: workload.name.clone(),
            description: workload.description.clone(),
            disabled_at: workload.disabled_at.map(written),
            added_by: workload.created_by.clone(),
            added_at: written(workload.created_at),
        }
    }
}

/// A workload to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "nightly", "description": "the nightly build"}))]
struct NewWorkload {
    /// Up to 63 letters, digits, dots, dashes and underscores.
    #[schema(min_length = 1, max_length = 63)]
    name: String,
    /// What it is for.
    description: Option<String>,
}

/// What a workload is to become; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"disabled": true}))]
struct WorkloadBody {
    /// Whether its rights do not count.
    disabled: Option<bool>,
    /// What it is for; an empty text takes the description away.
    description: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listWorkloads", |call| list(call).boxed_local())
            .summary("Lists workloads by name, for whoever administers something.")
            .page::<Workload>(),
        Endpoint::new(Method::POST, LIST, "addWorkload", |call| add(call).boxed_local())
            .summary("Makes a workload without any right. A rule about tokens of a platform lets it log in.")
            .body::<NewWorkload>()
            .made::<Workload>(),
        Endpoint::new(Method::GET, ONE, "getWorkload", |call| get(call).boxed_local())
            .summary("Shows a workload.")
            .one::<Workload>(),
        Endpoint::new(Method::PATCH, ONE, "changeWorkload", |call| change(call).boxed_local())
            .summary("Lets nothing count that a workload holds, or lets it count again, or describes it otherwise.")
            .body::<WorkloadBody>()
            .one::<Workload>()
            .conditional(),
        Endpoint::new(Method::DELETE, ONE, "removeWorkload", |call| remove(call).boxed_local())
            .summary("Removes a workload with its memberships and rights.")
            .conditional(),
    ]
}

/// The name in the path; one that no workload can have is not there.
fn name(call: &Call) -> Result<PrincipalName, ApiError> {
    let text = call.path("workload");
    PrincipalName::parse(&text)
        .map_err(|_| TokenServerError::NotFound { kind: "workload", name: text }.into())
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let behind: Option<String> = cursor::read("workloads", &call.query)?;
    let behind = behind.unwrap_or_default();
    let page = call.administration()?.page_of_workloads(&behind, call.query.limit()?).await?;
    let next = page.next.map(|name| cursor::write("workloads", &name));
    Ok(Reply::page(page.items.iter().map(Workload::from).collect(), next))
}

async fn add(call: Call) -> Result<Reply, ApiError> {
    let new: NewWorkload = call.body()?;
    let name = PrincipalName::parse_new(&new.name).map_err(TokenServerError::from)?;
    let administration = call.administration()?;
    administration.add_workload(&name, new.description.as_deref()).await?;
    let workload = administration.show_workload(&name).await?;
    Ok(Reply::made(format!("{LIST}/{name}"), &Workload::from(&workload)))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::one(&Workload::from(&call.administration()?.show_workload(&name(&call)?).await?)))
}

async fn change(call: Call) -> Result<Reply, ApiError> {
    let (name, wanted): (_, WorkloadBody) = (name(&call)?, call.body()?);
    let change = MachineChange { is_disabled: wanted.disabled, description: wanted.description };
    let administration = call.administration()?;
    administration.change_workload(&name, &change).await?;
    Ok(Reply::one(&Workload::from(&administration.show_workload(&name).await?)))
}

async fn remove(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.remove_workload(&name(&call)?).await?;
    Ok(Reply::Done)
}
