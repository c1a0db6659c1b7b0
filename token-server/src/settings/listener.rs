//! Where and how the server listens.
//!
//! *Invariant:* a certificate is never without its key.

use std::path::PathBuf;

use serde::Deserialize;
use shared::server::client_address::TrustedProxies;
use shared::server::listener::ListenerSettings;
use shared::server::response_headers::ResponseHeaders;
use shared::server::settings::{Duration as DurationText, SettingsError};
use shared::server::sockets::Endpoint;
use shared::server::tls::{TlsFiles, TlsSettings};

#[derive(Debug, Deserialize)]
pub(super) struct RawHttp {
    addr: String,
    #[serde(default)]
    tls: RawTls,
    #[serde(default)]
    trustedproxies: Vec<String>,
    draintimeout: DurationText,
    stalltimeout: DurationText,
    maxconnections: usize,
}

#[derive(Debug, Default, Deserialize)]
struct RawTls {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

pub(super) fn listener(http: &RawHttp) -> Result<ListenerSettings, SettingsError> {
    let tls = match (&http.tls.certificate, &http.tls.key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            Some(TlsSettings::new(TlsFiles { certificate: certificate.clone(), key: key.clone() }))
        }
        _ => {
            return Err(SettingsError::problem(
                "`http.tls.certificate` and `http.tls.key` are needed together",
            ));
        }
    };
    Ok(ListenerSettings {
        endpoint: Endpoint::Tcp(http.addr.clone()),
        tls,
        headers: ResponseHeaders::default(),
        trusted_proxies: TrustedProxies::parse(&http.trustedproxies)?,
        drain_timeout: http.draintimeout.0,
        stall_timeout: http.stalltimeout.0,
        max_connections: http.maxconnections,
    })
}
