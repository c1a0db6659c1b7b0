//! Users.
//!
//! *Invariant:* what is answered is what was stored, and a user of whom the provider knows nothing is not there.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use uuid::Uuid;

use super::call::{Call, answer};
use super::representation::{list as listed, one, user, version_of_user};
use super::selection::{Selection, page};
use crate::db::scim_users::ScimUserRow;
use crate::domain::error::TokenServerError;
use crate::domain::provisioning::draft::UserDraft;
use crate::domain::provisioning::filter::attribute;
use crate::domain::provisioning::{Kind, patch as changes, search};
use crate::http::Services;
use crate::http::error::ApiError;

/// Lists them, or those that a filter finds.
pub async fn list(request: HttpRequest, services: Data<Services>) -> HttpResponse {
    answer(request, services, None, |call| list_users(call).boxed_local()).await
}

async fn list_users(call: Call) -> Result<HttpResponse, ApiError> {
    let sought = search::sought(Kind::User, call.parameter("filter")).map_err(TokenServerError::from)?;
    let ((start, count), selection) = (page(&call)?, Selection::of(&call));
    let found = call.administration.find_scim_users(&call.provider, &sought, (start - 1, count)).await?;
    let ids: Vec<Uuid> = found.rows.iter().map(|row| row.id).collect();
    let groups =
        if selection.has("groups") { call.administration.scim_groups_of(&ids).await? } else { Vec::new() };
    let users: Vec<_> = found.rows.iter().map(|row| selection.cut(user(&call.base, row, &groups))).collect();
    Ok(listed(found.total, start, &users))
}

/// One user as it is answered.
async fn shown(call: &Call, status: StatusCode, row: &ScimUserRow) -> Result<HttpResponse, ApiError> {
    let groups = call.administration.scim_groups_of(&[row.id]).await?;
    let user = Selection::of(call).cut(user(&call.base, row, &groups));
    let location = format!("{}/Users/{}", call.base, row.id);
    Ok(one(status, &user, Some((&location, &version_of_user(row)))))
}

/// Shows one.
pub async fn show(request: HttpRequest, services: Data<Services>) -> HttpResponse {
    answer(request, services, None, |call| show_user(call).boxed_local()).await
}

async fn show_user(call: Call) -> Result<HttpResponse, ApiError> {
    let row = call.administration.show_scim_user(&call.provider, call.id()).await?;
    shown(&call, StatusCode::OK, &row).await
}

/// Makes one.
pub async fn add(request: HttpRequest, services: Data<Services>, payload: Payload) -> HttpResponse {
    answer(request, services, Some(payload), |call| add_user(call).boxed_local()).await
}

async fn add_user(call: Call) -> Result<HttpResponse, ApiError> {
    let draft = UserDraft::read(&call.body).map_err(TokenServerError::from)?;
    let row = call.administration.add_scim_user(&call.provider, &draft).await?;
    shown(&call, StatusCode::CREATED, &row).await
}

/// Puts another in its place.
pub async fn replace(request: HttpRequest, services: Data<Services>, payload: Payload) -> HttpResponse {
    answer(request, services, Some(payload), |call| replace_user(call).boxed_local()).await
}

async fn replace_user(call: Call) -> Result<HttpResponse, ApiError> {
    let draft = UserDraft::read(&call.body).map_err(TokenServerError::from)?;
    let wants = call.wants();
    let is_expected = |row: &ScimUserRow| wants(&version_of_user(row));
    // Nobody is let in again because something was left out.
    let says_active = call.body.iter().any(|(key, value)| attribute(key) == "active" && !value.is_null());
    let change = |before: &UserDraft| {
        let is_active = if says_active { draft.is_active } else { before.is_active };
        Ok(UserDraft { is_active, ..draft.clone() })
    };
    let row = call.administration.change_scim_user(&call.provider, call.id(), &is_expected, &change).await?;
    shown(&call, StatusCode::OK, &row).await
}

/// Changes one.
pub async fn patch(request: HttpRequest, services: Data<Services>, payload: Payload) -> HttpResponse {
    answer(request, services, Some(payload), |call| patch_user(call).boxed_local()).await
}

async fn patch_user(call: Call) -> Result<HttpResponse, ApiError> {
    let operations = changes::operations(&call.body).map_err(TokenServerError::from)?;
    let wants = call.wants();
    let is_expected = |row: &ScimUserRow| wants(&version_of_user(row));
    let change = |user: &UserDraft| changes::apply(user, &operations);
    let row = call.administration.change_scim_user(&call.provider, call.id(), &is_expected, &change).await?;
    shown(&call, StatusCode::OK, &row).await
}

/// Removes one.
pub async fn remove(request: HttpRequest, services: Data<Services>) -> HttpResponse {
    answer(request, services, None, |call| remove_user(call).boxed_local()).await
}

async fn remove_user(call: Call) -> Result<HttpResponse, ApiError> {
    let wants = call.wants();
    let is_expected = |row: &ScimUserRow| wants(&version_of_user(row));
    call.administration.remove_scim_user(&call.provider, call.id(), &is_expected).await?;
    Ok(HttpResponse::NoContent().finish())
}
