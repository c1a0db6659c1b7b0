//! One server of ours, in a thread of the test or in a process of its own.
//!
//! In a thread it shares the test's clock, which the test can move. As a process it can be killed and measured.
//!
//! *Invariant:* a server is gone when its value is dropped, and a thread that ended with an error says so.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use shared::clock::ManualClock;
use shared::server::shutdown::Shutdown;
use token_server::domain::login::password::PasswordHasher;
use tokio::sync::oneshot;

use crate::client::http_client;
use crate::program;
use crate::watchdog::Guarded;

/// A program of ours that was built beside this test.
pub fn built(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    // target/debug/deps/it-… → target/debug; the development server lies in target/debug itself.
    let mut folders = test.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    folders
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is not built: run cargo build --workspace"))
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The binary `registry`.
    Registry,
    /// The binary `token-server`.
    TokenServer,
}

impl Which {
    /// Name of the binary.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::TokenServer => "token-server",
        }
    }

    /// The binary that was built beside this test.
    pub fn binary(self) -> anyhow::Result<PathBuf> {
        built(self.name())
    }

    /// The words after the binary that make it serve with these settings.
    pub fn arguments(self, settings: &Path) -> Vec<std::ffi::OsString> {
        match self {
            Self::Registry => vec!["serve".into(), settings.into()],
            Self::TokenServer => vec!["--config".into(), settings.into(), "serve".into()],
        }
    }
}

/// A server in a thread.
#[derive(Debug)]
pub struct Threaded {
    address: SocketAddr,
    hasher: Option<Arc<PasswordHasher>>,
    shutdown: Shutdown,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Threaded {
    /// Starts a server with settings from this file.
    pub async fn start(which: Which, settings: &Path, clock: Arc<ManualClock>) -> anyhow::Result<Self> {
        shared::server::jwt_crypto::install();
        let shutdown = Shutdown::default();
        let (stopping, settings) = (shutdown.clone(), settings.to_owned());
        let (ready, started) = oneshot::channel();
        let thread = std::thread::Builder::new().name(which.name().into()).spawn(move || {
            actix_web::rt::System::new().block_on(serve(which, settings, clock, stopping, ready))
        })?;
        if let Ok(Started { address, hasher }) = started.await {
            return Ok(Self { address, hasher, shutdown, thread: Some(thread) });
        }
        let outcome = thread.join().map_err(|_| anyhow::anyhow!("{} panicked", which.name()))?;
        let error = outcome.err().unwrap_or_else(|| anyhow::anyhow!("it stopped at once"));
        Err(error.context(format!("{} does not start", which.name())))
    }
}

/// What a server in a thread tells the test.
struct Started {
    address: SocketAddr,
    hasher: Option<Arc<PasswordHasher>>,
}

async fn serve(
    which: Which,
    settings: PathBuf,
    clock: Arc<ManualClock>,
    shutdown: Shutdown,
    ready: oneshot::Sender<Started>,
) -> anyhow::Result<()> {
    // Variables of the machine are not for servers in a test.
    let environment = Vec::new();
    match which {
        Which::Registry => {
            let (settings, ..) = registry::settings::load(Some(&settings), environment)?;
            let server = registry::app::Registry::build(settings, clock)?;
            let address = server.address().tcp().context("a test listens on TCP")?;
            let _ = ready.send(Started { address, hasher: None });
            server.run(shutdown).await?;
        }
        Which::TokenServer => {
            let loaded = token_server::settings::load(Some(&settings), environment)?;
            let settings = token_server::settings::TokenServerSettings::validate(&loaded)?;
            let server = token_server::app::TokenServer::build(settings, clock).await?;
            let hasher = Some(server.password_hasher());
            let address = server.address().tcp().context("a test listens on TCP")?;
            let _ = ready.send(Started { address, hasher });
            server.run(shutdown).await?;
        }
    }
    Ok(())
}

impl Drop for Threaded {
    #[expect(
        clippy::print_stderr,
        reason = "a destructor has no other way to tell the person reading the test"
    )]
    fn drop(&mut self) {
        // The second request says that open connections need not be waited for.
        self.shutdown.request();
        self.shutdown.request();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => eprintln!("a server stopped with: {error:#}"),
            Some(Err(_)) => eprintln!("a server panicked"),
            Some(Ok(Ok(()))) | None => {}
        }
    }
}

/// A server in a process.
#[derive(Debug)]
pub struct Process {
    which: Which,
    settings: PathBuf,
    address: SocketAddr,
    log: PathBuf,
    running: Guarded,
}

impl Process {
    /// Starts a server that will listen on `address`, as its settings say, and waits until it is ready.
    pub async fn start(which: Which, settings: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        let log = settings.with_extension("log");
        let running = spawn(which, settings, &log)?;
        let mut server = Self { which, settings: settings.to_owned(), address, log, running };
        server.wait_until_ready().await?;
        Ok(server)
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        self.wait_until_it_answers("/readyz").await
    }

    async fn wait_until_it_answers(&mut self, path: &str) -> anyhow::Result<()> {
        let http = http_client()?;
        let url = format!("http://{}{path}", self.address);
        let ready = program::until(path, Duration::from_secs(30), || async {
            http.get(&url).send().await.is_ok_and(|response| response.status().is_success())
        });
        let outcome = ready.await;
        if outcome.is_err() || !self.running.is_running() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            anyhow::bail!("{} does not answer {path} with success: {log}", self.which.name());
        }
        Ok(())
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.running.kill()
    }

    /// Starts it again with the same settings.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.running.kill()?;
        self.running = spawn(self.which, &self.settings, &self.log)?;
        self.wait_until_ready().await
    }

    /// Starts it again and waits only until it answers, for a server that cannot become ready yet.
    pub async fn restart_unready(&mut self) -> anyhow::Result<()> {
        self.running.kill()?;
        self.running = spawn(self.which, &self.settings, &self.log)?;
        self.wait_until_it_answers("/healthz").await
    }

    /// What it logged since its first start.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    /// The processor time it has used: work, which does not depend on what else the machine does.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
        let (_, fields) = stat.rsplit_once(") ").context("an unreadable /proc/PID/stat")?;
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        // Linux counts a hundred ticks a second on every platform it shows to programs.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Its anonymous memory in KiB: what it allocated, without files the kernel holds for it.
    pub fn anonymous_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.context("no RssAnon in /proc")?.parse().context("RssAnon is a number")
    }
}

fn spawn(which: Which, settings: &Path, log: &Path) -> anyhow::Result<Guarded> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
    let mut command = Command::new(which.binary()?);
    command.args(which.arguments(settings)).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Guarded::spawn(&mut command)
}

/// A server, however it runs.
#[derive(Debug)]
pub enum Server {
    /// In a thread.
    Thread(Threaded),
    /// In a process.
    Process(Process),
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Thread(server) => server.address,
            Self::Process(server) => server.address,
        }
    }

    /// How many passwords a token server in a thread has hashed so far.
    pub fn hash_runs(&self) -> u64 {
        match self {
            Self::Thread(Threaded { hasher: Some(hasher), .. }) => hasher.runs(),
            Self::Thread(_) | Self::Process(_) => 0,
        }
    }

    /// The process; an error for a thread.
    pub fn process(&mut self) -> anyhow::Result<&mut Process> {
        match self {
            Self::Thread(_) => anyhow::bail!("this server runs in a thread of the test"),
            Self::Process(server) => Ok(server),
        }
    }
}
