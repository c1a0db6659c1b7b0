//! What the kernel says of this process.
//!
//! *Invariant:* it is read when somebody asks and costs nothing in between; a number that cannot be read is left out.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rlimit::Resource;

/// Linux counts a hundred ticks a second on every platform it shows to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// The numbers of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessNumbers {
    /// Processor time it has used, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory it has in use.
    pub resident_bytes: Option<u64>,
    /// Addresses it has mapped.
    pub virtual_bytes: Option<u64>,
    /// Files and sockets it has open.
    pub open_files: Option<u64>,
    /// How many it may have.
    pub max_files: Option<u64>,
    /// When it was started, in seconds since 1970.
    pub started: Option<f64>,
}

impl ProcessNumbers {
    /// Reads them.
    pub fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks = |number| stat_field(&stat, number);
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
        Self {
            cpu_seconds: ticks(14).zip(ticks(15)).map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            resident_bytes: status_bytes(&status, "VmRSS:"),
            virtual_bytes: status_bytes(&status, "VmSize:"),
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            max_files: rlimit::getrlimit(Resource::NOFILE).ok().map(|(soft, _)| soft),
            started: ticks(22).zip(boot).map(|(ticks, boot)| boot + ticks / TICKS_PER_SECOND),
        }
    }
}

/// A field by its number in proc(5); the name of the program in parentheses may hold spaces.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(number.checked_sub(3)?)?.trim().parse().ok()
}

fn status_bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    #[expect(clippy::cast_precision_loss, reason = "numbers of a process are small enough")]
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let numbers = ProcessNumbers::read();
        if let Some(seconds) = numbers.cpu_seconds {
            let counter = ConstCounter::new(seconds);
            let help = "Total user and system CPU time spent in seconds";
            let encoder =
                encoder.encode_descriptor("process_cpu_seconds", help, None, counter.metric_type())?;
            counter.encode(encoder)?;
        }
        let gauges = [
            (
                "process_resident_memory_bytes",
                "Resident memory size in bytes",
                numbers.resident_bytes.map(|bytes| bytes as f64),
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes",
                numbers.virtual_bytes.map(|bytes| bytes as f64),
            ),
            (
                "process_open_fds",
                "Number of open file descriptors",
                numbers.open_files.map(|files| files as f64),
            ),
            (
                "process_max_fds",
                "Maximum number of open file descriptors",
                numbers.max_files.map(|files| files as f64),
            ),
            (
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds",
                numbers.started,
            ),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_understood() {
        let numbers = ProcessNumbers::read();
        assert!(numbers.resident_bytes.is_some_and(|bytes| bytes > 1_000_000), "{numbers:?}");
        assert!(numbers.virtual_bytes > numbers.resident_bytes, "{numbers:?}");
        assert!(numbers.open_files.is_some_and(|files| files > 2), "{numbers:?}");
        assert!(numbers.max_files >= numbers.open_files, "{numbers:?}");
        // After 2020, and not in milliseconds.
        assert!(numbers.started.is_some_and(|seconds| (1.5e9..1e10).contains(&seconds)), "{numbers:?}");
        assert!(numbers.cpu_seconds.is_some(), "{numbers:?}");
    }

    #[test]
    fn a_program_with_an_odd_name_is_understood() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 4200 0";
        assert_eq!(stat_field(stat, 14), Some(150.0));
        assert_eq!(stat_field(stat, 15), Some(50.0));
        assert_eq!(stat_field(stat, 22), Some(4200.0));
        assert_eq!(stat_field("garbage", 14), None);
    }
}
