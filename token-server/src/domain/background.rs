//! Work that goes on beside what waits for it.
//!
//! *Invariant:* a panic there goes on in whoever waits, as if the work had been done on the spot.

use std::panic;

use tokio::task::JoinHandle;

/// Computes something where that keeps nobody else from being answered.
pub async fn computed<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(work)).await
}

/// Does something to its end, also when nobody waits any more.
pub async fn completed<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    joined(tokio::spawn(work)).await
}

async fn joined<T>(task: JoinHandle<T>) -> T {
    task.await.unwrap_or_else(|error| panic::resume_unwind(error.into_panic()))
}
