//! What can go wrong between us and Postgres.
//!
//! *Invariant:* a variant says who can help: wait ([`DbError::Unavailable`], [`DbError::Locked`]), the caller
//! ([`DbError::Conflict`]), or somebody who reads the log (the rest).

use sqlx::error::ErrorKind;

use super::cause::Cause;

/// Why a statement did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The address in the settings is not one.
    #[error("`database.url` is not an address such as postgres://user:password@host/name")]
    Address,
    /// No connection could be had, or it broke.
    #[error("the database is not reachable")]
    Unavailable(#[source] Cause),
    /// Others held what the statement needed for as long as it may wait.
    #[error("somebody else is changing the same at this moment; nothing was changed, try again")]
    Locked(#[source] Cause),
    /// A row of the same key is there already.
    #[error("conflict with {constraint}")]
    Conflict {
        /// Name of the constraint or unique index.
        constraint: String,
    },
    /// A stored value does not mean anything to this release.
    #[error("{table}.{column} holds something unusable: {value}")]
    Inconsistent {
        /// Which table.
        table: &'static str,
        /// Which column.
        column: &'static str,
        /// What stands there.
        value: String,
    },
    /// The schema could not be brought up to date.
    #[error("migration failed")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// Anything else.
    #[error("query failed")]
    Query(#[source] Cause),
}

impl DbError {
    /// That the database took too long.
    pub fn timed_out() -> Self {
        Self::from(sqlx::Error::PoolTimedOut)
    }

    /// Whether it is a conflict with that constraint.
    pub fn is_conflict_with(&self, name: &str) -> bool {
        matches!(self, Self::Conflict { constraint } if constraint == name)
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::Io(_) | E::Tls(_) => {
                Self::Unavailable(error.into())
            }
            E::Database(database) => {
                let constraint = database.constraint().unwrap_or_default().to_owned();
                let code = database.code().unwrap_or_default().into_owned();
                match database.kind() {
                    ErrorKind::UniqueViolation => Self::Conflict { constraint },
                    _ if is_transient(&code) => Self::Unavailable(error.into()),
                    _ if is_contention(&code) => Self::Locked(error.into()),
                    _ => Self::Query(error.into()),
                }
            }
            _ => Self::Query(error.into()),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for DbError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::Execute(error) => error.into(),
            error => Self::Migration(error),
        }
    }
}

/// Classes of SQLSTATE that pass by themselves: connection trouble, out of resources, operator intervention
/// (starting up, shutting down, statement cancelled).
fn is_transient(code: &str) -> bool {
    ["08", "53", "57"].iter().any(|class| code.starts_with(class))
}

/// SQLSTATE of what two transactions do to each other: a lock that was not had in time, a deadlock, a view of the
/// database that no longer holds.
fn is_contention(code: &str) -> bool {
    code.starts_with("40") || code == "55P03"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_connections_are_worth_a_retry_and_bad_statements_are_not() {
        assert!(matches!(DbError::from(sqlx::Error::PoolTimedOut), DbError::Unavailable(_)));
        assert!(matches!(DbError::from(sqlx::Error::RowNotFound), DbError::Query(_)));
        for code in ["08006", "53300", "57P01", "57P03", "57014"] {
            assert!(is_transient(code) && !is_contention(code), "{code}");
        }
        for code in ["55P03", "40P01", "40001"] {
            assert!(is_contention(code) && !is_transient(code), "{code}");
        }
        for code in ["42P01", "23505", "22001", ""] {
            assert!(!is_transient(code) && !is_contention(code), "{code}");
        }
    }
}
