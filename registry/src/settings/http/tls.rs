//! `http.tls`: certificates, and who may connect with which.
//!
//! *Invariant:* a restriction that is not enforced stops the start.

use std::path::PathBuf;

use serde::Deserialize;
use shared::server::settings::{Key, Kind};
use shared::server::tls::TlsFiles;

use crate::settings::findings::Findings;

const NO_CLIENT_CERTIFICATES: &str = "this version does not ask for client certificates";
const NO_LETSENCRYPT: &str = "this version does not obtain certificates by itself";

pub(in crate::settings) const KEYS: &[Key] = &[
    Key::new("http.tls.certificate", Kind::Scalar, "", "PEM file: certificate, then intermediates."),
    Key::new("http.tls.key", Kind::Scalar, "", "PEM file: private key."),
    Key::new("http.tls.clientcas", Kind::List, "", "PEM files: who may have issued client certificates.")
        .refused(NO_CLIENT_CERTIFICATES),
    Key::new("http.tls.clientauth", Kind::Scalar, "", "Whether clients must have a certificate.")
        .refused(NO_CLIENT_CERTIFICATES),
    Key::new(
        "http.tls.minimumtls",
        Kind::Scalar,
        "tls1.2",
        "Oldest TLS version; only tls1.2 in this version.",
    ),
    Key::new("http.tls.ciphersuites", Kind::List, "", "Cipher suites to offer.")
        .refused("this version does not let the cipher suites be chosen"),
    Key::new("http.tls.letsencrypt.cachefile", Kind::Scalar, "", "Folder of certificates obtained by ACME.")
        .refused(NO_LETSENCRYPT),
    Key::new("http.tls.letsencrypt.email", Kind::Scalar, "", "Address of the ACME account.")
        .refused(NO_LETSENCRYPT),
    Key::new("http.tls.letsencrypt.hosts", Kind::List, "", "Names to obtain certificates for.")
        .refused(NO_LETSENCRYPT),
    Key::new("http.tls.letsencrypt.directoryurl", Kind::Scalar, "", "URL of the ACME server.")
        .refused(NO_LETSENCRYPT),
];

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTls {
    certificate: PathBuf,
    key: PathBuf,
    minimumtls: String,
}

impl RawTls {
    pub(super) fn parse(self, findings: &mut Findings) -> Option<TlsFiles> {
        if !matches!(self.minimumtls.as_str(), "" | "tls1.2") {
            findings.refuse(format!(
                "`http.tls.minimumtls` is `{}`, but this version supports tls1.2 only",
                self.minimumtls
            ));
        }
        match (self.certificate.as_os_str().is_empty(), self.key.as_os_str().is_empty()) {
            (true, true) => None,
            (false, false) => Some(TlsFiles { certificate: self.certificate, key: self.key }),
            _ => {
                findings
                    .refuse("`http.tls.certificate` and `http.tls.key` go together; one of them is missing");
                None
            }
        }
    }
}
