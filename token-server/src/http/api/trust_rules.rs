//! Which tokens of trusted issuers are a workload: `/api/v1/trust/rules`; and those that were none yet:
//! `/api/v1/trust/attempts`.
//!
//! *Invariant:* a rule is shown with every condition it has.

use std::collections::BTreeMap;

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::limits::TagPattern;
use shared::repository_pattern::RepositoryPattern;
use utoipa::ToSchema;
use uuid::Uuid;

use super::call::Call;
use super::cursor;
use super::endpoint::Endpoint;
use super::reply::Reply;
use crate::db::trust::TrustRuleRow;
use crate::db::trust_attempts::TrustAttemptRow;
use crate::domain::administration::trust::WantedRule;
use crate::domain::error::TokenServerError;
use crate::domain::grant::Effect;
use crate::domain::grant_spec::{GrantSpec, NamedWhat};
use crate::domain::grant_subject::GrantSubject;
use crate::domain::principal_name::PrincipalName;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const RULES: &str = "/api/v1/trust/rules";
const RULE: &str = "/api/v1/trust/rules/{workload}";
const ATTEMPTS: &str = "/api/v1/trust/attempts";
const ACCEPT: &str = "/api/v1/trust/attempts/{attempt}/accept";

/// Which tokens are a workload.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrustRule {
    /// The workload, whose name is that of the rule.
    pub workload: String,
    /// The name of the issuer.
    pub issuer: String,
    /// What its tokens must say, by claim.
    #[serde(rename = "match")]
    pub conditions: BTreeMap<String, String>,
    /// What the workload is for, in somebody's words.
    #[schema(required = true)]
    pub description: Option<String>,
    /// Since when it lets nobody in, because the workload is disabled; `null` while it does.
    #[schema(required = true, format = DateTime)]
    pub disabled_at: Option<String>,
    /// Who added it; `null` for the command line of the server.
    #[schema(required = true)]
    pub added_by: Option<String>,
    /// When it was added.
    #[schema(format = DateTime)]
    pub added_at: String,
}

impl From<&TrustRuleRow> for TrustRule {
    fn from(rule: &TrustRuleRow) -> Self {
        let conditions: Vec<(String, String)> =
            serde_json::from_value(rule.conditions.clone()).unwrap_or_default();
        Self {
            workload: rule.name.clone(),
            issuer: rule.issuer.clone(),
            conditions: conditions.into_iter().collect(),
            description: rule.description.clone(),
            disabled_at: rule.disabled_at.map(written),
            added_by: rule.created_by.clone(),
            added_at: written(rule.created_at),
        }
    }
}

/// A token that was in order and no workload.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrustAttempt {
    /// Its number.
    #[schema(format = "uuid")]
    pub id: String,
    /// The name of the issuer.
    pub issuer: String,
    /// What it said, which its issuer has signed.
    #[schema(value_type = Object)]
    pub claims: Value,
    /// Why it was no workload: `no_rule` or `rule_not_for_strangers`.
    pub reason: String,
    /// From where it came last.
    #[schema(required = true)]
    pub address: Option<String>,
    /// How often such a one came.
    pub tries: i32,
    /// When the first came.
    #[schema(format = DateTime)]
    pub first_at: String,
    /// When the last came.
    #[schema(format = DateTime)]
    pub last_at: String,
}

impl From<&TrustAttemptRow> for TrustAttempt {
    fn from(attempt: &TrustAttemptRow) -> Self {
        Self {
            id: attempt.id.to_string(),
            issuer: attempt.issuer.clone(),
            claims: attempt.claims.clone(),
            reason: attempt.reason.clone(),
            address: attempt.address.clone(),
            tries: attempt.tries,
            first_at: written(attempt.first_at),
            last_at: written(attempt.last_at),
        }
    }
}

/// A right that a workload is to have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RuleGrant {
    /// Which role.
    role: String,
    /// On which repositories; `${claim.NAME}` stands for what the token says.
    pattern: String,
    /// On which tags only.
    tags: Option<String>,
}

/// A rule to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "workload": "app", "issuer": "github", "match": {"repository_id": "123456", "ref": "refs/heads/main"},
    "grants": [{"role": "publisher", "pattern": "ci/${claim.repository}/**"}]
}))]
struct NewTrustRule {
    /// The workload, which is made unless it is there.
    #[schema(min_length = 1, max_length = 63)]
    workload: String,
    /// The name of the issuer.
    issuer: String,
    /// What its tokens must say, by claim; all of it.
    #[serde(rename = "match")]
    conditions: BTreeMap<String, String>,
    /// What the workload is for.
    description: Option<String>,
    /// What it is to hold.
    #[serde(default)]
    grants: Vec<RuleGrant>,
}

