//! Public keys as devices write them, and what they signed.
//!
//! *Invariant:* a key is of a kind that was asked for and says no more than such a key does, or it is none.
//!
//! Spec: RFC 9052 §7 and RFC 9053; of RSA, RFC 8230.

use ciborium::Value;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};

/// What is asked for, in this order: ES256, `EdDSA`, RS256.
pub const ALGORITHMS: [i64; 3] = [ES256, EDDSA, RS256];

const ES256: i64 = -7;

const EDDSA: i64 = -8;

const RS256: i64 = -257;

/// A key that can check what was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoseKey {
    /// ECDSA on P-256 with SHA-256: the point, uncompressed.
    Es256(Vec<u8>),
    /// Ed25519.
    EdDsa(Vec<u8>),
    /// RSA PKCS#1 with SHA-256.
    Rs256 {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
}

/// Reads one value from the beginning of these bytes; returns what is behind it.
pub(super) fn read_value(mut bytes: &[u8]) -> Option<(Value, &[u8])> {
    /// No key and no statement is deeper.
    const DEPTH: usize = 8;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut bytes, DEPTH).ok()?;
    Some((value, bytes))
}

impl CoseKey {
    /// Understands a key.
    pub fn read(value: &Value) -> Option<Self> {
        let map = value.as_map()?;
        let field = |label: i64| {
            let mut found = map.iter().filter(|(key, _)| *key == Value::from(label)).map(|(_, value)| value);
            let first = found.next()?;
            // A map that says something twice says nothing.
            found.next().is_none().then_some(first)
        };
        let number = |label| field(label)?.as_integer().and_then(|number| i64::try_from(number).ok());
        let bytes = |label| field(label)?.as_bytes().map(Vec::as_slice);
        match (number(1)?, number(3)?) {
            (2, ES256) if number(-1)? == 1 => {
                let (x, y): (&[u8; 32], &[u8; 32]) =
                    (bytes(-2)?.try_into().ok()?, bytes(-3)?.try_into().ok()?);
                Some(Self::Es256([&[4][..], x, y].concat()))
            }
            (1, EDDSA) if number(-1)? == 6 => {
                let x: &[u8; 32] = bytes(-2)?.try_into().ok()?;
                Some(Self::EdDsa(x.to_vec()))
            }
            (3, RS256) => Some(Self::Rs256 { n: bytes(-1)?.to_vec(), e: bytes(-2)?.to_vec() }),
            _ => None,
        }
    }

    /// Understands a key that was stored.
    pub fn parse(stored: &[u8]) -> Option<Self> {
        let (value, rest) = read_value(stored)?;
        if rest.is_empty() { Self::read(&value) } else { None }
    }

    /// Whether it signed that.
    pub fn has_signed(&self, message: &[u8], signed: &[u8]) -> bool {
        let outcome = match self {
            Self::Es256(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, point).verify(message, signed)
            }
            Self::EdDsa(key) => UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signed),
            Self::Rs256 { n, e } => {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signed)
            }
        };
        outcome.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(i64, Value)]) -> Value {
        Value::Map(fields.iter().map(|(label, value)| (Value::from(*label), value.clone())).collect())
    }

    fn bytes(length: usize) -> Value {
        Value::Bytes(vec![7; length])
    }

    #[test]
    fn keys_of_other_kinds_and_shapes_are_none() {
        let es256 = [
            (1, Value::from(2)),
            (3, Value::from(-7)),
            (-1, Value::from(1)),
            (-2, bytes(32)),
            (-3, bytes(32)),
        ];
        assert!(matches!(CoseKey::read(&map(&es256)), Some(CoseKey::Es256(point)) if point.len() == 65));
        let eddsa = [(1, Value::from(1)), (3, Value::from(-8)), (-1, Value::from(6)), (-2, bytes(32))];
        assert!(matches!(CoseKey::read(&map(&eddsa)), Some(CoseKey::EdDsa(_))));
        let rs256 = [(1, Value::from(3)), (3, Value::from(-257)), (-1, bytes(256)), (-2, bytes(3))];
        assert!(matches!(CoseKey::read(&map(&rs256)), Some(CoseKey::Rs256 { .. })));
        for (place, wrong) in [
            // Another type, another algorithm (ES384, HMAC), another curve, a short coordinate, a sign of one.
            (0, (1, Value::from(3))),
            (1, (3, Value::from(-35))),
            (1, (3, Value::from(5))),
            (2, (-1, Value::from(2))),
            (3, (-2, bytes(31))),
            (4, (-3, Value::from(true))),
            (4, (3, Value::from(-7))),
        ] {
            let mut fields = es256.clone();
            fields[place] = wrong;
            assert_eq!(CoseKey::read(&map(&fields)), None, "{fields:?}");
        }
        assert_eq!(CoseKey::read(&Value::from(1)), None);
    }

    #[test]
    fn what_is_stored_is_one_key_and_nothing_behind_it() {
        let eddsa = [(1, Value::from(1)), (3, Value::from(-8)), (-1, Value::from(6)), (-2, bytes(32))];
        let mut stored = Vec::new();
        ciborium::into_writer(&map(&eddsa), &mut stored).unwrap();
        assert!(CoseKey::parse(&stored).is_some());
        stored.push(0);
        assert_eq!(CoseKey::parse(&stored), None);
        assert_eq!(CoseKey::parse(&stored[..20]), None);
        // Arrays in arrays, to the end of the stack.
        assert_eq!(CoseKey::parse(&[0x81; 10_000]), None);
    }
}
