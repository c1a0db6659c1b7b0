//! By what a directory is known.
//!
//! *Invariant:* with authorities of its own, a directory is believed by those alone; its name must be in its
//! certificate in any case.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore, crypto};

/// A file that has no authorities in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAuthorities {
    /// None at all.
    #[error("there is no certificate in it")]
    None,
    /// Something that is none.
    #[error("a certificate in it cannot be read")]
    Unreadable,
}

/// Believes these authorities, in PEM, and no others.
pub fn believing(authorities: &[u8]) -> Result<Arc<ClientConfig>, InvalidAuthorities> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities) {
        let certificate = certificate.map_err(|_| InvalidAuthorities::Unreadable)?;
        roots.add(certificate).map_err(|_| InvalidAuthorities::Unreadable)?;
    }
    if roots.is_empty() {
        return Err(InvalidAuthorities::None);
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows both versions of TLS");
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_are_authorities() {
        let made = rcgen::generate_simple_self_signed(vec!["ldap.example".to_owned()]).unwrap();
        assert!(believing(made.cert.pem().as_bytes()).is_ok());
        let unreadable = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(believing(unreadable.as_bytes()).err(), Some(InvalidAuthorities::Unreadable));
        assert_eq!(believing(b"nothing").err(), Some(InvalidAuthorities::None));
    }
}
