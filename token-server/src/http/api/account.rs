//! Whoever asks: `/api/v1/account`.
//!
//! *Invariant:* it is about nobody else.

use actix_web::http::Method;
use actix_web::web;
use futures_util::FutureExt as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::Call;
use super::endpoint::Endpoint;
use super::grants::Grant;
use super::reply::Reply;
use super::users::PasswordChange;
use crate::http::account;
use crate::http::error::ApiError;

/// Most rights that are shown here.
const MAX_RIGHTS: usize = 1_000;

/// Whoever asks, and what they hold.
#[derive(Debug, Serialize, ToSchema)]
pub struct Account {
    /// The name, in lower case; of a robot `OWNER/NAME`.
    pub name: String,
    /// The stable id, as in tokens and in the audit record.
    #[schema(format = "uuid")]
    pub uid: String,
    /// The teams that one is in, directly or through others, by name.
    pub teams: Vec<String>,
    /// The rights of oneself, then of one's teams, of `authenticated` and of `everyone`, each by place.
    pub rights: Vec<Grant>,
    /// Whether these are all; `/api/v1/grants` lists those of one subject page by page.
    pub rights_complete: bool,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/api/v1/account", "getAccount", |call| get(call).boxed_local())
            .summary("Says who one is, in which teams, and with which rights.")
            .one::<Account>(),
        Endpoint::own(Method::PUT, "/api/v1/account/password", "setOwnPassword", || {
            web::put().to(account::change_password)
        })
        .summary("Sets another password for oneself and ends all logins made with the old one.")
        .body::<PasswordChange>(),
    ]
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    let (subject, administration) = (call.subject()?, call.administration()?);
    let (rights, rights_complete) = administration.own_grants(MAX_RIGHTS).await?;
    Ok(Reply::one(&Account {
        name: subject.name().to_owned(),
        uid: subject.uid().unwrap_or_default().to_string(),
        teams: administration.own_teams().await?,
        rights: rights.iter().map(Grant::from).collect(),
        rights_complete,
    }))
}
