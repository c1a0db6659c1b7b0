//! From settings to a serving registry, in two steps, so that a test can ask for the port in between.
//!
//! *Invariant:* nothing is scanned at start: a registry with a million tags is ready as soon as an empty one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::web;
use anyhow::{Context as _, bail};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value, json};
use shared::clock::Clock;
use shared::server::access_log::AccessLog;
use shared::server::causes;
use shared::server::debug::{DebugListener, Shown};
use shared::server::health::Health;
use shared::server::health::watch::Watches;
use shared::server::jwt_crypto;
use shared::server::listener::Listener;
use shared::server::metrics::http::HttpMetrics;
use shared::server::metrics::{Metrics, Outcomes};
use shared::server::shutdown::Shutdown;
use shared::server::sockets::BoundAddress;
use shared::server::telemetry::sink::Sink;

use crate::auth::htpasswd::Htpasswd;
use crate::auth::refresh::KeyRefresher;
use crate::auth::revocations::Revocations;
use crate::auth::revocations::follower::{FeedGauges, FeedSettings, Follower};
use crate::auth::trusted_keys::TrustedKeys;
use crate::auth::verifier::Verifier;
use crate::domain::Repositories;
use crate::health_checks;
use crate::http::routes;
use crate::http::state::{Auth, Forward, LargeBodies, Locations, RegistryState, StateKey, TokenAuth};
use crate::settings::{AuthSettings, DriverSettings, RegistrySettings, StorageSettings, TokenSettings};
use crate::storage::error::StorageError;
use crate::storage::filesystem::Filesystem;
use crate::storage::measured::Measured;
use crate::storage::memory::Memory;
use crate::storage::{Lock, Storage, TreeClaim, layout};

/// A registry that is bound to its address.
pub struct Registry {
    listener: Listener,
    debug: Option<DebugListener>,
    metrics: Option<Metrics>,
    watches: Arc<Watches>,
    log_sinks: Vec<Sink>,
    state: RegistryState,
    /// Where tokens are checked.
    keys: Option<Arc<TrustedKeys>>,
    /// What was revoked, where that is told.
    revocations: Option<Arc<Revocations>>,
    /// What runs beside the requests, for as long as they are served.
    background: Vec<BoxFuture<'static, ()>>,
}

/// The images these settings name, without anybody serving them.
pub fn images(settings: &RegistrySettings, clock: Arc<dyn Clock>) -> anyhow::Result<Repositories> {
    if matches!(settings.storage.driver, DriverSettings::Memory) {
        bail!(
            "with `storage.inmemory`, images are in the memory of the registry that serves them, out of reach of this command"
        );
    }
    let random = SystemRandom::new();
    Ok(Repositories::new(open_storage(&settings.storage, &clock, &random)?, clock, random)
        .with_rules(settings.manifests.clone()))
}

fn open_storage(
    settings: &StorageSettings,
    clock: &Arc<dyn Clock>,
    random: &SystemRandom,
) -> anyhow::Result<Arc<dyn Storage>> {
    Ok(match &settings.driver {
        DriverSettings::Filesystem { root, threads } => Arc::new(Filesystem::open(root, *threads, random)?),
        DriverSettings::Memory => Arc::new(Memory::new(clock.clone())),
    })
}

