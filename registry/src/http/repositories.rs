//! Deleting a whole repository, which is not in the specification.
//!
//! *Invariant:* the answer comes when the second of the deletion is over, so that a token fetched then is newer.

use std::time::Duration;

use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpResponse, web};
use time::OffsetDateTime;

use super::access::AuthorizedOwner;
use super::error::ApiError;
use super::state::RegistryState;

/// Tokens are dated in whole seconds. Nobody waits longer for an issuer whose clock is ahead.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

pub(super) async fn delete(
    AuthorizedOwner { name, permitted }: AuthorizedOwner,
    state: web::Data<RegistryState>,
) -> Result<HttpResponse, ApiError> {
    if !state.delete_enabled {
        return Err(ApiError::DeleteDisabled);
    }
    let deleted = state.repositories.delete_repository(&name, permitted).await?;
    tracing::info!(repository.name = %name, "a repository was deleted as a whole");
    tokio::time::sleep(rest_of_second(deleted, state.clock.now())).await;
    Ok(HttpResponse::Accepted().insert_header((CONTENT_LENGTH, "0")).finish())
}

/// How long until `second` is over.
fn rest_of_second(second: i64, now: OffsetDateTime) -> Duration {
    let end = OffsetDateTime::from_unix_timestamp(second.saturating_add(1)).unwrap_or(now);
    Duration::try_from(end - now).unwrap_or_default().min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_second_is_waited_for_and_no_more() {
        let at = |milliseconds: i128| {
            OffsetDateTime::from_unix_timestamp_nanos(milliseconds * 1_000_000).expect("a time")
        };
        assert_eq!(rest_of_second(1000, at(1_000_250)), Duration::from_millis(750));
        assert_eq!(rest_of_second(1000, at(1_001_000)), Duration::ZERO);
        assert_eq!(rest_of_second(1000, at(2_000_000)), Duration::ZERO);
        assert_eq!(rest_of_second(5000, at(1_000_000)), LONGEST_WAIT);
        assert_eq!(rest_of_second(i64::MAX, at(1_000_000)), Duration::ZERO, "no such time");
    }
}
