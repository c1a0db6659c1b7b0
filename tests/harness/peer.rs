//! The distribution registry itself, from Debian's package `docker-registry`: the yardstick for interoperability.
//!
//! *Invariant:* it runs on the tree and with the sections a test gives it, and on nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::client::http_client;
use crate::program::{self, Said};
use crate::watchdog::Guarded;

/// Runs its garbage collection on a tree that nobody serves.
pub async fn collect_garbage(root: &Path, flags: &[&str]) -> anyhow::Result<Said> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.yml");
    let text = format!("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n", root.display());
    std::fs::write(&config, text)?;
    let mut command = tokio::process::Command::new(program::find("docker-registry", "docker-registry")?);
    program::run(command.arg("garbage-collect").args(flags).arg(config), "").await
}

/// A running distribution registry.
#[derive(Debug)]
pub struct Peer {
    address: String,
    _folder: tempfile::TempDir,
    process: Guarded,
}

impl Peer {
    /// Starts one on this tree; `more` is appended to its configuration, for example an `auth:` section.
    pub async fn start(root: &Path, more: &str) -> anyhow::Result<Self> {
        Self::start_with(root, "", more).await
    }

    /// Starts one that signs the state of uploads with this secret.
    pub async fn start_with_secret(root: &Path, secret: &str) -> anyhow::Result<Self> {
        Self::start_with(root, &format!("  secret: {secret}\n"), "").await
    }

    async fn start_with(root: &Path, http: &str, more: &str) -> anyhow::Result<Self> {
        let binary: PathBuf = program::find("docker-registry", "docker-registry")?;
        let folder = tempfile::tempdir()?;
        let address = format!("127.0.0.1:{}", program::free_port()?);
        let config = format!(
            "version: 0.1\nlog:\n  level: warn\nhttp:\n  addr: {address}\n{http}storage:\n  filesystem:\n    \
             rootdirectory: {}\n  delete:\n    enabled: true\n{more}\n",
            root.display()
        );
        let config_file = folder.path().join("config.yml");
        std::fs::write(&config_file, config)?;
        let log_file = folder.path().join("log");
        let log = std::fs::File::create(&log_file)?;
        let process = Guarded::spawn(
            Command::new(binary)
                .arg("serve")
                .arg(&config_file)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log),
        )?;
        let http = http_client()?;
        let url = format!("http://{address}/v2/");
        let ready = program::until("the distribution registry answers", Duration::from_secs(30), || async {
            http.get(&url).send().await.is_ok()
        });
        if let Err(error) = ready.await {
            let log = std::fs::read_to_string(log_file).unwrap_or_default();
            return Err(error.context(format!("the distribution registry said: {log}")));
        }
        Ok(Self { address, _folder: folder, process })
    }

    /// Its `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops it, so that its tree can be given to another.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.process.signal("TERM")?;
        self.process.wait(Duration::from_secs(20))?;
        Ok(())
    }
}
