//! nginx from Debian, set up with the recipe of the registry's manual.
//!
//! *Invariant:* what differs from the manual is what must differ on a test machine: port, certificate and the address
//! of the registry.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::program;
use crate::watchdog::Guarded;

const MANUAL: &str = include_str!("../../registry/README.md");

/// A running proxy.
#[derive(Debug)]
pub struct Nginx {
    address: String,
    _process: Guarded,
}

impl Nginx {
    /// Starts one before `upstream`, such as `http://127.0.0.1:5000` or `http://unix:/path:`.
    pub async fn before(upstream: &str) -> anyhow::Result<Self> {
        let binary = program::find("nginx", "nginx-light")?;
        let folder = program::private_folder("nginx")?;
        let address = format!("127.0.0.1:{}", program::free_port()?);
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
        std::fs::write(folder.join("certificate.pem"), made.cert.pem())?;
        let path = |name: &str| folder.join(name).display().to_string();
        let mut server = recipe()?;
        for (from, to) in [
            ("listen 443 ssl http2;", format!("listen {address} ssl http2;")),
            ("/etc/ssl/registry/certificate.pem", path("certificate.pem")),
            ("/etc/ssl/registry/key.pem", path("key.pem")),
            ("http://127.0.0.1:5000", upstream.to_owned()),
        ] {
            anyhow::ensure!(server.contains(from), "the recipe of the manual has no {from:?}");
            server = server.replacen(from, &to, 1);
        }
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", path(kind)))
            .concat();
        let log = path("log");
        let config = format!(
            "daemon off;\nmaster_process off;\npid {};\nerror_log {log} warn;\nevents {{}}\nhttp {{\naccess_log off;\n\
             {temporary}{server}}}\n",
            path("pid")
        );
        let file: PathBuf = folder.join("nginx.conf");
        std::fs::write(&file, config)?;
        let mut command = Command::new(binary);
        command.arg("-c").arg(&file).arg("-p").arg(&folder).arg("-e").arg(&log).stdin(Stdio::null());
        let process = Guarded::spawn(&mut command)?;
        let ready = program::until("nginx answers", Duration::from_secs(20), || async {
            tokio::net::TcpStream::connect(&address).await.is_ok()
        });
        if let Err(error) = ready.await {
            return Err(error.context(std::fs::read_to_string(&log).unwrap_or_default()));
        }
        Ok(Self { address, _process: process })
    }

    /// Its `host:port`; it speaks TLS.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// The block of the manual that people copy.
fn recipe() -> anyhow::Result<String> {
    let (_, rest) = MANUAL.split_once("```nginx\n").context("the manual has no recipe for nginx")?;
    let (recipe, _) = rest.split_once("```").context("the recipe has no end")?;
    Ok(recipe.to_owned())
}
