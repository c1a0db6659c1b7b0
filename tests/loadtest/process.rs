//! What the kernel knows of a process.
//!
//! *Invariant:* memory is what was allocated, in KiB, without files that the kernel keeps in it.

use std::time::Duration;

use anyhow::Context as _;

/// The line of `/proc/PID/status` with this name, a number of KiB.
fn kib(pid: u32, name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.with_context(|| format!("no {name} in /proc"))?.parse().context("a number of KiB")
}

/// Now.
pub(crate) fn anonymous_kib(pid: u32) -> anyhow::Result<u64> {
    kib(pid, "RssAnon")
}

/// The most there ever was, with files.
pub(crate) fn peak_kib(pid: u32) -> anyhow::Result<u64> {
    kib(pid, "VmHWM")
}

/// The processor time that this process has used, to the nanosecond.
pub(crate) fn processor_time() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/schedstat")?;
    // Of its first thread only, which does all that is measured with this.
    let nanoseconds = stat.split(' ').next().context("an unreadable /proc/self/schedstat")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

/// The processor time that another process has used, to a hundredth of a second.
pub(crate) fn processor_time_of(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
    let (_, fields) = stat.rsplit_once(") ").context("an unreadable /proc/PID/stat")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}
