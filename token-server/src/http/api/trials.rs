//! Requests that try changes out, or look at all rights at once.
//!
//! *Invariant:* they take turns, and only who holds everything has one, so that nobody else keeps them from it.

use tokio::sync::OwnedSemaphorePermit;

use super::call::Call;
use super::parameters::{Kind, Parameter};
use crate::http::error::ApiError;

/// How far to look back.
pub(super) const DAYS: Parameter = Parameter::optional(
    "days",
    Kind::Number { least: 1, most: 3_650, usual: 30 },
    "Ask again for what clients asked for in so many days.",
);

/// A turn; `what` says for what, as in "exporting the policy".
pub(super) async fn turn(call: &Call, what: &'static str) -> Result<OwnedSemaphorePermit, ApiError> {
    call.administration()?.demand_administrator(what).await?;
    call.services.trials.clone().try_acquire_owned().map_err(|_| ApiError::ManyTrials)
}
