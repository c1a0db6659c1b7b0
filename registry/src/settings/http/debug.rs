//! `http.debug`: a second listener for operators.
//!
//! *Invariant:* nothing meant for operators is served on the main address.

use serde::Deserialize;
use shared::server::debug::DebugSettings;
use shared::server::settings::{Key, Kind};

use crate::settings::findings::Findings;

pub(in crate::settings) const KEYS: &[Key] = &[
    Key::new(
        "http.debug.addr",
        Kind::Scalar,
        "",
        "Address of the listener for operators, such as 127.0.0.1:5001; it asks nobody who they are.",
    ),
    Key::new("http.debug.prometheus.enabled", Kind::Scalar, "false", "Whether metrics are served there."),
    Key::new("http.debug.prometheus.path", Kind::Scalar, "/metrics", "Path of the metrics."),
];

#[derive(Deserialize)]
pub(super) struct RawDebug {
    #[serde(default)]
    addr: String,
    prometheus: RawPrometheus,
}

#[derive(Deserialize)]
struct RawPrometheus {
    enabled: bool,
    path: String,
}

impl RawDebug {
    pub(super) fn parse(self, findings: &mut Findings) -> Option<DebugSettings> {
        let RawPrometheus { enabled, path } = self.prometheus;
        if !path.starts_with('/') {
            findings.refuse(format!("`http.debug.prometheus.path` is `{path}`; it must begin with a slash"));
        }
        if self.addr.is_empty() {
            if enabled {
                findings.warn("`http.debug.prometheus.enabled` has no effect: `http.debug.addr` is not set");
            }
            return None;
        }
        Some(DebugSettings { address: self.addr, metrics_path: enabled.then_some(path) })
    }
}
