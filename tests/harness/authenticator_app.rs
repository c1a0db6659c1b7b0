//! An app that shows codes, as people have it on their phone.
//!
//! *Invariant:* it knows what was typed into it and what time it is, and nothing of the server.
//!
//! Spec: RFC 6238, RFC 4648 §6.

use anyhow::Context as _;
use ring::hmac;

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// An app.
#[derive(Debug)]
pub struct AuthenticatorApp(hmac::Key);

impl AuthenticatorApp {
    /// One into which this was typed.
    pub fn with(secret: &str) -> anyhow::Result<Self> {
        let mut bits = Vec::new();
        for letter in secret.chars() {
            let value = LETTERS.find(letter).with_context(|| format!("{letter:?} in {secret:?}"))?;
            bits.extend((0..5).rev().map(|place| value >> place & 1 == 1));
        }
        let bytes: Vec<u8> = bits
            .chunks_exact(8)
            .map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit)))
            .collect();
        anyhow::ensure!(bytes.len() == 20, "{} bytes are shared, and not 20", bytes.len());
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes)))
    }

    /// What it shows at a moment, in seconds since 1970.
    pub fn code(&self, now: i64) -> String {
        let mac = hmac::sign(&self.0, &(now / 30).to_be_bytes());
        let mac = mac.as_ref();
        let offset = usize::from(mac[19] & 15);
        let number = mac[offset..offset + 4].iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
    }
}
