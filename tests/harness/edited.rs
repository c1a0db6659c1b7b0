//! Servers whose settings a test changes before they start: proxies, key sources, the size of the hash queue.
//!
//! The files are those of [`crate::settings`], with single lines replaced, so that everything a test does
//! not name stays as in every other test.
//!
//! *Invariant:* a replacement that finds nothing to replace is an error, so that no test runs with other settings
//! than it believes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use shared::clock::ManualClock;
use shared::server::shutdown::Shutdown;
use token_server::domain::login::password::PasswordHasher;
use tokio::process::Command;
use tokio::sync::oneshot;

use crate::database::Database;
use crate::program::{self, Said};
use crate::server::{Server, Threaded, Which};
use crate::settings::{self, Auth, RegistryOptions, TokenServerOptions};
use crate::stack::password_of;

/// Replaces texts of a settings file.
fn edit(file: &Path, edits: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut text = std::fs::read_to_string(file)?;
    for (from, to) in edits {
        anyhow::ensure!(text.contains(from), "{} has no {from:?}", file.display());
        text = text.replacen(from, to, 1);
    }
    Ok(std::fs::write(file, text)?)
}

/// A registry in a thread, on the tree `images` in this folder.
pub async fn registry(
    folder: &Path,
    auth: Auth,
    edits: &[(&str, &str)],
    clock: &Arc<ManualClock>,
) -> anyhow::Result<Server> {
    let options = RegistryOptions {
        address: "127.0.0.1:0".into(),
        root: folder.join("images"),
        auth,
        more: String::new(),
    };
    let file = settings::write_registry(folder, &options)?;
    edit(&file, edits)?;
    Ok(Server::Thread(Threaded::start(Which::Registry, &file, clock.clone()).await?))
}

/// A token server in a thread, with its database and the hasher it checks passwords with.
#[derive(Debug)]
pub struct TokenServer {
    /// The clock it reads.
    pub clock: Arc<ManualClock>,
    /// What hashes its passwords; whoever else uses it takes places in the same queue.
    pub hasher: Arc<PasswordHasher>,
    address: SocketAddr,
    settings: PathBuf,
    shutdown: Shutdown,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
    // After the server, which is connected to it.
    database: Database,
    _folder: tempfile::TempDir,
}

type Started = (SocketAddr, Arc<PasswordHasher>);

impl TokenServer {
    /// Starts one with this YAML at the top level and these replacements.
    pub async fn start(more: &str, edits: &[(&str, &str)]) -> anyhow::Result<Self> {
        shared::server::jwt_crypto::install();
        let folder = tempfile::tempdir()?;
        let database = Database::create().await?;
        let settings = settings::write_token_server(
            folder.path(),
            &TokenServerOptions {
                address: "127.0.0.1:0".into(),
                database_url: database.url().to_owned(),
                token_lifetime: "300s",
                more: more.to_owned(),
            },
        )?;
        edit(&settings, edits)?;
        let (clock, shutdown) = (Arc::new(ManualClock::default()), Shutdown::default());
        let (ready, started) = oneshot::channel();
        let (file, time, stopping) = (settings.clone(), clock.clone(), shutdown.clone());
        let thread = std::thread::Builder::new()
            .name("token-server".into())
            .spawn(move || actix_web::rt::System::new().block_on(serve(file, time, stopping, ready)))?;
        let (address, hasher) = started.await.context("the token server does not start")?;
        let thread = Some(thread);
        Ok(Self { clock, hasher, address, settings, shutdown, thread, database, _folder: folder })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Runs `token-server` with these words, as an operator.
    pub async fn operator(&self, words: &[&str], input: &str) -> anyhow::Result<Said> {
        let mut command = Command::new(Which::TokenServer.binary()?);
        command.arg("--config").arg(&self.settings).args(words);
        program::run(&mut command, input).await?.success()
    }

    /// Makes a user with the usual password.
    pub async fn add_user(&self, name: &str) -> anyhow::Result<()> {
        let words = ["user", "add", name, "--password-stdin"];
        self.operator(&words, &format!("{}\n", password_of(name))).await?;
        Ok(())
    }
}

async fn serve(
    settings: PathBuf,
    clock: Arc<ManualClock>,
    shutdown: Shutdown,
    ready: oneshot::Sender<Started>,
) -> anyhow::Result<()> {
    let loaded = token_server::settings::load(Some(&settings), Vec::new())?;
    let settings = token_server::settings::TokenServerSettings::validate(&loaded)?;
    let server = token_server::app::TokenServer::build(settings, clock).await?;
    let address = server.address().tcp().context("a test listens on TCP")?;
    let _ = ready.send((address, server.password_hasher()));
    Ok(server.run(shutdown).await?)
}

impl Drop for TokenServer {
    #[expect(
        clippy::print_stderr,
        reason = "a destructor has no other way to tell the person reading the test"
    )]
    fn drop(&mut self) {
        // The second request says that open connections need not be waited for.
        self.shutdown.request();
        self.shutdown.request();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => eprintln!("a token server stopped with: {error:#}"),
            Some(Err(_)) => eprintln!("a token server panicked"),
            Some(Ok(Ok(()))) | None => {}
        }
    }
}
