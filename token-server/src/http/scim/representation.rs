//! What users and groups look like.
//!
//! *Invariant:* a version stands for everything in the answer that the provider can change.
//!
//! Spec: RFC 7643 §3.1, §4.1 and §4.2.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::SCIM;
use crate::db::scim_groups::{MemberRow, ScimGroupRow};
use crate::db::scim_users::{GroupOfUser, ScimUserRow};
use crate::domain::provisioning::Kind;

/// The schema of a list.
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// The version of a user, who can be disabled here as well.
pub fn version_of_user(row: &ScimUserRow) -> String {
    let state = if row.disabled_at.is_some() { "-off" } else { "" };
    format!("W/\"{}{state}\"", row.version)
}

/// The version of a group.
pub fn version_of_group(row: &ScimGroupRow) -> String {
    format!("W/\"{}\"", row.version)
}

fn moment(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).expect("times of the database are within the years that RFC 3339 can write")
}

fn meta(kind: Kind, base: &str, id: &str, times: (OffsetDateTime, OffsetDateTime), version: &str) -> Value {
    json!({
        "resourceType": kind.name(),
        "location": format!("{base}{}/{id}", kind.path()),
        "created": moment(times.0),
        "lastModified": moment(times.1),
        "version": version,
    })
}

/// A user.
pub fn user(base: &str, row: &ScimUserRow, groups: &[GroupOfUser]) -> Map<String, Value> {
    let mut user = row.said.as_object().cloned().unwrap_or_default();
    let id = row.id.to_string();
    user.insert("schemas".to_owned(), json!([Kind::User.schema()]));
    user.insert("userName".to_owned(), json!(row.user_name));
    user.insert("active".to_owned(), json!(row.disabled_at.is_none()));
    if let Some(external) = &row.external_id {
        user.insert("externalId".to_owned(), json!(external));
    }
    let in_groups = groups.iter().filter(|group| group.user_id == row.id);
    let in_groups: Vec<Value> = in_groups
        .map(|group| {
            json!({"value": group.group_id, "display": group.display_name, "type": "direct",
                   "$ref": format!("{base}/Groups/{}", group.group_id)})
        })
        .collect();
    if !in_groups.is_empty() {
        user.insert("groups".to_owned(), Value::Array(in_groups));
    }
    let times = (row.created_at, row.changed_at);
    user.insert("meta".to_owned(), meta(Kind::User, base, &id, times, &version_of_user(row)));
    user.insert("id".to_owned(), Value::String(id));
    user
}

/// A group, with who is in it where that was looked up.
pub fn group(base: &str, row: &ScimGroupRow, members: &[MemberRow]) -> Map<String, Value> {
    let id = row.id.to_string();
    let mut group = Map::new();
    group.insert("schemas".to_owned(), json!([Kind::Group.schema()]));
    group.insert("displayName".to_owned(), json!(row.display_name));
    if let Some(external) = &row.external_id {
        group.insert("externalId".to_owned(), json!(external));
    }
    let members = members.iter().filter(|member| member.group_id == row.id);
    let members: Vec<Value> = members
        .map(|member| {
            json!({"value": member.user_id, "type": "User",
                   "$ref": format!("{base}/Users/{}", member.user_id)})
        })
        .collect();
    if !members.is_empty() {
        group.insert("members".to_owned(), Value::Array(members));
    }
    let times = (row.created_at, row.changed_at);
    group.insert("meta".to_owned(), meta(Kind::Group, base, &id, times, &version_of_group(row)));
    group.insert("id".to_owned(), Value::String(id));
    group
}

/// An answer with one thing.
pub fn one(status: StatusCode, thing: &Map<String, Value>, meta: Option<(&str, &str)>) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, SCIM)).insert_header((CACHE_CONTROL, "no-store"));
    if let Some((location, version)) = meta {
        response.insert_header((ETAG, version)).insert_header((LOCATION, location));
    }
    response.body(serde_json::to_string(thing).expect("an object of JSON"))
}

/// An answer with a page of a list.
pub fn list(total: i64, start: i64, things: &[Map<String, Value>]) -> HttpResponse {
    let body = json!({
        "schemas": [LIST],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": things.len(),
        "Resources": things,
    });
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, SCIM))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body.to_string())
}
