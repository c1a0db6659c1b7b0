//! The checklist of the OCI distribution specification, requirement by requirement.
//!
//! `README.md` beside this file lists every requirement under its number; a test is named after the number it
//! checks. Each check runs against an open registry and against registries that want tokens or passwords: three
//! servers that all checks of a run share, each check in repositories of its own.
//!
//! *Invariant:* every numbered requirement of the list that binds a registry has a test of its number.

mod general;

mod manifests;

mod blobs;

mod uploads;

mod chunks;

mod closing;

mod mounts;

mod pushing;

mod pushing_tags;

mod tags;

mod referrers;

mod deletion;

mod content;

mod coverage;

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use anyhow::Context as _;
use bytes::Bytes;
use harness::answer::Answer;
use harness::client::{OciClient, Request, with_digest};
use harness::images::{Blob, OCI_MANIFEST, noise};
use harness::passwords;
use harness::settings::Auth;
use harness::stack::{LoneRegistry, Stack, password_of};
use reqwest::Method;
use reqwest::header::CONTENT_RANGE;
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// The user of every check; where rights exist, the owner of everything.
const USER: &str = "conformance";

/// Who may do what in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
    Token,
    Htpasswd,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Open, Self::Token, Self::Htpasswd];

    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Token => "token",
            Self::Htpasswd => "htpasswd",
        }
    }
}

/// One server of each mode.
#[derive(Debug)]
struct Servers {
    open: LoneRegistry,
    token: Stack,
    htpasswd: LoneRegistry,
    _folder: tempfile::TempDir,
}

// They live while any check needs them, so that databases and folders are gone in the end.
static SERVERS: Mutex<Weak<Servers>> = Mutex::const_new(Weak::new());

async fn servers() -> anyhow::Result<Arc<Servers>> {
    let mut running = SERVERS.lock().await;
    if let Some(servers) = running.upgrade() {
        return Ok(servers);
    }
    let folder = tempfile::tempdir()?;
    let open = LoneRegistry::start(&folder.path().join("open"), Auth::Open).await?;
    let token = Stack::start().await?;
    token.add_user(USER).await?;
    token.grant(&format!("user:{USER}"), "owner", "**").await?;
    let file = folder.path().join("htpasswd");
    passwords::write(&file, &[USER])?;
    let htpasswd = LoneRegistry::start(&folder.path().join("passwords"), Auth::Htpasswd { file }).await?;
    let servers = Arc::new(Servers { open, token, htpasswd, _folder: folder });
    *running = Arc::downgrade(&servers);
    Ok(servers)
}

/// A client of one registry, and names in it that nobody else uses.
#[derive(Debug)]
struct Case {
    mode: Mode,
    client: OciClient,
    /// `host:port`, for requests that are written by hand.
    address: String,
}

impl Deref for Case {
    type Target = OciClient;

    fn deref(&self) -> &OciClient {
        &self.client
    }
}

static NEXT_REPOSITORY: AtomicU32 = AtomicU32::new(1);

impl Case {
    /// A name that was never pushed to.
    fn repository(&self) -> String {
        let number = NEXT_REPOSITORY.fetch_add(1, Ordering::Relaxed);
        format!("conformance/{}-{number}", self.mode.name())
    }

    /// Puts a manifest and insists that it is taken.
    async fn stored(&self, repository: &str, reference: &str, manifest: &Blob) -> anyhow::Result<Answer> {
        self.put_manifest(repository, reference, manifest).await?.expect(201)
    }

    /// An artifact whose blobs are there: the empty configuration and one small layer.
    async fn artifact(&self, repository: &str, seed: u64) -> anyhow::Result<Blob> {
        let (config, layer) = (empty_config(), layer(seed));
        self.push_blob(repository, &config).await?;
        self.push_blob(repository, &layer).await?;
        Ok(artifact_of(&config, &[&layer], &json!({})))
    }

    /// The digests that the manifest tagged so has, or nothing.
    async fn digest_of(&self, repository: &str, reference: &str) -> anyhow::Result<Option<String>> {
        let target = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.send(&head(target).accepting_manifests()).await?;
        match answer.status {
            200 => Ok(Some(answer.needs_header("docker-content-digest")?.to_owned())),
            404 => Ok(None),
            _ => anyhow::bail!("{answer}"),
        }
    }

