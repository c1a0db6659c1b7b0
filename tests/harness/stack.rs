//! Both servers wired together, with a database, a clock and a folder of their own.
//!
//! People and rights are made with the command line of the token server, as an operator makes them.
//!
//! *Invariant:* two stacks share nothing but the database cluster.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shared::clock::ManualClock;
use tokio::process::Command;

use crate::client::{OciClient, basic};
use crate::database::Database;
use crate::forge::Forge;
use crate::gate::Gate;
use crate::program::{self, Said};
use crate::server::{Process, Server, Threaded, Which};
use crate::settings::{self, Auth, RegistryOptions, TokenServerOptions};

/// What signs the state of uploads in the settings of every test.
const SECRET: &str = "of-a-test";

/// How a stack differs from the usual one.
#[derive(Clone, Debug)]
pub struct StackOptions {
    /// Whether the servers are processes, which can be killed and measured, or threads, whose clock can be moved.
    pub processes: bool,
    /// Lifetime of tokens.
    pub token_lifetime: &'static str,
    /// Whether clients get their tokens through the registry's own address.
    pub same_origin: bool,
    /// Whether the token server reaches its database through a [`Gate`].
    pub gated_database: bool,
    /// What signs the state of uploads; without it the registry makes one up at each start.
    pub registry_secret: Option<&'static str>,
    /// Whether the registry follows the feed of revocations; what counts without it.
    pub feed: Option<&'static str>,
    /// Where the token server listens.
    pub port: Port,
    /// More YAML for the token server.
    pub token_server_more: String,
    /// More YAML for the registry.
    pub registry_more: String,
}

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Anywhere.
    Any,
    /// Where it is known before it starts: `{url}` in the YAML for the token server stands for its address.
    Known,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            processes: false,
            token_lifetime: "300s",
            same_origin: false,
            gated_database: false,
            registry_secret: Some(SECRET),
            feed: None,
            port: Port::Any,
            token_server_more: String::new(),
            registry_more: String::new(),
        }
    }
}

/// A token server and a registry.
#[derive(Debug)]
pub struct Stack {
    /// The clock of both, when they are threads.
    pub clock: Arc<ManualClock>,
    /// The registry.
    pub registry: Server,
    /// The token server.
    pub token_server: Server,
    /// The database of the token server.
    pub database: Database,
    /// What stands between the two, when that was asked for.
    pub gate: Option<Gate>,
    settings: PathBuf,
    // Last, so that the servers are gone before their files.
    folder: tempfile::TempDir,
}

impl Stack {
    /// The usual stack.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(StackOptions::default()).await
    }

    /// A stack with everything chosen.
    pub async fn with(options: StackOptions) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock = Arc::new(ManualClock::default());
        let database = Database::create().await?;
        let gate = if options.gated_database { Some(Gate::before(database.url())?) } else { None };
        let address = any_address(options.processes || options.port == Port::Known)?;
        let feed = match options.feed {
            Some(_) => format!("\nrevocations:\n  secret: {}\n", settings::FEED_SECRET),
            None => String::new(),
        };
        let settings = settings::write_token_server(
            folder.path(),
            &TokenServerOptions {
                address: address.to_string(),
                database_url: gate.as_ref().map_or(database.url(), Gate::url).to_owned(),
                token_lifetime: options.token_lifetime,
                more: options
                    .token_server_more
                    .replace("{url}", &format!("http://{address}"))
                    .replace("{port}", &address.port().to_string())
                    + &feed,
            },
        )?;
        let token_server = start(Which::TokenServer, &settings, address, &clock, options.processes).await?;
        let auth = Auth::TokenServer {
            url: format!("http://{}", token_server.address()),
            same_origin: options.same_origin,
            feed: options.feed,
        };
        let registry = start_registry(
            folder.path(),
            &folder.path().join("images"),
            auth,
            options.registry_secret,
            &options.registry_more,
            &clock,
            options.processes,
        )
        .await?;
        Ok(Self { clock, registry, token_server, database, gate, settings, folder })
    }

    /// `host:port` of the registry.
    pub fn registry_address(&self) -> String {
        self.registry.address().to_string()
    }

    /// The registry as a URL.
    pub fn registry_url(&self) -> String {
        format!("http://{}", self.registry.address())
    }

    /// The token server as a URL.
    pub fn token_server_url(&self) -> String {
        format!("http://{}", self.token_server.address())
    }

    /// The folder of the images.
    pub fn images(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    /// A folder for whatever else the test writes.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The settings file of the token server.
    pub fn token_server_settings(&self) -> &Path {
        &self.settings
    }

    /// Runs `token-server` with these words, as an operator.
    pub async fn operator(&self, words: &[&str], input: &str) -> anyhow::Result<Said> {
        let mut command = Command::new(Which::TokenServer.binary()?);
        command.arg("--config").arg(&self.settings).args(words);
        program::run(&mut command, input).await
    }

    /// Makes a user; the password is told in [`password_of`].
    pub async fn add_user(&self, name: &str) -> anyhow::Result<()> {
        let words = ["user", "add", name, "--password-stdin"];
        self.operator(&words, &format!("{}\n", password_of(name))).await?.success()?;
        Ok(())
    }

    /// Makes a team with these members.
    pub async fn add_team(&self, name: &str, members: &[&str]) -> anyhow::Result<()> {
        self.operator(&["team", "add", name], "").await?.success()?;
        for member in members {
            self.operator(&["team", "member", "add", name, member], "").await?.success()?;
        }
        Ok(())
    }

    /// Gives a right.
    pub async fn grant(&self, subject: &str, role: &str, pattern: &str) -> anyhow::Result<()> {
        self.operator(&["grant", "add", subject, role, pattern], "").await?.success()?;
        Ok(())
    }

    /// A client of the registry with a user's credentials.
    pub fn client(&self, user: &str) -> anyhow::Result<OciClient> {
        OciClient::new(&self.registry_url(), user, &password_of(user))
    }

    /// A client of the registry without credentials.
    pub fn anonymous(&self) -> anyhow::Result<OciClient> {
        OciClient::anonymous(&self.registry_url())
    }
}

