//! Answers as devices make them, and as people make them who have no device.

use ciborium::Value;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use super::*;

const CHALLENGE: [u8; CHALLENGE_BYTES] = [9; CHALLENGE_BYTES];

const OWNER: &[u8] = &[1; 16];

const ID: &[u8] = b"the key of a device";

const PRESENT: u8 = 1;

const VERIFIED: u8 = 4;

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

/// A device, which does as it is told.
struct Device {
    pair: Pair,
    party: &'static str,
    flags: u8,
    count: u32,
    kind: Option<&'static str>,
    challenge: Vec<u8>,
    origin: &'static str,
    is_framed: bool,
    behind: &'static [u8],
    user: Option<&'static [u8]>,
}

fn map(fields: Vec<(Value, Value)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&Value::Map(fields), &mut bytes).unwrap();
    bytes
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Device {
    fn new() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap();
        Self {
            pair: Pair::Es256(pair),
            party: "auth.example",
            flags: PRESENT | VERIFIED,
            count: 5,
            kind: None,
            challenge: CHALLENGE.to_vec(),
            origin: "https://auth.example",
            is_framed: false,
            behind: &[],
            user: Some(OWNER),
        }
    }

    fn with_eddsa() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { pair: Pair::EdDsa(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap()), ..Self::new() }
    }

    fn public_key(&self) -> Vec<u8> {
        let number = |value: i64| Value::from(value);
        match &self.pair {
            Pair::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                map(vec![
                    (number(1), number(2)),
                    (number(3), number(-7)),
                    (number(-1), number(1)),
                    (number(-2), Value::Bytes(x.to_vec())),
                    (number(-3), Value::Bytes(y.to_vec())),
                ])
            }
            Pair::EdDsa(pair) => map(vec![
                (number(1), number(1)),
                (number(3), number(-8)),
                (number(-1), number(6)),
                (number(-2), Value::Bytes(pair.public_key().as_ref().to_vec())),
            ]),
        }
    }

    fn client_data(&self, kind: &str) -> Vec<u8> {
        json!({
            "type": self.kind.unwrap_or(kind), "challenge": text(&self.challenge), "origin": self.origin,
            "crossOrigin": self.is_framed, "what browsers add": "so that nobody relies on a list"
        })
        .to_string()
        .into_bytes()
    }

    fn data(&self, flags: u8, new: &[u8]) -> Vec<u8> {
        let party = digest::digest(&digest::SHA256, self.party.as_bytes());
        [party.as_ref(), &[flags], &self.count.to_be_bytes(), new, self.behind].concat()
    }

    fn made(&self, public_key: &[u8]) -> Answer {
        let length = u16::try_from(ID.len()).unwrap().to_be_bytes();
        let data = self.data(self.flags | 1 << 6, &[&[0; 16][..], &length, ID, public_key].concat());
        let object = map(vec![
            (Value::from("fmt"), Value::from("none")),
            (Value::from("attStmt"), Value::Map(Vec::new())),
            (Value::from("authData"), Value::Bytes(data)),
        ]);
        let said = json!({
            "id": text(ID), "clientDataJSON": text(&self.client_data("webauthn.create")),
            "attestationObject": text(&object)
        });
        Answer::read(&said.to_string()).unwrap()
    }

    fn register(&self) -> Result<Registered, BadAnswer> {
        self.made(&self.public_key()).registered(&CHALLENGE, &party())
    }

    fn signed(&self) -> serde_json::Value {
        let (client_data, data) = (self.client_data("webauthn.get"), self.data(self.flags, &[]));
        let hash = digest::digest(&digest::SHA256, &client_data);
        let message = [&*data, hash.as_ref()].concat();
        let signature = match &self.pair {
            Pair::Es256(pair) => pair.sign(&SystemRandom::new(), &message).unwrap().as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.sign(&message).as_ref().to_vec(),
        };
        json!({
            "id": text(ID), "clientDataJSON": text(&client_data), "authenticatorData": text(&data),
            "signature": text(&signature), "userHandle": self.user.map(text)
        })
    }

    fn show(&self, count: i64) -> Result<Shown, BadAnswer> {
        self.shown(&self.signed(), count)
    }

    fn shown(&self, said: &serde_json::Value, count: i64) -> Result<Shown, BadAnswer> {
        let public_key = self.public_key();
        let known = Known { public_key: &public_key, count, owner: OWNER };
        Answer::read(&said.to_string())?.shown(&CHALLENGE, &party(), known)
    }
}

fn party() -> RelyingParty {
    RelyingParty::at(&"https://auth.example/".parse().unwrap()).unwrap()
}

#[test]
fn keys_are_for_the_name_of_a_host() {
    assert_eq!(party(), RelyingParty { id: "auth.example".into(), origin: "https://auth.example".into() });
    let local = RelyingParty::at(&"http://localhost:8080/".parse().unwrap()).unwrap();
    assert_eq!((&*local.id, &*local.origin), ("localhost", "http://localhost:8080"));
    assert_eq!(RelyingParty::at(&"https://192.0.2.7/".parse().unwrap()), None);
}

