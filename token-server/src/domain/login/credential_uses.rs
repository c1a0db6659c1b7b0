//! When credentials were last used, without a write for each login.
//!
//! *Invariant:* no login waits for it, a credential is written at most once in [`PRECISION`], and memory is bounded. A
//! server that dies loses the last seconds; with the database away they wait.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::server::causes;
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

use super::super::record::audit::Origin;
use super::opaque_token::TokenKind;
use crate::db::credentials::{self, CredentialUse};
use crate::db::error::DbError;
use crate::db::{Pool, refresh_tokens};

/// Uses within this time are one: it is what a push of many layers looks like.
pub const PRECISION: Duration = Duration::from_mins(1);

/// How often they are written.
const INTERVAL: Duration = Duration::from_secs(5);

/// So many credentials are remembered; with more, the least that is lost is when some were used.
const MAX_REMEMBERED: usize = 200_000;

/// Rows that one statement writes.
const ROWS_AT_ONCE: usize = 5_000;

#[derive(Clone, Debug)]
struct Use {
    kind: TokenKind,
    at: OffsetDateTime,
    from: Option<String>,
    is_written: bool,
}

/// Remembers uses until they are written.
#[derive(Debug, Default)]
pub struct CredentialUses {
    uses: Mutex<HashMap<Uuid, Use>>,
    stop: Notify,
}

impl CredentialUses {
    /// Notes a use, unless there was one a moment ago.
    pub fn note(&self, kind: TokenKind, id: Uuid, now: OffsetDateTime, origin: &Origin) {
        let mut uses = self.uses();
        if uses.get(&id).is_some_and(|known| now - known.at < PRECISION) {
            return;
        }
        if uses.len() >= MAX_REMEMBERED && !uses.contains_key(&id) {
            uses.retain(|_, known| !known.is_written);
        }
        if uses.len() < MAX_REMEMBERED {
            uses.insert(id, Use { kind, at: now, from: origin.address.clone(), is_written: false });
        }
    }

    /// When this server last saw it used, if it did.
    pub fn last(&self, id: Uuid) -> Option<OffsetDateTime> {
        self.uses().get(&id).map(|known| known.at)
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<Uuid, Use>> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what was not written yet; what could not be written goes on waiting.
    pub async fn write(&self, pool: &Pool) -> Result<(), DbError> {
        loop {
            let (logins, secrets) = self.unwritten();
            if logins.is_empty() && secrets.is_empty() {
                return Ok(());
            }
            credentials::update_used(pool, &secrets).await?;
            refresh_tokens::update_used(pool, &logins).await?;
            let mut uses = self.uses();
            for row in logins.iter().chain(&secrets) {
                if let Some(known) = uses.get_mut(&row.id).filter(|known| known.at == row.at) {
                    known.is_written = true;
                }
            }
        }
    }

    /// Kept logins and others.
    fn unwritten(&self) -> (Vec<CredentialUse>, Vec<CredentialUse>) {
        let uses = self.uses();
        let (mut logins, mut secrets) = (Vec::new(), Vec::new());
        for (id, known) in uses.iter().filter(|(_, known)| !known.is_written).take(ROWS_AT_ONCE) {
            let rows = if known.kind == TokenKind::Refresh { &mut logins } else { &mut secrets };
            rows.push(CredentialUse { id: *id, at: known.at, from: known.from.clone() });
        }
        (logins, secrets)
    }

    /// Writes every few seconds until it is told to stop, and then once more.
    pub async fn keep_writing(&self, pool: &Pool) {
        let mut is_failing = false;
        loop {
            let is_stopping = tokio::time::timeout(INTERVAL, self.stop.notified()).await.is_ok();
            let outcome = self.write(pool).await;
            match &outcome {
                Err(error) if !is_failing || is_stopping => {
                    let error = causes::sentence(error);
                    tracing::warn!(error, "when credentials were used could not be written; it waits");
                }
                Ok(()) if is_failing => tracing::info!("when credentials are used is written again"),
                Ok(()) | Err(_) => {}
            }
            is_failing = outcome.is_err();
            if is_stopping {
                return;
            }
        }
    }

    /// Ends [`Self::keep_writing`].
    pub fn stop(&self) {
        self.stop.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2027-01-01 00:00 UTC);

    #[test]
    fn many_uses_in_a_minute_are_one() {
        let uses = CredentialUses::default();
        let (id, origin) = (Uuid::from_u128(1), Origin::default());
        let note = |kind, id, now| uses.note(kind, id, now, &origin);
        note(TokenKind::Robot, id, NOW);
        note(TokenKind::Robot, id, NOW + PRECISION / 2);
        assert_eq!(uses.last(id), Some(NOW));
        note(TokenKind::Robot, id, NOW + PRECISION);
        note(TokenKind::Refresh, Uuid::from_u128(2), NOW);
        assert_eq!(uses.last(id), Some(NOW + PRECISION));
        let (logins, secrets) = uses.unwritten();
        assert_eq!((logins.len(), secrets.len()), (1, 1));
    }
}
