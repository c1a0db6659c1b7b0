//! Long-lived secrets that mean nothing by themselves.
//!
//! `pcr_` (a login that lasts), `pcb_` (a robot), `pcp_` (a personal access token) or `pcs_` (an identity provider), 43 random letters and digits (256 bits), and six that are computed
//! from the rest: scanners recognise one in a leaked file, and a mistyped one is refused without asking the database.
//!
//! *Invariant:* tokens have full entropy, so a fast keyed MAC protects them as well as a slow hash protects a
//! password.

use ring::digest;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use shared::secret::Secret;

use super::super::keys::master_secret::{MasterSecret, Purpose};
use super::super::random::NoRandomness;

/// What a token is for; both begin with four letters that say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A login that lasts.
    Refresh,
    /// What a robot logs in with.
    Robot,
    /// What a user logs in with instead of the password.
    Personal,
    /// What an identity provider makes users with.
    Scim,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Refresh, Self::Robot, Self::Personal, Self::Scim];

    /// What tokens of this kind begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Refresh => "pcr_",
            Self::Robot => "pcb_",
            Self::Personal => "pcp_",
            Self::Scim => "pcs_",
        }
    }

    const fn purpose(self) -> Purpose {
        match self {
            Self::Refresh => Purpose::RefreshTokens,
            Self::Robot => Purpose::RobotSecrets,
            Self::Personal => Purpose::PersonalTokens,
            Self::Scim => Purpose::ScimSecrets,
        }
    }
}

const PREFIX_LENGTH: usize = 4;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const RANDOM_LENGTH: usize = 43;

const CHECKSUM_LENGTH: usize = 6;

/// A new token.
pub fn generate(kind: TokenKind, random: &SystemRandom) -> Result<Secret, NoRandomness> {
    generate_as(kind.prefix(), random)
}

/// A new token that begins with these four letters.
pub fn generate_as(prefix: &str, random: &SystemRandom) -> Result<Secret, NoRandomness> {
    let mut token = String::with_capacity(PREFIX_LENGTH + RANDOM_LENGTH + CHECKSUM_LENGTH);
    token.push_str(prefix);
    let mut buffer = [0; 64];
    while token.len() < PREFIX_LENGTH + RANDOM_LENGTH {
        random.fill(&mut buffer).map_err(|_| NoRandomness)?;
        // Bytes beyond the last whole multiple of 62 would favour the first letters.
        let fair = buffer.iter().filter(|byte| **byte < 248);
        let missing = PREFIX_LENGTH + RANDOM_LENGTH - token.len();
        token.extend(fair.take(missing).map(|byte| char::from(ALPHABET[usize::from(*byte % 62)])));
    }
    token.push_str(&checksum(&token));
    Ok(Secret::new(token))
}

/// Whether a text has the form of a token; says nothing about whether it is worth anything.
pub fn is_well_formed(kind: TokenKind, token: &Secret) -> bool {
    is_well_formed_as(kind.prefix(), token)
}

/// The same of a token that begins with these four letters.
pub fn is_well_formed_as(prefix: &str, token: &Secret) -> bool {
    let token = token.expose();
    let length = PREFIX_LENGTH + RANDOM_LENGTH + CHECKSUM_LENGTH;
    token.len() == length
        && token.is_ascii()
        && token.starts_with(prefix)
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
    pub fn new(kind: TokenKind, secret: &MasterSecret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret.derive(kind.purpose())))
    }

    /// What is stored instead of the token.
    pub fn of(&self, token: &Secret) -> [u8; 32] {
        let mut mac = [0; 32];
        mac.copy_from_slice(hmac::sign(&self.0, token.expose().as_bytes()).as_ref());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_recognised_and_differ() {
        let random = SystemRandom::new();
        let token = generate(TokenKind::Refresh, &random).unwrap();
        assert!(is_well_formed(TokenKind::Refresh, &token) && !is_well_formed(TokenKind::Robot, &token));
        assert!(token.expose().len() <= 200);
        assert_ne!(generate(TokenKind::Refresh, &random).unwrap(), token);
    }

    #[test]
    fn one_wrong_letter_is_noticed() {
        let token = generate(TokenKind::Robot, &SystemRandom::new()).unwrap();
        // The checksum is short, but a change in it alone is always seen.
        for position in token.expose().len() - CHECKSUM_LENGTH..token.expose().len() {
            let mut bytes = token.expose().as_bytes().to_vec();
            bytes[position] = if bytes[position] == b'a' { b'b' } else { b'a' };
            assert!(!is_well_formed(TokenKind::Robot, &Secret::new(String::from_utf8(bytes).unwrap())));
        }
        for text in ["", "pcr_", "é", "pcr_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaéa"] {
            assert!(!is_well_formed(TokenKind::Robot, &Secret::new(text)), "{text}");
        }
    }

    #[test]
    fn a_stored_mac_depends_on_the_secret() {
        let token = generate(TokenKind::Robot, &SystemRandom::new()).unwrap();
        let mac = |letter: &str| {
            TokenMac::new(TokenKind::Robot, &MasterSecret::parse(&Secret::new(letter.repeat(32))).unwrap())
                .of(&token)
        };
        assert_eq!(mac("a"), mac("a"));
        assert_ne!(mac("a"), mac("b"));
    }
}
