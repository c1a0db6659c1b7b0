//! The description of the API, made from its addresses: `/api/v1/openapi.json` and `/api/v1/docs`.
//!
//! *Invariant:* it describes exactly the addresses there are, because both are made from the same list.
//!
//! Spec: `OpenAPI` 3.1.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY};
use futures_util::FutureExt as _;
use futures_util::future::ready;
use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, OpenApiVersion, Paths,
    Ref, RefOr, Required, Response, ResponseBuilder, Schema, SecurityRequirement,
};

use super::Resource;
use super::call::Call;
use super::endpoint::{Access, Content, Described, Endpoint};
use super::manual;
use super::media_type::Format;
use super::reply::Reply;
use crate::http::problem::{PROBLEM, Problem};

const LOGIN: &str = "password";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

const ABOUT: &str = "\
What the command line of the token server does, for people with rights of their own. Log in with HTTP Basic: a user \
name and a password, or the name of a robot and one of its secrets. What you may see and change is decided by the rights you hold; what you may not see is answered \
like what does not exist.

Bodies are JSON objects with the type `application/json`; a policy may be sent in YAML with the type \
`application/yaml` instead, and is given so to who asks for that with `Accept`. Unknown members and unknown parameters \
are refused. Lists come in pages: while `next_cursor` is not `null`, ask again with it as `cursor`; a page can hold \
fewer items than `limit` although there is more. One thing carries an `ETag`: send it as `If-None-Match` to be told \
that nothing changed (304), or as `If-Match` with a change to make it only if nothing did (412). Times are RFC 3339. \
Refusals are problem details (RFC 9457) whose `code` stays the same and whose `detail` is a sentence for people.";

/// The description, ready to be sent.
#[derive(Clone, Debug)]
pub struct Documents {
    json: Arc<str>,
    html: Arc<str>,
    policy: Arc<str>,
}

impl Documents {
    /// Makes it from the addresses.
    pub fn build() -> Self {
        let document = describe();
        let value = serde_json::to_value(&document).expect("a description is plain data");
        let (html, policy) = manual::page(&value);
        let json = serde_json::to_string(&document).expect("a description is plain data");
        Self { json: json.into(), html: html.into(), policy: policy.into() }
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/api/v1/openapi.json", "getOpenApi", |call| {
            ready(Ok(json(&call))).boxed_local()
        })
        .summary("This description, for programs.")
        .text(JSON)
        .open(),
        Endpoint::new(Method::GET, "/api/v1/docs", "getDocs", |call| ready(Ok(page(&call))).boxed_local())
            .summary("This description, for people.")
            .text(HTML)
            .open(),
    ]
}

fn json(call: &Call) -> Reply {
    Reply::Text(JSON, call.services.documents.json.to_string(), Vec::new())
}

