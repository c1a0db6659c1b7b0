//! `http.tls`: certificates, and who may connect with which.
//!
//! *Invariant:* a restriction that is not enforced stops the start.

use std::path::PathBuf;

use serde::Deserialize;
use shared::server::settings::{Key, Kind};
use shared::server::tls::{CipherSuites, ClientCertificates, Demand, TlsFiles, TlsSettings, TlsVersion};

use crate::settings::findings::Findings;

const NO_LETSENCRYPT: &str = "certificates are not obtained here; let a proxy in front do it, or a program such as \
                              certbot: files that it exchanges are read again without a restart";

pub(in crate::settings) const KEYS: &[Key] = &[
    Key::new("http.tls.certificate", Kind::Scalar, "", "PEM file: certificate, then intermediates."),
    Key::new("http.tls.key", Kind::Scalar, "", "PEM file: private key."),
    Key::new("http.tls.clientcas", Kind::List, "", "PEM files: who may have issued client certificates."),
    Key::new(
        "http.tls.clientauth",
        Kind::Scalar,
        "require-and-verify-client-cert",
        "With clientcas: this, verify-client-cert-if-given, require-any-client-cert or request-client-cert.",
    ),
    Key::new("http.tls.minimumtls", Kind::Scalar, "tls1.2", "Oldest TLS version: tls1.2 or tls1.3."),
    Key::new(
        "http.tls.ciphersuites",
        Kind::List,
        "",
        "Cipher suites to offer, by their registered names; all that are safe if not set.",
    ),
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
    clientcas: Vec<PathBuf>,
    clientauth: String,
    minimumtls: String,
    ciphersuites: Vec<String>,
}

impl RawTls {
    pub(super) fn parse(self, findings: &mut Findings) -> Option<TlsSettings> {
        let minimum = minimum(&self.minimumtls, findings);
        let suites = suites(&self.ciphersuites, minimum, findings);
        let clients = clients(self.clientcas, &self.clientauth, findings);
        match (self.certificate.as_os_str().is_empty(), self.key.as_os_str().is_empty()) {
            (true, true) => {
                if clients.is_some() {
                    findings.refuse(
                        "`http.tls.clientcas` needs `http.tls.certificate`: without TLS no client is asked for its \
                         certificate",
                    );
                }
                None
            }
            (false, false) => {
                let files = TlsFiles { certificate: self.certificate, key: self.key };
                Some(TlsSettings { files, minimum, suites: suites?, clients })
            }
            _ => {
                findings
                    .refuse("`http.tls.certificate` and `http.tls.key` go together; one of them is missing");
                None
            }
        }
    }
}

fn minimum(text: &str, findings: &mut Findings) -> TlsVersion {
    match text {
        "" | "tls1.2" => TlsVersion::Tls12,
        "tls1.3" => TlsVersion::Tls13,
        "tls1.0" | "tls1.1" => {
            findings.warn(format!(
                "`http.tls.minimumtls` is `{text}`, but TLS 1.2 is the oldest that is offered"
            ));
            TlsVersion::Tls12
        }
        other => {
            findings.refuse(format!("`http.tls.minimumtls` is `{other}`; use tls1.2 or tls1.3"));
            TlsVersion::Tls13
        }
    }
}

/// With TLS 1.3 alone, suites of older versions have nothing to do.
fn suites(names: &[String], minimum: TlsVersion, findings: &mut Findings) -> Option<CipherSuites> {
    let (older, newest): (Vec<_>, Vec<_>) = names.iter().cloned().partition(|name| name.contains("_WITH_"));
    if minimum == TlsVersion::Tls12 {
        let (weak, safe): (Vec<_>, Vec<_>) = names.iter().cloned().partition(|name| is_weak(name));
        // With none that is left, the list would mean another thing.
        if weak.is_empty() || safe.is_empty() {
            return findings.take(CipherSuites::parse(names));
        }
        findings.warn(format!(
            "`http.tls.ciphersuites` lists {}, which is not safe and not offered here",
            weak.join(", ")
        ));
        return findings.take(CipherSuites::parse(&safe));
    }
    if !older.is_empty() {
        findings.warn(format!(
            "`http.tls.ciphersuites` lists {}, which has no effect with `http.tls.minimumtls: tls1.3`",
            older.join(", ")
        ));
    }
    findings.take(CipherSuites::parse(&newest))
}

