//! The whole policy as one document: `/api/v1/policy`.
//!
//! *Invariant:* a document is taken as the commands take a file, and each address answers what its command prints.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::Call;
use super::endpoint::Endpoint;
use super::media_type::Format;
use super::reply::Reply;
use super::trials::{DAYS, turn};
use super::what_if::WhatIf;
use crate::domain::administration::policy::{APPLYING, EXPORTING};
use crate::domain::error::TokenServerError;
use crate::domain::policy_file::document::Document;
use crate::domain::policy_file::plan::{Plan, Step};
use crate::http::error::ApiError;

/// A document larger than this is for the command line: carrying it out keeps everybody else from changing rights for
/// many seconds.
pub(super) const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// What a document changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyChanges {
    /// What is done, in this order.
    pub steps: Vec<PolicyStep>,
    /// The robots that go with their namespaces.
    pub gone_robots: Vec<GoneRobot>,
    /// What was made by hand and the document does not speak of; it stays.
    pub by_hand: Vec<String>,
}

/// What a document would change, and what that would mean.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyPlan {
    /// What would be done.
    #[serde(flatten)]
    pub changes: PolicyChanges,
    /// What it would mean; `null` where it is about nobody.
    #[schema(required = true)]
    pub effects: Option<WhatIf>,
}

/// A robot of a namespace that is removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct GoneRobot {
    /// Its name.
    pub robot: String,
    /// How many of its secrets are still good.
    pub secrets: i64,
}

/// One change.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyStep {
    /// `add`, `adopt` (what was made by hand is kept by the document from now on), `change` or `remove`.
    pub step: String,
    /// What is there, in words; `null` for what is new.
    #[schema(required = true)]
    pub before: Option<String>,
    /// What is to be there, in words; `null` for what goes.
    #[schema(required = true)]
    pub after: Option<String>,
}

impl From<&Step> for PolicyStep {
    fn from(step: &Step) -> Self {
        let (word, before, after) = match step {
            Step::Add(thing) => ("add", None, Some(thing)),
            Step::Adopt(thing) => ("adopt", Some(thing), Some(thing)),
            Step::Change { before, after, .. } => ("change", Some(before), Some(after)),
            Step::Remove(thing) => ("remove", Some(thing), None),
        };
        let (before, after) = (before.map(ToString::to_string), after.map(ToString::to_string));
        Self { step: word.to_owned(), before, after }
    }
}

impl From<&Plan> for PolicyChanges {
    fn from(plan: &Plan) -> Self {
        let steps = plan.steps.iter().map(PolicyStep::from).collect();
        let gone = plan
            .gone_robots
            .iter()
            .map(|robot| GoneRobot { robot: robot.name.to_string(), secrets: robot.secrets });
        let by_hand = plan.by_hand.iter().map(ToString::to_string).collect();
        Self { steps, gone_robots: gone.collect(), by_hand }
    }
}

impl PolicyPlan {
    /// A plan, and what it would mean.
    pub fn new(plan: &Plan, effects: Option<WhatIf>) -> Self {
        Self { changes: PolicyChanges::from(plan), effects }
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(Method::GET, "/api/v1/policy", "exportPolicy", |call| export(call).boxed_local())
            .summary("Gives the document that says what is stored, whoever made it.")
            .one::<Document>()
            .in_yaml_too(),
        Endpoint::new(Method::POST, "/api/v1/policy/plan", "planPolicy", |call| plan(call).boxed_local())
            .summary(
                "Says what a document would change and what that would mean for people, and does nothing.",
            )
            .query(&[DAYS])
            .takes_document()
            .one::<PolicyPlan>(),
        Endpoint::new(Method::POST, "/api/v1/policy/drift", "comparePolicy", |call| {
            compare(call).boxed_local()
        })
        .summary("Says what is stored otherwise than a document says, and what it does not speak of.")
        .takes_document()
        .one::<PolicyChanges>(),
        Endpoint::new(Method::POST, "/api/v1/policy/apply", "applyPolicy", |call| apply(call).boxed_local())
            .summary("Carries a document out, as a whole or not at all, and says what was done.")
            .takes_document()
            .one::<PolicyChanges>(),
    ]
}

impl Endpoint {
    fn takes_document(self) -> Self {
        self.body::<Document>().or_yaml().up_to(MAX_DOCUMENT_BYTES)
    }
}

fn document(call: &Call) -> Result<Document, ApiError> {
    match call.text()? {
        (Format::Json, _) => {
            let document: Document = call.body()?;
            document.check_version().map_err(TokenServerError::from)?;
            Ok(document)
        }
        (Format::Yaml, text) => Ok(Document::parse(text).map_err(TokenServerError::from)?),
    }
}

async fn export(call: Call) -> Result<Reply, ApiError> {
    let _turn = turn(&call, EXPORTING).await?;
    let document = call.administration()?.export_policy().await?;
    let format = call.wanted_format();
    let body = match format {
        Format::Json => serde_json::to_vec(&document).expect("a document is plain data"),
        Format::Yaml => document.written().map_err(TokenServerError::from)?.into_bytes(),
    };
    Ok(Reply::OneAs(format, body))
}

async fn plan(call: Call) -> Result<Reply, ApiError> {
    let _turn = turn(&call, APPLYING).await?;
    let (document, days) = (document(&call)?, call.query.number(&DAYS));
    let (plan, found) = call.administration()?.plan_policy(&document, days).await?;
    let effects = found.map(|found| WhatIf::new(&found, days));
    Ok(Reply::answer(&PolicyPlan::new(&plan, effects)))
}

async fn compare(call: Call) -> Result<Reply, ApiError> {
    let _turn = turn(&call, APPLYING).await?;
    let document = document(&call)?;
    let mut plan = call.administration()?.compare_policy(&document).await?;
    // What is as the document says is no drift, whoever made it.
    plan.take_adopted();
    Ok(Reply::answer(&PolicyChanges::from(&plan)))
}

async fn apply(call: Call) -> Result<Reply, ApiError> {
    let _turn = turn(&call, APPLYING).await?;
    let document = document(&call)?;
    let done = call.administration()?.apply_policy(&document).await?;
    Ok(Reply::answer(&PolicyChanges::from(&done)))
}
