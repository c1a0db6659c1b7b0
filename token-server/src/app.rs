//! The token server as one thing that can be built and run.
//!
//! *Invariant:* a server that was built has reached its database at the schema it needs, holds its signing keys, and
//! has its socket; what can fail at start has failed by then.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
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
use url::Url;

use crate::db::dialer::Dialer;
use crate::db::error::DbError;
use crate::db::{self, Pool};
use crate::domain::actor::Actor;
use crate::domain::administration::{Administration, Parts};
use crate::domain::docker_auth::plan::OwnSettings;
use crate::domain::error::TokenServerError;
use crate::domain::keys::key_ring::SigningKeys;
use crate::domain::keys::key_rotation;
use crate::domain::keys::key_store::{self, KeyTools};
use crate::domain::keys::master_secret::MasterSecret;
use crate::domain::login::account::Accounts;
use crate::domain::login::authenticate::{self, Authenticator};
use crate::domain::login::credential::Secrets;
use crate::domain::login::credential_uses::CredentialUses;
use crate::domain::login::device::Devices;
use crate::domain::login::door::Door;
use crate::domain::login::password::PasswordHasher;
use crate::domain::login::refresh::RefreshTokens;
use crate::domain::login::request_limit::RequestLimit;
use crate::domain::pruning;
use crate::domain::random::NoRandomness;
use crate::domain::record::audit::SYSTEM;
use crate::domain::record::audit_backlog::{AuditBacklog, BacklogError};
use crate::domain::record::audit_repeats::AuditRepeats;
use crate::domain::record::audit_retention::keep_pruning;
use crate::domain::record::token_uses::TokenUses;
use crate::domain::revocation_feed::RevocationFeed;
use crate::domain::row_source::RowSource;
use crate::domain::second_factor::factors::{self, SecondFactors};
use crate::domain::second_factor::passkey::RelyingParty;
use crate::domain::shadow::{ShadowError, ShadowRules};
use crate::domain::signon::code_flow::{self, OpenIdClients};
use crate::domain::signon::directory::{self, DirectoryClients};
use crate::domain::signon::directory_logins;
use crate::domain::signon::freshness::Freshness;
use crate::domain::signon::provider::SignOnSettings;
use crate::domain::signon::sessions::BrowserSessions;
use crate::domain::snapshot::follower::Follower;
use crate::domain::token_issuer::{IssuerRecords, TokenIssuer};
use crate::domain::trust::workloads::Workloads;
use crate::http::api::document::Documents;
use crate::http::turns::Turns;
use crate::http::{Services, TRIALS, WHOLE_READS, routes};
use crate::settings::{DatabaseSettings, DecisionSource, Migrate, PasswordSettings, TokenServerSettings};
use crate::ui::{Pages, address};

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The schema is older than this release.
    #[error("the database lacks {0} migrations of this release; run `token-server migrate` first")]
    NotMigrated(usize),
    /// The database, the key or the randomness failed.
    #[error(transparent)]
    Domain(#[from] TokenServerError),
    /// The file for audit records that wait cannot be used.
    #[error(transparent)]
    Backlog(#[from] BacklogError),
    /// The rules to compare with cannot be used.
    #[error(transparent)]
    Shadow(#[from] ShadowError),
    /// Nobody can be asked for keys.
    #[error("requests to issuers of identity tokens cannot be made")]
    Outgoing(#[from] reqwest::Error),
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

/// Lets tokens from before count no more where the database was put back from a backup.
async fn note_restore(pool: &Pool) -> Result<(), StartError> {
    let mut tx = db::begin_change_at_start(pool).await?;
    let is_restored = db::revocations::update_epoch_after_restore(&mut *tx).await?;
    db::commit(tx).await?;
    if is_restored {
        tracing::warn!("the database was put back from a backup; tokens from before do not count any more");
    }
    Ok(())
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

/// Where logins and decisions look, and what registries are told of it; what keeps both up to date becomes a chore.
async fn open_rows(
    settings: &TokenServerSettings,
    pool: &Pool,
    random: &SystemRandom,
    chores: &mut Vec<BoxFuture<'static, ()>>,
) -> Result<(RowSource, Option<Arc<RevocationFeed>>), StartError> {
    if settings.decisions.source == DecisionSource::Database {
        return Ok((RowSource::Database(pool.clone()), None));
    }
    let dialer = Dialer::new(&settings.database.url)?;
    let follower = Arc::new(Follower::load(dialer, settings.decisions.max_age).await?);
    chores.push(follower.clone().follow().boxed());
    let feed = settings.registries.as_ref();
    let feed = feed.map(|secret| RevocationFeed::new(follower.clone(), pool.clone(), secret, random));
    let feed = feed.transpose().map_err(TokenServerError::from)?.map(Arc::new);
    Ok((RowSource::Snapshot(follower, pool.clone()), feed))
}

/// What checks passwords, and remembers those that were right.
fn open_passwords(
    settings: PasswordSettings,
    random: &SystemRandom,
) -> Result<(Arc<PasswordHasher>, VerifiedPasswords), StartError> {
    let hasher = PasswordHasher::new(settings.concurrency, settings.queue, random.clone());
    let hasher = Arc::new(hasher.map_err(TokenServerError::from)?);
    let verified = VerifiedPasswords::new(settings.cache, random);
    Ok((hasher, verified.map_err(|_| TokenServerError::from(NoRandomness))?))
}

/// What everything works with.
struct Shared<'a> {
    pool: &'a Pool,
    clock: &'a Arc<dyn Clock>,
    random: &'a SystemRandom,
    secret: &'a MasterSecret,
    guards: (&'a Arc<Door>, &'a Arc<AuditRepeats>),
}

/// The pages for people, if browsers reach this server; what keeps their groups up to date becomes a chore.
fn open_pages(
    shared: &Shared<'_>,
    sign_on: &SignOnSettings,
    administration: &Administration,
    directories: DirectoryClients,
    chores: &mut Vec<BoxFuture<'static, ()>>,
) -> Result<Option<Pages>, StartError> {
    let (pool, clock) = (shared.pool.clone(), shared.clock.clone());
    let (random, secret) = (shared.random.clone(), shared.secret.clone());
    let lasting = (sign_on.idle, sign_on.lifetime);
    let sessions = BrowserSessions::new(pool.clone(), clock.clone(), random.clone(), secret.clone(), lasting);
    let sessions = Arc::new(sessions);
    let clients = match &sign_on.url {
        Some(url) => code_flow::clients(&sign_on.providers, url)?,
        None => OpenIdClients::default(),
    };
    let freshness = Freshness {
        pool,
        administration: administration.on_behalf_of(Actor::Server),
        providers: sign_on.providers.clone(),
        clients: clients.clone(),
        directories,
        sessions: sessions.clone(),
        secret: secret.clone(),
        random: random.clone(),
    };
    chores.push(freshness.keep().boxed());
    let page = |url: Url| {
        let factors = Arc::new(SecondFactors::new(factors::Parts {
            pool: shared.pool.clone(),
            clock: clock.clone(),
            random: random.clone(),
            secret: secret.clone(),
            door: shared.guards.0.clone(),
            repeats: shared.guards.1.clone(),
            party: RelyingParty::at(&url),
        }));
        Pages { url, sessions, factors, clients, secret, random, clock }
    };
    Ok(sign_on.url.clone().map(page))
}

/// How long the database may take to give a sign of life, less than whoever asks whether this server is ready waits.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// What readiness says while the database is away.
const GOING_ON: &str = "away; what takes no password and changes nothing goes on from memory";

/// How long a server that stops waits for the database to take what it has counted.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A token server with its socket bound.
pub struct TokenServer {
    listener: Listener,
    services: Services,
    token_paths: Vec<String>,
    pages: Option<Pages>,
    pool: Pool,
    hasher: Arc<PasswordHasher>,
    uses: Arc<TokenUses>,
    credential_uses: Arc<CredentialUses>,
    /// What goes on beside requests until the server stops.
    chores: Vec<BoxFuture<'static, ()>>,
}

impl TokenServer {
    /// Does everything that can fail before the first request.
    pub async fn build(settings: TokenServerSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let random = SystemRandom::new();
        let shadow = settings.shadow.as_deref().map(ShadowRules::load).transpose()?.map(Arc::new);
        let pool = open_database(&settings.database).await?;
        note_restore(&pool).await?;
        let key_tools = key_tools(&settings);
        let keys = key_store::load_or_create_keys(&pool, &key_tools, &*clock, SYSTEM).await?;
        let keys = Arc::new(SigningKeys::new(keys));
        let listener = Listener::bind(settings.listener.clone())?;
        let (hasher, verified) = open_passwords(settings.passwords, &random)?;
        let secrets = Arc::new(Secrets::new(&settings.secret));
        let refresh_tokens = RefreshTokens::new(secrets.clone(), settings.refresh.clone());
        let backlog = Arc::new(AuditBacklog::open(settings.audit_spool.as_deref())?);
        let repeats = Arc::new(AuditRepeats::with(backlog.clone()));
        let uses = Arc::new(TokenUses::default());
        let credential_uses = Arc::new(CredentialUses::default());
        let mut chores = vec![
            keys.clone().keep_following(pool.clone(), key_tools.clone()).boxed(),
            key_rotation::keep_rotating(keys.clone(), pool.clone(), clock.clone(), key_tools.clone()).boxed(),
            backlog.clone().keep_writing(pool.clone()).boxed(),
            pruning::keep_pruning(pool.clone()).boxed(),
        ];
        let (rows, revocations) = open_rows(&settings, &pool, &random, &mut chores).await?;
        let administration = Administration::new(Parts {
            pool: pool.clone(),
            clock: clock.clone(),
            random: random.clone(),
            hasher: hasher.clone(),
            repeats: repeats.clone(),
            secrets: secrets.clone(),
            policy: settings.credentials,
            master: settings.secret.clone(),
            key_policy: key_tools.policy.clone(),
            personal_namespaces: settings.personal_namespaces,
            providers: settings.sign_on.providers.clone(),
            second_factor: settings.sign_on.second_factor,
        });
        let door = Arc::new(Door::new(pool.clone(), &random).map_err(TokenServerError::from)?);
        let directories = directory::clients(&settings.sign_on.providers);
        let authenticator = Arc::new(Authenticator::new(authenticate::Parts {
            pool: pool.clone(),
            clock: clock.clone(),
            hasher: hasher.clone(),
            verified,
            refresh_tokens,
            secrets,
            policy: settings.credentials,
            rows,
            uses: credential_uses.clone(),
            door: door.clone(),
            devices: Arc::new(Devices::new(pool.clone(), clock.clone(), random.clone(), &settings.secret)),
            workloads: Workloads::new(pool.clone(), clock.clone(), random.clone(), settings.trust.clone())?,
            elsewhere: directory_logins::of(&pool, &administration, directories.clone()),
            repeats: repeats.clone(),
        }));
        let accounts = Accounts::new(pool.clone(), clock.clone(), hasher.clone(), authenticator.clone());
        let (secret, guards) = (&settings.secret, (&door, &repeats));
        let shared = Shared { pool: &pool, clock: &clock, random: &random, secret, guards };
        let pages = open_pages(&shared, &settings.sign_on, &administration, directories, &mut chores)?;
        if let Some(retention) = settings.audit_retention {
            chores.push(keep_pruning(pool.clone(), clock.clone(), retention).boxed());
        }
        chores.extend(shadow.clone().map(|shadow| shadow.keep_following().boxed()));
        let own_settings = Arc::new(own_settings(&settings));
        let issuer = TokenIssuer::new(
            settings.issuer,
            pool.clone(),
            clock,
            random,
            authenticator.clone(),
            keys.clone(),
            IssuerRecords {
                repeats,
                uses: uses.clone(),
                limit: RequestLimit::new(settings.requests_per_minute),
            },
        )
        .beside(shadow);
        let services = Services {
            issuer: Arc::new(issuer),
            accounts: Arc::new(accounts),
            authenticator,
            administration,
            keys,
            revocations,
            documents: Documents::build(),
            whole_reads: Arc::new(Semaphore::new(WHOLE_READS)),
            changes: Arc::new(Turns::default()),
            own_settings,
            trials: Arc::new(Semaphore::new(TRIALS)),
            providers: settings.sign_on.providers,
            pages_url: settings.sign_on.url,
            body_timeout: settings.listener.stall_timeout,
        };
        let token_paths = settings.token_paths;
        Ok(Self { listener, services, token_paths, pages, pool, hasher, uses, credential_uses, chores })
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
        let (pool, authenticator) = (self.pool.clone(), self.services.authenticator.clone());
        // The signing keys were loaded before the socket was bound, so they need no check of their own.
        let health = Health::default().telling("database", move || {
            let (pool, authenticator) = (pool.clone(), authenticator.clone());
            async move {
                // A load balancer must not take away the servers that go on without it.
                let is_independent = authenticator.rows().is_independent();
                let (answer, is_independent) =
                    tokio::join!(tokio::time::timeout(PING_TIMEOUT, db::ping(&pool)), is_independent);
                match answer {
                    Ok(Ok(())) => Ok("ok".to_owned()),
                    Ok(Err(_)) | Err(_) if is_independent => Ok(GOING_ON.to_owned()),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err("no answer in time".to_owned()),
                }
            }
        });
        let pages = self.pages;
        let routes = routes::configure(self.services, self.token_paths, move |config| {
            if let Some(pages) = &pages {
                config.app_data(Data::new(pages.clone()));
                address::configure(config);
            }
        });
        let chores: Vec<_> = self.chores.into_iter().map(tokio::spawn).collect();
        let (uses, credential_uses, pool) =
            (self.uses.clone(), self.credential_uses.clone(), self.pool.clone());
        let writing = tokio::spawn(async move {
            tokio::join!(uses.keep_writing(&pool), credential_uses.keep_writing(&pool));
        });
        let outcome = self.listener.run(health, shutdown, routes).await;
        self.uses.stop();
        self.credential_uses.stop();
        if tokio::time::timeout(LAST_WRITE_TIMEOUT, writing).await.is_err() {
            tracing::warn!("the last uses were not written: the database did not answer");
        }
        for chore in chores {
            chore.abort();
        }
        self.pool.close().await;
        outcome
    }
}