/// What the identity of an attempt is to become.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"workload": "app", "grants": [{"role": "publisher", "pattern": "ci/app/**"}]}))]
struct AcceptedAttempt {
    /// The workload, which is made unless it is there.
    #[schema(min_length = 1, max_length = 63)]
    workload: String,
    /// What it is to hold.
    #[serde(default)]
    grants: Vec<RuleGrant>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, RULES, "listTrustRules", |call| list(call).boxed_local())
            .summary("Lists which tokens of trusted issuers are which workload, by the name of that.")
            .page::<TrustRule>(),
        Endpoint::new(Method::POST, RULES, "addTrustRule", |call| add(call).boxed_local())
            .summary("Makes tokens a workload.")
            .body::<NewTrustRule>()
            .made::<TrustRule>(),
        Endpoint::new(Method::GET, RULE, "getTrustRule", |call| get(call).boxed_local())
            .summary("Shows which tokens are this workload.")
            .one::<TrustRule>(),
        Endpoint::new(Method::DELETE, RULE, "removeTrustRule", |call| remove(call).boxed_local())
            .summary("Lets a workload log in no more; it keeps its rights."),
        Endpoint::new(Method::GET, ATTEMPTS, "listTrustAttempts", |call| attempts(call).boxed_local())
            .summary("Lists tokens that were in order and no workload, the last first.")
            .page::<TrustAttempt>(),
        Endpoint::new(Method::POST, ACCEPT, "acceptTrustAttempt", |call| accept(call).boxed_local())
            .summary("Makes the identity of an attempt a workload, and no other one.")
            .body::<AcceptedAttempt>()
            .made::<TrustRule>(),
    ]
}

fn missing(name: String) -> TokenServerError {
    TokenServerError::NotFound { kind: "trust rule", name }
}

/// The name in the path; one that no workload can have is not there.
fn name(call: &Call) -> Result<PrincipalName, ApiError> {
    let text = call.path("workload");
    PrincipalName::parse(&text).map_err(|_| missing(text).into())
}

fn specs(grants: Vec<RuleGrant>, workload: &PrincipalName) -> Result<Vec<GrantSpec>, TokenServerError> {
    let spec = |grant: RuleGrant| {
        let tags = grant.tags.as_deref().map(TagPattern::parse).transpose();
        Ok(GrantSpec {
            subject: GrantSubject::Workload(workload.clone()),
            effect: Effect::Allow,
            what: NamedWhat::Role(grant.role),
            pattern: RepositoryPattern::parse(&grant.pattern)?,
            tags: tags.map_err(|error| TokenServerError::Contradiction(error.to_string()))?,
        })
    };
    grants.into_iter().map(spec).collect()
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let found = call.administration()?.list_trust_rules().await?;
    cursor::page_of_named::<_, TrustRule>(&call, "trust-rules", &found, |rule| &rule.name)
}

async fn add(call: Call) -> Result<Reply, ApiError> {
    let new: NewTrustRule = call.body()?;
    let name = PrincipalName::parse_new(&new.workload).map_err(TokenServerError::from)?;
    let wanted = WantedRule {
        conditions: new.conditions.into_iter().collect(),
        grants: specs(new.grants, &name)?,
        description: new.description,
    };
    call.administration()?.add_trust_rule(&name, &new.issuer, &wanted).await?;
    made(&call, &name).await
}

async fn made(call: &Call, name: &PrincipalName) -> Result<Reply, ApiError> {
    Ok(Reply::made(format!("{RULES}/{name}"), &find(call, name).await?))
}

async fn find(call: &Call, name: &PrincipalName) -> Result<TrustRule, ApiError> {
    let found = call.administration()?.list_trust_rules().await?;
    let found = found.iter().find(|rule| rule.name == name.as_str());
    Ok(found.map(TrustRule::from).ok_or_else(|| missing(name.to_string()))?)
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::one(&find(&call, &name(&call)?).await?))
}

async fn remove(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.remove_trust_rule(&name(&call)?).await?;
    Ok(Reply::Done)
}

async fn attempts(call: Call) -> Result<Reply, ApiError> {
    let mut found = call.administration()?.list_trust_attempts().await?;
    // Numbers begin with the time at which the first of them came.
    found.sort_unstable_by_key(|attempt| std::cmp::Reverse(attempt.id));
    let number = |attempt: &TrustAttemptRow| attempt.id;
    cursor::page_of_numbered::<_, TrustAttempt>(&call, "trust-attempts", &found, number, |one, other| {
        one < other
    })
}

async fn accept(call: Call) -> Result<Reply, ApiError> {
    let text = call.path("attempt");
    let id: Uuid =
        text.parse().map_err(|_| TokenServerError::NotFound { kind: "attempt", name: text.clone() })?;
    let accepted: AcceptedAttempt = call.body()?;
    let name = PrincipalName::parse_new(&accepted.workload).map_err(TokenServerError::from)?;
    let grants = specs(accepted.grants, &name)?;
    call.administration()?.accept_trust_attempt(id, &name, grants).await?;
    made(&call, &name).await
}
