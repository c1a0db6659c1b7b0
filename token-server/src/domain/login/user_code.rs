//! The code that a program shows and a person types.
//!
//! *Invariant:* a code has one spelling here, however it was typed.
//!
//! Spec: RFC 8628 §6.1.

use std::fmt;

use ring::rand::SystemRandom;

use super::super::random::{self, NoRandomness};

/// Letters that are not taken for one another and make no words (RFC 8628 §6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

const LENGTH: usize = 8;

/// Eight letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserCode([u8; LENGTH]);

impl UserCode {
    /// A new one.
    pub fn generate(random: &SystemRandom) -> Result<Self, NoRandomness> {
        let mut code = Vec::with_capacity(LENGTH);
        loop {
            // Bytes beyond the last whole multiple of 20 would favour the first letters.
            let fair = random::bytes::<32>(random)?.into_iter().filter(|byte| *byte < 240);
            code.extend(fair.map(|byte| LETTERS[usize::from(byte % 20)]));
            if let Some(code) = code.first_chunk() {
                return Ok(Self(*code));
            }
        }
    }

    /// What was typed, if it can be one.
    pub fn parse(typed: &str) -> Option<Self> {
        let letters = typed.bytes().filter(u8::is_ascii_alphanumeric).take(LENGTH + 1);
        let letters: Vec<u8> = letters.map(|letter| letter.to_ascii_uppercase()).collect();
        let code = <[u8; LENGTH]>::try_from(letters).ok()?;
        code.iter().all(|letter| LETTERS.contains(letter)).then_some(Self(code))
    }
}

impl fmt::Display for UserCode {
    /// `BCDF-GHJK`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = std::str::from_utf8(&self.0).expect("the letters are ASCII");
        let (left, right) = letters.split_at(LENGTH / 2);
        write!(f, "{left}-{right}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_however_people_write_them() {
        let random = SystemRandom::new();
        let code = UserCode::generate(&random).unwrap();
        assert_ne!(UserCode::generate(&random).unwrap(), code);
        let shown = code.to_string();
        assert_eq!(shown.len(), 9, "{shown}");
        for typed in [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace('-', ""),
            format!(" {} ", shown.replace('-', " ")),
        ] {
            assert_eq!(UserCode::parse(&typed), Some(code), "{typed:?}");
        }
        for typed in ["", "BCDF", "BCDF-GHJA", "BCDF-GHJKL", "ÄCDF-GHJK"] {
            assert_eq!(UserCode::parse(typed), None, "{typed:?}");
        }
    }
}
