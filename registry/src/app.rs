//! From settings to a serving registry, in two steps, so that a test can ask for the port in between.
//!
//! *Invariant:* nothing is scanned at start: a registry with a million tags is ready as soon as an empty one.

use std::sync::Arc;

use actix_web::web;
use anyhow::{Context as _, bail};
use ring::rand::{SecureRandom as _, SystemRandom};
use shared::clock::Clock;
use shared::server::causes;
use shared::server::health::Health;
use shared::server::jwt_crypto;
use shared::server::listener::Listener;
use shared::server::shutdown::Shutdown;
use shared::server::sockets::BoundAddress;

use crate::auth::refresh::KeyRefresher;
use crate::auth::trusted_keys::TrustedKeys;
use crate::auth::verifier::Verifier;
use crate::domain::Repositories;
use crate::http::routes;
use crate::http::state::{Auth, Forward, LargeBodies, Locations, RegistryState, StateKey, TokenAuth};
use crate::settings::{AuthSettings, RegistrySettings, TokenSettings};
use crate::storage::filesystem::Filesystem;
use crate::storage::{Lock, Storage, TreeClaim};

/// A registry that is bound to its address.
pub struct Registry {
    listener: Listener,
    state: RegistryState,
    keys: Option<(Arc<TrustedKeys>, Arc<KeyRefresher>)>,
}

/// The images these settings name, without anybody serving them.
pub fn images(settings: &RegistrySettings, clock: Arc<dyn Clock>) -> anyhow::Result<Repositories> {
    let random = SystemRandom::new();
    let storage = Filesystem::open(&settings.storage.root, settings.storage.threads, &random)?;
    Ok(Repositories::new(Arc::new(storage), clock, random))
}

impl Registry {
    /// Binds the address, opens the storage, loads the keys that lie on this machine.
    pub fn build(settings: RegistrySettings, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        jwt_crypto::install();
        let repositories = images(&settings, clock.clone())?;
        let (auth, keys) = match settings.auth {
            AuthSettings::Open => (Auth::Open, None),
            AuthSettings::Token(token) => {
                let (auth, keys) = token_auth(*token, clock.clone())?;
                (Auth::Token(Box::new(auth)), Some(keys))
            }
        };
        let state_key = if settings.http.secret.is_empty() {
            StateKey::made_up(&random_secret(&SystemRandom::new())?)
        } else {
            StateKey::configured(settings.http.secret.expose().as_bytes())
        };
        let stall_timeout = settings.http.listener.stall_timeout;
        let listener = Listener::bind(settings.http.listener)?;
        let state = RegistryState {
            repositories,
            auth,
            clock,
            locations: Locations::new(&settings.http.locations),
            state_key,
            stall_timeout,
            large_bodies: LargeBodies::default(),
            delete_enabled: settings.storage.delete_enabled,
            catalog_max_entries: settings.limits.catalog_max_entries,
            tags_max_entries: settings.limits.tags_max_entries,
        };
        Ok(Self { listener, state, keys })
    }

    /// Where it is bound, with the real port.
    pub fn address(&self) -> BoundAddress {
        self.listener.address()
    }

    /// Serves until a stop is requested.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let repositories = self.state.repositories.clone();
        let _serving = claim(repositories.storage()).await?;
        let mut health = Health::default().with("storage", move || {
            let repositories = repositories.clone();
            async move { repositories.storage().check().await.map_err(|error| error.to_string()) }
        });
        let mut refreshing = None;
        if let Some((keys, refresher)) = self.keys {
            refreshing = Some(tokio::spawn(refresher.run()));
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
        let state = web::Data::new(self.state);
        let outcome =
            self.listener.run(health, shutdown, move |config| routes::configure(config, &state)).await;
        if let Some(task) = refreshing {
            task.abort();
        }
        outcome.context("the HTTP server failed")
    }
}

/// Keeps an offline collection away from images that are written to.
async fn claim(storage: &dyn Storage) -> anyhow::Result<Option<Lock>> {
    match storage.claim_tree(TreeClaim::Shared).await {
        Ok(Some(claim)) => Ok(Some(claim)),
        Ok(None) => bail!("garbage is being collected in these images; start again when that has ended"),
        Err(error) => {
            // Nobody can write where no lock can be made, and readiness tells what is wrong.
            tracing::warn!(error = causes::sentence(&error), "garbage collection cannot be kept away");
            Ok(None)
        }
    }
}

type Keys = (Arc<TrustedKeys>, Arc<KeyRefresher>);

fn token_auth(settings: TokenSettings, clock: Arc<dyn Clock>) -> anyhow::Result<(TokenAuth, Keys)> {
    let keys = Arc::new(TrustedKeys::default());
    let refresher =
        Arc::new(KeyRefresher::new(settings.keys, keys.clone()).context("no HTTP client can be made")?);
    refresher.load_local()?;
    let forward = settings.forward.map(Forward::new).transpose().context("no HTTP client can be made")?;
    let auth = TokenAuth {
        verifier: Verifier::new(settings.expectations, keys.clone(), clock),
        refresher: refresher.clone(),
        realm: settings.realm,
        forward,
    };
    Ok((auth, (keys, refresher)))
}

/// Good for one process: a replica running the distribution registry cannot continue its uploads.
fn random_secret(random: &SystemRandom) -> anyhow::Result<Vec<u8>> {
    let mut secret = vec![0; 32];
    random.fill(&mut secret).ok().context("the system gives no random numbers")?;
    Ok(secret)
}
