//! `health`: checks that take the registry out of service while they fail.
//!
//! *Invariant:* none yet; `/readyz` checks the storage whatever stands here.

use shared::server::settings::{Key, Kind};

const READYZ: &str = "/readyz checks the storage";

pub(super) const KEYS: &[Key] = &[
    Key::new("health.storagedriver.enabled", Kind::Scalar, "", "Whether the storage is checked.")
        .no_effect(READYZ),
    Key::new("health.storagedriver.interval", Kind::Scalar, "", "Time between two checks.").no_effect(READYZ),
    Key::new("health.storagedriver.threshold", Kind::Scalar, "", "Failures in a row that count.")
        .no_effect(READYZ),
    Key::new("health.file", Kind::Unused, "", "Unhealthy while one of these files exists.").no_effect(READYZ),
    Key::new(
        "health.http",
        Kind::Unused,
        "",
        "Unhealthy while one of these URLs does not answer as it should.",
    )
    .no_effect(READYZ),
    Key::new("health.tcp", Kind::Unused, "", "Unhealthy while one of these addresses takes no connection.")
        .no_effect(READYZ),
];
