//! The token server as one thing that can be built and run.
//!
//! *Invariant:* a server that was built has reached its database at the schema it needs, holds its signing keys, and
//! has its socket; what can fail at start has failed by then.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ring::rand::SystemRandom;
use shared::clock::Clock;
use shared::server::health::Health;
use shared::server::listener::{ListenError, Listener};
use shared::server::passwords::verified::VerifiedPasswords;
use shared::server::shutdown::Shutdown;
use shared::server::sockets::BoundAddress;
use tokio::sync::Semaphore;

use crate::db::dialer::Dialer;
use crate::db::error::DbError;
use crate::db::{self, Pool};
use crate::domain::account::Accounts;
use crate::domain::administration::{Administration, Parts};
use crate::domain::audit::SYSTEM;
use crate::domain::audit_repeats::AuditRepeats;
use crate::domain::audit_retention::keep_pruning;
use crate::domain::authenticate::Authenticator;
use crate::domain::docker_auth::plan::OwnSettings;
use crate::domain::error::TokenServerError;
use crate::domain::key_ring::SigningKeys;
use crate::domain::key_rotation;
use crate::domain::key_store::{self, KeyTools};
use crate::domain::opaque_token::{TokenKind, TokenMac};
use crate::domain::password::PasswordHasher;
use crate::domain::random::NoRandomness;
use crate::domain::refresh::RefreshTokens;
use crate::domain::robot_secret::RobotSecrets;
use crate::domain::row_source::RowSource;
use crate::domain::shadow::{ShadowError, ShadowRules};
use crate::domain::snapshot::follower::Follower;
use crate::domain::token_issuer::{IssuerRecords, Sources, TokenIssuer};
use crate::domain::token_uses::TokenUses;
use crate::http::api::document::Documents;
use crate::http::turns::Turns;
use crate::http::{Services, TRIALS, WHOLE_READS, routes};
use crate::settings::{DatabaseSettings, DecisionSource, Migrate, TokenServerSettings};

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The schema is older than this release.
    #[error("the database lacks {0} migrations of this release; run `token-server migrate` first")]
    NotMigrated(usize),
    /// The database, the key or the randomness failed.
    #[error(transparent)]
    Domain(#[from] TokenServerError),
    /// The rules to compare with cannot be used.
    #[error(transparent)]
    Shadow(#[from] ShadowError),
    /// The socket or the certificate failed.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

impl From<DbError> for StartError {
    fn from(error: DbError) -> Self {
        Self::Domain(error.into())
    }
}

/// Reaches the database and sees to its schema, as the settings say.
pub async fn open_database(settings: &DatabaseSettings) -> Result<Pool, StartError> {
    let pool = db::connect(&settings.url, settings.max_connections)?;
    let pending = db::pending_migrations(&pool).await?;
    if pending > 0 {
        match settings.migrate {
            Migrate::AtStart => {
                db::migrate(&pool).await?;
                tracing::info!(migrations = pending, "database schema brought up to date");
            }
            Migrate::ByCommand => return Err(StartError::NotMigrated(pending)),
        }
    }
    Ok(pool)
}

/// What an import from another token server is compared with.
pub fn own_settings(settings: &TokenServerSettings) -> OwnSettings {
    OwnSettings {
        services: settings.issuer.audiences.names().map(str::to_owned).collect(),
        issuer: settings.issuer.issuer.clone(),
        token_paths: settings.token_paths.clone(),
    }
}

/// What signing keys are handled with.
pub fn key_tools(settings: &TokenServerSettings) -> KeyTools {
    let (secret, policy) = (settings.secret.clone(), Arc::new(settings.keys.clone()));
    KeyTools { secret, random: SystemRandom::new(), policy }
}

/// How long a server that stops waits for the database to take what it has counted.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A token server with its socket bound.
pub struct TokenServer {
    listener: Listener,
    services: Services,
    token_paths: Vec<String>,
    pool: Pool,
    hasher: Arc<PasswordHasher>,
    uses: Arc<TokenUses>,
    /// What goes on beside requests until the server stops.
    chores: Vec<BoxFuture<'static, ()>>,
}

impl TokenServer {
    /// Does everything that can fail before the first request.
    pub async fn build(settings: TokenServerSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let random = SystemRandom::new();
        let shadow = settings.shadow.as_deref().map(ShadowRules::load).transpose()?.map(Arc::new);
        let pool = open_database(&settings.database).await?;
        let key_tools = key_tools(&settings);
        let keys = key_store::load_or_create_keys(&pool, &key_tools, &*clock, SYSTEM).await?;
        let keys = Arc::new(SigningKeys::new(keys));
        let listener = Listener::bind(settings.listener.clone())?;
        let passwords = settings.passwords;
        let hasher = PasswordHasher::new(passwords.concurrency, passwords.queue, random.clone());
        let hasher = Arc::new(hasher.map_err(TokenServerError::from)?);
        let verified = VerifiedPasswords::new(passwords.cache, &random)
            .map_err(|_| TokenServerError::from(NoRandomness))?;
        let refresh_tokens =
            RefreshTokens::new(TokenMac::new(TokenKind::Refresh, &settings.secret), settings.refresh);
        let repeats = Arc::new(AuditRepeats::default());
        let uses = Arc::new(TokenUses::default());
        let robot_secrets = Arc::new(RobotSecrets::new(&settings.secret));
        let authenticator = Arc::new(Authenticator::new(
            pool.clone(),
            clock.clone(),
            hasher.clone(),
            verified,
            refresh_tokens,
            robot_secrets.clone(),
            repeats.clone(),
        ));
        let accounts = Accounts::new(pool.clone(), clock.clone(), hasher.clone(), authenticator.clone());
        let administration = Administration::new(Parts {
            pool: pool.clone(),
            clock: clock.clone(),
            random: random.clone(),
            hasher: hasher.clone(),
            repeats: repeats.clone(),
            secrets: robot_secrets.clone(),
            master: settings.secret.clone(),
            key_policy: key_tools.policy.clone(),
            personal_namespaces: settings.personal_namespaces,
        });
        let mut chores = vec![
            keys.clone().keep_following(pool.clone(), key_tools.clone()).boxed(),
            key_rotation::keep_rotating(keys.clone(), pool.clone(), clock.clone(), key_tools).boxed(),
        ];
        if let Some(retention) = settings.audit_retention {
            chores.push(keep_pruning(pool.clone(), clock.clone(), retention).boxed());
        }
        if let Some(shadow) = &shadow {
            chores.push(shadow.clone().keep_following().boxed());
        }
        let rows = match settings.decisions.source {
            DecisionSource::Database => RowSource::Database(pool.clone()),
            DecisionSource::Snapshot => {
                let dialer = Dialer::new(&settings.database.url)?;
                let follower = Arc::new(Follower::load(dialer, settings.decisions.max_age).await?);
                chores.push(follower.clone().follow().boxed());
                RowSource::Snapshot(follower, pool.clone())
            }
        };
        let own_settings = Arc::new(own_settings(&settings));
        let issuer = TokenIssuer::new(
            settings.issuer,
            Sources { pool: pool.clone(), rows },
            clock,
            random,
            authenticator.clone(),
            keys.clone(),
            IssuerRecords { repeats, uses: uses.clone() },
        )
        .beside(shadow);
        let services = Services {
            issuer: Arc::new(issuer),
            accounts: Arc::new(accounts),
            authenticator,
            administration,
            keys,
            documents: Documents::build(),
            whole_reads: Arc::new(Semaphore::new(WHOLE_READS)),
            changes: Arc::new(Turns::default()),
            own_settings,
            trials: Arc::new(Semaphore::new(TRIALS)),
            body_timeout: settings.listener.stall_timeout,
        };
        Ok(Self { listener, services, token_paths: settings.token_paths, pool, hasher, uses, chores })
    }

    /// Where it is bound, with the real port.
    pub fn address(&self) -> BoundAddress {
        self.listener.address()
    }

    /// What counts password hashing; tests assert on work with it.
    pub fn password_hasher(&self) -> Arc<PasswordHasher> {
        self.hasher.clone()
    }

    /// Serves until a stop is requested and open requests are done or out of time.
    pub async fn run(self, shutdown: Shutdown) -> io::Result<()> {
        let pool = self.pool.clone();
        // The signing keys were loaded before the socket was bound, so it needs no check of its own.
        let health = Health::default().with("database", move || {
            let pool = pool.clone();
            async move { db::ping(&pool).await.map_err(|error| error.to_string()) }
        });
        let routes = routes::configure(self.services, self.token_paths);
        let chores: Vec<_> = self.chores.into_iter().map(tokio::spawn).collect();
        let (uses, pool) = (self.uses.clone(), self.pool.clone());
        let writing = tokio::spawn(async move { uses.keep_writing(&pool).await });
        let outcome = self.listener.run(health, shutdown, routes).await;
        self.uses.stop();
        if tokio::time::timeout(LAST_WRITE_TIMEOUT, writing).await.is_err() {
            tracing::warn!("the last uses of tokens were not written: the database did not answer");
        }
        for chore in chores {
            chore.abort();
        }
        self.pool.close().await;
        outcome
    }
}
