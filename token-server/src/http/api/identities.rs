//! Who users are at identity providers and in directories: `/api/v1/identities`, and people who are nobody here yet:
//! `/api/v1/pending-identities`.
//!
//! *Invariant:* somebody is linked by what a provider says never changes, not by a name.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::call::Call;
use super::cursor;
use super::endpoint::Endpoint;
use super::reply::Reply;
use crate::db::identities::{IdentityRow, PendingRow};
use crate::domain::error::TokenServerError;
use crate::domain::principal_name::PrincipalName;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/identities";
const ONE: &str = "/api/v1/identities/{identity}";
const PENDING: &str = "/api/v1/pending-identities";
const ACCEPT: &str = "/api/v1/pending-identities/{identity}/accept";

/// Who a user is elsewhere.
#[derive(Debug, Serialize, ToSchema)]
pub struct Identity {
    /// Its number.
    #[schema(format = "uuid")]
    pub id: String,
    /// The user.
    pub user: String,
    /// Under which name the provider stands in the settings.
    pub provider: String,
    /// Who says so: the address of a provider, or the name of a directory.
    pub issuer: String,
    /// What never changes there.
    pub subject: String,
    /// How they are called there.
    pub name: String,
    /// Which groups they were in when that was said last.
    pub groups: Vec<String>,
    /// When that was.
    #[schema(required = true, format = DateTime)]
    pub groups_at: Option<String>,
    /// When the user was linked.
    #[schema(format = DateTime)]
    pub added_at: String,
    /// When they last came from there.
    #[schema(required = true, format = DateTime)]
    pub last_login_at: Option<String>,
}

impl From<&IdentityRow> for Identity {
    fn from(row: &IdentityRow) -> Self {
        Self {
            id: row.id.to_string(),
            user: row.user.clone(),
            provider: row.provider.clone(),
            issuer: row.issuer.clone(),
            subject: row.subject.clone(),
            name: row.name.clone(),
            groups: row.groups.clone(),
            groups_at: row.groups_at.map(written),
            added_at: written(row.created_at),
            last_login_at: row.last_login_at.map(written),
        }
    }
}

/// Somebody who proved who they are elsewhere and is nobody here.
#[derive(Debug, Serialize, ToSchema)]
pub struct PendingIdentity {
    /// Its number.
    #[schema(format = "uuid")]
    pub id: String,
    /// Under which name the provider stands in the settings.
    pub provider: String,
    /// Who says so.
    pub issuer: String,
    /// What never changes there.
    pub subject: String,
    /// How they are called there.
    pub name: String,
    /// How people call them.
    #[schema(required = true)]
    pub display_name: Option<String>,
    /// Why they were not let in.
    pub reason: String,
    /// How often they have tried.
    pub tries: i32,
    /// When they tried first.
    #[schema(format = DateTime)]
    pub first_at: String,
    /// When they tried last.
    #[schema(format = DateTime)]
    pub last_at: String,
}

impl From<&PendingRow> for PendingIdentity {
    fn from(row: &PendingRow) -> Self {
        Self {
            id: row.id.to_string(),
            provider: row.provider.clone(),
            issuer: row.issuer.clone(),
            subject: row.subject.clone(),
            name: row.name.clone(),
            display_name: row.display_name.clone(),
            reason: row.reason.clone(),
            tries: row.tries,
            first_at: written(row.first_at),
            last_at: written(row.last_at),
        }
    }
}

/// A user who is somebody elsewhere as well.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"user": "ann", "provider": "corp", "subject": "00u1a2b3c4"}))]
struct NewIdentity {
    /// The user.
    user: String,
    /// Under which name the provider stands in the settings.
    provider: String,
    /// What never changes there.
    subject: String,
}

/// Who somebody is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"user": "ann"}))]
struct Acceptance {
    /// The user, who is added unless there; without it, a new one who is called as they are elsewhere.
    user: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listIdentities", |call| list(call).boxed_local())
            .summary("Lists who users are at identity providers and in directories.")
            .page::<Identity>(),
        Endpoint::new(Method::POST, LIST, "addIdentity", |call| add(call).boxed_local())
            .summary("Links a user to who they are at an identity provider or in a directory.")
            .body::<NewIdentity>()
            .made::<Identity>(),
        Endpoint::new(Method::GET, ONE, "getIdentity", |call| get(call).boxed_local())
            .summary("Shows who a user is elsewhere.")
            .one::<Identity>(),
        Endpoint::new(Method::DELETE, ONE, "removeIdentity", |call| remove(call).boxed_local()).summary(
            "Unlinks a user, who cannot sign in from there any more and is in no team by groups of there.",
        ),
        Endpoint::new(Method::GET, PENDING, "listPendingIdentities", |call| pending(call).boxed_local())
            .summary("Lists people who proved who they are elsewhere and are nobody here.")
            .page::<PendingIdentity>(),
        Endpoint::new(Method::POST, ACCEPT, "acceptIdentity", |call| accept(call).boxed_local())
            .summary("Makes one of them a user.")
            .body::<Acceptance>()
            .made::<Identity>(),
    ]
}

fn number(call: &Call) -> Result<Uuid, ApiError> {
    let text = call.path("identity");
    text.parse().map_err(|_| TokenServerError::NotFound { kind: "identity", name: text }.into())
}

fn user(text: &str) -> Result<PrincipalName, ApiError> {
    Ok(PrincipalName::parse(text).map_err(TokenServerError::from)?)
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let mut found = call.administration()?.list_identities(None).await?;
    found.sort_unstable_by_key(|row| row.id);
    let number = |row: &IdentityRow| row.id;
    cursor::page_of_numbered::<_, Identity>(&call, "identities", &found, number, |one, other| one > other)
}

async fn add(call: Call) -> Result<Reply, ApiError> {
    let new: NewIdentity = call.body()?;
    let made = call.administration()?.link_subject(&user(&new.user)?, &new.provider, &new.subject).await?;
    Ok(Reply::made(format!("{LIST}/{}", made.id), &Identity::from(&made)))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let found = call.administration()?.show_identity(number(&call)?).await?;
    Ok(Reply::one(&Identity::from(&found)))
}

async fn remove(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.unlink_identity(number(&call)?).await?;
    Ok(Reply::Done)
}

async fn pending(call: Call) -> Result<Reply, ApiError> {
    let mut found = call.administration()?.list_pending_identities().await?;
    // By number, because that stays while the list is read.
    found.sort_unstable_by_key(|row| std::cmp::Reverse(row.id));
    let number = |row: &PendingRow| row.id;
    cursor::page_of_numbered::<_, PendingIdentity>(
        &call,
        "pending-identities",
        &found,
        number,
        |one, other| one < other,
    )
}

async fn accept(call: Call) -> Result<Reply, ApiError> {
    let (id, wanted): (_, Acceptance) = (number(&call)?, call.body()?);
    let named = wanted.user.as_deref().map(user).transpose()?;
    let made = call.administration()?.accept_identity(id, named.as_ref()).await?;
    Ok(Reply::made(format!("{LIST}/{}", made.id), &Identity::from(&made)))
}
