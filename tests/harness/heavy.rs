//! Few at a time: tests that move hundreds of megabytes or start an engine take a permit first.
//!
//! *Invariant:* at most one heavy test runs at any moment, so that a laptop survives the run.

use tokio::sync::{Semaphore, SemaphorePermit};

static PERMITS: Semaphore = Semaphore::const_new(1);

/// Waits for the turn of a heavy test; the turn ends when the permit is dropped.
pub async fn turn() -> anyhow::Result<SemaphorePermit<'static>> {
    Ok(PERMITS.acquire().await?)
}
