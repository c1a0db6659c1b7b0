//! Personal access tokens: `/api/v1/users/{user}/tokens`.
//!
//! *Invariant:* a token itself is in one answer only, that to whoever made it; a number names a token only together with
//! its user.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::call::Call;
use super::endpoint::Endpoint;
use super::limits::{Limits, NewLimits};
use super::reply::Reply;
use super::{cursor, etag, users};
use crate::db::credentials::CredentialSummary;
use crate::domain::administration::credentials::WantedCredential;
use crate::domain::error::TokenServerError;
use crate::domain::principal_name::PrincipalName;
use crate::domain::words::moment::{self, written};
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/users/{user}/tokens";
const ONE: &str = "/api/v1/users/{user}/tokens/{token}";

/// A personal access token, without what is secret of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonalToken {
    /// Its number.
    #[schema(format = "uuid")]
    pub id: String,
    /// The user who logs in with it.
    pub user: String,
    /// What it is called.
    pub name: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub added_at: String,
    /// When it was last used, within some minutes.
    #[schema(required = true, format = DateTime)]
    pub last_used_at: Option<String>,
    /// From which address that was.
    #[schema(required = true)]
    pub last_used_from: Option<String>,
    /// When it ends.
    #[schema(required = true, format = DateTime)]
    pub expires_at: Option<String>,
    /// What it is good for, of what the user holds; nothing if that is everything.
    #[schema(required = true)]
    pub limits: Option<Limits>,
}

impl From<&CredentialSummary> for PersonalToken {
    fn from(token: &CredentialSummary) -> Self {
        Self {
            id: token.id.to_string(),
            user: token.owner.clone(),
            name: token.label.clone().unwrap_or_default(),
            added_at: written(token.created_at),
            last_used_at: token.last_used_at.map(written),
            last_used_from: token.last_used_from.clone(),
            expires_at: token.expires_at.map(written),
            limits: token.limits.as_ref().map(Limits::from),
        }
    }
}

/// A token that was just made.
#[derive(Serialize, ToSchema)]
struct MadePersonalToken {
    /// What its address shows.
    #[serde(flatten)]
    shown: PersonalToken,
    /// What the user logs in with in place of the password; it is in no other answer.
    #[schema(format = Password)]
    secret: String,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "laptop"}))]
struct NewPersonalToken {
    /// What it is called; the others of the user have other names.
    name: String,
    /// When it ends; without it, as late as the server allows.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// What it is good for, of what the user holds; without it, everything.
    limits: Option<NewLimits>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listPersonalTokens", |call| list(call).boxed_local())
            .summary("Lists the personal access tokens of a user, oldest first, without what is secret of them.")
            .page::<PersonalToken>(),
        Endpoint::new(Method::POST, LIST, "addPersonalToken", |call| add(call).boxed_local())
            .summary(
                "Makes a personal access token, for the user who logs in with the password. It is in this answer and \
                 nowhere else.",
            )
            .body::<NewPersonalToken>()
            .made::<MadePersonalToken>(),
        Endpoint::new(Method::GET, ONE, "getPersonalToken", |call| get(call).boxed_local())
            .summary("Shows a personal access token without what is secret of it.")
            .one::<PersonalToken>(),
        Endpoint::new(Method::DELETE, ONE, "revokePersonalToken", |call| revoke(call).boxed_local())
            .summary("Revokes a personal access token, which ends logins with it."),
    ]
}

fn number(call: &Call) -> Result<Uuid, ApiError> {
    let text = call.path("token");
    text.parse().map_err(|_| missing(text).into())
}

fn missing(name: String) -> TokenServerError {
    TokenServerError::NotFound { kind: "personal access token", name }
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let found = call.administration()?.list_personal_tokens(&users::name(&call)?).await?;
    let number = |token: &CredentialSummary| token.id;
    cursor::page_of_numbered::<_, PersonalToken>(&call, "tokens", &found, number, |one, other| one > other)
}

async fn add(call: Call) -> Result<Reply, ApiError> {
    let (user, new): (_, NewPersonalToken) = (users::name(&call)?, call.body()?);
    let expires_at = new.expires_at.as_deref().map(moment::parse).transpose();
    let expires_at = expires_at.map_err(TokenServerError::from)?;
    let limits = new.limits.map(NewLimits::words).transpose()?.unwrap_or_default();
    let wanted = WantedCredential { label: Some(new.name), expires_at, limits };
    let made = call.administration()?.add_personal_token(&user, &wanted).await?;
    let shown = PersonalToken::from(&made.shown);
    let tag = etag::of(&shown);
    let answer = MadePersonalToken { shown, secret: made.secret.expose().to_owned() };
    Ok(Reply::made_once(format!("/api/v1/users/{user}/tokens/{}", made.shown.id), tag, &answer))
}

async fn find(call: &Call, user: &PrincipalName, id: Uuid) -> Result<CredentialSummary, ApiError> {
    let found = call.administration()?.list_personal_tokens(user).await?;
    Ok(found.into_iter().find(|token| token.id == id).ok_or_else(|| missing(id.to_string()))?)
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let (user, id) = (users::name(&call)?, number(&call)?);
    Ok(Reply::one(&PersonalToken::from(&find(&call, &user, id).await?)))
}

async fn revoke(call: Call) -> Result<Reply, ApiError> {
    let (user, id) = (users::name(&call)?, number(&call)?);
    call.administration()?.revoke_personal_token(id, Some(&user)).await?;
    Ok(Reply::Done)
}
