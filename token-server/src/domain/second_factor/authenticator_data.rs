//! What a device says of itself with each answer, signed.
//!
//! *Invariant:* every byte is accounted for, or it is no answer.
//!
//! Spec: Web Authentication Level 2 §6.1.

use super::cose_key::{CoseKey, read_value};

/// Whether somebody touched the device.
const USER_PRESENT: u8 = 1 << 0;

/// Whether the device knows who that was.
const USER_VERIFIED: u8 = 1 << 2;

/// Whether a new key follows.
const NEW_KEY: u8 = 1 << 6;

/// Whether something else follows.
const EXTENSIONS: u8 = 1 << 7;

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatorData<'a> {
    /// The hash of the place the key is for.
    pub party: &'a [u8; 32],
    /// Whether somebody was there.
    pub is_present: bool,
    /// Whether the device knows that it was its owner.
    pub is_verified: bool,
    /// How often the key was used.
    pub count: u32,
    /// A key that was made.
    pub new: Option<NewKey<'a>>,
}

/// A key that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey<'a> {
    /// How the device calls it.
    pub id: &'a [u8],
    /// The key, as the device wrote it.
    pub written: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    /// Understands it.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (party, rest) = bytes.split_first_chunk::<32>()?;
        let (&flags, rest) = rest.split_first()?;
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        let mut new = None;
        if flags & NEW_KEY != 0 {
            let (_model, behind) = rest.split_first_chunk::<16>()?;
            let (length, behind) = behind.split_first_chunk::<2>()?;
            let (id, behind) = behind.split_at_checked(u16::from_be_bytes(*length).into())?;
            let (value, after) = read_value(behind)?;
            CoseKey::read(&value)?;
            new = Some(NewKey { id, written: &behind[..behind.len() - after.len()] });
            rest = after;
        }
        if flags & EXTENSIONS != 0 {
            let (value, after) = read_value(rest)?;
            value.as_map()?;
            rest = after;
        }
        rest.is_empty().then_some(Self {
            party,
            is_present: flags & USER_PRESENT != 0,
            is_verified: flags & USER_VERIFIED != 0,
            count: u32::from_be_bytes(*count),
            new,
        })
    }
}
