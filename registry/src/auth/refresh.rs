//! How the trusted keys stay fresh: from a URL with the last good set kept on disk, from a file, or from certificates.
//!
//! *Invariant:* a source that fails, or has nothing new, takes no key away; an unknown key id causes at most one fetch in
//! [`UNKNOWN_KEY_INTERVAL`], however many tokens carry it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH};
use shared::key_set::KeySet;
use shared::server::metrics::Outcomes;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;
use url::Url;

use super::certificates::{Bundle, BundleError};
use super::remembered_keys;
use super::trusted_keys::TrustedKeys;
use shared::server::outgoing;

/// How often a URL is asked again.
const URL_INTERVAL: Duration = Duration::from_mins(5);

/// How often a file is looked at again.
const FILE_INTERVAL: Duration = Duration::from_secs(10);

/// What changes at the source is not at once with all of its servers, so it is asked some times within this distance.
const HURRIED_INTERVAL: Duration = Duration::from_secs(2);

/// So many times.
const HURRIED_LOADS: u32 = 4;

/// How soon a failed first load is repeated; doubles up to the ordinary interval.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// At most one fetch on behalf of unknown key ids in this time.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(10);

/// A larger document is not a key set.
const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// What a URL had.
struct Fetched {
    document: Vec<u8>,
    tag: Option<HeaderValue>,
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// A document on the network; the last good one is kept at `cache`, if there is one, for this URL and this issuer
    /// only.
    Url { url: Url, issuer: String, cache: Option<PathBuf> },
    /// A document on disk.
    File(PathBuf),
    /// Certificates on disk.
    Certificates(PathBuf),
}

impl KeySource {
    /// Whether a file on this machine can be used, for whoever only wants to know.
    pub(crate) fn check(&self) -> Result<(), KeySourceError> {
        match self {
            Self::Url { .. } => Ok(()),
            Self::File(path) => {
                let (document, name) = (read(path)?, path.display().to_string());
                let usable = TrustedKeys::default().replace(parse(&document, &name)?);
                if usable { Ok(()) } else { Err(KeySourceError::Unusable(name)) }
            }
            Self::Certificates(path) => read_bundle(path).map(|_| ()),
        }
    }
}

/// Why a set could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeySourceError {
    #[error("cannot fetch {url}: {source}")]
    Fetch { url: Url, source: reqwest::Error },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{0} is not a set of public keys, or holds none that can be used")]
    Unusable(String),
    #[error("{} is no bundle of certificates: {source}", path.display())]
    Certificates { path: PathBuf, source: BundleError },
    #[error("{0} is too large for a set of keys")]
    TooLarge(String),
}

/// Keeps a set of trusted keys fresh.
#[derive(Debug)]
pub(crate) struct KeyRefresher {
    source: KeySource,
    client: reqwest::Client,
    keys: Arc<TrustedKeys>,
    last_unknown: Mutex<Option<Instant>>,
    soon: Notify,
    /// The tag of the document whose keys are in force; held while keys are exchanged, so that it is never that of others.
    known: std::sync::Mutex<Option<HeaderValue>>,
    outcomes: Outcomes,
}

impl KeyRefresher {
    pub(crate) fn new(
        source: KeySource,
        keys: Arc<TrustedKeys>,
        outcomes: Outcomes,
    ) -> Result<Self, reqwest::Error> {
        let client = outgoing::client(FETCH_TIMEOUT)?;
        let (last_unknown, soon) = (Mutex::new(None), Notify::new());
        let known = std::sync::Mutex::new(None);
        Ok(Self { source, client, keys, last_unknown, soon, known, outcomes })
    }