impl Registry {
    /// Binds the address, opens the storage, loads the keys that lie on this machine.
    pub fn build(settings: RegistrySettings, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        jwt_crypto::install();
        let random = SystemRandom::new();
        let mut storage = open_storage(&settings.storage, &clock, &random)?;
        let mut metrics = None;
        let mut http_metrics = None;
        if settings.http.debug.as_ref().is_some_and(|debug| debug.metrics_path.is_some()) {
            let mut all = Metrics::new("registry", env!("CARGO_PKG_VERSION"));
            storage = Arc::new(Measured::new(storage, settings.storage.driver.name(), &mut all));
            http_metrics = Some(HttpMetrics::register(&mut all, "registry"));
            metrics = Some(all);
        }
        let watches = health_checks::watches(settings.health, &storage, settings.storage.driver.name())
            .context("no HTTP client can be made")?;
        let mut background: Vec<BoxFuture<'static, ()>> = Vec::new();
        let mut revocations = None;
        let (auth, keys) = match settings.auth {
            AuthSettings::Open => (Auth::Open, None),
            AuthSettings::Token(token) => {
                let feed = token.revocations.clone();
                let (mut auth, keys) = token_auth(*token, clock.clone())?;
                background.extend(auth.refreshers.iter().map(|refresher| refresher.clone().run().boxed()));
                if let Some(feed) = feed {
                    let (known, follower) = follow(feed, &auth.refreshers, metrics.as_mut())?;
                    background.push(follower.run().boxed());
                    auth.revocations = Some(known.clone());
                    revocations = Some(known);
                }
                (Auth::Token(Box::new(auth)), Some(keys))
            }
            AuthSettings::Htpasswd(htpasswd) => {
                let door = Arc::new(Htpasswd::load(htpasswd, clock.clone(), &random)?);
                background.push(door.clone().keep_fresh().boxed());
                (Auth::Htpasswd(door), None)
            }
        };
        let state_key = if settings.http.secret.is_empty() {
            StateKey::made_up(&random_secret(&random)?)
        } else {
            StateKey::configured(settings.http.secret.expose().as_bytes())
        };
        let stall_timeout = settings.http.listener.stall_timeout;
        if let (Some(metrics), Auth::Token(auth)) = (&mut metrics, &auth) {
            count_tokens(metrics, auth);
        }
        let listener = Listener::bind(settings.http.listener)?;
        let debug = settings.http.debug.map(DebugListener::bind).transpose()?;
        let repositories = Repositories::new(storage, clock.clone(), random.clone());
        let repositories = repositories.with_rules(settings.manifests);
        if let Some(rules) = settings.storage.maintenance.purging {
            background.push(repositories.clone().keep_purging(rules).boxed());
        }
        let state = RegistryState {
            repositories,
            auth,
            clock,
            locations: Locations::new(&settings.http.locations),
            state_key,
            stall_timeout,
            large_bodies: LargeBodies::default(),
            delete_enabled: settings.storage.delete_enabled,
            read_only: settings.storage.maintenance.read_only,
            catalog_max_entries: settings.limits.catalog_max_entries,
            tags_max_entries: settings.limits.tags_max_entries,
            metrics: http_metrics,
        };
        let (watches, log_sinks) = (Arc::new(watches), Vec::new());
        Ok(Self { listener, debug, metrics, watches, log_sinks, state, keys, revocations, background })
    }

    /// Writes an access log to `access`, if there is to be one, and tells how many lines of both logs were lost.
    #[must_use]
    pub fn with_logs(mut self, application: Sink, access: Option<Sink>) -> Self {
        self.log_sinks = vec![application];
        if let Some(sink) = access {
            self.log_sinks.push(sink.clone());
            let log = AccessLog::new(sink, self.state.clock.clone());
            self.listener = self.listener.with_access_log(log);
        }
        self
    }

    /// Where it is bound, with the real port.
    pub fn address(&self) -> BoundAddress {
        self.listener.address()
    }

    /// The address of the listener for operators, if there is one.
    pub fn debug_address(&self) -> Option<SocketAddr> {
        self.debug.as_ref().map(DebugListener::address)
    }

    /// Serves until a stop is requested.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let repositories = self.state.repositories.clone();
        let read_only = self.state.read_only;
        let _serving = if read_only { None } else { claim(repositories.storage()).await? };
        if let Err(error) = is_usable(repositories.storage(), read_only).await {
            // Not the end: a disk may come back, and readiness keeps clients away until then.
            tracing::error!(error = causes::sentence(&error), "the images cannot be used as they are");
        }
        let mut health =
            Health::default().watching(self.watches.clone()).with("storage", move || {
                let repositories = repositories.clone();
                async move {
                    is_usable(repositories.storage(), read_only).await.map_err(|error| error.to_string())
                }
            });
        if let Some(keys) = self.keys {
            health = health.with("trusted keys", move || {
                let loaded = !keys.is_empty();
                async move {
                    if loaded {
                        Ok(())
                    } else {
                        Err("no keys to check tokens with have been loaded yet".into())
                    }
                }
            });
        }
        if let Some(revocations) = self.revocations {
            health = health.with("revocations", move || {
                let is_shut = revocations.keeps_everybody_out(Instant::now());
                async move {
                    if is_shut {
                        Err("the feed of revocations is stale, and no token counts without it".into())
                    } else {
                        Ok(())
                    }
                }
            });
        }
        let debug = match self.debug {
            Some(listener) => {
                Some(listener.start(shown(self.metrics, self.watches.clone(), self.log_sinks))?)
            }
            None => None,
        };
        let watches = self.watches;
        let watching = tokio::spawn(async move { watches.run().await });
        let state = web::Data::new(self.state);
        let background: Vec<_> = self.background.into_iter().map(tokio::spawn).collect();
        let outcome =
            self.listener.run(health, shutdown, move |config| routes::configure(config, &state)).await;
        watching.abort();
        if let Some(debug) = debug {
            debug.stop().await;
        }
        for task in background {
            task.abort();
        }
        outcome.context("the HTTP server failed")
    }
}

