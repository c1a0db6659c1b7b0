//! `storage.maintenance`: the read-only switch and the removal of abandoned uploads.
//!
//! *Invariant:* a registry that is told to be read-only is.

use serde::Deserialize;
use shared::server::settings::{Duration, Key, Kind};

use crate::domain::upload_purging::UploadPurging;
use crate::settings::findings::Findings;

pub(in crate::settings) const KEYS: &[Key] = &[
    Key::new(
        "storage.maintenance.readonly.enabled",
        Kind::Scalar,
        "false",
        "Whether everything that writes is refused.",
    ),
    Key::new(
        "storage.maintenance.uploadpurging.enabled",
        Kind::Scalar,
        "true",
        "Whether abandoned uploads are removed.",
    ),
    Key::new(
        "storage.maintenance.uploadpurging.age",
        Kind::Scalar,
        "168h",
        "Older uploads count as abandoned.",
    ),
    Key::new(
        "storage.maintenance.uploadpurging.interval",
        Kind::Scalar,
        "24h",
        "Time between two removals; the first comes after a random part of it, at most an hour.",
    ),
    Key::new(
        "storage.maintenance.uploadpurging.dryrun",
        Kind::Scalar,
        "false",
        "Only say what would be removed.",
    ),
];

#[derive(Deserialize)]
pub(super) struct RawMaintenance {
    readonly: RawReadOnly,
    uploadpurging: RawPurging,
}

#[derive(Deserialize)]
struct RawReadOnly {
    enabled: bool,
}

#[derive(Deserialize)]
struct RawPurging {
    enabled: bool,
    age: Duration,
    interval: Duration,
    dryrun: bool,
}

/// What is done to the images besides serving them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaintenanceSettings {
    pub(crate) read_only: bool,
    /// Never in a registry that is read-only.
    pub(crate) purging: Option<UploadPurging>,
}

impl RawMaintenance {
    pub(super) fn parse(self, findings: &mut Findings) -> MaintenanceSettings {
        let Self { readonly, uploadpurging } = self;
        let RawPurging { enabled, age, interval, dryrun } = uploadpurging;
        for (name, duration) in [("age", age), ("interval", interval)] {
            if enabled && duration.0.is_zero() {
                findings
                    .refuse(format!("`storage.maintenance.uploadpurging.{name}` must be more than nothing"));
            }
        }
        let purging = UploadPurging { age: age.0, interval: interval.0, dry_run: dryrun };
        MaintenanceSettings {
            read_only: readonly.enabled,
            purging: (enabled && !readonly.enabled).then_some(purging),
        }
    }
}
