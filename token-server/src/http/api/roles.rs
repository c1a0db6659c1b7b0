//! Roles: `/api/v1/roles`.
//!
//! *Invariant:* the roles that are built in are known to everybody and stay as they are.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::call::Call;
use super::cursor;
use super::endpoint::Endpoint;
use super::reply::Reply;
use crate::db::roles::RoleRow;
use crate::domain::administration::roles::RoleChange;
use crate::domain::error::TokenServerError;
use crate::domain::right::RightSet;
use crate::domain::role;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/roles";
const ONE: &str = "/api/v1/roles/{role}";

/// A role.
#[derive(Debug, Serialize, ToSchema)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub actions: Vec<String>,
    /// Whether it is built in.
    pub built_in: bool,
    /// What it is for, in somebody's words.
    #[schema(required = true)]
    pub description: Option<String>,
    /// When it was made; `null` when it is built in.
    #[schema(required = true, format = DateTime)]
    pub added_at: Option<String>,
}

/// The words of a list of actions.
pub(super) fn words(list: &str) -> Vec<String> {
    list.split(',').map(str::to_owned).collect()
}

/// Rights from the words of a list.
pub(super) fn rights(words: &[String]) -> Result<RightSet, TokenServerError> {
    let sets = words.iter().map(|word| RightSet::parse(word)).collect::<Result<Vec<_>, _>>()?;
    if sets.is_empty() {
        return Err(TokenServerError::Contradiction("name at least one action".into()));
    }
    Ok(sets.into_iter().fold(RightSet::EMPTY, RightSet::union))
}

impl From<&role::Role> for Role {
    fn from(role: &role::Role) -> Self {
        Self {
            name: role.name().to_owned(),
            actions: words(&role.rights().to_string()),
            built_in: true,
            description: None,
            added_at: None,
        }
    }
}

impl From<&RoleRow> for Role {
    fn from(role: &RoleRow) -> Self {
        Self {
            name: role.name.clone(),
            actions: words(&role.rights),
            built_in: false,
            description: role.description.clone(),
            added_at: Some(written(role.created_at)),
        }
    }
}

/// A role to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "deployer", "actions": ["pull", "tag-update"], "description": "moves tags"}))]
struct NewRole {
    /// Up to 63 lower-case letters, digits and dashes, the first a letter.
    #[schema(min_length = 1, max_length = 63)]
    name: String,
    /// What it allows: `pull`, `push`, `delete`, `administer`, `*`, …
    #[schema(min_items = 1)]
    actions: Vec<String>,
    /// What it is for.
    description: Option<String>,
}

/// What a role is to become; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"actions": ["pull", "push"]}))]
struct RoleBody {
    /// What it allows from now on, for everybody who holds it.
    #[schema(min_items = 1)]
    actions: Option<Vec<String>>,
    /// What it is for; an empty text takes the description away.
    description: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listRoles", |call| list(call).boxed_local())
            .summary(
                "Lists roles: first those that are built in, then by name those that were made; all of these for \
                 whoever administers something, otherwise those one holds.",
            )
            .page::<Role>(),
        Endpoint::new(Method::POST, LIST, "addRole", |call| add(call).boxed_local())
            .summary("Makes a role.")
            .body::<NewRole>()
            .made::<Role>(),
        Endpoint::new(Method::GET, ONE, "getRole", |call| get(call).boxed_local())
            .summary("Shows a role.")
            .one::<Role>(),
        Endpoint::new(Method::PATCH, ONE, "changeRole", |call| change(call).boxed_local())
            .summary("Lets a role allow something else, for everybody who holds it.")
            .body::<RoleBody>()
            .one::<Role>()
            .conditional(),
        Endpoint::new(Method::DELETE, ONE, "removeRole", |call| remove(call).boxed_local())
            .summary("Removes a role that no right names.")
            .conditional(),
    ]
}

/// Where a page of roles begins.
#[derive(Debug, Serialize, Deserialize)]
enum Behind {
    /// Behind so many that are built in.
    BuiltIn(usize),
    /// Behind the one of this name that was made.
    Made(String),
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let behind = cursor::read("roles", &call.query)?.unwrap_or(Behind::BuiltIn(0));
    let limit = call.query.limit()?;
    let write = |behind: &Behind| cursor::write("roles", behind);
    let (skipped, made) = match behind {
        Behind::BuiltIn(number) => (number.min(role::Role::BUILT_IN.len()), String::new()),
        Behind::Made(name) => (role::Role::BUILT_IN.len(), name),
    };
    let built_in = role::Role::BUILT_IN.into_iter().skip(skipped).take(limit);
    let mut items: Vec<Role> = built_in.map(|role| Role::from(&role)).collect();
    let reached = skipped + items.len();
    if items.len() == limit {
        return Ok(Reply::page(items, Some(write(&Behind::BuiltIn(reached)))));
    }
    let page = call.administration()?.page_of_roles(&made, limit - items.len()).await?;
    items.extend(page.items.iter().map(Role::from));
    Ok(Reply::page(items, page.next.map(|name| write(&Behind::Made(name)))))
}

async fn add(call: Call) -> Result<Reply, ApiError> {
    let new: NewRole = call.body()?;
    let rights = rights(&new.actions)?;
    let administration = call.administration()?;
    administration.add_role(&new.name, rights, new.description.as_deref()).await?;
    let role = administration.show_role(&new.name).await?;
    Ok(Reply::made(format!("{LIST}/{}", new.name), &Role::from(&role)))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let name = call.path("role");
    if let Some(role) = role::Role::find_built_in(&name) {
        return Ok(Reply::one(&Role::from(&role)));
    }
    Ok(Reply::one(&Role::from(&call.administration()?.show_role(&name).await?)))
}

async fn change(call: Call) -> Result<Reply, ApiError> {
    let wanted: RoleBody = call.body()?;
    let name = call.path("role");
    let rights = wanted.actions.as_deref().map(rights).transpose()?;
    let administration = call.administration()?;
    administration.adjust_role(&name, &RoleChange { rights, description: wanted.description }).await?;
    Ok(Reply::one(&Role::from(&administration.show_role(&name).await?)))
}

async fn remove(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.remove_role(&call.path("role")).await?;
    Ok(Reply::Done)
}
