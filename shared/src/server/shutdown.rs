//! When to stop: the first signal drains, the second one does not wait. SIGHUP, which many servers take as a wish to
//! read their files again, must not stop anything: ours are read again by themselves.
//!
//! *Invariant:* a request that was accepted before the first signal may finish within the drain time.

use tokio::sync::watch;

/// How far stopping has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Draining,
    Now,
}

/// A request to stop, shared by everything that must hear of it.
#[derive(Clone, Debug)]
pub struct Shutdown {
    stage: watch::Sender<Stage>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { stage: watch::Sender::new(Stage::Running) }
    }
}

impl Shutdown {
    /// Asks to stop: gently the first time, at once the second time.
    pub fn request(&self) {
        self.stage.send_modify(|stage| {
            *stage = if *stage == Stage::Running { Stage::Draining } else { Stage::Now };
        });
    }

    /// Whether stopping has begun.
    pub fn is_requested(&self) -> bool {
        *self.stage.borrow() > Stage::Running
    }

    /// Waits for the first request.
    pub async fn requested(&self) {
        self.reached(Stage::Draining).await;
    }

    /// Waits for the second request.
    pub async fn requested_twice(&self) {
        self.reached(Stage::Now).await;
    }

    async fn reached(&self, wanted: Stage) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.stage.subscribe().wait_for(|stage| *stage >= wanted).await;
    }

    /// Turns SIGTERM and SIGINT into requests, for as long as the runtime lives, and answers SIGHUP with a sentence.
    pub fn on_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = hangup.recv() => {
                        tracing::info!(
                            "SIGHUP has no effect: changed certificates and keys are read within seconds, other \
                             settings at the next start"
                        );
                        continue;
                    }
                }
                shutdown.request();
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_request_drains_and_the_second_stops() {
        let shutdown = Shutdown::default();
        assert!(!shutdown.is_requested());
        shutdown.request();
        shutdown.requested().await;
        let twice = shutdown.requested_twice();
        tokio::pin!(twice);
        assert!(futures_util::poll!(&mut twice).is_pending());
        shutdown.request();
        twice.await;
    }
}
