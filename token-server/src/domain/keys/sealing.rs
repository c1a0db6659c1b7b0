//! What only servers with the same `secret` can read: private keys at rest, and where a page of a list ended.
//!
//! What is sealed is one byte of version, a random nonce, and the ciphertext with its tag. The context (of a key its id
//! and its certificate) is authenticated with it, so that neither rows nor certificates can be exchanged.
//!
//! *Invariant:* what cannot be opened with the configured secret is an error, never a different key.
//!
//! Spec: RFC 8439 (ChaCha20-Poly1305).

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::SystemRandom;

use super::super::random::{self, NoRandomness};
use super::master_secret::{MasterSecret, Purpose};

const VERSION: u8 = 1;

/// The bytes were sealed with another secret, for another context, or were damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it was sealed with another `secret`, or is damaged")]
pub struct CannotOpen;

fn key(secret: &MasterSecret, purpose: Purpose) -> LessSafeKey {
    let key = secret.derive(purpose);
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key).expect("the key has the right length"))
}

/// Encrypts something small.
pub fn seal(
    secret: &MasterSecret,
    purpose: Purpose,
    context: &[u8],
    plain: &[u8],
    random: &SystemRandom,
) -> Result<Vec<u8>, NoRandomness> {
    let nonce: [u8; NONCE_LEN] = random::bytes(random)?;
    let mut sealed = plain.to_vec();
    key(secret, purpose)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed)
        .expect("what is sealed is far below the limit of the cipher");
    Ok([&[VERSION][..], &nonce, &sealed].concat())
}

/// Decrypts it.
pub fn open(
    secret: &MasterSecret,
    purpose: Purpose,
    context: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, CannotOpen> {
    let (&version, rest) = sealed.split_first().ok_or(CannotOpen)?;
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(CannotOpen)?;
    if version != VERSION {
        return Err(CannotOpen);
    }
    let mut opened = ciphertext.to_vec();
    let length = key(secret, purpose)
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut opened)
        .map_err(|_| CannotOpen)?
        .len();
    opened.truncate(length);
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use shared::secret::Secret;

    use super::Purpose::SigningKeys;
    use super::*;

    fn secret(letter: &str) -> MasterSecret {
        MasterSecret::parse(&Secret::new(letter.repeat(32))).unwrap()
    }

    #[test]
    fn only_the_same_secret_purpose_and_context_open_it() {
        let random = SystemRandom::new();
        let sealed = seal(&secret("a"), SigningKeys, b"kid", b"private", &random).unwrap();
        assert_eq!(open(&secret("a"), SigningKeys, b"kid", &sealed).unwrap(), b"private");
        assert_eq!(open(&secret("b"), SigningKeys, b"kid", &sealed), Err(CannotOpen));
        assert_eq!(open(&secret("a"), SigningKeys, b"other", &sealed), Err(CannotOpen));
        assert_eq!(open(&secret("a"), Purpose::Cursors, b"kid", &sealed), Err(CannotOpen));
        assert_ne!(
            seal(&secret("a"), SigningKeys, b"kid", b"private", &random).unwrap(),
            sealed,
            "nonces are random"
        );
    }

    #[test]
    fn damage_is_noticed_wherever_it_is() {
        let sealed = seal(&secret("a"), SigningKeys, b"kid", b"private", &SystemRandom::new()).unwrap();
        for position in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[position] ^= 1;
            assert_eq!(open(&secret("a"), SigningKeys, b"kid", &damaged), Err(CannotOpen), "{position}");
        }
        for length in 0..sealed.len() {
            assert_eq!(
                open(&secret("a"), SigningKeys, b"kid", &sealed[..length]),
                Err(CannotOpen),
                "{length}"
            );
        }
    }
}