/// Whether the images can be read and, unless nobody is to, written.
async fn is_usable(storage: &dyn Storage, read_only: bool) -> Result<(), StorageError> {
    if read_only { storage.list(&layout::root()).await.map(drop) } else { storage.check().await }
}

/// Keeps an offline collection away from images that are written to.
async fn claim(storage: &dyn Storage) -> anyhow::Result<Option<Lock>> {
    match storage.claim_tree_soon(TreeClaim::Shared).await {
        Ok(Some(claim)) => Ok(Some(claim)),
        Ok(None) => bail!("garbage is being collected in these images; start again when that has ended"),
        Err(error) => {
            // Nobody can write where no lock can be made, and readiness tells what is wrong.
            tracing::warn!(error = causes::sentence(&error), "garbage collection cannot be kept away");
            Ok(None)
        }
    }
}

/// What the listener for operators shows.
fn shown(mut metrics: Option<Metrics>, watches: Arc<Watches>, sinks: Vec<Sink>) -> Shown {
    if let Some(metrics) = &mut metrics {
        metrics.register_lost_lines("registry_log_lost_lines", sinks.clone());
    }
    let vars = move || {
        let lost: Map<String, Value> =
            sinks.iter().map(|sink| (sink.name().to_owned(), sink.lost_lines().into())).collect();
        let registry = json!({ "version": env!("CARGO_PKG_VERSION"), "lost_log_lines": lost });
        Map::from_iter([("registry".to_owned(), registry)])
    };
    Shown { watches, metrics: metrics.map(Arc::new), vars: Box::new(vars) }
}

fn count_tokens(metrics: &mut Metrics, auth: &TokenAuth) {
    metrics.register_outcomes(
        "registry_token_verifications",
        "Tokens that requests brought, by what they turned out to be",
        &auth.verifications,
    );
    metrics.register_outcomes(
        "registry_token_key_refreshes",
        "Fetches of the keys that tokens are checked with",
        &auth.refreshes,
    );
}

/// What is known of a feed, and who finds it out.
fn follow(
    feed: FeedSettings,
    refreshers: &[Arc<KeyRefresher>],
    metrics: Option<&mut Metrics>,
) -> anyhow::Result<(Arc<Revocations>, Follower)> {
    let gauges = FeedGauges::default();
    if let Some(metrics) = metrics {
        let FeedGauges { age_seconds, is_stale, entries } = gauges.clone();
        let age = "Time since the feed of revocations was last answered";
        metrics.register("registry_revocations_age_seconds", age, age_seconds);
        metrics.register("registry_revocations_stale", "1 while the feed of revocations is stale", is_stale);
        metrics.register("registry_revocations_entries", "Revocations in force", entries);
    }
    let known = Arc::new(Revocations::new(feed.when_stale, Instant::now()));
    let follower = Follower::new(feed, known.clone(), refreshers.to_vec(), gauges)
        .context("no HTTP client can be made")?;
    Ok((known, follower))
}

fn token_auth(
    settings: TokenSettings,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<(TokenAuth, Arc<TrustedKeys>)> {
    let keys = Arc::new(TrustedKeys::default());
    let (mut refreshers, outcomes) = (Vec::new(), Outcomes::default());
    for source in settings.keys {
        let refresher = KeyRefresher::new(source, keys.clone(), outcomes.clone())
            .context("no HTTP client can be made")?;
        refresher.load_local()?;
        refreshers.push(Arc::new(refresher));
    }
    let forward = settings.forward.map(Forward::new).transpose().context("no HTTP client can be made")?;
    let auth = TokenAuth {
        verifier: Verifier::new(settings.expectations, keys.clone(), clock),
        refreshers,
        refreshes: outcomes,
        realm: settings.realm,
        forward,
        revocations: None,
        verifications: Outcomes::default(),
    };
    Ok((auth, keys))
}

/// Good for one process: a replica running the distribution registry cannot continue its uploads.
fn random_secret(random: &SystemRandom) -> anyhow::Result<Vec<u8>> {
    let mut secret = vec![0; 32];
    random.fill(&mut secret).ok().context("the system gives no random numbers")?;
    Ok(secret)
}
