//! Programs of others that the tests drive: where they are, which package brings them, what they said.
//!
//! *Invariant:* a missing program fails the test with the name of the Debian package that has it.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Finds a program, or says which Debian package has it.
pub fn find(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
        .with_context(|| format!("{name} is missing: install the Debian package {package}, or run tests/run"))
}

/// What a program said and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// The command line, without what went in through its input.
    pub command: String,
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output and standard error, one after the other.
    pub text: String,
    /// Standard output alone.
    pub output: String,
}

impl Said {
    /// Whether it ended with 0.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Insists on success; what was said is in the error otherwise.
    pub fn success(self) -> anyhow::Result<Self> {
        anyhow::ensure!(self.succeeded(), "{} ended with {:?}:\n{}", self.command, self.code, self.text);
        Ok(self)
    }

    /// Insists on failure, and returns what was said.
    pub fn failure(self) -> anyhow::Result<String> {
        anyhow::ensure!(!self.succeeded(), "{} succeeded:\n{}", self.command, self.text);
        Ok(self.text)
    }
}

/// Runs a command to its end, giving it `input` first. Kills it after ten minutes.
pub async fn run(command: &mut Command, input: &str) -> anyhow::Result<Said> {
    let line = format!("{:?}", command.as_std());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {line}"))?;
    let mut stdin = child.stdin.take().context("the child has no input")?;
    // A program that ends without reading its input is judged by its exit code, not by the broken pipe.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(Duration::from_mins(10), child.wait_with_output())
        .await
        .with_context(|| format!("{line} still runs after ten minutes"))??;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = format!("{out}{}", String::from_utf8_lossy(&output.stderr));
    Ok(Said { command: line, code: output.status.code(), text, output: out })
}

/// Asks again until `ready` says yes; fails with `what` after `at_most`.
pub async fn until<F: Future<Output = bool>>(
    what: &str,
    at_most: Duration,
    mut ready: impl FnMut() -> F,
) -> anyhow::Result<()> {
    let start = Instant::now();
    while !ready().await {
        anyhow::ensure!(start.elapsed() < at_most, "{what}: not so after {at_most:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A TCP port on the loopback address that was free a moment ago, and that the system gives to nobody who does not
/// ask for it by its number.
pub fn free_port() -> anyhow::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % u32::from(PORTS))?;
    for _ in 0..PORTS {
        let offset = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        if std::net::TcpListener::bind(("127.0.0.1", FIRST_PORT + offset)).is_ok() {
            return Ok(FIRST_PORT + offset);
        }
    }
    anyhow::bail!("no port from {FIRST_PORT} on is free")
}

/// Below the range from which connections and listeners without a wish get theirs.
const FIRST_PORT: u16 = 20_000;

const PORTS: u16 = 11_000;

/// A private folder with a path short enough for unix sockets inside; it is removed after the test run.
pub fn private_folder(purpose: &str) -> anyhow::Result<PathBuf> {
    // Lower case, because some clients take a path for a part of an image's name.
    let number = uuid::Uuid::new_v4().as_fields().0;
    let folder = PathBuf::from(format!("/tmp/pc-{purpose}-{number:08x}"));
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    crate::watchdog::remove_at_end(&folder)?;
    Ok(folder)
}
