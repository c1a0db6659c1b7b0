//! Connections that belong to no pool: for whoever watches the database and must not wait behind requests.
//!
//! *Invariant:* a connection that failed is not used again; making one is bounded in time like waiting for one.

use shared::secret::Secret;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use super::error::DbError;
use super::{ACQUIRE_TIMEOUT, Connection};

/// Knows how to reach the database.
#[derive(Clone)]
pub struct Dialer(PgConnectOptions);

impl Dialer {
    /// Understands the address; nothing is reached yet.
    pub fn new(url: &Secret) -> Result<Self, DbError> {
        super::options(url).map(Self)
    }

    /// Makes a connection.
    pub async fn dial(&self) -> Result<Connection, DbError> {
        let dialing = Connection::connect_with(&self.0);
        let late = |_| DbError::timed_out();
        Ok(tokio::time::timeout(ACQUIRE_TIMEOUT, dialing).await.map_err(late)??)
    }

    /// Makes a connection that hears what is said on a channel.
    pub async fn listen(&self, channel: &str) -> Result<Notices, DbError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(self.0.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(channel).await?;
        Ok(Notices(listener))
    }
}

/// What is said on a channel.
#[derive(Debug)]
pub struct Notices(PgListener);

impl Notices {
    /// Waits until something is said, or may have been said while the connection was lost.
    pub async fn wait(&mut self) -> Result<(), DbError> {
        self.0.try_recv().await?;
        Ok(())
    }
}
