//! Bodies, which are small here.
//!
//! *Invariant:* never more of a body is kept than the address takes, and nobody can take for ever to send them.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use super::error::ApiError;

/// More than any client of the token endpoint sends.
pub const MAX_BODY_BYTES: usize = 16 * 1024;

/// Reads a body of at most `bytes` to its end, within `limit` (zero: however long it takes).
pub async fn read(
    request: &HttpRequest,
    body: Payload,
    bytes: usize,
    limit: Duration,
) -> Result<Bytes, ApiError> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse::<u64>().ok()).is_some_and(|n| n > bytes as u64) {
        return Err(ApiError::BodyTooLarge);
    }
    if limit.is_zero() {
        return collect(body, bytes).await;
    }
    tokio::time::timeout(limit, collect(body, bytes)).await.map_err(|_| ApiError::BodyTooSlow)?
}

async fn collect(mut body: Payload, bytes: usize) -> Result<Bytes, ApiError> {
    let mut collected = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| ApiError::BodyBroken)?;
        if collected.len() + chunk.len() > bytes {
            return Err(ApiError::BodyTooLarge);
        }
        collected.extend_from_slice(&chunk);
    }
    Ok(collected.freeze())
}
