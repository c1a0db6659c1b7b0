//! Request bodies: streamed with a stall limit, or collected up to a size.
//!
//! *Invariant:* no body is waited for longer than the stall time without a byte, and none is collected beyond its
//! limit.

use std::time::Duration;

use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::{Stream, StreamExt as _, stream};

use super::error::ApiError;
use crate::domain::error::BodyError;

/// The body as a stream that ends with an error when the client is silent for too long.
pub(super) fn stream(payload: Payload, stall: Duration) -> impl Stream<Item = Result<Bytes, BodyError>> {
    stream::unfold(Some(payload), move |payload| async move {
        let mut payload = payload?;
        let next = if stall.is_zero() {
            payload.next().await
        } else {
            match tokio::time::timeout(stall, payload.next()).await {
                Ok(next) => next,
                Err(_) => return Some((Err(BodyError::Stalled { after: stall }), None)),
            }
        };
        match next? {
            Ok(chunk) => Some((Ok(chunk), Some(payload))),
            Err(error) => Some((Err(BodyError::Broken(Box::new(error))), None)),
        }
    })
}

/// The whole body, up to `limit` bytes; nothing when it is longer.
pub(super) async fn collect(
    payload: Payload,
    limit: usize,
    stall: Duration,
) -> Result<Option<Bytes>, ApiError> {
    let chunks = stream(payload, stall);
    futures_util::pin_mut!(chunks);
    let mut collected = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(ApiError::Body)?;
        if collected.len() + chunk.len() > limit {
            return Ok(None);
        }
        collected.extend_from_slice(&chunk);
    }
    Ok(Some(collected.freeze()))
}
