//! What the database, or the way to it, said.
//!
//! *Invariant:* nothing of how Postgres is made, such as the line of its source that an error comes from, is told.

use std::error::Error;
use std::fmt;

/// An error of the driver in the words of whoever made it.
#[derive(Debug)]
pub struct Cause(sqlx::Error);

impl From<sqlx::Error> for Cause {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            sqlx::Error::Database(error) => f.write_str(error.message()),
            error => error.fmt(f),
        }
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            // It is told already.
            sqlx::Error::Database(_) => None,
            error => error.source(),
        }
    }
}
