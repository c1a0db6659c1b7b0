//! Certificates of clients: whether one is asked for, and which authority must have signed it.
//!
//! *Invariant:* a client that presents a certificate has proved that it holds the key, whatever is demanded of the
//! certificate itself. The authorities can be exchanged while connections are served.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{TlsError, certificates};

/// What is demanded of clients, under the names of the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// A certificate that an authority has signed.
    #[default]
    RequireAndVerify,
    /// The same, or none at all.
    VerifyIfGiven,
    /// Any certificate.
    RequireAny,
    /// Any certificate, or none at all.
    Request,
}

impl Demand {
    /// Reads the word of the settings.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "require-and-verify-client-cert" => Some(Self::RequireAndVerify),
            "verify-client-cert-if-given" => Some(Self::VerifyIfGiven),
            "require-any-client-cert" => Some(Self::RequireAny),
            "request-client-cert" => Some(Self::Request),
            _ => None,
        }
    }

    fn is_mandatory(self) -> bool {
        matches!(self, Self::RequireAndVerify | Self::RequireAny)
    }

    fn verifies(self) -> bool {
        matches!(self, Self::RequireAndVerify | Self::VerifyIfGiven)
    }
}

/// What is asked of clients.
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    /// PEM files with the certificates of the authorities.
    pub authorities: Vec<PathBuf>,
    /// What is demanded.
    pub demand: Demand,
}

#[derive(Debug)]
struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// Decides about clients' certificates.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    settings: ClientCertificates,
    current: ArcSwap<Authorities>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientVerifier {
    pub(super) fn load(settings: ClientCertificates) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(authorities(&settings)?);
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Ok(Self { settings, current, algorithms })
    }

    /// Reads the files again; says whether they hold other authorities than before.
    pub(super) fn look_again(&self) -> Result<bool, TlsError> {
        let found = authorities(&self.settings)?;
        let changed = found.certificates != self.current.load().certificates;
        if changed {
            self.current.store(Arc::new(found));
        }
        Ok(changed)
    }
}

fn authorities(settings: &ClientCertificates) -> Result<Authorities, TlsError> {
    let (mut all, mut roots) = (Vec::new(), RootCertStore::empty());
    let unusable = |path: &PathBuf| TlsError::Unusable { path: path.clone(), what: "certificate authority" };
    for path in &settings.authorities {
        for certificate in certificates(path)? {
            roots.add(certificate.clone()).map_err(|_| unusable(path))?;
            all.push(certificate);
        }
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier =
        verifier.map_err(|_| unusable(&settings.authorities.first().cloned().unwrap_or_default()))?;
    Ok(Authorities { certificates: all, verifier })
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.settings.demand.is_mandatory()
    }

    /// None: names of authorities that were exchanged would keep clients from presenting the right certificate.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if !self.settings.demand.verifies() {
            return Ok(ClientCertVerified::assertion());
        }
        let outcome = self.current.load().verifier.verify_client_cert(end_entity, intermediates, now);
        outcome.inspect_err(|error| tracing::info!(%error, "certificate of a client refused"))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
