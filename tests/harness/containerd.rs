//! A private containerd with its own client `ctr`, the way Kubernetes nodes pull.
//!
//! *Invariant:* only content and metadata are used; the plugins that need privileges or a network are off.

use std::path::PathBuf;
use std::process::{Command as StdCommand, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::program::{self, Said};
use crate::watchdog::Guarded;

/// A running containerd.
#[derive(Debug)]
pub struct Containerd {
    folder: PathBuf,
    client: PathBuf,
    _daemon: Guarded,
}

impl Containerd {
    /// Starts one.
    pub async fn start() -> anyhow::Result<Self> {
        let daemon = program::find("containerd", "containerd")?;
        let client = program::find("ctr", "containerd")?;
        let folder = program::private_folder("ctr")?;
        let at = folder.display();
        let config = format!(
            "version = 2\nroot = \"{at}/root\"\nstate = \"{at}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{at}/c.sock\"\n[ttrpc]\naddress = \"{at}/t.sock\"\n"
        );
        let config_file = folder.join("config.toml");
        std::fs::write(&config_file, config)?;
        let log = std::fs::File::create(folder.join("log"))?;
        let daemon = Guarded::spawn(
            StdCommand::new(daemon)
                .arg("--config")
                .arg(config_file)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log),
        )?;
        let containerd = Self { folder, client, _daemon: daemon };
        program::until("containerd answers", Duration::from_mins(1), || async {
            containerd.ctr(&["version"]).await.is_ok_and(|said| said.succeeded())
        })
        .await?;
        Ok(containerd)
    }

    /// Runs `ctr` with these words.
    pub async fn ctr(&self, words: &[&str]) -> anyhow::Result<Said> {
        let mut command = Command::new(&self.client);
        command.arg("--address").arg(self.folder.join("c.sock")).args(["--namespace", "test"]);
        program::run(command.args(words), "").await
    }
}