/// Suites without authenticated encryption or without forward secrecy, which the distribution registry may offer.
fn is_weak(name: &str) -> bool {
    name.starts_with("TLS_RSA_WITH_")
        || (name.starts_with("TLS_") && ["_CBC_", "_RC4_"].iter().any(|part| name.contains(part)))
}

fn clients(authorities: Vec<PathBuf>, word: &str, findings: &mut Findings) -> Option<ClientCertificates> {
    let demand = if word.is_empty() { Some(Demand::default()) } else { Demand::parse(word) };
    let Some(demand) = demand else {
        findings.refuse(format!(
            "`http.tls.clientauth` is `{word}`; use require-and-verify-client-cert, verify-client-cert-if-given, \
             require-any-client-cert or request-client-cert"
        ));
        return None;
    };
    if !authorities.is_empty() {
        return Some(ClientCertificates { authorities, demand });
    }
    if demand != Demand::default() {
        findings.refuse(format!(
            "`http.tls.clientauth` is `{word}` without `http.tls.clientcas`: no client would be asked for a certificate"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a certificate and these other settings.
    fn parse(yaml: &[(&str, &str)]) -> (Option<TlsSettings>, Findings) {
        let mut raw = RawTls { certificate: "c".into(), key: "k".into(), ..RawTls::default() };
        for (key, value) in yaml {
            match *key {
                "minimumtls" => raw.minimumtls = (*value).into(),
                "clientauth" => raw.clientauth = (*value).into(),
                "clientcas" => raw.clientcas.push(value.into()),
                _ => raw.ciphersuites.push((*value).into()),
            }
        }
        let mut findings = Findings::default();
        (raw.parse(&mut findings), findings)
    }

    const WEAK: (&str, &str) = ("ciphersuites", "TLS_RSA_WITH_AES_128_CBC_SHA");

    #[test]
    fn what_is_older_or_weaker_is_said_and_never_offered() {
        let (tls, findings) = parse(&[("minimumtls", "tls1.0")]);
        assert_eq!(tls.expect("served").minimum, TlsVersion::Tls12);
        assert!(findings.warnings[0].contains("TLS 1.2"));
        assert!(parse(&[WEAK]).1.problems[0].contains(WEAK.1));
        let safe = ("ciphersuites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
        let (tls, findings) = parse(&[WEAK, safe]);
        assert!(tls.is_some() && findings.warnings[0].contains(WEAK.1), "{findings:?}");
        assert_eq!(parse(&[safe, ("ciphersuites", "TLS_ECDHE_RSA_WITH_A_SLIP")]).1.problems.len(), 1);
        let (tls, findings) = parse(&[("minimumtls", "tls1.3"), WEAK]);
        assert_eq!(tls.expect("served").minimum, TlsVersion::Tls13);
        assert!(findings.warnings[0].contains(WEAK.1) && findings.problems.is_empty(), "{findings:?}");
        assert!(parse(&[("minimumtls", "ssl3")]).1.problems[0].contains("minimumtls"));
    }

    #[test]
    fn client_certificates_are_asked_for_or_the_start_fails() {
        let (tls, _) = parse(&[("clientcas", "ca.pem")]);
        let clients = tls.expect("served").clients.expect("asked");
        assert_eq!(clients.demand, Demand::RequireAndVerify);
        let (tls, _) = parse(&[("clientcas", "ca.pem"), ("clientauth", "request-client-cert")]);
        assert_eq!(tls.expect("served").clients.expect("asked").demand, Demand::Request);
        assert!(parse(&[("clientauth", "request-client-cert")]).1.problems[0].contains("clientcas"));
        assert!(parse(&[("clientcas", "ca.pem"), ("clientauth", "maybe")]).1.problems[0].contains("maybe"));
        let mut findings = Findings::default();
        let raw = RawTls { clientcas: vec!["ca.pem".into()], ..RawTls::default() };
        assert!(raw.parse(&mut findings).is_none());
        assert!(findings.problems[0].contains("http.tls.certificate"), "{findings:?}");
    }
}
