//! Handshakes in memory: what is offered, and which clients get in.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ProtocolVersion, ServerConnection,
    SignatureScheme, SupportedProtocolVersion,
};
use rustls_pki_types::{PrivateKeyDer, ServerName, UnixTime};

use super::*;

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What belongs to one test: a folder with the server's files, and an authority for clients.
struct Town {
    folder: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

/// A certificate of a client, signed by this authority.
fn identity(issuer: &Issuer<'_, KeyPair>, purposes: &[ExtendedKeyUsagePurpose]) -> Identity {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["client".to_owned()]).expect("a name");
    params.extended_key_usages = purposes.to_vec();
    let certificate = params.signed_by(&key, issuer).expect("signed");
    (vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
}

impl Town {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(vec!["r.example".to_owned()]).expect("a certificate");
        fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).expect("written");
        fs::write(folder.path().join("certificate.pem"), made.cert.pem()).expect("written");
        let town = Self { folder, authority: authority() };
        town.trust(&town.authority);
        town
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn trust(&self, authority: &CertifiedIssuer<'_, KeyPair>) {
        fs::write(self.path("authority.pem"), authority.pem()).expect("written");
    }

    fn settings(&self) -> TlsSettings {
        TlsSettings::new(TlsFiles { certificate: self.path("certificate.pem"), key: self.path("key.pem") })
    }

    fn demanding(&self, word: &str) -> Tls {
        let demand = Demand::parse(word).expect("a word of the settings");
        let clients = ClientCertificates { authorities: vec![self.path("authority.pem")], demand };
        Tls::load(TlsSettings { clients: Some(clients), ..self.settings() }).expect("usable")
    }
}

/// A client that does not care who the server is.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn client(versions: &[&'static SupportedProtocolVersion], identity: Option<Identity>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("supported")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting));
    match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).expect("a pair"),
        None => builder.with_no_client_auth(),
    }
}

/// Shakes hands and returns what was agreed on, as the server sees it.
fn handshake(tls: &Tls, client: ClientConfig) -> Result<(ProtocolVersion, String), rustls::Error> {
    handshake_with(&Arc::new(tls.server_config()), client)
}

fn handshake_with(
    server: &Arc<ServerConfig>,
    client: ClientConfig,
) -> Result<(ProtocolVersion, String), rustls::Error> {
    let mut server = ServerConnection::new(server.clone())?;
    let name = ServerName::try_from("r.example").expect("a name");
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).expect("a vector grows");
        server.read_tls(&mut bytes.as_slice()).expect("bytes are there");
        server.process_new_packets()?;
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).expect("a vector grows");
        client.read_tls(&mut bytes.as_slice()).expect("bytes are there");
        client.process_new_packets()?;
    }
    let suite = server.negotiated_cipher_suite().expect("agreed");
    Ok((server.protocol_version().expect("agreed"), format!("{:?}", suite.suite())))
}

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

const TLS12_ONLY: &[&SupportedProtocolVersion] = &[&TLS12];

#[test]
fn the_newest_version_is_spoken_and_the_older_one_where_it_is_allowed() {
    let town = Town::new();
    let tls = Tls::load(town.settings()).expect("usable");
    assert_eq!(handshake(&tls, client(BOTH, None)).expect("agreed").0, ProtocolVersion::TLSv1_3);
    assert_eq!(handshake(&tls, client(&[&TLS12], None)).expect("agreed").0, ProtocolVersion::TLSv1_2);
    let tls = Tls::load(TlsSettings { minimum: TlsVersion::Tls13, ..town.settings() }).expect("usable");
    assert_eq!(handshake(&tls, client(BOTH, None)).expect("agreed").0, ProtocolVersion::TLSv1_3);
    assert!(handshake(&tls, client(&[&TLS12], None)).is_err());
}

#[test]
fn only_the_chosen_suites_are_used() {
    let town = Town::new();
    let with = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let suites = CipherSuites::parse(&names).expect("known");
        Tls::load(TlsSettings { suites, ..town.settings() }).expect("usable")
    };
    let tls = with(&["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"]);
    let (_, suite) = handshake(&tls, client(&[&TLS12], None)).expect("agreed");
    assert_eq!(suite, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256");
    assert!(handshake(&tls, client(BOTH, None)).is_ok(), "TLS 1.3 stays");
    let tls = with(&["TLS_AES_128_GCM_SHA256"]);
    assert_eq!(handshake(&tls, client(BOTH, None)).expect("agreed").1, "TLS13_AES_128_GCM_SHA256");
    assert!(handshake(&tls, client(&[&TLS12], None)).is_err(), "no suite of TLS 1.2 is in the list");
    // The server's key fits no suite that is offered for TLS 1.2.
    assert!(handshake(&with(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]), client(&[&TLS12], None)).is_err());
}

