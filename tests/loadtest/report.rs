//! Figures as people and programs read them.
//!
//! *Invariant:* a report names the data set it was made on, by scale, seed and fingerprint.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures are rounded anyway"
)]

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::data::DataSet;

/// The figures of one workload.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    workload: String,
    data: Value,
    figures: Map<String, Value>,
}

impl Report {
    pub(crate) fn new(workload: &str, data: &DataSet, fingerprint: &str) -> Self {
        let data = json!({ "scale": data.scale, "seed": data.seed, "fingerprint": fingerprint });
        Self { workload: workload.to_owned(), data, figures: Map::new() }
    }

    fn add(&mut self, name: &str, value: Value) {
        self.figures.insert(name.to_owned(), value);
    }

    pub(crate) fn count(&mut self, name: &str, count: i64) {
        self.add(name, json!(count));
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.add(name, json!(text));
    }

    pub(crate) fn number(&mut self, name: &str, number: f64) {
        self.add(name, json!((number * 100.0).round() / 100.0));
    }

    pub(crate) fn seconds(&mut self, name: &str, time: Duration) {
        self.number(&format!("{name}_seconds"), time.as_secs_f64());
    }

    pub(crate) fn megabytes(&mut self, name: &str, kib: u64) {
        self.number(&format!("{name}_mb"), kib as f64 * 1024.0 / 1e6);
    }

    /// Percentiles of times, in microseconds.
    pub(crate) fn times(&mut self, name: &str, mut times: Vec<Duration>) {
        times.sort_unstable();
        let at = |part: f64| {
            let index = ((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1));
            let time = times.get(index).copied().unwrap_or_default();
            (time.as_secs_f64() * 1e7).round() / 10.0
        };
        let percentiles = json!({
            "count": times.len(), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": at(1.0)
        });
        self.add(&format!("{name}_us"), percentiles);
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "workload": self.workload, "data": self.data, "figures": self.figures })
    }

    /// Reads what another process printed.
    pub(crate) fn read(json: &[u8]) -> anyhow::Result<Vec<Self>> {
        let all: Vec<Value> = serde_json::from_slice(json).context("not a list of reports")?;
        let read = |one: Value| {
            let figures = one["figures"].as_object().cloned().unwrap_or_default();
            let workload = one["workload"].as_str().unwrap_or_default().to_owned();
            Self { workload, data: one["data"].clone(), figures }
        };
        Ok(all.into_iter().map(read).collect())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Value::Object(data) = &self.data else { return Ok(()) };
        let data: Vec<String> = data.iter().map(|(name, value)| format!("{name} {value}")).collect();
        writeln!(f, "{} ({})", self.workload, data.join(", "))?;
        for (name, value) in &self.figures {
            match value {
                Value::Object(parts) => {
                    let parts: Vec<String> =
                        parts.iter().map(|(name, value)| format!("{name} {value}")).collect();
                    writeln!(f, "  {name:<34} {}", parts.join("  "))?;
                }
                value => writeln!(f, "  {name:<34} {value}")?,
            }
        }
        Ok(())
    }
}
