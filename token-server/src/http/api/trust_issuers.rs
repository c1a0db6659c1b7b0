//! Issuers whose tokens say who a workload is: `/api/v1/trust/issuers`.
//!
//! *Invariant:* nothing here is secret; of keys only the public halves are taken and shown.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::call::Call;
use super::cursor;
use super::endpoint::Endpoint;
use super::reply::Reply;
use crate::db::trust::TrustIssuerRow;
use crate::domain::administration::trust::WantedIssuer;
use crate::domain::error::TokenServerError;
use crate::domain::principal_name::PrincipalName;
use crate::domain::trust::platform::Platform;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/trust/issuers";
const ONE: &str = "/api/v1/trust/issuers/{issuer}";

/// An issuer whose tokens count.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrustIssuer {
    /// What it is called here.
    pub name: String,
    /// What its tokens say in `iss`.
    pub issuer: String,
    /// What they must say in `aud`.
    pub audience: String,
    /// Whose claims these are: `generic`, `github`, `gitlab`, `kubernetes`, `buildkite` or `circleci`.
    pub platform: String,
    /// Its public keys, a JSON Web Key Set; `null` if the token server fetches them.
    #[schema(required = true, value_type = Option<Object>)]
    pub key_set: Option<Value>,
    /// Who added it; `null` for the command line of the server.
    #[schema(required = true)]
    pub added_by: Option<String>,
    /// When it was added.
    #[schema(format = DateTime)]
    pub added_at: String,
}

impl From<&TrustIssuerRow> for TrustIssuer {
    fn from(issuer: &TrustIssuerRow) -> Self {
        Self {
            name: issuer.name.clone(),
            issuer: issuer.url.clone(),
            audience: issuer.audience.clone(),
            platform: issuer.platform.clone(),
            key_set: issuer.key_set.clone(),
            added_by: issuer.created_by.clone(),
            added_at: written(issuer.created_at),
        }
    }
}

/// An issuer to be trusted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "github", "issuer": "https://token.actions.githubusercontent.com",
    "audience": "https://registry.example.com"
}))]
struct NewTrustIssuer {
    /// What it is to be called: up to 63 letters, digits, dots, dashes and underscores.
    #[schema(min_length = 1, max_length = 63)]
    name: String,
    /// What its tokens say in `iss`.
    issuer: String,
    /// What they must say in `aud`.
    audience: String,
    /// Whose claims these are; without it, what the address says.
    platform: Option<String>,
    /// Its public keys, a JSON Web Key Set, if it cannot be asked for them.
    #[schema(value_type = Option<Object>)]
    key_set: Option<Value>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listTrustIssuers", |call| list(call).boxed_local())
            .summary("Lists issuers whose tokens say who workloads are, by name.")
            .page::<TrustIssuer>(),
        Endpoint::new(Method::POST, LIST, "addTrustIssuer", |call| add(call).boxed_local())
            .summary("Trusts an issuer to say who workloads are.")
            .body::<NewTrustIssuer>()
            .made::<TrustIssuer>(),
        Endpoint::new(Method::GET, ONE, "getTrustIssuer", |call| get(call).boxed_local())
            .summary("Shows an issuer.")
            .one::<TrustIssuer>(),
        Endpoint::new(Method::DELETE, ONE, "removeTrustIssuer", |call| remove(call).boxed_local())
            .summary("Trusts an issuer no more; not while a rule names it."),
    ]
}

/// The name in the path; one that no issuer can have is not there.
fn name(call: &Call) -> Result<PrincipalName, ApiError> {
    let text = call.path("issuer");
    PrincipalName::parse(&text).map_err(|_| missing(text).into())
}

fn missing(name: String) -> TokenServerError {
    TokenServerError::NotFound { kind: "trusted issuer", name }
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let found = call.administration()?.list_trust_issuers().await?;
    cursor::page_of_named::<_, TrustIssuer>(&call, "trust-issuers", &found, |issuer| &issuer.name)
}

async fn add(call: Call) -> Result<Reply, ApiError> {
    let new: NewTrustIssuer = call.body()?;
    let name = PrincipalName::parse_new(&new.name).map_err(TokenServerError::from)?;
    let platform = new.platform.map(|word| {
        let sentence = format!("there is no platform {word:?}; those that there are: {}", words());
        Platform::parse(&word).ok_or(TokenServerError::Contradiction(sentence))
    });
    let NewTrustIssuer { issuer: url, audience, key_set, .. } = new;
    let wanted = WantedIssuer { url, audience, platform: platform.transpose()?, key_set };
    call.administration()?.add_trust_issuer(&name, &wanted).await?;
    Ok(Reply::made(format!("{LIST}/{name}"), &find(&call, &name).await?))
}

fn words() -> String {
    Platform::ALL.map(Platform::as_str).join(", ")
}

async fn find(call: &Call, name: &PrincipalName) -> Result<TrustIssuer, ApiError> {
    let found = call.administration()?.list_trust_issuers().await?;
    let found = found.iter().find(|issuer| issuer.name == name.as_str());
    Ok(found.map(TrustIssuer::from).ok_or_else(|| missing(name.to_string()))?)
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::one(&find(&call, &name(&call)?).await?))
}

async fn remove(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.remove_trust_issuer(&name(&call)?).await?;
    Ok(Reply::Done)
}
