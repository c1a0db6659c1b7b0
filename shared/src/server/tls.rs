//! The server's certificate: loaded, checked against its key, and loaded again when the files change.
//!
//! Files are looked at every few seconds instead of watched, because secret stores replace them through symbolic
//! links that watches do not see.
//!
//! *Invariant:* a certificate that does not load never replaces one that works; open connections are not touched.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

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
        /// `certificate` or `private key`.
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

/// A certificate that can be exchanged while connections are served.
#[derive(Debug)]
pub(super) struct ReloadingCertificate {
    files: TlsFiles,
    current: ArcSwap<CertifiedKey>,
}

impl ResolvesServerCert for ReloadingCertificate {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl ReloadingCertificate {
    pub(super) fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let certificate = read(&files)?;
        Ok(Arc::new(Self { files, current: ArcSwap::from_pointee(certificate) }))
    }

    /// What the listener needs; only HTTP/1.1 is offered.
    pub(super) fn server_config(self: &Arc<Self>) -> ServerConfig {
        let resolver: Arc<dyn ResolvesServerCert> = self.clone();
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports the default protocol versions")
            .with_no_client_auth()
            .with_cert_resolver(resolver)
    }

    /// Looks at the files for as long as it is polled.
    pub(super) async fn keep_fresh(self: Arc<Self>) {
        let mut refused = None;
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            match read(&self.files) {
                Ok(read) if read.cert != self.current.load().cert => {
                    self.current.store(Arc::new(read));
                    refused = None;
                    tracing::info!(file = %self.files.certificate.display(), "certificate reloaded");
                }
                Ok(_) => refused = None,
                Err(error) => {
                    let error = error.to_string();
                    if refused.as_ref() != Some(&error) {
                        tracing::error!(error, "certificate not reloaded; the previous one stays in use");
                        refused = Some(error);
                    }
                }
            }
        }
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let bytes =
        |path: &PathBuf| fs::read(path).map_err(|source| TlsError::Unreadable { path: path.clone(), source });
    let unusable = |path: &PathBuf, what| TlsError::Unusable { path: path.clone(), what };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(&files.certificate)?).collect();
    let chain = chain.map_err(|_| unusable(&files.certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(unusable(&files.certificate, "certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes(&files.key)?)
        .map_err(|_| unusable(&files.key, "private key"))?;
    let key = any_supported_type(&key).map_err(|_| unusable(&files.key, "private key"))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::Mismatch { key: files.key.clone(), certificate: files.certificate.clone() })
        }
        // A key that cannot say what it belongs to is not known to be wrong.
        _ => Ok(certified),
    }
}
