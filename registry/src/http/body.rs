//! Request bodies: streamed with a stall limit, or collected up to a size.
//!
//! *Invariant:* no body is waited for longer than the stall time without a byte, none is collected beyond its limit,
//! and all that are collected at a time have a limit together.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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

/// A whole body of more than this counts as large.
const SMALL_BODY_BYTES: usize = 64 * 1024;

/// So many large bodies are held at a time; with manifests of 4 MiB that is 64 MiB.
const LARGE_BODIES: usize = 16;

/// A body that is collected must be there within this time, however steadily it drips.
const COLLECT_TIMEOUT: Duration = Duration::from_mins(2);

/// The places for large bodies.
#[derive(Clone, Debug)]
pub(crate) struct LargeBodies(Arc<Semaphore>);

impl Default for LargeBodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LARGE_BODIES)))
    }
}

/// A body that was collected, with its place among the large ones.
pub(super) struct Collected {
    pub(super) bytes: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

impl LargeBodies {
    /// The whole body, up to `limit` bytes; nothing when it is longer.
    pub(super) async fn collect(
        &self,
        payload: Payload,
        limit: usize,
        stall: Duration,
    ) -> Result<Option<Collected>, ApiError> {
        let collected =
            tokio::time::timeout(COLLECT_TIMEOUT, self.collect_slowly(payload, limit, stall)).await;
        collected.unwrap_or(Err(ApiError::Body(BodyError::Stalled { after: COLLECT_TIMEOUT })))
    }

    async fn collect_slowly(
        &self,
        payload: Payload,
        limit: usize,
        stall: Duration,
    ) -> Result<Option<Collected>, ApiError> {
        let chunks = stream(payload, stall);
        futures_util::pin_mut!(chunks);
        let mut collected = BytesMut::new();
        let mut place = None;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(ApiError::Body)?;
            let size = collected.len() + chunk.len();
            if size > limit {
                return Ok(None);
            }
            if size > SMALL_BODY_BYTES && place.is_none() {
                place = self.0.clone().acquire_owned().await.ok();
            }
            collected.extend_from_slice(&chunk);
        }
        Ok(Some(Collected { bytes: collected.freeze(), _place: place }))
    }
}
