//! `trust`: how workloads log in.
//!
//! *Invariant:* a login of a workload ends before the working day does.

use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use shared::server::outgoing::Reach;
use shared::server::settings::{Duration as DurationText, SettingsError};

use super::Problems;
use crate::domain::trust::workloads::TrustSettings;

#[derive(Debug, Deserialize)]
pub(super) struct RawTrust {
    sessionlifetime: DurationText,
    grace: bool,
    #[serde(default)]
    networks: Vec<String>,
}

/// The shortest login of a workload.
const MIN_SESSION: Duration = Duration::from_mins(5);

/// The longest.
const MAX_SESSION: Duration = Duration::from_hours(6);

/// Reads them.
pub(super) fn trust(raw: &RawTrust) -> Result<TrustSettings, SettingsError> {
    let mut problems = Problems::default();
    problems.range("trust.sessionlifetime", raw.sessionlifetime, MIN_SESSION, MAX_SESSION);
    let mut networks: Vec<IpNet> = Vec::new();
    for text in &raw.networks {
        match text.parse() {
            Ok(network) => networks.push(network),
            Err(_) => problems.add(format!("`trust.networks`: {text:?} is no network such as 10.0.0.0/8")),
        }
    }
    if !problems.0.is_empty() {
        return Err(SettingsError::Problems(problems.0));
    }
    Ok(TrustSettings { session: raw.sessionlifetime.0, has_grace: raw.grace, reach: Reach::new(networks) })
}
