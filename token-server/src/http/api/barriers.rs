//! Barriers: `/api/v1/barriers`.
//!
//! *Invariant:* a barrier is addressed by its pattern, whether its slashes are encoded or not.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use shared::repository_pattern::RepositoryPattern;
use utoipa::ToSchema;

use super::call::Call;
use super::endpoint::Endpoint;
use super::parameters::{Kind, Parameter};
use super::reply::Reply;
use super::{cursor, roles};
use crate::db::barriers::BarrierRow;
use crate::domain::error::TokenServerError;
use crate::domain::words::moment::written;
use crate::http::error::ApiError;

const LIST: &str = "/api/v1/barriers";
const ONE: &str = "/api/v1/barriers/{pattern}";

/// What stands in an address as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'*');

/// A barrier: where rights from above stop.
#[derive(Debug, Serialize, ToSchema)]
pub struct Barrier {
    /// Around what it stands: `a/b/**`.
    pub pattern: String,
    /// What does not come in from above.
    pub actions: Vec<String>,
    /// Why, in somebody's words.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// When it was put up.
    #[schema(format = DateTime)]
    pub added_at: String,
}

impl From<&BarrierRow> for Barrier {
    fn from(row: &BarrierRow) -> Self {
        Self {
            pattern: row.pattern.clone(),
            actions: roles::words(&row.rights),
            reason: row.reason.clone(),
            added_at: written(row.created_at),
        }
    }
}

/// A barrier to be put up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"pattern": "core/prod/**", "actions": ["push", "delete"]}))]
pub(super) struct NewBarrier {
    /// Around what: `a/b/**`.
    pub(super) pattern: String,
    /// What does not come in from above.
    #[schema(min_items = 1)]
    pub(super) actions: Vec<String>,
    /// Why, for whoever reads it later.
    reason: Option<String>,
}

const WITHIN: Parameter = Parameter::optional(
    "within",
    Kind::Text,
    "Only barriers that stand in this place, such as `platform/**`.",
);

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, LIST, "listBarriers", |call| list(call).boxed_local())
            .summary("Lists barriers: all, for who administers everything; those within a place, for who administers it.")
            .query(&[WITHIN])
            .page::<Barrier>(),
        Endpoint::new(Method::POST, LIST, "addBarrier", |call| add(call).boxed_local())
            .summary("Stops rights that stand above a subtree, whoever holds them.")
            .body::<NewBarrier>()
            .made::<Barrier>(),
        Endpoint::new(Method::GET, ONE, "getBarrier", |call| get(call).boxed_local())
            .summary("Shows a barrier.")
            .one::<Barrier>(),
        Endpoint::new(Method::DELETE, ONE, "removeBarrier", |call| remove(call).boxed_local())
            .summary("Lets rights from above in again.")
            .conditional(),
    ]
}

/// The pattern in the path; around what is none there is no barrier.
fn pattern(call: &Call) -> Result<RepositoryPattern, ApiError> {
    let text = call.path("pattern");
    let missing = |_| TokenServerError::NotFound { kind: "barrier around", name: text.clone() };
    Ok(RepositoryPattern::parse(&text).map_err(missing)?)
}

async fn list(call: Call) -> Result<Reply, ApiError> {
    let behind: Option<String> = cursor::read("barriers", &call.query)?;
    let within = call.query.read("within", RepositoryPattern::parse)?;
    let behind = behind.unwrap_or_default();
    let page = call.administration()?.page_of_barriers(within.as_ref(), &behind, call.query.limit()?).await?;
    let next = page.next.map(|anchor| cursor::write("barriers", &anchor));
    Ok(Reply::page(page.items.iter().map(Barrier::from).collect(), next))
}

async fn add(call: Call) -> Result<Reply, ApiError> {
    let new: NewBarrier = call.body()?;
    let pattern = RepositoryPattern::parse(&new.pattern).map_err(TokenServerError::from)?;
    let rights = roles::rights(&new.actions)?;
    let administration = call.administration()?;
    administration.add_barrier(&pattern, rights, new.reason.as_deref()).await?;
    let barrier = administration.show_barrier(&pattern).await?;
    let name = pattern.to_string();
    let address = format!("{LIST}/{}", utf8_percent_encode(&name, ENCODED));
    Ok(Reply::made(address, &Barrier::from(&barrier)))
}

async fn get(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::one(&Barrier::from(&call.administration()?.show_barrier(&pattern(&call)?).await?)))
}

async fn remove(call: Call) -> Result<Reply, ApiError> {
    call.administration()?.remove_barrier(&pattern(&call)?).await?;
    Ok(Reply::Done)
}
