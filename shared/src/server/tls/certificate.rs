//! The server's certificate: loaded, checked against its key, and exchanged while connections are served.
//!
//! *Invariant:* what is presented is always a certificate together with the key that belongs to it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use super::{TlsError, TlsFiles, certificates, read};

/// What ring can sign with, in the forms that people's tools write (PKCS#1, PKCS#8, SEC1).
const KEY: &str = "private key: RSA of 2048 to 4096 bits, EC on P-256 or P-384, or Ed25519, not encrypted";

/// A certificate that can be exchanged.
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
    pub(super) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(certified_key(&files)?);
        Ok(Self { files, current })
    }

    /// Reads the files again; says whether they hold another certificate than before.
    pub(super) fn look_again(&self) -> Result<bool, TlsError> {
        let found = certified_key(&self.files)?;
        let changed = found.cert != self.current.load().cert;
        if changed {
            self.current.store(Arc::new(found));
        }
        Ok(changed)
    }
}

fn certified_key(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).ok();
    let key = key.and_then(|key| any_supported_type(&key).ok());
    let key = key.ok_or_else(|| TlsError::Unusable { path: files.key.clone(), what: KEY })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::Mismatch { key: files.key.clone(), certificate: files.certificate.clone() })
        }
        // A key that cannot say what it belongs to is not known to be wrong.
        _ => Ok(certified),
    }
}
