//! Sections of the distribution registry whose feature this version does not have.
//!
//! *Invariant:* a key is ignored, with a warning, only if nothing is less safe and no data goes elsewhere without
//! it; every other one stops the start with a sentence.

use shared::server::settings::{Key, Kind};

const NO_MIDDLEWARE: &str = "this version has no middleware";
const NO_NOTIFICATIONS: &str = "this version sends no notifications";
const NO_PROXY: &str = "this version cannot be a pull-through cache";
const NO_SCHEMA1: &str = "schema 1 manifests are not accepted";
const NO_REPORTING: &str = "nothing is reported to anybody";

const fn middleware(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key::new(path, kind, "", doc).refused(NO_MIDDLEWARE)
}

const fn endpoint(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key::new(path, kind, "", doc).refused(NO_NOTIFICATIONS)
}

const fn proxy(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key::new(path, kind, "", doc).no_effect(NO_PROXY)
}

const fn schema1(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key::new(path, kind, "", doc).no_effect(NO_SCHEMA1)
}

const fn reporting(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key::new(path, kind, "", doc).no_effect(NO_REPORTING)
}

pub(super) const KEYS: &[Key] = &[
    middleware("middleware.registry[].name", Kind::Scalar, "Which middleware to put in front."),
    middleware("middleware.registry[].disabled", Kind::Scalar, "Whether it is off."),
    middleware("middleware.registry[].options", Kind::SecretMap, "What it is told."),
    middleware("middleware.repository[].name", Kind::Scalar, "Which middleware to put in front."),
    middleware("middleware.repository[].disabled", Kind::Scalar, "Whether it is off."),
    middleware("middleware.repository[].options", Kind::SecretMap, "What it is told."),
    middleware("middleware.storage[].name", Kind::Scalar, "Which middleware to put in front."),
    middleware("middleware.storage[].disabled", Kind::Scalar, "Whether it is off."),
    middleware("middleware.storage[].options", Kind::SecretMap, "What it is told."),
    Key::new(
        "notifications.events.includereferences",
        Kind::Scalar,
        "",
        "Whether events name what a manifest references.",
    )
    .no_effect(NO_NOTIFICATIONS),
    endpoint("notifications.endpoints[].name", Kind::Scalar, "Name of a receiver of events."),
    endpoint("notifications.endpoints[].disabled", Kind::Scalar, "Whether it gets none."),
    endpoint("notifications.endpoints[].url", Kind::Scalar, "Where events are sent."),
    endpoint("notifications.endpoints[].headers", Kind::SecretMap, "Headers to send them with."),
    endpoint("notifications.endpoints[].timeout", Kind::Scalar, "How long an answer may take."),
    endpoint("notifications.endpoints[].threshold", Kind::Scalar, "Failures before a pause."),
    endpoint("notifications.endpoints[].backoff", Kind::Scalar, "Length of the pause."),
    endpoint(
        "notifications.endpoints[].ignoredmediatypes",
        Kind::List,
        "Media types without events (old name).",
    ),
    endpoint("notifications.endpoints[].ignore.mediatypes", Kind::List, "Media types without events."),
    endpoint("notifications.endpoints[].ignore.actions", Kind::List, "Actions without events."),
    Key::new("proxy.remoteurl", Kind::Scalar, "", "The registry that this one is a cache of.")
        .refused(NO_PROXY),
    proxy("proxy.username", Kind::Scalar, "User there."),
    proxy("proxy.password", Kind::Secret, "Password there."),
    proxy("proxy.exec.command", Kind::Scalar, "Program that tells user and password."),
    proxy("proxy.exec.lifetime", Kind::Scalar, "How long its answer is used."),
    proxy("proxy.ttl", Kind::Scalar, "How long content is kept."),
    proxy("proxy.cachewritetimeout", Kind::Scalar, "How long writing to the cache may take."),
    schema1(
        "compatibility.schema1.enabled",
        Kind::Scalar,
        "Whether manifests of schema 1 are accepted (2.x).",
    ),
    schema1("compatibility.schema1.signingkeyfile", Kind::Scalar, "Key that signs them (2.x)."),
    reporting("reporting.bugsnag.apikey", Kind::Secret, "Reports of errors to Bugsnag (2.x)."),
    reporting("reporting.bugsnag.releasestage", Kind::Scalar, "Reports of errors to Bugsnag (2.x)."),
    reporting("reporting.bugsnag.endpoint", Kind::Scalar, "Reports of errors to Bugsnag (2.x)."),
    reporting("reporting.newrelic.licensekey", Kind::Secret, "Reports of errors to New Relic (2.x)."),
    reporting("reporting.newrelic.name", Kind::Scalar, "Reports of errors to New Relic (2.x)."),
    reporting("reporting.newrelic.verbose", Kind::Scalar, "Reports of errors to New Relic (2.x)."),
];
