//! Postgres: one file per table, free functions that take a connection, and nothing of HTTP or of the domain.
//!
//! `find_*` returns an `Option`, `list_*` a list, `insert_*`, `update_*` and `delete_*` say what they did. Records
//! are plain rows; what they mean is decided above. Queries are checked against the schema at compile time, by the
//! metadata recorded in `.sqlx`.
//!
//! *Invariant:* every query that a request can wait for is bounded in time by the server (`statement_timeout`), and
//! waiting for a connection is bounded by [`ACQUIRE_TIMEOUT`], so that a database that is away means a quick 503 and
//! not a pile of requests.

pub mod cause;

pub mod error;

pub mod principals;

pub mod users;

pub mod identities;

pub mod mapped_teams;

pub mod scim_users;

pub mod scim_groups;

pub mod scim_secrets;

pub mod browser_sessions;

pub mod device_logins;

pub mod second_factors;

pub mod passkeys;

pub mod teams;

pub mod roles;

pub mod places;

pub mod grants;

pub mod grant_pages;

pub mod copied_grants;

pub mod barriers;

pub mod namespaces;

pub mod limit_words;

pub mod robots;

pub mod credentials;

pub mod workloads;

pub mod trust;

pub mod trust_attempts;

pub mod elevations;

pub mod policy_rows;

pub mod signing_keys;

pub mod refresh_tokens;

pub mod login_tries;

pub mod audit;

pub mod token_uses;

pub mod changes;

pub mod revocations;

pub mod dialer;

use std::str::FromStr as _;
use std::time::Duration;

use shared::secret::Secret;
use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use error::DbError;

/// Connections shared by all requests.
pub type Pool = sqlx::PgPool;

/// Several statements that happen together or not at all.
pub type Transaction = sqlx::Transaction<'static, sqlx::Postgres>;

/// One connection, for whoever must not wait for others.
pub use sqlx::PgConnection as Connection;

/// A pool or a transaction: whatever a statement can run on.
pub use sqlx::PgExecutor as Executor;

/// How long a request waits for a connection.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long one statement may take; the slowest one here needs milliseconds.
const STATEMENT_TIMEOUT: &str = "5s";

/// How long one statement waits for what others hold; less, so that it can be told from a slow database.
const LOCK_TIMEOUT: &str = "4s";

/// Creating the signing key excludes other servers by this number. ("ptok" in ASCII.)
const SIGNING_KEY_LOCK: i64 = 0x7074_6f6b;

/// Whoever changes rights excludes others by this number. ("pacl" in ASCII.)
const CHANGE_LOCK: i64 = 0x7061_636c;

/// How long a transaction may wait for its own server.
const IDLE_TIMEOUT: &str = "10s";

/// How long one statement may take of a change that is only tried out, while others wait for its end.
const TRIAL_TIMEOUT: &str = "1min";

/// How long a server that starts waits for others, which may start at the same time or change much.
const START_TIMEOUT: &str = "1min";

/// So often a migration is tried that does not get its tables within the time that every statement has for that.
const MIGRATION_TRIES: u32 = 60;

/// In between, others get at them.
const MIGRATION_PAUSE: Duration = Duration::from_secs(1);

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// How every connection is made.
fn options(url: &Secret) -> Result<PgConnectOptions, DbError> {
    let options = PgConnectOptions::from_str(url.expose()).map_err(|_| DbError::Address)?;
    Ok(options.application_name("portcullis-token-server").options([
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("lock_timeout", LOCK_TIMEOUT),
        // A server that stops in the middle of a transaction must not keep the others from what it has locked.
        ("idle_in_transaction_session_timeout", IDLE_TIMEOUT),
        // Compiling a query takes longer than any query here.
        ("jit", "off"),
        // The audit record can be written in no other, whatever the database prefers.
        ("default_transaction_isolation", "read committed"),
    ]))
}

/// Prepares a pool; connections are made when they are needed.
pub fn connect(url: &Secret, max_connections: u32) -> Result<Pool, DbError> {
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options(url)?))
}

/// Asks the database for a sign of life.
pub async fn ping(pool: &Pool) -> Result<(), DbError> {
    sqlx::query_scalar!("select 1").fetch_one(pool).await?;
    Ok(())
}

