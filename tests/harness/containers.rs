//! skopeo, podman and buildah, each person with private storage and a credentials file of their own.
//!
//! *Invariant:* nothing outside the person's folder is written, and no namespace or container is needed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::credential_helper::CredentialHelper;
use crate::program::{self, Said};

/// Someone using the tools of the containers project.
#[derive(Debug)]
pub struct ContainersPerson {
    folder: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

impl ContainersPerson {
    /// Someone with empty storage who is not logged in.
    pub fn new() -> anyhow::Result<Self> {
        let folder = program::private_folder("oci")?;
        let policy = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;
        std::fs::write(folder.join("policy.json"), policy)?;
        std::fs::write(folder.join("registries.conf"), "unqualified-search-registries = []\n")?;
        // A search insists on the file.
        std::fs::write(folder.join("auth.json"), "{}")?;
        Ok(Self { folder, environment: Vec::new() })
    }

    /// The same person, whose logins at this registry are kept by a helper.
    pub fn with_helper(mut self, helper: &CredentialHelper, registry: &str) -> anyhow::Result<Self> {
        std::fs::write(self.folder.join("auth.json"), CredentialHelper::entry(registry).to_string())?;
        self.environment = helper.environment();
        Ok(self)
    }

    /// A folder of this person, for layouts and archives.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(program::find(program, program)?);
        command
            .env("REGISTRY_AUTH_FILE", self.folder.join("auth.json"))
            .env("CONTAINERS_REGISTRIES_CONF", self.folder.join("registries.conf"))
            .env("XDG_RUNTIME_DIR", &self.folder)
            .env("TMPDIR", &self.folder)
            .env("BUILDAH_ISOLATION", "chroot")
            .envs(self.environment.iter().cloned());
        Ok(command)
    }

    fn with_storage(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = self.command(program)?;
        command
            .arg("--root")
            .arg(self.folder.join("root"))
            .arg("--runroot")
            .arg(self.folder.join("run"))
            .arg("--storage-driver=vfs");
        Ok(command)
    }

    /// Runs `skopeo` with these words; `--policy` and `--tmpdir` are given.
    pub async fn skopeo(&self, words: &[&str]) -> anyhow::Result<Said> {
        let mut command = self.command("skopeo")?;
        command.arg("--policy").arg(self.folder.join("policy.json"));
        program::run(command.args(words), "").await
    }

    /// Runs `podman` with these words on this person's storage.
    pub async fn podman(&self, words: &[&str]) -> anyhow::Result<Said> {
        program::run(self.with_storage("podman")?.args(words), "").await
    }

    /// Runs `buildah` with these words on this person's storage.
    pub async fn buildah(&self, words: &[&str]) -> anyhow::Result<Said> {
        program::run(self.with_storage("buildah")?.args(words), "").await
    }

    /// `podman login` with the password on standard input.
    pub async fn podman_login(&self, registry: &str, user: &str, password: &str) -> anyhow::Result<Said> {
        let mut command = self.with_storage("podman")?;
        command.args(["login", "--tls-verify=false", "--username", user, "--password-stdin", registry]);
        program::run(&mut command, password).await
    }

    /// `skopeo login` with the password on standard input.
    pub async fn skopeo_login(&self, registry: &str, user: &str, password: &str) -> anyhow::Result<Said> {
        let mut command = self.command("skopeo")?;
        command.args(["login", "--tls-verify=false", "--username", user, "--password-stdin", registry]);
        program::run(&mut command, password).await
    }
}