/// The password of every test user of that name.
pub fn password_of(user: &str) -> String {
    format!("correct horse of {user}")
}

/// The `Authorization` header of a test user.
pub fn basic_of(user: &str) -> String {
    basic(user, &password_of(user))
}

/// A registry without a token server of ours.
#[derive(Debug)]
pub struct LoneRegistry {
    /// The clock, when it is a thread.
    pub clock: Arc<ManualClock>,
    /// The registry.
    pub server: Server,
    _folder: tempfile::TempDir,
}

impl LoneRegistry {
    /// Starts one on this tree.
    pub async fn start(root: &Path, auth: Auth) -> anyhow::Result<Self> {
        Self::start_with(root, auth, "").await
    }

    /// Starts one that trusts the key of this forge; the key set and the images are kept in the folder.
    pub async fn trusting(forge: &Forge, profile: &'static str, folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("keys.json");
        std::fs::write(&file, forge.key_set()?)?;
        Self::start(&folder.join("images"), Auth::Keys { file, profile }).await
    }

    /// Starts one on this tree with more YAML.
    pub async fn start_with(root: &Path, auth: Auth, more: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock = Arc::new(ManualClock::default());
        let server = start_registry(folder.path(), root, auth, Some(SECRET), more, &clock, false).await?;
        Ok(Self { clock, server, _folder: folder })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// A client with the usual password of this user.
    pub fn client(&self, user: &str) -> anyhow::Result<OciClient> {
        OciClient::new(&self.url(), user, &password_of(user))
    }
}

async fn start_registry(
    folder: &Path,
    root: &Path,
    auth: Auth,
    secret: Option<&str>,
    more: &str,
    clock: &Arc<ManualClock>,
    process: bool,
) -> anyhow::Result<Server> {
    let address = any_address(process)?;
    let settings = settings::write_registry(
        folder,
        &RegistryOptions { address: address.to_string(), root: root.into(), auth, more: more.into() },
    )?;
    let line = secret.map(|secret| format!("  secret: {secret}\n")).unwrap_or_default();
    replace(&settings, &format!("  secret: {SECRET}\n"), &line)?;
    start(Which::Registry, &settings, address, clock, process).await
}

/// Changes one place of a settings file.
fn replace(file: &Path, from: &str, to: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file)?;
    anyhow::ensure!(text.contains(from), "{} has no {from:?}", file.display());
    Ok(std::fs::write(file, text.replacen(from, to, 1))?)
}

/// A thread reports the port it got; a process has to be told one.
fn any_address(process: bool) -> anyhow::Result<SocketAddr> {
    let port = if process { program::free_port()? } else { 0 };
    Ok(([127, 0, 0, 1], port).into())
}

async fn start(
    which: Which,
    settings: &Path,
    address: SocketAddr,
    clock: &Arc<ManualClock>,
    process: bool,
) -> anyhow::Result<Server> {
    if process {
        return Ok(Server::Process(Process::start(which, settings, address).await?));
    }
    Ok(Server::Thread(Threaded::start(which, settings, clock.clone()).await?))
}
