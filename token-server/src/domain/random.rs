//! Randomness, from the one source that is passed in.
//!
//! *Invariant:* identifiers made here cannot be guessed from one another.

use ring::rand::{SecureRandom, SystemRandom};
use shared::clock::Clock;
use uuid::{Builder, Uuid};

/// The system's source gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no randomness to give")]
pub struct NoRandomness;

/// Random bytes.
pub fn bytes<const N: usize>(random: &SystemRandom) -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    random.fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// An id that says nothing; version 4.
pub fn random_id(random: &SystemRandom) -> Result<Uuid, NoRandomness> {
    Ok(Builder::from_random_bytes(bytes(random)?).into_uuid())
}

/// An id that sorts by the time it was made; version 7.
pub fn dated_id(random: &SystemRandom, clock: &dyn Clock) -> Result<Uuid, NoRandomness> {
    let milliseconds = clock.now().unix_timestamp_nanos() / 1_000_000;
    // A clock before 1970 still gives unique ids.
    let milliseconds = u64::try_from(milliseconds).unwrap_or_default();
    Ok(Builder::from_unix_timestamp_millis(milliseconds, &bytes(random)?).into_uuid())
}
