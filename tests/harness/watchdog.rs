//! What must not outlive the test run, however the run ends.
//!
//! A shell in a session of its own reads notes from a pipe and acts on them when the pipe closes, which happens
//! when the run ends, is interrupted or is killed. Destructors cannot do this: statics are never dropped, and
//! nothing is dropped after `kill -9`.
//!
//! *Invariant:* a process that was reaped is struck off before its number can belong to somebody else.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::Context as _;

// Notes are `kill <pid>`, `reaped <pid>`, `run <command>`. Processes get a second to leave, then the commands run,
// the newest first.
const SCRIPT: &str = r#"
declare -A pids; commands=()
while read -r note rest; do
  case $note in
    kill) pids[$rest]=1 ;;
    reaped) unset "pids[$rest]" ;;
    run) commands=("$rest" "${commands[@]}") ;;
  esac
done
for pid in "${!pids[@]}"; do kill -TERM "$pid"; done
for _ in 1 2 3 4 5 6 7 8 9 10; do
  alive=0; for pid in "${!pids[@]}"; do kill -0 "$pid" && alive=1; done
  [ $alive = 0 ] && break; sleep 0.1
done
for pid in "${!pids[@]}"; do kill -KILL "$pid"; done
for command in "${commands[@]}"; do bash -c "$command"; done
"#;

static PIPE: LazyLock<Result<Mutex<ChildStdin>, std::io::Error>> = LazyLock::new(|| {
    let mut child = Command::new("setsid")
        .args(["bash", "-c", SCRIPT])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    child.stdin.take().map(Mutex::new).ok_or_else(|| std::io::Error::other("the watchdog has no pipe"))
});

fn note(text: &str) -> anyhow::Result<()> {
    let pipe = PIPE.as_ref().map_err(|error| anyhow::anyhow!("cannot start the watchdog: {error}"))?;
    let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(pipe, "{text}").context("the watchdog is gone")
}

/// Runs a shell command after the test run.
pub fn at_end(command: &str) -> anyhow::Result<()> {
    anyhow::ensure!(!command.contains('\n'), "a note to the watchdog is one line");
    note(&format!("run {command}"))
}

/// Removes a folder after the test run.
pub fn remove_at_end(folder: &Path) -> anyhow::Result<()> {
    at_end(&format!("rm -rf --one-file-system -- '{}'", folder.display()))
}

/// A process that ends with this value, or with the test run, whichever is first.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
    reaped: bool,
}

impl Guarded {
    /// Starts the command.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        note(&format!("kill {}", child.id()))?;
        Ok(Self { child, reaped: false })
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        if !self.reaped && matches!(self.child.try_wait(), Ok(Some(_))) {
            self.struck_off();
        }
        !self.reaped
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if self.is_running() {
            self.child.kill()?;
            self.child.wait()?;
            self.struck_off();
        }
        Ok(())
    }

    /// Sends a signal by its name, for example `TERM`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status()?;
        anyhow::ensure!(status.success(), "process {} does not take signal {name}", self.id());
        Ok(())
    }

    /// Waits until it has ended and returns its exit code; a signal counts as no code.
    pub fn wait(&mut self, at_most: std::time::Duration) -> anyhow::Result<Option<i32>> {
        let start = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.struck_off();
                return Ok(status.code());
            }
            anyhow::ensure!(start.elapsed() < at_most, "process {} still runs after {at_most:?}", self.id());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn struck_off(&mut self) {
        self.reaped = true;
        // Without a watchdog there is nobody to tell.
        let _ = note(&format!("reaped {}", self.child.id()));
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
