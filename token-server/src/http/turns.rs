//! Turns at changing something.
//!
//! Only one change is made at a time, in the end: the others wait for its lock, each with a connection to the database,
//! of which token requests need the rest.
//!
//! *Invariant:* whoever waits here holds no connection, and nobody waits behind more than one change of anybody else,
//! however many somebody sends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;

/// How many may wait for the lock.
const AT_ONCE: usize = 3;

/// How long a change waits for others, as long as a statement would for its lock.
const PATIENCE: Duration = Duration::from_secs(4);

/// Lets changes in.
#[derive(Debug)]
pub struct Turns {
    all: Arc<Semaphore>,
    each: Mutex<HashMap<Uuid, Weak<Semaphore>>>,
    patience: Duration,
}

/// A change that is being made, until this is dropped.
#[derive(Debug)]
pub struct Turn {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), each: Mutex::default(), patience: PATIENCE }
    }
}

impl Turns {
    /// Waits for a turn of this caller; nothing if that takes too long.
    pub async fn take(&self, caller: Uuid) -> Option<Turn> {
        let own = self.of(caller);
        let turn = async {
            let own = own.acquire_owned().await.ok()?;
            let all = self.all.clone().acquire_owned().await.ok()?;
            Some(Turn { _all: all, _own: own })
        };
        timeout(self.patience, turn).await.ok().flatten()
    }

    fn of(&self, caller: Uuid) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = each.get(&caller).and_then(Weak::upgrade) {
            return known;
        }
        // As many are left as have something going on.
        each.retain(|_, known| known.strong_count() > 0);
        let new = Arc::new(Semaphore::new(1));
        each.insert(caller, Arc::downgrade(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_sends_many_does_not_keep_others_waiting() {
        let turns = Turns { patience: Duration::from_millis(1), ..Turns::default() };
        let (busy, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = turns.take(busy).await;
        assert!(first.is_some());
        let (second, third) = tokio::join!(turns.take(busy), turns.take(other));
        assert!(second.is_none() && third.is_some());
        drop(first);
        assert!(turns.take(busy).await.is_some());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_those_who_are_done() {
        let turns = Turns::default();
        for caller in 0..100 {
            assert!(turns.take(Uuid::from_u128(caller)).await.is_some());
        }
        assert_eq!(turns.each.lock().unwrap().len(), 1);
    }
}