#[test]
fn each_demand_lets_in_whom_it_should() {
    let town = Town::new();
    let purpose = [ExtendedKeyUsagePurpose::ClientAuth];
    let known = || Some(identity(&town.authority, &purpose));
    let unknown = || Some(identity(&authority(), &purpose));
    let other_purpose = || Some(identity(&town.authority, &[ExtendedKeyUsagePurpose::ServerAuth]));
    for (word, [none_in, unknown_in, other_in]) in [
        ("require-and-verify-client-cert", [false, false, false]),
        ("verify-client-cert-if-given", [true, false, false]),
        ("require-any-client-cert", [false, true, true]),
        ("request-client-cert", [true, true, true]),
    ] {
        let tls = town.demanding(word);
        for version in BOTH {
            let enters = |identity| handshake(&tls, client(&[version], identity)).is_ok();
            assert!(enters(known()), "{word}");
            assert!(enters(Some(identity(&town.authority, &[]))), "{word}: no purpose is every purpose");
            assert_eq!(enters(None), none_in, "{word}");
            assert_eq!(enters(unknown()), unknown_in, "{word}");
            assert_eq!(enters(other_purpose()), other_in, "{word}");
        }
    }
}

/// A client that presents what it saw another one present.
#[derive(Debug)]
struct Thief(Arc<CertifiedKey>);

impl ResolvesClientCert for Thief {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
    fn has_certs(&self) -> bool {
        true
    }
}

#[test]
fn a_certificate_without_its_key_enters_nowhere() {
    let town = Town::new();
    let (chain, _) = identity(&town.authority, &[]);
    let (_, key) = identity(&town.authority, &[]);
    let key = ring::sign::any_supported_type(&key).expect("a key");
    let stolen = Arc::new(CertifiedKey::new(chain, key));
    for word in ["require-and-verify-client-cert", "require-any-client-cert", "request-client-cert"] {
        for version in BOTH {
            let mut client = client(&[version], None);
            client.client_auth_cert_resolver = Arc::new(Thief(stolen.clone()));
            assert!(handshake(&town.demanding(word), client).is_err(), "{word}");
        }
    }
}

#[test]
fn authorities_are_exchanged_while_serving_and_a_session_does_not_outlive_them() {
    let town = Town::new();
    let tls = town.demanding("require-and-verify-client-cert");
    let server = Arc::new(tls.server_config());
    let old = [TLS12_ONLY, BOTH].map(|versions| client(versions, Some(identity(&town.authority, &[]))));
    for client in &old {
        assert!(handshake_with(&server, client.clone()).is_ok());
    }
    let clients = tls.clients.as_ref().expect("demanded");
    assert!(!clients.look_again().expect("readable"), "nothing has changed");
    let next = authority();
    town.trust(&next);
    assert!(clients.look_again().expect("readable"));
    for client in old {
        assert!(handshake_with(&server, client).is_err(), "it could otherwise go on with its session");
    }
    assert!(handshake(&tls, client(BOTH, Some(identity(&next, &[])))).is_ok());
    fs::write(town.path("authority.pem"), "broken").expect("written");
    assert!(clients.look_again().is_err());
    assert!(handshake(&tls, client(BOTH, Some(identity(&next, &[])))).is_ok(), "what worked stays");
}

/// A key of openssl in each form that its versions write.
fn openssl(folder: &Path, words: &str) {
    let done = std::process::Command::new("openssl").args(words.split(' ')).current_dir(folder).output();
    let done = done.expect("openssl is installed");
    assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn keys_in_every_form_are_read() {
    let town = Town::new();
    let folder = town.folder.path();
    for words in [
        "genrsa -traditional -out key.pem 2048",
        "genrsa -out key.pem 2048",
        "ecparam -name prime256v1 -genkey -out key.pem",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out key.pem",
        "genpkey -algorithm ed25519 -out key.pem",
    ] {
        openssl(folder, words);
        openssl(folder, "req -x509 -key key.pem -subj /CN=r.example -days 2 -out certificate.pem");
        let tls = Tls::load(town.settings()).expect(words);
        assert!(handshake(&tls, client(&[&TLS13], None)).is_ok(), "{words}");
    }
    openssl(folder, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out key.pem");
    let error = Tls::load(town.settings()).expect_err("not supported").to_string();
    assert!(error.contains("P-256"), "{error}");
}

#[test]
fn files_that_do_not_fit_are_named() {
    let town = Town::new();
    let other = Town::new();
    fs::copy(other.path("key.pem"), town.path("key.pem")).expect("copied");
    let error = Tls::load(town.settings()).expect_err("another key").to_string();
    assert!(error.contains("does not belong"), "{error}");
    fs::remove_file(town.path("key.pem")).expect("removed");
    let error = Tls::load(town.settings()).expect_err("no key").to_string();
    assert!(error.contains("key.pem"), "{error}");
    let missing =
        ClientCertificates { authorities: vec![town.path("nowhere.pem")], demand: Demand::default() };
    let settings = TlsSettings { clients: Some(missing), ..other.settings() };
    let error = Tls::load(settings).expect_err("no authority").to_string();
    assert!(error.contains("nowhere.pem"), "{error}");
}
