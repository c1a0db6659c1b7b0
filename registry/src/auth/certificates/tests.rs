//! Ids computed by other programs, and chains good and bad.

use jsonwebtoken::Algorithm;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PKCS_ED25519,
};
use serde_json::{Value, json};
use time::{Duration as Span, OffsetDateTime};

use super::*;

/// P-256; the horizontal coordinate begins with a zero. Made and its ids computed with openssl and Python.
const EC: (&str, [&str; 3]) = (
    "-----BEGIN CERTIFICATE-----
MIIBcDCCARegAwIBAgIUdd4wQCJFulVoj7lCpOwGP8Ph1FQwCgYIKoZIzj0EAwIw
DTELMAkGA1UEAwwCZWMwIBcNMjYxMTIxMDk0NDQ4WhgPMjEyNjEwMjgwOTQ0NDha
MA0xCzAJBgNVBAMMAmVjMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAPMa26Q7
EHzDKNieL0bELzm4JSQpn4mZim07Y6u0P+jtpq4koNm9f8wnF2gKludffLmViIvo
7zm4EmTqxehZM6NTMFEwHQYDVR0OBBYEFDQjm+EHxtptIdVA2SnLMKxFpOIAMB8G
A1UdIwQYMBaAFDQjm+EHxtptIdVA2SnLMKxFpOIAMA8GA1UdEwEB/wQFMAMBAf8w
CgYIKoZIzj0EAwIDRwAwRAIgbBAcwmA/i06vjzR64ZDPDWHyznrsjLSKb5OuYkhR
pqcCIFTVB6rnfnC51W5pWq2Ad2DzRBdMQtqJJYj0+2uYv4vU
-----END CERTIFICATE-----
",
    [
        "iBuK6mx5tOZwXSXAxcKFUQRVxeZraYNuzfzItngtVHk",
        "vw7VCh670nRPXf-LGj05GoCkeNSWsYPo4kS22_eyaXc",
        "KSBU:IFYH:GIIS:AFUU:6X3A:UOV6:5G7S:PCIE:7IIB:YTDI:PHXS:FC2L",
    ],
);

const RSA: (&str, [&str; 2]) = (
    "-----BEGIN CERTIFICATE-----
MIIC/zCCAeegAwIBAgIUPanWo9MlBHULotfRHbt21H0fq1YwDQYJKoZIhvcNAQEL
BQAwDjEMMAoGA1UEAwwDcnNhMCAXDTI2MTEyMTA5NDQ0N1oYDzIxMjYxMDI4MDk0
NDQ3WjAOMQwwCgYDVQQDDANyc2EwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEK
AoIBAQCLrrYKbuKo8CuJjyH79u1GYIoI204FWqKawP9rCf0wEFiDm0Y283Ote4XF
TagsKVO2cqQWm7dA9vWjJhCwpzUVPeEEx9MHHP7tK9YdB6Ud+VupELYpCF7RoGYq
9wMJGjgUTz0cjohFb5Qy2dV7agPKCS9j+QNLvCAN50v/oAgkIT6g3fiUAfMkEMpG
68Z5d3W6QZJd/vjIT3vynI/DPpeFK3vq6RsMG1KwsqlnDyex9DeTuhG0/HDdu0Vd
iqhrIJkcgkzRQR7oSTZYBRldVPzNZ7cJ7fyoWd+7iZGi8cVn8tMHiOrtAYkkEjSJ
0WmC1/58IChgDCzt5Dhy09+87tahAgMBAAGjUzBRMB0GA1UdDgQWBBTcjZn8p7MW
3aG/hEtxcv4bBkZEtDAfBgNVHSMEGDAWgBTcjZn8p7MW3aG/hEtxcv4bBkZEtDAP
BgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBCwUAA4IBAQAHNHprNaTyFdIzxm5C
2mVupotBbLyPKCnjMVFCFvilA+un3f+rkZMVz2Od3IK+yAS4BsW6xr+trsNUyEXf
oTIJkkj4GrRJYVlIp0Lu2NhuUkFGyKCc4ckHlIM62PehWSMEsz9ZwNu52lMHU9Er
ToJQuq+4Gn+asIfOTFDSDUn9o4JnX/dSnomApBWtJJpITaw9/2ufHHDs4PBhrXoa
hSUSaYg7u5ika1r53z+8mCIdpMjjfVVarvVT6CdV1Yopv22REv33dk1ONpkt+H7g
2uhlVlsRsnlS9uRT0Hk57bg2zfgZ+3tYRykz6y6uz6sN1UCUjLO25xjNql76Pk1u
6Cgm
-----END CERTIFICATE-----
",
    [
        "Wp2r6tY8u2vo3kBTno9AfowDm0dHTi70sYB5Tg9rGHg",
        "OMH4:I57Y:DTC3:F3BI:CU5S:OX67:JUV7:2Q7J:KNHH:BBCW:SMQK:ISLL",
    ],
);

