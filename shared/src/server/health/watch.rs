//! Checks that run again and again in the background, and whether they have failed often enough to matter.
//!
//! A check begins one interval after the start. One that hangs counts as a failure for every interval that passes,
//! and is not begun a second time: a file system that does not answer would otherwise collect one thread after the
//! other.
//!
//! *Invariant:* asking whether anything fails costs one read of a number, however many checks there are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;

use super::{Check, CheckFuture};

/// A check and when it matters.
#[derive(Clone)]
pub struct Watch {
    /// What operators know it by.
    pub name: String,
    /// Time between two runs.
    pub interval: Duration,
    /// So many failures in a row matter; zero and one both mean the first.
    pub threshold: u32,
    check: Check,
}

impl Watch {
    /// A check that answers with a sentence for the operator when something is wrong.
    pub fn new<F, Fut>(name: impl Into<String>, interval: Duration, threshold: u32, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let check = Arc::new(check);
        let check: Check = Arc::new(move || -> CheckFuture {
            let check = check.clone();
            Box::pin(async move { check().await.map(|()| "ok".to_owned()) })
        });
        Self { name: name.into(), interval, threshold, check }
    }
}

/// All background checks of a server.
#[derive(Default)]
pub struct Watches {
    entries: Vec<Entry>,
    failing: AtomicUsize,
}

struct Entry {
    watch: Watch,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failures: u32,
    error: Option<String>,
}

impl State {
    fn matters(&self, threshold: u32) -> bool {
        self.error.is_some() && self.failures >= threshold
    }
}

impl Entry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watches {
    /// Nothing has failed yet.
    pub fn new(watches: Vec<Watch>) -> Self {
        let entries = watches.into_iter().map(|watch| Entry { watch, state: Mutex::default() });
        Self { entries: entries.collect(), failing: AtomicUsize::new(0) }
    }

    /// Whether a check has failed often enough.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed) > 0
    }

    /// The checks that have failed often enough, and what they say.
    pub fn failures(&self) -> BTreeMap<String, String> {
        let failing = self.entries.iter().filter_map(|entry| {
            let state = entry.state();
            let error = state.error.as_ref().filter(|_| state.matters(entry.watch.threshold))?;
            Some((entry.watch.name.clone(), error.clone()))
        });
        failing.collect()
    }

    /// Runs all checks for as long as it is polled.
    pub async fn run(&self) {
        join_all(self.entries.iter().map(|entry| self.run_one(entry))).await;
    }

    async fn run_one(&self, entry: &Entry) {
        let interval = entry.watch.interval;
        loop {
            tokio::time::sleep(interval).await;
            let mut check = (entry.watch.check)();
            let outcome = loop {
                match tokio::time::timeout(interval, &mut check).await {
                    Ok(outcome) => break outcome,
                    Err(_) => self.record(entry, Err("the check does not end".into())),
                }
            };
            self.record(entry, outcome.map(drop));
        }
    }

    fn record(&self, entry: &Entry, outcome: Result<(), String>) {
        let (name, threshold) = (&entry.watch.name, entry.watch.threshold);
        let mut state = entry.state();
        let before = state.matters(threshold);
        state.failures = if outcome.is_err() { state.failures.saturating_add(1) } else { 0 };
        state.error = outcome.err();
        match (before, state.matters(threshold)) {
            (false, true) => {
                self.failing.fetch_add(1, Ordering::Relaxed);
                let error = state.error.as_deref().unwrap_or_default();
                tracing::error!(check = name, error, "a health check fails: requests are refused");
            }
            (true, false) => {
                self.failing.fetch_sub(1, Ordering::Relaxed);
                tracing::info!(check = name, "a health check is well again");
            }
            (true, true) | (false, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watches(threshold: u32) -> Watches {
        Watches::new(vec![Watch::new("disk", Duration::from_secs(1), threshold, || async { Ok(()) })])
    }

    #[test]
    fn so_many_failures_in_a_row_matter() {
        for (threshold, needed) in [(0, 1), (1, 1), (3, 3)] {
            let watches = watches(threshold);
            let entry = &watches.entries[0];
            for failure in 1..=needed + 1 {
                watches.record(entry, Err(format!("failure {failure}")));
                assert_eq!(watches.is_failing(), failure >= needed, "{failure} of {threshold}");
            }
            let expected = BTreeMap::from([("disk".to_owned(), format!("failure {}", needed + 1))]);
            assert_eq!(watches.failures(), expected);
            watches.record(entry, Ok(()));
            assert!(!watches.is_failing());
            assert!(watches.failures().is_empty());
        }
    }

    #[test]
    fn a_success_in_between_begins_anew() {
        let watches = watches(2);
        let entry = &watches.entries[0];
        for outcome in [Err("1".to_owned()), Ok(()), Err("2".to_owned())] {
            watches.record(entry, outcome);
            assert!(!watches.is_failing());
            assert!(watches.failures().is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_is_a_failure_and_is_not_begun_again() {
        let begun = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&begun);
        let check = move || {
            counter.fetch_add(1, Ordering::Relaxed);
            std::future::pending()
        };
        let watches = Watches::new(vec![Watch::new("disk", Duration::from_secs(10), 2, check)]);
        let running = watches.run();
        tokio::pin!(running);
        for (seconds, failing) in [(25, false), (10, true), (1000, true)] {
            let _ = tokio::time::timeout(Duration::from_secs(seconds), &mut running).await;
            assert_eq!(watches.is_failing(), failing);
        }
        assert_eq!(begun.load(Ordering::Relaxed), 1);
    }
}