#[test]
fn a_key_is_made_and_shown() {
    for device in [Device::new(), Device::with_eddsa()] {
        let made = device.register().unwrap();
        assert_eq!((&*made.id, made.count), (ID, 5));
        assert_eq!(made.public_key, device.public_key());
        assert_eq!(device.show(4), Ok(Shown { count: 5, is_verified: true }));
        let touched = Device { flags: PRESENT, count: 0, user: None, ..device };
        assert_eq!(touched.show(0), Ok(Shown { count: 0, is_verified: false }));
    }
}

#[test]
fn what_is_for_somebody_else_or_something_else_is_no_answer() {
    type Change = fn(&mut Device);
    let changes: [(Change, BadAnswer); 10] = [
        (|device| device.origin = "https://evil.example", BadAnswer::WrongOrigin),
        (|device| device.origin = "https://auth.example:8443", BadAnswer::WrongOrigin),
        (|device| device.origin = "http://auth.example", BadAnswer::WrongOrigin),
        (|device| device.is_framed = true, BadAnswer::WrongOrigin),
        (|device| device.party = "evil.example", BadAnswer::WrongParty),
        (|device| device.challenge = vec![8; CHALLENGE_BYTES], BadAnswer::WrongChallenge),
        (|device| device.challenge = Vec::new(), BadAnswer::WrongChallenge),
        (|device| device.kind = Some("payment.get"), BadAnswer::WrongKind),
        (|device| device.flags = VERIFIED, BadAnswer::NobodyThere),
        (|device| device.behind = &[0], BadAnswer::Unreadable),
    ];
    for (change, expected) in changes {
        let mut device = Device::new();
        change(&mut device);
        assert_eq!(device.register(), Err(expected));
        assert_eq!(device.show(0), Err(expected));
    }
    // What was made for one errand is nothing for the other.
    let made = Device { kind: Some("webauthn.get"), ..Device::new() };
    assert_eq!(made.register(), Err(BadAnswer::WrongKind));
}

#[test]
fn a_key_that_was_used_more_often_than_it_says_is_a_copy() {
    for (said, known) in [(5, 5), (5, 6), (0, 1), (1, i64::from(u32::MAX))] {
        assert_eq!(
            Device { count: said, ..Device::new() }.show(known),
            Err(BadAnswer::Copied),
            "{said} {known}"
        );
    }
}

#[test]
fn a_signature_is_of_this_key_and_of_every_bit() {
    let (device, other) = (Device::new(), Device::new());
    assert_eq!(device.shown(&other.signed(), 0), Err(BadAnswer::WrongSignature));
    let honest = device.signed();
    for part in ["authenticatorData", "signature"] {
        let bytes = URL_SAFE_NO_PAD.decode(honest[part].as_str().unwrap()).unwrap();
        for place in 0..bytes.len() {
            let (mut forged, mut said) = (bytes.clone(), honest.clone());
            forged[place] ^= 1;
            said[part] = text(&forged).into();
            assert!(device.shown(&said, 0).is_err(), "{part} {place}");
        }
        for bytes in [Vec::new(), [&*bytes, &[0]].concat()] {
            let mut said = honest.clone();
            said[part] = text(&bytes).into();
            assert!(device.shown(&said, 0).is_err(), "{part}");
        }
    }
    // The owner says that somebody else used it.
    let mut said = honest.clone();
    said["clientDataJSON"] = text(&Device { count: 1, ..Device::new() }.client_data("webauthn.get")).into();
    assert!(device.shown(&said, 0).is_ok(), "the same words are signed the same");
    said["clientDataJSON"] = text(&[&device.client_data("webauthn.get")[..], b" "].concat()).into();
    assert_eq!(device.shown(&said, 0), Err(BadAnswer::WrongSignature));
}

#[test]
fn a_key_belongs_to_whom_it_was_made_for() {
    let stranger = Device { user: Some(&[2; 16]), ..Device::new() };
    assert_eq!(stranger.show(0), Err(BadAnswer::UnknownKey));
}

#[test]
fn keys_of_unknown_kinds_are_not_made() {
    let number = |value: i64| Value::from(value);
    let device = Device::new();
    for fields in [
        Vec::new(),
        // HMAC, which would be a secret and no key; and P-384.
        vec![(number(1), number(4)), (number(3), number(5)), (number(-1), Value::Bytes(vec![0; 32]))],
        vec![(number(1), number(2)), (number(3), number(-35)), (number(-1), number(2))],
    ] {
        let made = device.made(&map(fields));
        assert_eq!(made.registered(&CHALLENGE, &party()), Err(BadAnswer::Unreadable));
    }
    // An answer to the other question.
    let said = Answer::read(&device.signed().to_string()).unwrap();
    assert_eq!(said.registered(&CHALLENGE, &party()), Err(BadAnswer::WrongKind));
}

#[test]
fn what_no_script_of_ours_sends_is_not_read() {
    for said in ["", "{}", "[]", "null", r#"{"id":"AA","clientDataJSON":"AA","more":1}"#] {
        assert!(Answer::read(said).is_err(), "{said}");
    }
    let answer = Answer::read(r#"{"id":"%%","clientDataJSON":"AA=="}"#).unwrap();
    assert_eq!(answer.key_id(), Err(BadAnswer::Unreadable));
    assert_eq!(answer.registered(&CHALLENGE, &party()), Err(BadAnswer::Unreadable));
}