fn page(call: &Call) -> Reply {
    let documents = &call.services.documents;
    let headers: Vec<(HeaderName, String)> = vec![
        (CONTENT_SECURITY_POLICY, documents.policy.to_string()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    Reply::Text(HTML, documents.html.to_string(), headers)
}

/// The whole description.
fn describe() -> OpenApi {
    let mut schemas = BTreeMap::new();
    let mut paths = Paths::new();
    keep(&mut schemas, described::<Problem<'static>>());
    for resource in Resource::ALL {
        for endpoint in resource.endpoints() {
            let operation = operation(&endpoint, resource, &mut schemas);
            paths.add_path_operation(endpoint.path, vec![http_method(&endpoint.method)], operation);
        }
    }
    let mut components = Components::new();
    components.schemas = schemas.into_iter().collect();
    let login = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
    components.add_security_scheme(LOGIN, login);
    let info = InfoBuilder::new().title("Portcullis token server").version("1").description(Some(ABOUT));
    let tags = Resource::ALL.map(|resource| TagBuilder::new().name(resource.title()).build());
    OpenApiBuilder::new()
        .openapi(OpenApiVersion::Version31)
        .info(info.build())
        .paths(paths)
        .components(Some(components))
        .tags(Some(tags))
        .build()
}

fn described<T: ToSchema>() -> Described {
    let mut others = Vec::new();
    T::schemas(&mut others);
    Described { name: T::name().into_owned(), schema: T::schema(), others }
}

/// Keeps a schema among those that are referred to by name.
fn keep(schemas: &mut BTreeMap<String, RefOr<Schema>>, described: Described) -> Ref {
    schemas.extend(described.others);
    let reference = Ref::from_schema_name(&described.name);
    schemas.insert(described.name, described.schema);
    reference
}

fn http_method(method: &Method) -> HttpMethod {
    match method.as_str() {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn operation(
    endpoint: &Endpoint,
    resource: Resource,
    schemas: &mut BTreeMap<String, RefOr<Schema>>,
) -> Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(endpoint.id))
        .summary(Some(endpoint.summary))
        .tag(resource.title());
    let text = || ObjectBuilder::new().schema_type(Type::String);
    for name in endpoint.path_names() {
        let schema = text().min_length(Some(1)).build();
        let (about, example) = path_parameter(name);
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path);
        let parameter = parameter.description(Some(about)).example(Some(example.into()));
        operation = operation.parameter(parameter.required(Required::True).schema(Some(schema)).build());
    }
    for known in &endpoint.query {
        let required = if known.is_required() { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new().name(known.name).parameter_in(ParameterIn::Query);
        let parameter = parameter.required(required).description(Some(known.about));
        let parameter = parameter.example(known.example.map(Into::into));
        operation = operation.parameter(parameter.schema(Some(known.schema())).build());
    }
    if endpoint.is_conditional {
        let parameter = ParameterBuilder::new().name("If-Match").parameter_in(ParameterIn::Header);
        let about = Some("Change it only if it still has this `ETag`.");
        let parameter = parameter.required(Required::False).description(about);
        operation = operation.parameter(parameter.schema(Some(text().build())).build());
    }
    if let Some(body) = endpoint.body.clone() {
        let content = ContentBuilder::new().schema(Some(keep(schemas, body))).build();
        let about = format!("At most {} KiB.", endpoint.max_body_bytes / 1024);
        let mut body = RequestBodyBuilder::new().required(Some(Required::True)).description(Some(about));
        for format in endpoint.formats {
            body = body.content(format.media_type(), content.clone());
        }
        operation = operation.request_body(Some(body.build()));
    }
    let success = success(endpoint, schemas);
    operation = operation.response(endpoint.status.to_string(), success);
    if let Some(about) = endpoint.makes {
        operation = operation.response("201", ResponseBuilder::new().description(about).build());
    }
    if endpoint.access == Access::Users {
        let login = SecurityRequirement::new(LOGIN, [""; 0]);
        let refused = refusal("No login, or a wrong one.");
        operation = operation.security(login).response("401", refused);
    }
    operation.response("default", refusal("A refusal; its `code` says which.")).build()
}

/// What a name in a path stands for, and what could stand there.
const fn path_parameter(name: &str) -> (&'static str, &'static str) {
    match name.as_bytes() {
        b"user" => ("The name of a user.", "ann"),
        b"team" => ("The name of a team.", "core"),
        b"member" => ("The name of a user, or `team:NAME`, `robot:OWNER/NAME` or `workload:NAME`.", "ann"),
        b"role" => ("The name of a role.", "deployer"),
        b"grant" => ("The number of a right.", "17"),
        b"namespace" => ("The name of a namespace.", "core"),
        b"owner" => ("The namespace or user that a robot belongs to.", "core"),
        b"robot" => ("The name of a robot, without its owner.", "ci"),
        b"workload" => ("The name of a workload.", "nightly"),
        b"secret" => ("The number of a secret.", "01939f00-0000-7000-8000-000000000000"),
        b"key" => ("The id of a signing key.", "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg"),
        b"elevation" => ("The number of a request.", "01939f00-0000-7000-8000-000000000000"),
        _ => ("The pattern of a barrier; slashes in it may be encoded or not.", "core/**"),
    }
}

fn refusal(about: &str) -> Response {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(about).content(PROBLEM, problem).build()
}

fn success(endpoint: &Endpoint, schemas: &mut BTreeMap<String, RefOr<Schema>>) -> Response {
    let text = || Schema::Object(ObjectBuilder::new().schema_type(Type::String).build());
    let header = |about: &str| HeaderBuilder::new().schema(Some(text())).description(Some(about)).build();
    let response = ResponseBuilder::new();
    match endpoint.content.clone() {
        Content::Nothing => response.description("Done."),
        Content::One(described) => {
            let schema = keep(schemas, described);
            let response = response
                .description(if endpoint.status == 201 { "It was made." } else { "Here it is." })
                .content(JSON, ContentBuilder::new().schema(Some(schema)).build())
                .header("ETag", header("Which version it is."));
            if endpoint.status == 201 {
                response.header("Location", header("Its address."))
            } else if endpoint.answers_yaml {
                let text = ContentBuilder::new().schema(Some(text())).build();
                response.content(Format::Yaml.media_type(), text)
            } else {
                response
            }
        }
        Content::Page(described) => {
            let items = ArrayBuilder::new().items(keep(schemas, described)).build();
            let cursor = SchemaType::from_iter([Type::String, Type::Null]);
            let page = ObjectBuilder::new()
                .property("items", items)
                .required("items")
                .property("next_cursor", ObjectBuilder::new().schema_type(cursor).build())
                .required("next_cursor")
                .build();
            response.description("A page.").content(JSON, ContentBuilder::new().schema(Some(page)).build())
        }
        Content::Lines(described) => {
            keep(schemas, described);
            response
                .description("One object a line.")
                .content("application/x-ndjson", ContentBuilder::new().schema(Some(text())).build())
        }
        Content::Text(media_type) => {
            let media_type = media_type.split(';').next().unwrap_or(media_type);
            let schema = if media_type.ends_with("json") {
                Schema::Object(ObjectBuilder::new().schema_type(Type::Object).build())
            } else {
                text()
            };
            let content = ContentBuilder::new().schema(Some(schema)).build();
            response.description("Here it is.").content(media_type, content)
        }
    }
    .build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::endpoints as all_endpoints;
    use super::*;

    fn operations(document: &Value) -> BTreeSet<(String, String)> {
        let paths = document["paths"].as_object().into_iter().flatten();
        let all = paths.flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods.map(|(method, _)| (path.clone(), method.to_uppercase())).collect::<Vec<_>>()
        });
        all.collect()
    }

    #[test]
    fn it_describes_exactly_the_addresses_there_are() {
        let document = serde_json::to_value(describe()).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let there: BTreeSet<_> = all_endpoints()
            .iter()
            .map(|endpoint| (endpoint.path.to_owned(), endpoint.method.to_string()))
            .collect();
        assert_eq!(operations(&document), there);
    }

    #[test]
    fn everything_it_refers_to_is_there() {
        let text = serde_json::to_string(&describe()).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    #[test]
    fn what_is_sent_has_no_other_members_and_what_is_answered_lacks_none() {
        let document = serde_json::to_value(describe()).unwrap();
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            let members = schema["properties"].as_object().map_or(0, serde_json::Map::len);
            let required = schema["required"].as_array().map_or(0, Vec::len);
            let is_closed = schema["additionalProperties"] == false;
            let is_word = schema["enum"].is_array();
            assert!(is_closed || is_word || members == required || name == "Problem", "{name}: {schema}");
        }
    }
}