    /// Loads what is at hand without the network. For files this is all there is, so their failure is an error.
    pub(crate) fn load_local(&self) -> Result<(), KeySourceError> {
        match &self.source {
            KeySource::File(_) | KeySource::Certificates(_) => self.load_file(),
            KeySource::Url { cache: None, .. } => Ok(()),
            KeySource::Url { url, issuer, cache: Some(cache) } => {
                match remembered_keys::read(cache, url, issuer) {
                    Ok(Some(set)) => {
                        self.keys.replace(set);
                    }
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, file = %cache.display(), "remembered keys not used"),
                }
                Ok(())
            }
        }
    }

    /// Loads again and again, for as long as it is polled.
    pub(crate) async fn run(self: Arc<Self>) {
        let interval = match self.source {
            KeySource::Url { .. } => URL_INTERVAL,
            KeySource::File(_) | KeySource::Certificates(_) => FILE_INTERVAL,
        };
        let mut retry = FIRST_RETRY;
        let mut hurried = 0_u32;
        loop {
            let pause = match self.refresh().await {
                Ok(()) => {
                    retry = FIRST_RETRY;
                    if hurried > 0 { HURRIED_INTERVAL } else { interval }
                }
                Err(error) => {
                    tracing::warn!(%error, "trusted keys not refreshed");
                    retry = (retry * 2).min(interval);
                    retry
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => hurried = hurried.saturating_sub(1),
                () = self.soon.notified() => hurried = HURRIED_LOADS,
            }
        }
    }

    /// Has the keys loaded again before their time.
    pub(crate) fn refresh_soon(&self) {
        self.soon.notify_one();
    }

    /// Called when a token names an unknown key. Returns whether the set changed.
    pub(crate) async fn refresh_for_unknown_key(&self) -> bool {
        let generation = self.keys.generation();
        // Waiting here is the single flight: whoever comes second finds the work done.
        let mut last = self.last_unknown.lock().await;
        if last.is_none_or(|last| last.elapsed() >= UNKNOWN_KEY_INTERVAL) {
            // Before the fetch, because the client for whom it is made can go away in the middle of it.
            *last = Some(Instant::now());
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "trusted keys not refreshed for an unknown key id");
            }
        }
        self.keys.generation() != generation
    }

    async fn refresh(&self) -> Result<(), KeySourceError> {
        let outcome = self.refresh_uncounted().await;
        self.outcomes.count(if outcome.is_ok() { "refreshed" } else { "failed" });
        outcome
    }

    async fn refresh_uncounted(&self) -> Result<(), KeySourceError> {
        match &self.source {
            KeySource::File(_) | KeySource::Certificates(_) => self.load_file(),
            KeySource::Url { url, issuer, cache } => {
                // What is not remembered on disk is fetched again, to be written there.
                let is_kept = cache.as_ref().is_none_or(|cache| cache.exists());
                let known = if is_kept { self.known().clone() } else { None };
                let Some(Fetched { document, tag }) = self.fetch(url, known.as_ref()).await? else {
                    return Ok(());
                };
                let before = self.keys.generation();
                let set = {
                    let mut known = self.known();
                    let set = self.take(&document, url.as_str())?;
                    *known = tag;
                    set
                };
                if let Some(cache) = cache
                    && (self.keys.generation() != before || !cache.exists())
                    && let Err(error) = remembered_keys::write(cache, url, issuer, &set)
                {
                    tracing::warn!(%error, file = %cache.display(), "trusted keys not remembered on disk");
                }
                Ok(())
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<HeaderValue>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what lies on this machine.
    fn load_file(&self) -> Result<(), KeySourceError> {
        match &self.source {
            KeySource::Url { .. } => Ok(()),
            KeySource::File(path) => self.take(&read(path)?, &path.display().to_string()).map(|_| ()),
            KeySource::Certificates(path) => {
                self.keys.replace_certificates(read_bundle(path)?);
                Ok(())
            }
        }
    }

    /// The document; nothing if it is the one whose keys are in force.
    async fn fetch(&self, url: &Url, known: Option<&HeaderValue>) -> Result<Option<Fetched>, KeySourceError> {
        let failed = |source| KeySourceError::Fetch { url: url.clone(), source };
        // A cache on the way must not answer with a set from before the key that is asked for.
        let mut request = self.client.get(url.clone()).header(CACHE_CONTROL, "no-cache");
        if let Some(known) = known {
            request = request.header(IF_NONE_MATCH, known);
        }
        let response = request.send().await.and_then(reqwest::Response::error_for_status);
        let mut response = response.map_err(failed)?;
        if known.is_some() && response.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let tag = response.headers().get(ETAG).cloned();
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if document.len() + chunk.len() > MAX_DOCUMENT_BYTES {
                return Err(KeySourceError::TooLarge(url.to_string()));
            }
            document.extend_from_slice(&chunk);
        }
        Ok(Some(Fetched { document, tag }))
    }

    fn take(&self, document: &[u8], name: &str) -> Result<KeySet, KeySourceError> {
        let set = parse(document, name)?;
        if self.keys.replace(set.clone()) { Ok(set) } else { Err(KeySourceError::Unusable(name.to_owned())) }
    }
}

fn parse(document: &[u8], name: &str) -> Result<KeySet, KeySourceError> {
    serde_json::from_slice(document).map_err(|_| KeySourceError::Unusable(name.to_owned()))
}

fn read_bundle(path: &Path) -> Result<Bundle, KeySourceError> {
    Bundle::parse(&read(path)?)
        .map_err(|source| KeySourceError::Certificates { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, KeySourceError> {
    let failed = |source| KeySourceError::Read { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_DOCUMENT_BYTES as u64 {
        return Err(KeySourceError::TooLarge(path.display().to_string()));
    }
    std::fs::read(path).map_err(failed)
}
