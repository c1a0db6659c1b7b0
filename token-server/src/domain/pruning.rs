//! Removing rows that no server needs any more, besides those of the audit record.
//!
//! Servers that share a database do the same at the same time without harm.
//!
//! *Invariant:* what fails holds up nothing else, and no statement removes more rows than it has time for.

use std::time::Duration;

use shared::server::causes;

use super::snapshot::revocations::KEPT;
use crate::db::error::DbError;
use crate::db::{
    Pool, changes, device_logins, login_tries, refresh_tokens, revocations, second_factors, trust_attempts,
};

/// How often it is done, beginning at the start.
const INTERVAL: Duration = Duration::from_hours(1);

/// So many changes stay in the log, for servers that were away for a moment.
const KEPT_CHANGES: i64 = 10_000;

/// An unknown identity that did not come again for so long is forgotten.
const KEPT_ATTEMPTS: Duration = Duration::from_hours(30 * 24);

/// Rows that one statement removes.
const AT_ONCE: i64 = 10_000;

#[derive(Clone, Copy)]
enum Rows {
    WrongLogins,
    Logins,
    IdentityTokens,
    Attempts,
    Devices,
    Pending,
    Revocations,
    Changes,
}

/// Removes once an hour, until it is dropped.
pub async fn keep_pruning(pool: Pool) {
    loop {
        for (rows, what) in [
            (Rows::WrongLogins, "wrong logins"),
            (Rows::Logins, "logins"),
            (Rows::IdentityTokens, "identity tokens"),
            (Rows::Attempts, "attempts of unknown identities"),
            (Rows::Devices, "programs that waited"),
            (Rows::Pending, "sign-ins that were begun"),
            (Rows::Revocations, "revocations"),
            (Rows::Changes, "changes of rights"),
        ] {
            if let Err(error) = remove_all(&pool, rows).await {
                tracing::warn!(error = causes::sentence(&error), "old {what} were not removed");
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn remove_all(pool: &Pool, rows: Rows) -> Result<(), DbError> {
    loop {
        let removed = match rows {
            Rows::WrongLogins => login_tries::delete_forgotten(pool, AT_ONCE).await?,
            Rows::Logins => refresh_tokens::delete_ended(pool, AT_ONCE).await?,
            Rows::IdentityTokens => trust_attempts::delete_useless(pool, AT_ONCE).await?,
            Rows::Attempts => {
                trust_attempts::delete_older_attempts(pool, KEPT_ATTEMPTS.as_secs_f64(), AT_ONCE).await?
            }
            Rows::Devices => device_logins::delete_ended(pool, AT_ONCE).await?,
            Rows::Pending => second_factors::delete_ended(pool, AT_ONCE).await?,
            Rows::Revocations => revocations::delete_older(pool, KEPT.as_secs_f64(), AT_ONCE).await?,
            Rows::Changes => changes::delete_older_changes(pool, KEPT_CHANGES, AT_ONCE).await?,
        };
        if removed < AT_ONCE.unsigned_abs() {
            return Ok(());
        }
    }
}
