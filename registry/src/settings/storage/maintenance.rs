//! `storage.maintenance`: the read-only switch and the removal of abandoned uploads.
//!
//! *Invariant:* a registry that is told to be read-only is, or does not start.

use shared::server::settings::{Key, Kind};

const NO_PURGING: &str = "abandoned uploads are not removed by this version";

pub(in crate::settings) const KEYS: &[Key] = &[
    Key::new(
        "storage.maintenance.readonly.enabled",
        Kind::Scalar,
        "",
        "Whether everything that writes is refused.",
    )
    .refused("this version cannot be made read-only"),
    Key::new(
        "storage.maintenance.uploadpurging.enabled",
        Kind::Scalar,
        "",
        "Whether abandoned uploads are removed.",
    )
    .no_effect(NO_PURGING),
    Key::new("storage.maintenance.uploadpurging.age", Kind::Scalar, "", "Older uploads count as abandoned.")
        .no_effect(NO_PURGING),
    Key::new("storage.maintenance.uploadpurging.interval", Kind::Scalar, "", "Time between two removals.")
        .no_effect(NO_PURGING),
    Key::new("storage.maintenance.uploadpurging.dryrun", Kind::Scalar, "", "Only say what would be removed.")
        .no_effect(NO_PURGING),
];
