//! Long-lived secrets that mean nothing by themselves.
//!
//! `pcr_`, 43 random letters and digits (256 bits), and six that are computed from the rest: scanners recognise one
//! in a leaked file, and a mistyped one is refused without asking the database.
//!
//! *Invariant:* tokens have full entropy, so a fast keyed MAC protects them as well as a slow hash protects a
//! password.

use ring::digest;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use shared::secret::Secret;

use super::master_secret::{MasterSecret, Purpose};
use super::random::NoRandomness;

/// What refresh tokens begin with.
pub const REFRESH_PREFIX: &str = "pcr_";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const RANDOM_LENGTH: usize = 43;

const CHECKSUM_LENGTH: usize = 6;

/// A new token.
pub fn generate(random: &SystemRandom) -> Result<Secret, NoRandomness> {
    let mut token = String::with_capacity(REFRESH_PREFIX.len() + RANDOM_LENGTH + CHECKSUM_LENGTH);
    token.push_str(REFRESH_PREFIX);
    let mut buffer = [0; 64];
    while token.len() < REFRESH_PREFIX.len() + RANDOM_LENGTH {
        random.fill(&mut buffer).map_err(|_| NoRandomness)?;
        // Bytes beyond the last whole multiple of 62 would favour the first letters.
        let fair = buffer.iter().filter(|byte| **byte < 248);
        let missing = REFRESH_PREFIX.len() + RANDOM_LENGTH - token.len();
        token.extend(fair.take(missing).map(|byte| char::from(ALPHABET[usize::from(*byte % 62)])));
    }
    token.push_str(&checksum(&token));
    Ok(Secret::new(token))
}

/// Whether a text has the form of a token; says nothing about whether it is worth anything.
pub fn is_well_formed(token: &Secret) -> bool {
    let token = token.expose();
    let length = REFRESH_PREFIX.len() + RANDOM_LENGTH + CHECKSUM_LENGTH;
    token.len() == length
        && token.is_ascii()
        && token.starts_with(REFRESH_PREFIX)
        && token[length - CHECKSUM_LENGTH..] == checksum(&token[..length - CHECKSUM_LENGTH])
}

fn checksum(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let bytes = digest.as_ref().iter().take(CHECKSUM_LENGTH);
    bytes.map(|byte| char::from(ALPHABET[usize::from(*byte % 62)])).collect()
}

/// The key under which tokens are stored.
#[derive(Debug)]
pub struct TokenMac(hmac::Key);

impl TokenMac {
    /// Derives it from the setting.
    pub fn new(secret: &MasterSecret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret.derive(Purpose::RefreshTokens)))
    }

    /// What is stored instead of the token.
    pub fn of(&self, token: &Secret) -> hmac::Tag {
        hmac::sign(&self.0, token.expose().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_recognised_and_differ() {
        let random = SystemRandom::new();
        let token = generate(&random).unwrap();
        assert!(is_well_formed(&token));
        assert!(token.expose().len() <= 200);
        assert_ne!(generate(&random).unwrap(), token);
    }

    #[test]
    fn one_wrong_letter_is_noticed() {
        let token = generate(&SystemRandom::new()).unwrap();
        // The checksum is short, but a change in it alone is always seen.
        for position in token.expose().len() - CHECKSUM_LENGTH..token.expose().len() {
            let mut bytes = token.expose().as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'a' { b'b' } else { b'a' };
            assert!(!is_well_formed(&Secret::new(String::from_utf8(bytes).unwrap())));
        }
        for text in ["", "pcr_", "é", "pcr_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaéa"] {
            assert!(!is_well_formed(&Secret::new(text)), "{text}");
        }
    }

    #[test]
    fn a_stored_mac_depends_on_the_secret() {
        let token = generate(&SystemRandom::new()).unwrap();
        let mac = |letter: &str| {
            TokenMac::new(&MasterSecret::parse(&Secret::new(letter.repeat(32))).unwrap())
                .of(&token)
                .as_ref()
                .to_vec()
        };
        assert_eq!(mac("a"), mac("a"));
        assert_ne!(mac("a"), mac("b"));
    }
}
