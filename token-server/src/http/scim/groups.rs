//! Groups.
//!
//! *Invariant:* members are looked up only where they are answered, and a change of one member does not read the others.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use uuid::Uuid;

use super::call::{Call, answer};
use super::representation::{group, list as listed, one, version_of_group};
use super::selection::{Selection, page};
use crate::db::scim_groups::ScimGroupRow;
use crate::domain::error::TokenServerError;
use crate::domain::provisioning::group::{GroupDraft, MemberChange};
use crate::domain::provisioning::{Kind, patch as changes, search};
use crate::http::Services;
use crate::http::error::ApiError;

/// Lists them, or those that a filter finds.
pub async fn list(request: HttpRequest, services: Data<Services>) -> HttpResponse {
    answer(request, services, None, |call| list_groups(call).boxed_local()).await
}

async fn list_groups(call: Call) -> Result<HttpResponse, ApiError> {
    let sought = search::sought(Kind::Group, call.parameter("filter")).map_err(TokenServerError::from)?;
    let ((start, count), selection) = (page(&call)?, Selection::of(&call));
    let found = call.administration.find_scim_groups(&call.provider, &sought, (start - 1, count)).await?;
    let ids: Vec<Uuid> = found.rows.iter().map(|row| row.id).collect();
    let members =
        if selection.has("members") { call.administration.scim_members_of(&ids).await? } else { Vec::new() };
    let groups: Vec<_> =
        found.rows.iter().map(|row| selection.cut(group(&call.base, row, &members))).collect();
    Ok(listed(found.total, start, &groups))
}

/// One group as it is answered.
async fn shown(call: &Call, status: StatusCode, row: &ScimGroupRow) -> Result<HttpResponse, ApiError> {
    let selection = Selection::of(call);
    let members = if selection.has("members") {
        call.administration.scim_members_of(&[row.id]).await?
    } else {
        Vec::new()
    };
    let location = format!("{}/Groups/{}", call.base, row.id);
    let group = selection.cut(group(&call.base, row, &members));
    Ok(one(status, &group, Some((&location, &version_of_group(row)))))
}

/// Shows one.
pub async fn show(request: HttpRequest, services: Data<Services>) -> HttpResponse {
    answer(request, services, None, |call| show_group(call).boxed_local()).await
}

async fn show_group(call: Call) -> Result<HttpResponse, ApiError> {
    let row = call.administration.show_scim_group(&call.provider, call.id()).await?;
    shown(&call, StatusCode::OK, &row).await
}

/// Makes one.
pub async fn add(request: HttpRequest, services: Data<Services>, payload: Payload) -> HttpResponse {
    answer(request, services, Some(payload), |call| add_group(call).boxed_local()).await
}

async fn add_group(call: Call) -> Result<HttpResponse, ApiError> {
    let (draft, members) = GroupDraft::read(&call.body).map_err(TokenServerError::from)?;
    let members = members.unwrap_or_default();
    let row = call.administration.add_scim_group(&call.provider, &draft, &members).await?;
    shown(&call, StatusCode::CREATED, &row).await
}

/// Puts another in its place; without `members`, nobody is in it.
pub async fn replace(request: HttpRequest, services: Data<Services>, payload: Payload) -> HttpResponse {
    answer(request, services, Some(payload), |call| replace_group(call).boxed_local()).await
}

async fn replace_group(call: Call) -> Result<HttpResponse, ApiError> {
    let (draft, members) = GroupDraft::read(&call.body).map_err(TokenServerError::from)?;
    let members = members.unwrap_or_default();
    let wants = call.wants();
    let is_expected = |row: &ScimGroupRow| wants(&version_of_group(row));
    let change = |_: &GroupDraft| Ok((draft.clone(), vec![MemberChange::Replace(members.clone())]));
    let row = call.administration.change_scim_group(&call.provider, call.id(), &is_expected, &change).await?;
    shown(&call, StatusCode::OK, &row).await
}

/// Changes one; what it became is answered only to whoever asks for attributes, because it can be large.
pub async fn patch(request: HttpRequest, services: Data<Services>, payload: Payload) -> HttpResponse {
    answer(request, services, Some(payload), |call| patch_group(call).boxed_local()).await
}

async fn patch_group(call: Call) -> Result<HttpResponse, ApiError> {
    let operations = changes::operations(&call.body).map_err(TokenServerError::from)?;
    let wants = call.wants();
    let is_expected = |row: &ScimGroupRow| wants(&version_of_group(row));
    let change = |group: &GroupDraft| group.apply(&operations);
    let row = call.administration.change_scim_group(&call.provider, call.id(), &is_expected, &change).await?;
    if call.parameter("attributes").is_some() {
        return shown(&call, StatusCode::OK, &row).await;
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Removes one.
pub async fn remove(request: HttpRequest, services: Data<Services>) -> HttpResponse {
    answer(request, services, None, |call| remove_group(call).boxed_local()).await
}

async fn remove_group(call: Call) -> Result<HttpResponse, ApiError> {
    let wants = call.wants();
    let is_expected = |row: &ScimGroupRow| wants(&version_of_group(row));
    call.administration.remove_scim_group(&call.provider, call.id(), &is_expected).await?;
    Ok(HttpResponse::NoContent().finish())
}
