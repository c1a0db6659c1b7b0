//! Queues of tasks that wait for the same key.
//!
//! *Invariant:* a key has at most one queue at a time, which lives as long as somebody holds it or waits in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

use super::layout::Key;

/// Unused queues are thrown out when there are more than this.
const KEPT_QUEUES: usize = 1024;

/// The queues of one driver.
#[derive(Default)]
pub(super) struct Queues {
    queues: Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>,
}

impl Queues {
    /// Waits until no other task of this process holds `key`.
    pub(super) async fn wait(&self, key: &Key) -> OwnedMutexGuard<()> {
        self.queue(key).lock_owned().await
    }

    /// Does not wait; `None` while a task holds `key`.
    pub(super) fn try_now(&self, key: &Key) -> Option<OwnedMutexGuard<()>> {
        self.queue(key).try_lock_owned().ok()
    }

    fn queue(&self, key: &Key) -> Arc<tokio::sync::Mutex<()>> {
        // A panic cannot leave the map half changed, so a poisoned one is as good as any.
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(key).and_then(Weak::upgrade) {
            return queue;
        }
        if queues.len() >= KEPT_QUEUES {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = Arc::default();
        queues.insert(key.clone(), Arc::downgrade(&queue));
        queue
    }
}