const ED: (&str, [&str; 2]) = (
    "-----BEGIN CERTIFICATE-----
MIIBMDCB46ADAgECAhR4kJRq3RfXLtss+kxRVn4V5abZMzAFBgMrZXAwDTELMAkG
A1UEAwwCZWQwIBcNMjYxMTIxMDk0NDQ4WhgPMjEyNjEwMjgwOTQ0NDhaMA0xCzAJ
BgNVBAMMAmVkMCowBQYDK2VwAyEA26R5UmMydezB305TSPkHIw2N5P6A+qOUsNKt
JPKoMr+jUzBRMB0GA1UdDgQWBBQsGen//iID5g4/n+9BerxlkrFkODAfBgNVHSME
GDAWgBQsGen//iID5g4/n+9BerxlkrFkODAPBgNVHRMBAf8EBTADAQH/MAUGAytl
cANBAPMjPaL+IfLh6ho7cTTm514UDeWr1t4RghG9+e1hWiWwoqLRh43dwEVZMcRo
8Rn7tmw/GdbR31on66CjqTgaJgk=
-----END CERTIFICATE-----
",
    [
        "1UnXgF_jAhDzsEd5s3D1bVR01yBiMiYsnSVgP0OMv4o",
        "BJI7:GEIO:CB4N:MSWC:TXVR:DJ7K:Q7II:XQ2X:25VR:35KE:B5W3:PTE4",
    ],
);

fn bundle(pem: &str) -> Bundle {
    Bundle::parse(pem.as_bytes()).expect("a bundle")
}

#[test]
fn a_key_goes_by_every_id_that_token_servers_make_of_it() {
    let all = bundle(&format!("some text\n{}\n{}{}", EC.0, RSA.0, ED.0));
    let rows: [(&[&str], Algorithm); 3] =
        [(&EC.1, Algorithm::ES256), (&RSA.1, Algorithm::RS512), (&ED.1, Algorithm::EdDSA)];
    for (ids, algorithm) in rows {
        for id in ids {
            let key = all.key(id).unwrap_or_else(|| panic!("no key under {id}"));
            assert!(key.is_for(algorithm), "{id}");
            assert!(!key.is_for(Algorithm::ES384), "{id}");
        }
    }
    assert_eq!(all.by_id.len(), 7, "and by no other");
}

#[test]
fn a_file_without_certificates_and_a_list_of_authorities_are_refused() {
    for (pem, expected) in [
        (String::new(), BundleError::Empty),
        ("garbage".into(), BundleError::Empty),
        (EC.0.replace("MII", "AAA"), BundleError::Unreadable(1)),
        (format!("{}{}", ED.0, EC.0.replace("-----END", "-----")), BundleError::Unreadable(2)),
        (ED.0.repeat(MAX_KEYS + 1), BundleError::TooMany),
    ] {
        let outcome = Bundle::parse(pem.as_bytes()).map(|_| ()).expect_err("refused");
        assert_eq!(outcome.to_string(), expected.to_string());
    }
    assert!(Bundle::parse(ED.0.repeat(MAX_KEYS).as_bytes()).is_ok());
    let with_key = format!("{}{}", KeyPair::generate().expect("a key").serialize_pem(), ED.0);
    assert_eq!(bundle(&with_key).certificates.len(), 1, "a private key beside it is nobody's business");
}

const NOW: i64 = 1_800_000_000;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str, days: (i64, i64)) -> CertificateParams {
    let now = OffsetDateTime::from_unix_timestamp(NOW).expect("a time");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now + Span::days(days.0);
    params.not_after = now + Span::days(days.1);
    params
}

fn authority(name: &str, by: Option<&Authority>) -> Authority {
    authority_of(name, (-10, 10), by)
}

