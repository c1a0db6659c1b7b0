//! `health`: checks that take the registry out of service while they fail.
//!
//! *Invariant:* none yet; `/readyz` checks the storage whatever stands here.

use shared::server::settings::{Key, Kind};

const READYZ: &str = "/readyz checks the storage";

const fn health(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key::new(path, kind, "", doc).no_effect(READYZ)
}

pub(super) const KEYS: &[Key] = &[
    health("health.storagedriver.enabled", Kind::Scalar, "Whether the storage is checked."),
    health("health.storagedriver.interval", Kind::Scalar, "Time between two checks."),
    health("health.storagedriver.threshold", Kind::Scalar, "Failures in a row that count."),
    health("health.file[].file", Kind::Scalar, "Unhealthy while this file exists."),
    health("health.file[].interval", Kind::Scalar, "Time between two looks."),
    health("health.file[].threshold", Kind::Scalar, "Has no meaning for files."),
    health("health.http[].uri", Kind::Scalar, "Unhealthy while this URL does not answer as it should."),
    health("health.http[].statuscode", Kind::Scalar, "The status it should answer with."),
    health("health.http[].headers", Kind::SecretMap, "Headers to ask with."),
    health("health.http[].timeout", Kind::Scalar, "How long an answer may take."),
    health("health.http[].interval", Kind::Scalar, "Time between two requests."),
    health("health.http[].threshold", Kind::Scalar, "Failures in a row that count."),
    health("health.tcp[].addr", Kind::Scalar, "Unhealthy while this address takes no connection."),
    health("health.tcp[].timeout", Kind::Scalar, "How long a connection may take."),
    health("health.tcp[].interval", Kind::Scalar, "Time between two attempts."),
    health("health.tcp[].threshold", Kind::Scalar, "Failures in a row that count."),
];
