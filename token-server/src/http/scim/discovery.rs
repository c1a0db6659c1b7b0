//! What is said about the service: what it can do, and what users and groups have.
//!
//! *Invariant:* an attribute is described exactly if it is kept and answered.
//!
//! Spec: RFC 7643 §5 to §7, RFC 7644 §4.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use serde_json::{Map, Value, json};

use super::call::{Call, answer};
use super::representation::{list, one};
use super::selection::MAX_COUNT;
use crate::domain::error::TokenServerError;
use crate::domain::provisioning::Kind;
use crate::http::Services;
use crate::http::error::ApiError;

/// Shows what a whole address says.
pub async fn show(request: HttpRequest, services: Data<Services>) -> HttpResponse {
    answer(request, services, None, |call| async move { describe(&call) }.boxed_local()).await
}

fn describe(call: &Call) -> Result<HttpResponse, ApiError> {
    let all = match call.address() {
        "/ServiceProviderConfig" => return Ok(one(StatusCode::OK, &object(service(&call.base)), None)),
        "/ResourceTypes" => resource_types(&call.base),
        _ => schemas(&call.base),
    };
    if call.parameter("filter").is_some() {
        // RFC 7644 §4: so that nobody believes that it was looked at.
        return Err(ApiError::NoFilterHere);
    }
    let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let all: Vec<_> = all.into_iter().map(object).collect();
    Ok(list(total, 1, &all))
}

/// Shows one of those.
pub async fn show_one(request: HttpRequest, services: Data<Services>) -> HttpResponse {
    answer(request, services, None, |call| async move { describe_one(&call) }.boxed_local()).await
}

fn describe_one(call: &Call) -> Result<HttpResponse, ApiError> {
    let wanted = call.name();
    let is_type = call.address().starts_with("/ResourceTypes");
    let all = if is_type { resource_types(&call.base) } else { schemas(&call.base) };
    let found = all.into_iter().find(|one| one["id"].as_str() == Some(wanted.as_str()));
    let kind = if is_type { "resource type" } else { "schema" };
    let found = found.ok_or(TokenServerError::NotFound { kind, name: wanted })?;
    Ok(one(StatusCode::OK, &object(found), None))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn service(base: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": MAX_COUNT},
        "changePassword": {"supported": false},
        "sort": {"supported": false},
        "etag": {"supported": true},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A secret of the provider, made with `token-server scim secret add`",
            "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
            "primary": true,
        }],
        "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{base}/ServiceProviderConfig")},
    })
}

fn resource_types(base: &str) -> Vec<Value> {
    let one = |kind: Kind| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": kind.name(),
            "name": kind.name(),
            "endpoint": kind.path(),
            "description": if kind == Kind::User { "People" } else { "Groups of people" },
            "schema": kind.schema(),
            "meta": {"resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/{}", kind.name())},
        })
    };
    [Kind::User, Kind::Group].map(one).into()
}

fn attribute(name: &str, kind: &str, description: &str) -> Value {
    json!({
        "name": name, "type": kind, "multiValued": false, "description": description, "required": false,
        "caseExact": false, "mutability": "readWrite", "returned": "default", "uniqueness": "none",
    })
}

/// The same with some of it otherwise.
fn with(mut attribute: Value, others: Value) -> Value {
    if let (Value::Object(attribute), Value::Object(others)) = (&mut attribute, others) {
        attribute.extend(others);
    }
    attribute
}

fn read_only(attribute: Value) -> Value {
    with(attribute, json!({"mutability": "readOnly"}))
}

fn user_attributes() -> Vec<Value> {
    let text = |name: &str, description: &str| attribute(name, "string", description);
    vec![
        with(
            text(
                "userName",
                "How the user is called at the provider; the name here is made of what is before an @",
            ),
            json!({"required": true, "uniqueness": "server"}),
        ),
        text("displayName", "How people call them"),
        with(
            attribute("name", "complex", "The parts of the name"),
            json!({"subAttributes": [
                text("formatted", "The whole name"),
                text("familyName", "The name of the family"),
                text("givenName", "The given name"),
                text("middleName", "The middle name"),
                text("honorificPrefix", "A title"),
                text("honorificSuffix", "What stands behind the name"),
            ]}),
        ),
        attribute("active", "boolean", "Whether they may log in"),
        with(
            attribute("emails", "complex", "Addresses of mail"),
            json!({"multiValued": true, "subAttributes": [
                text("value", "The address"),
                text("display", "How it is shown"),
                text("type", "What it is for"),
                attribute("primary", "boolean", "Whether it is the first choice"),
            ]}),
        ),
        read_only(with(
            attribute("groups", "complex", "The groups they are in"),
            json!({"multiValued": true, "subAttributes": [
                read_only(text("value", "The number of the group")),
                read_only(with(
                    attribute("$ref", "reference", "Where it is"),
                    json!({"referenceTypes": ["Group"]}),
                )),
                read_only(text("display", "What it is called")),
                read_only(text("type", "How they are in it")),
            ]}),
        )),
    ]
}

fn group_attributes() -> Vec<Value> {
    let text = |name: &str, description: &str| attribute(name, "string", description);
    let immutable = |attribute: Value| with(attribute, json!({"mutability": "immutable"}));
    vec![
        with(
            text("displayName", "What the group is called"),
            json!({"required": true, "uniqueness": "server"}),
        ),
        with(
            attribute("members", "complex", "Who is in it"),
            json!({"multiValued": true, "subAttributes": [
                immutable(text("value", "The number of the user")),
                immutable(with(
                    attribute("$ref", "reference", "Where they are"),
                    json!({"referenceTypes": ["User"]}),
                )),
                immutable(with(text("type", "What they are"), json!({"canonicalValues": ["User"]}))),
            ]}),
        ),
    ]
}

fn schemas(base: &str) -> Vec<Value> {
    let one = |kind: Kind, attributes: Vec<Value>| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": kind.schema(),
            "name": kind.name(),
            "description": if kind == Kind::User { "People" } else { "Groups of people" },
            "attributes": attributes,
            "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{}", kind.schema())},
        })
    };
    vec![one(Kind::User, user_attributes()), one(Kind::Group, group_attributes())]
}
