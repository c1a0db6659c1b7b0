//! What registries call a public key.
//!
//! *Invariant:* a name is made of the public half alone, so that whoever has the certificate finds the same one.
//!
//! Spec: libtrust, "Key ID".

use ring::digest;

/// Of this many bytes of a digest a fingerprint is made.
const FINGERPRINT_BYTES: usize = 30;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The key id of the distribution registry 2.x: the beginning of a digest of the `SubjectPublicKeyInfo` (DER) in Base32,
/// in twelve groups of four.
pub fn fingerprint(public_key_info: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, public_key_info);
    let letters = digest.as_ref()[..FINGERPRINT_BYTES].chunks(5).flat_map(|five| {
        let bits = five.iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        (0..8).map(move |letter| {
            let index = usize::try_from((bits >> (35 - 5 * letter)) & 31).expect("five bits");
            char::from(BASE32[index])
        })
    });
    let mut name = String::new();
    for (position, letter) in letters.enumerate() {
        if position > 0 && position % 4 == 0 {
            name.push(':');
        }
        name.push(letter);
    }
    name
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn the_fingerprint_is_what_other_programs_compute() {
        // A P-256 key; its fingerprint computed with openssl and Python.
        let info = concat!(
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAPMa26Q7EHzDKNieL0bELzm4JSQpn4mZim07Y6u0P+jtpq4koNm9f8wnF2gKludffLmV",
            "iIvo7zm4EmTqxehZMw=="
        );
        assert_eq!(
            fingerprint(&STANDARD.decode(info).unwrap()),
            "KSBU:IFYH:GIIS:AFUU:6X3A:UOV6:5G7S:PCIE:7IIB:YTDI:PHXS:FC2L"
        );
    }
}
