//! Numbers for Prometheus.
//!
//! [`http`] counts requests, [`process`] tells about the process, `exposition` is the text that is scraped.
//!
//! *Invariant:* every label comes from a closed set that the code names; no repository, user, path or address is one,
//! so the size of an answer does not grow with what clients do.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use self::process::ProcessCollector;
use super::telemetry::sink::Sink;

mod exposition;

pub mod http;

pub mod process;

pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;

/// The type under which the text is served.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds in seconds for what usually takes milliseconds.
const FINE_SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Everything that is counted in this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Begins with the numbers of the process itself; names of the server's own metrics begin with `prefix`.
    pub fn new(prefix: &'static str, version: &'static str) -> Self {
        let mut metrics = Self { registry: Registry::default() };
        metrics.registry.register_collector(Box::new(ProcessCollector));
        let build = Family::<[(&'static str, &'static str); 1], Gauge>::default();
        build.get_or_create(&[("version", version)]).set(1);
        metrics.register(format!("{prefix}_build_info"), "Always 1; the label is what runs", build);
        metrics
    }

    /// Adds a metric under its name, without the `_total` of a counter. The sentence has no full stop.
    pub fn register(&mut self, name: impl Into<String>, help: &str, metric: impl Metric) {
        self.registry.register(name, help, metric);
    }

    /// Adds outcomes under a name without `_total`.
    pub fn register_outcomes(&mut self, name: &str, help: &str, outcomes: &Outcomes) {
        self.register(name, help, outcomes.0.clone());
    }

    /// Adds how many lines of these logs were lost.
    pub fn register_lost_lines(&mut self, name: &'static str, sinks: Vec<Sink>) {
        self.registry.register_collector(Box::new(LostLines { name, sinks }));
    }

    /// All of it as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut open_metrics = String::with_capacity(32 * 1024);
        // Writing into a text cannot fail, and no label fails to be encoded.
        let _ = text::encode(&mut open_metrics, &self.registry);
        exposition::prometheus_text(&open_metrics)
    }
}

/// How often something ended in which way; clones share their numbers.
#[derive(Clone, Debug, Default)]
pub struct Outcomes(Family<[(&'static str, &'static str); 1], Counter>);

impl Outcomes {
    /// Adds one to an outcome, which comes from a closed set.
    pub fn count(&self, outcome: &'static str) {
        self.0.get_or_create(&[("outcome", outcome)]).inc();
    }
}

/// A histogram of durations that are usually short.
pub fn fine_seconds() -> Histogram {
    Histogram::new(FINE_SECONDS)
}

pub use prometheus_client::metrics::histogram::Histogram as DurationHistogram;

/// Reads the counts of the logs when somebody asks.
#[derive(Debug)]
struct LostLines {
    name: &'static str,
    sinks: Vec<Sink>,
}

impl Collector for LostLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Log lines that nobody took in time";
        let mut family = encoder.encode_descriptor(self.name, help, None, MetricType::Counter)?;
        for sink in &self.sinks {
            let stream = [("stream", sink.name())];
            ConstCounter::new(sink.lost_lines()).encode(family.encode_family(&stream)?)?;
        }
        Ok(())
    }
}
