//! The gate in front of slow hashes: only a few run at once, a bounded number waits, and the rest is told to come
//! back; everything else the server does stays quick meanwhile.
//!
//! *Invariant:* a place belongs to the work and not to whoever waits for it, so a client that goes away does not make
//! room while its check still runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// More logins at once than the server wants to queue.
    #[error("too many logins at once")]
    Busy,
    /// The work ended without a result.
    #[error("password hashing failed")]
    Failed,
}

/// How often the slow hash was computed so far; tests assert on work with it.
#[derive(Clone, Debug, Default)]
pub struct HashRuns(Arc<AtomicU64>);

impl HashRuns {
    /// Counts a computation that is about to begin.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Their number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Lets slow work run, a little at a time.
#[derive(Debug)]
pub struct HashingGate {
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
    runs: HashRuns,
}

impl HashingGate {
    /// How many wait where nothing else is said.
    pub const DEFAULT_QUEUE: usize = 64;

    /// Lets `concurrency` runs happen at once and `queue` more wait.
    pub fn new(concurrency: usize, queue: usize) -> Self {
        let concurrency = concurrency.max(1);
        Self {
            admitted: Arc::new(Semaphore::new(concurrency + queue)),
            running: Arc::new(Semaphore::new(concurrency)),
            runs: HashRuns::default(),
        }
    }

    /// Half of this machine's cores, so that everything that is not a login stays quick.
    pub fn default_concurrency() -> usize {
        available_parallelism().map_or(1, |cores| cores.get() / 2).max(1)
    }

    /// The hashes computed behind this gate.
    pub fn runs(&self) -> &HashRuns {
        &self.runs
    }

    /// Runs work that computes slow hashes, and counts each before it begins.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&HashRuns) -> T + Send + 'static,
    ) -> Result<T, GateError> {
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| GateError::Busy)?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| GateError::Failed)?;
        let runs = self.runs.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _places = (admitted, running);
            work(&runs)
        });
        task.await.map_err(|_| GateError::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn more_than_the_queue_holds_is_turned_away_at_once() {
        let gate = HashingGate::new(1, 1);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let first = gate.run(move |_| {
            let _ = held.recv();
            1
        });
        let third = async {
            let outcome = gate.run(|_| 3).await;
            drop(release);
            outcome
        };
        let (first, second, third) = tokio::join!(first, gate.run(|_| 2), third);
        assert_eq!((first, second, third), (Ok(1), Ok(2), Err(GateError::Busy)));
        assert_eq!(gate.run(|_| 4).await, Ok(4), "places are given back");
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_place_back() {
        let gate = HashingGate::new(1, 0);
        assert_eq!(gate.run(|_| panic!("of a test")).await, Err::<(), _>(GateError::Failed));
        assert_eq!(gate.run(|_| 1).await, Ok(1));
    }

    #[tokio::test]
    async fn whoever_goes_away_makes_no_room_while_the_work_runs() {
        let gate = HashingGate::new(1, 0);
        let (started, has_started) = std::sync::mpsc::channel();
        let (finish, may_finish) = std::sync::mpsc::channel();
        let work = gate.run(move |runs| {
            runs.count();
            started.send(()).expect("the test waits");
            may_finish.recv().expect("the test says so");
        });
        {
            tokio::pin!(work);
            assert!(futures_util::poll!(&mut work).is_pending());
            has_started.recv().expect("the work runs");
        }
        assert_eq!(gate.runs().get(), 1);
        assert_eq!(gate.run(|_| ()).await, Err(GateError::Busy));
        finish.send(()).expect("the work waits");
        while gate.run(|_| ()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}