/// Brings the schema up to date. Several servers may do so at once; they take turns.
pub async fn migrate(pool: &Pool) -> Result<(), DbError> {
    // It has other limits than its siblings, so it does not go back to them.
    let mut connection = pool.acquire().await?.detach();
    // Building an index on a big table may take longer than any request should.
    sqlx::query("set statement_timeout = 0").execute(&mut connection).await?;
    let mut tries = 0;
    loop {
        tries += 1;
        match MIGRATIONS.run(&mut connection).await.map_err(DbError::from) {
            // Whoever waits for a table that a backup reads keeps everybody else from it.
            Err(DbError::Locked(_)) if tries < MIGRATION_TRIES => tokio::time::sleep(MIGRATION_PAUSE).await,
            outcome => return outcome,
        }
    }
}

/// How many migrations of this release the database has not seen.
pub async fn pending_migrations(pool: &Pool) -> Result<usize, DbError> {
    let exists = sqlx::query_scalar!(r#"select to_regclass('_sqlx_migrations') is not null as "exists!""#);
    if !exists.fetch_one(pool).await? {
        return Ok(MIGRATIONS.iter().count());
    }
    // Not checked at compile time: the table is the migration library's own.
    let applied: Vec<i64> =
        sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(pool).await?;
    Ok(MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)).count())
}

/// Begins a transaction.
pub async fn begin(pool: &Pool) -> Result<Transaction, DbError> {
    Ok(pool.begin().await?)
}

/// Begins a transaction that changes who may do what; others that do so wait for its end.
pub async fn begin_change(pool: &Pool) -> Result<Transaction, DbError> {
    let mut transaction = pool.begin().await?;
    take_turn(&mut transaction).await?;
    Ok(transaction)
}

/// The same for a server that starts, which waits longer for its turn than a request may.
pub async fn begin_change_at_start(pool: &Pool) -> Result<Transaction, DbError> {
    let mut transaction = pool.begin().await?;
    for limit in ["lock_timeout", "statement_timeout"] {
        allow(&mut transaction, limit, START_TIMEOUT).await?;
    }
    take_turn(&mut transaction).await?;
    Ok(transaction)
}

async fn take_turn(transaction: &mut Connection) -> Result<(), DbError> {
    sqlx::query!("select pg_advisory_xact_lock($1)", CHANGE_LOCK).execute(transaction).await?;
    Ok(())
}

/// Sets another limit until the transaction ends.
async fn allow(transaction: &mut Connection, limit: &str, time: &str) -> Result<(), DbError> {
    sqlx::query("select set_config($1, $2, true)").bind(limit).bind(time).execute(transaction).await?;
    Ok(())
}

/// Begins a transaction that sees the database as it is now until it ends, and changes nothing: for several short
/// queries that must fit together.
pub async fn begin_view(pool: &Pool) -> Result<Transaction, DbError> {
    Ok(pool.begin_with(BEGIN_SNAPSHOT).await?)
}

/// Begins a transaction that sees the database as it is now until it ends, and changes nothing. It is for commands that
/// look through whole tables, so its queries may take their time.
pub async fn begin_snapshot(pool: &Pool) -> Result<Transaction, DbError> {
    let mut transaction = pool.begin_with(BEGIN_SNAPSHOT).await?;
    take_time(&mut transaction).await?;
    Ok(transaction)
}

/// Begins a change that is undone in the end; others wait for it as for any change, so nothing is otherwise meanwhile.
pub async fn begin_trial(pool: &Pool) -> Result<Transaction, DbError> {
    let mut transaction = begin_change(pool).await?;
    for limit in ["statement_timeout", "idle_in_transaction_session_timeout"] {
        allow(&mut transaction, limit, TRIAL_TIMEOUT).await?;
    }
    Ok(transaction)
}

/// Ends a transaction and undoes what it did.
pub async fn undo(transaction: Transaction) -> Result<(), DbError> {
    Ok(transaction.rollback().await?)
}

/// The same on one connection.
pub async fn begin_snapshot_on(
    connection: &mut Connection,
) -> Result<sqlx::Transaction<'_, sqlx::Postgres>, DbError> {
    let mut transaction = connection.begin_with(BEGIN_SNAPSHOT).await?;
    take_time(&mut transaction).await?;
    Ok(transaction)
}

const BEGIN_SNAPSHOT: &str = "begin transaction isolation level repeatable read, read only";

async fn take_time(transaction: &mut Connection) -> Result<(), DbError> {
    sqlx::query("set local statement_timeout = 0").execute(&mut *transaction).await?;
    // Whoever reads what is printed may take a break.
    sqlx::query("set local idle_in_transaction_session_timeout = 0").execute(&mut *transaction).await?;
    Ok(())
}

/// Ends a transaction and keeps what it did; dropping one undoes it.
pub async fn commit(transaction: sqlx::Transaction<'_, sqlx::Postgres>) -> Result<(), DbError> {
    Ok(transaction.commit().await?)
}
