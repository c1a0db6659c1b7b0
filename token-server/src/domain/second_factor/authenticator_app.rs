//! Codes of six digits that an app shows, another one each half minute.
//!
//! *Invariant:* a code is good for the moment it is for and those beside it, for clocks that differ, and never for one
//! that is not later than the last that was accepted.
//!
//! Spec: RFC 6238 with SHA-1, six digits and 30 seconds, which is what all apps take; RFC 4648 §6 (base 32).

use ring::hmac;
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

/// Length of what the app and this server share.
pub const SECRET_BYTES: usize = 20;

/// How long a code is shown, in seconds.
const STEP: i64 = 30;

const DIGITS: usize = 6;

/// Clocks may differ by so many steps.
const TOLERANCE: i64 = 1;

/// The alphabet of RFC 4648 §6.
const BASE_32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Which code is shown at a moment, in seconds since 1970.
pub const fn step_at(now: i64) -> i64 {
    now.div_euclid(STEP)
}

/// The number that codes are the last digits of (RFC 4226 §5.3).
fn number(secret: &[u8], step: i64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let mac = hmac::sign(&key, &step.to_be_bytes());
    let mac = mac.as_ref();
    let offset = usize::from(mac[mac.len() - 1] & 0x0f);
    let four = mac[offset..].first_chunk().expect("an offset is at most 15, and four of 20 bytes follow");
    u32::from_be_bytes(*four) & 0x7fff_ffff
}

/// What was typed as a code, if it can be one; people type spaces.
pub fn parse(typed: &str) -> Option<u32> {
    let digits: String = typed.chars().filter(|letter| !letter.is_whitespace()).take(DIGITS + 1).collect();
    let is_one = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_one.then(|| digits.parse().ok()).flatten()
}

/// The step of which a code is, if that is near; which one takes the same time for all.
pub fn step_of(secret: &[u8], code: u32, now: i64) -> Option<i64> {
    let mut found = i64::MIN;
    for step in step_at(now) - TOLERANCE..=step_at(now) + TOLERANCE {
        let is_it = (number(secret, step) % 1_000_000).ct_eq(&code);
        found.conditional_assign(&step, is_it);
    }
    (found != i64::MIN).then_some(found)
}

/// The secret as people type it.
pub fn written(secret: &[u8; SECRET_BYTES]) -> String {
    let chunks = secret.chunks_exact(5);
    let letters = chunks.flat_map(|five| {
        let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8).rev().map(move |place| BASE_32[usize::try_from(bits >> (5 * place) & 31).unwrap_or_default()])
    });
    letters.map(char::from).collect()
}

/// The address that apps read, of somebody at a server.
pub fn address(secret: &[u8; SECRET_BYTES], user: &str, server: &str) -> String {
    // Names of users and hosts have no letter that would have to be written otherwise, but for the colon of a port.
    let server = server.replace(':', "%3A");
    format!(
        "otpauth://totp/{server}:{user}?secret={}&issuer={server}&algorithm=SHA1&digits={DIGITS}&period={STEP}",
        written(secret)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8; SECRET_BYTES] = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_the_specification() {
        // RFC 6238, appendix B.
        for (time, expected) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            assert_eq!(number(SECRET, step_at(time)) % 100_000_000, expected, "{time}");
            let code = parse(&format!("{:06}", expected % 1_000_000)).unwrap();
            assert_eq!(step_of(SECRET, code, time), Some(step_at(time)));
        }
    }

    #[test]
    fn a_code_is_good_for_one_step_before_and_after() {
        let code = number(SECRET, 100) % 1_000_000;
        for (now, expected) in
            [(98 * STEP + 29, None), (99 * STEP, Some(100)), (101 * STEP + 29, Some(100)), (102 * STEP, None)]
        {
            assert_eq!(step_of(SECRET, code, now), expected, "{now}");
        }
        assert_eq!(step_of(b"another secret here!", code, 100 * STEP), None);
    }

    #[test]
    fn codes_are_six_digits_with_spaces_or_without() {
        assert_eq!(parse(" 005 924 "), Some(5924));
        for typed in ["", "5924", "0059244", "00592a", "٠٠٥٩٢٤", "-05924", "+05924"] {
            assert_eq!(parse(typed), None, "{typed}");
        }
    }

    #[test]
    fn apps_are_told_what_they_can_read() {
        assert_eq!(written(SECRET), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            address(SECRET, "ann", "auth.example:8443"),
            "otpauth://totp/auth.example%3A8443:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=auth.example%3A8443&algorithm=SHA1&digits=6&period=30"
        );
    }
}
