//! Our credential helper at the side of a client, and a browser that only notes what it is told to open.
//!
//! *Invariant:* the logins of one helper are in its own folder, and no terminal is needed to begin one.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use url::Url;

use crate::program::{self, Said};
use crate::server;
use crate::watchdog;

const NAME: &str = "docker-credential-portcullis";

/// Where `pass` is, and what speaks to it: not installed, because docker would keep all logins there.
fn keyring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/keyring/usr/bin")
}

/// A helper with logins of its own.
#[derive(Debug)]
pub struct CredentialHelper {
    folder: PathBuf,
    binary: PathBuf,
    keyring: Option<&'static str>,
}

impl CredentialHelper {
    /// One that keeps its logins in a file.
    pub fn new() -> anyhow::Result<Self> {
        let folder = program::private_folder("helper")?;
        let browser = folder.join("browser");
        std::fs::write(&browser, format!("#!/bin/sh\necho \"$1\" >> {}\n", folder.join("opened").display()))?;
        std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o700))?;
        Ok(Self { folder, binary: server::built(NAME)?, keyring: None })
    }

    /// One that keeps them in the password store of `pass`, which is made for it.
    pub async fn in_pass() -> anyhow::Result<Self> {
        anyhow::ensure!(
            keyring().join("pass").exists(),
            "there is no keyring in {}: run tests/run",
            keyring().display()
        );
        let helper = Self { keyring: Some("pass"), ..Self::new()? };
        let gnupg = helper.folder.join("gnupg");
        std::fs::create_dir(&gnupg)?;
        std::fs::set_permissions(&gnupg, std::fs::Permissions::from_mode(0o700))?;
        let key = ["--batch", "--passphrase", "", "--quick-generate-key", "helper@portcullis.example"];
        watchdog::at_end(&format!("gpgconf --homedir '{}' --kill gpg-agent", gnupg.display()))?;
        helper.program(program::find("gpg", "gnupg")?, &key).await?.success()?;
        helper.program(keyring().join("pass"), &["init", "helper@portcullis.example"]).await?.success()?;
        Ok(helper)
    }

    /// Runs a program in the surroundings of this helper.
    async fn program(&self, path: PathBuf, words: &[&str]) -> anyhow::Result<Said> {
        let mut command = Command::new(path);
        program::run(command.envs(self.environment()).args(words), "").await
    }

    /// What a client must see of it, beside its entry `credHelpers`.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let beside = self.binary.parent().unwrap_or(Path::new("/"));
        let mut path = beside.as_os_str().to_owned();
        path.push(":");
        path.push(keyring());
        path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let below = |name: &str| self.folder.join(name).into_os_string();
        vec![
            ("PATH", path),
            ("PORTCULLIS_LOGIN", "always".into()),
            ("PORTCULLIS_CREDENTIALS", self.file().into()),
            ("PORTCULLIS_BROWSER", below("browser")),
            ("PORTCULLIS_KEYRING", self.keyring.unwrap_or_default().into()),
            ("PASSWORD_STORE_DIR", below("passwords")),
            ("GNUPGHOME", below("gnupg")),
        ]
    }

    /// The words by which clients start it.
    pub fn entry(registry: &str) -> serde_json::Value {
        serde_json::json!({"credHelpers": {registry: "portcullis"}})
    }

    /// Where it keeps logins.
    pub fn file(&self) -> PathBuf {
        self.folder.join("below/credentials.json")
    }

    /// Runs it as a client does.
    pub async fn run(&self, words: &[&str], input: &str) -> anyhow::Result<Said> {
        let mut command = Command::new(&self.binary);
        program::run(command.envs(self.environment()).args(words), input).await
    }

    /// All addresses that the browser was told to open.
    pub fn opened(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("opened")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until so many addresses were opened; the code in the last one.
    pub async fn code(&self, addresses: usize) -> anyhow::Result<String> {
        let opened = || async { self.opened().len() >= addresses };
        program::until("the browser is told to open an address", Duration::from_mins(1), opened).await?;
        let last: Url = self.opened().last().map(String::as_str).unwrap_or_default().parse()?;
        let code = last.query_pairs().find(|(name, _)| name == "code");
        code.map(|(_, code)| code.into_owned()).ok_or_else(|| anyhow::anyhow!("no code in {last}"))
    }
}