fn authority_of(name: &str, days: (i64, i64), by: Option<&Authority>) -> Authority {
    let mut params = params(name, days);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    match by {
        Some(by) => CertifiedIssuer::signed_by(params, key, by),
        None => CertifiedIssuer::self_signed(params, key),
    }
    .expect("a certificate")
}

fn leaf(days: (i64, i64), by: &Authority) -> rcgen::Certificate {
    let mut params = params("leaf", days);
    params.insert_extended_key_usage(ExtendedKeyUsagePurpose::CodeSigning);
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    params.signed_by(&key, by).expect("a certificate")
}

fn x5c(chain: &[&CertificateDer<'_>]) -> Value {
    chain.iter().map(|certificate| STANDARD.encode(certificate)).collect()
}

fn judged(bundle: &Bundle, x5c: &Value) -> Result<i64, ChainError> {
    bundle.chain_key(x5c, NOW).map(|key| {
        assert!(key.key.is_for(Algorithm::EdDSA) || key.key.is_for(Algorithm::ES256));
        (key.until - NOW) / 86_400
    })
}

#[test]
fn a_chain_counts_if_it_leads_to_the_bundle_at_this_time() {
    let root = authority("root", None);
    let middle = authority("middle", Some(&root));
    let trusting = bundle(&root.pem());
    let direct = leaf((-1, 1), &root);
    assert_eq!(judged(&trusting, &x5c(&[direct.der()])), Ok(1));
    let far = leaf((-1, 20), &middle);
    assert_eq!(judged(&trusting, &x5c(&[far.der(), middle.der()])), Ok(10), "the middle one ends first");
    assert_eq!(judged(&trusting, &x5c(&[far.der(), middle.der(), root.der()])), Ok(10));
    assert!(matches!(judged(&trusting, &x5c(&[far.der()])), Err(ChainError::NotTrusted(_))), "no middle");
    for days in [(-5, -1), (1, 5)] {
        let chain = x5c(&[leaf(days, &root).der()]);
        assert_eq!(judged(&trusting, &chain), Err(ChainError::NotValidNow), "{days:?}");
    }
    for days in [(-5, -1), (1, 5)] {
        let root = authority_of("root", days, None);
        let chain = x5c(&[leaf((-1, 1), &root).der()]);
        let outcome = judged(&bundle(&root.pem()), &chain);
        assert!(matches!(outcome, Err(ChainError::NotTrusted(_))), "{days:?}: {outcome:?}");
    }
    let short = authority_of("short", (-1, 3), None);
    let both = bundle(&format!("{}{}", root.pem(), short.pem()));
    assert_eq!(judged(&both, &x5c(&[leaf((-1, 9), &short).der()])), Ok(3), "the authority ends first");
    let stranger = authority("root", None);
    for chain in [
        x5c(&[leaf((-1, 1), &stranger).der(), stranger.der()]),
        x5c(&[leaf((-1, 1), &stranger).der(), root.der()]),
        x5c(&[stranger.der()]),
    ] {
        assert!(matches!(judged(&trusting, &chain), Err(ChainError::NotTrusted(_))));
    }
}

#[test]
fn a_certificate_of_the_bundle_stands_for_itself_while_it_is_valid() {
    let root = authority("root", None);
    assert_eq!(judged(&bundle(&root.pem()), &x5c(&[root.der()])), Ok(10));
    let expired = leaf((-5, -1), &root);
    let trusting = bundle(&expired.pem());
    assert_eq!(judged(&trusting, &x5c(&[expired.der()])), Err(ChainError::NotValidNow));
    assert_eq!(trusting.by_id.len(), 2, "its key is trusted by its ids all the same");
}

#[test]
fn what_is_no_chain_is_refused() {
    let root = authority("root", None);
    let trusting = bundle(&root.pem());
    for odd in [json!([]), json!("x"), json!(null), json!([7]), json!(["%%%"]), json!(["AAAA"]), json!({})] {
        assert_eq!(judged(&trusting, &odd), Err(ChainError::Malformed), "{odd}");
    }
    let mut leaf = leaf((-1, 1), &root).der().to_vec();
    let last = leaf.len() - 1;
    leaf[last] ^= 1;
    let chain = x5c(&[&CertificateDer::from(leaf)]);
    assert!(matches!(judged(&trusting, &chain), Err(ChainError::NotTrusted(_))));
}
