//! Blocking calls, a bounded number at a time.
//!
//! *Invariant:* a permit is given back when the blocking call has really ended, not when somebody stopped waiting for
//! it, so dropped requests cannot pile up threads.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::storage::error::StorageError;

/// Where blocking calls run.
#[derive(Clone)]
pub(super) struct Pool {
    permits: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new(max_threads: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(max_threads)) }
    }

    /// Waits for a thread and for the work to be done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StorageError::Stopped)?;
        finished(spawn(permit, work).await)
    }

    /// Starts work at once if a thread is free, otherwise hands it back.
    pub(super) fn try_start<T: Send + 'static, F>(&self, work: F) -> Result<JoinHandle<T>, F>
    where
        F: FnOnce() -> T + Send + 'static,
    {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Ok(spawn(permit, work)),
            Err(_) => Err(work),
        }
    }
}

fn spawn<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    })
}

/// The result of started work; a panic in it goes on here.
pub(super) fn finished<T>(
    outcome: Result<Result<T, StorageError>, tokio::task::JoinError>,
) -> Result<T, StorageError> {
    match outcome {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StorageError::Stopped),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_more_calls_run_at_a_time_than_allowed() {
        let pool = Pool::new(3);
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let calls = (0..40).map(|_| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            pool.run(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            })
        });
        futures_util::future::try_join_all(calls).await.expect("nothing fails");
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn a_dropped_caller_does_not_free_the_thread_it_still_uses() {
        let pool = Pool::new(1);
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let started =
            pool.try_start(move || wait.recv().is_ok()).unwrap_or_else(|_| panic!("a thread is free"));
        assert!(pool.try_start(|| ()).is_err(), "the only thread is busy");
        release.send(()).expect("the work waits");
        assert!(started.await.expect("the work ends"));
        pool.run(|| Ok(())).await.expect("the thread is free again");
    }
}
