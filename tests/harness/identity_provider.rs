//! A certified identity provider, `oidc-provider` from npm, on this machine.
//!
//! *Invariant:* the same versions each time, from the lock file beside it; people are in a file that it reads anew for
//! each question, so that what is true of them can change.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::program;
use crate::watchdog::Guarded;

/// What the provider calls the token server.
pub const CLIENT: &str = "portcullis";

/// How it knows it.
pub const SECRET: &str = "a secret of the tests: with % and &";

/// A provider that is running, or is about to.
#[derive(Debug)]
pub struct IdentityProvider {
    port: u16,
    folder: PathBuf,
    process: Option<Guarded>,
}

fn installed() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let lock = std::fs::read(root.join("tests/oidc-provider/package-lock.json"))?;
    let folder = root.join("target/oidc-provider");
    let is_there = std::fs::read(folder.join("installed.json")).is_ok_and(|installed| installed == lock);
    anyhow::ensure!(is_there, "oidc-provider is missing in {}: run tests/run", folder.display());
    Ok(folder)
}

impl IdentityProvider {
    /// One that has an address and does not answer yet.
    pub fn reserve() -> anyhow::Result<Self> {
        Ok(Self { port: program::free_port()?, folder: program::private_folder("idp")?, process: None })
    }

    /// Its address, as its tokens say it.
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Says who there is: an object of claims by what never changes of somebody.
    pub fn set_people(&self, people: &Value) -> anyhow::Result<()> {
        Ok(std::fs::write(self.folder.join("people.json"), people.to_string())?)
    }

    /// Starts it for a token server at this address, under this name in its settings.
    pub async fn start(&mut self, token_server: &str, name: &str) -> anyhow::Result<()> {
        let node = program::find("node", "nodejs")?;
        let config = self.folder.join("config.json");
        let said = json!({
            "issuer": self.issuer(),
            "port": self.port,
            "people": self.folder.join("people.json"),
            "idTokenClaims": false,
            "client": {
                "client_id": CLIENT,
                "client_secret": SECRET,
                "redirect_uris": [format!("{token_server}/signin/{name}/callback")],
                "post_logout_redirect_uris": [format!("{token_server}/signin")],
                "backchannel_logout_uri": format!("{token_server}/signin/{name}/logout"),
                "backchannel_logout_session_required": true
            }
        });
        std::fs::write(&config, said.to_string())?;
        // A module finds its packages beside itself.
        let installed = installed()?;
        let script = installed.join("provider.mjs");
        let log = std::fs::File::create(self.folder.join("log"))?;
        let mut command = Command::new(node);
        command.arg(script).arg(&config).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(Guarded::spawn(&mut command)?);
        let address = format!("{}/.well-known/openid-configuration", self.issuer());
        let ready = program::until("the identity provider answers", Duration::from_mins(1), || async {
            reqwest::get(&address).await.is_ok_and(|answer| answer.status().is_success())
        });
        ready.await.with_context(|| self.log())
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}