    /// How much of an upload the registry says it has, as `0-<last byte>`.
    async fn upload_range(&self, location: &str) -> anyhow::Result<String> {
        let answer = self.send(&Request::get(location)).await?.expect(204)?;
        Ok(answer.needs_header("range")?.to_owned())
    }

    /// Sends a body of unannounced length, which cannot be sent twice: the token must be held already.
    async fn stream(&self, method: Method, location: &str, body: reqwest::Body) -> anyhow::Result<Answer> {
        let url = reqwest::Url::parse(&format!("http://{}", self.address))?.join(location)?;
        let mut request = self.http().request(method, url);
        match self.mode {
            Mode::Open => {}
            Mode::Token => {
                let mut challenge = self.challenge().await?;
                challenge.scope = repository_of(location).map(|name| format!("repository:{name}:pull,push"));
                let token =
                    self.token_for(&challenge).await?.map_err(|answer| anyhow::anyhow!("{answer}"))?;
                request = request.bearer_auth(token);
            }
            Mode::Htpasswd => request = request.basic_auth(USER, Some(password_of(USER))),
        }
        Answer::read(location.to_owned(), request.body(body).send().await?).await
    }

    /// Sends one chunk of an upload.
    async fn chunk(&self, location: &str, range: &str, bytes: &Bytes) -> anyhow::Result<Answer> {
        let patch = Request::new(Method::PATCH, location).header(CONTENT_RANGE, range);
        self.send(&patch.body(bytes.clone())).await
    }

    /// Closes an upload with this digest and these bytes.
    async fn close(&self, location: &str, digest: &str, bytes: &Bytes) -> anyhow::Result<Answer> {
        self.send(&put(with_digest(location, digest)).body(bytes.clone())).await
    }
}

/// Runs a check against a registry of each mode.
async fn in_every_mode(check: impl AsyncFn(&Case) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let servers = servers().await?;
    for mode in Mode::ALL {
        let (client, server) = match mode {
            Mode::Open => (OciClient::anonymous(&servers.open.url())?, &servers.open.server),
            Mode::Token => (servers.token.client(USER)?, &servers.token.registry),
            Mode::Htpasswd => (servers.htpasswd.client(USER)?, &servers.htpasswd.server),
        };
        let case = Case { mode, client, address: server.address().to_string() };
        check(&case).await.with_context(|| format!("with the registry that is {}", mode.name()))?;
    }
    Ok(())
}

/// The repository an upload address belongs to.
fn repository_of(location: &str) -> Option<&str> {
    let (_, path) = location.split_once("/v2/")?;
    path.split_once("/blobs/uploads/").map(|(name, _)| name)
}

fn head(target: impl Into<String>) -> Request {
    Request::new(Method::HEAD, target)
}

fn post(target: impl Into<String>) -> Request {
    Request::new(Method::POST, target)
}

fn put(target: impl Into<String>) -> Request {
    Request::new(Method::PUT, target)
}

fn delete(target: impl Into<String>) -> Request {
    Request::new(Method::DELETE, target)
}

/// Bytes that are nobody else's, as a layer of an unknown type.
fn layer(seed: u64) -> Blob {
    Blob::new("application/vnd.example.layer", noise(seed, 3000))
}

/// The empty configuration, which most artifacts share.
fn empty_config() -> Blob {
    Blob::new("application/vnd.oci.empty.v1+json", &b"{}"[..])
}

/// An artifact of these parts, with more fields at its top level.
fn artifact_of(config: &Blob, layers: &[&Blob], more: &Value) -> Blob {
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example.artifact",
        "config": config.descriptor(),
        "layers": layers.iter().map(|layer| layer.descriptor()).collect::<Vec<_>>(),
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        manifest[key] = value.clone();
    }
    as_manifest(OCI_MANIFEST, &manifest)
}

/// A manifest with exactly this content.
fn as_manifest(media_type: &'static str, content: &Value) -> Blob {
    Blob::new(media_type, content.to_string().into_bytes())
}

/// The page that a `Link` leads to, if there is one.
fn next_page(answer: &Answer) -> anyhow::Result<Option<String>> {
    let Some(link) = answer.header("link") else { return Ok(None) };
    let (target, relation) = link.split_once(">;").context("a link has a target and a relation")?;
    anyhow::ensure!(relation.trim() == r#"rel="next""#, "{answer}");
    Ok(Some(target.trim_start_matches('<').to_owned()))
}
