//! The cipher suites that may be chosen, under the names of the TLS registry, as Go programs take them.
//!
//! *Invariant:* a name that is not offered here is an error and never left out: whoever writes a list relies on it.

use rustls::crypto::ring::ALL_CIPHER_SUITES;
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};

use super::TlsVersion;
use crate::server::settings::SettingsError;

/// The suites that are offered; at least one of TLS 1.3.
#[derive(Clone, Debug)]
pub struct CipherSuites(Vec<SupportedCipherSuite>);

impl Default for CipherSuites {
    fn default() -> Self {
        Self(ALL_CIPHER_SUITES.to_vec())
    }
}

impl CipherSuites {
    /// Reads a list from the settings; an empty one means all of them. Suites of TLS 1.3 stay offered if none of
    /// them is in the list, because most lists were written for programs that do not let those be chosen.
    pub fn parse(names: &[String]) -> Result<Self, SettingsError> {
        if names.is_empty() {
            return Ok(Self::default());
        }
        let (mut chosen, mut problems) = (Vec::new(), Vec::new());
        for text in names {
            match ALL_CIPHER_SUITES.iter().find(|suite| name(suite) == *text) {
                Some(suite) => chosen.push(*suite),
                None => problems.push(format!(
                    "`http.tls.ciphersuites` lists `{text}`, which is not offered here; use {}",
                    ALL_CIPHER_SUITES.iter().map(name).collect::<Vec<_>>().join(", ")
                )),
            }
        }
        if !problems.is_empty() {
            return Err(SettingsError::Problems(problems));
        }
        if !chosen.iter().any(is_of_tls13) {
            chosen.extend(ALL_CIPHER_SUITES.iter().copied().filter(is_of_tls13));
        }
        Ok(Self(chosen))
    }

    pub(super) fn suites(&self) -> Vec<SupportedCipherSuite> {
        self.0.clone()
    }

    /// The versions, without one that is left with no suite.
    pub(super) fn versions(&self, minimum: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
        let older = minimum == TlsVersion::Tls12 && !self.0.iter().all(is_of_tls13);
        if older { vec![&TLS13, &TLS12] } else { vec![&TLS13] }
    }
}

fn is_of_tls13(suite: &SupportedCipherSuite) -> bool {
    suite.version().version == ProtocolVersion::TLSv1_3
}

/// The registered name; the library marks those of TLS 1.3.
fn name(suite: &SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    name.strip_prefix("TLS13_").map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(names: &[&str]) -> Result<Vec<String>, SettingsError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        CipherSuites::parse(&names).map(|suites| suites.0.iter().map(name).collect())
    }

    #[test]
    fn the_default_list_of_the_distribution_registry_is_the_whole_offer() {
        let names = [
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_AES_128_GCM_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256",
            "TLS_AES_256_GCM_SHA384",
        ];
        assert_eq!(parse(&names).expect("known").len(), ALL_CIPHER_SUITES.len());
        assert_eq!(parse(&[]).expect("the default").len(), names.len());
    }

    #[test]
    fn a_list_of_older_suites_leaves_those_of_tls13() {
        let chosen = parse(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]).expect("known");
        assert_eq!(chosen.len(), 4, "{chosen:?}");
        let chosen = parse(&["TLS_AES_256_GCM_SHA384"]).expect("known");
        assert_eq!(chosen, ["TLS_AES_256_GCM_SHA384"]);
    }

    #[test]
    fn a_version_without_suites_is_not_offered() {
        let newest = CipherSuites::parse(&["TLS_AES_256_GCM_SHA384".into()]).expect("known");
        assert_eq!(newest.versions(TlsVersion::Tls12).len(), 1);
        assert_eq!(CipherSuites::default().versions(TlsVersion::Tls12).len(), 2);
        assert_eq!(CipherSuites::default().versions(TlsVersion::Tls13).len(), 1);
    }

    #[test]
    fn weak_and_unknown_suites_are_refused_by_name() {
        for name in
            ["TLS_RSA_WITH_RC4_128_SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS13_AES_256_GCM_SHA384"]
        {
            let error = parse(&[name]).expect_err(name).to_string();
            assert!(error.contains(name) && error.contains("TLS_AES_256_GCM_SHA384"), "{error}");
        }
    }
}
