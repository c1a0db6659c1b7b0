//! Secrets that somebody found: `/api/v1/leaked-secrets`.
//!
//! *Invariant:* whoever reports a text learns whether it was a living secret, and nothing else.

use actix_web::http::Method;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use shared::secret::Secret;
use utoipa::ToSchema;

use super::call::Call;
use super::endpoint::Endpoint;
use super::reply::Reply;
use crate::domain::administration::leaks::FoundSecret;
use crate::domain::error::TokenServerError;
use crate::http::error::ApiError;

/// Most texts of one report.
const MAX_FOUND: usize = 100;

/// What a scanner found.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"secrets": [{"secret": "pcp_found", "place": "https://git.example/commit/1"}]}))]
struct Report {
    /// At most 100 texts.
    #[schema(max_items = 100)]
    secrets: Vec<Found>,
}

/// One text.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Found {
    /// What looks like a secret of this server: it begins with `pcp_`, `pcb_` or `pcr_`.
    #[schema(value_type = String, format = Password)]
    secret: Secret,
    /// Where it was found; the record keeps it.
    place: Option<String>,
}

/// What became of a report.
#[derive(Debug, Serialize, ToSchema)]
struct Verdicts {
    /// Of each text, in the order of the report, whether it was a living secret, which is revoked now.
    revoked: Vec<bool>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let run = |call| report(call).boxed_local();
    vec![
        Endpoint::new(Method::POST, "/api/v1/leaked-secrets", "reportLeakedSecrets", run)
            .summary(
                "Revokes secrets that were found where they should not be; for everybody, without a login.",
            )
            .open()
            .body::<Report>()
            .one::<Verdicts>(),
    ]
}

async fn report(call: Call) -> Result<Reply, ApiError> {
    let report: Report = call.body()?;
    if report.secrets.len() > MAX_FOUND {
        let sentence = format!("at most {MAX_FOUND} secrets can be reported at once");
        return Err(TokenServerError::Contradiction(sentence).into());
    }
    let found: Vec<_> =
        report.secrets.into_iter().map(|Found { secret, place }| FoundSecret { secret, place }).collect();
    let view = call.services.authenticator.rows().view().await;
    let administration = &call.services.administration;
    let revoked = administration.revoke_leaked(&found, Some(view), "", &call.origin()).await?;
    Ok(Reply::answer(&Verdicts { revoked }))
}
