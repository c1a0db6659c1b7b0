//! Logins that are kept, one for each device: `/api/v1/users/{user}/logins`.
//!
//! *Invariant:* a number names a login only together with its user.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::call::Call;
use super::endpoint::Endpoint;
use super::reply::Reply;
use super::{cursor, users};
use crate::db::refresh_tokens::LoginSummary;
use crate::domain::error::TokenServerError;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/users/{user}/logins";
const ONE: &str = "/api/v1/users/{user}/logins/{login}";

/// A login that a device keeps.
#[derive(Debug, Serialize, ToSchema)]
pub struct Login {
    /// Its number.
    #[schema(format = "uuid")]
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// For which registry.
    pub registry: String,
    /// What the client called itself, such as `docker`.
    pub client: String,
    /// What its program called itself.
    #[schema(required = true)]
    pub agent: Option<String>,
    /// From which address the login was made.
    #[schema(required = true)]
    pub added_from: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub added_at: String,
    /// When it was last used, within some minutes.
    #[schema(format = DateTime)]
    pub last_used_at: String,
    /// From which address that was.
    #[schema(required = true)]
    pub last_used_from: Option<String>,
    /// When it ends in any case.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

impl From<&LoginSummary> for Login {
    fn from(login: &LoginSummary) -> Self {
        Self {
            id: login.id.to_string(),
            user: login.user.clone(),
            registry: login.audience.clone(),
            client: login.client_id.clone(),
            agent: login.agent.clone(),
            added_from: login.made_from.clone(),
            added_at: written(login.created_at),
            last_used_at: written(login.last_used_at),
            last_used_from: login.last_used_from.clone(),
            expires_at: written(login.expires_at),
        }
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listLogins", |call| list(call).boxed_local())
            .summary("Lists the logins of a user that devices keep, the newest first.")
            .page::<Login>(),
        Endpoint::new(Method::GET, ONE, "getLogin", |call| get(call).boxed_local())
            .summary("Shows a login that a device keeps.")
            .one::<Login>(),
        Endpoint::new(Method::DELETE, ONE, "endLogin", |call| end(call).boxed_local())
            .summary("Ends a login that a device keeps."),
        Endpoint::new(Method::DELETE, LIST, "endLogins", |call| end_all(call).boxed_local())
            .summary("Ends all logins of a user that devices keep."),
    ]
}

fn number(call: &Call) -> Result<Uuid, ApiError> {
    let text = call.path("login");
    text.parse().map_err(|_| missing(text).into())
}

fn missing(name: String) -> TokenServerError {
    TokenServerError::NotFound { kind: "login", name }
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let mut found = call.administration()?.list_logins(&users::name(&call)?).await?;
    // By number, because that stays while the list is read, and when one was used does not.
    found.sort_unstable_by_key(|login| std::cmp::Reverse(login.id));
    let number = |login: &LoginSummary| login.id;
    cursor::page_of_numbered::<_, Login>(&call, "logins", &found, number, |one, other| one < other)
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let (user, id) = (users::name(&call)?, number(&call)?);
    let found = call.administration()?.list_logins(&user).await?;
    let found = found.iter().find(|login| login.id == id).ok_or_else(|| missing(id.to_string()))?;
    Ok(Reply::one(&Login::from(found)))
}

async fn end(call: Call) -> Result<Reply, ApiError> {
    let (user, id) = (users::name(&call)?, number(&call)?);
    call.administration()?.end_login(id, Some(&user)).await?;
    Ok(Reply::Done)
}

async fn end_all(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.end_logins(&users::name(&call)?).await?;
    Ok(Reply::Done)
}
