//! Sections of the distribution registry whose feature this version does not have.
//!
//! *Invariant:* a key is ignored, with a warning, only if nothing is less safe and no data goes elsewhere without
//! it; every other one stops the start with a sentence.

use shared::server::settings::{Key, Kind};

const NO_MIDDLEWARE: &str = "this version has no middleware";
const NO_NOTIFICATIONS: &str = "this version sends no notifications";
const NO_PROXY: &str = "this version cannot be a pull-through cache";
const NO_REDIS: &str = "nothing is kept in Redis";
const NO_SCHEMA1: &str = "schema 1 manifests are not accepted";
const NO_REPORTING: &str = "nothing is reported to anybody";

pub(super) const KEYS: &[Key] = &[
    Key::new("middleware", Kind::Unused, "", "Changes to what the storage answers.").refused(NO_MIDDLEWARE),
    Key::new(
        "notifications.events.includereferences",
        Kind::Scalar,
        "",
        "Whether events name what a manifest references.",
    )
    .no_effect(NO_NOTIFICATIONS),
    Key::new("notifications.endpoints", Kind::Unused, "", "Where events are sent.").refused(NO_NOTIFICATIONS),
    Key::new("proxy", Kind::Unused, "", "The registry that this one is a cache of.").refused(NO_PROXY),
    Key::new("redis", Kind::Unused, "", "Where descriptors are cached.").no_effect(NO_REDIS),
    Key::new("compatibility", Kind::Unused, "", "Manifests of schema 1 (2.x).").no_effect(NO_SCHEMA1),
    Key::new("reporting", Kind::Unused, "", "Services that errors are reported to (2.x).")
        .no_effect(NO_REPORTING),
];
