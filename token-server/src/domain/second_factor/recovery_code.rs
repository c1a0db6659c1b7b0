//! Codes for who has lost everything else: each stands for a second factor once.
//!
//! *Invariant:* a code has more than 50 bits, and only a MAC of it is stored.

use ring::rand::SystemRandom;

use super::super::random::{self, NoRandomness};

/// So many are made at a time.
pub const COUNT: usize = 10;

/// Letters and digits that are not taken for one another.
const LETTERS: &[u8; 30] = b"23456789abcdefghjkmnpqrstvwxyz";

const LENGTH: usize = 12;

/// Letters between two dashes.
const GROUP: usize = 4;

fn with_dashes(letters: &str) -> String {
    let mut code = letters.to_owned();
    for place in (1..LENGTH / GROUP).rev() {
        code.insert(place * GROUP, '-');
    }
    code
}

/// `abcd-2345-wxyz`.
pub fn generate(random: &SystemRandom) -> Result<String, NoRandomness> {
    let mut letters = String::with_capacity(LENGTH);
    while letters.len() < LENGTH {
        // Bytes beyond the last whole multiple of 30 would favour the first letters.
        let fair = random::bytes::<32>(random)?.into_iter().filter(|byte| *byte < 240);
        let missing = LENGTH - letters.len();
        letters.extend(fair.take(missing).map(|byte| char::from(LETTERS[usize::from(byte % 30)])));
    }
    Ok(with_dashes(&letters))
}

/// What was typed, as codes are written, if it can be one.
pub fn parse(typed: &str) -> Option<String> {
    let letters = typed.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').take(LENGTH + 1);
    let letters: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    let is_one = letters.len() == LENGTH && letters.bytes().all(|letter| LETTERS.contains(&letter));
    is_one.then(|| with_dashes(&letters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_however_people_write_them() {
        let code = generate(&SystemRandom::new()).unwrap();
        assert_eq!(code.len(), 14, "{code}");
        assert_ne!(generate(&SystemRandom::new()).unwrap(), code);
        for typed in [code.clone(), code.to_uppercase(), code.replace('-', " "), code.replace('-', "")] {
            assert_eq!(parse(&typed).as_ref(), Some(&code), "{typed}");
        }
        for typed in ["", "abcd-2345", "abcd-2345-wxyzz", "abcd-2345-wxyi", "äbcd-2345-wxyz", "123456"] {
            assert_eq!(parse(typed), None, "{typed}");
        }
    }
}
