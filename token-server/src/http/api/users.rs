//! Users: `/api/v1/users`.
//!
//! *Invariant:* a password is taken and never given; what a user may be asked to become is a closed list of members.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use shared::secret::Secret;
use utoipa::ToSchema;

use super::call::Call;
use super::cursor;
use super::endpoint::Endpoint;
use super::reply::Reply;
use crate::db::users::UserSummary;
use crate::domain::error::TokenServerError;
use crate::domain::login::password::NewPassword;
use crate::domain::principal_name::PrincipalName;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/users";
const ONE: &str = "/api/v1/users/{user}";

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub struct User {
    /// The name, in lower case.
    pub name: String,
    /// Since when logins are refused; `null` for who can log in.
    #[schema(required = true, format = DateTime)]
    pub disabled_at: Option<String>,
    /// When the user was added.
    #[schema(format = DateTime)]
    pub added_at: String,
    /// Names of the teams that the user is in directly, in order.
    pub teams: Vec<String>,
}

impl From<&UserSummary> for User {
    fn from(user: &UserSummary) -> Self {
        Self {
            name: user.name.clone(),
            disabled_at: user.disabled_at.map(written),
            added_at: written(user.created_at),
            teams: user.teams.clone(),
        }
    }
}

/// A user to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "ann", "password": "a first password"}))]
struct NewUser {
    /// Up to 63 letters, digits, dots, dashes and underscores.
    #[schema(min_length = 1, max_length = 63)]
    name: String,
    /// At least 8 characters and at most 1024 bytes; without one, the user logs in elsewhere only.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
}

/// What a user is to become.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"disabled": false}))]
struct UserChange {
    /// Whether logins are refused.
    disabled: bool,
}

/// Another password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "another password"}))]
pub(super) struct PasswordChange {
    /// At least 8 characters and at most 1024 bytes.
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listUsers", |call| list(call).boxed_local())
            .summary("Lists users by name: all, for whoever administers something; otherwise oneself.")
            .page::<User>(),
        Endpoint::new(Method::POST, LIST, "addUser", |call| add(call).boxed_local())
            .summary("Adds a user without any right.")
            .body::<NewUser>()
            .made::<User>(),
        Endpoint::new(Method::GET, ONE, "getUser", |call| get(call).boxed_local())
            .summary("Shows a user.")
            .one::<User>(),
        Endpoint::new(Method::PATCH, ONE, "changeUser", |call| change(call).boxed_local())
            .summary("Disables a user, which ends all logins, or allows logins again.")
            .body::<UserChange>()
            .one::<User>()
            .conditional(),
        Endpoint::new(Method::PUT, "/api/v1/users/{user}/password", "setUserPassword", |call| {
            set_password(call).boxed_local()
        })
        .summary("Sets another password for a user and ends all logins made with the old one.")
        .body::<PasswordChange>()
        .conditional(),
        Endpoint::new(Method::DELETE, "/api/v1/users/{user}/second-factors", "removeSecondFactors", |call| {
            remove_second_factors(call).boxed_local()
        })
        .summary("Takes all second factors of a user away who has lost them, and signs the user out of all browsers."),
    ]
}

/// The name in the path; one that nobody can have is not there.
pub(super) fn name(call: &Call) -> Result<PrincipalName, ApiError> {
    let text = call.path("user");
    PrincipalName::parse(&text).map_err(|_| TokenServerError::NotFound { kind: "user", name: text }.into())
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let behind: Option<String> = cursor::read("users", &call.query)?;
    let behind = behind.unwrap_or_default();
    let page = call.administration()?.page_of_users(&behind, call.query.limit()?).await?;
    let next = page.next.map(|name| cursor::write("users", &name));
    Ok(Reply::page(page.items.iter().map(User::from).collect(), next))
}

async fn add(call: Call) -> Result<Reply, ApiError> {
    let new: NewUser = call.body()?;
    let name = PrincipalName::parse_new(&new.name).map_err(TokenServerError::from)?;
    let password = new.password.map(NewPassword::parse).transpose().map_err(TokenServerError::from)?;
    let administration = call.administration()?;
    administration.add_user(&name, password.as_ref()).await?;
    let user = administration.show_user(&name).await?;
    Ok(Reply::made(format!("{LIST}/{name}"), &User::from(&user)))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let user = call.administration()?.show_user(&name(&call)?).await?;
    Ok(Reply::one(&User::from(&user)))
}

async fn change(call: Call) -> Result<Reply, ApiError> {
    let (name, wanted): (_, UserChange) = (name(&call)?, call.body()?);
    let administration = call.administration()?;
    if wanted.disabled {
        administration.disable_user(&name).await?;
    } else {
        administration.enable_user(&name).await?;
    }
    Ok(Reply::one(&User::from(&administration.show_user(&name).await?)))
}

async fn remove_second_factors(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.remove_second_factors(&name(&call)?).await?;
    Ok(Reply::Done)
}

async fn set_password(call: Call) -> Result<Reply, ApiError> {
    let (name, wanted): (_, PasswordChange) = (name(&call)?, call.body()?);
    let password = NewPassword::parse(wanted.password).map_err(TokenServerError::from)?;
    call.administration()?.set_password(&name, &password).await?;
    Ok(Reply::Done)
}
