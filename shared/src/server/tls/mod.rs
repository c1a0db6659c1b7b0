//! TLS: what is offered, what is asked of clients, and files that may change while connections are served.
//!
//! `certificate` is the server's own, `client_certificates` decides about those of clients, `cipher_suites` knows the
//! names people write in their settings. Files are looked at every few seconds instead of watched, because secret
//! stores replace them through symbolic links that watches do not see.
//!
//! *Invariant:* files that do not load never replace what works; open connections are not touched. TLS 1.2 is the
//! least that is ever offered.

mod certificate;

mod cipher_suites;

mod client_certificates;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use certificate::ReloadingCertificate;
use client_certificates::ClientVerifier;

pub use cipher_suites::CipherSuites;
pub use client_certificates::{ClientCertificates, Demand};

/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Where certificate and key lie, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by its intermediates.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The least version that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2 and 1.3.
    #[default]
    Tls12,
    /// 1.3 alone.
    Tls13,
}

/// How TLS is served.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Certificate and key.
    pub files: TlsFiles,
    /// What is spoken at least.
    pub minimum: TlsVersion,
    /// What connections are protected with.
    pub suites: CipherSuites,
    /// What is asked of clients; nothing without it.
    pub clients: Option<ClientCertificates>,
}

impl TlsSettings {
    /// The usual versions and suites, for clients without certificates.
    pub fn new(files: TlsFiles) -> Self {
        Self { files, minimum: TlsVersion::default(), suites: CipherSuites::default(), clients: None }
    }
}

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no usable {what}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// Key and certificate are not a pair.
    #[error("the private key {} does not belong to the certificate {}", key.display(), certificate.display())]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
}

/// Everything that was loaded, ready to serve.
#[derive(Debug)]
pub(super) struct Tls {
    settings: TlsSettings,
    certificate: Arc<ReloadingCertificate>,
    clients: Option<Arc<ClientVerifier>>,
}

impl Tls {
    pub(super) fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let certificate = Arc::new(ReloadingCertificate::load(settings.files.clone())?);
        let clients = settings.clients.clone().map(ClientVerifier::load).transpose()?.map(Arc::new);
        Ok(Self { settings, certificate, clients })
    }

    /// What the listener needs. It adds the one protocol it speaks, HTTP/1.1, to the offer.
    pub(super) fn server_config(&self) -> ServerConfig {
        let provider =
            CryptoProvider { cipher_suites: self.settings.suites.suites(), ..ring::default_provider() };
        let versions = self.settings.suites.versions(self.settings.minimum);
        let builder = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&versions)
            .expect("there are suites for each of the versions");
        let resolver: Arc<dyn ResolvesServerCert> = self.certificate.clone();
        let Some(clients) = &self.clients else {
            return builder.with_no_client_auth().with_cert_resolver(resolver);
        };
        let mut config = builder.with_client_cert_verifier(clients.clone()).with_cert_resolver(resolver);
        // A resumed session is not asked for its certificate again, so it would outlive the authority behind it.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config
    }

    /// Looks at the files for as long as it is polled.
    pub(super) async fn keep_fresh(self) {
        let mut refused = [None, None];
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            report("certificate", self.certificate.look_again(), &mut refused[0]);
            if let Some(clients) = &self.clients {
                report("client authorities", clients.look_again(), &mut refused[1]);
            }
        }
    }
}

/// Says what came of looking again, and the same refusal only once.
fn report(what: &str, outcome: Result<bool, TlsError>, refused: &mut Option<String>) {
    match outcome {
        Ok(changed) => {
            *refused = None;
            if changed {
                tracing::info!("{what} reloaded");
            }
        }
        Err(error) => {
            let error = error.to_string();
            if refused.as_ref() != Some(&error) {
                tracing::error!(error, "{what} not reloaded; what was loaded before stays in use");
                *refused = Some(error);
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

/// All certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| TlsError::Unusable { path: path.to_owned(), what: "certificate" })
}

#[cfg(test)]
mod tests;
