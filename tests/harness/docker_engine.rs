//! A Docker engine of our own, shared by the tests of one run, and people who use it.
//!
//! The engine has private data, exec and socket paths and touches no network settings, so it runs beside one that
//! is already there. Each person has a `DOCKER_CONFIG` folder, so logins do not mix.
//!
//! *Invariant:* images of different tests have different names, because they share the engine's store.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::credential_helper::CredentialHelper;
use crate::images::Image;
use crate::layout;
use crate::program::{self, Said};
use crate::watchdog::{self, Guarded};

static ENGINE: OnceCell<DockerEngine> = OnceCell::const_new();

/// A running engine.
#[derive(Debug)]
pub struct DockerEngine {
    folder: PathBuf,
    client: PathBuf,
    daemon: Mutex<Guarded>,
}

impl DockerEngine {
    /// The engine of this test run.
    pub async fn shared() -> anyhow::Result<&'static Self> {
        ENGINE.get_or_try_init(Self::start).await
    }

    async fn start() -> anyhow::Result<Self> {
        let dockerd = program::find("dockerd", "docker.io")?;
        let client = program::find("docker", "docker.io")?;
        let folder = program::private_folder("docker")?;
        // The engine's mounts must be gone before its folder can be removed; notes run newest first.
        watchdog::at_end(&format!(
            "findmnt -rno TARGET | grep '^{}' | sort -r | xargs -r umount -l",
            folder.display()
        ))?;
        let log = std::fs::File::create(folder.join("log"))?;
        let socket = folder.join("docker.sock");
        let daemon = Guarded::spawn(
            StdCommand::new(dockerd)
                .arg("--data-root")
                .arg(folder.join("data"))
                .arg("--exec-root")
                .arg(folder.join("exec"))
                .arg("--pidfile")
                .arg(folder.join("pid"))
                .arg("--host")
                .arg(format!("unix://{}", socket.display()))
                .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log),
        )?;
        let engine = Self { folder, client, daemon: Mutex::new(daemon) };
        let ready = program::until("the Docker engine answers", Duration::from_mins(1), || async {
            let info = engine.command(&engine.folder.join("nobody")).arg("info").output().await;
            info.is_ok_and(|output| output.status.success())
        });
        if let Err(error) = ready.await {
            let log = std::fs::read_to_string(engine.folder.join("log")).unwrap_or_default();
            return Err(error.context(format!("the Docker engine said: {log}")));
        }
        Ok(engine)
    }

    /// Whether the engine is still there.
    pub fn is_running(&self) -> bool {
        self.daemon.lock().is_ok_and(|mut daemon| daemon.is_running())
    }

    fn command(&self, config: &Path) -> Command {
        let mut command = Command::new(&self.client);
        command
            // Whoever has a keyring on their machine has no logins of tests in it.
            .env("PATH", &self.folder)
            .env("DOCKER_HOST", format!("unix://{}", self.folder.join("docker.sock").display()))
            .env("DOCKER_CONFIG", config)
            .env("DOCKER_BUILDKIT", "0");
        command
    }

    /// Someone at a terminal with a configuration folder of their own.
    pub fn person(&'static self) -> anyhow::Result<DockerPerson> {
        let config = tempfile::tempdir()?;
        Ok(DockerPerson { engine: self, config, environment: Vec::new() })
    }
}

/// Someone using the engine.
#[derive(Debug)]
pub struct DockerPerson {
    engine: &'static DockerEngine,
    config: tempfile::TempDir,
    environment: Vec<(&'static str, OsString)>,
}

impl DockerPerson {
    /// The same person, whose logins at this registry are kept by a helper.
    pub fn with_helper(mut self, helper: &CredentialHelper, registry: &str) -> anyhow::Result<Self> {
        std::fs::write(
            self.config.path().join("config.json"),
            CredentialHelper::entry(registry).to_string(),
        )?;
        self.environment = helper.environment();
        Ok(self)
    }

    fn command(&self) -> Command {
        let mut command = self.engine.command(self.config.path());
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Runs `docker` with these words.
    pub async fn docker(&self, words: &[&str]) -> anyhow::Result<Said> {
        program::run(self.command().args(words), "").await
    }

    /// `docker login` with the password on standard input.
    pub async fn login(&self, registry: &str, user: &str, password: &str) -> anyhow::Result<Said> {
        let mut command = self.command();
        command.args(["login", "--username", user, "--password-stdin", registry]);
        program::run(&mut command, password).await
    }

    /// Loads an image into the engine's store under this reference.
    pub async fn load(&self, image: &Image, reference: &str) -> anyhow::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        layout::write_docker_archive(file.path(), image, reference)?;
        let path = file.path().to_str().context("a temporary path is text")?;
        self.docker(&["load", "--quiet", "--input", path]).await?.success()?;
        Ok(())
    }

    /// Pushes an image under `name` and pulls it again, after the engine has forgotten it.
    pub async fn push_and_pull(&self, image: &Image, name: &str) -> anyhow::Result<()> {
        self.load(image, name).await?;
        let id = self.image_id(name).await?;
        self.docker(&["push", name]).await?.success()?;
        self.forget(name).await?;
        self.docker(&["pull", name]).await?.success()?;
        anyhow::ensure!(self.image_id(name).await? == id, "{name} came back as another image");
        Ok(())
    }

    /// Forgets an image, so that the next pull fetches every layer.
    pub async fn forget(&self, reference: &str) -> anyhow::Result<()> {
        self.docker(&["image", "rm", "--force", reference]).await?.success()?;
        Ok(())
    }

    /// The id of an image in the store, which is the digest of its configuration.
    pub async fn image_id(&self, reference: &str) -> anyhow::Result<String> {
        let said = self.docker(&["image", "inspect", "--format", "{{.Id}}", reference]).await?.success()?;
        Ok(said.output.trim().to_owned())
    }

    /// Stores a user and a password the way old clients and build scripts do, without asking the registry.
    pub fn store_password(&self, registry: &str, user: &str, password: &str) -> anyhow::Result<()> {
        let auth = STANDARD.encode(format!("{user}:{password}"));
        let config = serde_json::json!({"auths": {registry: {"auth": auth}}});
        std::fs::write(self.config.path().join("config.json"), config.to_string())?;
        Ok(())
    }

    /// What is stored for this person, as JSON.
    pub fn stored_credentials(&self) -> anyhow::Result<serde_json::Value> {
        let text = std::fs::read_to_string(self.config.path().join("config.json"))?;
        Ok(serde_json::from_str(&text)?)
    }
}
