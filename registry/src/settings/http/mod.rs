//! `http`: where the registry listens and how it answers.
//!
//! *Invariant:* nobody's word for addresses counts unless the settings name them as a proxy.

pub(super) mod debug;

mod locations;

pub(super) mod tls;

use std::collections::BTreeMap;

use actix_web::http::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use shared::secret::Secret;
use shared::server::client_address::TrustedProxies;
use shared::server::debug::DebugSettings;
use shared::server::listener::ListenerSettings;
use shared::server::response_headers::ResponseHeaders;
use shared::server::settings::{Key, Kind};
use shared::server::sockets::Endpoint;

use super::findings::Findings;
use super::go_duration::GoDuration;

pub(crate) use locations::LocationSettings;

const NO_HTTP2: &str = "HTTP/1.1 is spoken until the HTTP/2 library of the web framework is without an open security \
                        advisory (RUSTSEC-2026-0258); let a proxy in front speak HTTP/2";

pub(super) const KEYS: &[Key] = &[
    Key::new("http.addr", Kind::Scalar, "\":5000\"", "Address to listen on."),
    Key::new("http.net", Kind::Scalar, "tcp", "Kind of the address: tcp, or unix for the path of a socket."),
    Key::new("http.prefix", Kind::Scalar, "", "Path below which /v2/ is served, such as /registry/."),
    Key::new("http.host", Kind::Scalar, "", "Public URL of this registry, for the URLs in its answers."),
    Key::new(
        "http.secret",
        Kind::Secret,
        "",
        "Signs the state of uploads; equal on all replicas. Random if not set.",
    ),
    Key::new(
        "http.relativeurls",
        Kind::Scalar,
        "false",
        "Whether URLs in answers leave out scheme and host.",
    ),
    Key::new(
        "http.draintimeout",
        Kind::Scalar,
        "30s",
        "How long open requests may take after SIGTERM; 0s cuts them off.",
    ),
    Key::new("http.stalltimeout", Kind::Scalar, "60s", "A body without progress for this long is cut off."),
    Key::new(
        "http.maxconnections",
        Kind::Scalar,
        "2000",
        "Connections at a time; each may hold about 0.5 MiB.",
    ),
    Key::new(
        "http.trustedproxies",
        Kind::List,
        "",
        "Networks whose X-Forwarded-* and Forwarded headers are believed; unix for a proxy on a unix socket.",
    ),
    Key::new(
        "http.headers",
        Kind::Map,
        "{X-Content-Type-Options: [nosniff]}",
        "Headers added to every answer.",
    ),
    Key::new("http.http2.disabled", Kind::Scalar, "", "Switches HTTP/2 off.").no_effect(NO_HTTP2),
    Key::new("http.h2c.enabled", Kind::Scalar, "", "HTTP/2 without TLS.").no_effect(NO_HTTP2),
];

#[derive(Deserialize)]
pub(super) struct RawHttp {
    addr: String,
    net: String,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    secret: Secret,
    relativeurls: bool,
    draintimeout: GoDuration,
    stalltimeout: GoDuration,
    maxconnections: usize,
    #[serde(default)]
    trustedproxies: Vec<String>,
    #[serde(default)]
    headers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    tls: tls::RawTls,
    debug: debug::RawDebug,
}

/// How the registry is reached.
#[derive(Clone, Debug)]
pub(crate) struct HttpSettings {
    pub(crate) listener: ListenerSettings,
    /// Key of the `_state` parameter; random for this process when empty.
    pub(crate) secret: Secret,
    pub(crate) locations: LocationSettings,
    /// The listener for operators, if there is one.
    pub(crate) debug: Option<DebugSettings>,
}

impl RawHttp {
    pub(super) fn parse(self, findings: &mut Findings) -> Option<HttpSettings> {
        let endpoint = match self.net.as_str() {
            "" | "tcp" => Some(Endpoint::Tcp(self.addr)),
            "unix" => Some(Endpoint::Unix(self.addr.into())),
            other => {
                findings.refuse(format!("`http.net` is `{other}`; use tcp or unix"));
                None
            }
        };
        let trusted_proxies = findings.take(TrustedProxies::parse(&self.trustedproxies));
        let tls = self.tls.parse(findings);
        let headers = headers(&self.headers, findings);
        let locations = LocationSettings::parse(&self.prefix, &self.host, self.relativeurls, findings);
        let debug = self.debug.parse(findings);
        Some(HttpSettings {
            listener: ListenerSettings {
                endpoint: endpoint?,
                tls,
                headers,
                trusted_proxies: trusted_proxies?,
                drain_timeout: self.draintimeout.0,
                stall_timeout: self.stalltimeout.0,
                max_connections: self.maxconnections,
            },
            secret: self.secret,
            locations,
            debug,
        })
    }
}

fn headers(raw: &BTreeMap<String, Vec<String>>, findings: &mut Findings) -> ResponseHeaders {
    let parse = |name: &String, values: &Vec<String>| {
        let values: Result<Vec<_>, _> = values.iter().map(HeaderValue::try_from).collect();
        Some((HeaderName::try_from(name).ok()?, values.ok()?))
    };
    let mut headers = Vec::new();
    for (name, values) in raw {
        match parse(name, values) {
            Some(header) => headers.push(header),
            None => findings.refuse(format!("`http.headers.{name}` is not a header that can be sent")),
        }
    }
    headers.into_iter().collect()
}
