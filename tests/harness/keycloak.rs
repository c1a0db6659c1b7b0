//! Keycloak, as its makers distribute it, with one realm and what a manual for it would have an operator set.
//!
//! *Invariant:* each is a copy of its own with its database in memory, and is gone with this value.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::identity_provider::{CLIENT, SECRET};
use crate::program;
use crate::watchdog::Guarded;

/// The password of everybody in the realm.
pub const PASSWORD: &str = "a password at Keycloak";

/// A server that is running, or is about to.
#[derive(Debug)]
pub struct Keycloak {
    port: u16,
    folder: PathBuf,
    process: Option<Guarded>,
}

fn installed() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let wanted = std::fs::read(root.join("tests/keycloak/pom.xml"))?;
    let folder = root.join("target/keycloak");
    let is_there = std::fs::read(folder.join("installed.xml")).is_ok_and(|installed| installed == wanted);
    anyhow::ensure!(is_there, "Keycloak is missing in {}: run tests/run", folder.display());
    Ok(folder.join("server"))
}

impl Keycloak {
    /// One that has an address and does not answer yet.
    pub fn reserve() -> anyhow::Result<Self> {
        Ok(Self { port: program::free_port()?, folder: program::private_folder("keycloak")?, process: None })
    }

    /// The address of the realm, as its tokens say it.
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}/realms/acme", self.port)
    }

    /// Starts it for a token server at this address, under this name in its settings.
    pub async fn start(&mut self, token_server: &str, name: &str) -> anyhow::Result<()> {
        let home = self.folder.join("server");
        let copied =
            Command::new("cp").arg("--recursive").arg(installed()?).arg(&home).status().context("no cp")?;
        anyhow::ensure!(copied.success(), "Keycloak cannot be copied");
        let import = home.join("data/import");
        std::fs::create_dir_all(&import)?;
        let mapper = json!({
            "name": "groups", "protocol": "openid-connect", "protocolMapper": "oidc-group-membership-mapper",
            "config": {"claim.name": "groups", "full.path": "false", "id.token.claim": "true"}
        });
        let realm = json!({
            "realm": "acme", "enabled": true, "sslRequired": "none",
            "groups": [{"name": "devs"}],
            "users": [{
                "username": "carol", "firstName": "Carol", "lastName": "Acme", "email": "carol@acme.example",
                "emailVerified": true, "enabled": true, "groups": ["/devs"], "realmRoles": ["offline_access"],
                "credentials": [{"type": "password", "value": PASSWORD, "temporary": false}]
            }],
            "clients": [{
                "clientId": CLIENT, "secret": SECRET, "enabled": true, "standardFlowEnabled": true,
                "redirectUris": [format!("{token_server}/signin/{name}/callback")],
                "attributes": {
                    "backchannel.logout.url": format!("{token_server}/signin/{name}/logout"),
                    "backchannel.logout.session.required": "true",
                    "post.logout.redirect.uris": format!("{token_server}/signin"),
                    "pkce.code.challenge.method": "S256"
                },
                "protocolMappers": [mapper]
            }]
        });
        std::fs::write(import.join("acme.json"), realm.to_string())?;
        let log = std::fs::File::create(self.folder.join("log"))?;
        let mut command = Command::new(home.join("bin/kc.sh"));
        command
            .args(["start-dev", "--import-realm", "--db=dev-mem", "--http-host=127.0.0.1"])
            .arg(format!("--http-port={}", self.port))
            .env("JAVA_OPTS_KC_HEAP", "-Xms64m -Xmx512m")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        self.process = Some(Guarded::spawn(&mut command)?);
        let address = format!("{}/.well-known/openid-configuration", self.issuer());
        let ready = program::until("Keycloak answers", Duration::from_mins(5), || async {
            reqwest::get(&address).await.is_ok_and(|answer| answer.status().is_success())
        });
        ready.await.with_context(|| std::fs::read_to_string(self.folder.join("log")).unwrap_or_default())
    }
}
