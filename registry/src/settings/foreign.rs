//! Keys of the distribution registry whose feature this version does not have.
//!
//! *Invariant:* a key is ignored, with a warning, only if nothing is less safe and no data goes elsewhere without
//! it; every other one stops the start with a sentence.

use shared::server::settings::Loaded;

/// Ignoring these would open something, send data elsewhere, or lose what somebody relies on.
const REFUSED: &[(&str, &str)] = &[
    ("storage.s3", "this version keeps images on a filesystem only"),
    ("storage.s3aws", "this version keeps images on a filesystem only"),
    ("storage.gcs", "this version keeps images on a filesystem only"),
    ("storage.azure", "this version keeps images on a filesystem only"),
    ("storage.oss", "this storage driver is not supported"),
    ("storage.swift", "this storage driver is not supported"),
    ("storage.inmemory", "this version keeps images on a filesystem only"),
    ("storage.maintenance.readonly", "this version cannot be made read-only"),
    ("auth.htpasswd", "this version knows `auth: token` and `auth: none` only"),
    (
        "auth.silly",
        "it lets everybody in who sends any Authorization header; write `auth: none` if that is meant",
    ),
    ("auth.token.rootcertbundle", "this version takes keys from `auth.token.jwks` only"),
    ("middleware", "this version has no middleware"),
    ("http.prefix", "this version serves /v2/ at the root only"),
    ("http.tls.clientcas", "this version does not ask for client certificates"),
    ("http.tls.clientauth", "this version does not ask for client certificates"),
    ("http.tls.ciphersuites", "this version does not let the cipher suites be chosen"),
    ("http.tls.letsencrypt", "this version does not obtain certificates by itself"),
    ("notifications.endpoints", "this version sends no notifications"),
    ("proxy", "this version cannot be a pull-through cache"),
    ("policy", "this version does not restrict repository classes"),
    ("validation.manifests.urls", "this version does not restrict the URLs of foreign layers"),
    ("validation.manifests.indexes", "this version wants every manifest of an index to be present"),
];

const IGNORED: &[(&str, &str)] = &[
    ("log.accesslog", "one line for each request is always written to the log"),
    ("log.fields", "log lines have a fixed set of fields"),
    ("log.hooks", "no mail is sent for log lines"),
    ("log.reportcaller", "log lines do not name source files"),
    ("storage.cache", "nothing needs to be cached on a filesystem"),
    ("storage.redirect", "a filesystem has nowhere to redirect to"),
    ("storage.tag", "tags are read one after the other"),
    ("storage.maintenance.uploadpurging", "abandoned uploads are not removed by this version"),
    ("http.debug", "/healthz and /readyz answer on the main address"),
    ("http.http2", "HTTP/1.1 is spoken only"),
    ("http.h2c", "HTTP/1.1 is spoken only"),
    ("notifications.events", "this version sends no notifications"),
    ("redis", "nothing is kept in Redis"),
    ("health", "/readyz checks the storage"),
    ("compatibility", "schema 1 manifests are not accepted"),
    ("reporting", "nothing is reported to anybody"),
    ("validation.disabled", "manifests are always validated"),
    ("validation.enabled", "manifests are always validated"),
];

pub(super) fn check(loaded: &Loaded, warnings: &mut Vec<String>, problems: &mut Vec<String>) {
    for (path, reason) in REFUSED.iter().filter(|(path, _)| loaded.is_given(path)) {
        problems.push(format!("`{path}` is set, but {reason}"));
    }
    for (path, reason) in IGNORED.iter().filter(|(path, _)| loaded.is_given(path)) {
        warnings.push(format!("`{path}` has no effect: {reason}"));
    }
    for (path, only) in [("http.net", "tcp"), ("http.tls.minimumtls", "tls1.2")] {
        if let Some(text) = loaded.text(path).filter(|text| text != only) {
            problems.push(format!("`{path}` is `{text}`, but this version supports {only} only"));
        }
    }
}
